// @ts-check
/** All windows at once, each a small picture with its name and how it is; choosing one makes the controls its own. */

import { Picture } from "./picture.js";
import { PictureError } from "./program.js";

/** @typedef {import("./window.js").LiveWindow} LiveWindow */
/** @typedef {{ element: HTMLElement, picture: Picture, name: HTMLElement, state: HTMLElement }} Pane */

export class Panes {
  #grid;
  #events;
  /** @type {Map<LiveWindow, Pane>} */ #panes = new Map();

  /** @param {HTMLElement} grid @param {{ choose: (window: LiveWindow) => void, enlarge: (window: LiveWindow) => void }} events */
  constructor(grid, events) {
    this.#grid = grid;
    this.#events = events;
  }

  get open() {
    return !this.#grid.hidden;
  }

  /** @param {readonly LiveWindow[]} windows none closes it @param {LiveWindow} active @param {string | undefined} theme */
  show(windows, active, theme) {
    this.#grid.hidden = windows.length === 0;
    for (const [window, { element, picture }] of this.#panes) {
      if (windows.includes(window)) continue;
      picture.end();
      element.remove();
      this.#panes.delete(window);
    }
    this.#grid.style.setProperty("--columns", String(Math.ceil(Math.sqrt(windows.length))));
    for (const window of windows) {
      const pane = this.#panes.get(window) ?? this.#add(window, theme);
      pane.element.setAttribute("aria-pressed", String(window === active));
      pane.picture.setTheme(theme);
      this.said(window);
    }
  }

  /** Its lines start from nothing. @param {LiveWindow} window */
  job(window) {
    const pane = this.#panes.get(window);
    if (!pane) return;
    if (window.lines) pane.picture.show(window.lines.ring);
    else pane.picture.clear();
    this.colours(window);
  }

  /** @param {LiveWindow} window */
  redraw(window) {
    this.#panes.get(window)?.picture.redraw();
  }

  /** @param {LiveWindow} window */
  colours(window) {
    const pane = this.#panes.get(window);
    if (!pane) return;
    pane.picture.setColours(window.settings.cmap);
    if (window.range) pane.picture.setRange(window.range.low, window.range.high);
  }

  /** Tell anew how a window is. @param {LiveWindow} window */
  said(window) {
    const pane = this.#panes.get(window);
    if (!pane) return;
    const said = window.problem?.sentence ?? (window.behind || window.state);
    if (pane.name.textContent !== window.name) pane.name.textContent = window.name;
    if (pane.state.textContent !== said) pane.state.textContent = said;
    if (pane.element.dataset.state !== window.state) pane.element.dataset.state = window.state;
  }

  /** @param {LiveWindow} window @param {string | undefined} theme @returns {Pane} */
  #add(window, theme) {
    const element = document.createElement("button");
    element.type = "button";
    element.className = "pane";
    element.dataset.testid = "pane";
    const head = document.createElement("span");
    head.className = "pane-head";
    const [lamp, name, state] = ["lamp", "name", "pane-state"].map((kind) => {
      const part = document.createElement("span");
      part.className = kind;
      return part;
    });
    lamp.setAttribute("aria-hidden", "true");
    head.append(lamp, name, state);
    const canvas = document.createElement("canvas");
    element.append(head, canvas);
    element.addEventListener("click", ({ detail }) => {
      if (detail === 2 || element.getAttribute("aria-pressed") === "true") this.#events.enlarge(window);
      else this.#events.choose(window);
    });
    this.#grid.append(element);
    const pane = { element, picture: new Picture(canvas, false, () => {}, true), name, state };
    this.#panes.set(window, pane);
    pane.picture.setTheme(theme);
    try {
      this.job(window);
    } catch (error) {
      if (!(error instanceof PictureError)) throw error;
      window.refuse(error);
    }
    return pane;
  }
}
