// @ts-check
/** What the operator chose, kept in the page's address, so that a reload or a copied link shows the same picture. */

import { COLOUR_NAMES } from "./colours.js";
import { DEFAULT_NFFT, MAX_FREQUENCY } from "./limits.js";

/** @typedef {import("./colours.js").ColourName} ColourName */
/**
 * @typedef {object} Settings null means: not chosen
 * @property {number} channel
 * @property {number} nfft samples of a window
 * @property {number | null} fmin Hz
 * @property {number | null} fmax Hz
 * @property {number | null} lps lines/s
 * @property {number | null} height lines kept
 * @property {number | null} duration s shown, as told to the server; follows from height and lps when not chosen
 * @property {ColourName} cmap
 * @property {number | null} lo dB
 * @property {number | null} hi dB
 * @property {boolean} proof
 * @property {boolean} auto start at once
 */

export class AddressError extends Error {}

const NUMBERS = /** @type {const} */ (["channel", "nfft", "fmin", "fmax", "lps", "height", "duration", "lo", "hi"]);
const FLAGS = /** @type {const} */ (["proof", "auto"]);
const SINGLE_CHANNEL = "1";

/** @type {Readonly<Settings>} */
export const DEFAULTS = Object.freeze({
  channel: 1, nfft: DEFAULT_NFFT, fmin: null, fmax: null, lps: 20, height: null, duration: null,
  cmap: "parula", lo: null, hi: null, proof: false, auto: false,
});

/** What a proof picture shows when the address does not say. */
const PROOF_DEFAULTS = Object.freeze({ height: 400, lo: -80, hi: 0 });

/**
 * @param {string} search the address from the question mark on; parameters of no meaning here are left alone
 * @returns {Settings}
 * @throws {AddressError} naming the parameter that cannot be meant
 */
export function readSettings(search) {
  const parameters = new URLSearchParams(search);
  const settings = { ...DEFAULTS };
  if ((parameters.get("view") ?? SINGLE_CHANNEL) !== SINGLE_CHANNEL) {
    throw new AddressError(`This page shows view 1 (single channel), not view ${parameters.get("view")}.`);
  }
  for (const name of FLAGS) settings[name] = parameters.get(name) === "1";
  if (settings.proof) Object.assign(settings, PROOF_DEFAULTS);
  for (const name of NUMBERS) {
    const text = parameters.get(name);
    if (text !== null && text !== "") settings[name] = number(name, text);
  }
  settings.cmap = settings.proof ? "grayscale" : colourName(parameters.get("cmap") ?? DEFAULTS.cmap);
  return settings;
}

/**
 * @param {Settings} settings
 * @param {string} search what the address holds now
 * @returns {string} the new address from the question mark on
 */
export function writeSettings(settings, search) {
  const parameters = new URLSearchParams(search);
  parameters.set("view", SINGLE_CHANNEL);
  for (const name of [...NUMBERS, "cmap"]) {
    const value = settings[/** @type {keyof Settings} */ (name)];
    if (value === null) parameters.delete(name);
    else parameters.set(name, String(value));
  }
  for (const name of FLAGS) {
    if (settings[name]) parameters.set(name, "1");
    else parameters.delete(name);
  }
  return `?${parameters}`;
}

/**
 * The body of POST /configure for these settings.
 * @param {Settings} settings @param {number} lines kept
 */
export function configureRequest(settings, lines) {
  const { channel, nfft, fmin, fmax, lps } = settings;
  const band = fmin === null && fmax === null ? null : { min: fmin ?? 0, max: fmax ?? MAX_FREQUENCY };
  return {
    view_type: SINGLE_CHANNEL,
    channels: { min: channel, max: channel },
    displayInfo: { height: lines },
    displayTimeAxisDuration: settings.duration ?? (lps === null ? null : lines / lps),
    nfftSelection: nfft,
    frequencyRange: band,
    lines_per_second: lps,
  };
}

/** @param {string} name @param {string} text */
function number(name, text) {
  const value = Number(text);
  if (Number.isFinite(value)) return value;
  throw new AddressError(`The address says ${name}=${text}, which is not a number; correct it or choose below.`);
}

/** @param {string} text @returns {ColourName} */
function colourName(text) {
  const name = COLOUR_NAMES.find((known) => known === text);
  if (name) return name;
  throw new AddressError(`The address says cmap=${text}; the colour maps are ${COLOUR_NAMES.join(", ")}.`);
}
