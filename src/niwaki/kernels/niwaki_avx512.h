/* x86 with AVX-512 VNNI: vectors of 16, 8 and 4 sums. Included by niwaki_blocks.h for each width NIWAKI_W, with the
 * vector type V and the intrinsics' prefix I.
 *
 * vpdpbusd multiplies unsigned by signed bytes, so activations are moved up by 128; the bias takes that in.
 */
typedef V N(sums);
typedef V N(weights);

/* Multipliers, shifts and halves for the lanes of even and of odd numbers, 64 bits each. */
typedef struct {
  V even, odd, shift_even, shift_odd, half_even, half_odd;
#if defined(NIWAKI_TWICE)
  V less_even, less_odd; /* the halves for negative products */
#endif
} N(scale);

#if defined(NIWAKI_TWICE)
/* The halves of both steps, from those of one rounding. */
NIWAKI_KERNEL void N(halve_twice)(N(scale) *s, const uint8_t *shift) {
  const V more = I(srli_epi64)(I(set1_epi32)(NIWAKI_FIRST_HALF), 32), most = I(srli_epi64)(I(set1_epi32)(31), 32);
  (void)shift;
  const __mmask8 even = I(cmpgt_epi64_mask)(s->shift_even, most), odd = I(cmpgt_epi64_mask)(s->shift_odd, most);
  s->less_even = I(mask_sub_epi64)(s->half_even, even, s->half_even, more);
  s->less_odd = I(mask_sub_epi64)(s->half_odd, odd, s->half_odd, more);
  s->half_even = I(mask_add_epi64)(s->half_even, even, s->half_even, more);
  s->half_odd = I(mask_add_epi64)(s->half_odd, odd, s->half_odd, more);
}
#endif

NIWAKI_KERNEL N(sums) N(load_bias)(const int32_t *bias) { return I(loadu_epi32)(bias); }

NIWAKI_KERNEL N(weights) N(load_weights)(const int8_t *w) { return I(loadu_epi32)(w); }

/* Four inputs, the same for every lane, against four weights of each lane. */
NIWAKI_KERNEL N(sums) N(dot)(N(sums) sums, const uint8_t *x, N(weights) weights) {
  int32_t four;
  NIWAKI_COPY(&four, x, 4);
  return I(dpbusd_epi32)(sums, I(set1_epi32)(four), weights);
}

NIWAKI_KERNEL N(sums) N(plus)(N(sums) a, N(sums) b) { return I(add_epi32)(a, b); }

NIWAKI_KERNEL N(sums) N(zero)(void) { return I(set1_epi32)(0); }

NIWAKI_KERNEL N(sums) N(larger)(N(sums) a, N(sums) b) { return I(max_epi32)(a, b); }

NIWAKI_KERNEL void N(spread)(N(sums) sums, int32_t *out) { I(storeu_epi32)(out, sums); }

NIWAKI_KERNEL N(scale) N(load_scale)(const int32_t *multiplier, const uint8_t *shift) {
  const V one = I(srli_epi64)(I(set1_epi32)(1), 32), shifts = N(load_shift)(shift);
  N(scale) s;
  s.even = I(loadu_epi32)(multiplier);
  s.odd = I(srli_epi64)(s.even, 32);
  s.shift_even = I(srli_epi64)(I(slli_epi64)(shifts, 32), 32);
  s.shift_odd = I(srli_epi64)(shifts, 32);
  s.half_even = I(sllv_epi64)(one, I(sub_epi64)(s.shift_even, one));
  s.half_odd = I(sllv_epi64)(one, I(sub_epi64)(s.shift_odd, one));
#if defined(NIWAKI_TWICE)
  s.less_even = s.half_even;
  s.less_odd = s.half_odd;
#endif
  return s;
}

/* The one rounding, then the zero point. */
NIWAKI_KERNEL V N(rounded)(V sums, const N(scale) *s, int32_t zero) {
#if defined(NIWAKI_TWICE)
  const V first = I(mul_epi32)(sums, s->even), second = I(mul_epi32)(I(srli_epi64)(sums, 32), s->odd);
  const V even = I(add_epi64)(first, I(mask_blend_epi64)(I(movepi64_mask)(first), s->half_even, s->less_even));
  const V odd = I(add_epi64)(second, I(mask_blend_epi64)(I(movepi64_mask)(second), s->half_odd, s->less_odd));
#else
  const V even = I(add_epi64)(I(mul_epi32)(sums, s->even), s->half_even);
  const V odd = I(add_epi64)(I(mul_epi32)(I(srli_epi64)(sums, 32), s->odd), s->half_odd);
#endif
  const V both = I(mask_shuffle_epi32)(I(srav_epi64)(even, s->shift_even), (N(mask))0xaaaa,
                                       I(srav_epi64)(odd, s->shift_odd), (_MM_PERM_ENUM)0xa0);
  return I(add_epi32)(both, I(set1_epi32)(zero));
}

NIWAKI_KERNEL void N(store)(V sums, const N(scale) *s, int32_t zero, int32_t low, int32_t high, int8_t *out,
                            int32_t count) {
  V v = N(rounded)(sums, s, zero);
  if (low > -128) v = I(max_epi32)(v, I(set1_epi32)(low));
  if (high < 127) v = I(min_epi32)(v, I(set1_epi32)(high));
  if (count >= NIWAKI_W)
    N(put)(out, I(cvtsepi32_epi8)(v));
  else
    _mm_mask_storeu_epi8(out, (__mmask16)((1u << count) - 1u), I(cvtsepi32_epi8)(v));
}
