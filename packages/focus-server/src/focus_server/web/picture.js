// @ts-check
/**
 * The canvas with the lines: as large as its place on the page, or, as a proof, exactly one pixel for each value with
 * the line's number in black and white at its left. It is drawn only when it changed.
 */

import { colourTable } from "./colours.js";
import { Frames } from "./frames.js";
import { PROOF_MARKS, themeMarks } from "./marks.js";
import { Painter } from "./painter.js";
import { PictureError, Renderer } from "./renderer.js";

/** @typedef {import("./ring.js").Ring} Ring */

/** Pixels of the strip: 31 bits of the row number, the most significant first, and a bit that makes the sum odd. */
export const STRIP = 32;

/** @typedef {{ height: number, most: (values: number) => number }} Room what a picture of its size can hold */

export class Picture {
  #canvas;
  #proof;
  #renderer;
  #frames;
  /** @type {ResizeObserver | null} */ #resizes = null;

  /**
   * @param {HTMLCanvasElement} canvas @param {boolean} proof @param {() => void} drawn called after each frame
   * @param {boolean} [plain] draw without the graphics system, as is done by itself where there is none
   * @throws {PictureError} when this browser cannot draw it
   */
  constructor(canvas, proof, drawn, plain = false) {
    this.#canvas = canvas;
    this.#proof = proof;
    this.#renderer = plain ? new Painter(canvas) : rendererOf(canvas);
    canvas.dataset.drawnBy = this.#renderer.kind;
    this.#frames = new Frames(() => {
      this.#renderer.draw();
      drawn();
      canvas.dataset.frames = String(this.#renderer.frames);
    }, () => this.#renderer.busy, proof ? () => 0 : restWanted);
    this.#renderer.onRestored = () => this.redraw();
    this.#renderer.setStrip(proof ? STRIP : 0);
    if (proof) this.#renderer.setMarks(PROOF_MARKS);
    else {
      this.#resizes = new ResizeObserver(([entry]) => this.#fit(entry));
      this.#resizes.observe(canvas);
    }
  }

  /** Draw this very frame, so that what reads the canvas next finds it. @returns {HTMLCanvasElement} */
  drawNow() {
    this.#renderer.draw();
    return this.#canvas;
  }

  /** Draw no more. */
  end() {
    this.#resizes?.disconnect();
    this.#frames.end();
  }

  /** Lines that suit the size of the picture: one pixel each. While windows stand side by side it has no size. */
  get height() {
    return this.#canvas.clientHeight || Math.round(innerHeight / 2);
  }

  /** Lines of so many values that can be drawn at most. @param {number} values */
  most(values) {
    return this.#renderer.mostLines(values);
  }

  /** Show other lines from now on, none of the ones before. @param {Ring} ring @throws {PictureError} when too large */
  show(ring) {
    if (this.#proof) this.#measureProof(ring);
    this.#renderer.show(ring);
    this.#canvas.dataset.textures = String(this.#renderer.textures);
    this.#frames.now();
  }

  /** Show nothing from now on. */
  clear() {
    this.#renderer.clear();
    this.#frames.now();
  }

  /** @param {import("./colours.js").ColourName} name */
  setColours(name) {
    this.#renderer.setColours(colourTable(name));
    this.redraw();
  }

  /** @param {number} low dB @param {number} high dB */
  setRange(low, high) {
    this.#renderer.setRange(low, high);
    this.redraw();
  }

  /** @param {string | undefined} theme */
  setTheme(theme) {
    if (this.#proof) return;
    this.#renderer.setMarks(themeMarks(theme));
    this.redraw();
  }

  redraw() {
    this.#frames.want();
  }

  /** @param {ResizeObserverEntry} entry */
  #fit(entry) {
    const box = entry.devicePixelContentBoxSize?.[0];
    const width = box?.inlineSize ?? Math.round(entry.contentRect.width * devicePixelRatio);
    const height = box?.blockSize ?? Math.round(entry.contentRect.height * devicePixelRatio);
    if (!width || !height || (width === this.#canvas.width && height === this.#canvas.height)) return;
    this.#canvas.width = width;
    this.#canvas.height = height;
    // A canvas that was resized is blank until it is drawn; waiting for the next frame would flash.
    this.#frames.now();
  }

  /** @param {Ring} ring */
  #measureProof(ring) {
    if (devicePixelRatio !== 1) {
      throw new PictureError(`A proof picture needs a device pixel ratio of 1; here it is ${devicePixelRatio}.`);
    }
    const width = STRIP + ring.bins;
    const most = this.#renderer.largest;
    if (Math.max(width, ring.lines) > most) {
      throw new PictureError(
        `A proof picture of ${width} × ${ring.lines} pixels is more than the ${most} this browser draws; ` +
        "use a narrower band or fewer lines.",
      );
    }
    this.#canvas.width = width;
    this.#canvas.height = ring.lines;
    this.#canvas.style.width = `${width}px`;
    this.#canvas.style.height = `${ring.lines}px`;
  }
}

/** @param {HTMLCanvasElement} canvas @returns {Renderer | Painter} */
function rendererOf(canvas) {
  return Renderer.offered(canvas) ? new Renderer(canvas) : new Painter(canvas);
}

const still = matchMedia("(prefers-reduced-motion: reduce)");

/** ms from frame to frame at least: who wants little motion gets a picture that moves once a second. */
function restWanted() {
  return still.matches ? 1000 : 0;
}
