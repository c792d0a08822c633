// @ts-check
/** The strip of what was recorded in the last minutes; dragging over it picks a range to play. */

import { Axis } from "./axes.js";
import { multiples, timeStep } from "./ticks.js";
import { clockTime } from "./utc.js";

/** @typedef {import("./recordings.js").Span} Span */

/** Pixels between neighbouring labels. */
const GAP = 100;
/** Pixels; a shorter way is a click, which picks nothing. */
const SHORTEST_DRAG = 4;

export class Timeline {
  #strip;
  #picked;
  #spans;
  #axis;
  #hint;
  #pick;
  /** @type {Span} */ #window = [0, 1];
  /** Whether the strip stands for a time at all: not before it was known once what is recorded. */
  #known = false;
  /** @type {Span | null} */ #range = null;
  /** @type {{ from: number, to: number } | null} 0..1 while dragging */ #drag = null;

  /** @param {(id: string) => HTMLElement} element @param {(start: number, end: number) => void} pick s since 1970 */
  constructor(element, pick) {
    this.#strip = element("timeline");
    this.#picked = element("picked");
    this.#spans = element("recorded");
    this.#hint = element("timeline-hint");
    this.#axis = new Axis(element("timeline-axis"), "left");
    this.#pick = pick;
    this.#strip.addEventListener("pointerdown", (event) => this.#down(event));
    this.#strip.addEventListener("pointermove", (event) => this.#move(event));
    this.#strip.addEventListener("pointerup", () => this.#up());
    this.#strip.addEventListener("pointercancel", () => this.#cancel());
    addEventListener("keydown", ({ key }) => key === "Escape" && this.#cancel());
    new ResizeObserver(() => this.#marks()).observe(this.#strip);
  }

  /** @param {import("./recordings.js").Known} known */
  show({ window, recorded }) {
    this.#window = window;
    this.#known = true;
    this.#spans.replaceChildren(...recorded.map((span) => this.#bar(span)));
    this.#marks();
    this.#place();
  }

  /** The range that is chosen, if one is. @param {Span | null} range */
  choose(range) {
    this.#range = range;
    if (!this.#drag) this.#place();
  }

  /** @param {Span} span */
  #bar(span) {
    const bar = document.createElement("i");
    this.#spread(bar, span);
    return bar;
  }

  /** @param {HTMLElement} element @param {Span} span */
  #spread(element, [start, end]) {
    const from = inside(this.#part(start));
    const to = inside(this.#part(end));
    element.style.left = `${(100 * from).toFixed(3)}%`;
    element.style.width = `${(100 * (to - from)).toFixed(3)}%`;
    element.hidden = to <= from;
  }

  /** @param {number} time s since 1970 */
  #part(time) {
    return (time - this.#window[0]) / (this.#window[1] - this.#window[0]);
  }

  /** @param {number} part 0..1 @returns {number} whole s since 1970, for nobody aims better */
  #time(part) {
    return Math.round(this.#window[0] + part * (this.#window[1] - this.#window[0]));
  }

  #marks() {
    if (!this.#known) return;
    const [start, end] = this.#window;
    const step = timeStep(1000 * start, 1000 * end, this.#axis.room(GAP));
    const marks = multiples(1000 * start, 1000 * end, step);
    this.#axis.show(marks.map((ms) => ({ at: this.#part(ms / 1000), text: clockTime(ms, step) })));
  }

  #place() {
    const range = this.#drag ? this.#dragged() : this.#range;
    this.#picked.hidden = !range;
    if (range) this.#spread(this.#picked, range);
    this.#hint.textContent = this.#drag && range ? rangeText(range) : "";
  }

  /** @returns {Span | null} */
  #dragged() {
    if (!this.#drag) return null;
    const { from, to } = this.#drag;
    const start = this.#time(Math.min(from, to));
    // The window's end is the present; rounded up it would lie in the future, which no recording does.
    const end = Math.min(this.#time(Math.max(from, to)), Math.floor(this.#window[1]));
    return end > start ? [start, end] : null;
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button !== 0 || !this.#known) return;
    event.preventDefault();
    this.#strip.setPointerCapture(event.pointerId);
    const at = this.#at(event);
    this.#drag = { from: at, to: at };
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (!this.#drag) return;
    this.#drag.to = this.#at(event);
    this.#place();
  }

  #up() {
    const range = this.#dragged();
    const way = this.#drag ? Math.abs(this.#drag.to - this.#drag.from) * this.#strip.clientWidth : 0;
    this.#cancel();
    if (range && way >= SHORTEST_DRAG) this.#pick(...range);
  }

  #cancel() {
    this.#drag = null;
    this.#place();
  }

  /** @param {PointerEvent} event */
  #at(event) {
    const box = this.#strip.getBoundingClientRect();
    return inside((event.clientX - box.left) / box.width);
  }
}

/** @param {Span} range */
function rangeText([start, end]) {
  return `${clockTime(1000 * start, 1000)} to ${clockTime(1000 * end, 1000)} · ${end - start} s`;
}

/** @param {number} part */
function inside(part) {
  return Math.min(1, Math.max(0, part));
}
