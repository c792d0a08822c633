// @ts-check
/** Instants as text, always UTC. */

/** @param {number} ms since 1970 @returns {string} such as 2025-03-01 08:05:27.650 */
export function dateTime(ms) {
  return new Date(ms).toISOString().replace("T", " ").slice(0, 23);
}

/** @param {number} ms since 1970 @param {number} stepMs between neighbouring labels @returns {string} such as 08:05:27 */
export function clockTime(ms, stepMs) {
  return new Date(ms).toISOString().slice(11, stepMs < 1000 ? 21 : 19);
}
