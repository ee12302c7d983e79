/* AVX-512: a convolution with few input and few output channels, its vectors over 16 output columns. Included by
 * niwaki_blocks.h.
 *
 * For each input row, the windows of four neighbouring bytes that the 16 columns see are made once and serve every
 * output channel and every kernel row. The columns of one pooling window lie in different vectors, so that their
 * maximum needs no shuffling.
 */
#include "niwaki_strip.h"

#define NIWAKI_WINDOWS 96 /* vectors of windows that are kept at a time */

/* In lane j the four bytes from x + j * step; step is 1 to 4. */
NIWAKI_KERNEL __m512i niwaki_windows(const uint8_t *x, int32_t step) {
  const __m512i bytes = _mm512_set1_epi32(0x03020100), steps = _mm512_set1_epi32(step * 0x01010101);
#if defined(__AVX512VBMI__)
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i from = _mm512_add_epi32(_mm512_mullo_epi32(lanes, steps), bytes);
  return _mm512_permutexvar_epi8(from, _mm512_loadu_epi8(x));
#else
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
  const __m512i from = _mm512_add_epi32(_mm512_mullo_epi32(lanes, steps), bytes);
  __m512i four = _mm512_castsi128_si512(_mm_loadu_epi8(x));
  four = _mm512_inserti32x4(four, _mm_loadu_epi8(x + 4 * step), 1);
  four = _mm512_inserti32x4(four, _mm_loadu_epi8(x + 8 * step), 2);
  four = _mm512_inserti32x4(four, _mm_loadu_epi8(x + 12 * step), 3);
  return _mm512_shuffle_epi8(four, from);
#endif
}

/* Sums of one channel, rounded: 16 columns as bytes. */
NIWAKI_KERNEL __m128i niwaki_round_columns(const niwaki_conv *d, __m512i sums, int32_t channel) {
  niwaki_scale_16 s;
  s.even = s.odd = _mm512_set1_epi32(d->multiplier[channel]);
  s.shift_even = s.shift_odd = _mm512_set1_epi64(d->shift[channel]);
  s.half_even = s.half_odd = _mm512_set1_epi64(1LL << (d->shift[channel] - 1));
#if defined(NIWAKI_TWICE)
  niwaki_halve_twice_16(&s, d->shift);
#endif
  __m512i v = niwaki_rounded_16(sums, &s, d->out_zero);
  if (d->low > -128) v = _mm512_max_epi32(v, _mm512_set1_epi32(d->low));
  if (d->high < 127) v = _mm512_min_epi32(v, _mm512_set1_epi32(d->high));
  return _mm512_cvtsepi32_epi8(v);
}

/* Columns of 8 channels as 16 pixels of 8 bytes, of which the first `channels` are written for `count` pixels. */
NIWAKI_KERNEL void niwaki_write_pixels(const __m128i *c, int32_t channels, int32_t count, int8_t *out) {
  NIWAKI_ALIGNED int8_t pixels[16 * 8];
  for (int32_t half = 0; half < 2; half++) {
    __m128i pair[4];
    for (int32_t i = 0; i < 4; i++)
      pair[i] = half ? _mm_unpackhi_epi8(c[2 * i], c[2 * i + 1]) : _mm_unpacklo_epi8(c[2 * i], c[2 * i + 1]);
    const __m128i first_low = _mm_unpacklo_epi16(pair[0], pair[1]), first_high = _mm_unpackhi_epi16(pair[0], pair[1]);
    const __m128i last_low = _mm_unpacklo_epi16(pair[2], pair[3]), last_high = _mm_unpackhi_epi16(pair[2], pair[3]);
    _mm_storeu_epi8(pixels + 64 * half, _mm_unpacklo_epi32(first_low, last_low));
    _mm_storeu_epi8(pixels + 64 * half + 16, _mm_unpackhi_epi32(first_low, last_low));
    _mm_storeu_epi8(pixels + 64 * half + 32, _mm_unpacklo_epi32(first_high, last_high));
    _mm_storeu_epi8(pixels + 64 * half + 48, _mm_unpackhi_epi32(first_high, last_high));
  }
  /* Each pixel but the last may write 8 bytes: the next one follows. */
  for (int32_t i = 0; i < count - 1; i++) {
    const int32_t room = (count - 1 - i) * channels;
    NIWAKI_COPY(out + i * channels, pixels + 8 * i, room >= 8 ? 8 : (size_t)channels);
  }
  NIWAKI_COPY(out + (count - 1) * channels, pixels + 8 * (count - 1), (size_t)channels);
}

/* Channels `first` to `first + channels` of up to 16 columns; `windows` as niwaki_conv_columns lays them out. */
NIWAKI_KERNEL void niwaki_sum_columns(const niwaki_conv *d, const __m512i *windows, int32_t first, int32_t channels,
                                      __m128i *columns) {
  const int32_t groups = (d->kernel_w * d->in_c + 3) / 4, width = d->out_c <= 4 ? 4 : 8;
  const int32_t places = d->pool_h * d->pool_w, row = d->pool_w * groups;
#define START(i)                                                                                         \
  const int32_t channel##i = first + (i / places < channels ? i / places : 0);                           \
  const int32_t place##i = i % places;                                                                   \
  const __m512i *const seen##i = windows + place##i / d->pool_w * d->stride_h * row + place##i % d->pool_w * groups; \
  __m512i sum##i = _mm512_set1_epi32(d->bias[channel##i]);
#define DOT(i)                                                                                           \
  if (i < channels * places) {                                                                           \
    int32_t four;                                                                                        \
    NIWAKI_COPY(&four, d->weights + ((ky * groups + g) * width + channel##i) * 4, 4);                         \
    sum##i = _mm512_dpbusd_epi32(sum##i, seen##i[ky * row + g], _mm512_set1_epi32(four));                \
  }
#define PUT(i) sums[i] = sum##i;
  __m512i sums[8];
  NIWAKI_EACH(START)
  for (int32_t ky = 0; ky < d->kernel_h; ky++) {
    for (int32_t g = 0; g < groups; g++) {
      NIWAKI_EACH(DOT)
    }
  }
  NIWAKI_EACH(PUT)
#undef START
#undef DOT
#undef PUT
  for (int32_t c = 0; c < channels; c++) {
    __m512i best = sums[c * places];
    for (int32_t i = 1; i < places; i++) best = _mm512_max_epi32(best, sums[c * places + i]);
    columns[first + c] = niwaki_round_columns(d, best, first + c);
  }
}

/* Output columns `x0` to `x0 + count` of one row of a strip. */
NIWAKI_KERNEL void niwaki_conv_columns(const niwaki_conv *d, const uint8_t *x, int32_t row, int32_t count, int8_t *out) {
  const int32_t groups = (d->kernel_w * d->in_c + 3) / 4;
  const int32_t rows = (d->pool_h - 1) * d->stride_h + d->kernel_h;
  const int32_t at_once = 8 / (d->pool_h * d->pool_w), rest = d->out_c % at_once;
  __m512i windows[NIWAKI_WINDOWS];
  __m128i columns[8];
  for (int32_t i = 0; i < 8; i++) columns[i] = _mm_setzero_si128();
  for (int32_t r = 0; r < rows; r++)
    for (int32_t px = 0; px < d->pool_w; px++)
      for (int32_t g = 0; g < groups; g++)
        windows[(r * d->pool_w + px) * groups + g] =
            niwaki_windows(x + r * row + px * d->stride_w * d->in_c + 4 * g, d->pool_w * d->stride_w * d->in_c);
  for (int32_t c = 0; c + at_once <= d->out_c; c += at_once) niwaki_sum_columns(d, windows, c, at_once, columns);
  if (rest) niwaki_sum_columns(d, windows, d->out_c - rest, rest, columns);
  niwaki_write_pixels(columns, d->out_c, count, out);
}

NIWAKI_KERNEL void niwaki_conv_pixels(const niwaki_conv *d, const niwaki_strip *strip, int32_t rows, int8_t *out) {
  for (int32_t y = 0; y < rows; y++) {
    const uint8_t *const x = strip->bytes + y * d->pool_h * d->stride_h * strip->row;
    for (int32_t x0 = 0; x0 < d->out_w; x0 += 16)
      niwaki_conv_columns(d, x + x0 * d->pool_w * d->stride_w * d->in_c, strip->row, niwaki_least(16, d->out_w - x0),
                          out + (y * d->out_w + x0) * d->out_c);
  }
}
