// @ts-check
/**
 * The server's wall clock. A viewer's computer may be wrong by more than the two seconds that count as behind, so the
 * difference is estimated from the Date of the server's answers, and used only when it is beyond what that can resolve.
 */

/** ms; Date has whole seconds, and the server may keep one for another second. */
const RESOLUTION_MS = 2000;

export class ServerClock {
  #offsetMs = 0;

  /** ms by which the server is ahead of this computer; 0 when they agree as far as can be told. */
  get offsetMs() {
    return this.#offsetMs;
  }

  /** @returns {number} ms since 1970 */
  now() {
    return Date.now() + this.#offsetMs;
  }

  /**
   * @param {string | null} date as the server wrote it
   * @param {number} askedMs @param {number} answeredMs by this computer's clock
   */
  note(date, askedMs, answeredMs) {
    const serverMs = date === null ? NaN : Date.parse(date);
    if (Number.isNaN(serverMs)) return;
    const offsetMs = serverMs + 500 - (askedMs + answeredMs) / 2;
    const unsureMs = RESOLUTION_MS + (answeredMs - askedMs) / 2;
    this.#offsetMs = Math.abs(offsetMs) > unsureMs ? offsetMs : 0;
  }
}
