/* Element by element, in plain C: tables, two tensors together, copies in another order, images in
 * another size. Included by niwaki_kernels.h. */

/* Any function of one value: table[value + 128], one table for all or one for each index of an axis, whose elements lie
 * `inner` apart. */
typedef struct {
  int32_t outer, tables, inner;
  const NIWAKI_FLASH int8_t *table;
} niwaki_lookup;

/* A table for each index of an axis, all of which are one function of 256 numbers, with a factor and an offset each. */
typedef struct {
  int32_t outer, tables, inner;
  int16_t factor_shift, offset_shift, out_zero, low, high;
  const NIWAKI_FLASH int32_t *numbers;
  const NIWAKI_FLASH int32_t *factor;
  const NIWAKI_FLASH int32_t *offset;
} niwaki_lines;

/* Five loops over two tensors, the innermost last; a and b are the steps of each loop. kind: 0 sum, 1 product, 2 the
 * larger, 3 the smaller. */
typedef struct {
  int32_t kind, count0, count1, count2, count3, count4;
  int32_t a0, a1, a2, a3, a4, b0, b1, b2, b3, b4;
  int32_t multiplier_a, multiplier_b;
  int16_t shift, zero_a, zero_b, out_zero, low, high;
} niwaki_pairwise;

typedef niwaki_pairwise niwaki_divide; /* without a kind */

/* Five loops over one tensor, the innermost last: what a transposition, a slice or a repetition is. */
typedef struct {
  int32_t start, count0, count1, count2, count3, count4, step0, step1, step2, step3, step4;
} niwaki_copy;

/* Elements from anywhere: one of the two tables says where each is. */
typedef struct {
  int32_t size;
  const NIWAKI_FLASH uint16_t *from;
  const NIWAKI_FLASH int32_t *from_far;
} niwaki_gather_from;

typedef struct {
  int32_t size;
  const NIWAKI_FLASH int8_t *values;
} niwaki_constant;

/* An image in another size: each pixel is a mean of four. Row y lies `down[y]` units of unit_h below row `above[y]`,
 * column x `right[x]` units of unit_w beside column `before[x]`. With multiplier 0 the mean is the output, rounded to the
 * nearest, ties up or `away` from zero. */
typedef struct {
  int16_t in_h, in_w, channels, out_h, out_w;
  int16_t in_zero, out_zero, low, high;
  int32_t unit_h, unit_w, multiplier;
  int8_t shift, away;
  const NIWAKI_FLASH uint16_t *above, *down, *before, *right;
} niwaki_bilinear;

/* May work in place. */
NIWAKI_KERNEL void niwaki_run_lookup(const niwaki_lookup *d, const int8_t *in, int8_t *out) {
  for (int32_t o = 0; o < d->outer; o++) {
    for (int32_t t = 0; t < d->tables; t++) {
      const NIWAKI_FLASH int8_t *const table = d->table + 256 * t + 128;
      for (int32_t i = 0; i < d->inner; i++) *out++ = table[*in++];
    }
  }
}

/* May work in place. */
NIWAKI_KERNEL void niwaki_run_lines(const niwaki_lines *d, const int8_t *in, int8_t *out) {
  const NIWAKI_FLASH int32_t *const numbers = d->numbers + 128;
  for (int32_t o = 0; o < d->outer; o++) {
    for (int32_t t = 0; t < d->tables; t++) {
      const int32_t factor = d->factor[t];
      const int64_t offset = (int64_t)d->offset[t] * ((int64_t)1 << d->offset_shift);
      for (int32_t i = 0; i < d->inner; i++) {
        const int64_t sum = (int64_t)numbers[*in++] * factor + offset;
        *out++ = niwaki_round_once(sum, d->factor_shift, d->out_zero, d->low, d->high);
      }
    }
  }
}

NIWAKI_KERNEL int8_t niwaki_pair(const niwaki_pairwise *d, int8_t x, int8_t y) {
  const int32_t a = x - d->zero_a, b = y - d->zero_b;
  if (d->kind == 1)
    return niwaki_round((int64_t)(a * b) * d->multiplier_a, d->shift, d->out_zero, d->low, d->high);
  const int64_t p = (int64_t)a * d->multiplier_a, q = (int64_t)b * d->multiplier_b;
  const int64_t value = d->kind == 0 ? p + q : (d->kind == 2) == (p > q) ? p : q;
  return niwaki_round_once(value, d->shift, d->out_zero, d->low, d->high);
}

/* The five loops: `of` gives the result of two elements. */
#define NIWAKI_EVERY_TWO(of)                                                                            \
  for (int32_t i0 = 0; i0 < d->count0; i0++)                                                            \
    for (int32_t i1 = 0; i1 < d->count1; i1++)                                                          \
      for (int32_t i2 = 0; i2 < d->count2; i2++)                                                        \
        for (int32_t i3 = 0; i3 < d->count3; i3++) {                                                    \
          const int8_t *p = a + i0 * d->a0 + i1 * d->a1 + i2 * d->a2 + i3 * d->a3;                      \
          const int8_t *q = b + i0 * d->b0 + i1 * d->b1 + i2 * d->b2 + i3 * d->b3;                      \
          for (int32_t i = 0; i < d->count4; i++, p += d->a4, q += d->b4) *out++ = of(d, *p, *q);       \
        }

NIWAKI_KERNEL void niwaki_run_pairwise(const niwaki_pairwise *d, const int8_t *a, const int8_t *b, int8_t *out) {
  NIWAKI_EVERY_TWO(niwaki_pair)
}

/* The whole quotient of positive numbers; without the library's division where the processor has none of 64 bits. */
NIWAKI_KERNEL int64_t niwaki_quotient(int64_t value, int64_t by) {
#if UINTPTR_MAX > 0xffffffffu
  return value / by;
#else
  uint64_t left = (uint64_t)value, rest = 0, found = 0;
  for (uint8_t bit = 0; bit < 64; bit++, left <<= 1) {
    rest = (rest << 1) | (left >> 63);
    found <<= 1;
    if (rest >= (uint64_t)by) {
      rest -= (uint64_t)by;
      found |= 1;
    }
  }
  return (int64_t)found;
#endif
}

/* Rounded to the nearest, ties up; by zero it is the end of the range on the side of a, and nothing for 0 / 0. */
NIWAKI_KERNEL int8_t niwaki_ratio(const niwaki_divide *d, int8_t x, int8_t y) {
  const int32_t far = x - d->zero_a, b = y - d->zero_b, a = b < 0 ? -far : far;
  if (b == 0) return (int8_t)niwaki_clamp(d->out_zero + (a < 0 ? -256 : a > 0 ? 256 : 0), d->low, d->high);
  const int64_t by = (int64_t)(b < 0 ? -b : b) * ((int64_t)1 << d->shift);
  const int64_t value = (int64_t)a * d->multiplier_a + (by >> 1);
  const int64_t found = (value < 0 ? -niwaki_quotient(by - 1 - value, by) : niwaki_quotient(value, by)) + d->out_zero;
  return (int8_t)(found < d->low ? d->low : found > d->high ? d->high : found);
}

NIWAKI_KERNEL void niwaki_run_divide(const niwaki_divide *d, const int8_t *a, const int8_t *b, int8_t *out) {
  NIWAKI_EVERY_TWO(niwaki_ratio)
}

NIWAKI_KERNEL void niwaki_run_copy(const niwaki_copy *d, const int8_t *in, int8_t *out) {
  in += d->start;
  for (int32_t i0 = 0; i0 < d->count0; i0++) {
    for (int32_t i1 = 0; i1 < d->count1; i1++) {
      for (int32_t i2 = 0; i2 < d->count2; i2++) {
        for (int32_t i3 = 0; i3 < d->count3; i3++) {
          const int8_t *p = in + i0 * d->step0 + i1 * d->step1 + i2 * d->step2 + i3 * d->step3;
          for (int32_t i = 0; i < d->count4; i++, p += d->step4) *out++ = *p;
        }
      }
    }
  }
}

NIWAKI_KERNEL void niwaki_run_gather_from(const niwaki_gather_from *d, const int8_t *in, int8_t *out) {
  for (int32_t i = 0; i < d->size; i++) out[i] = in[d->from ? (int32_t)d->from[i] : d->from_far[i]];
}

NIWAKI_KERNEL void niwaki_run_constant(const niwaki_constant *d, int8_t *out) {
  for (int32_t i = 0; i < d->size; i++) out[i] = d->values[i];
}

/* The sum of a place's weights times its values is within 32 bits: units are at most 2**23. */
NIWAKI_KERNEL int8_t niwaki_weighed(const niwaki_bilinear *d, int32_t sum, int32_t units) {
  if (d->multiplier != 0)
    return niwaki_round_once((int64_t)(sum - units * d->in_zero) * d->multiplier, d->shift, d->out_zero, d->low, d->high);
  if (d->away)
    sum = (sum + (sum < 0 ? -(units / 2) : units / 2)) / units;
  else
    sum = (sum + 128 * units + units / 2) / units - 128; /* never negative before division, which cuts */
  return (int8_t)niwaki_clamp(sum, d->low, d->high);
}

NIWAKI_KERNEL void niwaki_run_bilinear(const niwaki_bilinear *d, const int8_t *in, int8_t *out) {
  const int32_t row = (int32_t)d->in_w * d->channels, units = d->unit_h * d->unit_w;
  for (int32_t y = 0; y < d->out_h; y++) {
    const int32_t down = d->down[y];
    const int8_t *const above = in + d->above[y] * row, *const below = above + (down ? row : 0);
    for (int32_t x = 0; x < d->out_w; x++) {
      const int32_t right = d->right[x], at = (int32_t)d->before[x] * d->channels, next = at + (right ? d->channels : 0);
      const int32_t both = down * right, lower = down * d->unit_w - both, further = right * d->unit_h - both;
      const int32_t upper = units - lower - further - both;
      for (int32_t c = 0; c < d->channels; c++) {
        const int32_t sum = above[at + c] * upper + above[next + c] * further + below[at + c] * lower + below[next + c] * both;
        *out++ = niwaki_weighed(d, sum, units);
      }
    }
  }
}
