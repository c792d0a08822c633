/** What the server writes as `limits.js` from its contract; see `focus_server.api.page_limits`. */
export const NFFT_VALUES: readonly number[];
export const DEFAULT_NFFT: number;
export const MAX_CHANNELS: number;
/** Hz; the part of a band above half the sampling rate is clipped. */
export const MAX_FREQUENCY: number;
/** Hz. */
export const MIN_FREQUENCY_SPAN: number;
export const MIN_LINES_PER_SECOND: number;
export const MAX_HEIGHT: number;
export const MIN_PLAYRATE: number;
export const MAX_PLAYRATE: number;
export const WATERFALL_LINES_PER_SECOND: number;
/** Header of POST /configure that says who asks. */
export const VIEWER: string;
/** Header of POST /configure that makes a repeated request the same request. */
export const IDEMPOTENCY_KEY: string;
