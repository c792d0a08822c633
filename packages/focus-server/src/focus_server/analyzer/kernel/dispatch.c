/* Chooses among the compiled variants of the kernel those that this processor can run. */
#include "spectra.h"

enum { PLAIN, AVX2, AVX512 };

focus_spectra_function focus_spectra_plain_single, focus_spectra_plain_double;

#if defined(__x86_64__)
focus_spectra_function focus_spectra_avx2_single, focus_spectra_avx2_double;
focus_spectra_function focus_spectra_avx512_single, focus_spectra_avx512_double;

static int has(int level) {
    __builtin_cpu_init();
    if (level == AVX2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

int32_t focus_spectra_schema(void) { return 3; }

/* The variant of a level and precision, or null when this processor or this build does not have it. */
focus_spectra_function *focus_spectra_variant(int32_t level, int32_t is_double) {
#if defined(__x86_64__)
    if (level == AVX512 && has(AVX512)) return is_double ? focus_spectra_avx512_double : focus_spectra_avx512_single;
    if (level == AVX2 && has(AVX2)) return is_double ? focus_spectra_avx2_double : focus_spectra_avx2_single;
#endif
    if (level == PLAIN) return is_double ? focus_spectra_plain_double : focus_spectra_plain_single;
    return 0;
}
