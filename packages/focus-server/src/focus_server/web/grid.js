// @ts-check
/**
 * When each row of a job was on the fibre, from the job's `metadata.grid`: row r is line p = first_line + r, which
 * covers samples [p·hop, p·hop + nfft) of a fibre whose sample n was due at t0 + n/fs; all up to the next line where hop
 * is larger. A waterfall, whose nfft is 1, covers hop samples.
 */

/**
 * @typedef {object} GridAnswer
 * @property {number} t0_ns ns since 1970 (UTC); as a JSON number it is exact to 256 ns here
 * @property {number} fs_num samples/s, numerator
 * @property {number} fs_den samples/s, denominator
 * @property {number} first_line
 * @property {number} hop samples from line to line
 * @property {number} nfft samples of a window; 1 of a waterfall
 */

export class Grid {
  #answer;
  #t0Ms;

  /** @param {GridAnswer} answer */
  constructor(answer) {
    this.#answer = answer;
    this.#t0Ms = answer.t0_ns / 1e6;
  }

  /** Seconds from line to line. */
  get lineSeconds() {
    return (this.#answer.hop * this.#answer.fs_den) / this.#answer.fs_num;
  }

  /** @param {number} row @returns {number} ms since 1970 of the centre of its window, with fractions */
  centreMs(row) {
    const { nfft, hop } = this.#answer;
    return this.#sampleMs(this.#start(row) + (nfft === 1 ? hop : nfft) / 2);
  }

  /** @param {number} row @returns {number} ms since 1970 at which its last sample was due; latency counts from here */
  dueMs(row) {
    const { nfft, hop } = this.#answer;
    return this.#sampleMs(this.#start(row) + Math.max(nfft, hop));
  }

  /** @param {number} ms since 1970 @returns {number} row whose centre is there, with fractions */
  rowAt(ms) {
    return (ms - this.centreMs(0)) / (1000 * this.lineSeconds);
  }

  /** @param {number} row */
  #start(row) {
    return (this.#answer.first_line + row) * this.#answer.hop;
  }

  /** @param {number} sample */
  #sampleMs(sample) {
    return this.#t0Ms + (sample * this.#answer.fs_den * 1000) / this.#answer.fs_num;
  }
}
