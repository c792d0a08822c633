// @ts-check
/** Which times of the last minutes are recorded, asked for again and again; when that is not known, why. */

import { ApiError } from "./api.js";

/** @typedef {readonly [number, number]} Span s since 1970 */
/**
 * @typedef {object} Known
 * @property {Span} window that was asked about
 * @property {Span[]} recorded in order
 */

/** s that the strip spans, when nothing else was chosen. */
export const WINDOW_S = 600;
const EVERY_MS = 10_000;
const UNAVAILABLE = 503;

export class Recordings {
  #api;
  #now;
  #told;
  #failed;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #attempt = 0;
  #spanS = WINDOW_S;
  /** @type {number | null} s since 1970; null for the present */ #end = null;
  /** @type {Known | null} as far as it is known */ known = null;

  /**
   * @param {import("./api.js").Api} api @param {() => number} now ms since 1970
   * @param {(known: Known) => void} told @param {(sentence: string, detail: string) => void} failed
   */
  constructor(api, now, told, failed) {
    this.#api = api;
    this.#now = now;
    this.#told = told;
    this.#failed = failed;
  }

  /** Look at another time. @param {number} spanS @param {number} back whole spans to go back, below 0 forth */
  look(spanS, back) {
    const now = this.#now() / 1000;
    const end = (this.#end ?? now) - back * spanS;
    this.#end = back === 0 || end >= now ? null : end;
    this.#spanS = spanS;
    return this.ask();
  }

  /** Whether it goes on with the present. */
  get present() {
    return this.#end === null;
  }

  /** Ask now, and from now on every few seconds. */
  async ask() {
    const attempt = ++this.#attempt;
    clearTimeout(this.#timer);
    const end = this.#end ?? this.#now() / 1000;
    /** @type {Span} */ const window = [end - this.#spanS, end];
    try {
      const recorded = await this.#api.recordings(...window);
      if (attempt === this.#attempt) this.#told((this.known = { window, recorded }));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (attempt === this.#attempt) this.#failed(...sentences(error));
    }
    if (attempt === this.#attempt) this.#timer = setTimeout(() => this.ask(), EVERY_MS);
  }
}

/** @param {ApiError} error @returns {[string, string]} */
function sentences({ status, message }) {
  return status === UNAVAILABLE ? ["catalogue down", message] : [message, ""];
}
