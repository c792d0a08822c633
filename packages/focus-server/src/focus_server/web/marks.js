// @ts-check
/** How a picture shows what is not there, for each theme; none of these colours is in a colour table. */

/** @typedef {import("./renderer.js").Marks} Marks */

const GAP = rgb(224, 66, 148);

/** @type {Readonly<Record<string, Marks>>} */
const THEMES = Object.freeze({
  dark: { empty: rgb(15, 20, 26), gap: GAP, gapStripe: rgb(30, 36, 44), noValue: rgb(96, 104, 114) },
  light: { empty: rgb(238, 241, 245), gap: GAP, gapStripe: rgb(252, 253, 254), noValue: rgb(150, 158, 168) },
});

const BLACK = rgb(0, 0, 0);
/** A proof picture knows only codes: what is not there is code 0, and its strip is no number. */
export const PROOF_MARKS = Object.freeze({ empty: BLACK, gap: BLACK, gapStripe: BLACK, noValue: BLACK });

/** @param {string | undefined} theme */
export function themeMarks(theme) {
  return THEMES[theme ?? "dark"] ?? THEMES.dark;
}

/** @param {number} red 0..255 @param {number} green @param {number} blue @returns {import("./renderer.js").Rgb} */
function rgb(red, green, blue) {
  return [red / 255, green / 255, blue / 255];
}
