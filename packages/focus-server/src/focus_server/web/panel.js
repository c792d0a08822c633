// @ts-check
/** Figures, connection and problems as text; an element is touched only when its text is new. */

/** @typedef {import("./api.js").JobAnswer} JobAnswer */
/** @typedef {import("./session.js").Problem} Problem */

const UNKNOWN = "–";
/** What has no more room than it has: pointing at it shows all of it. */
const CUT = new Set(["connection-detail", "recordings-error", "lowered", "note"]);

export class Panel {
  #page;
  /** @type {Problem | null} */ #problem = null;

  /** @param {(id: string) => HTMLElement} element @param {() => void} again asked to try again */
  constructor(element, again) {
    this.#page = element;
    element("retry").addEventListener("click", () => again());
  }

  /** @param {string} id @param {string} text */
  write(id, text) {
    const element = this.#page(id);
    if (element.textContent === text) return;
    element.textContent = text;
    if (CUT.has(id)) element.title = text;
  }

  /** @param {import("./window.js").LiveWindow["state"]} state @param {string} detail */
  connection(state, detail) {
    this.write("connection", state);
    this.write("connection-detail", detail);
    this.#page("connection-chip").dataset.state = state;
  }

  /** @param {string} text "behind by n s", or nothing */
  behind(text) {
    this.write("behind", text);
    this.#page("plot").classList.toggle("late", text !== "");
  }

  /** @param {JobAnswer} job */
  job({ job_id, metadata, lines_dt }) {
    const { fs, dx, units, lowered } = metadata;
    this.write("job", job_id);
    this.write("fs", `${tidy(fs)} samples/s`);
    this.write("dx", `${tidy(dx)} m`);
    this.write("units", units);
    this.write("rate", `${tidy(1 / lines_dt)} lines/s expected`);
    this.write("lowered", lowered?.reason ?? "");
  }

  noJob() {
    for (const id of ["job", "rate", "newest", "missing"]) this.write(id, UNKNOWN);
    this.write("lowered", "");
    this.#page("missing").classList.remove("bad");
  }

  /** @param {number} perSecond lines/s; NaN when not known yet */
  rate(perSecond) {
    if (!Number.isNaN(perSecond)) this.write("rate", `${perSecond.toFixed(1)} lines/s`);
  }

  /** @param {number} missing no viewer got them @param {number} dropped because this viewer was too slow */
  missing(missing, dropped) {
    this.write("missing", dropped ? `${missing} (${dropped} dropped)` : String(missing));
    this.#page("missing").classList.toggle("bad", missing > 0);
  }

  /** @param {Problem | null} problem */
  problem(problem) {
    this.#problem = problem;
    this.write("error", problem?.sentence ?? "");
    // A detail that only names a part of the request is for the control it marks, not for reading.
    const detail = problem?.detail ?? "";
    this.write("error-detail", /^[\w.]*$/.test(detail) ? "" : detail);
    this.#page("problem").hidden = !problem;
    this.tick();
  }

  /** Count down to the next try. */
  tick() {
    const at = this.#problem?.retryAtMs ?? null;
    const left = at === null ? 0 : Math.ceil((at - Date.now()) / 1000);
    this.write("error-wait", at === null ? "" : left > 0 ? `Trying again in ${left} s` : "Trying again …");
  }
}

/** @param {number} value @returns {string} at most six digits after the point, no zeros at the end */
function tidy(value) {
  return String(Number(value.toFixed(6)));
}
