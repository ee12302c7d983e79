/* AVX-512: the sum of two tensors, 16 values at a time. Included by niwaki_blocks.h. */

/* Products of the even lanes, or after moving the lanes down of the odd ones, added and rounded in 64 bits. */
NIWAKI_KERNEL __m512i niwaki_rounded_sum(const niwaki_add *d, __m512i a, __m512i b) {
  const __m512i first = _mm512_mul_epi32(a, _mm512_set1_epi32(d->multiplier_a));
  const __m512i both = _mm512_add_epi64(first, _mm512_mul_epi32(b, _mm512_set1_epi32(d->multiplier_b)));
  const __m512i half = _mm512_set1_epi64(1LL << (d->shift - 1));
  return _mm512_sra_epi64(_mm512_add_epi64(both, half), _mm_cvtsi32_si128(d->shift));
}

/* May work in place. */
NIWAKI_KERNEL void niwaki_run_add(const niwaki_add *d, const int8_t *a, const int8_t *b, int8_t *out) {
  const __m512i zero = _mm512_set1_epi32(d->out_zero);
  const __m512i low = _mm512_set1_epi32(d->low), high = _mm512_set1_epi32(d->high);
  int32_t i = 0;
  for (; i + 16 <= d->size; i += 16) {
    const __m512i x = _mm512_sub_epi32(_mm512_cvtepi8_epi32(_mm_loadu_epi8(a + i)), _mm512_set1_epi32(d->zero_a));
    const __m512i y = _mm512_sub_epi32(_mm512_cvtepi8_epi32(_mm_loadu_epi8(b + i)), _mm512_set1_epi32(d->zero_b));
    const __m512i even = niwaki_rounded_sum(d, x, y);
    const __m512i odd = niwaki_rounded_sum(d, _mm512_srli_epi64(x, 32), _mm512_srli_epi64(y, 32));
    __m512i v = _mm512_mask_shuffle_epi32(even, 0xaaaa, odd, (_MM_PERM_ENUM)0xa0);
    v = _mm512_min_epi32(_mm512_max_epi32(_mm512_add_epi32(v, zero), low), high);
    _mm_storeu_epi8(out + i, _mm512_cvtepi32_epi8(v));
  }
  niwaki_add_values(d, a, b, out, i);
}
