// @ts-check
/** All streams of one job as if they were one: open when all are, lost when one is, complete when all have ended. */

import { COMPLETE, StreamConnection } from "./connection.js";

/**
 * @typedef {object} StreamsHooks
 * @property {(data: ArrayBuffer, stream: number) => void} message one binary frame
 * @property {(frame: Record<string, unknown>, stream: number) => void} told one text frame
 * @property {() => void} opened
 * @property {(reason: string, pauseMs: number) => void} lost the next try comes after the pause
 * @property {(stream: number) => void} finished one stream brings nothing more
 * @property {(code: number, reason: string) => void} ended all are complete, or one failed for good
 * @property {() => Promise<boolean>} alive whether the job still exists; rejects when that is not known
 * @property {() => void} gone it does not
 * @property {(deadlineS: number) => Promise<boolean>} answers whether the server answers at all
 */

export class Streams {
  #hooks;
  #connections;
  /** @type {Set<number>} lost, and nothing came since */ #lost = new Set();
  /** @type {Set<number>} */ #finished = new Set();
  #heard = false;
  #over = false;

  /** @param {URL[]} urls one for each stream @param {StreamsHooks} hooks @param {number} patienceMs of one connection */
  constructor(urls, hooks, patienceMs) {
    this.#hooks = hooks;
    this.#connections = urls.map((url, stream) => new StreamConnection(url, this.#of(stream), patienceMs));
  }

  /** True while no stream is waited for to come back. */
  get whole() {
    return this.#lost.size === 0;
  }

  open() {
    for (const connection of this.#connections) connection.open();
  }

  /** Close for good. */
  close() {
    this.#over = true;
    for (const connection of this.#connections) connection.close();
  }

  /** Try now what is waited for. */
  hurry() {
    for (const connection of this.#connections) connection.hurry();
  }

  /** @param {number} stream @returns {import("./connection.js").Hooks} */
  #of(stream) {
    return {
      opened: () => {
        if (this.#lost.size ? this.#lost.has(stream) : !this.#heard) this.#hooks.opened();
      },
      message: (data) => {
        this.#heard = true;
        this.#lost.delete(stream);
        this.#hooks.message(data, stream);
      },
      told: (frame) => this.#hooks.told(frame, stream),
      lost: (reason, pauseMs) => {
        this.#lost.add(stream);
        this.#hooks.lost(reason, pauseMs);
      },
      ended: (code, reason) => this.#ended(stream, code, reason),
      alive: () => this.#hooks.alive(),
      answers: (deadlineS) => this.#hooks.answers(deadlineS),
      gone: () => this.#end(() => this.#hooks.gone()),
    };
  }

  /** @param {number} stream @param {number} code @param {string} reason */
  #ended(stream, code, reason) {
    this.#lost.delete(stream);
    if (code === COMPLETE) {
      this.#finished.add(stream);
      this.#hooks.finished(stream);
      if (this.#finished.size < this.#connections.length) return;
    }
    this.#end(() => this.#hooks.ended(code, reason));
  }

  /** What ends one stream for good ends the view of the job, once. @param {() => void} tell */
  #end(tell) {
    if (this.#over) return;
    this.close();
    tell();
  }
}
