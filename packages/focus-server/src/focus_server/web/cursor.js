// @ts-check
/** Where the operator points in the picture, by mouse, touch or arrow keys; shown as a cross of two hair lines. */

/** Part of the picture that one key press moves, and with Shift. */
const STEP = 0.005;
const LONG_STEP = 0.05;
/** @type {Readonly<Record<string, readonly [number, number]>>} */
const KEYS = Object.freeze({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] });

export class Cursor {
  /** @type {{ x: number, y: number } | null} 0..1 from the left and from the top; null when nothing is pointed at */
  position = null;
  #upright;
  #level;
  #moved;

  /** @param {HTMLElement} canvas @param {HTMLElement} upright @param {HTMLElement} level @param {() => void} moved */
  constructor(canvas, upright, level, moved) {
    this.#upright = upright;
    this.#level = level;
    this.#moved = moved;
    canvas.addEventListener("pointermove", (event) => this.#point(canvas, event));
    canvas.addEventListener("pointerdown", (event) => this.#point(canvas, event));
    canvas.addEventListener("pointerleave", () => this.#to(null));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => this.#to(null));
  }

  /** @param {HTMLElement} canvas @param {PointerEvent} event */
  #point(canvas, event) {
    const box = canvas.getBoundingClientRect();
    this.#to({ x: inside((event.clientX - box.left) / box.width), y: inside((event.clientY - box.top) / box.height) });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === "Escape") this.#to(null);
    const direction = KEYS[event.key];
    if (!direction) return;
    event.preventDefault();
    const step = event.shiftKey ? LONG_STEP : STEP;
    const { x, y } = this.position ?? { x: 0.5, y: 0.5 };
    this.#to({ x: inside(x + step * direction[0]), y: inside(y + step * direction[1]) });
  }

  /** @param {{ x: number, y: number } | null} position */
  #to(position) {
    this.position = position;
    this.#upright.hidden = this.#level.hidden = !position;
    if (position) {
      this.#upright.style.left = `${100 * position.x}%`;
      this.#level.style.top = `${100 * position.y}%`;
    }
    this.#moved();
  }
}

/** @param {number} part */
function inside(part) {
  return Math.min(0.999999, Math.max(0, part));
}
