// @ts-check
/** Round values for the marks of an axis. */

/** ms. */
const TIME_STEPS = [
  100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000,
];

/** @param {number} from @param {number} to @param {number} most marks wanted @returns {number} 1, 2 or 5 times 10^n */
export function decimalStep(from, to, most) {
  const raw = (to - from) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(raw));
  return ([1, 2, 5].find((factor) => factor * power >= raw * 0.999999) ?? 10) * power;
}

/** @param {number} from ms @param {number} to ms @param {number} most marks wanted */
export function timeStep(from, to, most) {
  const raw = (to - from) / Math.max(1, most);
  return TIME_STEPS.find((step) => step >= raw) ?? Math.ceil(raw / 3_600_000) * 3_600_000;
}

/** @param {number} from @param {number} to @param {number} step @returns {number[]} multiples of step in [from, to] */
export function multiples(from, to, step) {
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => (first + i) * step);
}

/** @param {number} value a multiple of step @param {number} step @returns {string} with as many decimals as step has */
export function label(value, step) {
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return value.toFixed(decimals).replace(/^-(?=0(?:\.0*)?$)/, "").replace("-", "−");
}
