// @ts-check
/** One window of the page: what was chosen for it, its job, and its lines, also while another window is looked at. */

import { columnsOf } from "./columns.js";
import { Lines, valuesOf } from "./lines.js";
import { Playback } from "./playback.js";
import { rangeOf, suitableRange } from "./range.js";
import { PictureError } from "./program.js";
import { Session } from "./session.js";
import { configureRequest, LIVE_RATE, SINGLE_CHANNEL, WATERFALL } from "./settings.js";

/** @typedef {import("./api.js").JobAnswer} JobAnswer */
/** @typedef {import("./session.js").Order} Order */
/** @typedef {import("./session.js").Problem} Problem */
/** @typedef {import("./settings.js").Settings} Settings */
/**
 * @typedef {object} Around what a window needs of its page
 * @property {import("./api.js").Api} api
 * @property {() => number} now ms since 1970, by the server's clock
 * @property {import("./picture.js").Room} room of the picture
 * @property {() => number} highest channel of the fibre, Infinity while it is not known
 */
/**
 * @typedef {object} WindowEvents each is told which window
 * @property {(window: LiveWindow) => void} changed state, problem or what is said about it
 * @property {(window: LiveWindow) => void} job its lines start from nothing
 * @property {(window: LiveWindow) => void} lines there are others to draw
 * @property {(window: LiveWindow) => void} colours or their range are others
 * @property {(window: LiveWindow) => void} settings were changed by a command
 */

/** s that a picture spans when the lines to keep were not chosen, as far as it is high enough. */
const SPAN_S = 60;
const FEWEST_LINES = 50;
/** dB, until the first line says better. */
const FIRST_RANGE = Object.freeze({ low: -80, high: 0 });
/** Lines after which the range that suits them is settled. */
const SETTLED_LINES = 40;

export class LiveWindow {
  #around;
  #events;
  #session;
  #asked = "";
  /** @type {Lines | null} */ lines = null;
  /** @type {import("./columns.js").Columns | null} */ columns = null;
  /** @type {JobAnswer | null} whose lines are shown */ job = null;
  /** @type {Playback | null} of a recording */ playback = null;
  /** @type {{ low: number, high: number }} dB */ suitable = FIRST_RANGE;
  /** @type {Problem | null} */ problem = null;
  /** @type {Settings[]} what each zoom began from */ zooms = [];
  note = "";

  /** @param {Settings} settings @param {Around} around @param {WindowEvents} events */
  constructor(settings, around, events) {
    this.settings = settings;
    this.#around = around;
    this.#events = events;
    this.#session = new Session(around.api, {
      changed: () => events.changed(this),
      job: (job, order) => this.#newJob(job, order),
      lines: (message, stream) => this.#take((lines, now) => lines.take(message, stream, now)),
      finished: (stream) => this.#take((lines, now) => lines.ended(stream, now)),
      dropped: (lines, stream) => this.lines?.drop(lines, stream),
      display: (display) => this.#display(display),
      problem: (problem) => this.#problem(problem),
      note: (sentence) => this.#say(sentence),
    });
  }

  /** Make a job for what was chosen, and show it. */
  start() {
    const refusal = this.#unreadable();
    if (refusal) {
      this.#problem({ ...refusal, retryAtMs: null });
      return;
    }
    const lines = this.#linesToKeep();
    const settings = { ...this.settings };
    const request = configureRequest(settings, lines, this.#around.highest());
    this.#asked = this.#choice();
    this.settings.auto = true;
    this.#say("");
    this.#session.start({ request, settings, lines });
  }

  stop() {
    this.#session.stop();
    this.settings.auto = false;
    this.#asked = "";
    this.job = null;
    this.#events.changed(this);
  }

  /** End the job because the page goes; what was chosen stays as it is. */
  leave() {
    this.#session.stop();
  }

  /** Try again what failed, or ask for what was chosen meanwhile. */
  again() {
    if (this.#session.state === "reconnecting" || this.asked) this.#session.again();
    else this.start();
  }

  /** True when what was chosen is what the job was asked for with. */
  get asked() {
    return this.#asked === this.#choice();
  }

  get running() {
    return this.#session.running;
  }

  /** @returns {boolean} whether there is a job */
  get hasJob() {
    return this.#session.job !== null;
  }

  /** @returns {import("./session.js").State | "paused" | "late"} what the picture is just now */
  get state() {
    const { state } = this.#session;
    if (state === "live" && this.behind) return "late";
    if (state !== "playing" && state !== "complete") return state;
    if (this.playback?.paused) return "paused";
    return this.playback && !this.playback.atEnd ? "playing" : state;
  }

  /** What the state means, in words. */
  get detail() {
    return this.#session.detail;
  }

  /** @returns {string} "behind by n s", or nothing */
  get behind() {
    return (this.#session.job && this.lines?.behind(this.#around.now())) || "";
  }

  /** @returns {import("./range.js").Range | null} dB that the colours span; null when what was chosen is no range */
  get range() {
    return rangeOf(this.settings.lo, this.settings.hi, this.suitable);
  }

  /** What it is called among others. */
  get name() {
    const { view, channel, cmin, cmax, historic } = this.settings;
    const when = historic ? " · recorded" : "";
    if (view === SINGLE_CHANNEL) return `Channel ${Number.isFinite(channel) ? channel : "?"}${when}`;
    const range = this.job?.view_type === view ? Object.keys(this.job.channel_to_stream_index).map(Number) : [];
    const from = range.length ? Math.min(...range) : (cmin ?? 1);
    const to = range.length ? Math.max(...range) : (cmax ?? "…");
    return `${view === WATERFALL ? "Waterfall" : "Channels"} ${from}–${to}${when}`;
  }

  /** Everything that changes with time alone. */
  tick() {
    const now = this.#around.now();
    const waited = this.#session.job !== null && this.lines?.tick(now);
    if (waited || this.playback?.tick(now)) this.#events.lines(this);
  }

  /** Take the range from what is on the screen, where none was chosen. */
  suit() {
    const suitable = this.lines && suitableRange(this.lines.ring);
    if (!suitable || this.settings.proof) return;
    this.suitable = suitable;
    this.#events.colours(this);
  }

  /** What cannot be shown is no view. @param {PictureError} error */
  refuse(error) {
    this.stop();
    this.lines = null;
    this.#problem({ sentence: error.message, detail: "displayInfo", retryAtMs: null });
  }

  /** What a request cannot even be made of. */
  #unreadable() {
    const { view, channel, historic, start, end } = this.settings;
    if (view === SINGLE_CHANNEL && !Number.isFinite(channel)) {
      return { sentence: "Enter the number of a channel.", detail: "channels" };
    }
    const wrong = historic && (Number.isNaN(start) ? "start" : Number.isNaN(end) ? "end" : null);
    if (!wrong) return null;
    return { sentence: `The ${wrong} is no time; write it like 2026-01-31 10:00:00, in UTC.`, detail: `${wrong}_time` };
  }

  /** What a job would be made of; lines that follow from the picture's size are not of the operator's choice. */
  #choice() {
    return JSON.stringify(configureRequest(this.settings, this.settings.height ?? 0, this.#around.highest()));
  }

  #linesToKeep() {
    const { height, lps, historic } = this.settings;
    if (height !== null) return height;
    const pixels = this.#around.room.height;
    if (historic) return pixels;
    return Math.min(pixels, Math.max(FEWEST_LINES, Math.round(SPAN_S * (lps ?? LIVE_RATE))));
  }

  /**
   * Lines of a job that the picture holds: as many as were asked for; of recordings all, where that was not chosen.
   * @param {JobAnswer} job @param {Order} order
   */
  #linesOf(job, { settings, lines }) {
    const { historic, height, start, end } = settings;
    if (!historic || height !== null || start === null || end === null) return lines;
    return Math.max(1, Math.min(Math.ceil((end - start) / job.lines_dt), this.#around.room.most(valuesOf(job))));
  }

  /** @param {JobAnswer} job @param {Order} order */
  #newJob(job, order) {
    const { settings } = order;
    this.job = job;
    this.lines = new Lines(job, this.#linesOf(job, order), settings.historic);
    this.columns = columnsOf(job);
    this.playback = settings.historic && !settings.proof ? new Playback(this.lines, this.settings.playrate) : null;
    try {
      this.#events.job(this);
    } catch (error) {
      if (!(error instanceof PictureError)) throw error;
      this.refuse(error);
    }
  }

  /** Have something done to the lines, and show what comes of it. @param {(lines: Lines, now: number) => unknown} act */
  #take(act) {
    const { lines } = this;
    if (!lines) return;
    const before = lines.received;
    act(lines, this.#around.now());
    const { received } = lines;
    if (received === before) return;
    if (this.playback && lines.overflown) this.#sayOnce(overflow(lines.ring.lines));
    if (before === 0 || (before < SETTLED_LINES && received >= SETTLED_LINES)) this.suit();
    this.#events.lines(this);
  }

  /** Draw as a command wants it; what it leaves open stays as it is. @param {Record<string, any>} display */
  #display({ colormap, caxis }) {
    if (this.settings.proof) return;
    Object.assign(this.settings, { ...(colormap && { cmap: colormap }), ...(caxis && { lo: caxis.min, hi: caxis.max }) });
    this.#events.settings(this);
  }

  /** @param {Problem | null} problem */
  #problem(problem) {
    this.problem = problem;
    this.#events.changed(this);
  }

  /** @param {string} sentence */
  #say(sentence) {
    this.note = sentence;
    this.#events.changed(this);
  }

  /** @param {string} sentence */
  #sayOnce(sentence) {
    if (this.note !== sentence) this.#say(sentence);
  }
}

/** What a recording longer than its picture has lost, at whatever speed it is shown. @param {number} kept lines */
function overflow(kept) {
  return `The recording has more than the ${kept} lines kept: its oldest are gone. Ask for fewer lines/s or a shorter time.`;
}
