// @ts-check
/** The picture with what makes it readable: axes, colour bar, cursor and readout. A proof picture has none of these. */

import { Axis } from "./axes.js";
import { colourTable } from "./colours.js";
import { Cursor } from "./cursor.js";
import { readout } from "./readout.js";
import { decimalStep, label, multiples, timeStep } from "./ticks.js";
import { clockTime } from "./utc.js";

/** @typedef {import("./readout.js").Scene} Scene */

/** Pixels between neighbouring labels. */
const ACROSS_GAP = 90;
const DOWN_GAP = 56;
const POINT_AT_IT = "Point at the picture to read it.";

export class Plot {
  #page;
  #time;
  /** @type {Axis[]} below the picture */ #below;
  #levels;
  #cursor;
  /** @type {Scene | null} */ #scene = null;
  #range = { low: 0, high: 1 };
  #fibreStart = NaN;
  /** What to do when the cursor reads something else. @type {() => void} */
  onRead = () => {};

  /** @param {(id: string) => HTMLElement} element finds a part of the page */
  constructor(element) {
    this.#page = element;
    this.#time = new Axis(element("time-axis"), "top");
    this.#below = ["column-axis", "distance-axis"].map((id) => new Axis(element(id), "left"));
    this.#levels = new Axis(element("level-axis"), "top");
    this.#cursor = new Cursor(element("canvas"), element("upright"), element("level"), () => this.#read());
    new ResizeObserver(() => this.#fixedAxes()).observe(element("plot"));
  }

  /** m; NaN when not known */
  get fibreStart() {
    return this.#fibreStart;
  }

  /** Where it is pointed at. */
  get position() {
    return this.#cursor.position;
  }

  /** Show no lines any more. */
  clear() {
    this.#scene = null;
    for (const id of ["title", "level-unit", "column-unit", "distance-unit"]) this.#page(id).textContent = "";
    for (const axis of [this.#time, ...this.#below]) axis.show([]);
    this.#read();
  }

  /** @param {number} metres where the fibre begins */
  setFibreStart(metres) {
    this.#fibreStart = metres;
    this.#title();
    this.#columnAxes();
  }

  /** @param {Scene} scene */
  show(scene) {
    this.#scene = scene;
    this.#page("level-unit").textContent = `dB re ${scene.columns.unit}`;
    this.#title();
    this.#fixedAxes();
    this.lines();
  }

  /** @param {import("./colours.js").ColourName} name */
  setColours(name) {
    const bar = /** @type {HTMLCanvasElement} */ (this.#page("colour-bar"));
    const context = /** @type {CanvasRenderingContext2D} */ (bar.getContext("2d"));
    const table = colourTable(name);
    const upwards = new ImageData(1, bar.height);
    for (let i = 0; i < bar.height; i += 1) {
      upwards.data.set(table.subarray(4 * i, 4 * i + 4), 4 * (bar.height - 1 - i));
    }
    context.putImageData(upwards, 0, 0);
  }

  /** @param {number} low dB @param {number} high dB */
  setRange(low, high) {
    this.#range = { low, high };
    this.#levelAxis();
  }

  /** The lines have moved on. */
  lines() {
    this.#timeAxis();
    if (this.#cursor.position) this.#read();
  }

  #read() {
    const { position } = this.#cursor;
    this.#page("readout").textContent = position && this.#scene ? readout(this.#scene, position, this.#fibreStart) : POINT_AT_IT;
    this.onRead();
  }

  #title() {
    if (!this.#scene) return;
    const title = this.#page("title");
    title.textContent = title.title = this.#scene.columns.title(this.#fibreStart);
  }

  #fixedAxes() {
    this.#columnAxes();
    this.#levelAxis();
    this.#timeAxis();
  }

  #columnAxes() {
    const columns = this.#scene?.columns;
    if (!columns) return;
    const scales = columns.scales(this.#fibreStart);
    this.#page("plot").classList.toggle("two-scales", scales.length > 1);
    ["column-unit", "distance-unit"].forEach((id, i) => {
      this.#page(id).textContent = scales[i]?.name ?? "";
    });
    this.#below.forEach((axis, i) => axis.show(scales[i] ? columnMarks(scales[i], columns.count, axis) : []));
  }

  #levelAxis() {
    const { low, high } = this.#range;
    const step = decimalStep(low, high, this.#levels.room(DOWN_GAP));
    const marks = multiples(low, high, step);
    this.#levels.show(marks.map((dB) => ({ at: (high - dB) / (high - low), text: label(dB, step) })));
  }

  #timeAxis() {
    if (!this.#scene) return;
    if (this.#scene.ring.bottom === null) {
      this.#time.show([]);
      return;
    }
    const { ring, grid } = this.#scene;
    const row = /** @type {number} */ (ring.bottom);
    const bottom = grid.centreMs(row) + grid.lineSeconds * 500;
    const span = grid.lineSeconds * 1000 * ring.lines;
    const step = timeStep(0, span, this.#time.room(DOWN_GAP));
    const at = (/** @type {number} */ ms) => 1 - (bottom - ms) / span;
    const marks = multiples(bottom - span, bottom, step);
    this.#time.show(marks.map((ms) => ({ at: at(ms), text: clockTime(ms, step) })));
  }
}

/** @param {import("./columns.js").Scale} scale @param {number} count of columns @param {Axis} axis */
function columnMarks({ first, last, finest }, count, axis) {
  const spacing = count > 1 ? (last - first) / (count - 1) : 1;
  const step = Math.max(finest, decimalStep(first, first + spacing * count, axis.room(ACROSS_GAP)));
  const at = (/** @type {number} */ value) => ((value - first) / spacing + 0.5) / count;
  return multiples(first, last, step).map((value) => ({ at: at(value), text: label(value, step) }));
}
