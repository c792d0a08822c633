// @ts-check
/**
 * Puts the parts of a line together again: the channels of a multichannel job come in up to three streams, each with
 * the same row numbers. A line is whole when all streams have brought it. It is not waited for where that is vain: the
 * streams bring their rows in order, and live no part is waited for longer than two seconds.
 */

import { bandValues } from "./band.js";
import { ABSENT } from "./ring.js";

/** @typedef {import("./datastream.js").DataStream} DataStream */
/**
 * @typedef {object} Waiting a line of which parts are missing
 * @property {Float32Array} line
 * @property {Set<number>} lacks the streams that have not brought it
 * @property {number} sinceMs
 * @property {boolean} given it was shown as it is
 */
/** @typedef {(row: number, line: Float32Array) => void} Give */

/** ms that a live line waits for its last part. */
export const PATIENCE_MS = 2000;

export class Joiner {
  #streams;
  #channels;
  #first;
  #spacing;
  #patienceMs;
  #give;
  #keep;
  /** @type {Map<number, Waiting>} */ #waiting = new Map();
  /** @type {number[]} newest row of each stream; Infinity when it has ended */ #reached;
  #newest = -1;
  /** Row that was whole, slot by slot; a stream that comes back repeats some. */
  #whole;

  /**
   * @param {import("./api.js").JobAnswer} job @param {number} keep lines on the picture
   * @param {number} patienceMs Infinity when what is missing is worth any wait
   * @param {Give} give told each line when it is whole, or as whole as it gets
   */
  constructor(job, keep, patienceMs, give) {
    const { nfft, fs_num, fs_den } = job.metadata.grid;
    this.#streams = [...Array(job.stream_amount).keys()];
    this.#channels = job.channel_amount;
    this.#first = Math.min(...Object.keys(job.channel_to_stream_index).map(Number));
    this.#spacing = fs_num / fs_den / nfft;
    this.#patienceMs = patienceMs;
    this.#give = give;
    this.#keep = keep;
    this.#reached = this.#streams.map(() => -1);
    this.#whole = new Int32Array(keep).fill(-1);
  }

  /** @param {DataStream} message @param {number} stream that brought it @param {number} nowMs */
  take(message, stream, nowMs) {
    message.rowIndex.forEach((row, i) => this.#part(row, message, message.data[i], stream, nowMs));
    this.#pass(stream, message.rowIndex.at(-1) ?? -1);
  }

  /** A stream brings nothing more. @param {number} stream */
  ended(stream) {
    this.#pass(stream, Infinity);
  }

  /** Give what has waited long enough. @param {number} nowMs @returns {boolean} whether there was any */
  overdue(nowMs) {
    let any = false;
    for (const [row, waiting] of this.#waiting) {
      if (waiting.given || nowMs - waiting.sinceMs < this.#patienceMs) continue;
      this.#show(row, waiting);
      any = true;
    }
    return any;
  }

  /** @param {number} row @param {DataStream} message @param {Float32Array} values @param {number} stream @param {number} nowMs */
  #part(row, message, values, stream, nowMs) {
    if (row <= this.#newest - this.#keep || this.#whole[row % this.#keep] === row) return;
    const waiting = this.#waiting.get(row) ?? this.#begin(row, nowMs);
    bandValues(values, message.bins, this.#spacing, waiting.line, message.startChannel - this.#first);
    waiting.lacks.delete(stream);
    if (waiting.lacks.size === 0) {
      this.#waiting.delete(row);
      this.#whole[row % this.#keep] = row;
      this.#show(row, waiting);
    } else if (waiting.given) this.#show(row, waiting);
  }

  /** @param {number} row @param {number} nowMs @returns {Waiting} */
  #begin(row, nowMs) {
    const line = new Float32Array(this.#channels).fill(ABSENT);
    const waiting = { line, lacks: new Set(this.#streams), sinceMs: nowMs, given: false };
    this.#waiting.set(row, waiting);
    return waiting;
  }

  /** @param {number} row @param {Waiting} waiting */
  #show(row, waiting) {
    waiting.given = true;
    this.#give(row, waiting.line);
    if (row <= this.#newest) return;
    this.#newest = row;
    for (const [old, { given }] of this.#waiting) if (given && old <= row - this.#keep) this.#waiting.delete(old);
  }

  /** What all streams that lack it have passed is as whole as it gets. @param {number} stream @param {number} row */
  #pass(stream, row) {
    if (row <= this.#reached[stream]) return;
    this.#reached[stream] = row;
    if (this.#waiting.size === 0) return;
    for (const [waited, waiting] of [...this.#waiting].sort(([a], [b]) => a - b)) {
      const vain = [...waiting.lacks].every((lacking) => this.#reached[lacking] > waited);
      if (vain && !waiting.given) this.#show(waited, waiting);
    }
  }
}
