// @ts-check
/** Marks and labels along one side of the picture; elements are kept and moved, for lines come twenty times a second. */

/** @typedef {{ at: number, text: string }} Mark at: 0..1 from the left or from the top */

export class Axis {
  #element;
  #side;
  /** @type {HTMLElement[]} */ #marks = [];

  /** @param {HTMLElement} element @param {"left" | "top"} side the style property that places a mark */
  constructor(element, side) {
    this.#element = element;
    this.#side = side;
  }

  /** @param {number} gapPx wanted between marks @returns {number} how many marks have room */
  room(gapPx) {
    const length = this.#side === "left" ? this.#element.clientWidth : this.#element.clientHeight;
    return Math.max(1, Math.floor(length / gapPx));
  }

  /** @param {Mark[]} marks */
  show(marks) {
    while (this.#marks.length < marks.length) this.#marks.push(this.#add());
    this.#marks.forEach((element, i) => {
      const mark = marks[i];
      element.hidden = !mark;
      if (!mark) return;
      element.style[this.#side] = `${(100 * mark.at).toFixed(3)}%`;
      if (element.textContent !== mark.text) element.textContent = mark.text;
    });
  }

  #add() {
    const element = document.createElement("span");
    element.className = "mark";
    this.#element.append(element);
    return element;
  }
}
