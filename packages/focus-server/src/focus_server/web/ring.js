// @ts-check
/**
 * The last lines of a job, kept as decibels in a ring: the slot of a row is its number modulo the lines kept, so rows
 * of the picture are consecutive row numbers and a line that was not received leaves its slot marked.
 */

/** What a slot of the row index says when it holds no row. */
export const EMPTY = -1;
export const GAP = -2;

/** Stands for a value that is missing or not finite; no level in dB comes near it. */
export const NO_VALUE = Math.fround(3e38);
/** An amplitude, which none can be: the part of the line that holds the value has not come. */
export const ABSENT = -1;
/** Stands for the level of such a value. */
export const ABSENT_LEVEL = Math.fround(2e38);
/** Stands for the level of zero amplitude, below every scale; minus infinity would not survive every shader. */
const ZERO_LEVEL = Math.fround(-3e30);

export class Ring {
  /** @param {number} bins values per line (a multichannel line has one per channel) @param {number} lines lines kept */
  constructor(bins, lines) {
    this.bins = bins;
    this.lines = lines;
    /** dB, slot by slot. */
    this.levels = new Float32Array(bins * lines);
    /** Row number in each slot, or EMPTY, or GAP. */
    this.rows = new Int32Array(lines).fill(EMPTY);
    /** @type {number | null} newest row number */
    this.newest = null;
    /** @type {number | null} row that the picture ends with while it stands still; null to end with the newest */
    this.held = null;
    /** Lines between the first and the newest that have not come (yet). */
    this.missing = 0;
    /** @type {Set<number>} slots that changed since they were last taken */
    this.#dirty = new Set();
  }

  #dirty;

  /**
   * @param {number} row
   * @param {Float32Array} amplitudes one per value, in its unit
   * @returns {boolean} false when the row is older than the lines kept
   */
  put(row, amplitudes) {
    if (row < 0) return false;
    if (this.newest === null) this.newest = row;
    else if (row > this.newest) this.#advance(row);
    else if (row <= this.newest - this.lines) return false;
    const slot = this.slot(row);
    if (this.rows[slot] === GAP) this.missing -= 1;
    this.rows[slot] = row;
    writeLevels(amplitudes, this.levels, slot * this.bins);
    this.#dirty.add(slot);
    return true;
  }

  /** @returns {number | null} row at the bottom of the picture */
  get bottom() {
    return this.held ?? this.newest;
  }

  /** Rows from the bottom upwards that are still kept; what stood above them was overwritten by newer ones. */
  get depth() {
    if (this.newest === null || this.held === null) return this.lines;
    return Math.max(0, Math.min(this.lines, this.lines - (this.newest - this.held)));
  }

  /** @param {number} row */
  slot(row) {
    return ((row % this.lines) + this.lines) % this.lines;
  }

  /**
   * @param {number} row
   * @returns {"line" | "gap" | "empty"}
   */
  stateOf(row) {
    const held = this.rows[this.slot(row)];
    if (held === row) return "line";
    return held === GAP ? "gap" : "empty";
  }

  /** @param {number} row @param {number} bin @returns {number} dB; NO_VALUE when there is none */
  level(row, bin) {
    return this.levels[this.slot(row) * this.bins + bin];
  }

  /** Slots changed since the last call, as runs `[first, count]`. */
  takeDirty() {
    const slots = [...this.#dirty].sort((a, b) => a - b);
    this.#dirty.clear();
    /** @type {[number, number][]} */
    const runs = [];
    for (const slot of slots) {
      const last = runs.at(-1);
      if (last && last[0] + last[1] === slot) last[1] += 1;
      else runs.push([slot, 1]);
    }
    return runs;
  }

  /** Have everything taken again, because whoever took it lost it. */
  markAllDirty() {
    for (let slot = 0; slot < this.lines; slot += 1) this.#dirty.add(slot);
  }

  /** Mark what lies between the newest row and `row` as gaps. @param {number} row */
  #advance(row) {
    const newest = /** @type {number} */ (this.newest);
    this.missing += row - newest - 1;
    for (let gap = Math.max(newest + 1, row - this.lines + 1); gap < row; gap += 1) {
      const slot = this.slot(gap);
      this.rows[slot] = GAP;
      this.#dirty.add(slot);
    }
    this.rows[this.slot(row)] = EMPTY;
    this.newest = row;
  }
}

/**
 * 20·log10 in float64, once per value: the shader's float32 logarithm would be taken again for every pixel of every
 * frame, and is less exact.
 * @param {Float32Array} amplitudes @param {Float32Array} levels @param {number} at
 */
function writeLevels(amplitudes, levels, at) {
  for (let bin = 0; bin < amplitudes.length; bin += 1) {
    const amplitude = amplitudes[bin];
    if (amplitude > 0 && amplitude < Infinity) levels[at + bin] = 20 * Math.log10(amplitude);
    else if (amplitude === ABSENT) levels[at + bin] = ABSENT_LEVEL;
    else levels[at + bin] = amplitude === 0 ? ZERO_LEVEL : NO_VALUE;
  }
}
