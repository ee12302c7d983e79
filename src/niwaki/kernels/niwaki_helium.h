/* Kernels for Cortex-M with Helium (MVE). Weights lie as in plain C; no lane reads outside of a row. Included by
 * niwaki_kernels.h.
 *
 * The sums of four channels lie in core registers; 16 inputs are loaded once for all four: 10 instructions for 64
 * products, and the loop itself leaves out the lanes beyond the end (DLSTP, LETP). Sums are rounded 16 at a time. Rounding
 * takes the upper half of a product alone (VMULH): where every shift is above 32, the lower half cannot change what
 * niwaki_round gives. Layers with another shift are rounded one by one.
 */
#include <arm_mve.h>

#define NIWAKI_AT_ONCE 64 /* channels whose sums are rounded together */

NIWAKI_KERNEL mve_pred16_t niwaki_first_16(int32_t count) { return vctp8q((uint32_t)count); }
NIWAKI_KERNEL mve_pred16_t niwaki_first_4(int32_t count) { return vctp32q((uint32_t)count); }

/* Whether every shift takes away the lower half of a product. */
NIWAKI_KERNEL int niwaki_rounds_upper(const uint8_t *shift, int32_t count) {
  uint8_t least = 255;
  for (int32_t i = 0; i < count; i += 16) {
    const mve_pred16_t lanes = niwaki_first_16(count - i);
    least = vminvq_p_u8(least, vldrbq_z_u8(shift + i, lanes), lanes);
  }
  return least > 32;
}

/* How the sums of a layer become int8: scales from a channel on. */
typedef struct {
  const int32_t *bias, *multiplier;
  const uint8_t *shift;
  int32_t zero, low, high;
  int once;  /* else in two steps, one by one */
  int upper; /* once, and all shifts are above 32 */
} niwaki_rounding;

/* Store `count` sums, each with its bias, as int8. */
NIWAKI_KERNEL void niwaki_store_sums(const niwaki_rounding *r, const int32_t *sums, int32_t first, int32_t count,
                                     int8_t *out) {
  const int32_t *bias = r->bias + first, *multiplier = r->multiplier + first;
  const uint8_t *shift = r->shift + first;
  if (r->upper) {
    __asm__ volatile(
        "dlstp.32 lr, %[count]\n"
        "1:\n\t"
        "vldrw.32 q0, [%[sums]], #16\n\t"
        "vldrw.32 q1, [%[bias]], #16\n\t"
        "vadd.i32 q0, q0, q1\n\t"
        "vldrw.32 q2, [%[multiplier]], #16\n\t"
        "vmulh.s32 q0, q0, q2\n\t"
        "vldrb.u32 q1, [%[shift]], #4\n\t"
        "vsub.i32 q1, %q[half], q1\n\t"
        "vrshl.s32 q0, q0, q1\n\t"
        "vadd.i32 q0, q0, %[zero]\n\t" /* and cut to 16 bits, to 8 */
        "vqmovnb.s32 q0, q0\n\t"
        "vqmovnb.s16 q0, q0\n\t"
        "vstrb.32 q0, [%[out]], #4\n\t"
        "letp lr, 1b"
        : [sums] "+r"(sums), [bias] "+r"(bias), [multiplier] "+r"(multiplier), [shift] "+l"(shift), [out] "+l"(out)
        : [count] "r"(count), [zero] "r"(r->zero), [half] "w"(vdupq_n_s32(32))
        : "lr", "q0", "q1", "q2", "memory");
    for (int32_t i = 0; (r->low > -128 || r->high < 127) && i < count; i += 16) {
      const mve_pred16_t lanes = niwaki_first_16(count - i);
      int8_t *const from = out - (count + 3) / 4 * 4 + i;
      const int8x16_t low = vdupq_n_s8((int8_t)r->low), high = vdupq_n_s8((int8_t)r->high);
      vstrbq_p_s8(from, vminq_s8(vmaxq_s8(vldrbq_z_s8(from, lanes), low), high), lanes);
    }
  } else {
    for (int32_t c = 0; c < count; c++) {
      const int64_t product = (int64_t)(sums[c] + bias[c]) * multiplier[c];
      out[c] = r->once ? niwaki_round_once(product, shift[c], r->zero, r->low, r->high)
                       : niwaki_round(product, shift[c], r->zero, r->low, r->high);
    }
  }
}

NIWAKI_KERNEL int32_t niwaki_one_sum(const int8_t *x, const int8_t *w, int32_t count) {
  register int32_t sum __asm__("r0") = 0;
  __asm__("dlstp.8 lr, %[count]\n"
          "1:\n\t"
          "vldrb.8 q0, [%[x]], #16\n\t"
          "vldrb.8 q1, [%[w]], #16\n\t"
          "vmladava.s8 %[sum], q0, q1\n\t"
          "letp lr, 1b"
          : [sum] "+r"(sum), [x] "+r"(x), [w] "+r"(w)
          : [count] "r"(count)
          : "lr", "q0", "q1", "memory");
  return sum;
}

/* The sums of `channels` channels, a multiple of four, over one input; their rows of weights lie `count` apart. The
 * stack holds what no register is left for: the input, the count, the end of the sums, the next row. */
NIWAKI_KERNEL void niwaki_sums_of_fours(const int8_t *x, const int8_t *w, int32_t count, int32_t channels,
                                        int32_t *sums) {
  uintptr_t w1 = (uintptr_t)(sums + channels), w2 = (uintptr_t)count, w3;
  int32_t s0, s1, s2, s3;
  __asm__ volatile(
      "push {%[w1]}\n\t"
      "push {%[w2]}\n\t"
      "push {%[x]}\n"
      "1:\n\t"
      "ldr %[x], [sp]\n\t"
      "ldr lr, [sp, #4]\n\t"
      "add %[w1], %[w], lr\n\t"
      "add %[w2], %[w1], lr\n\t"
      "add %[w3], %[w2], lr\n\t"
      "push {%[w3]}\n\t"
      "mov %[s0], #0\n\t"
      "mov %[s1], #0\n\t"
      "mov %[s2], #0\n\t"
      "mov %[s3], #0\n\t"
      "dlstp.8 lr, lr\n"
      "2:\n\t"
      "vldrb.8 q0, [%[x]], #16\n\t"
      "vldrb.8 q1, [%[w]], #16\n\t"
      "vmladava.s8 %[s0], q0, q1\n\t"
      "vldrb.8 q2, [%[w1]], #16\n\t"
      "vmladava.s8 %[s1], q0, q2\n\t"
      "vldrb.8 q3, [%[w2]], #16\n\t"
      "vmladava.s8 %[s2], q0, q3\n\t"
      "vldrb.8 q1, [%[w3]], #16\n\t"
      "vmladava.s8 %[s3], q0, q1\n\t"
      "letp lr, 2b\n\t"
      "pop {%[w]}\n\t"
      "ldr lr, [sp, #4]\n\t"
      "add %[w], %[w], lr\n\t"
      "strd %[s0], %[s1], [%[sums]], #8\n\t"
      "strd %[s2], %[s3], [%[sums]], #8\n\t"
      "ldr %[w1], [sp, #8]\n\t"
      "cmp %[sums], %[w1]\n\t"
      "bne 1b\n\t"
      "add sp, sp, #12"
      : [s0] "=&Te"(s0), [s1] "=&Te"(s1), [s2] "=&Te"(s2), [s3] "=&Te"(s3), [x] "+r"(x), [w] "+r"(w), [w1] "+r"(w1),
        [w2] "+r"(w2), [w3] "=&r"(w3), [sums] "+r"(sums)
      :
      : "lr", "q0", "q1", "q2", "q3", "memory", "cc");
}

/* The same for short inputs of whole vectors, which stay in registers; then the weights are one run. */
#define NIWAKI_SHORT(name, load, multiply)                                       \
  NIWAKI_KERNEL void name(const int8_t *x, const int8_t *w, int32_t channels, int32_t *sums) { \
    __asm__ volatile(load                                                        \
                     "dls lr, %[channels]\n"                                     \
                     "1:\n\t" multiply                                           \
                     "str r0, [%[sums]], #4\n\t"                                 \
                     "le lr, 1b"                                                 \
                     : [w] "+r"(w), [sums] "+r"(sums)                            \
                     : [x] "r"(x), [channels] "r"(channels)                      \
                     : "r0", "lr", "q0", "q1", "q4", "q5", "q6", "q7", "memory"); \
  }
#define NIWAKI_LOAD(to, at) "vldrb.8 " to ", [%[x], #" at "]\n\t"
#define NIWAKI_MULTIPLY(kind, x) "vldrb.8 q0, [%[w]], #16\n\t" kind ".s8 r0, q0, " x "\n\t"
NIWAKI_SHORT(niwaki_sums_16, NIWAKI_LOAD("q4", "0"), NIWAKI_MULTIPLY("vmladav", "q4"))
NIWAKI_SHORT(niwaki_sums_32, NIWAKI_LOAD("q4", "0") NIWAKI_LOAD("q5", "16"),
             NIWAKI_MULTIPLY("vmladav", "q4") NIWAKI_MULTIPLY("vmladava", "q5"))
NIWAKI_SHORT(niwaki_sums_48, NIWAKI_LOAD("q4", "0") NIWAKI_LOAD("q5", "16") NIWAKI_LOAD("q6", "32"),
             NIWAKI_MULTIPLY("vmladav", "q4") NIWAKI_MULTIPLY("vmladava", "q5") NIWAKI_MULTIPLY("vmladava", "q6"))
NIWAKI_SHORT(niwaki_sums_64,
             NIWAKI_LOAD("q4", "0") NIWAKI_LOAD("q5", "16") NIWAKI_LOAD("q6", "32") NIWAKI_LOAD("q7", "48"),
             NIWAKI_MULTIPLY("vmladav", "q4") NIWAKI_MULTIPLY("vmladava", "q5") NIWAKI_MULTIPLY("vmladava", "q6")
             NIWAKI_MULTIPLY("vmladava", "q7"))
#undef NIWAKI_MULTIPLY
#undef NIWAKI_LOAD
#undef NIWAKI_SHORT

/* The sums of `channels` channels over one input. */
NIWAKI_KERNEL void niwaki_sums(const int8_t *x, const int8_t *w, int32_t count, int32_t channels, int32_t *sums) {
  const int32_t whole = channels / 4 * 4;
  switch (count) {
    case 16: niwaki_sums_16(x, w, channels, sums); return;
    case 32: niwaki_sums_32(x, w, channels, sums); return;
    case 48: niwaki_sums_48(x, w, channels, sums); return;
    case 64: niwaki_sums_64(x, w, channels, sums); return;
    default: break;
  }
  if (whole) niwaki_sums_of_fours(x, w, count, whole, sums);
  for (int32_t c = whole; c < channels; c++) sums[c] = niwaki_one_sum(x, w + c * count, count);
}

NIWAKI_KERNEL void niwaki_copy_row(const int8_t *from, int32_t count, int8_t *to) {
  __asm__ volatile(
      "dlstp.8 lr, %[count]\n"
      "1:\n\t"
      "vldrb.8 q0, [%[from]], #16\n\t"
      "vstrb.8 q0, [%[to]], #16\n\t"
      "letp lr, 1b"
      : [from] "+r"(from), [to] "+r"(to)
      : [count] "r"(count)
      : "lr", "q0", "memory");
}

/* What one output place sees, side by side; padding is the zero point. */
NIWAKI_KERNEL void niwaki_helium_patch(const niwaki_conv *d, const int8_t *in, int32_t top, int32_t left,
                                       int8_t *patch) {
  const int32_t row = d->kernel_w * d->in_c;
  if (d->dilation_w == 1 && top >= 0 && left >= 0 && top + (d->kernel_h - 1) * d->dilation_h < d->in_h &&
      left + d->kernel_w <= d->in_w) {
    const int8_t *from = in + (top * d->in_w + left) * d->in_c;
    for (int32_t ky = 0; ky < d->kernel_h; ky++, from += d->dilation_h * d->in_w * d->in_c, patch += row)
      niwaki_copy_row(from, row, patch);
  } else {
    niwaki_gather(d, in, top, left, patch);
  }
}

/* Channels `first` to `first + channels` (at most 64) of one place: the largest of its `places` sums, rounded. */
NIWAKI_KERNEL void niwaki_helium_channels(const niwaki_conv *d, const niwaki_rounding *r, const int8_t *patches,
                                          int32_t size, int32_t first, int32_t channels, int8_t *out) {
  int32_t best[NIWAKI_AT_ONCE], sums[NIWAKI_AT_ONCE];
  const int8_t *const w = d->weights + first * size;
  niwaki_sums(patches, w, size, channels, best);
  for (int32_t place = 1; place < d->pool_h * d->pool_w; place++) {
    niwaki_sums(patches + place * size, w, size, channels, sums);
    for (int32_t c = 0; c < channels; c += 4) {
      const mve_pred16_t lanes = niwaki_first_4(channels - c);
      vstrwq_p_s32(best + c, vmaxq_s32(vldrwq_z_s32(best + c, lanes), vldrwq_z_s32(sums + c, lanes)), lanes);
    }
  }
  niwaki_store_sums(r, best, first, channels, out + first);
}

/* All channels of one place, whose `patches` lie side by side. */
NIWAKI_KERNEL void niwaki_helium_place(const niwaki_conv *d, const niwaki_rounding *r, const int8_t *patches,
                                       int32_t size, int8_t *out) {
  const int32_t whole = d->out_c / NIWAKI_AT_ONCE * NIWAKI_AT_ONCE;
  for (int32_t o = 0; o < whole; o += NIWAKI_AT_ONCE)
    niwaki_helium_channels(d, r, patches, size, o, NIWAKI_AT_ONCE, out);
  if (whole < d->out_c) niwaki_helium_channels(d, r, patches, size, whole, d->out_c - whole, out);
}

NIWAKI_KERNEL niwaki_rounding niwaki_rounding_of(const niwaki_conv *d) {
#if defined(NIWAKI_TWICE)
  const int once = 0;
#else
  const int once = 1;
#endif
  return (niwaki_rounding){d->bias, d->multiplier, d->shift, d->out_zero, d->low, d->high, once,
                           once && niwaki_rounds_upper(d->shift, d->out_c)};
}

/* A convolution without groups that sees at most NIWAKI_PATCH bytes at a place: model.c says how many. */
NIWAKI_KERNEL void niwaki_run_conv(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  const int32_t size = d->kernel_h * d->kernel_w * d->in_c;
  const niwaki_rounding r = niwaki_rounding_of(d);
  const int padded = d->pad_top > 0 || d->pad_left > 0 || (d->out_h - 1) * d->stride_h >= d->in_h ||
                     (d->out_w - 1) * d->stride_w >= d->in_w;
  if (size == d->in_c && d->pool_h * d->pool_w == 1 && !padded) {
    for (int32_t y = 0; y < d->out_h; y++) /* the pixels themselves are the patches */
      for (int32_t x = 0; x < d->out_w; x++, out += d->out_c)
        niwaki_helium_place(d, &r, in + (y * d->stride_h * d->in_w + x * d->stride_w) * d->in_c, size, out);
    return;
  }
  int8_t patches[NIWAKI_PATCH];
  for (int32_t y = 0; y < d->out_h; y++) {
    for (int32_t x = 0; x < d->out_w; x++, out += d->out_c) {
      for (int32_t py = 0; py < d->pool_h; py++)
        for (int32_t px = 0; px < d->pool_w; px++)
          niwaki_helium_patch(d, in, (y * d->pool_h + py) * d->stride_h - d->pad_top,
                              (x * d->pool_w + px) * d->stride_w - d->pad_left,
                              patches + (py * d->pool_w + px) * size);
      niwaki_helium_place(d, &r, patches, size, out);
    }
  }
}

NIWAKI_KERNEL void niwaki_run_dense(const niwaki_dense *d, const int8_t *in, int8_t *out) {
#if defined(NIWAKI_TWICE)
  const int once = !d->twice;
#else
  const int once = 1;
#endif
  const niwaki_rounding r = {d->bias, d->multiplier, d->shift, d->out_zero, d->low, d->high, once,
                             once && niwaki_rounds_upper(d->shift, d->out)};
  for (int32_t o = 0; o < d->out; o += NIWAKI_AT_ONCE) {
    const int32_t channels = d->out - o < NIWAKI_AT_ONCE ? d->out - o : NIWAKI_AT_ONCE;
    int32_t sums[NIWAKI_AT_ONCE];
    niwaki_sums(in, d->weights + o * d->in, d->in, channels, sums);
    niwaki_store_sums(&r, sums, o, channels, out + o);
  }
}

#define NIWAKI_TAPS 25 /* of a depthwise convolution's window, at most; others are plain C */

/* Whether two products with these weights fit into 16 bits together: none is -128. */
NIWAKI_KERNEL int niwaki_pairs_fit(const int8_t *w, int32_t count) {
  int8_t least = 0;
  for (int32_t i = 0; i < count; i += 16) {
    const mve_pred16_t lanes = niwaki_first_16(count - i);
    least = vminvq_p_s8(least, vldrbq_z_s8(w + i, lanes), lanes);
  }
  return least > -128;
}

/* The sums of 16 channels at one place, whose taps lie at `offsets` from `x`. Two taps at a time, in 16 bits, even channels and odd ones; then widened to the sums, by channel modulo 4.
 * `read` loads all lanes, or those of a predicate. Written out, since compilers load all taps first, and spill. */
#define NIWAKI_ALL(load, register, address) load ".8 " register ", [" address "]\n\t"
#define NIWAKI_SOME(load, register, address) "vpst\n\t" load "t.8 " register ", [" address "]\n\t"
#define NIWAKI_WIDEN                             \
  "vmovlb.s16 q0, q2\n\tvadd.i32 q4, q4, q0\n\t" \
  "vmovlt.s16 q0, q2\n\tvadd.i32 q6, q6, q0\n\t" \
  "vmovlb.s16 q0, q3\n\tvadd.i32 q5, q5, q0\n\t" \
  "vmovlt.s16 q0, q3\n\tvadd.i32 q7, q7, q0\n\t"
#define NIWAKI_FIRST_TAP(read)                                                          \
  "ldr r3, [%[offsets]], #4\n\tadd r3, r3, %[x]\n\t"                                    \
  read("vldrb", "q0", "r3") read("vldrb", "q1", "%[w]") "add %[w], %[w], %[step]\n\t"   \
  "vmullb.s8 q2, q0, q1\n\tvmullt.s8 q3, q0, q1\n\t"
#define NIWAKI_SECOND_TAP(read)                                                         \
  "ldr r3, [%[offsets]], #4\n\tadd r3, r3, %[x]\n\t"                                    \
  read("vldrb", "q0", "r3") read("vldrb", "q1", "%[w]") "add %[w], %[w], %[step]\n\t"   \
  "vmullb.s8 q0, q0, q1\n\tvadd.i16 q2, q2, q0\n\t"                                     \
  read("vldrb", "q0", "r3") "vmullt.s8 q0, q0, q1\n\tvadd.i16 q3, q3, q0\n\t"
#define NIWAKI_DEPTHWISE_SUMS(name, read)                                                                     \
  NIWAKI_KERNEL void name(const int32_t *offsets, const int8_t *w, int32_t taps, int32_t step, const int8_t *x, \
                          int32_t channels, int32_t *sums) {                                                  \
    __asm__ volatile(                                                                                         \
        "vctp.8 %[channels]\n\t"                                                                              \
        "vmov.i32 q4, #0\n\tvmov.i32 q5, #0\n\tvmov.i32 q6, #0\n\tvmov.i32 q7, #0\n\t"                        \
        "wls lr, %[pairs], 2f\n"                                                                              \
        "1:\n\t" NIWAKI_FIRST_TAP(read) NIWAKI_SECOND_TAP(read) NIWAKI_WIDEN "le lr, 1b\n"                    \
        "2:\n\t"                                                                                              \
        "cbz %[odd], 3f\n\t" NIWAKI_FIRST_TAP(read) NIWAKI_WIDEN                                              \
        "3:\n\t"                                                                                              \
        "vst40.32 {q4, q5, q6, q7}, [%[sums]]\n\tvst41.32 {q4, q5, q6, q7}, [%[sums]]\n\t"                    \
        "vst42.32 {q4, q5, q6, q7}, [%[sums]]\n\tvst43.32 {q4, q5, q6, q7}, [%[sums]]"                        \
        : [offsets] "+r"(offsets), [w] "+l"(w)                                                                            \
        : [pairs] "r"(taps / 2), [odd] "l"(taps % 2), [step] "r"(step), [x] "r"(x),               \
          [channels] "r"(channels), [sums] "r"(sums)                                                          \
        : "r3", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "memory", "cc");                          \
  }
NIWAKI_DEPTHWISE_SUMS(niwaki_sums_of_16, NIWAKI_ALL)
NIWAKI_DEPTHWISE_SUMS(niwaki_sums_of_some, NIWAKI_SOME)
#undef NIWAKI_DEPTHWISE_SUMS
#undef NIWAKI_SECOND_TAP
#undef NIWAKI_FIRST_TAP
#undef NIWAKI_WIDEN
#undef NIWAKI_SOME
#undef NIWAKI_ALL

/* Where each tap of a window lies from its first. */
NIWAKI_KERNEL void niwaki_tap_offsets(const niwaki_conv *d, int32_t *offsets) {
  for (int32_t ky = 0; ky < d->kernel_h; ky++)
    for (int32_t kx = 0; kx < d->kernel_w; kx++)
      *offsets++ = (ky * d->dilation_h * d->in_w + kx * d->dilation_w) * d->in_c;
}

/* The same for a place at the edge; taps in the padding lie at `zeros`, seen from `first`. */
NIWAKI_KERNEL void niwaki_edge_offsets(const niwaki_conv *d, const int32_t *inside, int32_t top, int32_t left,
                                       const int8_t *first, const int8_t *zeros, int32_t *offsets) {
  for (int32_t ky = 0; ky < d->kernel_h; ky++) {
    const int32_t y = top + ky * d->dilation_h;
    for (int32_t kx = 0; kx < d->kernel_w; kx++, offsets++, inside++) {
      const int32_t x = left + kx * d->dilation_w;
      const int padding = y < 0 || y >= d->in_h || x < 0 || x >= d->in_w;
      *offsets = padding ? (int32_t)((uintptr_t)zeros - (uintptr_t)first) : *inside;
    }
  }
}

NIWAKI_KERNEL void niwaki_run_depthwise(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  const int32_t size = d->kernel_h * d->kernel_w;
  if (size > NIWAKI_TAPS || !niwaki_pairs_fit(d->weights, size * d->out_c)) {
    niwaki_depthwise(d, in, out);
    return;
  }
  const niwaki_rounding r = niwaki_rounding_of(d);
  int32_t inside[NIWAKI_TAPS], edge[NIWAKI_TAPS];
  int8_t zeros[NIWAKI_AT_ONCE];
  niwaki_tap_offsets(d, inside);
  NIWAKI_FILL(zeros, d->in_zero, sizeof zeros);
  for (int32_t y = 0; y < d->out_h; y++) {
    for (int32_t x = 0; x < d->out_w; x++, out += d->out_c) {
      const int32_t top = y * d->stride_h - d->pad_top, left = x * d->stride_w - d->pad_left;
      const int padded = top < 0 || left < 0 || top + (d->kernel_h - 1) * d->dilation_h >= d->in_h ||
                         left + (d->kernel_w - 1) * d->dilation_w >= d->in_w;
      const int8_t *const first = (const int8_t *)((uintptr_t)in + (uintptr_t)((top * d->in_w + left) * d->in_c));
      for (int32_t c = 0; c < d->out_c; c += NIWAKI_AT_ONCE) {
        const int32_t channels = d->out_c - c < NIWAKI_AT_ONCE ? d->out_c - c : NIWAKI_AT_ONCE;
        int32_t sums[NIWAKI_AT_ONCE], i = 0;
        if (padded) niwaki_edge_offsets(d, inside, top, left, first + c, zeros, edge);
        for (; i + 16 <= channels; i += 16)
          niwaki_sums_of_16(padded ? edge : inside, d->weights + c + i, size, d->out_c, first + c + i, 16, sums + i);
        if (i < channels)
          niwaki_sums_of_some(padded ? edge : inside, d->weights + c + i, size, d->out_c, first + c + i, channels - i,
                              sums + i);
        niwaki_store_sums(&r, sums, c, channels, out + c);
      }
    }
  }
}

/* May work in place. A sum of products is taken apart, H * 2^16 + L: with a shift of at least 17, all of L that counts is
 * its part above 2^16. */
NIWAKI_KERNEL void niwaki_run_add(const niwaki_add *d, const int8_t *a, const int8_t *b, int8_t *out) {
  int32_t i = 0;
  if (d->shift > 16) {
    const int32_t high_a = d->multiplier_a >> 16, low_a = d->multiplier_a & 0xffff;
    const int32_t high_b = d->multiplier_b >> 16, low_b = d->multiplier_b & 0xffff;
    const int32_t upper = -(d->zero_a * high_a + d->zero_b * high_b), lower = -(d->zero_a * low_a + d->zero_b * low_b);
    const int32x4_t shift = vdupq_n_s32(16 - d->shift);
    for (; i < d->size; i += 4) {
      const mve_pred16_t lanes = niwaki_first_4(d->size - i);
      const int32x4_t va = vldrbq_z_s32(a + i, lanes), vb = vldrbq_z_s32(b + i, lanes);
      const int32x4_t l = vmlaq_n_s32(vmlaq_n_s32(vdupq_n_s32(lower), va, low_a), vb, low_b);
      const int32x4_t h = vmlaq_n_s32(vmlaq_n_s32(vdupq_n_s32(upper), va, high_a), vb, high_b);
      int32x4_t sum = vrshlq_s32(vaddq_s32(h, vshrq_n_s32(l, 16)), shift);
      sum = vaddq_n_s32(sum, d->out_zero);
      vstrbq_p_s32(out + i, vminq_s32(vmaxq_s32(sum, vdupq_n_s32(d->low)), vdupq_n_s32(d->high)), lanes);
    }
    return;
  }
  niwaki_add_values(d, a, b, out, 0);
}

#define niwaki_run_large_conv niwaki_conv_rows
