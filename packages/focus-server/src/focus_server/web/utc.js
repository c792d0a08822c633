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

/** @param {number | null} seconds since 1970 @returns {string} such as 2025-03-01 08:05:27.5, empty without a time */
export function timeText(seconds) {
  if (seconds === null || Number.isNaN(seconds)) return "";
  return dateTime(Math.round(1000 * seconds)).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}

/**
 * @param {string} text as `timeText` writes it, also with T and Z, or seconds since 1970
 * @returns {number | null} s since 1970; null for nothing, NaN for what is no time
 */
export function readTime(text) {
  const wanted = text.trim();
  if (!wanted) return null;
  if (/^\d+(\.\d+)?$/.test(wanted)) return Number(wanted);
  const parts = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)Z?$/.exec(wanted);
  return parts ? Date.parse(`${parts[1]}T${parts[2]}Z`) / 1000 : NaN;
}
