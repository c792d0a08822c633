// @ts-check
/**
 * The spectrum of one channel, for the line beside the picture: of a single channel each line that is kept, of many
 * channels the newest line alone, whose spectra came with it; a waterfall carries none.
 */

import { NO_VALUE } from "./ring.js";
import { MULTICHANNEL, SINGLE_CHANNEL } from "./settings.js";

/** @typedef {import("./datastream.js").DataStream} DataStream */
/**
 * @typedef {object} Spectrum
 * @property {number} channel
 * @property {number} row of the picture that it belongs to
 * @property {ArrayLike<number>} frequencies Hz
 * @property {number[]} levels dB re 1 unit/√Hz; NaN where there is none
 */

export class Spectra {
  #job;
  #ring;
  #first;
  /** @type {Map<number, { row: number, message: DataStream, values: Float32Array }>} by first channel of the stream */ #newest = new Map();

  /** @param {import("./api.js").JobAnswer} job @param {import("./ring.js").Ring} ring */
  constructor(job, ring) {
    this.#job = job;
    this.#ring = ring;
    this.#first = Math.min(...Object.keys(job.channel_to_stream_index).map(Number));
  }

  /** @param {DataStream} message */
  take(message) {
    const row = message.rowIndex.at(-1);
    if (this.#job.view_type !== MULTICHANNEL || row === undefined) return;
    const known = this.#newest.get(message.startChannel);
    if (known && known.row > row) return;
    this.#newest.set(message.startChannel, { row, message, values: message.data[message.data.length - 1] });
  }

  /** @param {number} column @param {number} row under the cursor @returns {Spectrum | null} null where there is none */
  at(column, row) {
    if (this.#job.view_type === SINGLE_CHANNEL) return this.#kept(row);
    return this.#came(this.#first + column);
  }

  /** @param {number} row @returns {Spectrum | null} */
  #kept(row) {
    if (this.#ring.stateOf(row) !== "line") return null;
    const frequencies = this.#job.frequencies_list;
    const levels = frequencies.map((_, bin) => {
      const level = this.#ring.level(row, bin);
      return level < NO_VALUE / 10 ? level : NaN;
    });
    return { channel: this.#first, row, frequencies, levels };
  }

  /** @param {number} channel @returns {Spectrum | null} */
  #came(channel) {
    for (const { row, message, values } of this.#newest.values()) {
      if (channel < message.startChannel || channel > message.endChannel) continue;
      const from = (channel - message.startChannel) * message.bins;
      const levels = Array.from(values.subarray(from, from + message.bins), (value) => 20 * Math.log10(value));
      return { channel, row, frequencies: this.#job.frequencies_list, levels: levels.map((dB) => (Number.isFinite(dB) ? dB : NaN)) };
    }
    return null;
  }
}
