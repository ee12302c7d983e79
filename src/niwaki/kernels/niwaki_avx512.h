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
} N(scale);

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
  return s;
}

/* The one rounding, then the zero point. */
NIWAKI_KERNEL V N(rounded)(V sums, const N(scale) *s, int32_t zero) {
  const V even = I(add_epi64)(I(mul_epi32)(sums, s->even), s->half_even);
  const V odd = I(add_epi64)(I(mul_epi32)(I(srli_epi64)(sums, 32), s->odd), s->half_odd);
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
