// @ts-check
/** The contract's limits as the controls offer them; the server stays the judge of every request. */

export const NFFT_VALUES = Object.freeze([128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]);
export const DEFAULT_NFFT = 1024;
export const MAX_CHANNELS = 2222;
/** Hz; the part of a band above half the sampling rate is clipped. */
export const MAX_FREQUENCY = 1000;
/** Hz. */
export const MIN_FREQUENCY_SPAN = 1;
export const MIN_LINES_PER_SECOND = 0.1;
