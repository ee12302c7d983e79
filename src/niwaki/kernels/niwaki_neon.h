/* ARM with NEON, 64 and 32 bit: sums of 16 or 8 output channels at several places, and their rounding. Included by
 * niwaki_blocks.h.
 *
 * With the dot product instruction a vector holds the sums of four channels. Without it, it holds those of two, each in
 * two halves until all inputs are added; two products fit into 16 bits together unless both weights and both
 * activations are -128: model.c defines NIWAKI_LOWEST if there is such a weight.
 */
#include <arm_neon.h>

typedef int8_t niwaki_seen; /* an activation as kernels read it */
typedef int8_t niwaki_tap;  /* a depthwise weight */

#if defined(__ARM_FEATURE_DOTPROD)
#define NIWAKI_PARTS 1    /* vectors for the sums of four channels */
#define NIWAKI_PLACES_16 5 /* output places of a tile of 16 channels */
#define NIWAKI_PLACES_8 8
#elif defined(__aarch64__)
#define NIWAKI_PARTS 2
#define NIWAKI_PLACES_16 2
#define NIWAKI_PLACES_8 4
#else
#define NIWAKI_PARTS 2
#define NIWAKI_PLACES_16 1
#define NIWAKI_PLACES_8 2
#endif
#define NIWAKI_PLACES 8
#define NIWAKI_ROOM 4
#define NIWAKI_MOST_TAPS 128 /* of a depthwise window */

typedef struct {
  const int8_t *bytes;
  int32_t tiles; /* there are enough places */
} niwaki_weights;

/* What a tile sees: the first inputs of its places, and `rows` rows of `groups` times four, `row` apart, `from` there. */
typedef struct {
  const niwaki_seen *x[NIWAKI_PLACES];
  int32_t from, row, rows, groups;
} niwaki_view;

/* The sums of a tile at one place. */
typedef struct {
  int32x4_t part[4];
} niwaki_sums;

/* How four channels are rounded: of products, the upper 32 bits are shifted. */
typedef struct {
  int32x4_t bias, multiplier, right, most, left;
#if defined(NIWAKI_TWICE)
  int32x4_t more; /* what the first of two roundings adds */
#endif
} niwaki_scale;

/* What a block of channels needs beside its weights. */
typedef struct {
  niwaki_scale scale[4];
  int16x8_t zero;
  int8x16_t least, highest;
  int32_t near; /* some factor is so large that the sum is scaled up before it is multiplied */
} niwaki_panel;

NIWAKI_KERNEL void niwaki_see(const int8_t *in, int32_t count, int32_t flip, int8_t *out) {
  (void)flip;
  NIWAKI_COPY(out, in, (size_t)count);
}

NIWAKI_KERNEL void niwaki_see_fill(int8_t *out, int32_t value, int32_t count) {
  NIWAKI_FILL(out, value, (size_t)count);
}

/* The product is at most 62 bits and its shift at least 33, so that its lower 32 bits never count. A shift below 33
 * belongs to a factor of at least 1/4: a sum beyond 2^(shift - 21) saturates whatever it is, so it is cut there, moved
 * up, and the shift made 33. */
NIWAKI_KERNEL niwaki_scale niwaki_make_scale(const int32_t *bias, const int32_t *multiplier, const uint8_t *shift,
                                             int32_t twice) {
  int32_t shifts[4];
  niwaki_scale s;
  for (int i = 0; i < 4; i++) shifts[i] = shift[i];
  const int32x4_t given = vld1q_s32(shifts), least = vdupq_n_s32(33), none = vdupq_n_s32(0);
  const int32x4_t known = vmaxq_s32(given, vdupq_n_s32(3));
  const int32x4_t limit = vshlq_s32(vdupq_n_s32(1), vmaxq_s32(vsubq_s32(known, vdupq_n_s32(21)), none));
  s.bias = vld1q_s32(bias);
  s.multiplier = vld1q_s32(multiplier);
  s.right = vsubq_s32(vdupq_n_s32(32), vmaxq_s32(given, least));
  s.left = vmaxq_s32(vsubq_s32(least, known), none);
  s.most = vbslq_s32(vcgtq_s32(least, given), limit, vdupq_n_s32(INT32_MAX));
#if defined(NIWAKI_TWICE)
  const int32x4_t steps = vreinterpretq_s32_u32(vcgtq_s32(given, vdupq_n_s32(twice ? 31 : 255)));
  s.more = vshlq_s32(vandq_s32(steps, vdupq_n_s32(NIWAKI_FIRST_HALF)), s.left);
#endif
  (void)twice;
  return s;
}

/* Of one block of `width` (16, 8 or 4) channels; `twice`: its results are rounded in two steps. */
NIWAKI_SHARED void niwaki_make_panel(const int32_t *bias, const int32_t *multiplier, const uint8_t *shift,
                                     int32_t width, int32_t twice, niwaki_panel *p) {
  p->near = 0;
  for (int32_t i = 0; i < width / 4; i++) {
    p->scale[i] = niwaki_make_scale(bias + 4 * i, multiplier + 4 * i, shift + 4 * i, twice);
    for (int32_t c = 0; c < 4; c++) p->near |= shift[4 * i + c] < 33;
  }
}

/* Channels 8 to 15 as 0 to 7. */
NIWAKI_KERNEL void niwaki_double_panel(niwaki_panel *p) {
  for (int32_t i = 0; i < 2; i++) p->scale[i + 2] = p->scale[i];
}

/* The zero point and the range of the results. */
NIWAKI_KERNEL void niwaki_bound_panel(niwaki_panel *p, int32_t zero, int32_t low, int32_t high) {
  p->zero = vdupq_n_s16((int16_t)zero);
  p->least = vdupq_n_s8((int8_t)low);
  p->highest = vdupq_n_s8((int8_t)high);
}

#if defined(NIWAKI_TWICE)
/* `more` with the sign of the product, added to it. */
NIWAKI_KERNEL int64x2_t niwaki_moved(int64x2_t product, int32x2_t more) {
  const int64x2_t sign = vshrq_n_s64(product, 63);
  return vaddq_s64(product, vsubq_s64(veorq_s64(vreinterpretq_s64_u64(vmovl_u32(vreinterpret_u32_s32(more))), sign), sign));
}
#else
#define niwaki_moved(product, more) (product)
#endif

#if defined(__aarch64__) /* else compilers copy the upper halves first */
#define NIWAKI_UPPER_PRODUCTS(a, b) vmull_high_s32(a, b)
#else
#define NIWAKI_UPPER_PRODUCTS(a, b) vmull_s32(vget_high_s32(a), vget_high_s32(b))
#endif

/* vrshl with a negative count shifts right and rounds ties up. */
NIWAKI_KERNEL int32x4_t niwaki_rounded(int32x4_t sums, const niwaki_scale *s, const int32_t near) {
  sums = vaddq_s32(sums, s->bias);
  if (near) sums = vshlq_s32(vmaxq_s32(vminq_s32(sums, s->most), vnegq_s32(s->most)), s->left);
  const int64x2_t low = niwaki_moved(vmull_s32(vget_low_s32(sums), vget_low_s32(s->multiplier)), vget_low_s32(s->more));
  const int64x2_t high = niwaki_moved(NIWAKI_UPPER_PRODUCTS(sums, s->multiplier), vget_high_s32(s->more));
  const int32x4_t upper = vuzpq_s32(vreinterpretq_s32_s64(low), vreinterpretq_s32_s64(high)).val[1];
  return vrshlq_s32(upper, s->right);
}

/* Eight channels, from vector `i` on, with the zero point. */
NIWAKI_KERNEL int8x8_t niwaki_eight_bytes(const niwaki_sums *sums, const niwaki_panel *p, int32_t i,
                                          const int32_t near) {
  const int16x4_t low = vqmovn_s32(niwaki_rounded(sums->part[i], &p->scale[i], near));
  const int16x4_t high = vqmovn_s32(niwaki_rounded(sums->part[i + 1], &p->scale[i + 1], near));
  return vqmovn_s16(vqaddq_s16(vcombine_s16(low, high), p->zero));
}

/* `count` of 16 bytes. */
NIWAKI_KERNEL void niwaki_store_bytes(int8x16_t bytes, int32_t count, int8_t *out) {
  if (count == 16) {
    vst1q_s8(out, bytes);
  } else if (count == 8) {
    vst1_s8(out, vget_low_s8(bytes));
  } else {
    int8_t each[16];
    vst1q_s8(each, bytes);
    for (int32_t c = 0; c < count; c++) out[c] = each[c];
  }
}

/* Results of `places` places, `step` apart; the last writes `count` bytes, the others whole vectors. */
NIWAKI_KERNEL void niwaki_store_with(const niwaki_sums *sums, const niwaki_panel *p, const int32_t width,
                                     const int32_t places, ptrdiff_t step, int32_t count, const int32_t near,
                                     int8_t *out) {
#define STORE(i)                                                                                              \
  if (places > i) {                                                                                           \
    const int8x8_t first = niwaki_eight_bytes(sums + i, p, 0, near);                                          \
    const int8x16_t bytes = vcombine_s8(first, width == 16 ? niwaki_eight_bytes(sums + i, p, 2, near) : first); \
    niwaki_store_bytes(vminq_s8(vmaxq_s8(bytes, p->least), p->highest), places == i + 1 ? count : width, out); \
    out += step;                                                                                              \
  }
  NIWAKI_EACH(STORE)
#undef STORE
}

NIWAKI_KERNEL void niwaki_store_sums(const niwaki_sums *sums, const niwaki_panel *p, const int32_t width,
                                     const int32_t places, ptrdiff_t step, int32_t count, int8_t *out) {
  if (p->near)
    niwaki_store_with(sums, p, width, places, step, count, 1, out);
  else
    niwaki_store_with(sums, p, width, places, step, count, 0, out);
}

NIWAKI_SHARED void niwaki_store_place(const niwaki_sums *sums, const niwaki_panel *p, int32_t count, int8_t *out) {
  niwaki_store_sums(sums, p, 16, 1, 0, count, out);
}

NIWAKI_KERNEL void niwaki_larger_sums(niwaki_sums *best, const niwaki_sums *sums, const int32_t width) {
  for (int32_t i = 0; i < width / 4; i++) best->part[i] = vmaxq_s32(best->part[i], sums->part[i]);
}

/* Four inputs, the same for every lane. */
NIWAKI_KERNEL int8x16_t niwaki_four_inputs(const int8_t *x) {
  int32_t four;
  NIWAKI_COPY(&four, x, 4);
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

/* The products of four channels with four inputs, and with the next four. In C, compilers copy the upper halves of
 * vectors, and have so many products under way that sums leave their registers. */
#if defined(__GNUC__) && defined(__aarch64__)
#define NIWAKI_ADD_PRODUCTS(low, high, v, x)                        \
  {                                                                 \
    int16x8_t first, second;                                        \
    __asm__("smull %2.8h, %4.8b, %5.8b\n\tsmull2 %3.8h, %4.16b, %5.16b\n\t" \
            "sadalp %0.4s, %2.8h\n\tsadalp %1.4s, %3.8h"            \
            : "+w"(low), "+w"(high), "=&w"(first), "=&w"(second)    \
            : "w"(v), "w"(x));                                      \
  }
#if defined(NIWAKI_LOWEST)
#define NIWAKI_ADD_PAIRS(low, high, v, x, n, y) NIWAKI_ADD_PRODUCTS(low, high, v, x) NIWAKI_ADD_PRODUCTS(low, high, n, y)
#else
#define NIWAKI_ADD_PAIRS(low, high, v, x, n, y)                     \
  {                                                                 \
    int16x8_t first, second;                                        \
    __asm__("smull %2.8h, %4.8b, %5.8b\n\tsmull2 %3.8h, %4.16b, %5.16b\n\t" \
            "smlal %2.8h, %6.8b, %7.8b\n\tsmlal2 %3.8h, %6.16b, %7.16b\n\t" \
            "sadalp %0.4s, %2.8h\n\tsadalp %1.4s, %3.8h"            \
            : "+w"(low), "+w"(high), "=&w"(first), "=&w"(second)    \
            : "w"(v), "w"(x), "w"(n), "w"(y));                      \
  }
#endif
#else
#define NIWAKI_ADD_PRODUCTS(low, high, v, x)                        \
  low = vpadalq_s16(low, vmull_s8(vget_low_s8(v), vget_low_s8(x))); \
  high = vpadalq_s16(high, vmull_s8(vget_high_s8(v), vget_high_s8(x)));
#if defined(NIWAKI_LOWEST)
#define NIWAKI_ADD_PAIRS(low, high, v, x, n, y) NIWAKI_ADD_PRODUCTS(low, high, v, x) NIWAKI_ADD_PRODUCTS(low, high, n, y)
#else
#define NIWAKI_ADD_PAIRS(low, high, v, x, n, y)                                                                      \
  low = vpadalq_s16(low, vmlal_s8(vmull_s8(vget_low_s8(v), vget_low_s8(x)), vget_low_s8(n), vget_low_s8(y)));        \
  high = vpadalq_s16(high, vmlal_s8(vmull_s8(vget_high_s8(v), vget_high_s8(x)), vget_high_s8(n), vget_high_s8(y)));
#endif
#endif

/* Weights of the next step are not loaded before: they would take registers of sums. */
#if defined(__GNUC__)
#define NIWAKI_NOT_BEFORE __asm__ volatile("" : : : "memory");
#else
#define NIWAKI_NOT_BEFORE
#endif

/* Four of 16 inputs, the same for every lane. */
#if defined(__aarch64__)
#define NIWAKI_FOUR_OF(x, lane) vreinterpretq_s8_s32(vdupq_laneq_s32(vreinterpretq_s32_s8(x), lane))
#else
#define NIWAKI_FOUR_OF(x, lane)                                                                                  \
  vreinterpretq_s8_s32(vdupq_lane_s32((lane) < 2 ? vget_low_s32(vreinterpretq_s32_s8(x))                          \
                                                 : vget_high_s32(vreinterpretq_s32_s8(x)), (lane) & 1))
#endif

/* In the tiles below NIWAKI_EACH repeats a line for the places 0 to 7, whose sums are a0, b0, ... to a7, b7, ...; places
 * and vectors beyond the literals vanish. */
#if NIWAKI_PARTS == 1
#if defined(__GNUC__) /* else compilers move sums between registers */
#define NIWAKI_DOT(sum, v, x, lane) __asm__("sdot %0.4s, %1.16b, %2.4b[" #lane "]" : "+w"(sum) : "w"(v), "w"(x));
#else
#define NIWAKI_DOT(sum, v, x, lane) sum = vdotq_laneq_s32(sum, v, x, lane);
#endif

/* The sums of `places` places, in vectors of four channels. */
NIWAKI_KERNEL void niwaki_tile(const niwaki_view *view, const int8_t *w, const int32_t places, const int32_t vectors,
                               niwaki_sums *sums) {
#define START(i)                                                                                     \
  const int8_t *const x##i = view->x[places > i ? i : 0];                                            \
  int32x4_t a##i = vdupq_n_s32(0), b##i = a##i, c##i = a##i, d##i = a##i; \
  int8x16_t in##i = vdupq_n_s8(0);
#define WEIGHTS                                                             \
  const int8x16_t v0 = vld1q_s8(w), v1 = vld1q_s8(w + (vectors > 1 ? 16 : 0)); \
  const int8x16_t v2 = vld1q_s8(w + (vectors > 2 ? 32 : 0)), v3 = vld1q_s8(w + (vectors > 2 ? 48 : 0));
#define SEE(i) \
  if (places > i) in##i = vld1q_s8(x##i + at);
#define DOT(i, lane)                                          \
  if (places > i) {                                           \
    NIWAKI_DOT(a##i, v0, in##i, lane)                         \
    if (vectors > 1) NIWAKI_DOT(b##i, v1, in##i, lane)        \
    if (vectors > 2) NIWAKI_DOT(c##i, v2, in##i, lane)        \
    if (vectors > 2) NIWAKI_DOT(d##i, v3, in##i, lane)        \
  }
#define DOT_0(i) DOT(i, 0)
#define DOT_1(i) DOT(i, 1)
#define DOT_2(i) DOT(i, 2)
#define DOT_3(i) DOT(i, 3)
#define STEP(all)      \
  {                    \
    WEIGHTS            \
    NIWAKI_EACH(all)   \
    w += 16 * vectors; \
    NIWAKI_NOT_BEFORE  \
  }
#define ONE(i)                                                                  \
  if (places > i) in##i = niwaki_four_inputs(x##i + at);                        \
  DOT(i, 0)
#define END(i)                                              \
  if (places > i) {                                         \
    sums[i].part[0] = a##i;                                 \
    sums[i].part[1] = b##i;                                 \
    if (vectors > 2) sums[i].part[2] = c##i, sums[i].part[3] = d##i; \
  }
  NIWAKI_EACH(START)
  for (int32_t r = 0; r < view->rows; r++) {
    ptrdiff_t at = view->from + (ptrdiff_t)r * view->row;
    int32_t g = view->groups;
    for (; g >= 4; g -= 4, at += 16) {
      NIWAKI_EACH(SEE)
      STEP(DOT_0)
      STEP(DOT_1)
      STEP(DOT_2)
      STEP(DOT_3)
    }
    for (; g > 0; g--, at += 4) STEP(ONE)
  }
  NIWAKI_EACH(END)
#undef START
#undef WEIGHTS
#undef SEE
#undef DOT
#undef DOT_0
#undef DOT_1
#undef DOT_2
#undef DOT_3
#undef STEP
#undef ONE
#undef END
}
#else
/* Four channels: both halves of their sums added. */
NIWAKI_KERNEL int32x4_t niwaki_whole(int32x4_t a, int32x4_t b) {
#if defined(__aarch64__)
  return vpaddq_s32(a, b);
#else
  return vcombine_s32(vpadd_s32(vget_low_s32(a), vget_high_s32(a)), vpadd_s32(vget_low_s32(b), vget_high_s32(b)));
#endif
}

/* The sums of `places` places, in vectors of two channels. */
NIWAKI_KERNEL void niwaki_tile(const niwaki_view *view, const int8_t *w, const int32_t places, const int32_t vectors,
                               niwaki_sums *sums) {
  const int32x4_t none = vdupq_n_s32(0);
#define START(i)                                          \
  const int8_t *const x##i = view->x[places > i ? i : 0]; \
  int32x4_t a##i = none, b##i = none, c##i = none, d##i = none, e##i = none, f##i = none, g##i = none, h##i = none; \
  int8x16_t in##i = vdupq_n_s8(0);
#define WEIGHTS                                                                                   \
  const int8x16_t v0 = vld1q_s8(w), v1 = vld1q_s8(w + (vectors > 1 ? 16 : 0));                    \
  const int8x16_t v2 = vld1q_s8(w + (vectors > 2 ? 32 : 0)), v3 = vld1q_s8(w + (vectors > 2 ? 48 : 0));
#define NEXT_WEIGHTS                                                                                             \
  const int8x16_t n0 = vld1q_s8(w + 16 * vectors), n1 = vld1q_s8(w + 16 * vectors + (vectors > 1 ? 16 : 0));       \
  const int8x16_t n2 = vld1q_s8(w + 16 * vectors + (vectors > 2 ? 32 : 0)),                                      \
                  n3 = vld1q_s8(w + 16 * vectors + (vectors > 2 ? 48 : 0));
#define ADD(low, high, v, n) NIWAKI_ADD_PAIRS(low, high, v, x, n, y)
#define ADD_ALL(i)             \
  ADD(a##i, b##i, v0, n0)      \
  if (vectors > 1) {           \
    ADD(c##i, d##i, v1, n1)    \
  }                            \
  if (vectors > 2) {           \
    ADD(e##i, f##i, v2, n2)    \
    ADD(g##i, h##i, v3, n3)    \
  }
#define SEE(i) \
  if (places > i) in##i = vld1q_s8(x##i + at);
#define LANES(i, first, second)                                                                    \
  if (places > i) {                                                                                \
    const int8x16_t x = NIWAKI_FOUR_OF(in##i, first), y = NIWAKI_FOUR_OF(in##i, second);             \
    ADD_ALL(i)                                                                                     \
  }
#define FIRST(i) LANES(i, 0, 1)
#define SECOND(i) LANES(i, 2, 3)
#define TWO(i)                                                                                  \
  if (places > i) {                                                                             \
    const int8x16_t x = niwaki_four_inputs(x##i + at), y = niwaki_four_inputs(x##i + at + 4);   \
    ADD_ALL(i)                                                                                  \
  }
#define STEP(all)        \
  {                      \
    WEIGHTS              \
    NEXT_WEIGHTS         \
    NIWAKI_EACH(all)     \
    w += 32 * vectors;   \
    NIWAKI_NOT_BEFORE    \
  }
#define ADD_ONE(low, high, v) NIWAKI_ADD_PRODUCTS(low, high, v, x)
#define ONE(i)                                                \
  if (places > i) {                                           \
    const int8x16_t x = niwaki_four_inputs(x##i + at);        \
    ADD_ONE(a##i, b##i, v0)                                   \
    if (vectors > 1) {                                        \
      ADD_ONE(c##i, d##i, v1)                                 \
    }                                                         \
    if (vectors > 2) {                                        \
      ADD_ONE(e##i, f##i, v2)                                 \
      ADD_ONE(g##i, h##i, v3)                                 \
    }                                                         \
  }
#define END(i)                                                              \
  if (places > i) {                                                         \
    sums[i].part[0] = niwaki_whole(a##i, b##i);                 \
    sums[i].part[1] = vectors > 1 ? niwaki_whole(c##i, d##i) : none; \
    if (vectors > 2) {                                                      \
      sums[i].part[2] = niwaki_whole(e##i, f##i);               \
      sums[i].part[3] = niwaki_whole(g##i, h##i);               \
    }                                                                       \
  }
  NIWAKI_EACH(START)
  for (int32_t r = 0; r < view->rows; r++) {
    ptrdiff_t at = view->from + (ptrdiff_t)r * view->row;
    int32_t g = view->groups;
    for (; g >= 4; g -= 4, at += 16) {
      NIWAKI_EACH(SEE)
      STEP(FIRST)
      STEP(SECOND)
    }
    if (g >= 2) {
      STEP(TWO)
      g -= 2, at += 8;
    }
    if (g > 0) {
      WEIGHTS
      NIWAKI_EACH(ONE)
      w += 16 * vectors;
    }
  }
  NIWAKI_EACH(END)
#undef START
#undef WEIGHTS
#undef NEXT_WEIGHTS
#undef ADD
#undef ADD_ALL
#undef SEE
#undef LANES
#undef FIRST
#undef SECOND
#undef TWO
#undef STEP
#undef ADD_ONE
#undef ONE
#undef END
}
#endif

/* The sums of one place. */
NIWAKI_SHARED void niwaki_place(const niwaki_view *view, const int8_t *w, int32_t width, niwaki_sums *sums) {
  if (width == 16)
    niwaki_tile(view, w, 1, 4, sums);
  else if (width == 8)
    niwaki_tile(view, w, 1, 2, sums);
  else
    niwaki_tile(view, w, 1, 1, sums);
}

/* Weights of a block for so many places. */
NIWAKI_KERNEL niwaki_weights niwaki_prepare(const int8_t *bytes, int32_t groups, int32_t width, int32_t places,
                                            int8_t *room) {
  niwaki_weights w;
  (void)groups;
  (void)room;
  w.bytes = bytes;
  w.tiles = width > 4 && places >= (width == 16 ? NIWAKI_PLACES_16 : NIWAKI_PLACES_8);
  return w;
}

NIWAKI_KERNEL int niwaki_in_tiles(const niwaki_weights *w) { return w->tiles; }

NIWAKI_KERNEL void niwaki_tile_of(const niwaki_view *view, const niwaki_weights *w, int32_t width, const int32_t places,
                                  niwaki_sums *sums) {
  if (places == 1)
    niwaki_place(view, w->bytes, width, sums);
  else
    niwaki_tile(view, w->bytes, places, width / 4, sums);
}

/* Two taps of 16 channels, or one. */
NIWAKI_KERNEL void niwaki_two_taps(niwaki_sums *sums, const int8_t *x, const int8_t *y, const int8_t *w,
                                   const int8_t *v) {
  const int8x16_t a = vld1q_s8(x), first = vld1q_s8(w);
  int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(first)), high = vmull_s8(vget_high_s8(a), vget_high_s8(first));
  if (y) {
    const int8x16_t b = vld1q_s8(y), second = vld1q_s8(v);
#if defined(NIWAKI_LOWEST)
    const int16x8_t low_b = vmull_s8(vget_low_s8(b), vget_low_s8(second));
    const int16x8_t high_b = vmull_s8(vget_high_s8(b), vget_high_s8(second));
    sums->part[0] = vaddw_s16(sums->part[0], vget_low_s16(low_b));
    sums->part[1] = vaddw_s16(sums->part[1], vget_high_s16(low_b));
    sums->part[2] = vaddw_s16(sums->part[2], vget_low_s16(high_b));
    sums->part[3] = vaddw_s16(sums->part[3], vget_high_s16(high_b));
#else
    low = vmlal_s8(low, vget_low_s8(b), vget_low_s8(second));
    high = vmlal_s8(high, vget_high_s8(b), vget_high_s8(second));
#endif
  }
  sums->part[0] = vaddw_s16(sums->part[0], vget_low_s16(low));
  sums->part[1] = vaddw_s16(sums->part[1], vget_high_s16(low));
  sums->part[2] = vaddw_s16(sums->part[2], vget_low_s16(high));
  sums->part[3] = vaddw_s16(sums->part[3], vget_high_s16(high));
}

/* A row of outputs, 16 channels of each, the taps' rows `below` apart; `fixed`: the window is 3 x 3. Whole vectors are
 * written, which the next place overwrites in part, but at the end of a row. */
NIWAKI_KERNEL void niwaki_depthwise_taps(const niwaki_conv *d, const int8_t *x, int32_t row, const int8_t *w,
                                         const niwaki_panel *p, int32_t count, const int32_t fixed, int8_t *out) {
  const int32_t step = d->stride_w * d->in_c, taps = fixed ? 9 : d->kernel_h * d->kernel_w;
  const int32_t kernel_w = fixed ? 3 : d->kernel_w;
  const ptrdiff_t next = d->dilation_w * d->in_c, below = (ptrdiff_t)d->dilation_h * row;
  const int32_t last = niwaki_last_places(d, count);
  for (int32_t left = d->out_w; left > 0; left--, x += step, out += d->out_c) {
    niwaki_sums sums;
    for (int32_t v = 0; v < 4; v++) sums.part[v] = vdupq_n_s32(0);
    for (int32_t t = 0; t + 1 < taps; t += 2)
      niwaki_two_taps(&sums, x + t / kernel_w * below + t % kernel_w * next,
                      x + (t + 1) / kernel_w * below + (t + 1) % kernel_w * next, w + 16 * t, w + 16 * t + 16);
    if (taps & 1)
      niwaki_two_taps(&sums, x + (taps - 1) / kernel_w * below + (taps - 1) % kernel_w * next, NULL,
                      w + 16 * (taps - 1), NULL);
    niwaki_store_sums(&sums, p, 16, 1, 0, left > last ? 16 : count, out);
  }
}

NIWAKI_SHARED void niwaki_depthwise_row(const niwaki_conv *d, const int8_t *x, int32_t row, const int8_t *w,
                                        const niwaki_panel *p, int32_t count, int8_t *out) {
  niwaki_depthwise_taps(d, x, row, w, p, count, 0, out);
}

NIWAKI_SHARED void niwaki_depthwise_3x3(const niwaki_conv *d, const int8_t *x, int32_t row, const int8_t *w,
                                        const niwaki_panel *p, int32_t count, int8_t *out) {
  niwaki_depthwise_taps(d, x, row, w, p, count, 1, out);
}

/* Some rows of outputs of a tile of 16 channels; returns how many. */
NIWAKI_KERNEL int32_t niwaki_depthwise_some(const niwaki_conv *d, const int8_t *x, int32_t row, int32_t rows,
                                            const int8_t *w, const niwaki_panel *p, int32_t count, int8_t *out) {
  (void)rows;
  if (d->kernel_h == 3 && d->kernel_w == 3)
    niwaki_depthwise_3x3(d, x, row, w, p, count, out);
  else
    niwaki_depthwise_row(d, x, row, w, p, count, out);
  return 1;
}

NIWAKI_KERNEL const int8_t *niwaki_prepare_taps(const niwaki_conv *d, const int8_t *w, int32_t rows, int32_t twice,
                                                int8_t *room) {
  (void)rows;
  if (!twice) return w;
  for (int32_t t = 0; t < d->kernel_h * d->kernel_w; t++, w += 16)
    vst1q_s8(room + 16 * t, vcombine_s8(vld1_s8(w), vld1_s8(w)));
  return room;
}

/* The sum of two tensors, 16 values at a time; may work in place. Both multipliers are taken apart at bit 16, so that all
 * sums fit into 32 bits: a sum is high * 2^16 + low, and of the lower part only whole 2^16 count. */
NIWAKI_SHARED void niwaki_run_add(const niwaki_add *d, const int8_t *a, const int8_t *b, int8_t *out) {
  const int16_t low_a = (int16_t)(d->multiplier_a & 0xffff), low_b = (int16_t)(d->multiplier_b & 0xffff);
  const int64_t high_a = ((int64_t)d->multiplier_a - low_a) >> 16, high_b = ((int64_t)d->multiplier_b - low_b) >> 16;
  int32_t i = 0;
  if (high_a < 32768 && high_b < 32768 && d->shift > 16 && d->shift < 47) {
    const int64_t moved = ((int64_t)1 << (d->shift - 1)) - (int64_t)d->zero_a * d->multiplier_a -
                          (int64_t)d->zero_b * d->multiplier_b;
    const int32x4_t add_high = vdupq_n_s32((int32_t)(moved >> 16)), add_low = vdupq_n_s32((int32_t)(moved & 0xffff));
    const int32x4_t right = vdupq_n_s32(16 - d->shift);
    const int16x8_t zero = vdupq_n_s16(d->out_zero);
    const int8x8_t least = vdup_n_s8((int8_t)d->low), most = vdup_n_s8((int8_t)d->high);
    const int16_t upper_a = (int16_t)high_a, upper_b = (int16_t)high_b;
#define HALF(part)                                                                                               \
  vqmovn_s32(vshlq_s32(vsraq_n_s32(vmlal_n_s16(vmlal_n_s16(add_high, part(x), upper_a), part(y), upper_b),         \
                                   vmlal_n_s16(vmlal_n_s16(add_low, part(x), low_a), part(y), low_b), 16), right))
    for (; i + 8 <= d->size; i += 8) {
      const int16x8_t x = vmovl_s8(vld1_s8(a + i)), y = vmovl_s8(vld1_s8(b + i));
      const int16x8_t v = vqaddq_s16(vcombine_s16(HALF(vget_low_s16), HALF(vget_high_s16)), zero);
      vst1_s8(out + i, vmin_s8(vmax_s8(vqmovn_s16(v), least), most));
    }
#undef HALF
  }
  niwaki_add_values(d, a, b, out, i);
}
