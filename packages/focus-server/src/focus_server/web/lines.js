// @ts-check
/** The lines of one job as they are on the screen: where they are kept, when they were, how late and how many. */

import { Grid } from "./grid.js";
import { Joiner, PATIENCE_MS } from "./join.js";
import { LineRate } from "./rate.js";
import { Ring } from "./ring.js";
import { MULTICHANNEL, SINGLE_CHANNEL } from "./settings.js";
import { Spectra } from "./spectra.js";
import { Staleness } from "./staleness.js";

export class Lines {
  #staleness;
  #rate = new LineRate();
  /** @type {Joiner | null} */ #joiner = null;
  #given = 0;
  /** @type {number[]} */ #dropped = [];
  /** Lines that came, each counted every time. */
  received = 0;

  /** @param {import("./api.js").JobAnswer} job @param {number} keep lines @param {boolean} historic */
  constructor(job, keep, historic) {
    const multichannel = job.view_type === MULTICHANNEL;
    this.ring = new Ring(valuesOf(job), keep);
    this.spectra = new Spectra(job, this.ring);
    this.grid = new Grid(job.metadata.grid);
    this.historic = historic;
    this.#staleness = new Staleness(job.lines_dt);
    if (multichannel) {
      this.#joiner = new Joiner(job, keep, historic ? Infinity : PATIENCE_MS, (row, line) => this.#put(row, line));
    }
  }

  /** @param {import("./datastream.js").DataStream} message @param {number} stream @param {number} nowMs since 1970 */
  take(message, stream, nowMs) {
    this.spectra.take(message);
    this.#after(nowMs, () => {
      if (this.#joiner) this.#joiner.take(message, stream, nowMs);
      else message.rowIndex.forEach((row, i) => this.#put(row, message.data[i].subarray(0, message.bins)));
    });
  }

  /** A stream brings nothing more. @param {number} stream @param {number} nowMs */
  ended(stream, nowMs) {
    this.#after(nowMs, () => this.#joiner?.ended(stream));
  }

  /** Stop waiting for what is too late. @param {number} nowMs @returns {boolean} whether the picture is another now */
  tick(nowMs) {
    return this.#after(nowMs, () => this.#joiner?.overdue(nowMs));
  }

  /** A viewer too slow for a stream did not get some of its lines. @param {number} lines @param {number} stream */
  drop(lines, stream) {
    this.#dropped[stream] = (this.#dropped[stream] ?? 0) + lines;
  }

  /** Whether lines came that are not kept any more, because there is room for no more. */
  get overflown() {
    return this.ring.newest !== null && this.ring.newest >= this.ring.lines;
  }

  /** Lines that the server dropped because this viewer was too slow. */
  get dropped() {
    return Math.max(0, ...Object.values(this.#dropped));
  }

  /** @param {number} row @param {Float32Array} line */
  #put(row, line) {
    this.ring.put(row, line);
    this.#given += 1;
  }

  /** @param {number} nowMs @param {() => void} act that may put lines */
  #after(nowMs, act) {
    const before = this.ring.newest;
    this.#given = 0;
    act();
    if (this.#given === 0) return false;
    this.received += this.#given;
    this.#rate.arrived(this.#given, nowMs);
    const { newest } = this.ring;
    if (newest !== null && newest !== before) this.#staleness.received(this.grid.dueMs(newest), nowMs);
    return true;
  }

  /** Centre of the newest line, ms since 1970; null before the first. */
  get newestMs() {
    return this.ring.newest === null ? null : this.grid.centreMs(this.ring.newest);
  }

  /** @param {number} nowMs @returns {number} lines/s; NaN when not known yet */
  perSecond(nowMs) {
    return this.#rate.perSecond(nowMs);
  }

  /** @param {number} nowMs @returns {string} "behind by n s", or nothing; what was recorded is never late */
  behind(nowMs) {
    return this.historic ? "" : this.#staleness.text(nowMs);
  }
}

/** @param {import("./api.js").JobAnswer} job @returns {number} values in one line of its picture */
export function valuesOf(job) {
  return job.view_type === SINGLE_CHANNEL ? job.frequencies_amount : job.channel_amount;
}
