// @ts-check
/** What lies under the cursor, in words: frequency or channel, time, level, and the place on the fibre. */

import { ABSENT_LEVEL, NO_VALUE } from "./ring.js";
import { dateTime } from "./utc.js";

/**
 * @typedef {object} Scene what the picture shows
 * @property {import("./ring.js").Ring} ring
 * @property {import("./grid.js").Grid} grid
 * @property {import("./columns.js").Columns} columns
 */

/** dB; what a float32 amplitude can be at least is above this. */
const LOWEST_LEVEL = -1000;

/**
 * @param {Scene} scene
 * @param {{ x: number, y: number }} position 0..1 from the left and from the top
 * @param {number} fibreStart m; NaN when not known
 * @returns {string}
 */
export function readout({ ring, grid, columns }, { x, y }, fibreStart) {
  const column = Math.floor(x * columns.count);
  const row = rowAt(ring, y);
  const state = row < 0 || (ring.bottom ?? -1) - row >= ring.depth ? "empty" : ring.stateOf(row);
  const what = columns.what(column);
  const where = columns.where(column, fibreStart);
  if (state === "empty") return joined(what, where, "no line yet");
  const time = `${dateTime(grid.centreMs(row))} UTC`;
  const level = state === "gap" ? "line missing" : levelText(ring.level(row, column), columns.unit);
  return joined(what, time, level, where);
}

/** @param {string[]} parts */
function joined(...parts) {
  return parts.filter(Boolean).join(" · ");
}

/** @param {number} level dB @param {string} unit */
function levelText(level, unit) {
  if (level === NO_VALUE) return "no value";
  if (level === ABSENT_LEVEL) return "has not come";
  if (level < LOWEST_LEVEL) return "amplitude 0";
  return `${level.toFixed(1).replace("-", "−")} dB re ${unit}`;
}

/**
 * @param {import("./ring.js").Ring} ring @param {number} y 0..1 from the top of the picture
 * @returns {number} row there; below 0 when there is none
 */
export function rowAt(ring, y) {
  return (ring.bottom ?? -1) - (ring.lines - 1 - Math.floor(y * ring.lines));
}
