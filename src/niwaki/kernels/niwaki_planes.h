/* Cortex-M with the DSP extension: depthwise convolution of 3x3, a channel at a time. Included by niwaki_kernels.h.
 *
 * Some rows of one channel are copied, with their padding, to a plane of bytes side by side. The nine weights stay in
 * registers while the plane is worked off:
 *
 *   w02  w0 and w2 of a kernel row     middle  w1 of the first and the second kernel row     last  w1 of the third
 *
 * A word of the plane, widened to (x0, x2) and (x1, x3), gives two neighbouring outputs in four instructions:
 * SMLAD (x0, x2) w02, SMLABB x1 w1;  SMLAD (x1, x3) w02, SMLATB x2 w1.
 */

typedef struct {
  int32_t w02[3], middle, last;
} niwaki_taps;

/* The weight of a channel in a tap, 2^up times what it is; packed ones lie as niwaki_packed.h says. */
NIWAKI_KERNEL int32_t niwaki_tap(const niwaki_conv *d, int32_t bits, int32_t tap, int32_t channel) {
  const int32_t lane = channel % (8 / bits), row = (d->in_c * bits + 7) / 8;
  const int32_t byte = d->weights[tap * row + channel / (8 / bits)];
  return ((int32_t)((uint32_t)byte << (24 + bits * lane)) >> (32 - bits)) * (1 << NIWAKI_UP(d));
}

NIWAKI_KERNEL int32_t niwaki_two_taps(const niwaki_conv *d, int32_t bits, int32_t low, int32_t high, int32_t channel) {
  return (niwaki_tap(d, bits, low, channel) & 0xffff) |
         (int32_t)((uint32_t)niwaki_tap(d, bits, high, channel) << 16);
}

NIWAKI_KERNEL niwaki_taps niwaki_taps_of(const niwaki_conv *d, int32_t bits, int32_t channel) {
  const niwaki_taps taps = {{niwaki_two_taps(d, bits, 0, 2, channel), niwaki_two_taps(d, bits, 3, 5, channel),
                             niwaki_two_taps(d, bits, 6, 8, channel)},
                            niwaki_two_taps(d, bits, 1, 4, channel), niwaki_tap(d, bits, 7, channel)};
  return taps;
}

/* Whether the kernel can do it: 3x3, and three padded rows fit. */
NIWAKI_KERNEL int32_t niwaki_plane_row(const niwaki_conv *d) {
  return ((d->out_w - 1) * d->stride_w + 3 + 4) & ~1; /* the last word may reach beyond */
}

NIWAKI_KERNEL int niwaki_has_planes(const niwaki_conv *d) {
  return d->kernel_h == 3 && d->kernel_w == 3 && d->dilation_h == 1 && d->dilation_w == 1 && d->stride_w <= 2 && d->pad_left <= 2 &&
         3 * niwaki_plane_row(d) <= NIWAKI_PLANE;
}

/* Copy `rows` rows of one channel from row `top` on; padding is the zero point. */
NIWAKI_KERNEL void niwaki_fill_plane(const niwaki_conv *d, const int8_t *in, int32_t top, int32_t rows, int8_t *plane) {
  const int32_t row = niwaki_plane_row(d), room = row - d->pad_left;
  const int32_t taken = d->in_w < room ? d->in_w : room;
  for (int32_t y = top; y < top + rows; y++, plane += row) {
    if (y < 0 || y >= d->in_h) {
      NIWAKI_FILL(plane, d->in_zero, (size_t)row);
      continue;
    }
    const int8_t *x = in + y * d->in_w * d->in_c;
    int8_t *to = plane;
    for (int32_t i = 0; i < d->pad_left; i++) *to++ = (int8_t)d->in_zero;
    int32_t i = taken;
#define NIWAKI_PUT(k)      \
  to[k] = x[(k) * d->in_c]; \
  __asm__("" : : : "memory"); /* else bytes are put together, in twice as many instructions */
    for (; i >= 4; i -= 4, x += 4 * d->in_c, to += 4) {
      NIWAKI_PUT(0)
      NIWAKI_PUT(1)
      NIWAKI_PUT(2)
      NIWAKI_PUT(3)
    }
    for (; i > 0; i--, x += d->in_c, to++) {
      NIWAKI_PUT(0)
    }
    for (i = room - taken; i > 0; i--) *to++ = (int8_t)d->in_zero;
  }
}

#define NIWAKI_ROW_OF_TWO(x, ky, one, top)                    \
  four = niwaki_four(x);                                      \
  even = niwaki_bytes_02(four);                               \
  odd = niwaki_bytes_13(four);                                \
  first = __smlad(even, taps.w02[ky], first);                 \
  second = __smlad(odd, taps.w02[ky], second);                \
  first = top ? __smlabt(odd, one, first) : __smlabb(odd, one, first); \
  second = top ? __smlatt(even, one, second) : __smlatb(even, one, second);

#define NIWAKI_ROW_OF_ONE(x, ky, one, top)                    \
  four = niwaki_four(x);                                      \
  even = niwaki_bytes_02(four);                               \
  odd = niwaki_bytes_13(four);                                \
  first = __smlad(even, taps.w02[ky], first);                 \
  first = top ? __smlabt(odd, one, first) : __smlabb(odd, one, first);

#if defined(NIWAKI_TWICE)
#define NIWAKI_END(sum) \
  (int8_t)((void)any, niwaki_conv_rounded(sum, multiplier, shift, d->out_zero, d->low, d->high))
#else
#define NIWAKI_END(sum)                                                                            \
  (int8_t)(any ? niwaki_rounded(sum, multiplier, shift, d->out_zero, d->low, d->high)              \
               : niwaki_rounded_beyond(sum, multiplier, shift - 32, d->out_zero, d->low, d->high))
#endif

/* `rows` output rows of a channel from its plane; without `any`, its shift is beyond 32 as sums are. */
NIWAKI_KERNEL void niwaki_plane(const niwaki_conv *d, const int8_t *plane, int32_t rows, int32_t channel,
                                niwaki_taps taps, int any, int8_t *out) {
  const int32_t row = niwaki_plane_row(d), bias = d->bias[channel] * (1 << NIWAKI_UP(d));
  const int32_t multiplier = d->multiplier[channel], shift = d->shift[channel] + NIWAKI_UP(d), step = d->out_c;
  for (; rows > 0; rows--, plane += d->stride_h * row) {
    const int8_t *x = plane;
    int32_t i = d->out_w, four, even, odd, first, second;
    for (; d->stride_w == 1 && i >= 2; i -= 2, x += 2, out += 2 * step) {
      first = second = bias;
      NIWAKI_ROW_OF_TWO(x, 0, taps.middle, 0)
      NIWAKI_ROW_OF_TWO(x + row, 1, taps.middle, 1)
      NIWAKI_ROW_OF_TWO(x + 2 * row, 2, taps.last, 0)
      out[0] = NIWAKI_END(first);
      out[step] = NIWAKI_END(second);
    }
    for (; i > 0; i--, x += d->stride_w, out += step) {
      first = bias;
      NIWAKI_ROW_OF_ONE(x, 0, taps.middle, 0)
      NIWAKI_ROW_OF_ONE(x + row, 1, taps.middle, 1)
      NIWAKI_ROW_OF_ONE(x + 2 * row, 2, taps.last, 0)
      out[0] = NIWAKI_END(first);
    }
  }
}

static __attribute__((noinline, unused)) void niwaki_plane_any(const niwaki_conv *d, const int8_t *plane, int32_t rows,
                                                               int32_t channel, const niwaki_taps *taps, int8_t *out) {
  niwaki_plane(d, plane, rows, channel, *taps, 1, out);
}

/* All channels, some output rows at a time. */
NIWAKI_LARGE void niwaki_depthwise_planes(const niwaki_conv *d, int32_t bits, const int8_t *in, int8_t *out) {
  const int32_t most = (NIWAKI_PLANE / niwaki_plane_row(d) - 3) / d->stride_h + 1;
  int8_t plane[NIWAKI_PLANE];
  for (int32_t y = 0; y < d->out_h; y += most) {
    const int32_t rows = d->out_h - y < most ? d->out_h - y : most;
    for (int32_t c = 0; c < d->out_c; c++) {
      niwaki_fill_plane(d, in + c, y * d->stride_h - d->pad_top, (rows - 1) * d->stride_h + 3, plane);
      const niwaki_taps taps = niwaki_taps_of(d, bits, c);
      if (__builtin_expect(d->shift[c] + NIWAKI_UP(d) > 32, 1))
        niwaki_plane(d, plane, rows, c, taps, 0, out + y * d->out_w * d->out_c + c);
      else {
        NIWAKI_APART(d, layer);
        niwaki_plane_any(layer, plane, rows, c, &taps, out + y * d->out_w * d->out_c + c);
      }
    }
  }
}

NIWAKI_KERNEL void niwaki_run_depthwise(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  if (niwaki_has_planes(d))
    niwaki_depthwise_planes(d, 8, in, out);
  else
    niwaki_depthwise(d, in, out);
}
