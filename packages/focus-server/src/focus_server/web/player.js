// @ts-check
/** The controls of a recording that plays: hold it, go on, and put it anywhere in what was read. */

import { dateTime } from "./utc.js";

/** Keys move the position by this part of the recording. */
const STEPS = 1000;

export class Player {
  #page;
  #window;
  #moved;
  #pause;
  #position;

  /** @param {(id: string) => HTMLElement} element @param {() => import("./window.js").LiveWindow} window looked at @param {() => void} moved */
  constructor(element, window, moved) {
    this.#page = element;
    this.#window = window;
    this.#moved = moved;
    this.#pause = /** @type {HTMLButtonElement} */ (element("pause"));
    this.#position = /** @type {HTMLInputElement} */ (element("position"));
    this.#position.max = String(STEPS);
    this.#pause.addEventListener("click", () => this.toggle());
    this.#position.addEventListener("input", () => this.#seek());
  }

  toggle() {
    const { playback } = this.#window();
    if (!playback) return;
    if (playback.paused) playback.resume();
    else playback.pause();
    this.#moved();
  }

  /** Show where the recording is. */
  show() {
    const { playback, settings: { historic } } = this.#window();
    if (!historic) return;
    const span = this.#span();
    const atMs = playback?.atMs ?? null;
    this.#pause.disabled = this.#position.disabled = !span || atMs === null;
    const text = playback?.paused ? "Go on" : "Pause";
    if (this.#pause.textContent !== text) this.#pause.textContent = text;
    const said = atMs === null ? "–" : `${dateTime(atMs).slice(11, 23)} UTC`;
    if (this.#page("position-time").textContent !== said) this.#page("position-time").textContent = said;
    if (!span || atMs === null) return;
    const value = String(Math.round((STEPS * (atMs - span[0])) / (span[1] - span[0])));
    if (this.#position.value !== value) this.#position.value = value;
    this.#position.setAttribute("aria-valuetext", said);
  }

  #seek() {
    const { playback } = this.#window();
    const span = this.#span();
    if (!playback || !span) return;
    playback.seek(span[0] + (Number(this.#position.value) / STEPS) * (span[1] - span[0]));
    this.#moved();
  }

  /** @returns {[number, number] | null} ms since 1970 of the first and the last line there can be */
  #span() {
    const { lines, settings: { start, end } } = this.#window();
    if (!lines || start === null || end === null) return null;
    const first = lines.grid.centreMs(0);
    const last = Math.max(lines.newestMs ?? first, first + 1000 * (end - start) - 2 * (first - 1000 * start));
    return last > first ? [first, last] : null;
  }
}
