// @ts-check
/** Puts the page together: windows from the address, one of them with picture and controls, or all side by side. */

import { readAddress, writeAddress } from "./address.js";
import { Api, ApiError } from "./api.js";
import { ServerClock } from "./clock.js";
import { Controls } from "./controls.js";
import { asHdf5, asSegy, fileName, save } from "./export.js";
import { installKeys } from "./keys.js";
import { Panel } from "./panel.js";
import { Panes } from "./panes.js";
import { Picture } from "./picture.js";
import { Player } from "./player.js";
import { Plot } from "./plot.js";
import { png } from "./png.js";
import { PresetMenu } from "./preset_menu.js";
import { PictureError } from "./program.js";
import { rowAt } from "./readout.js";
import { Recordings } from "./recordings.js";
import { AddressError, DEFAULTS, SINGLE_CHANNEL, WATERFALL } from "./settings.js";
import { SpectrumPanel } from "./spectrum.js";
import { Tabs } from "./tabs.js";
import { installTheme } from "./theme.js";
import { Timeline } from "./timeline.js";
import { dateTime } from "./utc.js";
import { visible } from "./visible.js";
import { LiveWindow } from "./window.js";
import { zoomed, ZoomBox } from "./zoom.js";

/** @typedef {import("./settings.js").Settings} Settings */
/** @typedef {import("./address.js").Arrangement} Arrangement */

/** ms; staleness must show soon although nothing arrives. */
const TICK_MS = 50;
/** s of the recordings that are offered when none were picked. */
const OFFERED_S = 60;
/** s; so long it may take until what was measured is recorded. */
const RECORDED_AFTER_S = 15;

class App {
  #clock = new ServerClock();
  #api = new Api(new URL("../", document.baseURI), (...times) => this.#clock.note(...times));
  #root = document.documentElement;
  #panel = new Panel(element, () => this.#active.again());
  #start = /** @type {HTMLButtonElement} */ (element("start"));
  #play = /** @type {HTMLButtonElement} */ (element("play"));
  #stop = /** @type {HTMLButtonElement} */ (element("stop"));
  /** @type {LiveWindow[]} */ #windows = [];
  /** @type {LiveWindow} */ #active;
  /** @type {import("./address.js").Layout} */ #layout;
  #proof;
  #controls;
  #recordings;
  #timeline;
  #picture;
  #plot;
  #spectrum;
  #tabs;
  #panes;
  #player;
  /** @type {LiveWindow | null} whose lines the large picture has */ #drawn = null;

  /** @param {Arrangement} arrangement @param {boolean} plain draw without the graphics system */
  constructor({ windows, active, layout }, plain) {
    this.#proof = windows[active].proof;
    this.#layout = layout;
    document.body.classList.toggle("proof", this.#proof);
    const canvas = /** @type {HTMLCanvasElement} */ (element("canvas"));
    this.#picture = new Picture(canvas, this.#proof, () => this.#plot?.lines(), plain);
    this.#plot = this.#proof ? null : new Plot(element);
    this.#spectrum = new SpectrumPanel(element);
    this.#controls = new Controls(/** @type {HTMLFormElement} */ (element("controls")), {
      start: () => this.start(),
      edited: () => this.#edited(),
    });
    this.#tabs = new Tabs(element("tabs"), { choose: (one) => this.#choose(one), close: (one) => this.#close(one) });
    this.#panes = new Panes(element("panes"), { choose: (one) => this.#choose(one), enlarge: (one) => this.#enlarge(one) });
    this.#player = new Player(element, () => this.#active, () => this.#moved());
    new PresetMenu(element, () => this.#active.settings, this.#controls, (settings) => this.#take(settings));
    this.#timeline = new Timeline(element, (start, end) => this.#pick(start, end));
    this.#recordings = new Recordings(
      this.#api, () => this.#clock.now(), (known) => this.#recorded(known), (...why) => this.#unrecorded(...why),
    );
    this.#windows = windows.map((settings) => this.#window(settings));
    this.#active = this.#windows[active];
    this.#listen(canvas);
    this.#choose(this.#active);
    setInterval(() => this.#tick(), TICK_MS);
  }

  /** Make jobs for all windows that are to start by themselves. */
  startAll() {
    for (const window of this.#windows) if (window.settings.proof || window.settings.auto) window.start();
    this.#remember();
  }

  start() {
    this.#active.start();
    this.#remember();
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

  /** @param {HTMLCanvasElement} canvas */
  #listen(canvas) {
    const on = (/** @type {string} */ id, /** @type {() => void} */ act) => element(id).addEventListener("click", act);
    on("recordings-retry", () => this.#recordings.ask());
    on("stop", () => this.#end());
    on("fit", () => this.#fit());
    on("new-window", () => this.#open({ ...this.#active.settings, auto: false }));
    on("layout", () => this.#lay(this.#layout === "tabs" ? "split" : "tabs"));
    on("zoom-out", () => this.#zoomOut());
    on("spectrum-toggle", () => this.#toggleSpectrum());
    on("export-png", () => this.#exportImage());
    on("export-hdf5", () => this.#exportNumbers(asHdf5, "h5"));
    on("export-segy", () => this.#exportNumbers(asSegy, "sgy"));
    const span = /** @type {HTMLSelectElement} */ (element("timeline-span"));
    span.addEventListener("change", () => this.#recordings.look(Number(span.value), 0));
    on("earlier", () => this.#recordings.look(Number(span.value), 1));
    on("later", () => this.#recordings.look(Number(span.value), -1));
    installTheme(this.#root, /** @type {HTMLButtonElement} */ (element("theme")), () => {
      this.#picture.setTheme(this.#root.dataset.theme);
      this.#showPanes();
    });
    addEventListener("pagehide", () => this.#windows.forEach((window) => window.leave()));
    addEventListener("pageshow", ({ persisted }) => persisted && this.startAll());
    if (!this.#plot) return;
    const plot = this.#plot;
    plot.onRead = () => this.#showSpectrum();
    new ZoomBox(canvas, element("zoom-box"), () => plot.position, (box) => this.#zoom(box));
    canvas.addEventListener("dblclick", () => this.#openChannel());
    installKeys(canvas, /** @type {HTMLDialogElement} */ (element("keys-dialog")), element("keys"), {
      Enter: () => this.#openChannel(), Backspace: () => this.#zoomOut(), p: () => this.#toggleSpectrum(),
      " ": () => this.#player.toggle(),
    });
  }

  /** @param {Settings} settings */
  #window(settings) {
    return new LiveWindow(
      settings,
      { api: this.#api, now: () => this.#clock.now(), room: this.#picture, highest: () => this.#controls.highest },
      {
        changed: (window) => this.#changed(window),
        job: (window) => this.#job(window),
        lines: (window) => this.#lines(window),
        colours: (window) => this.#showColours(window),
        settings: (window) => {
          if (window === this.#active) this.#controls.show(window.settings);
          this.#showColours(window);
          this.#remember();
        },
      },
    );
  }

  /** @param {Settings} settings of a new window, which is looked at from now on @returns {LiveWindow} */
  #open(settings) {
    const window = this.#window(settings);
    this.#windows.push(window);
    this.#choose(window);
    return window;
  }

  /** @param {LiveWindow} window */
  #close(window) {
    if (this.#windows.length === 1) return;
    const at = this.#windows.indexOf(window);
    this.#windows.splice(at, 1);
    window.stop();
    this.#choose(window === this.#active ? this.#windows[Math.min(at, this.#windows.length - 1)] : this.#active);
  }

  /** Look at a window: picture, controls and figures are its own from now on. @param {LiveWindow} window */
  #choose(window) {
    this.#active = window;
    this.#controls.show(window.settings);
    this.#showPanes();
    if (this.#layout === "tabs") this.#show(window);
    this.#tabs.show(this.#windows, window);
    this.#panel.noJob();
    if (window.job) this.#panel.job(window.job);
    this.#showColours(window);
    this.#problem();
    this.#chosen();
    this.#remember();
    this.#changed(window);
  }

  /** Have the large picture show a window's lines, and nothing of those before. @param {LiveWindow} window */
  #show(window) {
    const { lines, columns } = window;
    this.#drawn = window;
    try {
      if (lines && columns) {
        this.#showColours(window);
        this.#picture.show(lines.ring);
        this.#plot?.show({ ...lines, columns });
      } else {
        this.#picture.clear();
        this.#plot?.clear();
      }
    } catch (error) {
      if (!(error instanceof PictureError)) throw error;
      this.#picture.clear();
      window.refuse(error);
    }
  }

  /** @param {import("./address.js").Layout} layout */
  #lay(layout) {
    this.#layout = layout;
    this.#drawn = null;
    this.#choose(this.#active);
  }

  /** @param {LiveWindow} window */
  #enlarge(window) {
    this.#active = window;
    this.#lay("tabs");
  }

  #showPanes() {
    if (!this.#active) return;
    const split = this.#layout === "split";
    document.body.classList.toggle("split", split);
    const button = element("layout");
    button.textContent = split ? "One at a time" : "Side by side";
    this.#panes.show(split ? this.#windows : [], this.#active, this.#root.dataset.theme);
  }

  /** @param {LiveWindow} window @throws {PictureError} when it cannot be shown */
  #job(window) {
    if (this.#panes.open) this.#panes.job(window);
    if (window === this.#active) {
      if (window.job) this.#panel.job(window.job);
      const keep = window.lines?.ring.lines;
      if (window.settings.height === null && keep) this.#controls.hint("height", keep);
      if (this.#layout === "tabs") this.#show(window);
    }
    this.#tabs.said(window);
  }

  /** @param {LiveWindow} window */
  #lines(window) {
    if (this.#panes.open) this.#panes.redraw(window);
    else if (window === this.#drawn) this.#picture.redraw();
  }

  /** The picture ends elsewhere in its recording. */
  #moved() {
    this.#lines(this.#active);
    this.#changed(this.#active);
  }

  #end() {
    this.#active.stop();
    this.#panel.noJob();
    this.#remember();
  }

  #edited() {
    const window = this.#active;
    const { view, historic } = window.settings;
    window.settings = this.#controls.read(window.settings);
    if (window.settings.historic && !historic) this.#offerRange();
    if (window.playback) window.playback.speed = window.settings.playrate;
    this.#remember();
    this.#showColours(window);
    this.#chosen();
    this.#changed(window);
    // Another picture, or back to the present, is what an operator wants to see now and not after another step.
    const now = window.settings;
    const other = now.view !== view || (historic && !now.historic);
    if (other && window.hasJob && (now.historic || historic || window.running)) this.start();
  }

  /** Choose all of this, and show it. @param {Settings} settings */
  #take(settings) {
    this.#active.settings = settings;
    this.#controls.show(settings);
    this.#showColours(this.#active);
    this.#chosen();
    this.start();
  }

  /** The newest recordings, until others are picked. */
  #offerRange() {
    const { settings } = this.#active;
    if (settings.start !== null || settings.end !== null) return;
    const newest = this.#recordings.known?.recorded.at(-1);
    const end = Math.floor(newest?.[1] ?? this.#clock.now() / 1000 - RECORDED_AFTER_S);
    const start = Math.max(end - OFFERED_S, Math.ceil(newest?.[0] ?? -Infinity));
    Object.assign(settings, { start: Math.min(start, end - 1), end });
    this.#controls.show(settings);
  }

  /** @param {number} start s since 1970 @param {number} end */
  #pick(start, end) {
    this.#take({ ...this.#active.settings, historic: true, start, end });
  }

  #chosen() {
    const { historic, start, end } = this.#active.settings;
    this.#timeline.choose(historic && start !== null && end !== null ? [start, end] : null);
  }

  /** @param {import("./zoom.js").Box} box */
  #zoom(box) {
    const changes = zoomed(this.#active, box);
    if (!changes) return;
    this.#active.zooms.push({ ...this.#active.settings });
    this.#take({ ...this.#active.settings, ...changes });
  }

  #zoomOut() {
    const before = this.#active.zooms.pop();
    if (before) this.#take(before);
  }

  /** A window of its own for the channel under the cursor. */
  #openChannel() {
    const { settings, columns } = this.#active;
    const position = this.#plot?.position;
    if (!columns || !position || settings.view === SINGLE_CHANNEL) return;
    const channel = columns.channel(Math.floor(position.x * columns.count));
    this.#open({ ...settings, view: SINGLE_CHANNEL, channel, lo: null, hi: null, height: null });
    this.start();
  }

  #toggleSpectrum() {
    this.#spectrum.open = !this.#spectrum.open;
    this.#showSpectrum();
  }

  #showSpectrum() {
    if (!this.#spectrum.open) return;
    const { lines, columns, job, settings } = this.#active;
    const position = this.#plot?.position;
    if (!lines || !columns || !job) return;
    const { units } = job.metadata;
    const column = position ? Math.floor(position.x * columns.count) : 0;
    const row = position ? rowAt(lines.ring, position.y) : (lines.ring.bottom ?? -1);
    const spectrum = settings.view === WATERFALL ? null : lines.spectra.at(column, row);
    const title = spectrum
      ? `Channel ${spectrum.channel} at ${dateTime(lines.grid.centreMs(spectrum.row)).slice(11)} UTC`
      : settings.view === WATERFALL
        ? `A waterfall carries no spectrum. Press Enter on the picture to open channel ${columns.channel(column)}.`
        : "No line under the cursor.";
    this.#spectrum.show(spectrum, title, `PSD, dB re 1 ${units}/√Hz, over Hz`, job.job_id);
  }

  async #exportImage() {
    const seen = this.#visible();
    if (!seen) return;
    const { settings, job } = this.#active;
    const { fs, units } = job?.metadata ?? { fs: 0, units: "" };
    const caption = `${element("fibre").textContent} · job ${seen.job} · ${fs} samples/s · ${units} · ${settings.cmap} · last line ${dateTime(Number(seen.timesNs[seen.rows - 1] / 1_000_000n))} UTC`;
    const image = await png(element("plot"), this.#picture.drawNow(), caption);
    save(image, fileName(seen, "png"));
  }

  /** @param {(seen: import("./visible.js").Visible) => Blob} write @param {string} ending */
  #exportNumbers(write, ending) {
    const seen = this.#visible();
    if (seen) save(write(seen), fileName(seen, ending));
  }

  #visible() {
    const seen = visible(this.#active, this.#plot?.fibreStart ?? NaN);
    if (!seen) this.#panel.write("note", "Nothing is shown yet that could be exported.");
    return seen;
  }

  /** @param {import("./recordings.js").Known} known */
  #recorded(known) {
    this.#unrecorded("", "");
    this.#timeline.show(known);
    /** @type {HTMLButtonElement} */ (element("later")).disabled = this.#recordings.present;
  }

  /** @param {string} sentence why it is not known what is recorded @param {string} detail */
  #unrecorded(sentence, detail) {
    this.#panel.write("recordings-error", detail ? `${sentence}: ${detail}` : sentence);
    element("recordings-retry").hidden = !sentence;
    element("timeline").classList.toggle("unknown", sentence !== "");
  }

  #fit() {
    const window = this.#active;
    window.suit();
    Object.assign(window.settings, { lo: window.suitable.low, hi: window.suitable.high });
    this.#controls.show(window.settings);
    this.#showColours(window);
    this.#remember();
  }

  /** @param {LiveWindow} window */
  #showColours(window) {
    if (this.#panes.open) this.#panes.colours(window);
    if (window !== this.#active) return;
    const { settings: { cmap }, range, suitable } = window;
    if (window.lines?.received) {
      this.#controls.hint("lo", suitable.low);
      this.#controls.hint("hi", suitable.high);
    }
    this.#picture.setColours(cmap);
    this.#plot?.setColours(cmap);
    this.#controls.mark("hi", range === null);
    if (!range) return;
    this.#picture.setRange(range.low, range.high);
    this.#plot?.setRange(range.low, range.high);
  }

  #problem() {
    const { problem } = this.#active;
    this.#panel.problem(problem);
    this.#controls.blame(problem?.detail ?? "");
  }

  #remember() {
    const windows = this.#windows.map(({ settings }) => settings);
    const active = this.#windows.indexOf(this.#active);
    history.replaceState(null, "", writeAddress({ windows, active, layout: this.#layout }, location.search));
  }

  /** Everything that changes with time alone. */
  #tick() {
    for (const window of this.#windows) {
      window.tick();
      this.#tabs.said(window);
      if (this.#panes.open) this.#panes.said(window);
    }
    const { state, detail, lines, job, behind } = this.#active;
    this.#panel.connection(state, detail);
    this.#panel.tick();
    this.#player.show();
    const shown = job && lines;
    this.#panel.write("complete", shown && state === "complete" ? `complete · ${lines.received} lines` : "");
    this.#panel.behind(behind);
    if (!shown || lines.newestMs === null) return;
    this.#panel.rate(lines.perSecond(this.#clock.now()));
    this.#panel.write("newest", dateTime(lines.newestMs));
    this.#panel.missing(lines.ring.missing, lines.dropped);
  }

  /** @type {import("./session.js").Problem | null} */ #toldProblem = null;

  /** @param {LiveWindow} window */
  #changed(window) {
    if (window !== this.#active) {
      this.#tabs.said(window);
      return;
    }
    if (window.problem !== this.#toldProblem) {
      this.#toldProblem = window.problem;
      this.#problem();
    }
    this.#panel.write("note", window.note);
    this.#tick();
    const { running, hasJob, state, asked, zooms } = window;
    const same = running && asked;
    this.#start.textContent = hasJob ? "Apply" : "Start";
    this.#start.disabled = same;
    this.#play.textContent = state === "complete" && asked ? "Play again" : "Play";
    this.#play.disabled = same;
    this.#stop.disabled = state === "stopped";
    /** @type {HTMLButtonElement} */ (element("zoom-out")).disabled = zooms.length === 0;
    for (const kind of ["png", "hdf5", "segy"]) {
      /** @type {HTMLButtonElement} */ (element(`export-${kind}`)).disabled = !window.lines || this.#panes.open;
    }
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

/** @returns {{ arrangement: Arrangement, wrong: string }} */
function arrangementOfAddress() {
  try {
    return { arrangement: readAddress(location.search), wrong: "" };
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    return { arrangement: { windows: [{ ...DEFAULTS }], active: 0, layout: "tabs" }, wrong: error.message };
  }
}

try {
  const { arrangement, wrong } = arrangementOfAddress();
  const app = new App(arrangement, new URLSearchParams(location.search).get("draw") === "plain");
  app.startAll();
  app.describeFibre();
  if (!arrangement.windows[arrangement.active].proof) app.followRecordings();
  if (wrong) explain(wrong);
} catch (error) {
  if (!(error instanceof PictureError)) throw error;
  explain(error.message);
}
