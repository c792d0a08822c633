// @ts-check
/** The range of levels that the colours span: as chosen, and where nothing was chosen as suits the screen. */

/** @typedef {import("./ring.js").Ring} Ring */
/** @typedef {{ low: number, high: number }} Range dB */

/** Parts of the values that may lie below and above the range. */
const BELOW = 0.05;
const ABOVE = 0.002;
/** dB; a narrower range would show noise only. */
const NARROWEST = 6;
/** Values looked at; enough for a percentile. */
const SAMPLE = 20_000;
/** dB; real levels lie within. */
const BOUND = 1000;

/**
 * @param {number | null} lo chosen, dB @param {number | null} hi chosen, dB
 * @param {Range} suitable where nothing was chosen
 * @returns {Range | null} null when what was chosen is no range
 */
export function rangeOf(lo, hi, suitable) {
  if (lo !== null && hi !== null) return lo < hi ? { low: lo, high: hi } : null;
  if (lo !== null) return { low: lo, high: Math.max(suitable.high, lo + NARROWEST) };
  if (hi !== null) return { low: Math.min(suitable.low, hi - NARROWEST), high: hi };
  return suitable;
}

/**
 * @param {Ring} ring
 * @returns {Range | null} whole dB; null while there is nothing to go by
 */
export function suitableRange(ring) {
  const levels = sample(ring);
  if (!levels.length) return null;
  levels.sort();
  const low = Math.floor(levels[Math.floor(BELOW * (levels.length - 1))]);
  const high = Math.ceil(levels[Math.ceil((1 - ABOVE) * (levels.length - 1))]);
  return { low, high: Math.max(high, low + NARROWEST) };
}

/** @param {Ring} ring */
function sample(ring) {
  let step = Math.max(1, Math.floor(ring.levels.length / SAMPLE));
  // A step with a factor in common with the bins would look at the same few frequencies again and again.
  while (commonFactor(step, ring.bins) > 1) step += 1;
  const found = [];
  for (let i = 0; i < ring.levels.length; i += step) {
    const held = ring.rows[Math.floor(i / ring.bins)] >= 0;
    if (held && Math.abs(ring.levels[i]) < BOUND) found.push(ring.levels[i]);
  }
  return Float32Array.from(found);
}

/** @param {number} a @param {number} b @returns {number} */
function commonFactor(a, b) {
  return b === 0 ? a : commonFactor(b, a % b);
}
