/* AVX-512: convolution of each channel by itself, 16 channels to a vector. Included by niwaki_blocks.h.
 *
 * Weights lie as [tile of 16 channels][kernel column][kernel rows / 4][channel][4 rows]. What four rows have at one
 * column is made into the same order once, and serves every output that sees the column.
 */
#define NIWAKI_COLUMNS 12 /* vectors of columns that are kept at a time */

/* Four bytes of each of 16 channels: from rows x, x + step, x + 2 step, x + 3 step; rows beyond `count` are not read. */
NIWAKI_KERNEL __m512i niwaki_column(const uint8_t *x, int32_t step, int32_t count) {
  const __m512i by_four = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i turned = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  __m512i rows = _mm512_zextsi128_si512(_mm_loadu_epi8(x));
  if (count > 1) rows = _mm512_inserti32x4(rows, _mm_loadu_epi8(x + step), 1);
  if (count > 2) rows = _mm512_inserti32x4(rows, _mm_loadu_epi8(x + 2 * step), 2);
  if (count > 3) rows = _mm512_inserti32x4(rows, _mm_loadu_epi8(x + 3 * step), 3);
  return _mm512_shuffle_epi8(_mm512_permutexvar_epi32(by_four, rows), turned);
}

/* `places` (at most 4) outputs side by side, 16 channels of each. */
NIWAKI_KERNEL void niwaki_depthwise_tile(const niwaki_conv *d, const uint8_t *x, int32_t row, const int8_t *weights,
                                         __m512i bias, const niwaki_scale_16 *scale, int32_t places, int32_t channels,
                                         int8_t *out) {
  const int32_t groups = (d->kernel_h + 3) / 4;
  const int32_t seen = (places - 1) * d->stride_w + (d->kernel_w - 1) * d->dilation_w + 1;
  __m512i sums[4] = {bias, bias, bias, bias};
  for (int32_t g = 0; g < groups; g++) {
    __m512i columns[NIWAKI_COLUMNS];
    for (int32_t i = 0; i < seen; i++)
      columns[i] = niwaki_column(x + 4 * g * d->dilation_h * row + i * d->in_c, d->dilation_h * row,
                                 niwaki_least(4, d->kernel_h - 4 * g));
    for (int32_t kx = 0; kx < d->kernel_w; kx++) {
      const __m512i w = _mm512_loadu_epi8(weights + (kx * groups + g) * 64);
      for (int32_t p = 0; p < places; p++)
        sums[p] = _mm512_dpbusd_epi32(sums[p], columns[p * d->stride_w + kx * d->dilation_w], w);
    }
  }
  for (int32_t p = 0; p < places; p++)
    niwaki_store_16(sums[p], scale, d->out_zero, d->low, d->high, out + p * d->out_c, channels);
}

/* Columns fit for so many outputs side by side. */
NIWAKI_KERNEL int32_t niwaki_depthwise_places(const niwaki_conv *d) {
  const int32_t around = (d->kernel_w - 1) * d->dilation_w + 1;
  const int32_t places = (NIWAKI_COLUMNS - around) / d->stride_w + 1;
  return niwaki_least(niwaki_least(places, 4), d->out_w);
}

NIWAKI_KERNEL void niwaki_depthwise_rows(const niwaki_conv *d, const int8_t *in, int32_t y0, int32_t rows,
                                         int8_t *out) {
  NIWAKI_ALIGNED uint8_t scratch[NIWAKI_SCRATCH + NIWAKI_SLACK];
  const int32_t row = niwaki_strip_row(d), places = niwaki_depthwise_places(d), rest = d->out_w % places;
  const int32_t tile_size = d->kernel_w * ((d->kernel_h + 3) / 4) * 64;
  niwaki_fill_strip(d, in, y0, rows, row, scratch);
  NIWAKI_FILL(scratch + niwaki_strip_height(d, rows) * row, 0, NIWAKI_SLACK);
  for (int32_t first = 0; first < d->out_c; first += 16) {
    niwaki_scale_16 scale = niwaki_load_scale_16(d->multiplier + first, d->shift + first);
#if defined(NIWAKI_TWICE)
    niwaki_halve_twice_16(&scale, d->shift + first);
#endif
    const __m512i bias = niwaki_load_bias_16(d->bias + first);
    const int8_t *const weights = d->weights + first / 16 * tile_size;
    const int32_t channels = niwaki_least(16, d->out_c - first);
    for (int32_t y = 0; y < rows; y++) {
      const uint8_t *x = scratch + y * d->stride_h * row + first;
      int8_t *to = out + (y0 + y) * d->out_w * d->out_c + first;
      for (int32_t i = 0; i + places <= d->out_w; i += places) {
        niwaki_depthwise_tile(d, x, row, weights, bias, &scale, places, channels, to);
        x += places * d->stride_w * d->in_c;
        to += places * d->out_c;
      }
      if (rest) niwaki_depthwise_tile(d, x, row, weights, bias, &scale, rest, channels, to);
    }
  }
}

NIWAKI_KERNEL void niwaki_run_depthwise(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  const int32_t rows = niwaki_strip_rows(d), rest = d->out_h % rows;
  for (int32_t y = 0; y + rows <= d->out_h; y += rows) niwaki_depthwise_rows(d, in, y, rows, out);
  if (rest) niwaki_depthwise_rows(d, in, d->out_h - rest, rest, out);
}
