/* AVX2 and NEON: the first layer of a small network, an image of one channel with the largest of 2 x 2 places taken.
 * Included by niwaki_places.h.
 *
 * The lanes of a vector are output columns. Columns are two inputs apart, so that a vector of inputs holds, in each lane,
 * two neighbouring taps of a column: all that is seen is loaded as it lies, and nothing is moved.
 */
#define NIWAKI_MOST_PAIRS 128 /* pairs of taps, of all channels */

/* Whether the kernel below does a layer. */
NIWAKI_KERNEL int niwaki_in_columns(const niwaki_conv *d) {
  return d->in_c == 1 && d->out_c <= 8 && d->pool_h == 2 && d->pool_w == 2 && d->stride_h == 1 && d->stride_w == 1 &&
         d->dilation_h == 1 && d->out_w >= 8 && d->out_c * d->kernel_h * ((d->kernel_w + 1) / 2) <= NIWAKI_MOST_PAIRS;
}

#if defined(NIWAKI_AVX2)
typedef struct {
  int32_t pairs[NIWAKI_MOST_PAIRS + 1]; /* of each channel, row by row, two weights of 16 bits */
  niwaki_scale scale[8];
  niwaki_panel panel; /* its zero point and bounds */
} niwaki_column_weights;

NIWAKI_SHARED void niwaki_prepare_columns(const niwaki_conv *d, niwaki_column_weights *w) {
  const int32_t groups = (d->kernel_w + 3) / 4, width = d->out_c <= 4 ? 4 : 8;
  int32_t at = 0;
  w->panel.near = 0;
  for (int32_t c = 0; c < d->out_c; c++) w->panel.near |= d->shift[c] < 33;
  for (int32_t c = 0; c < d->out_c; c++) {
    const __m256i shift = _mm256_set1_epi32(d->shift[c]);
    w->scale[c] = niwaki_make_scale(_mm256_set1_epi32(d->bias[c]), _mm256_set1_epi32(d->multiplier[c]), shift, w->panel.near);
#if defined(NIWAKI_TWICE)
    niwaki_round_twice(&w->scale[c], shift);
#endif
    for (int32_t ky = 0; ky < d->kernel_h; ky++) {
      for (int32_t kx = 0; kx < d->kernel_w; kx += 4) { /* two pairs: the second one may be overwritten */
        const int8_t *const four = d->weights + ((ky * groups + kx / 4) * width + c) * 4;
        _mm_storel_epi64((__m128i *)(w->pairs + at), _mm_cvtepi8_epi16(_mm_loadu_si32(four)));
        at += d->kernel_w - kx > 2 ? 2 : 1;
      }
    }
  }
  niwaki_bound_panel(&w->panel, d->out_zero, d->low, d->high);
}

/* Compilers would load the inputs once for several channels, into registers that are needed for sums. */
#if defined(__GNUC__)
#define NIWAKI_ADD_COLUMN(sum, two, at)               \
  __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" \
          : "+x"(sum), "=&x"(product)                 \
          : "x"(two), "m"(*(const __m256i *)(const void *)(at)));
#else
#define NIWAKI_ADD_COLUMN(sum, two, at)                      \
  product = _mm256_madd_epi16(two, niwaki_load_256(at)); \
  sum = _mm256_add_epi32(sum, product);
#endif

/* The largest of 2 x 2 sums of some channels (1 to 3) in 8 columns; a row has `across` pairs of taps. */
NIWAKI_KERNEL void niwaki_sum_columns(const niwaki_conv *d, const int16_t *x, int32_t row,
                                      const niwaki_column_weights *w, int32_t first, const int32_t channels,
                                      const int32_t across, __m256i *best) {
  const int32_t size = d->kernel_h * across;
  const int32_t *pairs = w->pairs + first * size;
  __m256i sums[3][4];
  for (int32_t c = 0; c < channels; c++)
    for (int32_t i = 0; i < 4; i++) sums[c][i] = _mm256_setzero_si256();
  for (int32_t ky = 0; ky < d->kernel_h; ky++, x += row) {
    for (int32_t q = 0; q < across; q++, pairs++) {
      const int16_t *const at = x + 2 * q;
      for (int32_t c = 0; c < channels; c++) {
        const __m256i two = _mm256_set1_epi32(pairs[c * size]);
        __m256i product;
        NIWAKI_ADD_COLUMN(sums[c][0], two, at)
        NIWAKI_ADD_COLUMN(sums[c][1], two, at + 1)
        NIWAKI_ADD_COLUMN(sums[c][2], two, at + row)
        NIWAKI_ADD_COLUMN(sums[c][3], two, at + row + 1)
      }
    }
  }
  for (int32_t c = 0; c < channels; c++) {
    const __m256i upper = _mm256_max_epi32(sums[c][0], sums[c][1]), lower = _mm256_max_epi32(sums[c][2], sums[c][3]);
    best[first + c] = niwaki_rounded(_mm256_max_epi32(upper, lower), &w->scale[first + c], w->panel.near);
  }
}

/* All channels of 8 columns. */
NIWAKI_KERNEL void niwaki_column_sums(const niwaki_conv *d, const int16_t *x, int32_t row,
                                      const niwaki_column_weights *w, const int32_t across, __m256i *best) {
  int32_t c = 0;
  for (; c + 3 <= d->out_c; c += 3) niwaki_sum_columns(d, x, row, w, c, 3, across, best);
  if (d->out_c - c == 2) niwaki_sum_columns(d, x, row, w, c, 2, across, best);
  if (d->out_c - c == 1) niwaki_sum_columns(d, x, row, w, c, 1, across, best);
}

/* Columns of 8 channels, four in each half in the order 0 2 1 3, as pixels: a pixel's store is ended by the next. There
 * is `room` for so many bytes. */
NIWAKI_KERNEL void niwaki_write_columns(const __m256i *v, const niwaki_panel *p, int32_t out_c, int32_t room,
                                        int8_t *out) {
  const __m256i turned = _mm256_setr_epi8(0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15,
                                          0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15);
  __m256i half[2];
  for (int32_t i = 0; i < 2; i++) {
    const __m256i first = _mm256_adds_epi16(_mm256_packs_epi32(v[4 * i], v[4 * i + 1]), p->zero);
    const __m256i second = _mm256_adds_epi16(_mm256_packs_epi32(v[4 * i + 2], v[4 * i + 3]), p->zero);
    const __m256i bytes = _mm256_packs_epi16(first, second);
    half[i] = _mm256_shuffle_epi8(_mm256_min_epi8(_mm256_max_epi8(bytes, p->least), p->most), turned);
  }
  const __m256i even = _mm256_unpacklo_epi32(half[0], half[1]), odd = _mm256_unpackhi_epi32(half[0], half[1]);
  const __m128i pixels[4] = {_mm256_castsi256_si128(even), _mm256_castsi256_si128(odd),
                             _mm256_extracti128_si256(even, 1), _mm256_extracti128_si256(odd, 1)};
  if (room >= 7 * out_c + 8) {
    for (int32_t i = 0; i < 4; i++, out += 2 * out_c) {
      _mm_storel_epi64((__m128i *)out, pixels[i]);
      _mm_storel_epi64((__m128i *)(out + out_c), _mm_unpackhi_epi64(pixels[i], pixels[i]));
    }
    return;
  }
  for (int32_t i = 0; i < 8; i++, room -= out_c, out += out_c) {
    const __m128i pixel = i % 2 ? _mm_unpackhi_epi64(pixels[i / 2], pixels[i / 2]) : pixels[i / 2];
    niwaki_store_some(pixel, room < 8 ? out_c : 8, out);
  }
}

typedef __m256i niwaki_columns;
#define NIWAKI_NO_COLUMNS _mm256_setzero_si256()

#else
typedef struct {
  int16_t pairs[NIWAKI_MOST_PAIRS]; /* of each channel, row by row, two weights of 8 bits */
  niwaki_scale scale[8];
  niwaki_panel panel; /* its zero point and bounds */
} niwaki_column_weights;

NIWAKI_SHARED void niwaki_prepare_columns(const niwaki_conv *d, niwaki_column_weights *w) {
  const int32_t groups = (d->kernel_w + 3) / 4, width = d->out_c <= 4 ? 4 : 8;
  int32_t at = 0;
  w->panel.near = 0;
  for (int32_t c = 0; c < d->out_c; c++) {
    const int32_t bias[4] = {d->bias[c], d->bias[c], d->bias[c], d->bias[c]};
    const int32_t multiplier[4] = {d->multiplier[c], d->multiplier[c], d->multiplier[c], d->multiplier[c]};
    const uint8_t shift[4] = {d->shift[c], d->shift[c], d->shift[c], d->shift[c]};
    w->scale[c] = niwaki_make_scale(bias, multiplier, shift, 1);
    w->panel.near |= d->shift[c] < 33;
    for (int32_t ky = 0; ky < d->kernel_h; ky++) {
      for (int32_t kx = 0; kx < d->kernel_w; kx += 2)
        NIWAKI_COPY(&w->pairs[at++], d->weights + ((ky * groups + kx / 4) * width + c) * 4 + kx % 4, 2);
    }
  }
  niwaki_bound_panel(&w->panel, d->out_zero, d->low, d->high);
}

NIWAKI_KERNEL int8x16_t niwaki_pair_of(const int16_t *pair) { return vreinterpretq_s8_s16(vld1q_dup_s16(pair)); }

/* The largest of 2 x 2 sums of one or two channels in 8 columns, rounded; a row has `across` pairs of taps. */
NIWAKI_KERNEL void niwaki_sum_columns(const niwaki_conv *d, const int8_t *x, int32_t row,
                                      const niwaki_column_weights *w, int32_t first, const int32_t channels,
                                      const int32_t across, int8x8_t *best) {
  const int32_t size = d->kernel_h * across;
  const int16_t *const one = w->pairs + first * size, *const two = one + (channels - 1) * size;
  const int32x4_t none = vdupq_n_s32(0);
  int32x4_t a0 = none, a1 = none, a2 = none, a3 = none, a4 = none, a5 = none, a6 = none, a7 = none;
  int32x4_t b0 = none, b1 = none, b2 = none, b3 = none, b4 = none, b5 = none, b6 = none, b7 = none;
  int32_t q = 0, t = 0;
  for (; t + 2 <= size; t += 2) {
    const int8_t *const at = x + 2 * q, *const next = ++q == across ? x + row : x + 2 * q;
    if (q == across) q = 0, x += row;
    if (++q == across) q = 0, x += row;
    const int8x16_t v = niwaki_pair_of(one + t), n = niwaki_pair_of(one + t + 1);
#define PLACE(from, low, high, other_low, other_high)                             \
  {                                                                               \
    const int8x16_t in = vld1q_s8(at + (from)), more = vld1q_s8(next + (from));   \
    NIWAKI_ADD_PAIRS(low, high, v, in, n, more)                                   \
    if (channels == 2) {                                                          \
      NIWAKI_ADD_PAIRS(other_low, other_high, u, in, m, more)                     \
    }                                                                             \
  }
    const int8x16_t u = niwaki_pair_of(two + t), m = niwaki_pair_of(two + t + 1);
    PLACE(0, a0, a1, b0, b1)
    PLACE(1, a2, a3, b2, b3)
    PLACE(row, a4, a5, b4, b5)
    PLACE(row + 1, a6, a7, b6, b7)
#undef PLACE
  }
  if (t < size) {
    const int8_t *const at = x + 2 * q;
    const int8x16_t v = niwaki_pair_of(one + t), u = niwaki_pair_of(two + t);
#define PLACE(from, low, high, other_low, other_high)    \
  {                                                      \
    const int8x16_t in = vld1q_s8(at + (from));          \
    NIWAKI_ADD_PRODUCTS(low, high, v, in)                \
    if (channels == 2) {                                 \
      NIWAKI_ADD_PRODUCTS(other_low, other_high, u, in)  \
    }                                                    \
  }
    PLACE(0, a0, a1, b0, b1)
    PLACE(1, a2, a3, b2, b3)
    PLACE(row, a4, a5, b4, b5)
    PLACE(row + 1, a6, a7, b6, b7)
#undef PLACE
  }
#define LARGEST(to, c, s0, s1, s2, s3, s4, s5, s6, s7)                                                              \
  {                                                                                                                 \
    niwaki_sums sums;                                                                                               \
    niwaki_panel same;                                                                                              \
    sums.part[0] = vmaxq_s32(vmaxq_s32(s0, s2), vmaxq_s32(s4, s6));                              \
    sums.part[1] = vmaxq_s32(vmaxq_s32(s1, s3), vmaxq_s32(s5, s7));                              \
    same.scale[0] = same.scale[1] = w->scale[c];                                                                    \
    same.zero = w->panel.zero;                                                                                      \
    to = niwaki_eight_bytes(&sums, &same, 0, w->panel.near);                                                        \
    to = vmin_s8(vmax_s8(to, vget_low_s8(w->panel.least)), vget_low_s8(w->panel.highest));                          \
  }
  LARGEST(best[first], first, a0, a1, a2, a3, a4, a5, a6, a7)
  if (channels == 2) LARGEST(best[first + 1], first + 1, b0, b1, b2, b3, b4, b5, b6, b7)
#undef LARGEST
}

/* All channels of 8 columns. */
NIWAKI_KERNEL void niwaki_column_sums(const niwaki_conv *d, const int8_t *x, int32_t row,
                                      const niwaki_column_weights *w, const int32_t across, int8x8_t *best) {
  int32_t c = 0;
  for (; c + 2 <= d->out_c; c += 2) niwaki_sum_columns(d, x, row, w, c, 2, across, best);
  if (c < d->out_c) niwaki_sum_columns(d, x, row, w, c, 1, across, best);
}

/* Columns of 8 channels as pixels: a pixel's store is ended by the next. There is `room` for so many bytes. */
NIWAKI_KERNEL void niwaki_write_columns(const int8x8_t *v, const niwaki_panel *p, int32_t out_c, int32_t room,
                                        int8_t *out) {
  int16x4x2_t even[2], odd[2];
  int8x8_t pixels[8];
  (void)p;
  for (int32_t i = 0; i < 2; i++) {
    const int8x8x2_t first = vtrn_s8(v[4 * i], v[4 * i + 1]), second = vtrn_s8(v[4 * i + 2], v[4 * i + 3]);
    even[i] = vtrn_s16(vreinterpret_s16_s8(first.val[0]), vreinterpret_s16_s8(second.val[0]));
    odd[i] = vtrn_s16(vreinterpret_s16_s8(first.val[1]), vreinterpret_s16_s8(second.val[1]));
  }
  for (int32_t i = 0; i < 2; i++) {
    const int32x2x2_t a = vtrn_s32(vreinterpret_s32_s16(even[0].val[i]), vreinterpret_s32_s16(even[1].val[i]));
    const int32x2x2_t b = vtrn_s32(vreinterpret_s32_s16(odd[0].val[i]), vreinterpret_s32_s16(odd[1].val[i]));
    for (int32_t k = 0; k < 2; k++) {
      pixels[4 * k + 2 * i] = vreinterpret_s8_s32(a.val[k]);
      pixels[4 * k + 2 * i + 1] = vreinterpret_s8_s32(b.val[k]);
    }
  }
  if (room >= 7 * out_c + 8) {
    for (int32_t i = 0; i < 8; i++, out += out_c) vst1_s8(out, pixels[i]);
    return;
  }
  for (int32_t i = 0; i < 8; i++, room -= out_c, out += out_c)
    niwaki_store_bytes(vcombine_s8(pixels[i], pixels[i]), room < 8 ? out_c : 8, out);
}

typedef int8x8_t niwaki_columns;
#define NIWAKI_NO_COLUMNS vdup_n_s8(0)
#endif

/* All places of a strip. */
NIWAKI_SHARED void niwaki_conv_columns(const niwaki_job *job, int32_t rows) {
  const niwaki_conv *const d = job->layer;
  const int32_t row = job->row, out_c = d->out_c;
  niwaki_column_weights w;
  niwaki_prepare_columns(d, &w);
  for (int32_t y = 0; y < rows; y++) {
    for (int32_t next = 0; next < d->out_w; next += 8) {
      const int32_t column = niwaki_least(next, d->out_w - 8); /* the last vector sees some columns once more */
      const niwaki_seen *const x = job->seen + 2 * y * row + 2 * column;
      niwaki_columns best[8];
      for (int32_t i = out_c; i < 8; i++) best[i] = NIWAKI_NO_COLUMNS;
      if (d->kernel_w == 5)
        niwaki_column_sums(d, x, row, &w, 3, best);
      else
        niwaki_column_sums(d, x, row, &w, (d->kernel_w + 1) / 2, best);
      niwaki_write_columns(best, &w.panel, out_c, ((rows - y) * d->out_w - column) * out_c,
                           job->out + (y * d->out_w + column) * out_c);
    }
  }
}
