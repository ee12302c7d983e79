/* Kernels for weights of NIWAKI_BITS bits, 4 or 2, in plain C and with the DSP instructions of Cortex-M. Included by
 * niwaki_kernels.h once for each; the names of the functions end in the bits.
 *
 * A byte has two lanes of 4 bits or four of 2, the first in its highest bits. Channels lie in fours, then two, then one:
 *
 *             of four channels, byte i holds     of two                          of one, of n inputs
 *   4 bits    input i of the first two; after    input i of both                 inputs i, n / 2 + i
 *             that row one of the last two
 *   2 bits    input i of all four                inputs i and n / 2 + i of both  i, n / 4 + i, 2 (n / 4) + i, ...
 *
 * What the division leaves over is in one byte more. So no row has a gap, and every row starts on a byte.
 */
#define NIWAKI_PACKED_(name, bits) niwaki_##name##_##bits##bit
#define NIWAKI_PACKED(name, bits) NIWAKI_PACKED_(name, bits)
#define P(name) NIWAKI_PACKED(name, NIWAKI_BITS)
#define NIWAKI_PER_BYTE (8 / NIWAKI_BITS)

/* The weight in one lane of a byte. */
NIWAKI_KERNEL int32_t P(weight)(int32_t byte, int32_t lane) {
  return (int32_t)((uint32_t)byte << (24 + NIWAKI_BITS * lane)) >> (32 - NIWAKI_BITS);
}

#if defined(NIWAKI_DSP)
/* Shifted to the top of a halfword, a weight is a number of 16 bits times 2^NIWAKI_SCALED; sums of 511 products with
 * activations, scaled so, stay within 32 bits. Bytes 1 and 3 are the upper ones of their halfwords. */
#define NIWAKI_SCALED (16 - NIWAKI_BITS)
#if NIWAKI_BITS == 4
#define NIWAKI_TOP 0xf000f000
#define NIWAKI_ADD_0(sum) NIWAKI_ADD(sum, "0", "8")
#define NIWAKI_ADD_1(sum) NIWAKI_ADD(sum, "4", "12")
#else
#define NIWAKI_TOP 0xc000c000
#define NIWAKI_ADD_0(sum) NIWAKI_ADD(sum, "0", "8")
#define NIWAKI_ADD_1(sum) NIWAKI_ADD(sum, "2", "10")
#define NIWAKI_ADD_2(sum) NIWAKI_ADD(sum, "4", "12")
#define NIWAKI_ADD_3(sum) NIWAKI_ADD(sum, "6", "14")
#endif
#define NIWAKI_ADD(sum, odd, even)                                               \
  __asm__("and %0, %1, %2, lsl #" odd : "=r"(pair) : "r"(top), "r"(ws));         \
  sum = __smlad(x13, pair, sum);                                                 \
  __asm__("and %0, %1, %2, lsl #" even : "=r"(pair) : "r"(top), "r"(ws));        \
  sum = __smlad(x02, pair, sum);
#define NIWAKI_SEE(x)        \
  xs = niwaki_four(x);       \
  x02 = niwaki_bytes_02(xs); \
  x13 = niwaki_bytes_13(xs);
#endif

/* `count` bytes of four channels; rows of bytes are `row` apart. */
NIWAKI_KERNEL void P(dot_four)(const int8_t *x, const NIWAKI_FLASH int8_t *w, int32_t row, int32_t count,
                                int32_t *sums) {
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, i = 0;
#if defined(NIWAKI_DSP)
  const int32_t top = (int32_t)NIWAKI_TOP;
  int32_t xs, x02, x13, ws, pair;
  for (; i + 4 <= count; i += 4) {
    NIWAKI_SEE(x + i)
    ws = niwaki_four(w + i);
    NIWAKI_ADD_0(s0)
    NIWAKI_ADD_1(s1)
#if NIWAKI_BITS == 4
    ws = niwaki_four(w + row + i);
    NIWAKI_ADD_0(s2)
    NIWAKI_ADD_1(s3)
#else
    NIWAKI_ADD_2(s2)
    NIWAKI_ADD_3(s3)
#endif
  }
  s0 >>= NIWAKI_SCALED;
  s1 >>= NIWAKI_SCALED;
  s2 >>= NIWAKI_SCALED;
  s3 >>= NIWAKI_SCALED;
#endif
  for (; i < count; i++) {
    s0 += x[i] * P(weight)(w[i], 0);
    s1 += x[i] * P(weight)(w[i], 1);
#if NIWAKI_BITS == 4
    s2 += x[i] * P(weight)(w[row + i], 0);
    s3 += x[i] * P(weight)(w[row + i], 1);
#else
    s2 += x[i] * P(weight)(w[i], 2);
    s3 += x[i] * P(weight)(w[i], 3);
#endif
  }
  (void)row;
  sums[0] += s0;
  sums[1] += s1;
  sums[2] += s2;
  sums[3] += s3;
}

/* `count` bytes of two channels; inputs of further lanes are `row` apart. */
NIWAKI_KERNEL void P(dot_two)(const int8_t *x, const NIWAKI_FLASH int8_t *w, int32_t row, int32_t count,
                               int32_t *sums) {
  int32_t s0 = 0, s1 = 0, i = 0;
#if defined(NIWAKI_DSP)
  const int32_t top = (int32_t)NIWAKI_TOP;
  int32_t xs, x02, x13, ws, pair;
  for (; i + 4 <= count; i += 4) {
    NIWAKI_SEE(x + i)
    ws = niwaki_four(w + i);
    NIWAKI_ADD_0(s0)
    NIWAKI_ADD_1(s1)
#if NIWAKI_BITS == 2
    NIWAKI_SEE(x + row + i)
    NIWAKI_ADD_2(s0)
    NIWAKI_ADD_3(s1)
#endif
  }
  s0 >>= NIWAKI_SCALED;
  s1 >>= NIWAKI_SCALED;
#endif
  for (; i < count; i++) {
    s0 += x[i] * P(weight)(w[i], 0);
    s1 += x[i] * P(weight)(w[i], 1);
#if NIWAKI_BITS == 2
    s0 += x[row + i] * P(weight)(w[i], 2);
    s1 += x[row + i] * P(weight)(w[i], 3);
#endif
  }
  (void)row;
  sums[0] += s0;
  sums[1] += s1;
}

/* `count` bytes of one channel; inputs of further lanes are `row` apart. */
NIWAKI_KERNEL int32_t P(dot_one)(const int8_t *x, const NIWAKI_FLASH int8_t *w, int32_t row, int32_t count) {
  int32_t s0 = 0, i = 0;
#if defined(NIWAKI_DSP)
  const int32_t top = (int32_t)NIWAKI_TOP;
  int32_t xs, x02, x13, ws, pair;
  for (; i + 4 <= count; i += 4) {
    NIWAKI_SEE(x + i)
    ws = niwaki_four(w + i);
    NIWAKI_ADD_0(s0)
    NIWAKI_SEE(x + row + i)
    NIWAKI_ADD_1(s0)
#if NIWAKI_BITS == 2
    NIWAKI_SEE(x + 2 * row + i)
    NIWAKI_ADD_2(s0)
    NIWAKI_SEE(x + 3 * row + i)
    NIWAKI_ADD_3(s0)
#endif
  }
  s0 >>= NIWAKI_SCALED;
#endif
  for (; i < count; i++) {
    s0 += x[i] * P(weight)(w[i], 0);
    s0 += x[row + i] * P(weight)(w[i], 1);
#if NIWAKI_BITS == 2
    s0 += x[2 * row + i] * P(weight)(w[i], 2);
    s0 += x[3 * row + i] * P(weight)(w[i], 3);
#endif
  }
  return s0;
}

/* Add the products of `size` inputs with the weights of 4, 2 or 1 channels to their sums. */
NIWAKI_KERNEL void P(dot)(const int8_t *x, const NIWAKI_FLASH int8_t *w, int32_t size, int32_t channels,
                           int32_t *sums) {
  const int32_t parts = channels < NIWAKI_PER_BYTE ? NIWAKI_PER_BYTE / channels : 1;
  const int32_t row = size / parts, most = (512 / parts) - 4;
  for (int32_t i = 0; i < row; i += most) {
    const int32_t count = row - i < most ? row - i : most;
    if (channels == 4)
      P(dot_four)(x + i, w + i, row, count, sums);
    else if (channels == 2)
      P(dot_two)(x + i, w + i, row, count, sums);
    else
      sums[0] += P(dot_one)(x + i, w + i, row, count);
  }
  for (int32_t left = 0; left < size - parts * row; left++) {
    for (int32_t c = 0; c < channels; c++)
      sums[c] += x[parts * row + left] * P(weight)(w[row], left * channels + c);
  }
}

/* Channels `first` to `first + channels` (4, 2 or 1) of what lies side by side: the largest of `places` sums, rounded. */
NIWAKI_KERNEL void P(channels)(const niwaki_dense *d, const int8_t *x, int32_t places, const NIWAKI_FLASH int8_t *w,
                               int32_t first, int32_t channels, int8_t *out) {
  int32_t best[4] = {INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN};
  for (int32_t place = 0; place < places; place++, x += d->in) {
    int32_t sums[4] = {0, 0, 0, 0};
    for (int32_t c = 0; c < channels; c++) sums[c] = d->bias[first + c];
    P(dot)(x, w, d->in, channels, sums);
    for (int32_t c = 0; c < channels; c++) best[c] = sums[c] > best[c] ? sums[c] : best[c];
  }
  for (int32_t c = 0; c < channels; c++) {
    int64_t product = (int64_t)best[c] * d->multiplier[first + c];
#if defined(NIWAKI_TWICE)
    if (d->twice) product += niwaki_more(product, d->shift[first + c]);
#endif
    out[first + c] = niwaki_round_once(product, d->shift[first + c], d->out_zero, d->low, d->high);
  }
}

NIWAKI_KERNEL void P(outputs)(const niwaki_dense *d, const int8_t *x, int32_t places, int8_t *out) {
  const NIWAKI_FLASH int8_t *w = d->weights;
  int32_t first = 0;
  for (; first + 4 <= d->out; first += 4, w += d->in * NIWAKI_BITS / 2) P(channels)(d, x, places, w, first, 4, out);
  if (d->out & 2) {
    P(channels)(d, x, places, w, first, 2, out);
    first += 2;
    w += (d->in * 2 * NIWAKI_BITS + 7) / 8;
  }
  if (d->out & 1) P(channels)(d, x, places, w, first, 1, out);
}

NIWAKI_KERNEL void P(dense_rows)(const niwaki_dense *d, const int8_t *in, int8_t *out) { P(outputs)(d, in, 1, out); }

/* A convolution without groups that sees at most NIWAKI_PATCH bytes at a place. */
NIWAKI_LARGE void P(conv_patches)(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  const int32_t size = (int32_t)d->kernel_h * d->kernel_w * d->in_c;
  const niwaki_dense each = {.in = size, .out = d->out_c, .out_zero = d->out_zero, .low = d->low, .high = d->high,
#if defined(NIWAKI_TWICE)
                             .twice = 1,
#endif
                             .weights = d->weights, .bias = d->bias, .multiplier = d->multiplier, .shift = d->shift};
  NIWAKI_ALIGNED int8_t patches[NIWAKI_PATCH];
  for (int32_t y = 0; y < d->out_h; y++) {
    for (int32_t x = 0; x < d->out_w; x++, out += d->out_c) {
      for (int32_t py = 0; py < d->pool_h; py++)
        for (int32_t px = 0; px < d->pool_w; px++)
          niwaki_gather(d, in, (y * d->pool_h + py) * d->stride_h - d->pad_top,
                        (x * d->pool_w + px) * d->stride_w - d->pad_left, patches + (py * d->pool_w + px) * size);
      P(outputs)(&each, patches, d->pool_h * d->pool_w, out);
    }
  }
}

NIWAKI_KERNEL int32_t P(sum)(const NIWAKI_FLASH int8_t *w, int32_t bytes) {
  int32_t sum = 0;
  for (int32_t i = 0; i < bytes; i++)
    for (int32_t lane = 0; lane < NIWAKI_PER_BYTE; lane++) sum += P(weight)(w[i], lane);
  return sum;
}

/* One output channel at one place, a row of weights for each tap. */
NIWAKI_KERNEL int32_t P(conv_at)(const niwaki_conv *d, const int8_t *in, const NIWAKI_FLASH int8_t *w, int32_t channel,
                                 int32_t sum, int32_t top, int32_t left) {
  const int32_t depth = d->in_c / d->groups, bytes = (depth * NIWAKI_BITS + 7) / 8;
  for (int32_t ky = 0; ky < d->kernel_h; ky++) {
    for (int32_t kx = 0; kx < d->kernel_w; kx++, w += bytes) {
      const int32_t y = top + ky * d->dilation_h, x = left + kx * d->dilation_w;
      if (y >= 0 && y < d->in_h && x >= 0 && x < d->in_w)
        P(dot)(in + (y * d->in_w + x) * d->in_c + channel, w, depth, 1, &sum);
      else
        sum += d->in_zero * P(sum)(w, bytes);
    }
  }
  return sum;
}

/* Any convolution. */
NIWAKI_KERNEL void P(conv_rows)(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  const int32_t depth = d->in_c / d->groups, filters = d->out_c / d->groups;
  const int32_t bytes = (int32_t)d->kernel_h * d->kernel_w * ((depth * NIWAKI_BITS + 7) / 8);
  for (int32_t y = 0; y < d->out_h; y++) {
    for (int32_t x = 0; x < d->out_w; x++) {
      for (int32_t o = 0; o < d->out_c; o++) {
        int32_t best = INT32_MIN;
        for (int32_t py = 0; py < d->pool_h; py++) {
          for (int32_t px = 0; px < d->pool_w; px++) {
            const int32_t top = (y * d->pool_h + py) * d->stride_h - d->pad_top;
            const int32_t left = (x * d->pool_w + px) * d->stride_w - d->pad_left;
            const int32_t sum =
                P(conv_at)(d, in, d->weights + o * bytes, o / filters * depth, d->bias[o], top, left);
            if (sum > best) best = sum;
          }
        }
        *out++ = niwaki_round((int64_t)best * d->multiplier[o], d->shift[o], d->out_zero, d->low, d->high);
      }
    }
  }
}

/* Each channel by itself: channels `first` to `first + count` at one place. A tap has a row of bytes, in which channel
 * c is lane c % NIWAKI_PER_BYTE of byte c / NIWAKI_PER_BYTE. */
NIWAKI_KERNEL void P(depthwise_lanes)(const niwaki_conv *d, const int8_t *in, int32_t top, int32_t left, int32_t first,
                                      int32_t count, int8_t *out) {
  const int32_t row = (d->in_c * NIWAKI_BITS + 7) / 8;
  const NIWAKI_FLASH int8_t *w = d->weights + first / NIWAKI_PER_BYTE;
  NIWAKI_ALIGNED int8_t zeros[NIWAKI_LANES];
  NIWAKI_ALIGNED int32_t sums[NIWAKI_LANES];
  NIWAKI_FILL(zeros, d->in_zero, sizeof zeros);
  for (int32_t c = 0; c < count; c++) sums[c] = d->bias[first + c];
  for (int32_t ky = 0; ky < d->kernel_h; ky++) {
    for (int32_t kx = 0; kx < d->kernel_w; kx++, w += row) {
      const int32_t y = top + ky * d->dilation_h, x = left + kx * d->dilation_w;
      const int inside = y >= 0 && y < d->in_h && x >= 0 && x < d->in_w;
      const int8_t *p = inside ? in + (y * d->in_w + x) * d->in_c + first : zeros;
      int32_t c = 0;
      for (; c + NIWAKI_PER_BYTE <= count; c += NIWAKI_PER_BYTE) {
        for (int32_t lane = 0; lane < NIWAKI_PER_BYTE; lane++)
          sums[c + lane] += p[c + lane] * P(weight)(w[c / NIWAKI_PER_BYTE], lane);
      }
      for (int32_t lane = 0; c < count; c++, lane++) sums[c] += p[c] * P(weight)(w[count / NIWAKI_PER_BYTE], lane);
    }
  }
  for (int32_t c = 0; c < count; c++)
    out[first + c] = niwaki_round((int64_t)sums[c] * d->multiplier[first + c], d->shift[first + c], d->out_zero,
                                  d->low, d->high);
}

NIWAKI_KERNEL void P(depthwise)(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  for (int32_t y = 0; y < d->out_h; y++) {
    for (int32_t x = 0; x < d->out_w; x++, out += d->out_c) {
      const int32_t top = y * d->stride_h - d->pad_top, left = x * d->stride_w - d->pad_left;
      for (int32_t first = 0; first < d->out_c; first += NIWAKI_LANES)
        P(depthwise_lanes)(d, in, top, left, first,
                           d->out_c - first < NIWAKI_LANES ? d->out_c - first : NIWAKI_LANES, out);
    }
  }
}

#undef P
#undef NIWAKI_PER_BYTE
#if defined(NIWAKI_DSP)
#undef NIWAKI_SCALED
#undef NIWAKI_TOP
#undef NIWAKI_ADD_0
#undef NIWAKI_ADD_1
#undef NIWAKI_ADD_2
#undef NIWAKI_ADD_3
#undef NIWAKI_ADD
#undef NIWAKI_SEE
#endif
