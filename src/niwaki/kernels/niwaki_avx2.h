/* x86 with AVX2: sums of 16 or 8 output channels at several places, and their rounding. Included by niwaki_blocks.h.
 *
 * Activations are widened to 16 bits once, weights once for each block of channels: vpmaddubsw, which would take bytes,
 * saturates. A vector holds the sums of four channels, each in two halves, until all inputs are added. Then come two
 * vectors for 16 channels: `low` holds channels 0 to 3 and 8 to 11, `high` the others; of 8 channels `low` holds all.
 */
#include <immintrin.h>

#if defined(NIWAKI_VNNI)
typedef uint8_t niwaki_seen; /* an activation as kernels read it: for convolutions moved by 128 */
typedef int8_t niwaki_wide;  /* a weight as tiles read it */
#define NIWAKI_PLACES_16 6   /* output places of a tile of 16 channels */
#if defined(__AVXVNNI__)
#define NIWAKI_VPDPBUSD "%{vex%} vpdpbusd "
#else
#define NIWAKI_VPDPBUSD "vpdpbusd "
#endif
#else
typedef int16_t niwaki_seen, niwaki_wide;
#define NIWAKI_PLACES_16 3
#endif
typedef int16_t niwaki_tap; /* a depthwise weight */

#define NIWAKI_PLACES_8 6
#define NIWAKI_PLACES 6
#define NIWAKI_GROUPS 256 /* groups of four inputs of 16 channels whose weights are widened beforehand */
#if defined(NIWAKI_VNNI)
#define NIWAKI_ROOM (16 * NIWAKI_GROUPS)
#else
#define NIWAKI_ROOM (64 * NIWAKI_GROUPS)
#endif

/* Weights as they lie in memory, and as tiles read them if tiles pay. */
typedef struct {
  const int8_t *bytes;
  const niwaki_wide *wide;
} niwaki_weights;

/* What a tile sees: the first inputs of its places, and `rows` rows of `groups` times four, `row` apart, `from` there. */
typedef struct {
  const niwaki_seen *x[NIWAKI_PLACES];
  int32_t from, row, rows, groups;
} niwaki_view;

/* The sums of a tile at one place. */
typedef struct {
  __m256i low, high;
} niwaki_sums;

/* How four channels in each half of a vector are rounded. `right` and `half` belong to the upper 32 bits of products,
 * whose lanes are in the order 0 2 1 3. */
typedef struct {
  __m256i bias, multiplier, odd, right, half, most, left;
#if defined(NIWAKI_TWICE)
  __m256i more, more_odd; /* what the first of two roundings adds */
#endif
} niwaki_scale;

/* What a block of channels needs beside its weights. */
typedef struct {
  niwaki_scale scale[2];
  __m256i zero, least, most;
  int32_t near; /* some factor is so large that the sum is scaled up before it is multiplied */
} niwaki_panel;

NIWAKI_KERNEL __m128i niwaki_load_128(const void *x) { return _mm_loadu_si128((const __m128i *)x); }
NIWAKI_KERNEL __m256i niwaki_load_256(const void *x) { return _mm256_loadu_si256((const __m256i *)x); }
NIWAKI_KERNEL void niwaki_store_256(void *to, __m256i v) { _mm256_storeu_si256((__m256i *)to, v); }

NIWAKI_KERNEL __m256i niwaki_two(__m128i low, __m128i high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

#if defined(NIWAKI_VNNI)
NIWAKI_KERNEL void niwaki_see(const int8_t *in, int32_t count, int32_t flip, uint8_t *out) {
  const __m256i moved = _mm256_set1_epi8((char)flip);
  int32_t i = 0;
  for (; i + 32 <= count; i += 32) niwaki_store_256(out + i, _mm256_xor_si256(niwaki_load_256(in + i), moved));
  if (i < count && count >= 32) { /* the last 32 once more, if need be */
    i = count - 32;
    niwaki_store_256(out + i, _mm256_xor_si256(niwaki_load_256(in + i), moved));
    return;
  }
  for (; i < count; i++) out[i] = (uint8_t)(in[i] ^ flip);
}

NIWAKI_KERNEL void niwaki_see_fill(uint8_t *out, int32_t value, int32_t count) {
  NIWAKI_FILL(out, value & 0xff, (size_t)count);
}

NIWAKI_KERNEL __m256i niwaki_load_seen(const uint8_t *x) { return _mm256_cvtepi8_epi16(niwaki_load_128(x)); }

/* Four products of a byte without and one with a sign, added to each sum. */
NIWAKI_KERNEL __m256i niwaki_add_four(__m256i sums, __m256i x, __m256i w) {
  __asm__(NIWAKI_VPDPBUSD "%2, %1, %0" : "+x"(sums) : "x"(x), "xm"(w));
  return sums;
}

/* Weights of four channels, with four more of zero. */
NIWAKI_SHARED const int8_t *niwaki_eight_channels(const int8_t *w, int32_t groups, int8_t *out) {
  for (int32_t g = 0; g < groups; g++)
    niwaki_store_256(out + 32 * g, _mm256_zextsi128_si256(niwaki_load_128(w + 16 * g)));
  return out;
}
#else
NIWAKI_KERNEL void niwaki_see(const int8_t *in, int32_t count, int32_t flip, int16_t *out) {
  int32_t i = 0;
  (void)flip;
  if (count < 16) {
    for (; i < count; i++) out[i] = in[i];
    return;
  }
  for (; i + 32 < count; i += 32) {
    niwaki_store_256(out + i, _mm256_cvtepi8_epi16(niwaki_load_128(in + i)));
    niwaki_store_256(out + i + 16, _mm256_cvtepi8_epi16(niwaki_load_128(in + i + 16)));
  }
  if (i + 16 < count) niwaki_store_256(out + i, _mm256_cvtepi8_epi16(niwaki_load_128(in + i)));
  i = count - 16; /* the last 16 once more, if need be */
  niwaki_store_256(out + i, _mm256_cvtepi8_epi16(niwaki_load_128(in + i)));
}

/* May write 15 more, where something else is written afterwards. */
NIWAKI_KERNEL void niwaki_see_fill(int16_t *out, int32_t value, int32_t count) {
  const __m256i v = _mm256_set1_epi16((int16_t)value);
  for (int32_t i = 0; i < count; i += 16) niwaki_store_256(out + i, v);
}

NIWAKI_KERNEL __m256i niwaki_load_seen(const int16_t *x) { return niwaki_load_256(x); }

/* Weights of 16 channels, then of the two vectors of 8: for every four inputs channels 0 1 8 9, 2 3 10 11, 4 5 12 13,
 * 6 7 14 15; or 0 1 4 5, 2 3 6 7. */
NIWAKI_SHARED void niwaki_widen_weights(const int8_t *w, int32_t groups, int32_t width, int16_t *out) {
  for (int32_t g = 0; g < groups; g++, w += 4 * width) {
    if (width == 16) {
      const __m256i a = niwaki_load_256(w), b = niwaki_load_256(w + 32);
      const __m256i even = _mm256_unpacklo_epi64(a, b), odd = _mm256_unpackhi_epi64(a, b);
      niwaki_store_256(out, _mm256_cvtepi8_epi16(_mm256_castsi256_si128(even)));
      niwaki_store_256(out + 16, _mm256_cvtepi8_epi16(_mm256_castsi256_si128(odd)));
      niwaki_store_256(out + 32, _mm256_cvtepi8_epi16(_mm256_extracti128_si256(even, 1)));
      niwaki_store_256(out + 48, _mm256_cvtepi8_epi16(_mm256_extracti128_si256(odd, 1)));
      out += 64;
    } else {
      const __m128i a = niwaki_load_128(w), b = width == 8 ? niwaki_load_128(w + 16) : _mm_setzero_si128();
      niwaki_store_256(out, _mm256_cvtepi8_epi16(_mm_unpacklo_epi64(a, b)));
      niwaki_store_256(out + 16, _mm256_cvtepi8_epi16(_mm_unpackhi_epi64(a, b)));
      out += 32;
    }
  }
}

#endif

/* The scale of a vector, its multipliers and shifts in natural order.
 *
 * The product is at most 62 bits and its shift at least 33, so that its lower 32 bits never count. A shift below 33
 * belongs to a factor of at least 1/4: a sum beyond 2^(shift - 21) saturates whatever it is, so it is cut there, moved
 * up, and the shift made 33.
 */
NIWAKI_KERNEL niwaki_scale niwaki_make_scale(__m256i bias, __m256i multiplier, __m256i shift, int32_t near) {
  const __m256i one = _mm256_set1_epi32(1), none = _mm256_setzero_si256(), least = _mm256_set1_epi32(33);
  niwaki_scale s;
  s.bias = bias;
  s.multiplier = multiplier;
  s.odd = _mm256_srli_epi64(multiplier, 32);
  s.left = none;
  s.most = _mm256_set1_epi32(INT32_MAX);
  s.right = _mm256_shuffle_epi32(_mm256_sub_epi32(shift, _mm256_set1_epi32(32)), 0xd8);
  if (near) {
    const __m256i known = _mm256_max_epi32(shift, _mm256_set1_epi32(3));
    const __m256i limit = _mm256_max_epi32(_mm256_sub_epi32(known, _mm256_set1_epi32(21)), none);
    s.left = _mm256_max_epi32(_mm256_sub_epi32(least, known), none);
    s.most = _mm256_blendv_epi8(s.most, _mm256_sllv_epi32(one, limit), _mm256_cmpgt_epi32(least, shift));
    s.right = _mm256_max_epi32(s.right, one);
  }
  s.half = _mm256_sllv_epi32(one, _mm256_sub_epi32(s.right, one));
  return s;
}

#if defined(NIWAKI_TWICE)
/* The first of two roundings adds half of 31 bits where the shift is beyond 31. */
NIWAKI_KERNEL void niwaki_round_twice(niwaki_scale *s, __m256i shift) {
  const __m256i steps = _mm256_cmpgt_epi32(shift, _mm256_set1_epi32(31));
  const __m256i more = _mm256_sllv_epi32(_mm256_and_si256(steps, _mm256_set1_epi32(NIWAKI_FIRST_HALF)), s->left);
  s->more = _mm256_srli_epi64(_mm256_slli_epi64(more, 32), 32);
  s->more_odd = _mm256_srli_epi64(more, 32);
}

/* `more` with the sign of the product, added to it. */
NIWAKI_KERNEL __m256i niwaki_moved(__m256i product, __m256i more) {
  const __m256i negative = _mm256_cmpgt_epi64(_mm256_setzero_si256(), product);
  return _mm256_add_epi64(product, _mm256_sub_epi64(_mm256_xor_si256(more, negative), negative));
}
#endif

/* Channels 0 to 3 and 8 to 11 of what is natural order in memory, from p; or 0 to 7. */
NIWAKI_KERNEL __m256i niwaki_quarters(const int32_t *p, int32_t width) {
  return niwaki_two(niwaki_load_128(p), width == 4 ? _mm_setzero_si128() : niwaki_load_128(p + width / 2));
}

NIWAKI_KERNEL __m256i niwaki_quarter_bytes(const uint8_t *p, int32_t width) {
  return niwaki_two(_mm_cvtepu8_epi32(_mm_loadu_si32(p)),
                    width == 4 ? _mm_setzero_si128() : _mm_cvtepu8_epi32(_mm_loadu_si32(p + width / 2)));
}

/* Of one block of `width` (16, 8 or 4) channels; `twice`: its results are rounded in two steps. */
NIWAKI_SHARED void niwaki_make_panel(const int32_t *bias, const int32_t *multiplier, const uint8_t *shift,
                                     int32_t width, int32_t twice, niwaki_panel *p) {
  const int32_t vectors = width == 16 ? 2 : 1;
  int near = 0;
  for (int32_t i = 0; i < vectors; i++) {
    const __m256i shifts = niwaki_quarter_bytes(shift + 4 * i, width);
    near |= _mm256_movemask_epi8(_mm256_cmpgt_epi32(_mm256_set1_epi32(33), shifts));
  }
  for (int32_t i = 0; i < vectors; i++) {
    const __m256i shifts = niwaki_quarter_bytes(shift + 4 * i, width);
    p->scale[i] = niwaki_make_scale(niwaki_quarters(bias + 4 * i, width), niwaki_quarters(multiplier + 4 * i, width),
                                    shifts, near);
#if defined(NIWAKI_TWICE)
    niwaki_round_twice(&p->scale[i], twice ? shifts : _mm256_setzero_si256());
#endif
  }
  (void)twice;
  p->near = near;
}

NIWAKI_KERNEL void niwaki_double(__m256i *v) { *v = _mm256_permute2x128_si256(*v, *v, 0); }

/* Channels 8 to 15 as 0 to 7. */
NIWAKI_KERNEL void niwaki_double_panel(niwaki_panel *p) {
  for (int32_t i = 0; i < 2; i++) {
    niwaki_scale *const s = &p->scale[i];
    niwaki_double(&s->bias);
    niwaki_double(&s->multiplier);
    niwaki_double(&s->odd);
    niwaki_double(&s->right);
    niwaki_double(&s->half);
    niwaki_double(&s->most);
    niwaki_double(&s->left);
#if defined(NIWAKI_TWICE)
    niwaki_double(&s->more);
    niwaki_double(&s->more_odd);
#endif
  }
}

/* The zero point and the range of the results. */
NIWAKI_KERNEL void niwaki_bound_panel(niwaki_panel *p, int32_t zero, int32_t low, int32_t high) {
  p->zero = _mm256_set1_epi16((int16_t)zero);
  p->least = _mm256_set1_epi8((char)low);
  p->most = _mm256_set1_epi8((char)high);
}

/* Sums with the bias, rounded, each four in the order 0 2 1 3. */
NIWAKI_KERNEL __m256i niwaki_rounded(__m256i sums, const niwaki_scale *s, const int32_t near) {
  sums = _mm256_add_epi32(sums, s->bias);
  if (near) {
    const __m256i below = _mm256_sub_epi32(_mm256_setzero_si256(), s->most);
    sums = _mm256_sllv_epi32(_mm256_max_epi32(_mm256_min_epi32(sums, s->most), below), s->left);
  }
  __m256i even = _mm256_mul_epi32(sums, s->multiplier), odd = _mm256_mul_epi32(_mm256_srli_epi64(sums, 32), s->odd);
#if defined(NIWAKI_TWICE)
  even = niwaki_moved(even, s->more);
  odd = niwaki_moved(odd, s->more_odd);
#endif
  const __m256 upper = _mm256_shuffle_ps(_mm256_castsi256_ps(even), _mm256_castsi256_ps(odd), 0xdd);
  return _mm256_srav_epi32(_mm256_add_epi32(_mm256_castps_si256(upper), s->half), s->right);
}

/* Rounded, with the zero point: 16 channels as 16 bits, each four in the order 0 2 1 3; 8 in the lower half. */
NIWAKI_KERNEL __m256i niwaki_moved_sums(const niwaki_sums *sums, const niwaki_panel *p, const int32_t width,
                                        const int32_t near) {
  const __m256i low = niwaki_rounded(sums->low, &p->scale[0], near);
  if (width == 16)
    return _mm256_adds_epi16(_mm256_packs_epi32(low, niwaki_rounded(sums->high, &p->scale[1], near)), p->zero);
  return _mm256_adds_epi16(
      _mm256_castsi128_si256(_mm_packs_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1))), p->zero);
}

/* Bytes in natural order, within the range. */
NIWAKI_KERNEL __m256i niwaki_bounded(__m256i bytes, const niwaki_panel *p) {
  const __m256i order = _mm256_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15,
                                         0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
  return _mm256_shuffle_epi8(_mm256_min_epi8(_mm256_max_epi8(bytes, p->least), p->most), order);
}

NIWAKI_SHARED void niwaki_store_some(__m128i bytes, int32_t count, int8_t *out) {
  if (count & 8) {
    _mm_storel_epi64((__m128i *)out, bytes);
    bytes = _mm_srli_si128(bytes, 8);
    out += 8;
  }
  if (count & 4) {
    _mm_storeu_si32(out, bytes);
    bytes = _mm_srli_si128(bytes, 4);
    out += 4;
  }
  if (count & 2) {
    _mm_storeu_si16(out, bytes);
    bytes = _mm_srli_si128(bytes, 2);
    out += 2;
  }
  if (count & 1) *out = (int8_t)_mm_cvtsi128_si32(bytes);
}

/* What is read from memory is read again after it, in place of being kept in registers that are needed. */
#if defined(__GNUC__)
#define NIWAKI_READ_AGAIN __asm__ volatile("" : : : "memory");
#else
#define NIWAKI_READ_AGAIN
#endif

NIWAKI_KERNEL void niwaki_store_bytes(__m128i bytes, const int32_t width, int32_t count, int8_t *out) {
  if (count < width)
    niwaki_store_some(bytes, count, out);
  else if (width == 16)
    _mm_storeu_si128((__m128i *)out, bytes);
  else if (width == 8)
    _mm_storel_epi64((__m128i *)out, bytes);
  else
    niwaki_store_some(bytes, width, out);
}

/* Results of `places` places, `step` apart; the last writes `count` bytes, the others whole vectors. */
NIWAKI_KERNEL void niwaki_store_with(const niwaki_sums *sums, const niwaki_panel *p, const int32_t width,
                                     const int32_t places, ptrdiff_t step, int32_t count, const int32_t near,
                                     int8_t *out) {
  int32_t i = 0;
  NIWAKI_READ_AGAIN
  for (; i + 2 <= places; i += 2) { /* two at a time */
    const __m256i first = niwaki_moved_sums(sums + i, p, width, near);
    NIWAKI_READ_AGAIN
    const __m256i packed = _mm256_packs_epi16(first, niwaki_moved_sums(sums + i + 1, p, width, near));
    const __m256i both = niwaki_bounded(_mm256_permute4x64_epi64(packed, 0xd8), p);
    NIWAKI_READ_AGAIN
    niwaki_store_bytes(_mm256_castsi256_si128(both), width, width, out);
    niwaki_store_bytes(_mm256_extracti128_si256(both, 1), width, i + 2 == places ? count : width, out + step);
    out += 2 * step;
  }
  if (i < places) {
    const __m256i last = niwaki_moved_sums(sums + i, p, width, near);
    const __m256i packed = _mm256_packs_epi16(last, _mm256_castsi128_si256(_mm256_extracti128_si256(last, 1)));
    niwaki_store_bytes(_mm256_castsi256_si128(niwaki_bounded(packed, p)), width, count, out);
    NIWAKI_READ_AGAIN
  }
}

NIWAKI_KERNEL void niwaki_store_sums(const niwaki_sums *sums, const niwaki_panel *p, const int32_t width,
                                     const int32_t places, ptrdiff_t step, int32_t count, int8_t *out) {
  if (p->near)
    niwaki_store_with(sums, p, width, places, step, count, 1, out);
  else
    niwaki_store_with(sums, p, width, places, step, count, 0, out);
}

NIWAKI_KERNEL void niwaki_larger_sums(niwaki_sums *best, const niwaki_sums *sums, const int32_t width) {
  best->low = _mm256_max_epi32(best->low, sums->low);
  if (width == 16) best->high = _mm256_max_epi32(best->high, sums->high);
}

/* Four inputs, the same for every lane. */
NIWAKI_KERNEL __m256i niwaki_four_inputs(const niwaki_seen *x) {
#if defined(NIWAKI_VNNI)
  int32_t four;
  NIWAKI_COPY(&four, x, 4);
  return _mm256_set1_epi32(four);
#else
  int64_t four;
  NIWAKI_COPY(&four, x, 8);
  return _mm256_set1_epi64x(four);
#endif
}

#if defined(__GNUC__) && defined(__x86_64__) && !defined(__ILP32__)
/* Tiles in assembly: compilers keep weights in registers, where sums should be, and move sums between registers. Sums
 * have letters. */
#define NIWAKI_SIX(ADD, at, w0, w1) /* six places, two vectors of weights */                        \
  NIWAKI_SEE("0", at) ADD(w0, "a") ADD(w1, "b") NIWAKI_SEE("1", at) ADD(w0, "c") ADD(w1, "d") \
  NIWAKI_SEE("2", at) ADD(w0, "e") ADD(w1, "f") NIWAKI_SEE("3", at) ADD(w0, "g") ADD(w1, "h") \
  NIWAKI_SEE("4", at) ADD(w0, "i") ADD(w1, "j") NIWAKI_SEE("5", at) ADD(w0, "k") ADD(w1, "l")
#if defined(NIWAKI_VNNI) /* six places, and two vectors of 8 channels or one */
#define NIWAKI_INPUTS(bytes, half) half /* of 16 and of 8 bits each */
#define NIWAKI_FIRST_16 NIWAKI_STEP_16(NIWAKI_FIRST, "0", "0", "32")
#define NIWAKI_ONE_16 NIWAKI_STEP_16(NIWAKI_ADD, "0", "0", "32")
#define NIWAKI_FIRST_8 NIWAKI_STEP_8(NIWAKI_FIRST, "0", "0")
#define NIWAKI_ONE_8 NIWAKI_STEP_8(NIWAKI_ADD, "0", "0")
#define NIWAKI_BYTES_16 "64", "128", "256", "512"
#define NIWAKI_BYTES_8 "32", "64", "128", "256"
#define NIWAKI_ADD(weights, sum) NIWAKI_VPDPBUSD weights "(%[w]), %[x], %[" sum "]\n\t"
#define NIWAKI_FIRST(weights, sum) "vpxor %[" sum "], %[" sum "], %[" sum "]\n\t" NIWAKI_ADD(weights, sum)
#define NIWAKI_SEE(i, at) "vpbroadcastd " at "(%[x" i "], %[at]), %[x]\n\t"
#define NIWAKI_STEP_16 NIWAKI_SIX
#define NIWAKI_NEXT_16 NIWAKI_STEP_16(NIWAKI_ADD, "4", "64", "96")
#define NIWAKI_MORE_16 NIWAKI_STEP_16(NIWAKI_ADD, "8", "128", "160") NIWAKI_STEP_16(NIWAKI_ADD, "12", "192", "224")
#define NIWAKI_MOST_16                                                                          \
  NIWAKI_STEP_16(NIWAKI_ADD, "16", "256", "288") NIWAKI_STEP_16(NIWAKI_ADD, "20", "320", "352") \
  NIWAKI_STEP_16(NIWAKI_ADD, "24", "384", "416") NIWAKI_STEP_16(NIWAKI_ADD, "28", "448", "480")
#define NIWAKI_STEP_8(ADD, at, w0)                                                               \
  NIWAKI_SEE("0", at) ADD(w0, "a") NIWAKI_SEE("1", at) ADD(w0, "c") NIWAKI_SEE("2", at) ADD(w0, "e") \
  NIWAKI_SEE("3", at) ADD(w0, "g") NIWAKI_SEE("4", at) ADD(w0, "i") NIWAKI_SEE("5", at) ADD(w0, "k")
#define NIWAKI_NEXT_8 NIWAKI_STEP_8(NIWAKI_ADD, "4", "32")
#define NIWAKI_MORE_8 NIWAKI_STEP_8(NIWAKI_ADD, "8", "64") NIWAKI_STEP_8(NIWAKI_ADD, "12", "96")
#define NIWAKI_MOST_8                                                             \
  NIWAKI_STEP_8(NIWAKI_ADD, "16", "128") NIWAKI_STEP_8(NIWAKI_ADD, "20", "160") \
  NIWAKI_STEP_8(NIWAKI_ADD, "24", "192") NIWAKI_STEP_8(NIWAKI_ADD, "28", "224")
#else /* three places and four vectors of widened weights, or six places and two */
#define NIWAKI_INPUTS(bytes, half) bytes
#define NIWAKI_FIRST_16 NIWAKI_STEP_16(NIWAKI_FIRST, "0", "0", "32", "64", "96")
#define NIWAKI_ONE_16 NIWAKI_STEP_16(NIWAKI_ADD, "0", "0", "32", "64", "96")
#define NIWAKI_FIRST_8 NIWAKI_STEP_8(NIWAKI_FIRST, "0", "0", "32")
#define NIWAKI_ONE_8 NIWAKI_STEP_8(NIWAKI_ADD, "0", "0", "32")
#define NIWAKI_BYTES_16 "128", "256", "512", "1024"
#define NIWAKI_BYTES_8 "64", "128", "256", "512"
#define NIWAKI_ADD(weights, sum)                    \
  "vpmaddwd " weights "(%[w]), %[x], %[product]\n\t" \
  "vpaddd %[product], %[" sum "], %[" sum "]\n\t"
#define NIWAKI_SEE(i, at) "vpbroadcastq " at "(%[x" i "], %[at]), %[x]\n\t"
#define NIWAKI_FIRST(weights, sum) "vpmaddwd " weights "(%[w]), %[x], %[" sum "]\n\t" /* nothing is there to add to */
#define NIWAKI_STEP_16(ADD, at, w0, w1, w2, w3)                   \
  NIWAKI_SEE("0", at) ADD(w0, "a") ADD(w1, "b") ADD(w2, "c") ADD(w3, "d") \
  NIWAKI_SEE("1", at) ADD(w0, "e") ADD(w1, "f") ADD(w2, "g") ADD(w3, "h") \
  NIWAKI_SEE("2", at) ADD(w0, "i") ADD(w1, "j") ADD(w2, "k") ADD(w3, "l")
#define NIWAKI_NEXT_16 NIWAKI_STEP_16(NIWAKI_ADD, "8", "128", "160", "192", "224")
#define NIWAKI_MORE_16                                         \
  NIWAKI_STEP_16(NIWAKI_ADD, "16", "256", "288", "320", "352") \
  NIWAKI_STEP_16(NIWAKI_ADD, "24", "384", "416", "448", "480")
#define NIWAKI_MOST_16                                         \
  NIWAKI_STEP_16(NIWAKI_ADD, "32", "512", "544", "576", "608") \
  NIWAKI_STEP_16(NIWAKI_ADD, "40", "640", "672", "704", "736") \
  NIWAKI_STEP_16(NIWAKI_ADD, "48", "768", "800", "832", "864") \
  NIWAKI_STEP_16(NIWAKI_ADD, "56", "896", "928", "960", "992")
#define NIWAKI_STEP_8 NIWAKI_SIX
#define NIWAKI_NEXT_8 NIWAKI_STEP_8(NIWAKI_ADD, "8", "64", "96")
#define NIWAKI_MORE_8 NIWAKI_STEP_8(NIWAKI_ADD, "16", "128", "160") NIWAKI_STEP_8(NIWAKI_ADD, "24", "192", "224")
#define NIWAKI_MOST_8                                                                       \
  NIWAKI_STEP_8(NIWAKI_ADD, "32", "256", "288") NIWAKI_STEP_8(NIWAKI_ADD, "40", "320", "352") \
  NIWAKI_STEP_8(NIWAKI_ADD, "48", "384", "416") NIWAKI_STEP_8(NIWAKI_ADD, "56", "448", "480")
#endif
/* Rows of steps: the very first step, any other, the next, two more, four more, and bytes of weights. The first four are
 * at once, then eight, then four, two and one. `left` is what is left, less the steps of the block that is tried. */
#define NIWAKI_ROWS(...) NIWAKI_ROWS_OF(__VA_ARGS__) /* its arguments expanded */
#define NIWAKI_ROWS_OF(first, one, next, more, most, one_bytes, two_bytes, four_bytes, eight_bytes) \
  "movslq %[groups], %[left]\n\t"                            \
  "subq $4, %[left]\n\t"                                     \
  "jl 7f\n\t" first next more                                \
  "addq $" four_bytes ", %[w]\n\t"                           \
  "addq $" NIWAKI_INPUTS("32", "16") ", %[at]\n\t"                                      \
  "subq $8, %[left]\n\t"                                     \
  "jl 3f\n"                                                  \
  "2:\n\t" one next more most                                \
  "addq $" eight_bytes ", %[w]\n\t"                          \
  "addq $" NIWAKI_INPUTS("64", "32") ", %[at]\n\t"                                      \
  "subq $8, %[left]\n\t"                                     \
  "jge 2b\n"                                                 \
  "3:\n\t"                                                   \
  "addq $8, %[left]\n\t"                                     \
  "je 6f\n\t"                                                \
  "testb $4, %b[left]\n\t"                                   \
  "jz 4f\n\t" one next more                                  \
  "addq $" four_bytes ", %[w]\n\t"                           \
  "addq $" NIWAKI_INPUTS("32", "16") ", %[at]\n\t"                                      \
  "subq $4, %[left]\n\t"                                     \
  "je 6f\n"                                                  \
  "4:\n\t"                                                   \
  "testb $2, %b[left]\n\t"                                   \
  "jz 5f\n\t" one next                                       \
  "addq $" two_bytes ", %[w]\n\t"                            \
  "addq $" NIWAKI_INPUTS("16", "8") ", %[at]\n"                                        \
  "5:\n\t"                                                   \
  "testb $1, %b[left]\n\t"                                   \
  "jz 6f\n\t" one                                            \
  "addq $" one_bytes ", %[w]\n\t"                            \
  "addq $" NIWAKI_INPUTS("8", "4") ", %[at]\n"                                         \
  "6:\n\t"                                                   \
  "addq %[gap], %[at]\n\t"                                   \
  "subl $1, %[rows]\n\t"                                     \
  "jz 8f\n\t"                                                \
  "movslq %[groups], %[left]\n\t"                            \
  "subq $8, %[left]\n\t"                                     \
  "jge 2b\n\t"                                               \
  "jmp 3b\n"                                                 \
  "7:\n\t" first                                             \
  "addq $" one_bytes ", %[w]\n\t"                            \
  "addq $" NIWAKI_INPUTS("8", "4") ", %[at]\n\t"                                       \
  "addq $3, %[left]\n\t"                                     \
  "je 6b\n\t"                                                \
  "jmp 4b\n"                                                 \
  "8:\n\t"
#define NIWAKI_BOTH(sum, other) "vphaddd %[" other "], %[" sum "], %[" sum "]\n\t"
#if defined(NIWAKI_VNNI)
#define NIWAKI_ENDS
#else
#define NIWAKI_ENDS                                                                       \
  NIWAKI_BOTH("a", "b") NIWAKI_BOTH("c", "d") NIWAKI_BOTH("e", "f") NIWAKI_BOTH("g", "h") \
  NIWAKI_BOTH("i", "j") NIWAKI_BOTH("k", "l")
#endif
#define NIWAKI_OUTPUTS                                                                                           \
  [a] "=&x"(a), [b] "=&x"(b), [c] "=&x"(c), [d] "=&x"(d), [e] "=&x"(e), [f] "=&x"(f), [g] "=&x"(g),              \
  [h] "=&x"(h), [i] "=&x"(i), [j] "=&x"(j), [k] "=&x"(k), [l] "=&x"(l), [x] "=&x"(x), [product] "=&x"(product),  \
  [w] "+r"(w), [at] "+r"(at), [left] "=&r"(left), [rows] "+r"(rows)

#define NIWAKI_SEEN_8                                                                                          \
  [x0] "r"(view->x[0]), [x1] "r"(view->x[1]), [x2] "r"(view->x[2]), [x3] "r"(view->x[3]), [x4] "r"(view->x[4]), \
      [x5] "r"(view->x[5])
#if defined(NIWAKI_VNNI)
#define NIWAKI_SEEN_16 NIWAKI_SEEN_8
#define NIWAKI_ANYWHERE "m"
/* Channels 0 to 7 and 8 to 15, put where those of a sum are. */
#define NIWAKI_KEEP(place, first, last)                              \
  sums[place].low = _mm256_permute2x128_si256(first, last, 0x20);    \
  sums[place].high = _mm256_permute2x128_si256(first, last, 0x31);
#else
#define NIWAKI_SEEN_16 [x0] "r"(view->x[0]), [x1] "r"(view->x[1]), [x2] "r"(view->x[2])
#define NIWAKI_ANYWHERE "rm"
#endif

#if defined(__clang__) /* it counts the characters of assembly too */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Woverlength-strings"
#endif

NIWAKI_KERNEL void niwaki_tile_16(const niwaki_view *view, const niwaki_wide *w, niwaki_sums *sums) {
  const int32_t groups = view->groups;
  const int64_t size = sizeof(niwaki_seen), gap = size * (view->row - 4 * (int64_t)groups);
  int64_t at = size * view->from, left;
  int32_t rows = view->rows;
  __m256i a, b, c, d, e, f, g, h, i, j, k, l, x, product;
  __asm__ volatile(
      NIWAKI_ROWS(NIWAKI_FIRST_16, NIWAKI_ONE_16, NIWAKI_NEXT_16, NIWAKI_MORE_16, NIWAKI_MOST_16, NIWAKI_BYTES_16)
      NIWAKI_ENDS
      : NIWAKI_OUTPUTS
      : NIWAKI_SEEN_16, [groups] "m"(groups), [gap] NIWAKI_ANYWHERE(gap)
      : "memory", "cc");
#if defined(NIWAKI_VNNI)
  NIWAKI_KEEP(0, a, b)
  NIWAKI_KEEP(1, c, d)
  NIWAKI_KEEP(2, e, f)
  NIWAKI_KEEP(3, g, h)
  NIWAKI_KEEP(4, i, j)
  NIWAKI_KEEP(5, k, l)
#else
  sums[0].low = a;
  sums[0].high = c;
  sums[1].low = e;
  sums[1].high = g;
  sums[2].low = i;
  sums[2].high = k;
#endif
}

NIWAKI_KERNEL void niwaki_tile_8(const niwaki_view *view, const niwaki_wide *w, niwaki_sums *sums) {
  const int32_t groups = view->groups;
  const int64_t size = sizeof(niwaki_seen), gap = size * (view->row - 4 * (int64_t)groups);
  int64_t at = size * view->from, left;
  int32_t rows = view->rows;
  __m256i a, b, c, d, e, f, g, h, i, j, k, l, x, product;
  __asm__ volatile(
      NIWAKI_ROWS(NIWAKI_FIRST_8, NIWAKI_ONE_8, NIWAKI_NEXT_8, NIWAKI_MORE_8, NIWAKI_MOST_8, NIWAKI_BYTES_8)
      NIWAKI_ENDS
      : NIWAKI_OUTPUTS
      : NIWAKI_SEEN_8, [groups] "m"(groups), [gap] "m"(gap)
      : "memory", "cc");
  sums[0].low = a;
  sums[1].low = c;
  sums[2].low = e;
  sums[3].low = g;
  sums[4].low = i;
  sums[5].low = k;
}

#if defined(__clang__)
#pragma clang diagnostic pop
#endif
#else
/* The sums of `places` places with `vectors` vectors of widened weights. */
NIWAKI_KERNEL void niwaki_tile_in_c(const niwaki_view *view, const int16_t *w, int32_t places, int32_t vectors,
                                    niwaki_sums *sums) {
  for (int32_t i = 0; i < places; i++) {
    __m256i sum[4];
    const int16_t *from = w;
    for (int32_t v = 0; v < vectors; v++) sum[v] = _mm256_setzero_si256();
    for (int32_t r = 0; r < view->rows; r++) {
      const int16_t *const x = view->x[i] + view->from + (ptrdiff_t)r * view->row;
      for (int32_t g = 0; g < view->groups; g++, from += 16 * vectors) {
        const __m256i four = niwaki_four_inputs(x + 4 * g);
        for (int32_t v = 0; v < vectors; v++)
          sum[v] = _mm256_add_epi32(sum[v], _mm256_madd_epi16(four, niwaki_load_256(from + 16 * v)));
      }
    }
    sums[i].low = _mm256_hadd_epi32(sum[0], sum[1]);
    if (vectors == 4) sums[i].high = _mm256_hadd_epi32(sum[2], sum[3]);
  }
}
#define niwaki_tile_16(view, w, sums) niwaki_tile_in_c(view, w, NIWAKI_PLACES_16, 4, sums)
#define niwaki_tile_8(view, w, sums) niwaki_tile_in_c(view, w, NIWAKI_PLACES_8, 2, sums)
#endif

/* The sums of one place, with weights as they lie in memory. */
NIWAKI_SHARED void niwaki_place(const niwaki_view *view, const int8_t *w, int32_t width, niwaki_sums *sums) {
  const __m256i none = _mm256_setzero_si256();
  __m256i a = none, b = none, c = none, d = none;
#if defined(NIWAKI_VNNI)
  for (int32_t r = 0; r < view->rows; r++) {
    const uint8_t *in = view->x[0] + view->from + (ptrdiff_t)r * view->row;
    for (int32_t g = 0; g < view->groups; g++, in += 4, w += 4 * width) {
      const __m256i four = niwaki_four_inputs(in);
      if (width == 4) {
        a = niwaki_add_four(a, four, _mm256_zextsi128_si256(niwaki_load_128(w)));
        continue;
      }
      a = niwaki_add_four(a, four, niwaki_load_256(w));
      if (width == 16) b = niwaki_add_four(b, four, niwaki_load_256(w + 32));
    }
  }
  (void)c;
  (void)d;
  sums->low = width == 16 ? _mm256_permute2x128_si256(a, b, 0x20) : a;
  sums->high = _mm256_permute2x128_si256(a, b, 0x31);
#else
#define ADD(sum, v) \
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(four, _mm256_cvtepi8_epi16(niwaki_load_128(w + 16 * (v)))));
  for (int32_t r = 0; r < view->rows; r++) {
    const int16_t *in = view->x[0] + view->from + (ptrdiff_t)r * view->row;
    if (width == 16) {
      int32_t g = view->groups;
#define STEP(i)                       \
  four = niwaki_four_inputs(in + 4 * (i)); \
  ADD(a, 4 * (i))                     \
  ADD(b, 4 * (i) + 1)                 \
  ADD(c, 4 * (i) + 2)                 \
  ADD(d, 4 * (i) + 3)
      for (; g >= 4; g -= 4, in += 16, w += 256) {
        __m256i four;
        STEP(0)
        STEP(1)
        STEP(2)
        STEP(3)
      }
      for (; g > 0; g--, in += 4, w += 64) {
        __m256i four;
        STEP(0)
      }
#undef STEP
    } else {
      for (int32_t g = 0; g < view->groups; g++, in += 4, w += 4 * width) {
        const __m256i four = niwaki_four_inputs(in);
        ADD(a, 0)
        if (width == 8) {
          ADD(b, 1)
        }
      }
    }
  }
#undef ADD
  const __m256i first = _mm256_permute4x64_epi64(_mm256_hadd_epi32(a, b), 0xd8); /* channels 0 to 7 */
  const __m256i last = _mm256_permute4x64_epi64(_mm256_hadd_epi32(c, d), 0xd8);
  sums->low = width == 16 ? _mm256_permute2x128_si256(first, last, 0x20) : first;
  sums->high = _mm256_permute2x128_si256(first, last, 0x31);
#endif
}

/* Weights of a block for so many places. */
NIWAKI_KERNEL niwaki_weights niwaki_prepare(const int8_t *bytes, int32_t groups, int32_t width, int32_t places,
                                            int16_t *room) {
  niwaki_weights w;
  w.bytes = bytes;
  w.wide = NULL;
#if defined(NIWAKI_VNNI)
  if (places >= NIWAKI_PLACES && (width > 4 || groups <= NIWAKI_GROUPS))
    w.wide = width > 4 ? bytes : niwaki_eight_channels(bytes, groups, (int8_t *)room);
#else
  if (places >= (width == 16 ? NIWAKI_PLACES_16 : NIWAKI_PLACES_8) && groups * (width == 16 ? 1 : 2) <= NIWAKI_GROUPS) {
    niwaki_widen_weights(bytes, groups, width, room);
    w.wide = room;
  }
#endif
  return w;
}

NIWAKI_KERNEL int niwaki_in_tiles(const niwaki_weights *w) { return w->wide != NULL; }

NIWAKI_KERNEL void niwaki_tile_of(const niwaki_view *view, const niwaki_weights *w, int32_t width, const int32_t places,
                                  niwaki_sums *sums) {
  if (places == 1)
    niwaki_place(view, w->bytes, width, sums);
  else if (width == 16)
    niwaki_tile_16(view, w->wide, sums);
  else
    niwaki_tile_8(view, w->wide, sums);
}

#define NIWAKI_MOST_TAPS 128 /* of a depthwise window */

/* Weights of 16 channels, tap by tap: in pairs, as 16 bits, channels 0 to 3 and 8 to 11, then the others. `twice`: of 8
 * channels, two times. */
NIWAKI_KERNEL void niwaki_tap_pair(const int8_t *first, const int8_t *second, int32_t twice, int16_t *out) {
  const __m128i taps = first ? niwaki_load_128(first) : _mm_setzero_si128();
  const __m128i more = second ? niwaki_load_128(second) : _mm_setzero_si128();
  const __m256i a = _mm256_cvtepi8_epi16(twice ? _mm_unpacklo_epi64(taps, taps) : taps);
  const __m256i b = _mm256_cvtepi8_epi16(twice ? _mm_unpacklo_epi64(more, more) : more);
  niwaki_store_256(out, _mm256_unpacklo_epi16(a, b));
  niwaki_store_256(out + 16, _mm256_unpackhi_epi16(a, b));
}

/* Whether two rows of outputs are made at once, from four rows of inputs. */
NIWAKI_KERNEL int32_t niwaki_two_rows(const niwaki_conv *d, int32_t rows) {
  return d->kernel_h == 3 && d->kernel_w == 3 && d->stride_h == 1 && d->dilation_h == 1 && rows > 1;
}

NIWAKI_KERNEL const int16_t *niwaki_prepare_taps(const niwaki_conv *d, const int8_t *w, int32_t rows, int32_t twice,
                                                 int16_t *room) {
  const int32_t taps = d->kernel_h * d->kernel_w;
  int16_t *out = room;
  for (int32_t t = 0; t < taps; t += 2)
    niwaki_tap_pair(w + 16 * t, t + 1 < taps ? w + 16 * (t + 1) : NULL, twice, out + 16 * t);
  if (!niwaki_two_rows(d, rows)) return room;
  out += 16 * (taps + 1);
  for (int32_t kx = 0; kx < 3; kx++, w += 16, out += 128) {
    niwaki_tap_pair(w, w + 48, twice, out);
    niwaki_tap_pair(w + 96, NULL, twice, out + 32);
    niwaki_tap_pair(NULL, w, twice, out + 64);
    niwaki_tap_pair(w + 48, w + 96, twice, out + 96);
  }
  return room;
}

/* Compilers would add the products to each other first, which takes registers that are not there. */
NIWAKI_KERNEL __m256i niwaki_add_pairs(__m256i sum, __m256i pairs, const int16_t *w) {
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, niwaki_load_256(w)));
#if defined(__GNUC__)
  __asm__("" : "+x"(sum));
#endif
  return sum;
}

/* Two taps of 16 channels, at x and y. */
NIWAKI_KERNEL void niwaki_two_taps(niwaki_sums *sums, const niwaki_seen *x, const niwaki_seen *y, const int16_t *w) {
  const __m256i a = niwaki_load_seen(x), b = niwaki_load_seen(y);
  sums->low = niwaki_add_pairs(sums->low, _mm256_unpacklo_epi16(a, b), w);
  sums->high = niwaki_add_pairs(sums->high, _mm256_unpackhi_epi16(a, b), w + 16);
}

/* The first two. */
NIWAKI_KERNEL niwaki_sums niwaki_first_taps(const niwaki_seen *x, const niwaki_seen *y, const int16_t *w) {
  const __m256i a = niwaki_load_seen(x), b = niwaki_load_seen(y);
  niwaki_sums sums;
  sums.low = _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), niwaki_load_256(w));
  sums.high = _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), niwaki_load_256(w + 16));
  return sums;
}

/* A row of outputs of any window, 16 channels of each; the rows that it sees begin at x. Whole vectors are written,
 * which the next place overwrites in part, but at the end of a row. */
NIWAKI_SHARED void niwaki_depthwise_row(const niwaki_conv *d, const niwaki_seen *x, int32_t row, const int16_t *pairs,
                                        const niwaki_panel *p, int32_t count, int8_t *out) {
  const int32_t step = d->stride_w * d->in_c;
  const ptrdiff_t next = d->dilation_w * d->in_c, below = (ptrdiff_t)d->dilation_h * row;
  const int32_t last = niwaki_last_places(d, count);
  for (int32_t left = d->out_w; left > 0; left--, x += step, out += d->out_c) {
    const int16_t *w = pairs;
    const niwaki_seen *before = NULL;
    niwaki_sums sums = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (int32_t ky = 0; ky < d->kernel_h; ky++) {
      for (int32_t kx = 0; kx < d->kernel_w; kx++) {
        const niwaki_seen *const at = x + ky * below + kx * next;
        if (!before) {
          before = at;
          continue;
        }
        niwaki_two_taps(&sums, before, at, w);
        w += 32;
        before = NULL;
      }
    }
    if (before) niwaki_two_taps(&sums, before, before, w);
    niwaki_store_sums(&sums, p, 16, 1, 0, left > last ? 16 : count, out);
  }
}

/* The same of 3 x 3. */
NIWAKI_SHARED void niwaki_depthwise_3x3(const niwaki_conv *d, const niwaki_seen *x, int32_t row, const int16_t *pairs,
                                        const niwaki_panel *p, int32_t count, int8_t *out) {
  const ptrdiff_t step = d->stride_w * d->in_c, out_c = d->out_c;
  const ptrdiff_t next = d->dilation_w * d->in_c, below = (ptrdiff_t)d->dilation_h * row;
  const int32_t last = niwaki_last_places(d, count);
  for (int32_t left = d->out_w; left > 0; left--, x += step, out += out_c) {
    const niwaki_seen *const y = x + below, *const z = y + below;
    niwaki_sums sums = niwaki_first_taps(x, x + next, pairs);
    niwaki_two_taps(&sums, x + 2 * next, y, pairs + 32);
    niwaki_two_taps(&sums, y + next, y + 2 * next, pairs + 64);
    NIWAKI_READ_AGAIN
    niwaki_two_taps(&sums, z, z + next, pairs + 96);
    niwaki_two_taps(&sums, z + 2 * next, z + 2 * next, pairs + 128);
    niwaki_store_sums(&sums, p, 16, 1, 0, left > last ? 16 : count, out);
  }
}

NIWAKI_SHARED void niwaki_store_place(const niwaki_sums *sums, const niwaki_panel *p, int32_t count, int8_t *out) {
  niwaki_store_sums(sums, p, 16, 1, 0, count, out);
}

/* Two rows of outputs of 3 x 3, `down` apart. */
NIWAKI_SHARED void niwaki_depthwise_rows(const niwaki_conv *d, const niwaki_seen *x, int32_t row, const int16_t *pairs,
                                         const niwaki_panel *p, int32_t count, int8_t *out) {
  const ptrdiff_t step = d->stride_w * d->in_c, next = d->dilation_w * d->in_c;
  const int32_t out_c = d->out_c, down = d->out_w * d->out_c, last_places = niwaki_last_places(d, count);
  for (int32_t left = d->out_w; left > 0; left--, x += step, out += out_c) {
    const niwaki_seen *const y = x + row, *const z = y + row, *const last = z + row;
    niwaki_sums sums[2];
    for (int32_t kx = 0; kx < 3; kx++) {
      const ptrdiff_t at = kx * next;
      const int16_t *const w = pairs + 160 + 128 * kx;
      const __m256i a = niwaki_load_seen(x + at), b = niwaki_load_seen(y + at);
      const __m256i c = niwaki_load_seen(z + at), e = niwaki_load_seen(last + at);
      const __m256i low = _mm256_unpacklo_epi16(a, b), high = _mm256_unpackhi_epi16(a, b);
      const __m256i low_end = _mm256_unpacklo_epi16(c, e), high_end = _mm256_unpackhi_epi16(c, e);
      if (kx == 0) {
        sums[0].low = _mm256_madd_epi16(low, niwaki_load_256(w));
        sums[0].high = _mm256_madd_epi16(high, niwaki_load_256(w + 16));
        sums[1].low = _mm256_madd_epi16(low, niwaki_load_256(w + 64));
        sums[1].high = _mm256_madd_epi16(high, niwaki_load_256(w + 80));
      } else {
        sums[0].low = niwaki_add_pairs(sums[0].low, low, w);
        sums[0].high = niwaki_add_pairs(sums[0].high, high, w + 16);
        sums[1].low = niwaki_add_pairs(sums[1].low, low, w + 64);
        sums[1].high = niwaki_add_pairs(sums[1].high, high, w + 80);
      }
      sums[0].low = niwaki_add_pairs(sums[0].low, low_end, w + 32);
      sums[0].high = niwaki_add_pairs(sums[0].high, high_end, w + 48);
      sums[1].low = niwaki_add_pairs(sums[1].low, low_end, w + 96);
      sums[1].high = niwaki_add_pairs(sums[1].high, high_end, w + 112);
      NIWAKI_READ_AGAIN
    }
    if (left > last_places) {
      niwaki_store_sums(sums, p, 16, 2, down, 16, out);
    } else { /* where the first row ends, the second is already written */
      niwaki_store_place(sums, p, count, out);
      niwaki_store_place(sums + 1, p, count, out + down);
    }
  }
}

/* Some rows of outputs of a tile of 16 channels; returns how many. */
NIWAKI_KERNEL int32_t niwaki_depthwise_some(const niwaki_conv *d, const niwaki_seen *x, int32_t row, int32_t rows,
                                            const int16_t *pairs, const niwaki_panel *p, int32_t count, int8_t *out) {
  if (niwaki_two_rows(d, rows)) {
    niwaki_depthwise_rows(d, x, row, pairs, p, count, out);
    return 2;
  }
  if (d->kernel_h == 3 && d->kernel_w == 3)
    niwaki_depthwise_3x3(d, x, row, pairs, p, count, out);
  else
    niwaki_depthwise_row(d, x, row, pairs, p, count, out);
  return 1;
}

/* The sum of two tensors, 16 values at a time; may work in place. Both multipliers are taken apart at bit 16, so that all
 * sums fit into 32 bits: a sum is high * 2^16 + low, and of the lower part only whole 2^16 count. */
NIWAKI_SHARED void niwaki_run_add(const niwaki_add *d, const int8_t *a, const int8_t *b, int8_t *out) {
  const int32_t low_a = (int16_t)(d->multiplier_a & 0xffff), low_b = (int16_t)(d->multiplier_b & 0xffff);
  const int64_t high_a = ((int64_t)d->multiplier_a - low_a) >> 16, high_b = ((int64_t)d->multiplier_b - low_b) >> 16;
  int32_t i = 0;
  if (high_a < 32768 && high_b < 32768 && d->shift > 16 && d->shift < 47) {
    const int64_t moved = ((int64_t)1 << (d->shift - 1)) - (int64_t)d->zero_a * d->multiplier_a -
                          (int64_t)d->zero_b * d->multiplier_b;
    const __m256i upper = _mm256_set1_epi32((int32_t)(high_a | (int64_t)((uint64_t)high_b << 16)));
    const __m256i lower = _mm256_set1_epi32((int32_t)((uint32_t)(low_a & 0xffff) | (uint32_t)low_b << 16));
    const __m256i add_high = _mm256_set1_epi32((int32_t)(moved >> 16)), zero = _mm256_set1_epi16(d->out_zero);
    const __m256i add_low = _mm256_set1_epi32((int32_t)(moved & 0xffff));
    const __m128i right = _mm_cvtsi32_si128(d->shift - 16);
    const __m128i least = _mm_set1_epi8((char)d->low), most = _mm_set1_epi8((char)d->high);
    for (; i + 16 <= d->size; i += 16) {
      const __m256i x = _mm256_cvtepi8_epi16(niwaki_load_128(a + i)), y = _mm256_cvtepi8_epi16(niwaki_load_128(b + i));
      const __m256i both[2] = {_mm256_unpacklo_epi16(x, y), _mm256_unpackhi_epi16(x, y)};
      __m256i sum[2];
      for (int32_t k = 0; k < 2; k++) {
        const __m256i rest = _mm256_add_epi32(_mm256_madd_epi16(both[k], lower), add_low);
        const __m256i whole = _mm256_add_epi32(_mm256_madd_epi16(both[k], upper), add_high);
        sum[k] = _mm256_sra_epi32(_mm256_add_epi32(whole, _mm256_srai_epi32(rest, 16)), right);
      }
      const __m256i v = _mm256_adds_epi16(_mm256_packs_epi32(sum[0], sum[1]), zero);
      __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
      bytes = _mm_min_epi8(_mm_max_epi8(bytes, least), most);
      _mm_storeu_si128((__m128i *)(out + i), bytes);
    }
  }
  niwaki_add_values(d, a, b, out, i);
}
