// @ts-check
/** Colour tables: 256 different RGB triples each, from a few anchors of our own or from a formula. */

/** @typedef {"parula" | "grayscale" | "jet" | "viridis"} ColourName */

export const ENTRIES = 256;

/** Blue over teal to yellow, in the manner of parula; the anchors are ours. */
const PARULA = [
  [58, 40, 138], [56, 68, 190], [40, 97, 222], [22, 125, 217], [16, 150, 204],
  [24, 170, 184], [64, 185, 154], [118, 194, 118], [172, 194, 84], [220, 190, 60],
  [250, 199, 48], [246, 222, 40], [250, 250, 24],
];

/** Sampled from viridis (CC0) at every sixteenth of its length. */
const VIRIDIS = [
  [68, 1, 84], [72, 24, 106], [71, 45, 123], [66, 64, 134], [59, 82, 139], [51, 99, 141],
  [44, 114, 142], [38, 130, 142], [33, 145, 140], [31, 160, 136], [40, 174, 128], [63, 188, 115],
  [94, 201, 98], [132, 212, 75], [173, 220, 48], [216, 226, 25], [253, 231, 37],
];

/** @type {Readonly<Record<ColourName, (position: number) => number[]>>} position 0..1 to r, g, b 0..255 */
const FORMULAS = Object.freeze({
  parula: (x) => between(PARULA, x),
  grayscale: (x) => [255 * x, 255 * x, 255 * x],
  jet: (x) => [3, 2, 1].map((peak) => 255 * Math.min(1, Math.max(0, 1.5 - Math.abs(4 * x - peak)))),
  viridis: (x) => between(VIRIDIS, x),
});

export const COLOUR_NAMES = /** @type {readonly ColourName[]} */ (Object.freeze(Object.keys(FORMULAS)));

/**
 * @param {ColourName} name
 * @returns {Uint8Array} 256 × RGBA
 */
export function colourTable(name) {
  const table = new Uint8Array(ENTRIES * 4);
  for (let index = 0; index < ENTRIES; index += 1) {
    const rgb = FORMULAS[name](index / (ENTRIES - 1)).map(Math.round);
    // Where a table changes slowly two neighbours may round to one colour; a step of blue tells them apart again.
    if (index > 0 && rgb.every((value, i) => value === table[(index - 1) * 4 + i])) rgb[2] += 1;
    table.set([...rgb, 255], index * 4);
  }
  return table;
}

/** @param {number[][]} anchors @param {number} position 0..1 */
function between(anchors, position) {
  const place = position * (anchors.length - 1);
  const left = Math.min(Math.floor(place), anchors.length - 2);
  const part = place - left;
  return anchors[left].map((value, i) => value + part * (anchors[left + 1][i] - value));
}
