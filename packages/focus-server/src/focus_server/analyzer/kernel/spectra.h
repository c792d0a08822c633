/* What the spectra kernel and its caller, native.py, agree on. */
#include <stdint.h>

/* The tables are of the variant's own precision: float or double. */
typedef struct {
    int32_t nfft;         /* samples of a window, a power of two from 128 on */
    double factor;        /* what turns a magnitude into an amplitude */
    double shadow;        /* a bin below so much of its counterpart nfft/2 - k, as a ratio of powers, is not exact */
    const void *window;   /* [nfft] */
    const void *twiddle;  /* for n = nfft/2, nfft/8 ... 4: [n/4][3][re, im] of w, w^2, w^3 with w = exp(-2 pi i j/n) */
    const void *rotation; /* [nfft/4 + 1][re, im] of exp(-2 pi i k/nfft) */
    const int32_t *order; /* [nfft/2]: where the half transform leaves its value k */
} focus_plan;

/* Compute the amplitudes of `count` windows, which begin `offsets` elements behind `samples` (int16, or float32 when
 * `is_float`), into rows of nfft/2 + 1 values at `places`. `weakness` gets for each window its smallest magnitude but
 * bin 0's over the root mean square of all, and 0 when a bin lies in the shadow of its counterpart. `work` has room for
 * nfft + nfft/2 + 32 times 64 bytes, and is aligned to 64.
 */
typedef void focus_spectra_function(const focus_plan *plan, const void *samples, int32_t is_float, int64_t count,
                                    const int64_t *offsets, float *const *places, float *weakness, void *work);
