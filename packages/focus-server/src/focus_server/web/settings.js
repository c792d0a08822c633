// @ts-check
/** What the operator chose, kept in the page's address, so that a reload or a copied link shows the same picture. */

import { COLOUR_NAMES } from "./colours.js";
import { DEFAULT_NFFT, MAX_FREQUENCY, MAX_PLAYRATE, MIN_PLAYRATE } from "./limits.js";

/** @typedef {import("./colours.js").ColourName} ColourName */
/**
 * @typedef {object} Settings null means: not chosen
 * @property {number} view MULTICHANNEL, SINGLE_CHANNEL or WATERFALL
 * @property {boolean} historic play what was recorded from start to end; otherwise live
 * @property {number} channel of the single channel view
 * @property {number | null} cmin first channel of a view of many
 * @property {number | null} cmax last channel of it
 * @property {number} nfft samples of a window
 * @property {number | null} fmin Hz
 * @property {number | null} fmax Hz
 * @property {number | null} lps lines/s
 * @property {number | null} height lines kept
 * @property {number | null} duration s shown, as told to the server; follows from the others when not chosen
 * @property {number | null} start s since 1970; NaN when it was written and cannot be read
 * @property {number | null} end s since 1970; NaN likewise
 * @property {number | null} playrate times real time that a recording moves on the screen; at once when not chosen
 * @property {ColourName} cmap
 * @property {number | null} lo dB
 * @property {number | null} hi dB
 * @property {boolean} proof
 * @property {boolean} auto start at once
 */

export class AddressError extends Error {}

export const MULTICHANNEL = 0;
export const SINGLE_CHANNEL = 1;
export const WATERFALL = 2;
const VIEWS = Object.freeze([MULTICHANNEL, SINGLE_CHANNEL, WATERFALL]);
/** lines/s of a live picture for which none were chosen. */
export const LIVE_RATE = 20;
/** Channels of a picture of many for which none were chosen. */
const FEW_CHANNELS = 100;

const NUMBERS = /** @type {const} */ ([
  "channel", "cmin", "cmax", "nfft", "fmin", "fmax", "lps", "height", "duration", "start", "end", "playrate", "lo", "hi",
]);
const OF_HISTORY = Object.freeze(["start", "end", "playrate"]);
const FLAGS = /** @type {const} */ (["proof", "auto"]);

/** @type {Readonly<Settings>} */
export const DEFAULTS = Object.freeze({
  view: SINGLE_CHANNEL, historic: false, channel: 1, cmin: null, cmax: null, nfft: DEFAULT_NFFT, fmin: null, fmax: null,
  lps: null, height: null, duration: null, start: null, end: null, playrate: null,
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
  const view = parameters.get("view") ?? String(SINGLE_CHANNEL);
  settings.view = VIEWS.find((known) => String(known) === view) ?? -1;
  if (settings.view < 0) {
    throw new AddressError(
      `This page shows view 0 (multichannel), view 1 (single channel) and view 2 (waterfall), not view ${view}.`,
    );
  }
  for (const name of FLAGS) settings[name] = parameters.get(name) === "1";
  if (settings.proof) Object.assign(settings, PROOF_DEFAULTS);
  for (const name of NUMBERS) {
    const text = parameters.get(name);
    if (text !== null && text !== "") settings[name] = number(name, text);
  }
  const { playrate } = settings;
  if (playrate !== null && (playrate < MIN_PLAYRATE || playrate > MAX_PLAYRATE)) {
    throw new AddressError(
      `The address says playrate=${playrate}; a recording plays at ${MIN_PLAYRATE} to ${MAX_PLAYRATE} times its own speed.`,
    );
  }
  settings.historic = settings.start !== null || settings.end !== null;
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
  parameters.set("view", String(settings.view));
  for (const name of [...NUMBERS, "cmap"]) {
    const value = settings[/** @type {keyof Settings} */ (name)];
    const unused = value === null || Number.isNaN(value) || (!settings.historic && OF_HISTORY.includes(name));
    if (unused) parameters.delete(name);
    else parameters.set(name, String(value));
  }
  for (const name of FLAGS) {
    if (settings[name]) parameters.set(name, "1");
    else parameters.delete(name);
  }
  return `?${parameters}`;
}

/**
 * The channels of a picture of many, with what was not chosen filled in.
 * @param {Settings} settings @param {number} highest channel of the fibre, Infinity when not known
 * @returns {{ min: number, max: number }}
 */
export function channelRange({ cmin, cmax }, highest) {
  const min = cmin ?? Math.max(1, (cmax ?? 1) - FEW_CHANNELS + 1);
  return { min, max: cmax ?? Math.min(min + FEW_CHANNELS - 1, Math.max(min, highest)) };
}

/**
 * The body of POST /configure for these settings.
 * @param {Settings} settings @param {number} lines shown @param {number} highest channel of the fibre
 */
export function configureRequest(settings, lines, highest) {
  const { view, channel, historic, start, end } = settings;
  const lps = settings.lps ?? (historic ? null : LIVE_RATE);
  const request = {
    view_type: String(view),
    channels: view === SINGLE_CHANNEL ? { min: channel, max: channel } : channelRange(settings, highest),
    displayInfo: { height: lines },
    ...(view === WATERFALL ? {} : spectrumOf(settings, lines, lps)),
    lines_per_second: lps,
  };
  return historic ? { ...request, start_time: start, end_time: end } : request;
}

/** What a view has that shows a spectrum or is made of one. @param {Settings} settings @param {number} lines @param {number | null} lps */
function spectrumOf({ nfft, fmin, fmax, duration, historic, start, end }, lines, lps) {
  const span = historic && start !== null && end !== null && end > start ? end - start : null;
  return {
    displayTimeAxisDuration: duration ?? span ?? (lps === null ? null : lines / lps),
    nfftSelection: nfft,
    frequencyRange: fmin === null && fmax === null ? null : { min: fmin ?? 0, max: fmax ?? MAX_FREQUENCY },
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
