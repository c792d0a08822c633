// @ts-check
/** Choose a preset, keep the present choices as one, or forget one. */

import { Presets } from "./presets.js";

/** @typedef {import("./settings.js").Settings} Settings */

export class PresetMenu {
  #select;
  #name;
  #dialog;
  #forget;
  #presets = new Presets();

  /**
   * @param {(id: string) => HTMLElement} element @param {() => Settings} chosen now
   * @param {{ highest: number }} fibre @param {(settings: Settings) => void} take what is chosen instead
   */
  constructor(element, chosen, fibre, take) {
    this.#select = /** @type {HTMLSelectElement} */ (element("preset"));
    this.#name = /** @type {HTMLInputElement} */ (element("preset-name"));
    this.#dialog = /** @type {HTMLDialogElement} */ (element("preset-dialog"));
    this.#forget = /** @type {HTMLButtonElement} */ (element("preset-forget"));
    this.#select.addEventListener("change", () => {
      const highest = Number.isFinite(fibre.highest) ? fibre.highest : 1;
      const settings = this.#presets.apply(this.#select.value, chosen(), highest);
      this.#buttons();
      if (settings) take(settings);
    });
    element("preset-keep").addEventListener("click", () => this.#dialog.showModal());
    this.#dialog.addEventListener("close", () => {
      const name = this.#name.value.trim();
      if (this.#dialog.returnValue !== "keep" || !name || this.#presets.names.ours.includes(name)) return;
      this.#presets.keep(name, chosen());
      this.#offer(name);
    });
    this.#forget.addEventListener("click", () => {
      this.#presets.forget(this.#select.value);
      this.#offer("");
    });
    this.#offer("");
  }

  /** @param {string} selected */
  #offer(selected) {
    const { ours, kept } = this.#presets.names;
    const group = (/** @type {string} */ label, /** @type {string[]} */ names) => {
      const element = document.createElement("optgroup");
      element.label = label;
      element.append(...names.map((name) => new Option(name, name)));
      return element;
    };
    const groups = [group("Of this page", ours), ...(kept.length ? [group("Kept in this browser", kept)] : [])];
    this.#select.replaceChildren(new Option("Preset …", ""), ...groups);
    this.#select.value = selected;
    this.#buttons();
  }

  #buttons() {
    this.#forget.hidden = !this.#presets.names.kept.includes(this.#select.value);
  }
}
