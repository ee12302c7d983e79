/* The kernels in plain C, and with the DSP instructions of Cortex-M. Included by niwaki_kernels.h. */

#if defined(NIWAKI_DSP)
#include <arm_acle.h>

NIWAKI_KERNEL int32_t niwaki_four(const int8_t *x) {
  int32_t four;
  NIWAKI_COPY(&four, x, 4);
  return four;
}

/* Bytes 0 and 2, and bytes 1 and 3, as pairs of 16 bits. */
NIWAKI_KERNEL int32_t niwaki_bytes_02(int32_t four) { return __sxtb16(four); }
NIWAKI_KERNEL int32_t niwaki_bytes_13(int32_t four) {
  int32_t pair;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(four)); /* compilers spend an instruction on the rotation */
  return pair;
}
#endif

NIWAKI_KERNEL int32_t niwaki_dot(const int8_t *x, const NIWAKI_FLASH int8_t *w, int32_t count, int32_t sum) {
  int32_t i = 0;
#if defined(NIWAKI_DSP)
  for (; i + 4 <= count; i += 4) {
    const int32_t xs = niwaki_four(x + i), ws = niwaki_four(w + i);
    sum = __smlad(niwaki_bytes_02(xs), niwaki_bytes_02(ws), sum);
    sum = __smlad(niwaki_bytes_13(xs), niwaki_bytes_13(ws), sum);
  }
#endif
  for (; i < count; i++) sum += x[i] * w[i];
  return sum;
}

/* Four sums over one input: the rows of weights lie `count` apart. */
NIWAKI_KERNEL void niwaki_dot_by_four(const int8_t *x, const NIWAKI_FLASH int8_t *w, int32_t count, int32_t *sums) {
  const NIWAKI_FLASH int8_t *const w1 = w + count, *const w2 = w1 + count, *const w3 = w2 + count;
  int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3], i = 0;
#if defined(NIWAKI_DSP)
#define NIWAKI_STEP(sum, row)                                   \
  ws = niwaki_four(row + i);                                    \
  sum = __smlad(x02, niwaki_bytes_02(ws), sum);                 \
  sum = __smlad(x13, niwaki_bytes_13(ws), sum);
  for (; i + 4 <= count; i += 4) {
    const int32_t xs = niwaki_four(x + i), x02 = niwaki_bytes_02(xs), x13 = niwaki_bytes_13(xs);
    int32_t ws;
    NIWAKI_STEP(s0, w)
    NIWAKI_STEP(s1, w1)
    NIWAKI_STEP(s2, w2)
    NIWAKI_STEP(s3, w3)
  }
#undef NIWAKI_STEP
#endif
  for (; i < count; i++) {
    s0 += x[i] * w[i];
    s1 += x[i] * w1[i];
    s2 += x[i] * w2[i];
    s3 += x[i] * w3[i];
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

NIWAKI_KERNEL int32_t niwaki_sum(const NIWAKI_FLASH int8_t *w, int32_t count) {
  int32_t sum = 0;
  for (int32_t i = 0; i < count; i++) sum += w[i];
  return sum;
}

/* One output channel at one place, the weights row by row [kernel_h][kernel_w][in_c / groups]. Taps that lie in the
 * padding see the zero point, which the bias takes away again. */
NIWAKI_KERNEL int32_t niwaki_conv_at(const niwaki_conv *d, const int8_t *in, const NIWAKI_FLASH int8_t *w,
                                     int32_t channel, int32_t bias, int32_t top, int32_t left) {
  const int32_t depth = d->in_c / d->groups;
  const int32_t row = (int32_t)d->in_w * d->in_c, taps = (int32_t)d->kernel_w * d->in_c;
  int32_t sum = bias;
  if (d->groups == 1 && d->dilation_w == 1 && top >= 0 && top + (int32_t)(d->kernel_h - 1) * d->dilation_h < d->in_h &&
      left >= 0 && left + d->kernel_w <= d->in_w) {
    const int8_t *x = in + top * row + left * d->in_c;
    for (int32_t ky = 0; ky < d->kernel_h; ky++) {
      sum = niwaki_dot(x, w, taps, sum);
      x += d->dilation_h * row;
      w += taps;
    }
    return sum;
  }
  for (int32_t ky = 0; ky < d->kernel_h; ky++) {
    for (int32_t kx = 0; kx < d->kernel_w; kx++, w += depth) {
      const int32_t y = top + ky * d->dilation_h, x = left + kx * d->dilation_w;
      if (y >= 0 && y < d->in_h && x >= 0 && x < d->in_w)
        sum = niwaki_dot(in + y * row + x * d->in_c + channel, w, depth, sum);
      else
        sum += d->in_zero * niwaki_sum(w, depth);
    }
  }
  return sum;
}

/* Any convolution; weights row by row for each output channel. */
NIWAKI_KERNEL void niwaki_conv_rows(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  const int32_t depth = d->in_c / d->groups, filters = d->out_c / d->groups;
  for (int32_t y = 0; y < d->out_h; y++) {
    for (int32_t x = 0; x < d->out_w; x++) {
      for (int32_t o = 0; o < d->out_c; o++) {
        const NIWAKI_FLASH int8_t *w = d->weights + o * d->kernel_h * d->kernel_w * depth;
        int32_t best = INT32_MIN;
        for (int32_t py = 0; py < d->pool_h; py++) {
          for (int32_t px = 0; px < d->pool_w; px++) {
            const int32_t top = (y * d->pool_h + py) * d->stride_h - d->pad_top;
            const int32_t left = (x * d->pool_w + px) * d->stride_w - d->pad_left;
            const int32_t sum = niwaki_conv_at(d, in, w, o / filters * depth, d->bias[o], top, left);
            if (sum > best) best = sum;
          }
        }
        *out++ = niwaki_round((int64_t)best * d->multiplier[o], d->shift[o], d->out_zero, d->low, d->high);
      }
    }
  }
}

/* What one output place sees, side by side; padding is the zero point. */
NIWAKI_KERNEL void niwaki_gather(const niwaki_conv *d, const int8_t *in, int32_t top, int32_t left, int8_t *patch) {
  for (int32_t ky = 0; ky < d->kernel_h; ky++) {
    const int32_t y = top + ky * d->dilation_h;
    for (int32_t kx = 0; kx < d->kernel_w; kx++, patch += d->in_c) {
      const int32_t x = left + kx * d->dilation_w;
      if (y < 0 || y >= d->in_h || x < 0 || x >= d->in_w) {
        NIWAKI_FILL(patch, d->in_zero, (size_t)d->in_c);
      } else if (d->dilation_w == 1 && x + d->kernel_w - kx <= d->in_w) { /* the rest of the row at once */
        NIWAKI_COPY(patch, in + (y * d->in_w + x) * d->in_c, (size_t)((d->kernel_w - kx) * d->in_c));
        patch += (d->kernel_w - kx) * d->in_c;
        break;
      } else {
        NIWAKI_COPY(patch, in + (y * d->in_w + x) * d->in_c, (size_t)d->in_c);
      }
    }
  }
}

/* `channels` output channels (at most 4) of one place: the largest of its `places` sums, rounded. */
NIWAKI_KERNEL void niwaki_conv_channels(const niwaki_conv *d, const int8_t *patches, int32_t size, int32_t first,
                                        int32_t channels, int8_t *out) {
  const NIWAKI_FLASH int8_t *const w = d->weights + first * size;
  int32_t best[4] = {INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN};
  for (int32_t place = 0; place < d->pool_h * d->pool_w; place++, patches += size) {
    int32_t sums[4] = {0, 0, 0, 0};
    for (int32_t c = 0; c < channels; c++) sums[c] = d->bias[first + c];
    if (channels == 4) {
      niwaki_dot_by_four(patches, w, size, sums);
    } else {
      for (int32_t c = 0; c < channels; c++) sums[c] = niwaki_dot(patches, w + c * size, size, sums[c]);
    }
    for (int32_t c = 0; c < channels; c++) best[c] = sums[c] > best[c] ? sums[c] : best[c];
  }
  for (int32_t c = 0; c < channels; c++)
    out[c] = niwaki_round((int64_t)best[c] * d->multiplier[first + c], d->shift[first + c], d->out_zero, d->low,
                          d->high);
}

/* A convolution without groups that sees at most NIWAKI_PATCH bytes at a place: model.c says how many. */
NIWAKI_LARGE void niwaki_conv_patches(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  const int32_t size = (int32_t)d->kernel_h * d->kernel_w * d->in_c;
  NIWAKI_ALIGNED int8_t patches[NIWAKI_PATCH];
  for (int32_t y = 0; y < d->out_h; y++) {
    for (int32_t x = 0; x < d->out_w; x++, out += d->out_c) {
      for (int32_t py = 0; py < d->pool_h; py++)
        for (int32_t px = 0; px < d->pool_w; px++)
          niwaki_gather(d, in, (y * d->pool_h + py) * d->stride_h - d->pad_top,
                        (x * d->pool_w + px) * d->stride_w - d->pad_left, patches + (py * d->pool_w + px) * size);
      for (int32_t o = 0; o < d->out_c; o += 4)
        niwaki_conv_channels(d, patches, size, o, d->out_c - o < 4 ? d->out_c - o : 4, out + o);
    }
  }
}

#define NIWAKI_LANES 16

/* Channels `first` to `first + count`, each by itself; weights [kernel_h][kernel_w][channels]. Where the whole window
 * lies `inside` the image, nothing is asked of single taps. */
NIWAKI_KERNEL void niwaki_depthwise_sums(const niwaki_conv *d, const int8_t *in, int32_t first, int32_t count,
                                         int32_t top, int32_t left, int inside, int32_t *sums) {
  for (int32_t c = 0; c < count; c++) sums[c] = d->bias[first + c];
  for (int32_t ky = 0; ky < d->kernel_h; ky++) {
    for (int32_t kx = 0; kx < d->kernel_w; kx++) {
      const int32_t y = top + ky * d->dilation_h, x = left + kx * d->dilation_w;
      const NIWAKI_FLASH int8_t *w = d->weights + (ky * d->kernel_w + kx) * d->in_c + first;
      if (inside || (y >= 0 && y < d->in_h && x >= 0 && x < d->in_w)) {
        const int8_t *p = in + (y * d->in_w + x) * d->in_c + first;
        for (int32_t c = 0; c < count; c++) sums[c] += p[c] * w[c];
      } else {
        for (int32_t c = 0; c < count; c++) sums[c] += d->in_zero * w[c];
      }
    }
  }
}

NIWAKI_KERNEL void niwaki_depthwise_lanes(const niwaki_conv *d, const int8_t *in, int32_t y, int32_t x, int32_t first,
                                          int32_t count, int8_t *out) {
  const int32_t top = y * d->stride_h - d->pad_top, left = x * d->stride_w - d->pad_left;
  NIWAKI_ALIGNED int32_t sums[NIWAKI_LANES];
  if (top >= 0 && left >= 0 && top + (int32_t)(d->kernel_h - 1) * d->dilation_h < d->in_h &&
      left + (int32_t)(d->kernel_w - 1) * d->dilation_w < d->in_w)
    niwaki_depthwise_sums(d, in, first, count, top, left, 1, sums);
  else
    niwaki_depthwise_sums(d, in, first, count, top, left, 0, sums);
  for (int32_t c = 0; c < count; c++)
    out[first + c] = niwaki_round((int64_t)sums[c] * d->multiplier[first + c], d->shift[first + c], d->out_zero,
                                  d->low, d->high);
}

NIWAKI_KERNEL void niwaki_depthwise(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  const int32_t whole = d->out_c / NIWAKI_LANES * NIWAKI_LANES;
  for (int32_t y = 0; y < d->out_h; y++) {
    for (int32_t x = 0; x < d->out_w; x++, out += d->out_c) {
      for (int32_t first = 0; first < whole; first += NIWAKI_LANES)
        niwaki_depthwise_lanes(d, in, y, x, first, NIWAKI_LANES, out);
      if (whole < d->out_c) niwaki_depthwise_lanes(d, in, y, x, whole, d->out_c - whole, out);
    }
  }
}

NIWAKI_KERNEL void niwaki_dense_rows(const niwaki_dense *d, const int8_t *in, int8_t *out) {
  for (int32_t o = 0; o < d->out; o += 4) {
    const NIWAKI_FLASH int8_t *const w = d->weights + o * d->in;
    const int32_t channels = d->out - o < 4 ? d->out - o : 4;
    int32_t sums[4] = {0, 0, 0, 0};
    for (int32_t c = 0; c < channels; c++) sums[c] = d->bias[o + c];
    if (channels == 4) {
      niwaki_dot_by_four(in, w, d->in, sums);
    } else {
      for (int32_t c = 0; c < channels; c++) sums[c] = niwaki_dot(in, w + c * d->in, d->in, sums[c]);
    }
    for (int32_t c = 0; c < channels; c++)
      out[o + c] = niwaki_round_once((int64_t)sums[c] * d->multiplier[o + c], d->shift[o + c], d->out_zero, d->low,
                                     d->high);
  }
}

/* May work in place where there is no padding: what is written was read before. */
NIWAKI_KERNEL void niwaki_run_max_pool(const niwaki_max_pool *d, const int8_t *in, int8_t *out) {
  for (int32_t y = 0; y < d->out_h; y++) {
    for (int32_t x = 0; x < d->out_w; x++, out += d->channels) {
      const int32_t top = y * d->stride_h - d->pad_top, left = x * d->stride_w - d->pad_left;
      const int32_t y0 = top < 0 ? 0 : top, x0 = left < 0 ? 0 : left;
      const int32_t y1 = top + d->kernel_h < d->in_h ? top + d->kernel_h : d->in_h;
      const int32_t x1 = left + d->kernel_w < d->in_w ? left + d->kernel_w : d->in_w;
      for (int32_t first = 0; first < d->channels; first += NIWAKI_LANES) {
        const int32_t count = d->channels - first < NIWAKI_LANES ? d->channels - first : NIWAKI_LANES;
        NIWAKI_ALIGNED int8_t best[NIWAKI_LANES];
        NIWAKI_FILL(best, -128, sizeof best);
        for (int32_t yy = y0; yy < y1; yy++) {
          for (int32_t xx = x0; xx < x1; xx++) {
            const int8_t *p = in + (yy * d->in_w + xx) * d->channels + first;
            for (int32_t c = 0; c < count; c++) best[c] = p[c] > best[c] ? p[c] : best[c];
          }
        }
        NIWAKI_COPY(out + first, best, (size_t)count);
      }
    }
  }
}

NIWAKI_KERNEL void niwaki_run_average_pool(const niwaki_average_pool *d, const int8_t *in, int8_t *out) {
  for (int32_t y = 0; y < d->out_h; y++) {
    for (int32_t x = 0; x < d->out_w; x++, out += d->channels) {
      const int32_t top = y * d->stride_h - d->pad_top, left = x * d->stride_w - d->pad_left;
      const int32_t y0 = top < 0 ? 0 : top, x0 = left < 0 ? 0 : left;
      const int32_t y1 = top + d->kernel_h < d->in_h ? top + d->kernel_h : d->in_h;
      const int32_t x1 = left + d->kernel_w < d->in_w ? left + d->kernel_w : d->in_w;
      const int32_t seen = (y1 - y0) * (x1 - x0);
      const int32_t index = d->divisors == 1 ? 0 : (d->count_pads ? (int32_t)d->kernel_h * d->kernel_w : seen) - 1;
      for (int32_t first = 0; first < d->channels; first += NIWAKI_LANES) {
        const int32_t count = d->channels - first < NIWAKI_LANES ? d->channels - first : NIWAKI_LANES;
        NIWAKI_ALIGNED int32_t sums[NIWAKI_LANES];
        for (int32_t c = 0; c < NIWAKI_LANES; c++) sums[c] = -seen * d->in_zero;
        for (int32_t yy = y0; yy < y1; yy++) {
          for (int32_t xx = x0; xx < x1; xx++) {
            const int8_t *p = in + (yy * d->in_w + xx) * d->channels + first;
            for (int32_t c = 0; c < count; c++) sums[c] += p[c];
          }
        }
        for (int32_t c = 0; c < count; c++) {
#if defined(NIWAKI_TWICE)
          if (d->divisors == 0) { /* the mean itself: division cuts towards zero */
            const int32_t sum = sums[c] + (sums[c] < 0 ? -(seen / 2) : seen / 2);
            out[first + c] = (int8_t)niwaki_clamp(sum / seen + d->in_zero, d->low, d->high);
            continue;
          }
#endif
          out[first + c] = niwaki_round((int64_t)sums[c] * d->multiplier[index], d->shift[index], d->out_zero, d->low,
                                        d->high);
        }
      }
    }
  }
}

/* May work in place. */
NIWAKI_KERNEL void niwaki_add_values(const niwaki_add *d, const int8_t *a, const int8_t *b, int8_t *out, int32_t from) {
  for (int32_t i = from; i < d->size; i++) {
    const int64_t sum = (int64_t)(a[i] - d->zero_a) * d->multiplier_a + (int64_t)(b[i] - d->zero_b) * d->multiplier_b;
    out[i] = niwaki_round_once(sum, d->shift, d->out_zero, d->low, d->high);
  }
}

#if defined(NIWAKI_TWICE)
/* May work in place. */
NIWAKI_KERNEL void niwaki_run_fine_add(const niwaki_fine_add *d, const int8_t *a, const int8_t *b, int8_t *out) {
  const int32_t fine = (int32_t)1 << 20;
  for (int32_t i = 0; i < d->size; i++) {
    const int32_t first = niwaki_scaled((a[i] - d->zero_a) * fine, d->multiplier_a, d->shift_a);
    const int32_t second = niwaki_scaled((b[i] - d->zero_b) * fine, d->multiplier_b, d->shift_b);
    const int32_t sum = d->minus ? first - second : first + second;
    out[i] = niwaki_round((int64_t)sum * d->multiplier, d->shift, d->out_zero, d->low, d->high);
  }
}
#endif

/* May work in place. */
NIWAKI_KERNEL void niwaki_run_requantize(const niwaki_requantize *d, const int8_t *in, int8_t *out) {
  for (int32_t r = 0; r < d->rows; r++, in += d->size, out += d->out_step) {
    for (int32_t i = 0; i < d->size; i++)
      out[i] = niwaki_round((int64_t)(in[i] - d->in_zero) * d->multiplier, d->shift, d->out_zero, d->low, d->high);
  }
}

NIWAKI_KERNEL void niwaki_run_pad(const niwaki_pad *d, const int8_t *in, int8_t *out) {
  const int32_t row = (int32_t)d->in_w * d->channels;
  const int32_t left = (int32_t)d->left * d->channels, right = (int32_t)d->right * d->channels;
  const int32_t whole = left + row + right;
  NIWAKI_FILL(out, d->value, (size_t)(d->top * whole));
  out += d->top * whole;
  for (int32_t y = 0; y < d->in_h; y++, in += row, out += whole) {
    NIWAKI_FILL(out, d->value, (size_t)left);
    NIWAKI_COPY(out + left, in, (size_t)row);
    NIWAKI_FILL(out + left + row, d->value, (size_t)right);
  }
  NIWAKI_FILL(out, d->value, (size_t)(d->bottom * whole));
}

NIWAKI_KERNEL void niwaki_run_reshape(const niwaki_reshape *d, const int8_t *in, int8_t *out) {
  for (int32_t y = 0; y < d->out_h; y++) {
    for (int32_t x = 0; x < d->out_w; x++) {
      for (int32_t c = 0; c < d->out_c; c++) {
        const int32_t index = (c * d->out_h + y) * d->out_w + x; /* channels first */
        const int32_t pixel = index % (d->in_h * d->in_w);
        *out++ = in[pixel * d->in_c + index / (d->in_h * d->in_w)];
      }
    }
  }
}

#if !NIWAKI_BLOCKS && !defined(NIWAKI_MVE)
#if !defined(NIWAKI_TUNED)
#define niwaki_run_depthwise niwaki_depthwise
#if !defined(NIWAKI_AVR)
#define niwaki_run_conv niwaki_conv_patches
#define niwaki_run_large_conv niwaki_conv_rows
#define niwaki_run_dense niwaki_dense_rows
#endif
#endif
NIWAKI_KERNEL void niwaki_run_add(const niwaki_add *d, const int8_t *a, const int8_t *b, int8_t *out) {
  niwaki_add_values(d, a, b, out, 0);
}
#endif
