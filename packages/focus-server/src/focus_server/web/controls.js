// @ts-check
/** The form: shows settings, reads them back, and knows the limits of what can be asked for. */

import { COLOUR_NAMES } from "./colours.js";
import {
  MAX_CHANNELS, MAX_FREQUENCY, MIN_FREQUENCY_SPAN, MIN_LINES_PER_SECOND, NFFT_VALUES,
} from "./limits.js";

/** @typedef {import("./settings.js").Settings} Settings */

const NUMBERS = /** @type {const} */ (["channel", "nfft", "fmin", "fmax", "lps", "height", "lo", "hi"]);
/** Which control a refusal's detail speaks of. @type {readonly (readonly [string, string])[]} */
const FIELDS = Object.freeze([
  ["channels", "channel"], ["nfftSelection", "nfft"], ["frequencyRange.max", "fmax"], ["frequencyRange", "fmin"],
  ["lines_per_second", "lps"], ["displayInfo", "height"], ["displayTimeAxisDuration", "height"],
]);

export class Controls {
  #form;

  /**
   * @param {HTMLFormElement} form
   * @param {{ start: () => void, edited: () => void }} events
   */
  constructor(form, { start, edited }) {
    this.#form = form;
    fillOptions(this.#select("nfft"), NFFT_VALUES.map(String));
    fillOptions(this.#select("cmap"), COLOUR_NAMES);
    this.#input("lps").min = String(MIN_LINES_PER_SECOND);
    this.#input("fmin").max = String(MAX_FREQUENCY - MIN_FREQUENCY_SPAN);
    this.#input("fmax").max = String(MAX_FREQUENCY);
    this.setFibre(MAX_CHANNELS, 0);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      start();
    });
    form.addEventListener("input", () => {
      this.blame("");
      edited();
    });
  }

  /** @param {number} channels of the fibre @param {number} fs samples/s, 0 when not known */
  setFibre(channels, fs) {
    this.#input("channel").max = String(channels);
    /** @type {HTMLElement} */ (this.#form.querySelector("#channel-hint")).textContent = `1 to ${channels}`;
    this.#input("fmax").placeholder = fs ? String(Math.min(fs / 2, MAX_FREQUENCY)) : "all";
  }

  /** @param {Settings} settings */
  show(settings) {
    for (const name of NUMBERS) {
      const value = settings[name];
      if (name === "nfft") offer(this.#select("nfft"), String(value));
      this.#input(name).value = value === null ? "" : String(value);
    }
    this.#select("cmap").value = settings.cmap;
  }

  /** @param {Settings} settings what the form does not hold is kept @returns {Settings} */
  read(settings) {
    const read = { ...settings };
    for (const name of NUMBERS) {
      const value = this.#input(name).valueAsNumber ?? Number(this.#input(name).value);
      if (name === "channel" || name === "nfft") read[name] = value;
      else read[name] = Number.isNaN(value) ? null : value;
    }
    read.cmap = /** @type {Settings["cmap"]} */ (this.#select("cmap").value);
    return read;
  }

  /** What is used where nothing was chosen. @param {"height" | "lo" | "hi"} name @param {number} value */
  hint(name, value) {
    this.#input(name).placeholder = `auto (${String(value).replace("-", "−")})`;
  }

  /** Mark the control that a refusal speaks of, and no other. @param {string} detail */
  blame(detail) {
    const name = FIELDS.find(([field]) => detail.includes(field))?.[1];
    for (const control of NUMBERS) this.mark(control, control === name);
    if (name) this.#input(name).focus();
  }

  /** @param {string} name @param {boolean} wrong */
  mark(name, wrong) {
    if (wrong) this.#input(name).setAttribute("aria-invalid", "true");
    else this.#input(name).removeAttribute("aria-invalid");
  }

  /** @param {string} name */
  #input(name) {
    return /** @type {HTMLInputElement} */ (this.#form.elements.namedItem(name));
  }

  /** @param {string} name */
  #select(name) {
    return /** @type {HTMLSelectElement} */ (this.#form.elements.namedItem(name));
  }
}

/** @param {HTMLSelectElement} select @param {readonly string[]} values */
function fillOptions(select, values) {
  select.replaceChildren(...values.map((value) => new Option(value, value)));
}

/**
 * A value from the address that is not among the options is shown as it is; the server says what is wrong with it.
 * @param {HTMLSelectElement} select @param {string} value
 */
function offer(select, value) {
  if (![...select.options].some((option) => option.value === value)) select.add(new Option(value, value));
}
