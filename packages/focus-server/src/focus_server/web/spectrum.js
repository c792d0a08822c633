// @ts-check
/** The power spectral density of the channel under the cursor as a line, beside the picture. */

import { Axis } from "./axes.js";
import { decimalStep, label, multiples } from "./ticks.js";

/** @typedef {import("./spectra.js").Spectrum} Spectrum */

const GAP = 56;
/** dB around what is drawn. */
const HEADROOM = 3;

export class SpectrumPanel {
  #page;
  #canvas;
  #across;
  #levels;
  /** @type {Spectrum | null} */ #shown = null;
  /** @type {[number, number]} dB; grows with what is drawn, so that the line does not jump */ #range = [Infinity, -Infinity];
  #key = "";

  /** @param {(id: string) => HTMLElement} element */
  constructor(element) {
    this.#page = element;
    this.#canvas = /** @type {HTMLCanvasElement} */ (element("spectrum-line"));
    this.#across = new Axis(element("spectrum-frequencies"), "left");
    this.#levels = new Axis(element("spectrum-levels"), "top");
    new ResizeObserver(() => this.#draw()).observe(this.#canvas);
  }

  get open() {
    return !this.#page("spectrum").hidden;
  }

  set open(open) {
    this.#page("spectrum").hidden = !open;
    this.#page("plot").classList.toggle("with-spectrum", open);
    this.#page("spectrum-toggle").setAttribute("aria-pressed", String(open));
  }

  /** @param {Spectrum | null} spectrum @param {string} title or why there is none @param {string} unit @param {string} key of the picture */
  show(spectrum, title, unit, key) {
    if (key !== this.#key) this.#range = [Infinity, -Infinity];
    this.#key = key;
    this.#shown = spectrum;
    this.#page("spectrum-title").textContent = title;
    this.#page("spectrum-unit").textContent = spectrum ? unit : "";
    this.#draw();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (!width || !height) return;
    this.#canvas.width = Math.round(width * devicePixelRatio);
    this.#canvas.height = Math.round(height * devicePixelRatio);
    const levels = this.#shown?.levels.filter(Number.isFinite) ?? [];
    if (!this.#shown || !levels.length) {
      this.#across.show([]);
      this.#levels.show([]);
      return;
    }
    const low = levels.reduce((a, b) => Math.min(a, b)) - HEADROOM;
    const high = levels.reduce((a, b) => Math.max(a, b)) + HEADROOM;
    this.#range = [Math.min(this.#range[0], low), Math.max(this.#range[1], high)];
    this.#axes(this.#shown.frequencies);
    this.#line(this.#shown, width, height);
  }

  /** @param {ArrayLike<number>} frequencies */
  #axes(frequencies) {
    const [low, high] = this.#range;
    const [first, last] = [frequencies[0], frequencies[frequencies.length - 1]];
    const across = decimalStep(first, last, this.#across.room(GAP));
    const at = (/** @type {number} */ f) => (last > first ? (f - first) / (last - first) : 0.5);
    this.#across.show(multiples(first, last, across).map((f) => ({ at: at(f), text: label(f, across) })));
    const step = decimalStep(low, high, this.#levels.room(GAP));
    this.#levels.show(multiples(low, high, step).map((dB) => ({ at: (high - dB) / (high - low), text: label(dB, step) })));
  }

  /** @param {Spectrum} spectrum @param {number} width @param {number} height */
  #line({ frequencies, levels }, width, height) {
    const context = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext("2d"));
    const [low, high] = this.#range;
    const [first, last] = [frequencies[0], frequencies[frequencies.length - 1]];
    context.scale(devicePixelRatio, devicePixelRatio);
    context.strokeStyle = getComputedStyle(this.#canvas).color;
    context.lineWidth = 1.25;
    context.lineJoin = "round";
    context.beginPath();
    let joined = false;
    levels.forEach((dB, i) => {
      if (!Number.isFinite(dB)) {
        joined = false;
        return;
      }
      const x = last > first ? (width * (frequencies[i] - first)) / (last - first) : width / 2;
      const y = (height * (high - dB)) / (high - low);
      if (joined) context.lineTo(x, y);
      else context.moveTo(x, y);
      joined = true;
    });
    context.stroke();
  }
}
