// @ts-check
/**
 * Draws a ring with WebGL2: levels in an R32F texture, row numbers in an R32I texture, colours in a table of 256, all
 * NEAREST. Only lines that changed are uploaded; range and colours are uniforms, so changing them uploads nothing.
 */

import { ENTRIES } from "./colours.js";
import { FRAGMENT_SHADER, VERTEX_SHADER } from "./shader.js";

/** @typedef {import("./ring.js").Ring} Ring */
/** @typedef {readonly [number, number, number]} Rgb 0..1 */
/** @typedef {{ empty: Rgb, gap: Rgb, gapStripe: Rgb, noValue: Rgb }} Marks how a picture shows what is not there */

export class PictureError extends Error {}

const LEVELS_UNIT = 0;
const ROWS_UNIT = 1;
const COLOURS_UNIT = 2;
/** 128 MB of levels, once in memory and once in a texture. */
const MOST_VALUES = 2 ** 25;

export class Renderer {
  /** @param {HTMLCanvasElement} canvas @throws {PictureError} without WebGL2 */
  constructor(canvas) {
    const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, stencil: false });
    if (!gl) throw new PictureError("This browser offers no WebGL2, which the picture needs; use a current browser.");
    this.#gl = gl;
    this.#canvas = canvas;
    this.#prepare();
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => this.#restore());
  }

  #gl;
  #canvas;
  /** @type {WebGLProgram} */ #program;
  /** @type {Map<string, WebGLUniformLocation | null>} */ #places = new Map();
  /** @type {WebGLTexture[]} */ #textures = [];
  /** @type {Ring | null} */ #ring = null;
  /** @type {Uint8Array | null} */ #table = null;
  /** @type {Map<string, (place: WebGLUniformLocation | null) => void>} */ #uniforms = new Map();
  /** @type {Rgb} */ #empty = [0, 0, 0];
  #width = 1;
  #parts = 1;
  /** Frames drawn since the page was loaded. */
  frames = 0;
  /** Called when the picture must be drawn again although nothing changed. @type {() => void} */
  onRestored = () => {};

  /** The largest canvas side and texture side in pixels. */
  get largest() {
    const gl = this.#gl;
    const [width, height] = gl.getParameter(gl.MAX_VIEWPORT_DIMS);
    return Math.min(gl.getParameter(gl.MAX_TEXTURE_SIZE), width, height);
  }

  /** @param {Ring} ring @throws {PictureError} when this machine cannot draw so many values */
  show(ring) {
    const gl = this.#gl;
    const side = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    this.#width = Math.min(ring.bins, side);
    this.#parts = Math.ceil(ring.bins / this.#width);
    const most = Math.floor(Math.min(side / this.#parts, MOST_VALUES / ring.bins));
    if (ring.lines > most) {
      throw new PictureError(
        `A picture of ${ring.lines} lines with ${ring.bins} bins each is more than this page can draw; ` +
        `keep at most ${most} lines, or use a narrower band.`,
      );
    }
    this.#ring = ring;
    this.#allocate(ring);
    ring.markAllDirty();
  }

  /** @param {Uint8Array} table 256 × RGBA */
  setColours(table) {
    this.#table = table;
    const gl = this.#gl;
    this.#bind(COLOURS_UNIT);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, ENTRIES, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, table);
  }

  /** @param {number} low dB @param {number} high dB, above low */
  setRange(low, high) {
    this.#set("u_low", (place) => this.#gl.uniform1f(place, low));
    this.#set("u_span", (place) => this.#gl.uniform1f(place, high - low));
  }

  /** @param {Marks} marks */
  setMarks(marks) {
    this.#empty = marks.empty;
    this.#set("u_empty", (place) => this.#gl.uniform3fv(place, marks.empty));
    this.#set("u_gap", (place) => this.#gl.uniform3fv(place, marks.gap));
    this.#set("u_gap_stripe", (place) => this.#gl.uniform3fv(place, marks.gapStripe));
    this.#set("u_no_value", (place) => this.#gl.uniform3fv(place, marks.noValue));
  }

  /** @param {number} pixels at the left of each line that show its number in black and white */
  setStrip(pixels) {
    this.#set("u_strip", (place) => this.#gl.uniform1i(place, pixels));
  }

  /** Draw one frame of the whole canvas. */
  draw() {
    const gl = this.#gl;
    const ring = this.#ring;
    if (gl.isContextLost()) return;
    if (!ring) {
      gl.clearColor(...this.#empty, 1);
      gl.clear(gl.COLOR_BUFFER_BIT);
      return;
    }
    this.#upload(ring);
    gl.viewport(0, 0, this.#canvas.width, this.#canvas.height);
    gl.uniform2i(this.#place("u_size"), this.#canvas.width, this.#canvas.height);
    gl.uniform1i(this.#place("u_newest"), ring.newest ?? -1);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    this.frames += 1;
  }

  /** @param {Ring} ring */
  #upload(ring) {
    const runs = ring.takeDirty();
    for (const [first, count] of runs) this.#uploadLines(ring, first, count);
    if (!runs.length) return;
    const gl = this.#gl;
    this.#bind(ROWS_UNIT);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, ring.lines, 1, gl.RED_INTEGER, gl.INT, ring.rows);
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
   * Lines that hold more bins than a texture is wide take whole parts; what is left of the last part stays unused.
   * @param {Float32Array} levels @param {number} bins @param {number} count
   */
  #folded(levels, bins, count) {
    const stride = this.#width * this.#parts;
    if (stride === bins) return levels;
    const folded = new Float32Array(stride * count);
    for (let i = 0; i < count; i += 1) folded.set(levels.subarray(i * bins, (i + 1) * bins), i * stride);
    return folded;
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
    this.#set("u_bins", (place) => gl.uniform1i(place, ring.bins));
    this.#set("u_lines", (place) => gl.uniform1i(place, ring.lines));
    this.#set("u_width", (place) => gl.uniform1i(place, this.#width));
    this.#set("u_parts", (place) => gl.uniform1i(place, this.#parts));
  }

  #prepare() {
    const gl = this.#gl;
    gl.disable(gl.DITHER);
    this.#program = link(gl);
    this.#places.clear();
    gl.useProgram(this.#program);
    gl.bindVertexArray(gl.createVertexArray());
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    this.#textures = [LEVELS_UNIT, ROWS_UNIT, COLOURS_UNIT].map((unit) => nearestTexture(gl, unit));
    this.#set("u_levels", (place) => gl.uniform1i(place, LEVELS_UNIT));
    this.#set("u_rows", (place) => gl.uniform1i(place, ROWS_UNIT));
    this.#set("u_colours", (place) => gl.uniform1i(place, COLOURS_UNIT));
  }

  /** The graphics system took everything away and gives a new start. */
  #restore() {
    this.#prepare();
    for (const [name, apply] of this.#uniforms) apply(this.#place(name));
    if (this.#table) this.setColours(this.#table);
    if (this.#ring) this.show(this.#ring);
    this.onRestored();
  }

  /** @param {string} name @param {(place: WebGLUniformLocation | null) => void} apply kept for a restored context */
  #set(name, apply) {
    this.#uniforms.set(name, apply);
    apply(this.#place(name));
  }

  /** @param {string} name */
  #place(name) {
    let place = this.#places.get(name);
    if (place === undefined) {
      place = this.#gl.getUniformLocation(this.#program, name);
      this.#places.set(name, place);
    }
    return place;
  }

  /** @param {number} unit */
  #bind(unit) {
    this.#gl.activeTexture(this.#gl.TEXTURE0 + unit);
    this.#gl.bindTexture(this.#gl.TEXTURE_2D, this.#textures[unit]);
  }
}

/** @param {WebGL2RenderingContext} gl @returns {WebGLProgram} */
function link(gl) {
  const program = gl.createProgram();
  gl.attachShader(program, compile(gl, gl.VERTEX_SHADER, VERTEX_SHADER));
  gl.attachShader(program, compile(gl, gl.FRAGMENT_SHADER, FRAGMENT_SHADER));
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    throw new PictureError(`The graphics system refused the picture's program: ${gl.getProgramInfoLog(program)}`);
  }
  return program;
}

/** @param {WebGL2RenderingContext} gl @param {number} kind @param {string} source */
function compile(gl, kind, source) {
  const shader = /** @type {WebGLShader} */ (gl.createShader(kind));
  gl.shaderSource(shader, source);
  gl.compileShader(shader);
  if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) {
    throw new PictureError(`The graphics system refused the picture's program: ${gl.getShaderInfoLog(shader)}`);
  }
  return shader;
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
