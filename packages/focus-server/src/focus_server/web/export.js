// @ts-check
/** Hands what is on the screen over as a file: an image with its axes, or the numbers as HDF5 or SEG-Y. */

import { hdf5 } from "./hdf5.js";
import { segy } from "./segy.js";

/** @typedef {import("./visible.js").Visible} Visible */

/** @param {Visible} visible @returns {Blob} */
export function asHdf5(visible) {
  const { rows, columns, amplitudes, rowNumbers, timesNs, name, values, distances, unit, title, job, lineSeconds } = visible;
  return hdf5(
    [
      { name: "amplitude", data: amplitudes, shape: [rows, columns], attributes: { unit, axes: `time, ${name}` } },
      { name: "row", data: BigInt64Array.from(rowNumbers, BigInt), shape: [rows], attributes: { of: "the job's grid" } },
      { name: "time", data: BigInt64Array.from(timesNs), shape: [rows], attributes: { unit: "ns since 1970-01-01T00:00:00Z" } },
      { name, data: values, shape: [columns], attributes: { unit: name === "frequency" ? "Hz" : "number, the first is 1" } },
      { name: "distance", data: distances, shape: [columns], attributes: { unit: "m along the fibre" } },
    ],
    { title, job, line_seconds: lineSeconds, written_by: "LiveView" },
  );
}

/** @param {Visible} visible @returns {Blob} */
export function asSegy(visible) {
  return segy(visible);
}

/** @param {Visible} visible @param {string} ending @returns {string} such as liveview-0-12-20250301T080527.h5 */
export function fileName({ job, timesNs }, ending) {
  const newest = new Date(Number(timesNs[timesNs.length - 1] / 1_000_000n)).toISOString();
  return `liveview-${job}-${newest.slice(0, 19).replace(/[-:]/g, "")}.${ending}`;
}

/** @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
