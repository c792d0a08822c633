// @ts-check
/** How far the picture is behind the fibre, known at any moment, also while nothing arrives. */

/** s; a newest line later than this is said to be behind. */
export const LATE_S = 2;

export class Staleness {
  #lineSeconds;
  #dueMs = NaN;
  #latencyMs = 0;

  /** @param {number} lineSeconds from line to line */
  constructor(lineSeconds) {
    this.#lineSeconds = lineSeconds;
  }

  /**
   * A new newest line came.
   * @param {number} dueMs when its last sample was due @param {number} receivedMs
   */
  received(dueMs, receivedMs) {
    this.#dueMs = dueMs;
    this.#latencyMs = receivedMs - dueMs;
  }

  /**
   * The newest line's latency, or how long the line after it is overdue if that is more: at one line in ten seconds
   * an old newest line is in time.
   * @param {number} nowMs @returns {number} s; NaN before the first line
   */
  seconds(nowMs) {
    const overdueMs = nowMs - this.#dueMs - this.#lineSeconds * 1000;
    return Math.max(this.#latencyMs, overdueMs) / 1000;
  }

  /** @param {number} nowMs @returns {string} "behind by n s", or nothing while the picture is up to date */
  text(nowMs) {
    const late = this.seconds(nowMs);
    return late > LATE_S ? `behind by ${Math.floor(late)} s` : "";
  }
}
