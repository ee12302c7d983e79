/* The image around some output rows, copied with its padding: what vector kernels read. Included by those that do. */
#ifndef NIWAKI_STRIP_H
#define NIWAKI_STRIP_H

/* Values of an image copied at a time, where more than a row fits: the first-level cache. */
#if defined(NIWAKI_AVX2) && !defined(NIWAKI_VNNI)
#define NIWAKI_STRIP 12288 /* of 16 bits */
#else
#define NIWAKI_STRIP 24576
#endif
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
      NIWAKI_FILL(strip, fill, (size_t)row);
      continue;
    }
    const int8_t *x = in + y * d->in_w * d->in_c;
    if (left) NIWAKI_FILL(strip, fill, (size_t)left);
    for (int32_t i = 0; i < taken; i++) strip[left + i] = (uint8_t)(x[i] ^ NIWAKI_FLIP);
    if (row > left + taken) NIWAKI_FILL(strip + left + taken, fill, (size_t)(row - left - taken));
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

/* At the end of a row so many places write no more than their `count` channels of 16: a whole vector would reach beyond
 * the row. */
NIWAKI_KERNEL int32_t niwaki_last_places(const niwaki_conv *d, int32_t count) {
  return count == 16 ? 0 : d->out_c < 16 ? 15 / d->out_c : 1;
}

#endif
