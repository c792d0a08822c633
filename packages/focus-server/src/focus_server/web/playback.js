// @ts-check
/**
 * Where in a recording the picture ends: at what was read last, or, when a speed was chosen, at a time that moves so
 * many times as fast as it did; it can be held, and put anywhere in what was read.
 */

export class Playback {
  #ring;
  #grid;
  #speed;
  /** @type {number | null} ms since 1970; null to follow what is read */ #at = null;
  #tickedMs = NaN;
  paused = false;

  /** @param {import("./lines.js").Lines} lines @param {number | null} speed times real time; null to follow what is read */
  constructor({ ring, grid }, speed) {
    this.#ring = ring;
    this.#grid = grid;
    this.#speed = speed;
    if (speed !== null) this.#at = grid.centreMs(0);
    this.#hold();
  }

  /** True when there is nothing read that was not shown. */
  get atEnd() {
    const { held, newest } = this.#ring;
    return held === null || held === newest;
  }

  /** ms since 1970 of the line at the bottom; null before the first. */
  get atMs() {
    const { bottom } = this.#ring;
    return bottom === null ? null : this.#grid.centreMs(bottom);
  }

  /** @param {number | null} speed times real time; null to show at once what is read */
  set speed(speed) {
    if (speed === this.#speed) return;
    if (this.#at === null) this.#at = this.atMs;
    this.#speed = speed;
    if (speed === null && !this.paused) this.#at = null;
    this.#hold();
  }

  pause() {
    if (this.#at === null) this.#at = this.atMs;
    this.paused = true;
    this.#hold();
  }

  resume() {
    this.paused = false;
    if (this.#speed === null) this.#at = null;
    this.#hold();
  }

  /** @param {number} ms since 1970 that the picture is to end with, as far as it was read */
  seek(ms) {
    this.#at = ms;
    if (this.#speed === null) this.paused = true;
    this.#hold();
  }

  /** Move on with time. @param {number} nowMs @returns {boolean} whether the picture is another now */
  tick(nowMs) {
    const passedMs = nowMs - this.#tickedMs;
    this.#tickedMs = nowMs;
    if (this.paused || this.#at === null || !(passedMs > 0) || this.#ring.newest === null) return false;
    const newestMs = this.#grid.centreMs(this.#ring.newest);
    this.#at = Math.min(this.#at + passedMs * (this.#speed ?? Infinity), newestMs);
    return this.#hold();
  }

  /** @returns {boolean} whether the picture ends with another line now */
  #hold() {
    const before = this.#ring.held;
    const row = this.#at === null ? null : Math.max(0, Math.floor(this.#grid.rowAt(this.#at) + 1e-6));
    const { newest, lines } = this.#ring;
    // What was overwritten because more came than is kept cannot be shown any more.
    this.#ring.held = row === null ? null : newest === null ? row : Math.max(Math.min(row, newest), newest - lines + 1);
    return before !== this.#ring.held;
  }
}
