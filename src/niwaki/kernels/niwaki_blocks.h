/* Kernels for vector units: the lanes of a vector are output channels, whose weights lie in blocks of 16, 8 or 4
 * channels, four inputs of each side by side [block][kernel row][inputs / 4][channel][4]. Included by niwaki_kernels.h.
 */
#define NIWAKI_JOIN_(a, b) a##b
#define NIWAKI_JOIN(a, b) NIWAKI_JOIN_(a, b)
#define N(name) NIWAKI_JOIN(niwaki_##name##_, NIWAKI_W)

#include "niwaki_strip.h"

#if defined(NIWAKI_AVX512)

#include <immintrin.h>

#define NIWAKI_TILE 8
#define NIWAKI_WIDEST(name) niwaki_##name##_16
NIWAKI_KERNEL __m512i niwaki_load_shift_16(const uint8_t *s) { return _mm512_cvtepu8_epi32(_mm_loadu_epi8(s)); }
NIWAKI_KERNEL __m256i niwaki_load_shift_8(const uint8_t *s) { return _mm256_cvtepu8_epi32(_mm_loadu_si64(s)); }
NIWAKI_KERNEL __m128i niwaki_load_shift_4(const uint8_t *s) { return _mm_cvtepu8_epi32(_mm_loadu_si32(s)); }
NIWAKI_KERNEL void niwaki_put_16(int8_t *out, __m128i v) { _mm_storeu_epi8(out, v); }
NIWAKI_KERNEL void niwaki_put_8(int8_t *out, __m128i v) { _mm_storeu_si64(out, v); }
NIWAKI_KERNEL void niwaki_put_4(int8_t *out, __m128i v) { _mm_storeu_si32(out, v); }
typedef __mmask16 niwaki_mask_16;
typedef __mmask8 niwaki_mask_8, niwaki_mask_4;

#define NIWAKI_W 16
#define V __m512i
#define I(name) _mm512_##name
#include "niwaki_avx512.h"
#include "niwaki_tile.h"
#undef NIWAKI_W
#undef V
#undef I
#define NIWAKI_W 8
#define V __m256i
#define I(name) _mm256_##name
#include "niwaki_avx512.h"
#include "niwaki_tile.h"
#undef NIWAKI_W
#undef V
#undef I
#define NIWAKI_W 4
#define V __m128i
#define I(name) _mm_##name
#include "niwaki_avx512.h"
#include "niwaki_tile.h"
#undef NIWAKI_W
#undef V
#undef I
#include "niwaki_pixels.h"
#include "niwaki_depthwise.h"
#include "niwaki_add_avx512.h"

#else

#if defined(NIWAKI_AVX2)
#include "niwaki_avx2.h"
#else
#include "niwaki_neon.h"
#endif
#include "niwaki_places.h"

#endif

#if defined(NIWAKI_AVX512)

NIWAKI_KERNEL void niwaki_conv_strip(const niwaki_conv *d, const niwaki_strip *strip, int32_t rows, int8_t *out) {
  if (d->pixels) {
    niwaki_conv_pixels(d, strip, rows, out);
    return;
  }
  if (d->out_c <= 4)
    niwaki_conv_blocks_4(d, strip, rows, 1, 4, out);
  else if (d->out_c <= 8)
    niwaki_conv_blocks_8(d, strip, rows, 1, 8, out);
  else
    NIWAKI_WIDEST(conv_blocks)(d, strip, rows, (d->out_c + 15) / 16, 16, out);
}

/* A convolution without groups: strip by strip, each copied with its padding. */
NIWAKI_KERNEL void niwaki_conv_rows_from(const niwaki_conv *d, const int8_t *in, int32_t y, int32_t rows, int8_t *out) {
  NIWAKI_ALIGNED uint8_t scratch[NIWAKI_SCRATCH + NIWAKI_SLACK];
  const int32_t row = niwaki_strip_row(d);
  const niwaki_strip strip = {scratch, row};
  niwaki_fill_strip(d, in, y, rows, row, scratch);
  NIWAKI_FILL(scratch + niwaki_strip_height(d, rows) * row, 0, NIWAKI_SLACK);
  niwaki_conv_strip(d, &strip, rows, out + y * d->out_w * d->out_c);
}

NIWAKI_KERNEL void niwaki_run_conv(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  const int32_t rows = niwaki_strip_rows(d), rest = d->out_h % rows;
  for (int32_t y = 0; y + rows <= d->out_h; y += rows) niwaki_conv_rows_from(d, in, y, rows, out);
  if (rest) niwaki_conv_rows_from(d, in, d->out_h - rest, rest, out);
}

NIWAKI_KERNEL void niwaki_run_dense(const niwaki_dense *d, const int8_t *in, int8_t *out) {
  NIWAKI_ALIGNED uint8_t x[NIWAKI_SCRATCH + NIWAKI_SLACK];
  for (int32_t i = 0; i < d->in; i++) x[i] = (uint8_t)(in[i] ^ NIWAKI_FLIP);
  NIWAKI_FILL(x + d->in, 0, NIWAKI_SLACK);
  if (d->out <= 4)
    niwaki_dense_blocks_4(d, x, 1, 4, out);
  else if (d->out <= 8)
    niwaki_dense_blocks_8(d, x, 1, 8, out);
  else
    NIWAKI_WIDEST(dense_blocks)(d, x, (d->out + 15) / 16, 16, out);
}

#endif

#define niwaki_run_large_conv niwaki_run_conv
