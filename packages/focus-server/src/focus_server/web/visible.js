// @ts-check
/** The numbers behind what is on the screen, as a table that files are made of. */

import { NO_VALUE } from "./ring.js";

/**
 * @typedef {object} Visible
 * @property {number} rows lines, oldest first
 * @property {number} columns
 * @property {Float32Array} amplitudes `[row][column]` in `unit`; NaN where there is no value or no line
 * @property {number[]} rowNumbers on the job's grid
 * @property {bigint[]} timesNs centre of each line, ns since 1970
 * @property {number} lineSeconds from line to line
 * @property {string} name of what a column stands for: "channel" or "frequency"
 * @property {Float64Array} values of the columns: channel numbers, or Hz
 * @property {Float64Array} distances m along the fibre, of each column's channel; NaN when not known
 * @property {string} unit of the amplitudes
 * @property {string} title
 * @property {string} job
 */

/**
 * @param {import("./window.js").LiveWindow} window @param {number} fibreStart m; NaN when not known
 * @returns {Visible | null} null while no line is shown
 */
export function visible({ lines, columns, job }, fibreStart) {
  if (!lines || !columns || !job || lines.ring.bottom === null) return null;
  const { ring, grid } = lines;
  const bottom = /** @type {number} */ (ring.bottom);
  let first = bottom - ring.depth + 1;
  while (first < bottom && (first < 0 || ring.stateOf(first) === "empty")) first += 1;
  const rows = bottom - first + 1;
  const count = columns.count;
  const amplitudes = new Float32Array(rows * count).fill(NaN);
  for (let i = 0; i < rows; i += 1) {
    if (ring.stateOf(first + i) !== "line") continue;
    for (let column = 0; column < count; column += 1) amplitudes[i * count + column] = amplitude(ring.level(first + i, column));
  }
  const rowNumbers = Array.from({ length: rows }, (_, i) => first + i);
  return {
    rows, columns: count, amplitudes, rowNumbers,
    timesNs: rowNumbers.map((row) => BigInt(Math.round(1000 * grid.centreMs(row))) * 1000n),
    lineSeconds: grid.lineSeconds,
    name: columns.values.name,
    values: Float64Array.from({ length: count }, (_, column) => columns.values.of(column)),
    distances: Float64Array.from({ length: count }, (_, column) => fibreStart + (columns.channel(column) - 1) * job.metadata.dx),
    unit: columns.unit.replace(/^1 /, ""),
    title: columns.title(fibreStart),
    job: job.job_id,
  };
}

/** @param {number} level dB @returns {number} NaN where there is none */
function amplitude(level) {
  return level < NO_VALUE / 10 ? 10 ** (level / 20) : NaN;
}
