// @ts-check
/** Choices under a name: some that the page brings, and those that the operator kept in this browser. */

import { writeSettings, readSettings, AddressError, DEFAULTS } from "./settings.js";

/** @typedef {import("./settings.js").Settings} Settings */

const KEY = "liveview.presets";
/** What a preset says nothing about: times of recordings, and how the page was opened. */
const NOT_KEPT = Object.freeze(["start", "end", "proof", "auto", "height", "duration"]);

/** @type {{ name: string, settings: (highest: number) => Partial<Settings> }[]} */
const OURS = [
  { name: "Whole fibre, waterfall", settings: (highest) => ({ view: 2, cmin: 1, cmax: highest, lps: 20 }) },
  { name: "Whole fibre, low frequencies", settings: (highest) => ({ view: 0, cmin: 1, cmax: highest, nfft: 1024, fmin: 1, fmax: 20, lps: 5 }) },
  { name: "100 channels, all frequencies", settings: () => ({ view: 0, cmin: null, cmax: null, nfft: 1024, fmin: null, fmax: null }) },
  { name: "One channel, fine in time", settings: () => ({ view: 1, nfft: 256, fmin: null, fmax: null, lps: 20 }) },
  { name: "One channel, fine in frequency", settings: () => ({ view: 1, nfft: 8192, fmin: null, fmax: null, lps: 5 }) },
];

export class Presets {
  /** @type {Record<string, string>} query by name */ #kept = read();

  /** Names in the order to offer them: the page's, then the operator's. */
  get names() {
    return { ours: OURS.map(({ name }) => name), kept: Object.keys(this.#kept).sort() };
  }

  /**
   * @param {string} name @param {Settings} settings chosen now @param {number} highest channel of the fibre
   * @returns {Settings | null} null when it cannot be read any more
   */
  apply(name, settings, highest) {
    const ours = OURS.find((preset) => preset.name === name);
    const changes = ours ? ours.settings(highest) : this.#read(name);
    return changes && { ...settings, lo: null, hi: null, ...changes };
  }

  /** @param {string} name @param {Settings} settings */
  keep(name, settings) {
    const told = Object.fromEntries(NOT_KEPT.map((key) => [key, DEFAULTS[/** @type {keyof Settings} */ (key)]]));
    this.#kept[name] = writeSettings({ ...settings, ...told, historic: false }, "");
    this.#write();
  }

  /** @param {string} name */
  forget(name) {
    delete this.#kept[name];
    this.#write();
  }

  /** @param {string} name @returns {Partial<Settings> | null} */
  #read(name) {
    try {
      const settings = readSettings(this.#kept[name] ?? "?view=none");
      return Object.fromEntries(Object.entries(settings).filter(([key]) => key !== "historic" && !NOT_KEPT.includes(key)));
    } catch (error) {
      if (!(error instanceof AddressError)) throw error;
      return null;
    }
  }

  #write() {
    localStorage.setItem(KEY, JSON.stringify(this.#kept));
  }
}

/** @returns {Record<string, string>} */
function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return Object.fromEntries(Object.entries(kept).filter(([, query]) => typeof query === "string").map(([name, query]) => [name, String(query)]));
  } catch {
    return {};
  }
}
