/* Chooses among the compiled variants of the kernel the one that this processor can run. */
#include "spectra.h"

focus_spectra_function focus_spectra_plain;

#if defined(__x86_64__)
focus_spectra_function focus_spectra_avx2, focus_spectra_avx512;

static int has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif

int32_t focus_spectra_schema(void) { return 1; }

/* The variant with this many windows side by side, or null when this processor or this build does not have it. */
focus_spectra_function *focus_spectra_variant(int32_t lanes) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (lanes == 16) return has_avx512() ? focus_spectra_avx512 : 0;
    if (lanes == 8) return has_avx2() ? focus_spectra_avx2 : 0;
#endif
    return lanes == 4 ? focus_spectra_plain : 0;
}
