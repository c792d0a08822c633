// @ts-check
/**
 * The WebSocket of one stream, which comes back by itself: with growing pauses after a failure, and also when a
 * connection stays silent although the server is gone, which a WebSocket alone would never notice.
 */

/**
 * @typedef {object} Hooks
 * @property {(data: ArrayBuffer) => void} message one binary frame
 * @property {(frame: Record<string, unknown>) => void} told one text frame
 * @property {() => void} opened
 * @property {(reason: string, pauseMs: number) => void} lost the next try comes after the pause
 * @property {(code: number, reason: string) => void} ended the server closed and trying again cannot help
 * @property {() => Promise<boolean>} alive whether what is streamed still exists; rejects when that is not known
 * @property {() => void} gone it does not, so no further try is made
 * @property {(deadlineS: number) => Promise<boolean>} answers whether the server answers at all
 */

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5000;
const OPEN_DEADLINE_MS = 5000;
/** ms without any frame before the server is asked whether it is there. */
const SILENCE_MS = 5000;
const ANSWER_DEADLINE_S = 3;
/** Close code of a stream that brought everything. */
export const COMPLETE = 1000;
/** Close codes from here on say that trying again cannot help. */
const REFUSED = 4000;

export class StreamConnection {
  #url;
  #hooks;
  #patienceMs;
  /** @type {WebSocket | null} */ #socket = null;
  #pauseMs = FIRST_PAUSE_MS;
  #failures = 0;
  #closed = false;
  #heardAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;

  /** @param {URL} url @param {Hooks} hooks @param {number} patienceMs silence after which to connect anew anyway */
  constructor(url, hooks, patienceMs) {
    this.#url = url;
    this.#hooks = hooks;
    this.#patienceMs = patienceMs;
  }

  open() {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    this.#after(OPEN_DEADLINE_MS, () => this.#lose("the server did not take the connection in time"));
    socket.onopen = () => {
      this.#heard();
      this.#hooks.opened();
    };
    socket.onmessage = ({ data }) => {
      this.#heard();
      if (typeof data === "string") this.#hooks.told(JSON.parse(data));
      else {
        this.#failures = 0;
        this.#pauseMs = FIRST_PAUSE_MS;
        this.#hooks.message(data);
      }
    };
    socket.onclose = ({ code, reason }) => {
      if (code === COMPLETE || code >= REFUSED) {
        this.close();
        this.#hooks.ended(code, reason);
      } else this.#lose(reason || "the connection was lost");
    };
  }

  /** Close for good. */
  close() {
    this.#closed = true;
    this.#drop();
  }

  /** Stop waiting and try now, if a try is what is waited for. */
  hurry() {
    if (!this.#socket && !this.#closed) this.#after(0, () => this.#tryAgain());
  }

  #drop() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  /** @param {string} reason */
  #lose(reason) {
    this.#drop();
    if (this.#closed) return;
    this.#failures += 1;
    // Viewers that lost one server must not all come back in the same instant.
    const pauseMs = this.#pauseMs * (0.8 + 0.4 * Math.random());
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
    this.#after(pauseMs, () => this.#tryAgain());
    this.#hooks.lost(reason, pauseMs);
  }

  async #tryAgain() {
    if (this.#failures > 1) {
      const alive = await this.#hooks.alive().catch(() => null);
      if (this.#closed) return;
      if (alive === null) {
        this.#lose("the server does not answer");
        return;
      }
      if (!alive) {
        this.close();
        this.#hooks.gone();
        return;
      }
    }
    this.open();
  }

  #heard() {
    this.#heardAt = performance.now();
    this.#after(SILENCE_MS, () => this.#doubt());
  }

  /** Nothing has come for a while: find out whether the feed pauses or the connection is dead. */
  async #doubt() {
    const socket = this.#socket;
    const answers = await this.#hooks.answers(ANSWER_DEADLINE_S);
    if (socket !== this.#socket || this.#closed) return;
    const silentMs = performance.now() - this.#heardAt;
    if (silentMs < SILENCE_MS) return;
    if (!answers) this.#lose("the server does not answer");
    else if (silentMs > this.#patienceMs) this.#lose("nothing has come for a long time");
    else this.#after(SILENCE_MS, () => this.#doubt());
  }

  /** @param {number} ms @param {() => void} what */
  #after(ms, what) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(what, ms);
  }
}
