// @ts-check
/** The form: shows settings, reads them back, and knows the limits of what can be asked for. */

import { COLOUR_NAMES } from "./colours.js";
import {
  MAX_CHANNELS, MAX_FREQUENCY, MAX_HEIGHT, MIN_FREQUENCY_SPAN, MIN_LINES_PER_SECOND, NFFT_VALUES,
} from "./limits.js";
import { channelRange, LIVE_RATE, SINGLE_CHANNEL } from "./settings.js";
import { readTime, timeText } from "./utc.js";

/** @typedef {import("./settings.js").Settings} Settings */

const NUMBERS = /** @type {const} */ ([
  "channel", "cmin", "cmax", "nfft", "fmin", "fmax", "lps", "height", "playrate", "lo", "hi",
]);
const TIMES = /** @type {const} */ (["start", "end"]);
const PLAYRATES = Object.freeze([0.5, 1, 2, 5, 10]);
/** Which control a refusal's detail speaks of. @type {readonly (readonly [string, string])[]} */
const FIELDS = Object.freeze([
  ["channels.max", "cmax"], ["channels", "channel"], ["nfftSelection", "nfft"], ["frequencyRange.max", "fmax"],
  ["frequencyRange", "fmin"], ["start_time", "start"], ["end_time", "end"], ["playrate", "playrate"],
  ["lines_per_second", "lps"], ["displayInfo", "height"], ["displayTimeAxisDuration", "height"],
]);

export class Controls {
  #form;
  /** Highest channel of the fibre; Infinity while it is not known. */
  highest = Infinity;

  /**
   * @param {HTMLFormElement} form
   * @param {{ start: () => void, edited: () => void }} events
   */
  constructor(form, { start, edited }) {
    this.#form = form;
    fillOptions(this.#select("nfft"), NFFT_VALUES.map(String));
    fillOptions(this.#select("cmap"), COLOUR_NAMES);
    this.#input("lps").min = String(MIN_LINES_PER_SECOND);
    this.#input("height").max = String(MAX_HEIGHT);
    this.#input("fmin").max = String(MAX_FREQUENCY - MIN_FREQUENCY_SPAN);
    this.#input("fmax").max = String(MAX_FREQUENCY);
    const speeds = PLAYRATES.map((rate) => new Option(`${rate} × real time`, String(rate)));
    this.#select("playrate").replaceChildren(new Option("at once", ""), ...speeds);
    this.#showChannels(MAX_CHANNELS);
    this.#input("fmax").placeholder = "all";
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      start();
    });
    // Some of its controls stand below the picture, outside of the form.
    document.addEventListener("input", ({ target }) => {
      if (/** @type {HTMLInputElement} */ (target).form !== form) return;
      this.blame("");
      edited();
    });
  }

  /** @param {number} channels of the fibre @param {number} fs samples/s, 0 when not known */
  setFibre(channels, fs) {
    this.highest = channels;
    this.#showChannels(channels);
    this.#input("fmax").placeholder = fs ? String(Math.min(fs / 2, MAX_FREQUENCY)) : "all";
  }

  /** @param {Settings} settings */
  show(settings) {
    for (const name of NUMBERS) {
      const value = settings[name];
      if (name === "nfft" || name === "playrate") offer(this.#select(name), value === null ? "" : String(value));
      this.#input(name).value = value === null ? "" : String(value);
    }
    for (const name of TIMES) this.#input(name).value = timeText(settings[name]);
    this.#select("view").value = String(settings.view);
    this.#select("mode").value = settings.historic ? "historic" : "live";
    this.#select("cmap").value = settings.cmap;
    this.#suit(settings);
  }

  /** @param {Settings} settings what the form does not hold is kept @returns {Settings} */
  read(settings) {
    const read = { ...settings };
    for (const name of NUMBERS) {
      const { value } = this.#input(name);
      const number = value === "" ? NaN : Number(value);
      if (name === "channel" || name === "nfft") read[name] = number;
      else read[name] = Number.isNaN(number) ? null : number;
    }
    for (const name of TIMES) {
      // What is shown may be rounded; only what was changed by hand is read.
      if (this.#input(name).value !== timeText(settings[name])) read[name] = readTime(this.#input(name).value);
    }
    read.view = Number(this.#select("view").value);
    read.historic = this.#select("mode").value === "historic";
    read.cmap = /** @type {Settings["cmap"]} */ (this.#select("cmap").value);
    this.#suit(read);
    return read;
  }

  /** Show what the chosen view and mode need, and what is used where nothing was chosen. @param {Settings} settings */
  #suit(settings) {
    const { view, historic } = settings;
    for (const part of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-of]"))) {
      part.hidden = !part.dataset.of?.split(" ").includes(String(view));
    }
    for (const part of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-when]"))) {
      part.hidden = part.dataset.when !== (historic ? "historic" : "live");
    }
    const { min, max } = channelRange(settings, this.highest);
    this.#input("cmin").placeholder = String(min);
    this.#input("cmax").placeholder = String(max);
    this.#input("lps").placeholder = historic ? "auto" : `auto (${LIVE_RATE})`;
  }

  /** @param {number} channels */
  #showChannels(channels) {
    for (const name of ["channel", "cmin", "cmax"]) this.#input(name).max = String(channels);
    for (const hint of this.#form.querySelectorAll(".channel-hint")) hint.textContent = `1 to ${channels}`;
  }

  /** What is used where nothing was chosen. @param {"height" | "lo" | "hi"} name @param {number} value */
  hint(name, value) {
    this.#input(name).placeholder = `auto (${String(value).replace("-", "−")})`;
  }

  /** Mark the control that a refusal speaks of, and no other. @param {string} detail */
  blame(detail) {
    const field = FIELDS.find(([named]) => detail.includes(named))?.[1];
    const single = Number(this.#select("view").value) === SINGLE_CHANNEL;
    const name = !single && field === "channel" ? "cmin" : single && field === "cmax" ? "channel" : field;
    for (const control of [...NUMBERS, ...TIMES]) this.mark(control, control === name);
    if (name) this.#input(name).focus();
  }

  /** @param {string} name @param {boolean} wrong */
  mark(name, wrong) {
    if (wrong) this.#input(name).setAttribute("aria-invalid", "true");
    else this.#input(name).removeAttribute("aria-invalid");
  }

  /** @param {string} name */
  #input(name) {
    // "start" alone would also name the button.
    const full = name === "start" || name === "end" ? `${name}-time` : name;
    return /** @type {HTMLInputElement} */ (this.#form.elements.namedItem(full));
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
