/* AVX-512 on any processor: SIMDe's plain C under Intel's names, and what its release in Debian 12 lacks of them. */
#pragma GCC system_header
#include <simde/x86/avx512.h>
#undef I /* of <complex.h> */

#include <stdint.h>
#include <string.h>

typedef simde__mmask16 __mmask16;
typedef simde__mmask8 __mmask8;
typedef int _MM_PERM_ENUM;

#define LANES(type, count, vector, values) \
  type values[count];                             \
  memcpy(values, &(vector), sizeof values)

static inline simde__m512i _mm512_cvtepi8_epi32(simde__m128i x) {
  LANES(int8_t, 16, x, from);
  int32_t to[16];
  for (int i = 0; i < 16; i++) to[i] = from[i];
  return simde_mm512_loadu_si512(to);
}

static inline simde__m512i _mm512_cvtepu8_epi32(simde__m128i x) {
  LANES(uint8_t, 16, x, from);
  int32_t to[16];
  for (int i = 0; i < 16; i++) to[i] = from[i];
  return simde_mm512_loadu_si512(to);
}

static inline simde__m128i _mm512_cvtepi32_epi8(simde__m512i x) {
  LANES(uint32_t, 16, x, from);
  uint8_t to[16];
  for (int i = 0; i < 16; i++) to[i] = (uint8_t)from[i];
  return simde_mm_loadu_si128(to);
}

static inline simde__m512i _mm512_sra_epi64(simde__m512i x, simde__m128i count) {
  LANES(int64_t, 8, x, lanes);
  LANES(uint64_t, 2, count, shift);
  for (int i = 0; i < 8; i++) lanes[i] >>= shift[0] < 63 ? shift[0] : 63;
  return simde_mm512_loadu_si512(lanes);
}

static inline simde__m512i _mm512_zextsi128_si512(simde__m128i x) {
  int8_t to[64] = {0};
  memcpy(to, &x, 16);
  return simde_mm512_loadu_si512(to);
}

/* For vectors of each width: `bits` long, loaded by `load`. */
#define FOR_EACH_WIDTH(prefix, vector, mask_type, bits, load)                                             \
  static inline vector prefix##_mask_shuffle_epi32(vector old, mask_type mask, vector x, int order) { \
    LANES(int32_t, bits / 32, old, to);                                                         \
    LANES(int32_t, bits / 32, x, from);                                                         \
    for (int i = 0; i < bits / 32; i++)                                                                \
      if (mask >> i & 1) to[i] = from[i / 4 * 4 + (order >> i % 4 * 2 & 3)];                           \
    return load(to);                                                                                   \
  }                                                                                                    \
  static inline vector prefix##_srav_epi64(vector x, vector count) {                                   \
    LANES(int64_t, bits / 64, x, lanes);                                                        \
    LANES(uint64_t, bits / 64, count, shift);                                                   \
    for (int i = 0; i < bits / 64; i++) lanes[i] >>= shift[i] < 63 ? shift[i] : 63;                    \
    return load(lanes);                                                                                \
  }

FOR_EACH_WIDTH(_mm512, simde__m512i, __mmask16, 512, simde_mm512_loadu_si512)
FOR_EACH_WIDTH(_mm256, simde__m256i, __mmask8, 256, simde_mm256_loadu_si256)
FOR_EACH_WIDTH(_mm, simde__m128i, __mmask8, 128, simde_mm_loadu_si128)

static inline void _mm256_storeu_epi32(void *to, simde__m256i x) { memcpy(to, &x, 32); }
static inline void _mm_storeu_epi32(void *to, simde__m128i x) { memcpy(to, &x, 16); }
static inline void _mm_storeu_epi8(void *to, simde__m128i x) { memcpy(to, &x, 16); }

static inline void _mm_mask_storeu_epi8(void *to, __mmask16 mask, simde__m128i x) {
  LANES(int8_t, 16, x, from);
  for (int i = 0; i < 16; i++)
    if (mask >> i & 1) ((int8_t *)to)[i] = from[i];
}
