// @ts-check
/** The server's REST interface as the page uses it. Every failure is an `ApiError`: a sentence and whether to wait. */

import { IDEMPOTENCY_KEY, VIEWER } from "./limits.js";

/** @typedef {import("./grid.js").GridAnswer} GridAnswer */
/**
 * @typedef {object} JobAnswer what POST /configure answers
 * @property {string} job_id
 * @property {number} view_type
 * @property {number} stream_amount
 * @property {Record<string, number>} channel_to_stream_index stream of each channel, by its number
 * @property {number} channel_amount
 * @property {number} frequencies_amount
 * @property {number[]} frequencies_list Hz
 * @property {number} lines_dt s
 * @property {{ units: string, fs: number, dx: number, ready_in_s: number, grid: GridAnswer,
 *   lowered?: { asked_lines_per_second: number, lines_per_second: number, reason: string } | null }} metadata
 */
/**
 * @typedef {object} FibreAnswer what GET /live_metadata answers
 * @property {number} prr samples/s, 0 while the fibre is waited for
 * @property {number} dx m
 * @property {number} fiber_start_meters
 * @property {number} number_of_channels
 * @property {string} fiber_description
 */

/** s; beyond it the server counts as not answering. */
const DEADLINE_S = 10;
/** s; how soon to ask again when the server does not say. */
const RETRY_S = 3;

export class ApiError extends Error {
  /**
   * @param {string} sentence what a person can act on
   * @param {{ detail?: string, status?: number, retryAfterS?: number | null, serverTime?: number | null }} [more]
   */
  constructor(sentence, { detail = "", status = 0, retryAfterS = null } = {}) {
    super(sentence);
    this.detail = detail;
    this.status = status;
    /** s after which trying again may help; null when the request itself must change */
    this.retryAfterS = retryAfterS;
  }
}

export class Api {
  /** Who asks: all windows of one page, of which a viewer may have so many and no more. */
  #viewer = randomKey();
  #base;
  #noteTime;

  /**
   * @param {URL} base the folder that holds the routes, with a slash at the end
   * @param {(date: string | null, askedMs: number, answeredMs: number) => void} noteTime told each answer's Date
   */
  constructor(base, noteTime = () => {}) {
    this.#base = base;
    this.#noteTime = noteTime;
  }

  /** @returns {Promise<FibreAnswer>} */
  liveMetadata() {
    return this.#ask("GET", "live_metadata");
  }

  /** @returns {Promise<{ lowest_channel: number, highest_channel: number }>} */
  channels() {
    return this.#ask("GET", "channels");
  }

  /**
   * @param {object} request
   * @param {string} key the same for each try of one request, so that a repeated one makes no second job
   * @returns {Promise<JobAnswer>}
   */
  configure(request, key) {
    return this.#ask("POST", "configure", request, { [IDEMPOTENCY_KEY]: key, [VIEWER]: this.#viewer });
  }

  /**
   * When there are recordings.
   * @param {number} start s since 1970 @param {number} end
   * @returns {Promise<[number, number][]>} ranges in the same unit, in order
   */
  recordings(start, end) {
    return this.#ask("POST", "recordings_in_time_range", { start_time: start, end_time: end });
  }

  /** A job as it is now; commands may have changed it. @param {string} job @returns {Promise<JobAnswer>} */
  job(job) {
    return this.#ask("GET", `metadata/${encodeURIComponent(job)}`);
  }

  /** Whether a job still lives. @param {string} job @returns {Promise<boolean>} */
  async alive(job) {
    try {
      await this.job(job);
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return false;
      throw error;
    }
  }

  /** Whether the server answers at all. @param {number} deadlineS @returns {Promise<boolean>} */
  async answers(deadlineS) {
    try {
      const signal = AbortSignal.timeout(deadlineS * 1000);
      await fetch(new URL("ack", this.#base), { cache: "no-store", signal });
      return true;
    } catch {
      return false;
    }
  }

  /** End a job as far as the server can be reached; it ends by itself when nobody watches. @param {string} job */
  cancel(job) {
    const url = new URL(`job/${encodeURIComponent(job)}`, this.#base);
    fetch(url, { method: "DELETE", keepalive: true }).catch(() => {});
  }

  /** @param {string} job @param {number} stream */
  streamUrl(job, stream) {
    const url = new URL(`ws/jobs/${encodeURIComponent(job)}/streams/${stream}`, this.#base);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return url;
  }

  /** @param {string} method @param {string} path @param {object} [body] @param {Record<string, string>} [headers] */
  async #ask(method, path, body, headers = {}) {
    const asked = Date.now();
    const response = await this.#fetch(path, {
      method,
      cache: "no-store",
      headers: body ? { "Content-Type": "application/json", ...headers } : headers,
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(DEADLINE_S * 1000),
    });
    this.#noteTime(response.headers.get("Date"), asked, Date.now());
    if (!response.ok) throw await refusal(response);
    try {
      return await response.json();
    } catch {
      throw new ApiError(`The server's answer to ${method} /${path} could not be read; is this a Focus Server?`);
    }
  }

  /** @param {string} path @param {RequestInit} options */
  async #fetch(path, options) {
    try {
      return await fetch(new URL(path, this.#base), options);
    } catch (error) {
      const late = error instanceof DOMException && error.name === "TimeoutError";
      const sentence = late
        ? `The server has not answered for ${DEADLINE_S} s.`
        : "The server cannot be reached; it may be down, or the network between.";
      throw new ApiError(sentence, { detail: `${options.method} /${path}`, retryAfterS: RETRY_S });
    }
  }
}

/** A random key; crypto.randomUUID would need a secure context, which a plain address is not. */
export function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {Response} response */
async function refusal(response) {
  const body = await response.json().catch(() => ({}));
  const waiting = response.status === 429 || response.status >= 500;
  const named = Number.parseFloat(response.headers.get("Retry-After") ?? "");
  return new ApiError(typeof body.error === "string" ? body.error : `The server answered ${response.status}.`, {
    detail: detailText(body.detail),
    status: response.status,
    retryAfterS: waiting ? (named > 0 ? named : RETRY_S) : null,
  });
}

/** @param {unknown} detail a sentence, or a list of places in the request */
function detailText(detail) {
  if (typeof detail === "string") return detail;
  if (!Array.isArray(detail)) return "";
  return detail.map((place) => `${(place.loc ?? []).join(".")}: ${place.msg}`).join("; ");
}
