// @ts-check
/** Puts the page together: settings from the address, a session that brings lines, a picture that shows them. */

import { Api, ApiError } from "./api.js";
import { ServerClock } from "./clock.js";
import { channelColumns, frequencyColumns } from "./columns.js";
import { Controls } from "./controls.js";
import { Lines } from "./lines.js";
import { Panel } from "./panel.js";
import { Picture } from "./picture.js";
import { Plot } from "./plot.js";
import { rangeOf, suitableRange } from "./range.js";
import { Recordings } from "./recordings.js";
import { PictureError } from "./renderer.js";
import { Session } from "./session.js";
import {
  AddressError, configureRequest, DEFAULTS, LIVE_RATE, MULTICHANNEL, readSettings, writeSettings,
} from "./settings.js";
import { installTheme } from "./theme.js";
import { Timeline } from "./timeline.js";
import { dateTime } from "./utc.js";

/** @typedef {import("./settings.js").Settings} Settings */

/** ms; staleness must show soon although nothing arrives. */
const TICK_MS = 50;
/** s that a picture spans when the lines to keep were not chosen, as far as it is high enough. */
const SPAN_S = 60;
const FEWEST_LINES = 50;
/** dB, until the first line says better. */
const FIRST_RANGE = Object.freeze({ low: -80, high: 0 });
/** Lines after which the range that suits them is settled. */
const SETTLED_LINES = 40;
/** s of the recordings that are offered when none were picked. */
const OFFERED_S = 60;
/** s; so long it may take until what was measured is recorded. */
const RECORDED_AFTER_S = 15;

class App {
  #clock = new ServerClock();
  #api = new Api(new URL("../", document.baseURI), (...times) => this.#clock.note(...times));
  #session = new Session(this.#api, {
    changed: () => this.#changed(),
    job: (job, order) => this.#newJob(job, order),
    lines: (message, stream) => this.#take((lines, now) => lines.take(message, stream, now)),
    finished: (stream) => this.#take((lines, now) => lines.ended(stream, now)),
    dropped: (lines, stream) => this.#lines?.drop(lines, stream),
    display: (display) => this.#display(display),
    problem: (problem) => this.#problem(problem),
    note: (sentence) => this.#panel.write("note", sentence),
  });
  #panel = new Panel(element, () => this.#again());
  #root = document.documentElement;
  #start = /** @type {HTMLButtonElement} */ (element("start"));
  #play = /** @type {HTMLButtonElement} */ (element("play"));
  #stop = /** @type {HTMLButtonElement} */ (element("stop"));
  #settings;
  #controls;
  #recordings;
  #timeline;
  #picture;
  #plot;
  /** @type {Lines | null} */ #lines = null;
  /** @type {{ low: number, high: number }} */ #suitable = FIRST_RANGE;
  #asked = "";

  /** @param {Settings} settings */
  constructor(settings) {
    this.#settings = settings;
    document.body.classList.toggle("proof", settings.proof);
    const canvas = /** @type {HTMLCanvasElement} */ (element("canvas"));
    this.#picture = new Picture(canvas, settings.proof, () => this.#plot?.lines());
    this.#plot = settings.proof ? null : new Plot(element);
    this.#controls = new Controls(/** @type {HTMLFormElement} */ (element("controls")), {
      start: () => this.start(),
      edited: () => this.#edited(),
    });
    this.#controls.show(settings);
    this.#timeline = new Timeline(element, (start, end) => this.#pick(start, end));
    this.#recordings = new Recordings(
      this.#api, () => this.#clock.now(), (known) => this.#recorded(known), (...why) => this.#unrecorded(...why),
    );
    element("recordings-retry").addEventListener("click", () => this.#recordings.ask());
    this.#stop.addEventListener("click", () => this.#end());
    element("fit").addEventListener("click", () => this.#fit());
    installTheme(this.#root, /** @type {HTMLButtonElement} */ (element("theme")), () => {
      this.#picture.setTheme(this.#root.dataset.theme);
    });
    addEventListener("pagehide", () => this.#session.stop());
    addEventListener("pageshow", ({ persisted }) => persisted && this.#settings.auto && this.start());
    setInterval(() => this.#tick(), TICK_MS);
    this.#showColours();
    this.#chosen();
    this.#changed();
  }

  /** Make a job for what was chosen, and show it. */
  start() {
    const refusal = this.#unreadable();
    if (refusal) {
      this.#problem({ ...refusal, retryAtMs: null });
      return;
    }
    const lines = this.#linesToKeep();
    const settings = { ...this.#settings };
    const request = configureRequest(settings, lines, this.#controls.highest);
    this.#asked = this.#choice();
    this.#remember({ auto: true });
    this.#panel.write("note", "");
    this.#session.start({ request, settings, lines });
  }

  /** What a request cannot even be made of. */
  #unreadable() {
    const { view, channel, historic, start, end } = this.#settings;
    if (view !== MULTICHANNEL && !Number.isFinite(channel)) {
      return { sentence: "Enter the number of a channel.", detail: "channels" };
    }
    const wrong = historic && (Number.isNaN(start) ? "start" : Number.isNaN(end) ? "end" : null);
    if (!wrong) return null;
    return { sentence: `The ${wrong} is no time; write it like 2026-01-31 10:00:00, in UTC.`, detail: `${wrong}_time` };
  }

  /** Follow what is recorded, beside the picture. */
  followRecordings() {
    this.#recordings.ask();
  }

  /** Show what fibre it is; the picture does not depend on it. */
  async describeFibre() {
    try {
      const [fibre, channels] = await Promise.all([this.#api.liveMetadata(), this.#api.channels()]);
      this.#plot?.setFibreStart(fibre.fiber_start_meters);
      this.#panel.write("fibre", fibre.fiber_description);
      this.#controls.setFibre(channels.highest_channel, fibre.prr);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#panel.write("fibre", error.message);
    }
  }

  #end() {
    this.#session.stop();
    this.#remember({ auto: false });
    this.#asked = "";
    this.#panel.noJob();
    this.#changed();
  }

  #again() {
    if (this.#session.state === "reconnecting" || this.#asked === this.#choice()) this.#session.again();
    else this.start();
  }

  /** What a job would be made of; lines that follow from the picture's size are not of the operator's choice. */
  #choice() {
    return JSON.stringify(configureRequest(this.#settings, this.#settings.height ?? 0, this.#controls.highest));
  }

  #linesToKeep() {
    const { height, lps, historic } = this.#settings;
    if (height !== null) return height;
    if (historic) return this.#picture.height;
    return Math.min(this.#picture.height, Math.max(FEWEST_LINES, Math.round(SPAN_S * (lps ?? LIVE_RATE))));
  }

  /**
   * Lines of a job that the picture holds: as many as were asked for; of recordings all, where that was not chosen.
   * @param {import("./api.js").JobAnswer} job @param {import("./session.js").Order} order
   */
  #linesOf(job, { settings, lines }) {
    const { historic, height, start, end, view } = settings;
    if (!historic || height !== null || start === null || end === null) return lines;
    const values = view === MULTICHANNEL ? job.channel_amount : job.frequencies_amount;
    return Math.max(1, Math.min(Math.ceil((end - start) / job.lines_dt), this.#picture.most(values)));
  }

  /** @param {import("./api.js").JobAnswer} job @param {import("./session.js").Order} order */
  #newJob(job, order) {
    const { settings } = order;
    const keep = this.#linesOf(job, order);
    const lines = new Lines(job, keep, settings.historic);
    const { ring, grid } = lines;
    try {
      this.#picture.show(ring);
    } catch (error) {
      if (!(error instanceof PictureError)) throw error;
      this.#end();
      this.#problem({ sentence: error.message, detail: "displayInfo", retryAtMs: null });
      return;
    }
    this.#lines = lines;
    this.#panel.job(job);
    if (settings.height === null) this.#controls.hint("height", keep);
    const columns = settings.view === MULTICHANNEL ? channelColumns(job) : frequencyColumns(job);
    this.#plot?.show({ ring, grid, columns });
  }

  /** Have something done to the lines, and show what comes of it. @param {(lines: Lines, now: number) => unknown} act */
  #take(act) {
    const lines = this.#lines;
    if (!lines) return;
    const before = lines.received;
    act(lines, this.#clock.now());
    const { received } = lines;
    if (received === before) return;
    if (before === 0 || (before < SETTLED_LINES && received >= SETTLED_LINES)) this.#suit();
    this.#picture.redraw();
  }

  #edited() {
    const { view, historic } = this.#settings;
    this.#settings = this.#controls.read(this.#settings);
    if (this.#settings.historic && !historic) this.#offerRange();
    this.#remember({});
    this.#showColours();
    this.#chosen();
    this.#changed();
    // Another picture, or back to the present, is what an operator wants to see now and not after another step.
    const other = this.#settings.view !== view || (historic && !this.#settings.historic);
    if (other && this.#session.job && (this.#settings.historic || historic || this.#session.running)) this.start();
  }

  /** The newest recordings, until others are picked. */
  #offerRange() {
    if (this.#settings.start !== null || this.#settings.end !== null) return;
    const newest = this.#recordings.known?.recorded.at(-1);
    const end = Math.floor(newest?.[1] ?? this.#clock.now() / 1000 - RECORDED_AFTER_S);
    const start = Math.max(end - OFFERED_S, Math.ceil(newest?.[0] ?? -Infinity));
    Object.assign(this.#settings, { start: Math.min(start, end - 1), end });
    this.#controls.show(this.#settings);
  }

  /** @param {number} start s since 1970 @param {number} end */
  #pick(start, end) {
    Object.assign(this.#settings, { historic: true, start, end });
    this.#controls.show(this.#settings);
    this.#chosen();
    this.start();
  }

  #chosen() {
    const { historic, start, end } = this.#settings;
    this.#timeline.choose(historic && start !== null && end !== null ? [start, end] : null);
  }

  /** @param {import("./recordings.js").Known} known */
  #recorded(known) {
    this.#unrecorded("", "");
    this.#timeline.show(known);
  }

  /** @param {string} sentence why it is not known what is recorded @param {string} detail */
  #unrecorded(sentence, detail) {
    this.#panel.write("recordings-error", detail ? `${sentence}: ${detail}` : sentence);
    element("recordings-retry").hidden = !sentence;
    element("timeline").classList.toggle("unknown", sentence !== "");
  }

  /** Take the range from what is on the screen, where none was chosen. */
  #suit() {
    const suitable = this.#lines && suitableRange(this.#lines.ring);
    if (!suitable || this.#settings.proof) return;
    this.#suitable = suitable;
    this.#controls.hint("lo", suitable.low);
    this.#controls.hint("hi", suitable.high);
    this.#showColours();
  }

  #fit() {
    this.#suit();
    this.#remember({ lo: this.#suitable.low, hi: this.#suitable.high });
    this.#controls.show(this.#settings);
    this.#showColours();
  }

  /** Draw as a command wants it; what it leaves open stays as it is. @param {Record<string, any>} display */
  #display({ colormap, caxis }) {
    if (this.#settings.proof) return;
    this.#remember({ ...(colormap && { cmap: colormap }), ...(caxis && { lo: caxis.min, hi: caxis.max }) });
    this.#controls.show(this.#settings);
    this.#showColours();
  }

  #showColours() {
    const { cmap, lo, hi } = this.#settings;
    this.#picture.setColours(cmap);
    this.#plot?.setColours(cmap);
    const range = rangeOf(lo, hi, this.#suitable);
    this.#controls.mark("hi", range === null);
    if (!range) return;
    this.#picture.setRange(range.low, range.high);
    this.#plot?.setRange(range.low, range.high);
  }

  /** @param {import("./session.js").Problem | null} problem */
  #problem(problem) {
    this.#panel.problem(problem);
    this.#controls.blame(problem?.detail ?? "");
  }

  /** @param {Partial<Settings>} changes */
  #remember(changes) {
    Object.assign(this.#settings, changes);
    history.replaceState(null, "", writeSettings(this.#settings, location.search));
  }

  /** Everything that changes with time alone. */
  #tick() {
    const session = this.#session;
    const now = this.#clock.now();
    this.#panel.connection(session.state, session.detail);
    this.#panel.tick();
    const lines = session.job && this.#lines;
    if (lines && lines.tick(now)) this.#picture.redraw();
    this.#panel.write("complete", lines && session.state === "complete" ? `complete · ${lines.received} lines` : "");
    this.#panel.behind(lines ? lines.behind(now) : "");
    if (lines && lines.newestMs !== null) {
      this.#panel.rate(lines.perSecond(now));
      this.#panel.write("newest", dateTime(lines.newestMs));
      this.#panel.missing(lines.ring.missing, lines.dropped);
    }
  }

  #changed() {
    this.#tick();
    const { running, job } = this.#session;
    const same = running && this.#asked === this.#choice();
    this.#start.textContent = job ? "Apply" : "Start";
    this.#start.disabled = same;
    this.#play.textContent = this.#session.state === "complete" && this.#asked === this.#choice() ? "Play again" : "Play";
    this.#play.disabled = same;
    this.#stop.disabled = this.#session.state === "stopped";
  }
}

/** @param {string} id @returns {HTMLElement} */
function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no element ${id}.`);
  return found;
}

/** @param {string} sentence */
function explain(sentence) {
  element("error").textContent = sentence;
  element("problem").hidden = false;
}

/** @returns {Settings} */
function settingsOfAddress() {
  try {
    return readSettings(location.search);
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    explain(error.message);
    return { ...DEFAULTS };
  }
}

try {
  const settings = settingsOfAddress();
  const app = new App(settings);
  if (settings.proof || settings.auto) app.start();
  app.describeFibre();
  if (!settings.proof) app.followRecordings();
} catch (error) {
  if (!(error instanceof PictureError)) throw error;
  explain(error.message);
}
