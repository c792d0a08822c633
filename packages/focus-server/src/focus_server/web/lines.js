// @ts-check
/** The lines of one job as they are on the screen: where they are kept, when they were, how late and how many. */

import { Grid } from "./grid.js";
import { LineRate } from "./rate.js";
import { Ring } from "./ring.js";
import { Staleness } from "./staleness.js";

export class Lines {
  #staleness;
  #rate = new LineRate();
  /** Lines that came, each counted every time. */
  received = 0;
  /** Lines that the server dropped because this viewer was too slow. */
  dropped = 0;

  /** @param {import("./api.js").JobAnswer} job @param {number} keep lines */
  constructor(job, keep) {
    this.ring = new Ring(job.frequencies_amount, keep);
    this.grid = new Grid(job.metadata.grid);
    this.#staleness = new Staleness(job.lines_dt);
  }

  /** @param {import("./datastream.js").DataStream} message @param {number} nowMs since 1970 */
  take({ rows, rowIndex, data }, nowMs) {
    const before = this.ring.newest;
    rowIndex.forEach((row, i) => this.ring.put(row, data[i]));
    this.received += rows;
    this.#rate.arrived(rows, nowMs);
    const { newest } = this.ring;
    if (newest !== null && newest !== before) this.#staleness.received(this.grid.dueMs(newest), nowMs);
  }

  /** Centre of the newest line, ms since 1970; null before the first. */
  get newestMs() {
    return this.ring.newest === null ? null : this.grid.centreMs(this.ring.newest);
  }

  /** @param {number} nowMs @returns {number} lines/s; NaN when not known yet */
  perSecond(nowMs) {
    return this.#rate.perSecond(nowMs);
  }

  /** @param {number} nowMs @returns {string} "behind by n s", or nothing */
  behind(nowMs) {
    return this.#staleness.text(nowMs);
  }
}
