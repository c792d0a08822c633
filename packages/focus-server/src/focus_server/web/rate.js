// @ts-check
/** Lines per second as they arrive, over the last seconds. */

const WINDOW_MS = 5000;

export class LineRate {
  /** @type {{ atMs: number, lines: number }[]} */ #arrivals = [];
  #startedMs = NaN;

  /** @param {number} lines @param {number} atMs */
  arrived(lines, atMs) {
    if (Number.isNaN(this.#startedMs)) this.#startedMs = atMs;
    this.#arrivals.push({ atMs, lines });
  }

  /** @param {number} nowMs @returns {number} lines/s; NaN before a second has been seen */
  perSecond(nowMs) {
    while (this.#arrivals.length && this.#arrivals[0].atMs <= nowMs - WINDOW_MS) this.#arrivals.shift();
    const seenMs = Math.min(WINDOW_MS, nowMs - this.#startedMs);
    if (!(seenMs >= 1000)) return NaN;
    return this.#arrivals.reduce((sum, { lines }) => sum + lines, 0) / (seenMs / 1000);
  }
}
