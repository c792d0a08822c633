// @ts-check
/**
 * Draws a ring without a graphics system, on a plain 2D canvas: where WebGL2 is missing, and for the many small
 * pictures of a split page, of which each would need a graphics context of its own. It shows what `shader.js` shows,
 * pixel for pixel: the colours of a line are worked out once, when it came, and a frame only puts lines together.
 */

import { ENTRIES } from "./colours.js";
import { PictureError } from "./program.js";
import { ABSENT_LEVEL, GAP, NO_VALUE } from "./ring.js";

/** @typedef {import("./ring.js").Ring} Ring */

/** Where lines share a pixel the highest rank is shown: what is missing, then the highest level. */
const RANK = Object.freeze({ empty: 0, noValue: 1, lowest: 2, missing: 255 });
const MOST_VALUES = 2 ** 25;
const LARGEST = 16_384;
/** dB; what is past it stands for a value that is not there. */
const BEYOND = Math.min(ABSENT_LEVEL, NO_VALUE) / 2;

export class Painter {
  #canvas;
  #context;
  /** @type {Ring | null} */ #ring = null;
  /** @type {Uint32Array} ABGR of each pixel of each slot */ #drawn = new Uint32Array(0);
  /** @type {Uint8Array} its rank */ #ranks = new Uint8Array(0);
  /** @type {Uint32Array} */ #colours = new Uint32Array(ENTRIES);
  #marks = { empty: packed([0, 0, 0]), gap: 0, gapStripe: 0, noValue: 0 };
  #range = [0, 1];
  #strip = 0;
  #across = 0;
  #redraw = true;
  /** @type {ImageData | null} */ #image = null;
  kind = "Canvas2D";
  frames = 0;
  /** @type {() => void} */ onRestored = () => {};

  /** @param {HTMLCanvasElement} canvas @throws {PictureError} when the browser draws nothing at all */
  constructor(canvas) {
    const context = canvas.getContext("2d", { alpha: false });
    if (!context) throw new PictureError("This browser draws no pictures on this page; use a current browser.");
    this.#canvas = canvas;
    this.#context = context;
  }

  get largest() {
    return LARGEST;
  }

  /** It has none. */
  get textures() {
    return 0;
  }

  get busy() {
    return false;
  }

  /** @param {number} bins @returns {number} lines of so many values that can be drawn at most */
  mostLines(bins) {
    return Math.floor(Math.min(LARGEST, MOST_VALUES / bins));
  }

  /** @param {Ring} ring @throws {PictureError} when there are more values than a page should hold */
  show(ring) {
    const most = this.mostLines(ring.bins);
    if (ring.lines > most) {
      throw new PictureError(
        `A picture of ${ring.lines} lines with ${ring.bins} values each is more than this page can draw; ` +
        `keep at most ${most} lines, or use a narrower band.`,
      );
    }
    this.#ring = ring;
    this.#across = 0;
    ring.markAllDirty();
  }

  /** Show nothing. */
  clear() {
    this.#ring = null;
  }

  /** @param {Uint8Array} table 256 × RGBA */
  setColours(table) {
    this.#colours = new Uint32Array(table.slice().buffer);
    this.#redraw = true;
  }

  /** @param {number} low dB @param {number} high dB, above low */
  setRange(low, high) {
    if (this.#range[0] === low && this.#range[1] === high) return;
    this.#range = [low, high];
    this.#redraw = true;
  }

  /** @param {import("./renderer.js").Marks} marks */
  setMarks({ empty, gap, gapStripe, noValue }) {
    this.#marks = {
      empty: packed(empty), gap: packed(gap), gapStripe: packed(gapStripe), noValue: packed(noValue),
    };
    this.#redraw = true;
  }

  /** @param {number} pixels at the left of each line that show its number in black and white */
  setStrip(pixels) {
    this.#strip = pixels;
    this.#redraw = true;
  }

  draw() {
    const { width, height } = this.#canvas;
    if (!width || !height) return;
    if (this.#image?.width !== width || this.#image.height !== height) this.#image = new ImageData(width, height);
    const pixels = new Uint32Array(this.#image.data.buffer);
    if (this.#ring) {
      this.#lines(this.#ring, width);
      this.#screen(this.#ring, pixels, width, height);
    } else pixels.fill(this.#marks.empty);
    this.#context.putImageData(this.#image, 0, 0);
    this.frames += 1;
  }

  /** Work out the lines that changed. @param {Ring} ring @param {number} width */
  #lines(ring, width) {
    if (this.#across !== width || this.#drawn.length !== width * ring.lines) {
      this.#across = width;
      this.#drawn = new Uint32Array(width * ring.lines);
      this.#ranks = new Uint8Array(width * ring.lines);
      this.#redraw = true;
    }
    const changed = ring.takeDirty();
    const runs = this.#redraw ? [[0, ring.lines]] : changed;
    this.#redraw = false;
    for (const [first, count] of runs) {
      for (let slot = first; slot < first + count; slot += 1) this.#line(ring, slot, width);
    }
  }

  /** @param {Ring} ring @param {number} slot @param {number} width */
  #line(ring, slot, width) {
    const at = slot * width;
    const row = ring.rows[slot];
    if (row === GAP) {
      for (let x = 0; x < width; x += 1) this.#missing(at, x, slot);
    } else if (row < 0) {
      this.#drawn.fill(this.#marks.empty, at, at + width);
      this.#ranks.fill(RANK.empty, at, at + width);
    } else {
      for (let x = 0; x < this.#strip; x += 1) this.#bit(at + x, row, x);
      this.#values(ring, slot, at, width);
    }
  }

  /** @param {number} at @param {number} x @param {number} slot */
  #missing(at, x, slot) {
    this.#drawn[at + x] = ((x + slot) & 7) < 4 ? this.#marks.gap : this.#marks.gapStripe;
    this.#ranks[at + x] = RANK.missing;
  }

  /** @param {number} at @param {number} row @param {number} pixel 0..31 */
  #bit(at, row, pixel) {
    const white = pixel < 31 ? (row >> (30 - pixel)) & 1 : (ones(row) & 1) ^ 1;
    this.#drawn[at] = white ? 0xffffffff : 0xff000000;
    this.#ranks[at] = RANK.missing;
  }

  /** @param {Ring} ring @param {number} slot @param {number} at @param {number} width */
  #values(ring, slot, at, width) {
    const [low, high] = this.#range;
    const across = width - this.#strip;
    const factor = ENTRIES / (high - low);
    const from = slot * ring.bins;
    for (let x = 0; x < across; x += 1) {
      const first = Math.floor((x * ring.bins) / across);
      const last = Math.max(first + 1, Math.floor(((x + 1) * ring.bins) / across));
      const level = highest(ring.levels, from + first, from + last);
      const here = at + this.#strip + x;
      if (level === ABSENT_LEVEL) this.#missing(at, this.#strip + x, slot);
      else if (level <= -BEYOND) {
        this.#drawn[here] = this.#marks.noValue;
        this.#ranks[here] = RANK.noValue;
      } else {
        const code = Math.min(255, Math.max(0, Math.floor((level - low) * factor)));
        this.#drawn[here] = this.#colours[code];
        this.#ranks[here] = Math.round(RANK.lowest + (252 * code) / 255);
      }
    }
  }

  /** Put the lines together, the newest at the bottom. @param {Ring} ring @param {Uint32Array} pixels @param {number} width @param {number} height */
  #screen(ring, pixels, width, height) {
    const scale = Math.fround(ring.lines / height);
    const { bottom, depth } = ring;
    const slot = bottom === null ? 0 : ring.slot(bottom);
    for (let y = 0; y < height; y += 1) {
      const at = (height - 1 - y) * width;
      const first = Math.floor(Math.fround(y * scale));
      const last = Math.min(ring.lines, Math.floor(Math.fround((y + 1) * scale)));
      if (first >= depth) {
        pixels.fill(this.#marks.empty, at, at + width);
        continue;
      }
      const from = ((slot - first + ring.lines) % ring.lines) * width;
      pixels.set(this.#drawn.subarray(from, from + width), at);
      if (last > first + 1) this.#pool(ring, pixels, width, at, slot, first, Math.min(last, depth));
    }
  }

  /** @param {Ring} ring @param {Uint32Array} pixels @param {number} width @param {number} at @param {number} slot @param {number} first @param {number} last */
  #pool(ring, pixels, width, at, slot, first, last) {
    const shown = ((slot - first + ring.lines) % ring.lines) * width;
    const best = this.#ranks.slice(shown, shown + width);
    for (let age = first + 1; age < last; age += 1) {
      const from = ((slot - age + ring.lines) % ring.lines) * width;
      for (let x = 0; x < width; x += 1) {
        if (this.#ranks[from + x] <= best[x]) continue;
        best[x] = this.#ranks[from + x];
        pixels[at + x] = this.#drawn[from + x];
      }
    }
  }
}

/**
 * @param {Float32Array} levels @param {number} from @param {number} to
 * @returns {number} dB; ABSENT_LEVEL when a value has not come, below every level when there is none
 */
function highest(levels, from, to) {
  let level = -Infinity;
  for (let i = from; i < to; i += 1) {
    const here = levels[i];
    if (here < BEYOND) level = Math.max(level, here);
    else if (here === ABSENT_LEVEL) return ABSENT_LEVEL;
  }
  return level;
}

/** @param {number} row @returns {number} how many of its 31 bits are set */
function ones(row) {
  let count = 0;
  for (let rest = row; rest; rest &= rest - 1) count += 1;
  return count;
}

/** @param {import("./renderer.js").Rgb} colour @returns {number} as the bytes of a pixel lie in memory */
function packed([red, green, blue]) {
  const byte = (/** @type {number} */ part) => Math.round(255 * part);
  return ((255 << 24) | (byte(blue) << 16) | (byte(green) << 8) | byte(red)) >>> 0;
}
