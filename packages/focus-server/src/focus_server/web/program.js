// @ts-check
/** One WebGL program and the values of its uniforms, which outlive a graphics system that took everything away. */

import { VERTEX_SHADER } from "./shader.js";

export class PictureError extends Error {}

/** @typedef {(gl: WebGL2RenderingContext, place: WebGLUniformLocation | null) => void} Apply */

export class Program {
  #gl;
  #source;
  /** @type {WebGLProgram} */ #program;
  /** @type {Map<string, WebGLUniformLocation | null>} */ #places = new Map();
  /** @type {Map<string, Apply>} */ #values = new Map();

  /**
   * @param {WebGL2RenderingContext} gl @param {string} source of the fragment shader
   * @throws {PictureError} when it is refused
   */
  constructor(gl, source) {
    this.#gl = gl;
    this.#source = source;
    this.#program = link(gl, source);
  }

  /** Make it anew, with the values it had. */
  restore() {
    this.#program = link(this.#gl, this.#source);
    this.#places.clear();
    for (const [name, apply] of [...this.#values]) this.set(name, apply);
  }

  use() {
    this.#gl.useProgram(this.#program);
  }

  /** @param {string} name @param {Apply} apply */
  set(name, apply) {
    this.#values.set(name, apply);
    this.use();
    apply(this.#gl, this.#place(name));
  }

  /** @param {string} name @param {number} value */
  setInt(name, value) {
    this.set(name, (gl, place) => gl.uniform1i(place, value));
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
}

/** @param {WebGL2RenderingContext} gl @param {string} source @returns {WebGLProgram} */
function link(gl, source) {
  const program = gl.createProgram();
  gl.attachShader(program, compile(gl, gl.VERTEX_SHADER, VERTEX_SHADER));
  gl.attachShader(program, compile(gl, gl.FRAGMENT_SHADER, source));
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
