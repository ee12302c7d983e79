/* Convolution and matrix product in vectors of NIWAKI_W output channels. Included by niwaki_blocks.h for each width.
 *
 * `places` and `vectors` are literals of at most NIWAKI_TILE: that many sums are under way at once, so that each weight
 * (or each input) is loaded once for all of them and no sum waits for its own last step. NIWAKI_EACH repeats a line for
 * the sums 0 to 7; those beyond the literal vanish.
 */

/* One vector's worth of a block of `width` channels. */
typedef struct {
  const int8_t *weights;
  const int32_t *bias, *multiplier;
  const uint8_t *shift;
  int32_t width, count; /* `count` lanes are real channels */
#if defined(NIWAKI_TWICE)
  int32_t twice; /* a convolution's */
#endif
} N(block);

/* Round one by one: for scales with which a rounded sum may leave 32 bits. */
NIWAKI_KERNEL void N(store_wide)(N(sums) sums, const N(block) *b, int32_t zero, int32_t low, int32_t high,
                                 int8_t *out) {
  NIWAKI_ALIGNED int32_t each[NIWAKI_W];
  N(spread)(sums, each);
  for (int32_t c = 0; c < b->count; c++) {
    int64_t product = (int64_t)each[c] * b->multiplier[c];
#if defined(NIWAKI_TWICE)
    if (b->twice) product += niwaki_more(product, b->shift[c]);
#endif
    out[c] = niwaki_round_once(product, b->shift[c], zero, low, high);
  }
}

/* Output places `place` to `place + places` of a strip, all lanes of a block. */
NIWAKI_KERNEL void N(conv_tile)(const niwaki_conv *d, const niwaki_strip *strip, const N(block) *b,
                                const N(scale) *scale, int32_t place, int32_t places, int8_t *out) {
  const int32_t groups = (d->kernel_w * d->in_c + 3) / 4;
  const N(sums) bias = N(load_bias)(b->bias);
#define START(i)                                                                               \
  const int32_t at##i = place + (places > i ? i : 0);                                          \
  const uint8_t *const x##i = strip->bytes + at##i / d->out_w * d->pool_h * d->stride_h * strip->row + \
                              at##i % d->out_w * d->pool_w * d->stride_w * d->in_c;            \
  N(sums) best##i = bias;
#define RESET(i) N(sums) sum##i = bias;
#define DOT(i) \
  if (places > i) sum##i = N(dot)(sum##i, x##i + from, w);
#define KEEP(i) \
  if (places > i) best##i = py + px == 0 ? sum##i : N(larger)(best##i, sum##i);
#define STORE(i)                                                                                             \
  if (places > i) {                                                                                          \
    int8_t *const to = out + at##i * d->out_c;                                                               \
    if (d->wide)                                                                                             \
      N(store_wide)(best##i, b, d->out_zero, d->low, d->high, to);                                           \
    else                                                                                                     \
      N(store)(best##i, scale, d->out_zero, d->low, d->high, to, b->count);                                  \
  }
  NIWAKI_EACH(START)
  for (int32_t py = 0; py < d->pool_h; py++) {
    for (int32_t px = 0; px < d->pool_w; px++) {
      const int8_t *weights = b->weights;
      NIWAKI_EACH(RESET)
      for (int32_t ky = 0; ky < d->kernel_h; ky++) {
        int32_t from = (py * d->stride_h + ky * d->dilation_h) * strip->row + px * d->stride_w * d->in_c;
        for (int32_t g = 0; g < groups; g++, from += 4, weights += 4 * b->width) {
          const N(weights) w = N(load_weights)(weights);
          NIWAKI_EACH(DOT)
        }
      }
      NIWAKI_EACH(KEEP)
    }
  }
  NIWAKI_EACH(STORE)
#undef START
#undef RESET
#undef DOT
#undef KEEP
#undef STORE
}

/* All places of a strip of `rows` output rows. */
NIWAKI_KERNEL void N(conv_block)(const niwaki_conv *d, const niwaki_strip *strip, int32_t rows, const N(block) *b,
                                 int8_t *out) {
  const niwaki_cut cut = niwaki_cut_evenly(rows * d->out_w, NIWAKI_TILE);
  N(scale) scale = N(load_scale)(b->multiplier, b->shift);
#if defined(NIWAKI_TWICE)
  N(halve_twice)(&scale, b->shift);
#endif
  int32_t place = 0;
  for (int32_t i = 0; i < cut.more; i++, place += cut.size + 1)
    N(conv_tile)(d, strip, b, &scale, place, cut.size + 1, out);
  for (int32_t i = cut.more; i < cut.pieces; i++, place += cut.size)
    N(conv_tile)(d, strip, b, &scale, place, cut.size, out);
}

/* The part of a layer's constants that vector number `vector` of a block of `width` channels needs. */
NIWAKI_KERNEL N(block) N(part)(const int8_t *weights, const int32_t *bias, const int32_t *multiplier,
                               const uint8_t *shift, int32_t channels, int32_t group_count, int32_t block,
                               int32_t width, int32_t vector) {
  const int32_t first = block * 16 + vector * NIWAKI_W;
  N(block) b;
  b.weights = weights + block * 64 * group_count + vector * NIWAKI_W * 4;
  b.bias = bias + first;
  b.multiplier = multiplier + first;
  b.shift = shift + first;
  b.width = width;
  b.count = niwaki_least(channels - first, NIWAKI_W);
#if defined(NIWAKI_TWICE)
  b.twice = 0;
#endif
  return b;
}

/* All `count` blocks of a convolution, each of `width` channels. */
NIWAKI_KERNEL void N(conv_blocks)(const niwaki_conv *d, const niwaki_strip *strip, int32_t rows, int32_t count,
                                  int32_t width, int8_t *out) {
  const int32_t groups = d->kernel_h * ((d->kernel_w * d->in_c + 3) / 4);
  for (int32_t block = 0; block < count; block++) {
    for (int32_t vector = 0; vector < width / NIWAKI_W; vector++) {
      N(block) b = N(part)(d->weights, d->bias, d->multiplier, d->shift, d->out_c, groups, block, width, vector);
#if defined(NIWAKI_TWICE)
      b.twice = 1;
#endif
      if (b.count > 0) N(conv_block)(d, strip, rows, &b, out + block * 16 + vector * NIWAKI_W);
    }
  }
}

/* `vectors` vectors of outputs of a matrix product, from vector `first` on. */
NIWAKI_KERNEL void N(dense_tile)(const niwaki_dense *d, const uint8_t *x, int32_t first, int32_t vectors,
                                 int32_t width, int8_t *out) {
  const int32_t groups = (d->in + 3) / 4, per_block = width / NIWAKI_W;
  const int32_t split = vectors * 2 <= NIWAKI_TILE ? 2 : 1; /* few sums: each in two halves */
  int32_t g = 0;
#define START(i)                                                                                                    \
  const int32_t at##i = first + (vectors > i ? i : 0);                                                              \
  const N(block) b##i = N(part)(d->weights, d->bias, d->multiplier, d->shift, d->out, groups, at##i / per_block,    \
                                width, at##i % per_block);                                                          \
  N(sums) sum##i = N(load_bias)(b##i.bias), half##i = N(zero)();
#define DOT(i) \
  if (vectors > i) sum##i = N(dot)(sum##i, x + 4 * g, N(load_weights)(b##i.weights + g * 4 * width));
#define DOT_HALF(i) \
  if (vectors > i) half##i = N(dot)(half##i, x + 4 * g + 4, N(load_weights)(b##i.weights + (g + 1) * 4 * width));
#define STORE(i)                                                                                            \
  if (vectors > i && b##i.count > 0) {                                                                      \
    int8_t *const to = out + at##i / per_block * 16 + at##i % per_block * NIWAKI_W;                                                           \
    if (split == 2) sum##i = N(plus)(sum##i, half##i);                                                      \
    if (d->wide) {                                                                                          \
      N(store_wide)(sum##i, &b##i, d->out_zero, d->low, d->high, to);                                       \
    } else {                                                                                                \
      const N(scale) scale = N(load_scale)(b##i.multiplier, b##i.shift);                                    \
      N(store)(sum##i, &scale, d->out_zero, d->low, d->high, to, b##i.count);                               \
    }                                                                                                       \
  }
  NIWAKI_EACH(START)
  if (split == 2) {
    for (; g + 2 <= groups; g += 2) {
      NIWAKI_EACH(DOT)
      NIWAKI_EACH(DOT_HALF)
    }
  }
  for (; g < groups; g++) {
    NIWAKI_EACH(DOT)
  }
  NIWAKI_EACH(STORE)
#undef START
#undef DOT
#undef DOT_HALF
#undef STORE
}

/* All outputs of a matrix product: `count` blocks, each of `width` channels. */
NIWAKI_KERNEL void N(dense_blocks)(const niwaki_dense *d, const uint8_t *x, int32_t count, int32_t width,
                                   int8_t *out) {
  const niwaki_cut cut = niwaki_cut_evenly(count * width / NIWAKI_W, NIWAKI_TILE);
  int32_t vector = 0;
  for (int32_t i = 0; i < cut.more; i++, vector += cut.size + 1)
    N(dense_tile)(d, x, vector, cut.size + 1, width, out);
  for (int32_t i = cut.more; i < cut.pieces; i++, vector += cut.size)
    N(dense_tile)(d, x, vector, cut.size, width, out);
}
