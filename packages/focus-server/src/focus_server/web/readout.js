// @ts-check
/** What lies under the cursor, in words: frequency, time, level, channel and place on the fibre. */

import { NO_VALUE } from "./ring.js";
import { dateTime } from "./utc.js";

/** @typedef {import("./ring.js").Ring} Ring */
/** @typedef {import("./grid.js").Grid} Grid */
/**
 * @typedef {object} Scene what the picture shows
 * @property {Ring} ring
 * @property {Grid} grid
 * @property {number[]} frequencies Hz of each bin
 * @property {string} units of the fibre's values
 * @property {number} channel the first is 1
 * @property {number} dx m from channel to channel
 */

/** dB; what a float32 amplitude can be at least is above this. */
const LOWEST_LEVEL = -1000;

/**
 * @param {Scene} scene
 * @param {{ x: number, y: number }} position 0..1 from the left and from the top
 * @param {number} fibreStart m; NaN when not known
 * @returns {string}
 */
export function readout(scene, { x, y }, fibreStart) {
  const { ring, grid, frequencies, units } = scene;
  const bin = Math.floor(x * ring.bins);
  const row = (ring.newest ?? -1) - (ring.lines - 1 - Math.floor(y * ring.lines));
  const place = placeText(scene, fibreStart);
  const frequency = `${frequencies[bin].toFixed(2)} Hz`;
  const state = row < 0 ? "empty" : ring.stateOf(row);
  if (state === "empty") return `${frequency} · ${place} · no line yet`;
  const time = `${dateTime(grid.centreMs(row))} UTC`;
  const level = state === "gap" ? "line missing" : levelText(ring.level(row, bin), units);
  return `${frequency} · ${time} · ${level} · ${place}`;
}

/** @param {{ channel: number, dx: number }} scene @param {number} fibreStart m; NaN when not known */
export function placeText({ channel, dx }, fibreStart) {
  const metres = fibreStart + (channel - 1) * dx;
  return Number.isNaN(metres) ? `Channel ${channel}` : `Channel ${channel} · ${metres.toFixed(1)} m`;
}

/** @param {number} level dB @param {string} units */
function levelText(level, units) {
  if (level === NO_VALUE) return "no value";
  if (level < LOWEST_LEVEL) return "amplitude 0";
  return `${level.toFixed(1).replace("-", "−")} dB re ${densityUnit(units)}`;
}

/** @param {string} units @returns {string} the unit of an amplitude density, such as 1 (m/s)/√Hz */
export function densityUnit(units) {
  return /[/· ]/.test(units) ? `1 (${units})/√Hz` : `1 ${units}/√Hz`;
}
