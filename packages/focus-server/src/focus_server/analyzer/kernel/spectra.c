/* Amplitude spectra of many windows at once: mean, window, real transform and magnitude, LANES windows side by side.
 *
 * Each lane of a vector holds one window, so all of them go through the same plain code. The transform of nfft real
 * samples is a complex one of half that length: in place, radix 4, decimation in frequency, in parts that fit into a
 * cache. Nothing here allocates, fails or keeps anything; native.py is the caller and prepares the tables. build.py
 * compiles this file for each kind of processor, once in single and once in double precision (DOUBLE), each time with
 * its own NAME and number of LANES.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "spectra.h"

#define CHUNK 64  /* samples that are summed up before they join the total, which keeps the rounding of sums small */
#define PART 128 /* complex values that are transformed to the end before the next ones: at most 16 KiB */
#define INLINE static inline __attribute__((always_inline))

#ifdef DOUBLE
typedef double real;
typedef int64_t word;
#define ROUNDER 0x1.8p52
#define SIGN INT64_MIN
#define EXPONENT 0x7ff0000000000000
#define SMALL ((word)800 << 52) /* 2^-223, below every float32 */
#define LARGE ((word)1200 << 52)
#else
typedef float real;
typedef int32_t word;
#define ROUNDER 0x1.8p23f
#define SIGN INT32_MIN
#define EXPONENT 0x7f800000
#define SMALL (20 << 23) /* 2^-107 */
#define LARGE (235 << 23)
#endif
typedef real lanes __attribute__((vector_size(LANES * sizeof(real))));
typedef word bits __attribute__((vector_size(LANES * sizeof(word))));
typedef int32_t whole_numbers __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef float floats __attribute__((vector_size(LANES * sizeof(float))));
typedef int16_t counts __attribute__((vector_size(LANES * sizeof(int16_t))));
typedef struct {
    lanes re, im;
} pair; /* two consecutive samples of each window, later one complex value */

INLINE lanes choose(bits which, lanes yes, lanes no) { return (lanes)(((bits)yes & which) | ((bits)no & ~which)); }
INLINE lanes larger(lanes a, lanes b) { return choose(a > b, a, b); }
INLINE lanes smaller(lanes a, lanes b) { return choose(a < b, a, b); }
INLINE lanes magnitude(lanes a) { return (lanes)((bits)a & ~SIGN); }
INLINE lanes nearest_whole(lanes a) { return (a + ROUNDER) - ROUNDER; } /* of magnitudes below 2^22 */

INLINE floats root(floats a) {
    for (int l = 0; l < LANES; l++) a[l] = sqrtf(a[l]);
    return a;
}

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (bits){__VA_ARGS__})
#endif
/* Exchange the blocks of a square beside its diagonal: the upper right ones of `side` values with the lower left. */
#define EXCHANGE(side, upper, lower)                                                     \
    for (int i = 0; i < LANES; i++)                                                      \
        if (!(i & side)) {                                                               \
            const lanes above = rows[i], below = rows[i + side];                         \
            rows[i] = SHUFFLE(above, below, upper), rows[i + side] = SHUFFLE(above, below, lower); \
        }
#define LIST(...) __VA_ARGS__

/* Transpose a square of values. */
INLINE void transpose(lanes *rows) {
#if LANES == 16
    EXCHANGE(8, LIST(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
             LIST(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
    EXCHANGE(4, LIST(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
             LIST(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
    EXCHANGE(2, LIST(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
             LIST(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
    EXCHANGE(1, LIST(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
             LIST(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
#elif LANES == 8
    EXCHANGE(4, LIST(0, 1, 2, 3, 8, 9, 10, 11), LIST(4, 5, 6, 7, 12, 13, 14, 15))
    EXCHANGE(2, LIST(0, 1, 8, 9, 4, 5, 12, 13), LIST(2, 3, 10, 11, 6, 7, 14, 15))
    EXCHANGE(1, LIST(0, 8, 2, 10, 4, 12, 6, 14), LIST(1, 9, 3, 11, 5, 13, 7, 15))
#elif LANES == 4
    EXCHANGE(2, LIST(0, 1, 4, 5), LIST(2, 3, 6, 7))
    EXCHANGE(1, LIST(0, 4, 2, 6), LIST(1, 5, 3, 7))
#elif LANES == 2
    EXCHANGE(1, LIST(0, 2), LIST(1, 3))
#endif
}

INLINE lanes read_row(const void *samples, int32_t is_float, int64_t offset) {
    if (is_float) {
        floats row;
        memcpy(&row, (const float *)samples + offset, sizeof row);
        return __builtin_convertvector(row, lanes);
    }
    counts row;
    memcpy(&row, (const int16_t *)samples + offset, sizeof row);
    return __builtin_convertvector(__builtin_convertvector(row, whole_numbers), lanes);
}

/* Read the windows side by side; give the sum of each and the largest magnitude in it. */
INLINE void load(const void *samples, int32_t is_float, const int64_t *offsets, int32_t nfft, lanes *work, lanes *sum,
                 lanes *most) {
    *sum = *most = (lanes){0};
    for (int32_t begin = 0; begin < nfft; begin += CHUNK) {
        lanes part = {0};
        for (int32_t t = begin; t < begin + CHUNK; t += LANES) {
            lanes rows[LANES];
            for (int l = 0; l < LANES; l++) rows[l] = read_row(samples, is_float, offsets[l] + t);
            transpose(rows);
            for (int i = 0; i < LANES; i++) {
                part += rows[i];
                *most = larger(magnitude(rows[i]), *most);
                work[t + i] = rows[i];
            }
        }
        *sum += part;
    }
}

/* A butterfly of radix 4 on four complex values, the last three turned by w, w^2 and w^3. */
INLINE void butterfly(pair *a, pair *b, pair *c, pair *d, const real *w) {
    const lanes sr = a->re + c->re, si = a->im + c->im, dr = a->re - c->re, di = a->im - c->im;
    const lanes tr = b->re + d->re, ti = b->im + d->im, ur = b->im - d->im, ui = d->re - b->re;
    const lanes xr = dr + ur, xi = di + ui, yr = sr - tr, yi = si - ti, zr = dr - ur, zi = di - ui;
    a->re = sr + tr, a->im = si + ti;
    b->re = xr * w[0] - xi * w[1], b->im = xr * w[1] + xi * w[0];
    c->re = yr * w[2] - yi * w[3], c->im = yr * w[3] + yi * w[2];
    d->re = zr * w[4] - zi * w[5], d->im = zr * w[5] + zi * w[4];
}

/* Subtract a rounded mean from two samples, scale them, apply the window; give their sum before the window. */
INLINE lanes taper(pair *value, const real *window, lanes mean, lanes scale) {
    const lanes first = (value->re - mean) * scale, second = (value->im - mean) * scale;
    value->re = first * window[0], value->im = second * window[1];
    return first + second;
}

/* The first pass of all, on the way of which the samples get their window; give what rounding has left of the mean. */
INLINE lanes first_pass(pair *values, int32_t half, const real *w, const real *window, lanes mean, lanes scale) {
    const int32_t quarter = half / 4;
    lanes sum = {0};
    for (int32_t begin = 0; begin < quarter; begin += CHUNK / 8) {
        lanes part = {0};
        for (int32_t j = begin; j < begin + CHUNK / 8; j++, w += 6) {
            pair *a = values + j, *b = a + quarter, *c = b + quarter, *d = c + quarter;
            const real *x = window + 2 * j;
            part += taper(a, x, mean, scale) + taper(b, x + 2 * quarter, mean, scale) +
                    (taper(c, x + 4 * quarter, mean, scale) + taper(d, x + 6 * quarter, mean, scale));
            butterfly(a, b, c, d, w);
        }
        sum += part;
    }
    return sum / (real)(2 * half);
}

INLINE void pass4(pair *block, int32_t n, const real *w) {
    const int32_t quarter = n / 4;
    for (int32_t j = 0; j < quarter; j++, w += 6)
        butterfly(block + j, block + j + quarter, block + j + 2 * quarter, block + j + 3 * quarter, w);
}

INLINE void pass2(pair *block) {
    const pair a = block[0], b = block[1];
    block[0] = (pair){a.re + b.re, a.im + b.im};
    block[1] = (pair){a.re - b.re, a.im - b.im};
}

/* Transform n values in place, depth first; value k ends at order[k]. */
static void transform(pair *values, int32_t n, const real *twiddle) {
    if (n > PART) {
        pass4(values, n, twiddle);
        for (int quarter = 0; quarter < 4; quarter++) transform(values + quarter * (n / 4), n / 4, twiddle + 6 * (n / 4));
        return;
    }
    int32_t m = n;
    for (const real *w = twiddle; m >= 4; w += 6 * (m / 4), m /= 4)
        for (int32_t begin = 0; begin < n; begin += m) pass4(values + begin, m, w);
    if (m == 2)
        for (int32_t begin = 0; begin < n; begin += 2) pass2(values + begin);
}

/* Give the power of two below a magnitude, so that squares neither overflow nor vanish; one where that needs no care. */
INLINE lanes power_of_two(lanes a) {
    const bits exponent = (bits)a & EXPONENT;
    return choose((exponent > SMALL) & (exponent < LARGE), (lanes)exponent, (lanes){0} + 1);
}

/* Turn the half transform into powers of the bins 0..nfft/2; give the smallest but bin 0's over the mean of all, or 0
 * when one is not exact: bins k and nfft/2 - k are sum and difference of the same two values, and the larger one's
 * rounding is in both. */
INLINE lanes powers(const focus_plan *plan, const pair *values, lanes rest, lanes *out) {
    const int32_t half = plan->nfft / 2;
    const real *const rotation = plan->rotation;
    const real shadow = (real)plan->shadow;
    lanes least = (lanes){0} + INFINITY, margin = least, power = {0};
    for (int32_t k = 0; k <= half / 2; k++) {
        const pair a = values[plan->order[k]], b = values[plan->order[(half - k) % half]];
        const real wr = rotation[2 * k] / 2, wi = rotation[2 * k + 1] / 2;
        const lanes er = (a.re + b.re) / 2, ei = (a.im - b.im) / 2, or = a.im + b.im, oi = b.re - a.re;
        const lanes tr = or * wr - oi * wi, ti = or * wi + oi * wr;
        lanes lr = er + tr;
        const lanes li = ei + ti, hr = er - tr, hi = ei - ti;
        /* The periodic Hann window leaks a mean into its bins 0 and 1 only. */
        if (k == 0) lr -= rest * (real)half;
        if (k == 1) lr += rest * ((real)half / 2);
        const lanes low = lr * lr + li * li, high = hr * hr + hi * hi;
        power += low + high;
        if (k > 0) {
            least = smaller(low, least);
            margin = smaller(low - shadow * high, margin);
        }
        least = smaller(high, least);
        margin = smaller(high - shadow * low, margin);
        out[k] = low;
        out[half - k] = high;
    }
    /* Bins without a mirror image do not count twice: 0 and fs/2. */
    out[0] /= 2, out[half] /= 2;
    return choose(margin < 0, (lanes){0}, least * (real)half / power);
}

/* Write magnitudes times a factor, each window in its own row. */
INLINE void store(const lanes *power, int32_t bins, lanes factor, int used, float *const *places) {
    for (int32_t k = 0; k < bins; k += LANES) {
        lanes rows[LANES];
        for (int i = 0; i < LANES; i++) rows[i] = power[k + i];
        transpose(rows);
        for (int l = 0; l < used; l++) {
            const floats found = root(__builtin_convertvector(rows[l], floats)) * (float)factor[l];
            if (bins - k >= LANES)
                memcpy(places[l] + k, &found, sizeof found);
            else
                memcpy(places[l] + k, &found, sizeof(float) * (size_t)(bins - k));
        }
    }
}

void NAME(const focus_plan *plan, const void *samples, int32_t is_float, int64_t count, const int64_t *offsets,
          float *const *places, float *weakness, void *work) {
    const int32_t nfft = plan->nfft, half = nfft / 2, bins = half + 1;
    lanes *const values = work, *const found = values + nfft;
    for (int64_t first = 0; first < count; first += LANES) {
        const int used = count - first < LANES ? (int)(count - first) : LANES;
        int64_t begins[LANES];
        for (int l = 0; l < LANES; l++) begins[l] = offsets[first + (l < used ? l : used - 1)];
        lanes sum, most;
        if (is_float) /* two copies of the loop, without the question in it */
            load(samples, 1, begins, nfft, values, &sum, &most);
        else
            load(samples, 0, begins, nfft, values, &sum, &most);
        const lanes mean = sum / (real)nfft, size = power_of_two(most);
        /* Counts less a whole number stay exact, and so do their sums. */
        const lanes rest = first_pass((pair *)values, half, plan->twiddle, plan->window,
                                      is_float ? mean : nearest_whole(mean), 1 / size);
        for (int quarter = 0; quarter < 4; quarter++)
            transform((pair *)values + quarter * (half / 4), half / 4, (const real *)plan->twiddle + 6 * (half / 4));
        const lanes weak = powers(plan, (const pair *)values, rest, found);
        store(found, bins, size * (real)plan->factor, used, places + first);
        for (int l = 0; l < used; l++) weakness[first + l] = (float)sqrt((double)weak[l]);
    }
}
