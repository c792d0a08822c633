// @ts-check
/**
 * One view from POST /configure to its end: makes the job, keeps its streams connected, tries again where waiting may
 * help, and ends the job when it is no longer looked at. What happens is told to `events`; nothing here draws.
 */

import { ApiError, randomKey } from "./api.js";
import { COMPLETE } from "./connection.js";
import { readDataStream } from "./datastream.js";
import { WATERFALL } from "./settings.js";
import { Streams } from "./streams.js";

/** @typedef {import("./api.js").Api} Api */
/** @typedef {import("./api.js").JobAnswer} JobAnswer */
/** @typedef {import("./datastream.js").DataStream} DataStream */
/**
 * @typedef {"stopped" | "connecting" | "filling" | "live" | "playing" | "complete" | "reconnecting" | "error"} State
 */
/**
 * @typedef {object} Order what was asked for
 * @property {object} request the body of POST /configure
 * @property {import("./settings.js").Settings} settings the choices it was made of
 * @property {number} lines to keep
 */
/**
 * @typedef {object} Problem a sentence for the operator
 * @property {string} sentence
 * @property {string} detail
 * @property {number | null} retryAtMs when it is tried again by itself; null when only a person can
 */
/**
 * @typedef {object} SessionEvents
 * @property {() => void} changed state or detail are new
 * @property {(job: JobAnswer, order: Order) => void} job a new job, or one with other channels; lines start from nothing
 * @property {(message: DataStream, stream: number) => void} lines
 * @property {(stream: number) => void} finished a stream brings nothing more
 * @property {(lines: number, stream: number) => void} dropped
 * @property {(frame: Record<string, unknown>) => void} display how a command wants the job drawn
 * @property {(problem: Problem | null) => void} problem null when there is none any more
 * @property {(sentence: string) => void} note something worth saying that is no problem
 */

/** s; a connection without any frame for so long, or for three lines, is made anew. */
const PATIENCE_S = 15;
const NOT_FOUND = 4404;

export class Session {
  #api;
  #events;
  /** @type {JobAnswer | null} */ #job = null;
  /** @type {Streams | null} */ #streams = null;
  /** @type {Order | null} what is being asked for */ #wanted = null;
  /** @type {Order | null} what the job was made of */ #running = null;
  #key = "";
  #attempt = 0;
  /** @type {[number, number][]} first and last channel of each stream */ #ranges = [];
  #rereading = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #retry;
  #awaitedUntilMs = 0;
  #told = "";
  #lostAtMs = 0;
  #why = "";

  /** @type {State} */ state = "stopped";

  /** @param {Api} api @param {SessionEvents} events */
  constructor(api, events) {
    this.#api = api;
    this.#events = events;
  }

  get job() {
    return this.#job;
  }

  /** True while a job is streamed, or about to be. */
  get running() {
    return this.#streams !== null || this.state === "connecting";
  }

  /** What the state means just now, in words. */
  get detail() {
    const left = Math.max(0, this.#awaitedUntilMs - Date.now()) / 1000;
    if (this.state === "filling") return `first line in ${Math.ceil(left)} s`;
    if (this.state === "reconnecting") return `${this.#why}; next try in ${left.toFixed(1)} s`;
    return this.#why;
  }

  /** Make a job and show it; a job that is shown already goes on until the new one exists. @param {Order} order */
  start(order) {
    this.#wanted = order;
    this.#key = randomKey();
    return this.#configure(order);
  }

  /** Try again now what failed. */
  again() {
    if (this.state === "reconnecting") this.#streams?.hurry();
    else if (this.#wanted) this.#configure(this.#wanted);
  }

  /** End the job. */
  stop() {
    this.#attempt += 1;
    clearTimeout(this.#retry);
    this.#release();
    this.#events.problem(null);
    this.#to("stopped");
  }

  /** @param {Order} order */
  async #configure(order) {
    const attempt = ++this.#attempt;
    clearTimeout(this.#retry);
    if (!this.#streams) this.#to("connecting", "asking the server for a job");
    try {
      const job = await this.#api.configure(order.request, this.#key);
      if (attempt === this.#attempt) this.#adopt(job, order);
      else this.#api.cancel(job.job_id);
    } catch (error) {
      if (attempt === this.#attempt) this.#refused(error, order);
    }
  }

  /** @param {unknown} error @param {Order} order */
  #refused(error, order) {
    const refusal = error instanceof ApiError ? error : new ApiError(`The page failed: ${error}`);
    const waitS = refusal.retryAfterS;
    if (waitS !== null) this.#retry = setTimeout(() => this.#configure(order), waitS * 1000);
    if (!this.#streams) this.#to("error");
    this.#problem(refusal.message, refusal.detail, waitS);
  }

  /** @param {JobAnswer} job @param {Order} order */
  #adopt(job, order) {
    this.#release();
    this.#job = job;
    this.#ranges = streamRanges(job);
    this.#running = this.#wanted = order;
    this.#key = randomKey();
    this.#events.problem(null);
    this.#to("connecting", "waiting for the first line");
    this.#events.job(job, order);
    if (this.#job !== job) return; // it was stopped because it cannot be shown
    const patienceMs = 1000 * Math.max(PATIENCE_S, 3 * job.lines_dt);
    const urls = [...Array(job.stream_amount).keys()].map((stream) => this.#api.streamUrl(job.job_id, stream));
    this.#streams = new Streams(urls, this.#hooks(job), patienceMs);
    this.#streams.open();
  }

  #release() {
    this.#streams?.close();
    this.#streams = null;
    if (this.#job) this.#api.cancel(this.#job.job_id);
    this.#job = null;
    this.#lostAtMs = 0;
  }

  /** @param {JobAnswer} job @returns {import("./streams.js").StreamsHooks} */
  #hooks(job) {
    return {
      opened: () => this.#to("connecting", `waiting for the ${this.#lostAtMs ? "next" : "first"} line`),
      message: (data, stream) => this.#message(job, data, stream),
      told: (frame, stream) => this.#tell(frame, stream),
      lost: (reason, pauseMs) => this.#lost(reason, pauseMs),
      finished: (stream) => this.#events.finished(stream),
      ended: (code, reason) => this.#ended(code, reason),
      alive: () => this.#api.alive(job.job_id),
      answers: (deadlineS) => this.#api.answers(deadlineS),
      gone: () => this.#replace(job),
    };
  }

  /** @param {JobAnswer} job @param {ArrayBuffer} data @param {number} stream */
  #message(job, data, stream) {
    let message;
    try {
      message = readDataStream(data);
      checkValues(message, job);
    } catch (error) {
      this.#fail("A message of the stream could not be read.", `${error instanceof Error ? error.message : error}`);
      return;
    }
    const flowing = this.#historic ? "playing" : "live";
    if (this.#streams?.whole && this.state !== flowing) this.#flows(flowing);
    else if (this.state === flowing && this.#why) this.#to(flowing);
    if (message.rows && !sameRange(this.#ranges[stream], [message.startChannel, message.endChannel])) this.#reread();
    else this.#events.lines(message, stream);
  }

  /** The stream carries other channels than the job had: find out which it has now, and show those from now on. */
  async #reread() {
    const known = this.#job;
    if (this.#rereading || !known || !this.#running) return;
    this.#rereading = true;
    try {
      const job = await this.#api.job(known.job_id);
      const ranges = streamRanges(job);
      if (this.#job !== known || ranges.every((range, stream) => sameRange(range, this.#ranges[stream]))) return;
      this.#job = job;
      this.#ranges = ranges;
      this.#events.note("A command gave the job other channels.");
      this.#events.job(job, this.#running);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error; // the next message asks again
    } finally {
      this.#rereading = false;
    }
  }

  get #historic() {
    return this.#running?.settings.historic ?? false;
  }

  /** @param {"live" | "playing"} state */
  #flows(state) {
    if (this.#lostAtMs) {
      const seconds = (Date.now() - this.#lostAtMs) / 1000;
      this.#events.note(`Reconnected after ${seconds.toFixed(1)} s.`);
      this.#lostAtMs = 0;
    }
    this.#told = "";
    this.#events.problem(null);
    this.#to(state);
  }

  /** @param {Record<string, unknown>} frame @param {number} stream */
  #tell(frame, stream) {
    switch (frame.type) {
      case "filling":
        this.#awaitedUntilMs = Date.now() + 1000 * Number(frame.seconds_left);
        this.#to("filling");
        break;
      case "gap":
        this.#to(this.state, String(frame.reason ?? `no line for ${Math.floor(Number(frame.seconds))} s`));
        break;
      case "dropped":
        this.#events.dropped(Number(frame.lines), stream);
        break;
      case "display":
        this.#events.display(frame);
        break;
      case "error":
        this.#told = String(frame.error);
        break;
    }
  }

  /** @param {string} reason @param {number} pauseMs */
  #lost(reason, pauseMs) {
    this.#lostAtMs ||= Date.now();
    this.#awaitedUntilMs = Date.now() + pauseMs;
    if (this.#told) this.#problem(this.#told, "", pauseMs / 1000);
    this.#to("reconnecting", reason);
  }

  /** @param {number} code @param {string} reason */
  #ended(code, reason) {
    const job = this.#job;
    if (code === NOT_FOUND && this.#lostAtMs && job) {
      this.#replace(job);
      return;
    }
    if (code === COMPLETE && this.#historic) {
      this.#streams = null; // the job is left to others who may look at it, until something else is shown
      this.#events.problem(null);
      this.#to("complete");
      return;
    }
    const complete = `Job ${job?.job_id} was ended at the server.`;
    this.#fail(this.#told || complete, reason === "complete" ? "" : reason);
  }

  /** After an outage the job may have expired unseen: then another one takes its place. @param {JobAnswer} job */
  #replace(job) {
    this.#streams = null;
    this.#job = null;
    this.#lostAtMs = 0;
    this.#events.note(`Job ${job.job_id} had ended meanwhile; a new one takes its place.`);
    this.#wanted = this.#running;
    if (this.#wanted) this.#configure(this.#wanted);
  }

  /** @param {string} sentence @param {string} detail */
  #fail(sentence, detail) {
    this.#release();
    this.#told = "";
    this.#to("error");
    this.#problem(sentence, detail, null);
  }

  /** @param {string} sentence @param {string} detail @param {number | null} waitS */
  #problem(sentence, detail, waitS) {
    this.#events.problem({ sentence, detail, retryAtMs: waitS === null ? null : Date.now() + waitS * 1000 });
  }

  /** @param {State} state */
  #to(state, why = "") {
    this.state = state;
    this.#why = why;
    this.#events.changed();
  }
}

/** @param {DataStream} message @param {JobAnswer} job */
function checkValues({ rows, bins, startChannel, endChannel }, job) {
  const wanted = job.view_type === WATERFALL ? endChannel - startChannel + 1 : job.frequencies_amount;
  if (rows && bins !== wanted) throw new Error(`it carries ${bins} values for each channel or line, the job has ${wanted}`);
}

/** @param {JobAnswer} job @returns {[number, number][]} first and last channel of each stream */
function streamRanges({ stream_amount: amount, channel_to_stream_index: index }) {
  /** @type {[number, number][]} */
  const ranges = [...Array(amount)].map(() => [Infinity, -Infinity]);
  for (const [channel, stream] of Object.entries(index)) {
    const range = ranges[stream];
    range[0] = Math.min(range[0], Number(channel));
    range[1] = Math.max(range[1], Number(channel));
  }
  return ranges;
}

/** @param {[number, number] | undefined} one @param {[number, number]} other */
function sameRange(one, other) {
  return one !== undefined && one[0] === other[0] && one[1] === other[1];
}
