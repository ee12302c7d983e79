/* Convolutions and dense layers on an AVR that can multiply. Included by niwaki_kernels.h.
 *
 * A product takes 15 cycles: 2 to load the input from RAM, 3 the weight from flash, 2 to multiply, 5 to add a number of
 * 16 bits to one of 32, 3 for the loop. Windows are read where they lie, so no patch is kept on the stack.
 */

/* Adds the products of `rows` runs of `taps` values to a sum. Weights lie side by side; after each run `skip` inputs are
 * left out. `muls` leaves the sign of its product in the carry. */
static __attribute__((noinline, unused)) int32_t niwaki_window(const int8_t *x, const NIWAKI_FLASH int8_t *w,
                                                               uint8_t taps, uint8_t rows, uint16_t skip,
                                                               int32_t sum) {
  uint8_t left, sign;
  int8_t input, weight;
  __asm__ volatile(
      "1: mov %[left], %[taps]\n"
      "2: ld %[input], X+\n"
      "   lpm %[weight], Z+\n"
      "   muls %[input], %[weight]\n"
      "   sbc %[sign], %[sign]\n"
      "   add %A[sum], r0\n"
      "   adc %B[sum], r1\n"
      "   adc %C[sum], %[sign]\n"
      "   adc %D[sum], %[sign]\n"
      "   dec %[left]\n"
      "   brne 2b\n"
      "   add r26, %A[skip]\n"
      "   adc r27, %B[skip]\n"
      "   dec %[rows]\n"
      "   brne 1b\n"
      "   clr r1\n"
      : [sum] "+r"(sum), "+x"(x), "+z"(w), [rows] "+r"(rows), [left] "=&r"(left), [input] "=&d"(input),
        [weight] "=&d"(weight), [sign] "=&r"(sign)
      : [taps] "r"(taps), [skip] "r"(skip)
      : "memory");
  return sum;
}

/* Of one output channel the largest sum of a pooled place, some of whose windows leave the image. */
static __attribute__((noinline, unused)) int32_t niwaki_largest_at_edge(const niwaki_conv *d, const int8_t *in,
                                                                        const NIWAKI_FLASH int8_t *w, int32_t bias,
                                                                        int16_t top, int16_t left) {
  int32_t best = INT32_MIN;
  for (int16_t py = 0; py < d->pool_h; py++) {
    for (int16_t px = 0; px < d->pool_w; px++) {
      const int32_t sum = niwaki_conv_at(d, in, w, 0, bias, top + (int32_t)py * d->stride_h,
                                         left + (int32_t)px * d->stride_w);
      if (sum > best) best = sum;
    }
  }
  return best;
}

/* The same where all of them lie in the image, the first at `x`. */
static __attribute__((noinline, unused)) int32_t niwaki_largest(const niwaki_conv *d, const int8_t *x,
                                                                const NIWAKI_FLASH int8_t *w, int32_t bias) {
  const uint8_t taps = (uint8_t)(d->kernel_w * d->in_c);
  const uint16_t row = (uint16_t)d->in_w * (uint16_t)d->in_c, skip = row * (uint16_t)d->dilation_h - taps;
  const uint16_t right = (uint16_t)d->stride_w * (uint16_t)d->in_c;
  const uint16_t down = row * (uint16_t)d->stride_h - right * (uint16_t)d->pool_w;
  int32_t best = INT32_MIN;
  for (uint8_t py = (uint8_t)d->pool_h; py; py--, x += down) {
    for (uint8_t px = (uint8_t)d->pool_w; px; px--, x += right) {
      const int32_t sum = niwaki_window(x, w, taps, (uint8_t)d->kernel_h, skip, bias);
      if (sum > best) best = sum;
    }
  }
  return best;
}

/* Any convolution without groups; weights row by row for each output channel. */
NIWAKI_LARGE void niwaki_run_conv(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  const int32_t run = (int32_t)d->kernel_w * d->in_c;
  const int32_t seen_h = (int32_t)(d->kernel_h - 1) * d->dilation_h + (int32_t)(d->pool_h - 1) * d->stride_h;
  const int32_t seen_w = d->kernel_w - 1 + (int32_t)(d->pool_w - 1) * d->stride_w;
  const int small = d->dilation_w == 1 && run < 256 && d->kernel_h < 256 && d->pool_h < 256 && d->pool_w < 256;
  for (int16_t y = 0; y < d->out_h; y++) {
    for (int16_t x = 0; x < d->out_w; x++) {
      const NIWAKI_FLASH int8_t *w = d->weights;
      const int16_t top = (int16_t)(y * d->pool_h * d->stride_h - d->pad_top);
      const int16_t left = (int16_t)(x * d->pool_w * d->stride_w - d->pad_left);
      const int inside = small && top >= 0 && left >= 0 && top + seen_h < d->in_h && left + seen_w < d->in_w;
      const int8_t *const at = in + ((uint16_t)top * (uint16_t)d->in_w + (uint16_t)left) * (uint16_t)d->in_c;
      for (int16_t o = 0; o < d->out_c; o++, w += (uint16_t)run * (uint16_t)d->kernel_h) {
        const int32_t best = inside ? niwaki_largest(d, at, w, d->bias[o])
                                    : niwaki_largest_at_edge(d, in, w, d->bias[o], top, left);
        *out++ = niwaki_round((int64_t)best * d->multiplier[o], d->shift[o], d->out_zero, d->low, d->high);
      }
    }
  }
}

NIWAKI_LARGE void niwaki_run_dense(const niwaki_dense *d, const int8_t *in, int8_t *out) {
  const NIWAKI_FLASH int8_t *w = d->weights;
  for (int16_t o = 0; o < d->out; o++) {
    int32_t sum = d->bias[o];
    for (uint16_t i = 0; i < (uint16_t)d->in;) {
      const uint16_t left = (uint16_t)d->in - i;
      const uint8_t taps = (uint8_t)(left < 255 ? left : 255);
      sum = niwaki_window(in + i, w, taps, 1, 0, sum);
      i += taps;
      w += taps;
    }
    out[o] = niwaki_round_once((int64_t)sum * d->multiplier[o], d->shift[o], d->out_zero, d->low, d->high);
  }
}

#define niwaki_run_large_conv niwaki_run_conv
