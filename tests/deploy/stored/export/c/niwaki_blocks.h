/* Kernels for vector units: the lanes of a vector are output channels, whose weights lie in blocks of 16, 8 or 4
 * channels, four inputs of each side by side [block][kernel row][inputs / 4][channel][4]. Included by niwaki_kernels.h.
 */
#define NIWAKI_JOIN_(a, b) a##b
#define NIWAKI_JOIN(a, b) NIWAKI_JOIN_(a, b)
#define N(name) NIWAKI_JOIN(niwaki_##name##_, NIWAKI_W)

#define NIWAKI_STRIP 24576 /* bytes of an image copied at a time, where more than a row fits: the first-level cache */
#define NIWAKI_SLACK 128   /* vectors may read beyond the end */

#define NIWAKI_EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)

#if NIWAKI_UNSIGNED
#define NIWAKI_FLIP 0x80
#else
#define NIWAKI_FLIP 0
#endif

NIWAKI_KERNEL int32_t niwaki_least(int32_t a, int32_t b) { return a < b ? a : b; }

/* A number of places cut into pieces of at most `most`, as even as can be: the first `more` pieces are one larger. */
typedef struct {
  int32_t pieces, size, more;
} niwaki_cut;

NIWAKI_KERNEL niwaki_cut niwaki_cut_evenly(int32_t count, int32_t most) {
  niwaki_cut cut;
  cut.pieces = count > 0 ? (count + most - 1) / most : 1;
  cut.size = count / cut.pieces;
  cut.more = count % cut.pieces;
  return cut;
}

/* The image around a strip of output rows, with its padding, as rows of `row` bytes. */
typedef struct {
  const uint8_t *bytes;
  int32_t row;
} niwaki_strip;

/* Input rows that `rows` output rows see. */
NIWAKI_KERNEL int32_t niwaki_strip_height(const niwaki_conv *d, int32_t rows) {
  return (rows * d->pool_h - 1) * d->stride_h + (d->kernel_h - 1) * d->dilation_h + 1;
}

/* Copy the input rows that output rows y0 to y0 + rows see; padding is the zero point. */
NIWAKI_KERNEL void niwaki_fill_strip(const niwaki_conv *d, const int8_t *in, int32_t y0, int32_t rows, int32_t row,
                                     uint8_t *strip) {
  const int32_t from = y0 * d->pool_h * d->stride_h - d->pad_top;
  const int32_t count = niwaki_strip_height(d, rows);
  const int32_t left = niwaki_least(d->pad_left * d->in_c, row);
  const int32_t taken = niwaki_least(d->in_w * d->in_c, row - left);
  const int fill = (d->in_zero ^ NIWAKI_FLIP) & 0xff;
  for (int32_t r = 0; r < count; r++, strip += row) {
    const int32_t y = from + r;
    if (y < 0 || y >= d->in_h) {
      memset(strip, fill, (size_t)row);
      continue;
    }
    const int8_t *x = in + y * d->in_w * d->in_c;
    if (left) memset(strip, fill, (size_t)left);
    for (int32_t i = 0; i < taken; i++) strip[left + i] = (uint8_t)(x[i] ^ NIWAKI_FLIP);
    if (row > left + taken) memset(strip + left + taken, fill, (size_t)(row - left - taken));
  }
}

/* Bytes of one padded row, as far as the kernel sees it. */
NIWAKI_KERNEL int32_t niwaki_strip_row(const niwaki_conv *d) {
  return ((d->out_w * d->pool_w - 1) * d->stride_w + (d->kernel_w - 1) * d->dilation_w + 1) * d->in_c;
}

/* Output rows of a strip. */
NIWAKI_KERNEL int32_t niwaki_strip_rows(const niwaki_conv *d) {
  const int32_t step = niwaki_strip_row(d) * d->pool_h * d->stride_h;
  const int32_t around = niwaki_strip_row(d) * ((d->kernel_h - 1) * d->dilation_h + 1);
  const int32_t rows = (NIWAKI_STRIP - around) / step;
  return rows < 1 ? 1 : niwaki_least(rows, d->out_h);
}

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

#else /* AVX2 and NEON: at most 8 lanes */

#define NIWAKI_TILE 4
#define NIWAKI_WIDEST(name) niwaki_##name##_8
#if defined(NIWAKI_AVX2)
#include "niwaki_avx2.h"
#else
#include "niwaki_neon.h"
#endif
#define NIWAKI_W 8
#include "niwaki_tile.h"
#undef NIWAKI_W
#define NIWAKI_W 4
#include "niwaki_tile.h"
#undef NIWAKI_W

#endif

NIWAKI_KERNEL void niwaki_conv_strip(const niwaki_conv *d, const niwaki_strip *strip, int32_t rows, int8_t *out) {
#if defined(NIWAKI_AVX512)
  if (d->pixels) {
    niwaki_conv_pixels(d, strip, rows, out);
    return;
  }
#endif
  if (d->out_c <= 4)
    niwaki_conv_blocks_4(d, strip, rows, 1, 4, out);
  else if (d->out_c <= 8)
    niwaki_conv_blocks_8(d, strip, rows, 1, 8, out);
  else
    NIWAKI_WIDEST(conv_blocks)(d, strip, rows, (d->out_c + 15) / 16, 16, out);
}

/* A convolution without groups: strip by strip, each copied with its padding. */
NIWAKI_KERNEL void niwaki_conv_rows_from(const niwaki_conv *d, const int8_t *in, int32_t y, int32_t rows, int8_t *out) {
  uint8_t scratch[NIWAKI_SCRATCH + NIWAKI_SLACK];
  const int32_t row = niwaki_strip_row(d);
  const niwaki_strip strip = {scratch, row};
  niwaki_fill_strip(d, in, y, rows, row, scratch);
  memset(scratch + niwaki_strip_height(d, rows) * row, 0, NIWAKI_SLACK);
  niwaki_conv_strip(d, &strip, rows, out + y * d->out_w * d->out_c);
}

NIWAKI_KERNEL void niwaki_run_conv(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  const int32_t rows = niwaki_strip_rows(d), rest = d->out_h % rows;
  for (int32_t y = 0; y + rows <= d->out_h; y += rows) niwaki_conv_rows_from(d, in, y, rows, out);
  if (rest) niwaki_conv_rows_from(d, in, d->out_h - rest, rest, out);
}

#define niwaki_run_large_conv niwaki_run_conv

NIWAKI_KERNEL void niwaki_run_dense(const niwaki_dense *d, const int8_t *in, int8_t *out) {
  uint8_t x[NIWAKI_SCRATCH + NIWAKI_SLACK];
  for (int32_t i = 0; i < d->in; i++) x[i] = (uint8_t)(in[i] ^ NIWAKI_FLIP);
  memset(x + d->in, 0, NIWAKI_SLACK);
  if (d->out <= 4)
    niwaki_dense_blocks_4(d, x, 1, 4, out);
  else if (d->out <= 8)
    niwaki_dense_blocks_8(d, x, 1, 8, out);
  else
    NIWAKI_WIDEST(dense_blocks)(d, x, (d->out + 15) / 16, 16, out);
}

#if !defined(NIWAKI_AVX512)
#define niwaki_run_depthwise niwaki_depthwise
NIWAKI_KERNEL void niwaki_run_add(const niwaki_add *d, const int8_t *a, const int8_t *b, int8_t *out) {
  niwaki_add_values(d, a, b, out, 0);
}
#endif
