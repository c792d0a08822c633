// @ts-check
/**
 * Draws a ring with WebGL2: levels in an R32F texture, row numbers in an R32I texture, colours in a table of 256, all
 * NEAREST. Lines that changed are uploaded, many at a time, and drawn once into a texture as wide as the picture; a
 * frame only puts that on the screen. A new range or new colours draw all lines once more and upload nothing.
 */

import { ENTRIES } from "./colours.js";
import { PictureError, Program } from "./program.js";
import { LINE_SHADER, SCREEN_SHADER } from "./shader.js";

export { PictureError };

/** @typedef {import("./ring.js").Ring} Ring */
/** @typedef {readonly [number, number, number]} Rgb 0..1 */
/** @typedef {{ empty: Rgb, gap: Rgb, gapStripe: Rgb, noValue: Rgb }} Marks how a picture shows what is not there */

/** @type {WebGLContextAttributes} */
const CONTEXT = { alpha: false, antialias: false, depth: false, stencil: false };
const LEVELS_UNIT = 0;
const ROWS_UNIT = 1;
const COLOURS_UNIT = 2;
const DRAWN_UNIT = 3;
/** 128 MB of levels, once in memory and once in a texture. */
const MOST_VALUES = 2 ** 25;

export class Renderer {
  /** Whether this browser can draw so; asked on the canvas itself, which is then bound to it. @param {HTMLCanvasElement} canvas */
  static offered(canvas) {
    return canvas.getContext("webgl2", CONTEXT) !== null;
  }

  /** @param {HTMLCanvasElement} canvas @throws {PictureError} without WebGL2 */
  constructor(canvas) {
    const gl = canvas.getContext("webgl2", CONTEXT);
    if (!gl) throw new PictureError("This browser offers no WebGL2, which the picture needs; use a current browser.");
    this.#gl = gl;
    this.#canvas = canvas;
    this.#liner = new Program(gl, LINE_SHADER);
    this.#screen = new Program(gl, SCREEN_SHADER);
    this.#prepare();
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => this.#restore());
  }

  #gl;
  #canvas;
  #liner;
  #screen;
  /** @type {WebGLTexture[]} */ #textures = [];
  /** @type {WebGLFramebuffer | null} */ #drawn = null;
  /** @type {Ring | null} */ #ring = null;
  /** @type {Uint8Array | null} */ #table = null;
  /** @type {WebGLSync | null} */ #fence = null;
  /** @type {Rgb} */ #empty = [0, 0, 0];
  #range = [NaN, NaN];
  #strip = 0;
  #width = 1;
  #parts = 1;
  #drawnWidth = 0;
  /** All lines must be drawn again. */
  #redraw = true;
  /** Frames drawn since the page was loaded. */
  frames = 0;
  /** Textures that live now. */
  get textures() {
    return this.#textures.filter((texture) => this.#gl.isTexture(texture)).length;
  }

  /** What draws, for those who ask. */
  kind = "WebGL2";
  /** Called when the picture must be drawn again although nothing changed. @type {() => void} */
  onRestored = () => {};

  /** The largest canvas side and texture side in pixels. */
  get largest() {
    const gl = this.#gl;
    const [width, height] = gl.getParameter(gl.MAX_VIEWPORT_DIMS);
    return Math.min(gl.getParameter(gl.MAX_TEXTURE_SIZE), width, height);
  }

  /** True while the graphics system still works on the last frame. */
  get busy() {
    const gl = this.#gl;
    if (this.#fence === null || gl.isContextLost()) return false;
    if (gl.getSyncParameter(this.#fence, gl.SYNC_STATUS) !== gl.SIGNALED) return true;
    gl.deleteSync(this.#fence);
    this.#fence = null;
    return false;
  }

  /** @param {number} bins @returns {number} lines of so many values that can be drawn at most */
  mostLines(bins) {
    const side = this.#gl.getParameter(this.#gl.MAX_TEXTURE_SIZE);
    return Math.floor(Math.min(side / Math.ceil(bins / side), MOST_VALUES / bins));
  }

  /** @param {Ring} ring @throws {PictureError} when this machine cannot draw so many values */
  show(ring) {
    const side = this.#gl.getParameter(this.#gl.MAX_TEXTURE_SIZE);
    this.#width = Math.min(ring.bins, side);
    this.#parts = Math.ceil(ring.bins / this.#width);
    const most = this.mostLines(ring.bins);
    if (ring.lines > most) {
      throw new PictureError(
        `A picture of ${ring.lines} lines with ${ring.bins} values each is more than this page can draw; ` +
        `keep at most ${most} lines, or use a narrower band.`,
      );
    }
    this.#ring = ring;
    this.#allocate(ring);
    ring.markAllDirty();
  }

  /** Show nothing. */
  clear() {
    this.#ring = null;
  }

  /** @param {Uint8Array} table 256 × RGBA */
  setColours(table) {
    this.#table = table;
    this.#redraw = true;
    const gl = this.#gl;
    this.#bind(COLOURS_UNIT);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, ENTRIES, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, table);
  }

  /** @param {number} low dB @param {number} high dB, above low */
  setRange(low, high) {
    if (this.#range[0] === low && this.#range[1] === high) return;
    this.#range = [low, high];
    this.#liner.set("u_low", (gl, place) => gl.uniform1f(place, low));
    this.#liner.set("u_span", (gl, place) => gl.uniform1f(place, high - low));
    this.#redraw = true;
  }

  /** @param {Marks} marks */
  setMarks(marks) {
    this.#empty = marks.empty;
    this.#liner.set("u_empty", (gl, place) => gl.uniform3fv(place, marks.empty));
    this.#screen.set("u_empty", (gl, place) => gl.uniform3fv(place, marks.empty));
    this.#liner.set("u_gap", (gl, place) => gl.uniform3fv(place, marks.gap));
    this.#liner.set("u_gap_stripe", (gl, place) => gl.uniform3fv(place, marks.gapStripe));
    this.#liner.set("u_no_value", (gl, place) => gl.uniform3fv(place, marks.noValue));
    this.#redraw = true;
  }

  /** @param {number} pixels at the left of each line that show its number in black and white */
  setStrip(pixels) {
    this.#strip = pixels;
    this.#liner.setInt("u_strip", pixels);
  }

  /** Draw one frame of the whole canvas. */
  draw() {
    const gl = this.#gl;
    const ring = this.#ring;
    if (gl.isContextLost()) return;
    if (ring) {
      this.#drawChanged(ring, this.#upload(ring));
      this.#drawLines(ring);
    } else {
      gl.viewport(0, 0, this.#canvas.width, this.#canvas.height);
      gl.clearColor(...this.#empty, 1);
      gl.clear(gl.COLOR_BUFFER_BIT);
    }
    if (this.#fence) gl.deleteSync(this.#fence);
    this.#fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    this.frames += 1;
  }

  /** @param {Ring} ring */
  #drawLines(ring) {
    const gl = this.#gl;
    gl.viewport(0, 0, this.#canvas.width, this.#canvas.height);
    const { height } = this.#canvas;
    this.#screen.setInt("u_height", height);
    this.#screen.set("u_scale", (on, place) => on.uniform1f(place, ring.lines / height));
    this.#screen.setInt("u_slot", ring.bottom === null ? 0 : ring.slot(ring.bottom));
    this.#screen.setInt("u_depth", ring.depth);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  /** @param {Ring} ring @returns {[number, number][]} runs of slots that changed */
  #upload(ring) {
    const runs = ring.takeDirty();
    for (const [first, count] of runs) this.#uploadLines(ring, first, count);
    if (runs.length) {
      const gl = this.#gl;
      this.#bind(ROWS_UNIT);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, ring.lines, 1, gl.RED_INTEGER, gl.INT, ring.rows);
    }
    return runs;
  }

  /** @param {Ring} ring @param {number} first slot @param {number} count */
  #uploadLines(ring, first, count) {
    const gl = this.#gl;
    const from = ring.levels.subarray(first * ring.bins, (first + count) * ring.bins);
    this.#bind(LEVELS_UNIT);
    gl.texSubImage2D(
      gl.TEXTURE_2D, 0, 0, first * this.#parts, this.#width, count * this.#parts, gl.RED, gl.FLOAT,
      this.#folded(from, ring.bins, count),
    );
  }

  /**
   * Lines that hold more values than a texture is wide take whole parts; what is left of the last part stays unused.
   * @param {Float32Array} levels @param {number} bins @param {number} count
   */
  #folded(levels, bins, count) {
    const stride = this.#width * this.#parts;
    if (stride === bins) return levels;
    const folded = new Float32Array(stride * count);
    for (let i = 0; i < count; i += 1) folded.set(levels.subarray(i * bins, (i + 1) * bins), i * stride);
    return folded;
  }

  /** @param {Ring} ring @param {[number, number][]} changed runs of slots */
  #drawChanged(ring, changed) {
    const gl = this.#gl;
    if (this.#drawnWidth !== this.#canvas.width) this.#allocateDrawn(ring);
    const runs = this.#redraw ? [[0, ring.lines]] : changed;
    this.#redraw = false;
    if (!runs.length) return;
    this.#liner.use();
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.#drawn);
    for (const [first, count] of runs) {
      gl.viewport(0, first, this.#drawnWidth, count);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
    }
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }

  /** @param {Ring} ring */
  #allocate(ring) {
    const gl = this.#gl;
    this.#bind(LEVELS_UNIT);
    gl.texImage2D(
      gl.TEXTURE_2D, 0, gl.R32F, this.#width, ring.lines * this.#parts, 0, gl.RED, gl.FLOAT, null,
    );
    this.#bind(ROWS_UNIT);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R32I, ring.lines, 1, 0, gl.RED_INTEGER, gl.INT, null);
    this.#liner.setInt("u_bins", ring.bins);
    this.#liner.setInt("u_width", this.#width);
    this.#liner.setInt("u_parts", this.#parts);
    this.#screen.setInt("u_lines", ring.lines);
    this.#allocateDrawn(ring);
  }

  /** @param {Ring} ring */
  #allocateDrawn(ring) {
    const gl = this.#gl;
    this.#drawnWidth = this.#canvas.width;
    this.#bind(DRAWN_UNIT);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, this.#drawnWidth, ring.lines, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
    this.#liner.setInt("u_across", this.#drawnWidth - this.#strip);
    this.#redraw = true;
  }

  #prepare() {
    const gl = this.#gl;
    gl.disable(gl.DITHER);
    gl.bindVertexArray(gl.createVertexArray());
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    this.#textures = [LEVELS_UNIT, ROWS_UNIT, COLOURS_UNIT, DRAWN_UNIT].map((unit) => nearestTexture(gl, unit));
    this.#drawn = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.#drawn);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.#textures[DRAWN_UNIT], 0);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    this.#liner.setInt("u_levels", LEVELS_UNIT);
    this.#liner.setInt("u_rows", ROWS_UNIT);
    this.#liner.setInt("u_colours", COLOURS_UNIT);
    this.#screen.setInt("u_drawn", DRAWN_UNIT);
  }

  /** The graphics system took everything away and gives a new start. */
  #restore() {
    this.#fence = null;
    this.#liner.restore();
    this.#screen.restore();
    this.#prepare();
    if (this.#table) this.setColours(this.#table);
    if (this.#ring) this.show(this.#ring);
    this.onRestored();
  }

  /** @param {number} unit */
  #bind(unit) {
    this.#gl.activeTexture(this.#gl.TEXTURE0 + unit);
    this.#gl.bindTexture(this.#gl.TEXTURE_2D, this.#textures[unit]);
  }
}

/** @param {WebGL2RenderingContext} gl @param {number} unit */
function nearestTexture(gl, unit) {
  const texture = gl.createTexture();
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(gl.TEXTURE_2D, texture);
  for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
    gl.texParameteri(gl.TEXTURE_2D, filter, gl.NEAREST);
  }
  for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, wrap, gl.CLAMP_TO_EDGE);
  return texture;
}
