/* x86 with AVX2: 8 or 4 sums, each in two halves side by side until they are rounded. Included by niwaki_blocks.h.
 *
 * Bytes are widened to 16 bits: vpmaddubsw, which would take them as they are, saturates.
 */
#include <immintrin.h>

/* Sums of channels 0 to 3 and 4 to 7: (first half, second half) of each. */
typedef struct {
  __m256i low, high;
} niwaki_sums_8;
typedef struct {
  __m256i low, high;
} niwaki_weights_8;
typedef __m256i niwaki_sums_4;
typedef __m256i niwaki_weights_4;

/* Multipliers, shifts, halves, and what moving the product above zero adds to the result; 64 bits each. */
typedef struct {
  __m256i multiplier, shift, half, excess;
#if defined(NIWAKI_TWICE)
  __m256i less; /* the half for negative products */
#endif
} niwaki_scale_4;
typedef struct {
  niwaki_scale_4 low, high;
} niwaki_scale_8;

NIWAKI_KERNEL __m256i niwaki_load_bias_4(const int32_t *bias) {
  return _mm256_cvtepu32_epi64(_mm_loadu_si128((const void *)bias));
}

NIWAKI_KERNEL niwaki_sums_8 niwaki_load_bias_8(const int32_t *bias) {
  const niwaki_sums_8 sums = {niwaki_load_bias_4(bias), niwaki_load_bias_4(bias + 4)};
  return sums;
}

NIWAKI_KERNEL __m256i niwaki_zero_4(void) { return _mm256_setzero_si256(); }

NIWAKI_KERNEL niwaki_sums_8 niwaki_zero_8(void) {
  const niwaki_sums_8 sums = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  return sums;
}

NIWAKI_KERNEL __m256i niwaki_load_weights_4(const int8_t *w) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)w));
}

NIWAKI_KERNEL niwaki_weights_8 niwaki_load_weights_8(const int8_t *w) {
  const niwaki_weights_8 weights = {niwaki_load_weights_4(w), niwaki_load_weights_4(w + 16)};
  return weights;
}

NIWAKI_KERNEL __m256i niwaki_four_inputs(const uint8_t *x) {
  int32_t four;
  NIWAKI_COPY(&four, x, 4);
  return _mm256_cvtepi8_epi16(_mm_set1_epi32(four));
}

NIWAKI_KERNEL __m256i niwaki_dot_4(__m256i sums, const uint8_t *x, __m256i weights) {
  return _mm256_add_epi32(sums, _mm256_madd_epi16(niwaki_four_inputs(x), weights));
}

NIWAKI_KERNEL niwaki_sums_8 niwaki_dot_8(niwaki_sums_8 sums, const uint8_t *x, niwaki_weights_8 weights) {
  const __m256i four = niwaki_four_inputs(x);
  sums.low = _mm256_add_epi32(sums.low, _mm256_madd_epi16(four, weights.low));
  sums.high = _mm256_add_epi32(sums.high, _mm256_madd_epi16(four, weights.high));
  return sums;
}

NIWAKI_KERNEL __m256i niwaki_plus_4(__m256i a, __m256i b) { return _mm256_add_epi32(a, b); }

NIWAKI_KERNEL niwaki_sums_8 niwaki_plus_8(niwaki_sums_8 a, niwaki_sums_8 b) {
  const niwaki_sums_8 sums = {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
  return sums;
}

/* Both halves added: the whole sum in every place. */
NIWAKI_KERNEL __m256i niwaki_whole(__m256i sums) { return _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0xb1)); }

/* The larger of two sums, as (sum, 0), so that it can be compared again. */
NIWAKI_KERNEL __m256i niwaki_larger_4(__m256i a, __m256i b) {
  return _mm256_srli_epi64(_mm256_slli_epi64(_mm256_max_epi32(niwaki_whole(a), niwaki_whole(b)), 32), 32);
}

NIWAKI_KERNEL niwaki_sums_8 niwaki_larger_8(niwaki_sums_8 a, niwaki_sums_8 b) {
  const niwaki_sums_8 sums = {niwaki_larger_4(a.low, b.low), niwaki_larger_4(a.high, b.high)};
  return sums;
}

/* The low 32 bits of four times 64. */
NIWAKI_KERNEL __m128i niwaki_narrow(__m256i v) {
  return _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7)));
}

NIWAKI_KERNEL void niwaki_spread_4(__m256i sums, int32_t *out) {
  _mm_storeu_si128((void *)out, niwaki_narrow(niwaki_whole(sums)));
}

NIWAKI_KERNEL void niwaki_spread_8(niwaki_sums_8 sums, int32_t *out) {
  niwaki_spread_4(sums.low, out);
  niwaki_spread_4(sums.high, out + 4);
}

/* There is no arithmetic shift of 64 bits: the product is moved above zero by 2^63, shifted, and moved back. */
NIWAKI_KERNEL niwaki_scale_4 niwaki_load_scale_4(const int32_t *multiplier, const uint8_t *shift) {
  const __m256i one = _mm256_set1_epi64x(1), top = _mm256_slli_epi64(one, 63);
  niwaki_scale_4 s;
  s.multiplier = _mm256_cvtepi32_epi64(_mm_loadu_si128((const void *)multiplier));
  s.shift = _mm256_cvtepu8_epi64(_mm_loadu_si32(shift));
  s.half = _mm256_add_epi64(_mm256_sllv_epi64(one, _mm256_sub_epi64(s.shift, one)), top);
  s.excess = _mm256_srlv_epi64(top, s.shift);
#if defined(NIWAKI_TWICE)
  s.less = s.half;
#endif
  return s;
}

NIWAKI_KERNEL niwaki_scale_8 niwaki_load_scale_8(const int32_t *multiplier, const uint8_t *shift) {
  const niwaki_scale_8 s = {niwaki_load_scale_4(multiplier, shift), niwaki_load_scale_4(multiplier + 4, shift + 4)};
  return s;
}

#if defined(NIWAKI_TWICE)
/* The halves of both steps, from those of one rounding. */
NIWAKI_KERNEL void niwaki_halve_twice_4(niwaki_scale_4 *s, const uint8_t *shift) {
  (void)shift;
  const __m256i steps = _mm256_cmpgt_epi64(s->shift, _mm256_set1_epi64x(31));
  const __m256i more = _mm256_and_si256(steps, _mm256_set1_epi64x(NIWAKI_FIRST_HALF));
  s->less = _mm256_sub_epi64(s->half, more);
  s->half = _mm256_add_epi64(s->half, more);
}

NIWAKI_KERNEL void niwaki_halve_twice_8(niwaki_scale_8 *s, const uint8_t *shift) {
  niwaki_halve_twice_4(&s->low, shift);
  niwaki_halve_twice_4(&s->high, shift + 4);
}
#endif

NIWAKI_KERNEL __m128i niwaki_rounded_4(__m256i sums, const niwaki_scale_4 *s, int32_t zero) {
#if defined(NIWAKI_TWICE)
  const __m256i exact = _mm256_mul_epi32(niwaki_whole(sums), s->multiplier);
  const __m256i negative = _mm256_cmpgt_epi64(_mm256_setzero_si256(), exact);
  const __m256i product = _mm256_add_epi64(exact, _mm256_blendv_epi8(s->half, s->less, negative));
#else
  const __m256i product = _mm256_add_epi64(_mm256_mul_epi32(niwaki_whole(sums), s->multiplier), s->half);
#endif
  const __m256i value = _mm256_sub_epi64(_mm256_srlv_epi64(product, s->shift), s->excess);
  return _mm_add_epi32(niwaki_narrow(value), _mm_set1_epi32(zero));
}

NIWAKI_KERNEL void niwaki_put(__m128i a, __m128i b, int32_t low, int32_t high, int8_t *out, int32_t count) {
  __m128i bytes = _mm_packs_epi32(a, b);
  bytes = _mm_packs_epi16(bytes, bytes);
  bytes = _mm_max_epi8(bytes, _mm_set1_epi8((char)low));
  bytes = _mm_min_epi8(bytes, _mm_set1_epi8((char)high));
  if (count >= 8) {
    _mm_storeu_si64(out, bytes);
  } else {
    int8_t each[8];
    _mm_storeu_si64(each, bytes);
    NIWAKI_COPY(out, each, (size_t)count);
  }
}

NIWAKI_KERNEL void niwaki_store_4(__m256i sums, const niwaki_scale_4 *s, int32_t zero, int32_t low, int32_t high,
                                  int8_t *out, int32_t count) {
  niwaki_put(niwaki_rounded_4(sums, s, zero), _mm_setzero_si128(), low, high, out, count);
}

NIWAKI_KERNEL void niwaki_store_8(niwaki_sums_8 sums, const niwaki_scale_8 *s, int32_t zero, int32_t low,
                                  int32_t high, int8_t *out, int32_t count) {
  niwaki_put(niwaki_rounded_4(sums.low, &s->low, zero), niwaki_rounded_4(sums.high, &s->high, zero), low, high, out,
             count);
}
