/* ARM with NEON, 64 and 32 bit: 8 or 4 sums. Included by niwaki_blocks.h.
 *
 * With the dot product instruction a vector holds 4 sums; without it 2, each in two halves until they are rounded.
 */
#include <arm_neon.h>

#if defined(__ARM_FEATURE_DOTPROD)
#define NIWAKI_NEON_PARTS 1
#else
#define NIWAKI_NEON_PARTS 2 /* vectors for 4 sums */
#endif

typedef struct {
  int32x4_t part[NIWAKI_NEON_PARTS];
} niwaki_sums_4;
typedef struct {
  niwaki_sums_4 low, high;
} niwaki_sums_8;
typedef int8x16_t niwaki_weights_4;
typedef struct {
  int8x16_t low, high;
} niwaki_weights_8;

/* Multipliers of four channels; shifts as 64 bits, negative: to the right. */
typedef struct {
  int32x4_t multiplier;
  int64x2_t right_low, right_high;
#if defined(NIWAKI_TWICE)
  int64x2_t more_low, more_high; /* what the first of two roundings adds to the half */
#endif
} niwaki_scale_4;
typedef struct {
  niwaki_scale_4 low, high;
} niwaki_scale_8;

NIWAKI_KERNEL niwaki_sums_4 niwaki_load_bias_4(const int32_t *bias) {
  const int32x4_t all = vld1q_s32(bias);
  niwaki_sums_4 sums;
#if NIWAKI_NEON_PARTS == 1
  sums.part[0] = all;
#else
  const int32x4x2_t halves = vzipq_s32(all, vdupq_n_s32(0)); /* sum, 0, sum, 0 */
  sums.part[0] = halves.val[0];
  sums.part[1] = halves.val[1];
#endif
  return sums;
}

NIWAKI_KERNEL niwaki_sums_4 niwaki_zero_4(void) {
  niwaki_sums_4 sums;
  for (int i = 0; i < NIWAKI_NEON_PARTS; i++) sums.part[i] = vdupq_n_s32(0);
  return sums;
}

NIWAKI_KERNEL int8x16_t niwaki_load_weights_4(const int8_t *w) { return vld1q_s8(w); }

NIWAKI_KERNEL int8x16_t niwaki_four_inputs(const uint8_t *x) {
  int32_t four;
  NIWAKI_COPY(&four, x, 4);
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

NIWAKI_KERNEL niwaki_sums_4 niwaki_dot_with(niwaki_sums_4 sums, int8x16_t x, int8x16_t w) {
#if NIWAKI_NEON_PARTS == 1
  sums.part[0] = vdotq_s32(sums.part[0], w, x);
#else
  sums.part[0] = vpadalq_s16(sums.part[0], vmull_s8(vget_low_s8(w), vget_low_s8(x)));
  sums.part[1] = vpadalq_s16(sums.part[1], vmull_s8(vget_high_s8(w), vget_low_s8(x)));
#endif
  return sums;
}

NIWAKI_KERNEL niwaki_sums_4 niwaki_dot_4(niwaki_sums_4 sums, const uint8_t *x, int8x16_t w) {
  return niwaki_dot_with(sums, niwaki_four_inputs(x), w);
}

NIWAKI_KERNEL niwaki_sums_4 niwaki_plus_4(niwaki_sums_4 a, niwaki_sums_4 b) {
  for (int i = 0; i < NIWAKI_NEON_PARTS; i++) a.part[i] = vaddq_s32(a.part[i], b.part[i]);
  return a;
}

/* Four whole sums. */
NIWAKI_KERNEL int32x4_t niwaki_whole(niwaki_sums_4 sums) {
#if NIWAKI_NEON_PARTS == 1
  return sums.part[0];
#else
  return vcombine_s32(vpadd_s32(vget_low_s32(sums.part[0]), vget_high_s32(sums.part[0])),
                      vpadd_s32(vget_low_s32(sums.part[1]), vget_high_s32(sums.part[1])));
#endif
}

NIWAKI_KERNEL niwaki_sums_4 niwaki_larger_4(niwaki_sums_4 a, niwaki_sums_4 b) {
  int32_t each[4];
  vst1q_s32(each, vmaxq_s32(niwaki_whole(a), niwaki_whole(b)));
  return niwaki_load_bias_4(each);
}

NIWAKI_KERNEL void niwaki_spread_4(niwaki_sums_4 sums, int32_t *out) { vst1q_s32(out, niwaki_whole(sums)); }

NIWAKI_KERNEL niwaki_scale_4 niwaki_load_scale_4(const int32_t *multiplier, const uint8_t *shift) {
  niwaki_scale_4 s;
  int64_t right[4];
  for (int i = 0; i < 4; i++) right[i] = -(int64_t)shift[i];
  s.multiplier = vld1q_s32(multiplier);
  s.right_low = vld1q_s64(right);
  s.right_high = vld1q_s64(right + 2);
#if defined(NIWAKI_TWICE)
  s.more_low = s.more_high = vdupq_n_s64(0);
#endif
  return s;
}

#if defined(NIWAKI_TWICE)
/* What the first of two roundings adds. */
NIWAKI_KERNEL void niwaki_halve_twice_4(niwaki_scale_4 *s, const uint8_t *shift) {
  int64_t more[4];
  for (int i = 0; i < 4; i++) more[i] = shift[i] > 31 ? NIWAKI_FIRST_HALF : 0;
  s->more_low = vld1q_s64(more);
  s->more_high = vld1q_s64(more + 2);
}

NIWAKI_KERNEL void niwaki_halve_twice_8(niwaki_scale_8 *s, const uint8_t *shift) {
  niwaki_halve_twice_4(&s->low, shift);
  niwaki_halve_twice_4(&s->high, shift + 4);
}

/* `more` with the sign of the product, added to it. */
NIWAKI_KERNEL int64x2_t niwaki_moved(int64x2_t product, int64x2_t more) {
  const int64x2_t sign = vshrq_n_s64(product, 63);
  return vaddq_s64(product, vsubq_s64(veorq_s64(more, sign), sign));
}
#else
#define niwaki_moved(product, more) (product)
#endif

/* vrshl with a negative count shifts right and rounds ties up: the one rounding, in one instruction. */
NIWAKI_KERNEL int32x4_t niwaki_rounded_4(niwaki_sums_4 sums, const niwaki_scale_4 *s, int32_t zero) {
  const int32x4_t whole = niwaki_whole(sums);
  const int64x2_t low = niwaki_moved(vmull_s32(vget_low_s32(whole), vget_low_s32(s->multiplier)), s->more_low);
  const int64x2_t high = niwaki_moved(vmull_s32(vget_high_s32(whole), vget_high_s32(s->multiplier)), s->more_high);
  const int32x4_t value =
      vcombine_s32(vmovn_s64(vrshlq_s64(low, s->right_low)), vmovn_s64(vrshlq_s64(high, s->right_high)));
  return vaddq_s32(value, vdupq_n_s32(zero));
}

NIWAKI_KERNEL void niwaki_put(int32x4_t a, int32x4_t b, int32_t low, int32_t high, int8_t *out, int32_t count) {
  int8x8_t bytes = vqmovn_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)));
  bytes = vmin_s8(vmax_s8(bytes, vdup_n_s8((int8_t)low)), vdup_n_s8((int8_t)high));
  if (count >= 8) {
    vst1_s8(out, bytes);
  } else {
    int8_t each[8];
    vst1_s8(each, bytes);
    NIWAKI_COPY(out, each, (size_t)count);
  }
}

NIWAKI_KERNEL void niwaki_store_4(niwaki_sums_4 sums, const niwaki_scale_4 *s, int32_t zero, int32_t low,
                                  int32_t high, int8_t *out, int32_t count) {
  niwaki_put(niwaki_rounded_4(sums, s, zero), vdupq_n_s32(0), low, high, out, count);
}

NIWAKI_KERNEL niwaki_sums_8 niwaki_load_bias_8(const int32_t *bias) {
  const niwaki_sums_8 sums = {niwaki_load_bias_4(bias), niwaki_load_bias_4(bias + 4)};
  return sums;
}

NIWAKI_KERNEL niwaki_sums_8 niwaki_zero_8(void) {
  const niwaki_sums_8 sums = {niwaki_zero_4(), niwaki_zero_4()};
  return sums;
}

NIWAKI_KERNEL niwaki_weights_8 niwaki_load_weights_8(const int8_t *w) {
  const niwaki_weights_8 weights = {vld1q_s8(w), vld1q_s8(w + 16)};
  return weights;
}

NIWAKI_KERNEL niwaki_sums_8 niwaki_dot_8(niwaki_sums_8 sums, const uint8_t *x, niwaki_weights_8 w) {
  const int8x16_t four = niwaki_four_inputs(x);
  sums.low = niwaki_dot_with(sums.low, four, w.low);
  sums.high = niwaki_dot_with(sums.high, four, w.high);
  return sums;
}

NIWAKI_KERNEL niwaki_sums_8 niwaki_plus_8(niwaki_sums_8 a, niwaki_sums_8 b) {
  const niwaki_sums_8 sums = {niwaki_plus_4(a.low, b.low), niwaki_plus_4(a.high, b.high)};
  return sums;
}

NIWAKI_KERNEL niwaki_sums_8 niwaki_larger_8(niwaki_sums_8 a, niwaki_sums_8 b) {
  const niwaki_sums_8 sums = {niwaki_larger_4(a.low, b.low), niwaki_larger_4(a.high, b.high)};
  return sums;
}

NIWAKI_KERNEL void niwaki_spread_8(niwaki_sums_8 sums, int32_t *out) {
  niwaki_spread_4(sums.low, out);
  niwaki_spread_4(sums.high, out + 4);
}

NIWAKI_KERNEL niwaki_scale_8 niwaki_load_scale_8(const int32_t *multiplier, const uint8_t *shift) {
  const niwaki_scale_8 s = {niwaki_load_scale_4(multiplier, shift), niwaki_load_scale_4(multiplier + 4, shift + 4)};
  return s;
}

NIWAKI_KERNEL void niwaki_store_8(niwaki_sums_8 sums, const niwaki_scale_8 *s, int32_t zero, int32_t low,
                                  int32_t high, int8_t *out, int32_t count) {
  niwaki_put(niwaki_rounded_4(sums.low, &s->low, zero), niwaki_rounded_4(sums.high, &s->high, zero), low, high, out,
             count);
}
