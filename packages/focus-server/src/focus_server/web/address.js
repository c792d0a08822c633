// @ts-check
/**
 * The whole page in its address: the window that is looked at in the parameters of its own, the others each as one
 * parameter `w`, where it stands among them as `tab`, and how they are laid out. A link shows the same page elsewhere.
 */

import { AddressError, readSettings, writeSettings } from "./settings.js";

/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {"tabs" | "split"} Layout */
/** @typedef {{ windows: Settings[], active: number, layout: Layout }} Arrangement */

/** @param {string} search the address from the question mark on @returns {Arrangement} @throws {AddressError} */
export function readAddress(search) {
  const parameters = new URLSearchParams(search);
  const active = readSettings(search);
  const windows = active.proof ? [] : parameters.getAll("w").map((text) => readSettings(text));
  const tab = Number(parameters.get("tab") ?? 0);
  if (!Number.isInteger(tab) || tab < 0 || tab > windows.length) {
    throw new AddressError(`The address says tab=${parameters.get("tab")}, but it holds windows 0 to ${windows.length}.`);
  }
  windows.splice(tab, 0, active);
  return { windows, active: tab, layout: parameters.get("layout") === "split" ? "split" : "tabs" };
}

/** @param {Arrangement} arrangement @param {string} search what the address holds now @returns {string} the new one */
export function writeAddress({ windows, active, layout }, search) {
  const parameters = new URLSearchParams(writeSettings(windows[active], search));
  for (const name of ["w", "tab", "layout"]) parameters.delete(name);
  windows.forEach((settings, i) => i === active || parameters.append("w", writeSettings(settings, "").slice(1)));
  if (active > 0) parameters.set("tab", String(active));
  if (layout === "split") parameters.set("layout", layout);
  return `?${parameters}`;
}
