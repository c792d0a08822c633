// @ts-check
/** Puts the page together: settings from the address, a session that brings lines, a picture that shows them. */

import { Api, ApiError } from "./api.js";
import { ServerClock } from "./clock.js";
import { Controls } from "./controls.js";
import { Lines } from "./lines.js";
import { Panel } from "./panel.js";
import { Picture } from "./picture.js";
import { Plot } from "./plot.js";
import { rangeOf, suitableRange } from "./range.js";
import { PictureError } from "./renderer.js";
import { Session } from "./session.js";
import { AddressError, configureRequest, DEFAULTS, readSettings, writeSettings } from "./settings.js";
import { installTheme } from "./theme.js";
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

class App {
  #clock = new ServerClock();
  #api = new Api(new URL("../", document.baseURI), (...times) => this.#clock.note(...times));
  #session = new Session(this.#api, {
    changed: () => this.#changed(),
    job: (job, order) => this.#newJob(job, order),
    lines: (message) => this.#take(message),
    dropped: (lines) => this.#drop(lines),
    problem: (problem) => this.#problem(problem),
    note: (sentence) => this.#panel.write("note", sentence),
  });
  #panel = new Panel(element, () => this.#again());
  #root = document.documentElement;
  #start = /** @type {HTMLButtonElement} */ (element("start"));
  #stop = /** @type {HTMLButtonElement} */ (element("stop"));
  #settings;
  #controls;
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
    this.#stop.addEventListener("click", () => this.#end());
    element("fit").addEventListener("click", () => this.#fit());
    installTheme(this.#root, /** @type {HTMLButtonElement} */ (element("theme")), () => {
      this.#picture.setTheme(this.#root.dataset.theme);
    });
    addEventListener("pagehide", () => this.#session.stop());
    addEventListener("pageshow", ({ persisted }) => persisted && this.#settings.auto && this.start());
    setInterval(() => this.#tick(), TICK_MS);
    this.#showColours();
    this.#changed();
  }

  /** Make a job for what was chosen, and show it. */
  start() {
    if (!Number.isFinite(this.#settings.channel)) {
      this.#problem({ sentence: "Enter the number of a channel.", detail: "channels", retryAtMs: null });
      return;
    }
    const lines = this.#linesToKeep();
    const settings = { ...this.#settings };
    const request = configureRequest(settings, lines);
    this.#asked = this.#choice();
    this.#remember({ auto: true });
    this.#panel.write("note", "");
    this.#session.start({ request, settings, lines });
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
    return JSON.stringify(configureRequest(this.#settings, this.#settings.height ?? 0));
  }

  #linesToKeep() {
    const { height, lps } = this.#settings;
    return height ?? Math.min(this.#picture.height, Math.max(FEWEST_LINES, Math.round(SPAN_S * (lps ?? 1))));
  }

  /** @param {import("./api.js").JobAnswer} job @param {import("./session.js").Order} order */
  #newJob(job, { settings, lines: keep }) {
    const lines = new Lines(job, keep);
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
    const { units, dx } = job.metadata;
    this.#plot?.show({ ring, grid, frequencies: job.frequencies_list, units, dx, channel: settings.channel });
  }

  /** @param {import("./datastream.js").DataStream} message */
  #take(message) {
    const lines = this.#lines;
    if (!lines) return;
    const before = lines.received;
    lines.take(message, this.#clock.now());
    if (before === 0 || (before < SETTLED_LINES && lines.received >= SETTLED_LINES)) this.#suit();
    this.#picture.redraw();
  }

  /** @param {number} dropped */
  #drop(dropped) {
    if (this.#lines) this.#lines.dropped += dropped;
  }

  #edited() {
    this.#settings = this.#controls.read(this.#settings);
    this.#remember({});
    this.#showColours();
    this.#changed();
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
    this.#start.textContent = job ? "Apply" : "Start";
    this.#start.disabled = running && this.#asked === this.#choice();
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
} catch (error) {
  if (!(error instanceof PictureError)) throw error;
  explain(error.message);
}
