// @ts-check
/** Drag over the picture, or mark two corners with the keyboard: that part becomes a view of its own. */

import { MAX_FREQUENCY, MIN_FREQUENCY_SPAN } from "./limits.js";
import { rowAt } from "./readout.js";
import { SINGLE_CHANNEL } from "./settings.js";

/** @typedef {{ x: number, y: number }} Point 0..1 from the left and from the top */
/** @typedef {{ left: number, right: number, top: number, bottom: number, wide: boolean, high: boolean }} Box wide and high say whether that way was meant */

/** Pixels; a shorter way is not meant. */
const SHORTEST = 8;
/** s; what is recorded cannot be zoomed into further. */
const SHORTEST_S = 1;

export class ZoomBox {
  #canvas;
  #box;
  #cursor;
  #zoom;
  /** @type {Point | null} */ #from = null;
  #dragging = false;

  /**
   * @param {HTMLElement} canvas @param {HTMLElement} box shows what is marked
   * @param {() => Point | null} cursor where the keyboard points @param {(box: Box) => void} zoom
   */
  constructor(canvas, box, cursor, zoom) {
    this.#canvas = canvas;
    this.#box = box;
    this.#cursor = cursor;
    this.#zoom = zoom;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#dragging && this.#show(this.#at(event)));
    canvas.addEventListener("pointerup", (event) => this.#dragging && this.#done(this.#at(event)));
    canvas.addEventListener("pointercancel", () => this.#cancel());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => this.#cancel());
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#from = this.#at(event);
    this.#dragging = true;
  }

  /** @param {KeyboardEvent} event */
  #key({ key, ctrlKey, metaKey, altKey }) {
    if (key === "Escape") this.#cancel();
    const cursor = this.#cursor();
    if (this.#from && !this.#dragging && cursor) this.#show(cursor);
    if (key !== "z" || ctrlKey || metaKey || altKey || !cursor) return;
    if (this.#from) this.#done(cursor);
    else this.#from = cursor;
  }

  /** @param {Point} to */
  #show(to) {
    if (!this.#from) return;
    const { left, right, top, bottom, wide, high } = this.#boxTo(to);
    this.#box.hidden = !wide && !high;
    Object.assign(this.#box.style, {
      left: `${100 * (wide ? left : 0)}%`, right: `${100 * (wide ? 1 - right : 0)}%`,
      top: `${100 * (high ? top : 0)}%`, bottom: `${100 * (high ? 1 - bottom : 0)}%`,
    });
  }

  /** @param {Point} to */
  #done(to) {
    const box = this.#boxTo(to);
    this.#cancel();
    if (box.wide || box.high) this.#zoom(box);
  }

  #cancel() {
    this.#from = null;
    this.#dragging = false;
    this.#box.hidden = true;
  }

  /** @param {Point} to @returns {Box} */
  #boxTo(to) {
    const from = this.#from ?? to;
    const [left, right] = [from.x, to.x].sort((a, b) => a - b);
    const [top, bottom] = [from.y, to.y].sort((a, b) => a - b);
    const { clientWidth, clientHeight } = this.#canvas;
    return {
      left, right, top, bottom,
      wide: (right - left) * clientWidth >= SHORTEST, high: (bottom - top) * clientHeight >= SHORTEST,
    };
  }

  /** @param {PointerEvent} event @returns {Point} */
  #at(event) {
    const box = this.#canvas.getBoundingClientRect();
    const part = (/** @type {number} */ value) => Math.min(1, Math.max(0, value));
    return { x: part((event.clientX - box.left) / box.width), y: part((event.clientY - box.top) / box.height) };
  }
}

/**
 * What to choose to see that part alone. Of a live view only the columns are taken, because its time goes on; a box as
 * wide as the picture or narrower than meant asks for that time as it was recorded.
 * @param {import("./window.js").LiveWindow} window that shows lines @param {Box} box
 * @returns {Partial<import("./settings.js").Settings> | null} null when nothing is shown
 */
export function zoomed({ settings, lines, columns }, box) {
  if (!lines || !columns) return null;
  const changes = box.wide ? across(settings.view, columns, box) : {};
  if (!box.high || (!settings.historic && box.wide)) return changes;
  const { ring, grid } = lines;
  if (ring.newest === null) return null;
  const middle = (/** @type {number} */ y) => rowAt(ring, Math.min(y, 0.999999)) * grid.lineSeconds;
  const first = grid.centreMs(0) / 1000;
  const start = round(first + middle(box.top) - grid.lineSeconds / 2);
  const end = Math.max(round(first + middle(box.bottom) + grid.lineSeconds / 2), start + SHORTEST_S);
  return { ...changes, historic: true, start, end };
}

/** @param {number} view @param {import("./columns.js").Columns} columns @param {Box} box */
function across(view, { count, values }, { left, right }) {
  const first = values.of(Math.min(count - 1, Math.floor(left * count)));
  const last = values.of(Math.max(0, Math.ceil(right * count) - 1));
  if (view !== SINGLE_CHANNEL) return { cmin: first, cmax: last };
  const spare = Math.max(0, MIN_FREQUENCY_SPAN - (last - first)) / 2;
  const fmin = Math.max(0, Math.floor(100 * (first - spare)) / 100);
  return { fmin, fmax: Math.min(MAX_FREQUENCY, Math.max(Math.ceil(100 * (last + spare)) / 100, fmin + MIN_FREQUENCY_SPAN)) };
}

/** @param {number} seconds */
function round(seconds) {
  return Math.round(1000 * seconds) / 1000;
}
