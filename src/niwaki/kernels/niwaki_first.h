/* Cortex-M with the DSP extension: a first layer that looks at one channel through rows of five, and keeps the largest
 * of 2x2 places. Included by niwaki_kernels.h.
 *
 * Two neighbouring places see x0 to x5 of a row, widened once for all output channels and both rows of places:
 *
 *   (x0, x2) (x1, x3) (x2, x4) (x3, x5)
 *
 * With the weights as (w0, w2), (w1, w3), w4 each place takes two SMLAD and one SMLATB for five products.
 */

NIWAKI_KERNEL int niwaki_is_first(const niwaki_conv *d) {
  return d->in_c == 1 && d->kernel_w == 5 && d->kernel_h <= 7 && d->pool_h == 2 && d->pool_w == 2 &&
         d->stride_h == 1 && d->stride_w == 1 && d->dilation_h == 1 && d->pad_top == 0 && d->pad_left == 0 &&
         2 * d->out_h + d->kernel_h - 1 <= d->in_h && 2 * d->out_w + 4 <= d->in_w;
}

#define NIWAKI_PRODUCTS(left, right)                                                                              \
  "smlad %[" left "], %[a], %[w02], %[" left "]\n\tsmlad %[" right "], %[b], %[w02], %[" right "]\n\t"            \
  "smlad %[" left "], %[b], %[w13], %[" left "]\n\tsmlad %[" right "], %[c], %[w13], %[" right "]\n\t"            \
  "smlatb %[" left "], %[c], %[w4], %[" left "]\n\tsmlatb %[" right "], %[e], %[w4], %[" right "]\n\t"

/* The largest of the sums of one channel at 2x2 places. Its kernel rows begin at `from`, which moves on to the next. */
NIWAKI_KERNEL int32_t niwaki_first_sum(const int32_t *x, const int8_t **from, int32_t rows, int32_t bias) {
  const int8_t *w = *from;
  int32_t s0 = bias, s1 = bias, s2 = bias, s3 = bias, a, b, c, e, w02, w13, w4;
  for (; rows > 0; rows--) {
    __asm__("ldr %[w13], [%[w]], #4\n\tldrsb %[w4], [%[w]], #1\n\t"
            "sxtb16 %[w02], %[w13]\n\tsxtb16 %[w13], %[w13], ror #8\n\t"
            "ldrd %[a], %[b], [%[x]], #8\n\tldrd %[c], %[e], [%[x]], #8\n\t" NIWAKI_PRODUCTS("s0", "s1")
            "ldrd %[a], %[b], [%[x]]\n\tldrd %[c], %[e], [%[x], #8]\n\t" NIWAKI_PRODUCTS("s2", "s3")
            : [x] "+r"(x), [w] "+r"(w), [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [a] "=&r"(a),
              [b] "=&r"(b), [c] "=&r"(c), [e] "=&r"(e), [w02] "=&r"(w02), [w13] "=&r"(w13), [w4] "=&r"(w4)
            :
            : "memory");
  }
  *from = w;
  s0 = s1 > s0 ? s1 : s0;
  s2 = s3 > s2 ? s3 : s2;
  return s2 > s0 ? s2 : s0;
}

NIWAKI_LARGE void niwaki_conv_first(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  int32_t rows[4 * 8];
  for (int32_t y = 0; y < d->out_h; y++) {
    for (int32_t x = 0; x < d->out_w; x++) {
      const int8_t *from = in + 2 * (y * d->in_w + x);
      for (int32_t i = 0; i <= d->kernel_h; i++, from += d->in_w) {
        const int32_t left = niwaki_four(from), right = niwaki_four(from + 2);
        rows[4 * i] = niwaki_bytes_02(left);
        rows[4 * i + 1] = niwaki_bytes_13(left);
        rows[4 * i + 2] = niwaki_bytes_02(right);
        rows[4 * i + 3] = niwaki_bytes_13(right);
      }
      const int8_t *w = d->weights;
      for (int32_t c = 0; c < d->out_c; c++) {
        const int32_t sum = niwaki_first_sum(rows, &w, d->kernel_h, d->bias[c]);
        *out++ = (int8_t)niwaki_conv_rounded(sum, d->multiplier[c], d->shift[c], d->out_zero, d->low, d->high);
      }
    }
  }
}

/* The weights of all channels, packed as niwaki_packed.h says, as bytes. */
NIWAKI_KERNEL void niwaki_unpack(const int8_t *from, int32_t bits, int32_t size, int32_t count, int8_t *w) {
  for (int32_t c = 0, channels; c < count; c += channels) {
    channels = count - c >= 4 ? 4 : count - c >= 2 ? 2 : 1;
    const int32_t beside = channels < 8 / bits ? channels : 8 / bits, strips = 8 / bits / beside;
    for (int32_t part = 0; part < channels; part += beside, w += beside * size) {
      for (int32_t i = 0; i < size; i++) {
        const int32_t strip = i / (size / strips), left = i - strips * (size / strips);
        const int32_t byte = left < 0 ? i % (size / strips) : size / strips, lane = left < 0 ? strip : left;
        for (int32_t k = 0; k < beside; k++)
          w[k * size + i] =
              (int8_t)((int32_t)((uint32_t)from[byte] << (24 + bits * (lane * beside + k))) >> (32 - bits));
      }
      from += (size * beside * bits + 7) / 8;
    }
  }
}

NIWAKI_KERNEL int niwaki_is_packed_first(const niwaki_conv *d) {
  return niwaki_is_first(d) && d->out_c * d->kernel_h * 5 <= NIWAKI_PATCH / 2;
}

NIWAKI_LARGE void niwaki_conv_packed_first(const niwaki_conv *d, int32_t bits, const int8_t *in, int8_t *out) {
  int8_t weights[NIWAKI_PATCH / 2];
  niwaki_conv bytes = *d;
  niwaki_unpack(d->weights, bits, d->kernel_h * 5, d->out_c, weights);
  bytes.weights = weights;
  niwaki_conv_first(&bytes, in, out);
}

#if defined(NIWAKI_SMALL)
#define niwaki_takes_pairs(d) 0
#else
#define niwaki_takes_pairs(d) (niwaki_pair_rows(d) > 0)
#endif

NIWAKI_KERNEL void niwaki_run_conv(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  if (niwaki_is_first(d))
    niwaki_conv_first(d, in, out);
  else if (niwaki_takes_pairs(d))
    niwaki_conv_pairs(d, 8, in, out);
  else
    niwaki_conv_patches(d, in, out);
}

NIWAKI_KERNEL void niwaki_run_large_conv(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  if (niwaki_takes_pairs(d))
    niwaki_conv_pairs(d, 8, in, out);
  else
    niwaki_conv_rows(d, in, out);
}
