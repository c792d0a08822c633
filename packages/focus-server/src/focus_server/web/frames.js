// @ts-check
/**
 * When to draw: in the next frame after something changed, but never before the graphics system is done with the frame
 * before, and then only after it rested for as long as it took. Where frames are dear, drawing so takes half of its
 * time at most, also while lines arrive in hundreds; where they are cheap nothing waits.
 */

/** ms between looks at a frame that is being drawn. */
const LOOK_MS = 4;
/** ms; a rest is no longer, or a picture on a very slow machine would seem to stand still. */
const LONGEST_REST_MS = 100;

export class Frames {
  #draw;
  #busy;
  #restMs;
  #wanted = false;
  #ended = false;
  #asked = false;
  #resting = false;

  /**
   * @param {() => void} draw @param {() => boolean} busy whether what was drawn last is still being worked on
   * @param {() => number} restMs ms from frame to frame at least
   */
  constructor(draw, busy, restMs = () => 0) {
    this.#draw = draw;
    this.#busy = busy;
    this.#restMs = restMs;
  }

  /** Draw no more. */
  end() {
    this.#ended = true;
  }

  /** Something changed. */
  want() {
    this.#wanted = true;
    this.#ask();
  }

  /** Draw before anything else is shown: what is on the screen must not stay for another frame. */
  now() {
    this.#wanted = false;
    const began = performance.now();
    this.#draw();
    if (!this.#resting) this.#watch(began);
    this.#resting = true;
  }

  #ask() {
    if (this.#asked || this.#resting || !this.#wanted || this.#ended) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      if (this.#wanted && !this.#resting && !this.#ended) this.now();
    });
  }

  /** @param {number} began */
  #watch(began) {
    setTimeout(() => {
      if (this.#busy()) this.#watch(began);
      else {
        const took = performance.now() - began - LOOK_MS;
        setTimeout(() => this.#rested(), Math.max(Math.min(took, LONGEST_REST_MS), this.#restMs() - took));
      }
    }, LOOK_MS);
  }

  #rested() {
    this.#resting = false;
    this.#ask();
  }
}
