/* Cortex-M with the DSP extension: SMLAD adds two products of 16 bits. Included by niwaki_kernels.h.
 *
 * A convolution sees two output places at a time. What they see is widened once to pairs of 16 bits, for four inputs
 *
 *   word 0 (x0, x2) and 1 (x1, x3) of the first place, 2 and 3 of the second,
 *
 * and serves all output channels, two at a time: per four inputs two LDRD, and for each channel LDR, SXTB16, SXTB16 of
 * the rotated word and four SMLAD, 16 instructions for 16 products. A kernel row whose length is no multiple of four
 * ends with a word that overlaps the one before it; the inputs that were seen already are zeros there.
 *
 * With `halves` one SXTB16 is saved. Two weights w0 and w1 are stored as the 16 bits of h = 256 w1 + w0, whose lower byte
 * is w0. With z1 = x1 - 127 and y0 = 256 x0 - z1, both of which fit into 16 bits for all inputs,
 *
 *   h z1 + w0 y0 = 256 (w0 x0 + w1 z1),
 *
 * so the word of weights is multiplied as it is, and its even bytes once more: LDR, SXTB16 and four SMLAD. Words 0 and 2
 * are then (y0, y2), words 1 and 3 (z1, z3). Sums are 256 times as large, and the generator sees to it that they fit;
 * the bias takes in the 127 w1, and the shift is larger by 8.
 *
 * Weights of 4 and 2 bits (niwaki_packed.h) lie so that a word has four inputs of two channels, or of four. A mask at the
 * top of each halfword takes two of them from the word, moved by their lane, times 2^12 or 2^14: LDR, four AND and eight
 * SMLAD for two channels, 15 instructions for 16 products.
 */

/* Any shift: seldom, so it is not inlined. */
static __attribute__((noinline, unused)) int32_t niwaki_scaled_any(int32_t sum, int32_t multiplier, int32_t shift) {
  const int64_t value = ((int64_t)sum * multiplier + ((int64_t)1 << (shift - 1))) >> shift;
  return (int32_t)(value < -1024 ? -1024 : value > 1024 ? 1024 : value);
}

NIWAKI_KERNEL int32_t niwaki_saturated(int32_t value, int32_t low, int32_t high) {
  if (low > -128 || high < 127) return niwaki_clamp(value, low, high);
  __asm__("ssat %0, #8, %0" : "+r"(value));
  return value;
}

/* The lower 32 bits of a product say nothing once it is shifted by more: SMMUL, and a shift by what is `beyond` them,
 * whose last bit rounds. */
NIWAKI_KERNEL int32_t niwaki_rounded_beyond(int32_t sum, int32_t multiplier, int32_t beyond, int32_t zero, int32_t low,
                                            int32_t high) {
  int32_t value;
  __asm__("smmul %0, %1, %2\n\tasrs %0, %0, %3\n\tadc %0, %0, %4"
          : "=&r"(value)
          : "r"(sum), "r"(multiplier), "r"(beyond), "rIK"(zero)
          : "cc");
  return niwaki_saturated(value, low, high);
}

NIWAKI_KERNEL int32_t niwaki_rounded(int32_t sum, int32_t multiplier, int32_t shift, int32_t zero, int32_t low,
                                     int32_t high) {
  if (__builtin_expect(shift > 32, 1)) return niwaki_rounded_beyond(sum, multiplier, shift - 32, zero, low, high);
  return niwaki_clamp(niwaki_scaled_any(sum, multiplier, shift) + zero, low, high);
}

#if defined(NIWAKI_TWICE)
/* A convolution's sum, in two steps: the first one's half moves the upper 32 bits of the product. */
NIWAKI_KERNEL int32_t niwaki_conv_rounded(int32_t sum, int32_t multiplier, int32_t shift, int32_t zero, int32_t low,
                                          int32_t high) {
  const int64_t product = (int64_t)sum * multiplier;
  if (!__builtin_expect(shift > 32, 1)) return niwaki_round(product, shift, zero, low, high);
  const int32_t top = (int32_t)((product + (sum < 0 ? -NIWAKI_FIRST_HALF : NIWAKI_FIRST_HALF)) >> 32);
  return niwaki_saturated((((top >> (shift - 33)) + 1) >> 1) + zero, low, high);
}
#else
#define niwaki_conv_rounded niwaki_rounded
#endif

/* By how many bits sums are larger than they are, so that shifts are beyond 32: where there is room in 32 bits. Asking
 * at run time is not worth it. */
#if defined(NIWAKI_TWICE) || defined(__OPTIMIZE_SIZE__)
#define NIWAKI_UP(d) 0
#else
#define NIWAKI_UP(d) ((d)->roomy ? 8 : 0)
#endif

/* Kernel rows that are widened at a time, so that they and, where they are not all, two sums of each output channel fit
 * into NIWAKI_PAIRS bytes; 0: not even one does. */
NIWAKI_KERNEL int32_t niwaki_pair_rows(const niwaki_conv *d) {
  const int32_t line = d->kernel_w * d->in_c, rows = (NIWAKI_PAIRS - 8 * (d->out_c + 1)) / (4 * line);
  if (line < 4) return 0;
  if (NIWAKI_PAIRS / 16 >= (line * d->kernel_h + 3) / 4) return d->kernel_h;
  return line % 4 == 0 && d->pool_h * d->pool_w == 1 && rows > 0 ? rows : 0;
}

/* 127 twice, which turns x1 to 127 - x1 in a byte, and is taken from x1 in 16 bits; 0: no halves. Compilers would keep it
 * in a register where none is free, so they do not know what it is. */
NIWAKI_KERNEL int32_t niwaki_127(int halves) {
  int32_t c = 0;
  if (halves) __asm__ volatile("mov %0, #0x007f007f" : "=r"(c));
  return c;
}

/* Four inputs in two words. */
NIWAKI_KERNEL void niwaki_two_words(int halves, int32_t c, uint32_t four, int32_t *to) {
  if (!halves) {
    to[0] = niwaki_bytes_02((int32_t)four);
    to[1] = niwaki_bytes_13((int32_t)four);
    return;
  }
  __asm__("rev16 %0, %1\n\teor %0, %0, %2" : "=&r"(to[0]) : "r"(four), "r"(c));
  __asm__("sxtb16 %0, %1, ror #8\n\tssub16 %0, %0, %2" : "=&r"(to[1]) : "r"(four), "r"(c));
}

NIWAKI_KERNEL int32_t *niwaki_put_pairs(int halves, int32_t c, int32_t *to, uint32_t four) {
  niwaki_two_words(halves, c, four, to);
  return to + 4;
}

/* The same without the first `over` bytes, which were seen before: with `halves` always two. */
NIWAKI_KERNEL int32_t *niwaki_put_last(int halves, int32_t c, int32_t *to, uint32_t four, int32_t over) {
  niwaki_two_words(halves, c, four >> 8 * over << 8 * over, to);
  if (halves) {
    to[0] &= ~0xffff;
    to[1] &= ~0xffff;
  }
  return to + 4;
}

/* `size` bytes side by side, of which the last word may overlap the one before it. */
NIWAKI_KERNEL int32_t *niwaki_widen_bytes(int halves, int32_t c, const int8_t *x, int32_t size, int32_t *to) {
#define NIWAKI_WIDEN "ldr %[a], [%[x]], #4\n\tsxtb16 %[b], %[a]\n\tsxtb16 %[a], %[a], ror #8\n\tstrd %[b], %[a], [%[to]], #16\n\t"
#define NIWAKI_WIDEN_HALVES                                                                       \
  "ldr %[a], [%[x]], #4\n\trev16 %[b], %[a]\n\tsxtb16 %[a], %[a], ror #8\n\teor %[b], %[b], %[c]\n\t" \
  "ssub16 %[a], %[a], %[c]\n\tstrd %[b], %[a], [%[to]], #16\n\t"
#define NIWAKI_WIDENED [x] "+r"(x), [to] "+r"(to), [a] "=&r"(a), [b] "=&r"(b)
  int32_t a, b;
  const int8_t *const end = x + (size & ~7);
  if (halves) {
    while (x < end) __asm__ volatile(NIWAKI_WIDEN_HALVES NIWAKI_WIDEN_HALVES : NIWAKI_WIDENED : [c] "r"(c) : "memory");
    if (size & 4) __asm__ volatile(NIWAKI_WIDEN_HALVES : NIWAKI_WIDENED : [c] "r"(c) : "memory");
  } else {
    while (x < end) __asm__ volatile(NIWAKI_WIDEN NIWAKI_WIDEN : NIWAKI_WIDENED : : "memory");
    if (size & 4) __asm__ volatile(NIWAKI_WIDEN : NIWAKI_WIDENED : : "memory");
  }
  if (size & 3) to = niwaki_put_last(halves, c, to, (uint32_t)niwaki_four(x - (-size & 3)), -size & 3);
  return to;
}

NIWAKI_KERNEL int32_t *niwaki_widen_zeros(int halves, int32_t c, int32_t zero, int32_t size, int32_t *to) {
  int32_t pair[2];
  niwaki_two_words(halves, c, (uint32_t)(zero & 0xff) * 0x01010101u, pair);
  for (; size > 0; size -= 4, to += 4) {
    to[0] = pair[0];
    to[1] = pair[1];
  }
  return to;
}

/* By stripes of rows, some sizes of a layer are variables. It is copied for a call that takes its address, or the other
 * sizes would no longer be literals where assembly is between. */
#if defined(NIWAKI_BY_STRIPES)
#define NIWAKI_APART(d, layer) const niwaki_conv copied = *(d), *const layer = &copied
#else
#define NIWAKI_APART(d, layer) const niwaki_conv *const layer = (d)
#endif

/* What a place sees in `rows` kernel rows from row `top` of the image on, if some of it is padding. A kernel row begins
 * at byte `at` of the image's. */
static __attribute__((noinline, unused)) void niwaki_widen_edge(const niwaki_conv *d, const int8_t *in, int32_t top,
                                                                int32_t at, int32_t rows, int32_t *to) {
  const int32_t line = d->kernel_w * d->in_c, width = d->in_w * d->in_c, over = -(rows * line) & 3;
  const int halves = NIWAKI_HALVED(d);
  const int32_t c = niwaki_127(halves);
  uint32_t word = 0;
  int32_t i = 0;
  for (int32_t y = top; rows > 0; rows--, y += d->dilation_h) {
    const int8_t *const row = in + y * width;
    const int32_t seen = y >= 0 && y < d->in_h ? width : 0;
    if (d->in_c % 4 == 0) { /* words are padding as a whole, or not at all */
      const int32_t begin = at < 0 ? 0 : at > seen ? seen : at, end = at + line < seen ? at + line : seen;
      const int32_t run = end > begin ? end - begin : 0, before = run ? begin - at : line;
      to = niwaki_widen_zeros(halves, c, d->in_zero, before, to);
      to = niwaki_widen_bytes(halves, c, row + begin, run, to);
      to = niwaki_widen_zeros(halves, c, d->in_zero, line - before - run, to);
      continue;
    }
    for (int32_t x = at; x < at + line; x++) {
      word = word >> 8 | (uint32_t)(uint8_t)(x >= 0 && x < seen ? row[x] : d->in_zero) << 24;
      if (++i % 4 == 0) to = niwaki_put_pairs(halves, c, to, word);
    }
  }
  if (over) niwaki_put_last(halves, c, to, word, over);
}

#define NIWAKI_FEW 48 /* bytes that are put together before they are widened */

NIWAKI_KERNEL void niwaki_widen(const niwaki_conv *d, const int8_t *in, int32_t top, int32_t left, int32_t ky,
                                int32_t rows, int32_t *to) {
  const int32_t line = d->kernel_w * d->in_c, width = d->in_w * d->in_c, first = top + ky * d->dilation_h;
  const int32_t reach_h = ((d->out_h * d->pool_h - 1) * d->stride_h + (d->kernel_h - 1) * d->dilation_h) - d->in_h;
  const int32_t reach_w = ((d->out_w * d->pool_w - 1) * d->stride_w + d->kernel_w - 1) - d->in_w;
  const int never = d->pad_top == 0 && d->pad_left == 0 && reach_h < 0 && reach_w < 0; /* no place sees padding */
  if (!never && (first < 0 || first + (rows - 1) * d->dilation_h >= d->in_h || left < 0 ||
                 left + d->kernel_w > d->in_w)) {
    NIWAKI_APART(d, layer);
    niwaki_widen_edge(layer, in, first, left * d->in_c, rows, to);
    return;
  }
  const int halves = NIWAKI_HALVED(d);
  const int32_t c = niwaki_127(halves);
  const int8_t *x = in + first * width + left * d->in_c;
  if (line % 4 == 0) {
    for (; rows > 0; rows--, x += d->dilation_h * width) to = niwaki_widen_bytes(halves, c, x, line, to);
  } else if (d->kernel_h * line <= NIWAKI_FEW) {
    int8_t bytes[NIWAKI_FEW];
    for (int32_t i = 0; i < d->kernel_h; i++, x += d->dilation_h * width)
      NIWAKI_COPY(bytes + i * line, x, (size_t)line);
    niwaki_widen_bytes(halves, c, bytes, d->kernel_h * line, to);
  } else {
    uint32_t kept = 0; /* the end of a row, `have` bits of which no word has been made */
    int32_t have = 0;
    for (; rows > 0; rows--, x += d->dilation_h * width) {
      int32_t i = 0;
      if (have) {
        to = niwaki_put_pairs(halves, c, to, kept | (uint32_t)niwaki_four(x) << have);
        i = 4 - have / 8;
      }
      for (; i + 4 <= line; i += 4) to = niwaki_put_pairs(halves, c, to, (uint32_t)niwaki_four(x + i));
      have = 8 * (line - i);
      if (have) kept = (uint32_t)niwaki_four(x + line - 4) >> (32 - have);
    }
    if (have) niwaki_put_last(halves, c, to, kept << (32 - have), 4 - have / 8);
  }
}

/* Four inputs of one channel, and of two, at two places. In assembly: compilers spill what they reorder here. */
#define NIWAKI_ODD "sxtb16 %[ws], %[ws], ror #8\n\t"
#define NIWAKI_CHANNEL(w, first, second, odd)                                                                  \
  "ldr %[ws], [%[" w "]], #4\n\tsxtb16 %[even], %[ws]\n\t" odd                                                \
  "smlad %[" first "], %[x0], %[even], %[" first "]\n\tsmlad %[" second "], %[x2], %[even], %[" second "]\n\t" \
  "smlad %[" first "], %[x1], %[ws], %[" first "]\n\tsmlad %[" second "], %[x3], %[ws], %[" second "]\n\t"
#define NIWAKI_ONE(odd)                                                          \
  "ldrd %[x0], %[x1], [%[x]], #8\n\tldrd %[x2], %[x3], [%[x]], #8\n\t" \
  NIWAKI_CHANNEL("w", "s0", "s1", odd)
#define NIWAKI_TWO(odd) NIWAKI_ONE(odd) NIWAKI_CHANNEL("v", "s2", "s3", odd)
#define NIWAKI_USED                                                                                            \
  [x] "+r"(x), [w] "+r"(w), [s0] "+r"(s0), [s1] "+r"(s1), [x0] "=&r"(x0), [x1] "=&r"(x1), [x2] "=&r"(x2), \
      [x3] "=&r"(x3), [ws] "=&r"(ws), [even] "=&r"(even)
#define NIWAKI_USED_TWO NIWAKI_USED, [v] "+r"(v), [s2] "+r"(s2), [s3] "+r"(s3)
#define NIWAKI_UNTIL(inputs) "1:\n\t" inputs inputs inputs inputs "ldr %[ws], %[end]\n\tcmp %[x], %[ws]\n\tbne 1b"

/* All inputs of a channel, or of two: `four` is one step, for four inputs. */
#define NIWAKI_ALL_WORDS(four, used)                                                                    \
  {                                                                                                     \
    if (size >= 16) __asm__(NIWAKI_UNTIL(four) : used : [end] "m"(end) : "memory", "cc");               \
    if (size & 8) __asm__(four four : used : : "memory");                                               \
    if (size & 4) __asm__(four : used : : "memory");                                                    \
    if (size & 3) {                                                                                     \
      w -= -size & 3;                                                                                   \
      v -= -size & 3;                                                                                   \
      __asm__(four : used : : "memory");                                                                \
    }                                                                                                   \
  }

/* Add `size` products of two channels (or one), whose weights lie `apart`, at two places. */
NIWAKI_KERNEL void niwaki_pair_sums(int halves, const int32_t *x, const int8_t *w, int32_t apart, int32_t size,
                                    int32_t channels, int32_t *s) {
  const int8_t *v = w + apart;
  const int32_t *const end = x + (size & ~15);
  int32_t s0 = s[0], s1 = s[1], s2 = s[2], s3 = s[3], x0, x1, x2, x3, ws, even;
  if (channels == 2 && halves)
    NIWAKI_ALL_WORDS(NIWAKI_TWO(""), NIWAKI_USED_TWO)
  else if (channels == 2)
    NIWAKI_ALL_WORDS(NIWAKI_TWO(NIWAKI_ODD), NIWAKI_USED_TWO)
  else if (halves)
    NIWAKI_ALL_WORDS(NIWAKI_ONE(""), NIWAKI_USED)
  else
    NIWAKI_ALL_WORDS(NIWAKI_ONE(NIWAKI_ODD), NIWAKI_USED)
  s[0] = s0;
  s[1] = s1;
  s[2] = s2;
  s[3] = s3;
}

/* Four inputs of the channel whose weights begin at bit `odd` of a byte, counted from the top; `even` is 8 more. */
#define NIWAKI_LANE(odd, even, first, second)                                                                     \
  "and %[even], %[top], %[ws], lsl #" odd                                                                         \
  "\n\tsmlad %[" first "], %[x1], %[even], %[" first "]\n\tsmlad %[" second "], %[x3], %[even], %[" second "]\n\t" \
  "and %[even], %[top], %[ws], lsl #" even                                                                        \
  "\n\tsmlad %[" first "], %[x0], %[even], %[" first "]\n\tsmlad %[" second "], %[x2], %[even], %[" second "]\n\t"
#define NIWAKI_LANES_OF_TWO(first, second)                                                                     \
  "ldrd %[x0], %[x1], [%[x]], #8\n\tldrd %[x2], %[x3], [%[x]], #8\n\tldr %[ws], [%[w]], #4\n\t" first second
#define NIWAKI_LANES_4 NIWAKI_LANES_OF_TWO(NIWAKI_LANE("0", "8", "s0", "s1"), NIWAKI_LANE("4", "12", "s2", "s3"))
#define NIWAKI_LANES_2 NIWAKI_LANES_OF_TWO(NIWAKI_LANE("0", "8", "s0", "s1"), NIWAKI_LANE("2", "10", "s2", "s3"))
#define NIWAKI_LANES_2_LAST NIWAKI_LANES_OF_TWO(NIWAKI_LANE("4", "12", "s0", "s1"), NIWAKI_LANE("6", "14", "s2", "s3"))
#define NIWAKI_USED_LANES NIWAKI_USED, [s2] "+r"(s2), [s3] "+r"(s3), [top] "+r"(top)

/* Add `all` products of two channels of few bits at two places; `last` are the last two of four in the same bytes. Of 511
 * products the sum fits into 32 bits, 2^12 or 2^14 times what it is; 2^up is kept. */
NIWAKI_KERNEL void niwaki_lane_sums(int32_t bits, int32_t last, int32_t up, const int32_t *x, const int8_t *w,
                                    int32_t all, int32_t *s) {
  for (int32_t at = 0, size; at < all; at += size) {
    size = all - at <= 511 ? all - at : 496;
    const int8_t *v = w;
    const int32_t *const end = x + (size & ~15);
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, x0, x1, x2, x3, ws, even;
    int32_t top = (int32_t)(bits == 4 ? 0xf000f000 : 0xc000c000);
    if (bits == 4)
      NIWAKI_ALL_WORDS(NIWAKI_LANES_4, NIWAKI_USED_LANES)
    else if (last)
      NIWAKI_ALL_WORDS(NIWAKI_LANES_2_LAST, NIWAKI_USED_LANES)
    else
      NIWAKI_ALL_WORDS(NIWAKI_LANES_2, NIWAKI_USED_LANES)
    (void)v;
    s[0] += s0 >> (16 - bits - up);
    s[1] += s1 >> (16 - bits - up);
    s[2] += s2 >> (16 - bits - up);
    s[3] += s3 >> (16 - bits - up);
  }
}

/* A sum as it is rounded: the shift takes in the factor of 256 unless there are two steps. */
#if defined(NIWAKI_TWICE)
#define NIWAKI_WHOLE(d, sum) (NIWAKI_HALVED(d) ? (sum) >> 8 : (sum))
#else
#define NIWAKI_WHOLE(d, sum) (sum)
#endif

/* One channel's sums at two places, rounded. With `more`, out[channel] is the largest so far. */
NIWAKI_KERNEL void niwaki_pair_out(const niwaki_conv *d, int32_t up, int32_t channel, const int32_t *sums, int more,
                                   int8_t *out, int8_t *next) {
  const int32_t multiplier = d->multiplier[channel], shift = d->shift[channel] + up;
  if (d->pool_h * d->pool_w > 1) {
    const int32_t best = sums[0] < sums[1] ? sums[1] : sums[0];
    const int32_t value = niwaki_conv_rounded(NIWAKI_WHOLE(d, best), multiplier, shift, d->out_zero, d->low, d->high);
    out[channel] = (int8_t)(more && out[channel] > value ? out[channel] : value);
    return;
  }
  const int32_t right = NIWAKI_WHOLE(d, sums[1]), left = NIWAKI_WHOLE(d, sums[0]);
  next[channel] = (int8_t)niwaki_conv_rounded(right, multiplier, shift, d->out_zero, d->low, d->high);
  out[channel] = (int8_t)niwaki_conv_rounded(left, multiplier, shift, d->out_zero, d->low, d->high);
}

/* Two channels from `c` on, or the last one, at two places that are widened: `ky` is the first of `rows` kernel rows. */
NIWAKI_KERNEL void niwaki_pair_two(const niwaki_conv *d, int32_t bits, int32_t last, const int32_t *x, const int8_t *w,
                                   int32_t c, int32_t ky, int32_t rows, int more, int32_t *parts, int8_t *out,
                                   int8_t *next) {
  const int32_t line = d->kernel_w * d->in_c, alone = (d->out_c & 1) && c == d->out_c - 1;
  const int32_t up = bits < 8 ? NIWAKI_UP(d) : 0;
  int32_t sums[4];
  if (ky == 0) {
    sums[0] = sums[1] = d->bias[c] * (1 << up);
    sums[2] = sums[3] = alone ? 0 : d->bias[c + 1] * (1 << up);
  } else {
    for (int32_t i = 0; i < 4; i++) sums[i] = parts[2 * c + i];
  }
  if (bits < 8)
    niwaki_lane_sums(bits, last, up, x, w, rows * line, sums);
  else
    niwaki_pair_sums(NIWAKI_HALVED(d), x, w, d->kernel_h * line, rows * line, alone ? 1 : 2, sums);
  if (ky + rows < d->kernel_h) {
    for (int32_t i = 0; i < 4; i++) parts[2 * c + i] = sums[i];
  } else {
    niwaki_pair_out(d, up, c, sums, more, out, next);
    if (!alone) niwaki_pair_out(d, up, c + 1, sums + 2, more, out, next);
  }
}

/* All channels at two places. */
NIWAKI_KERNEL void niwaki_pair_channels(const niwaki_conv *d, int32_t bits, const int32_t *x, int32_t ky, int32_t rows,
                                        int more, int32_t *parts, int8_t *out, int8_t *next) {
  const int32_t line = d->kernel_w * d->in_c, size = d->kernel_h * line;
  const int8_t *w = d->weights + ky * line;
  for (int32_t c = 0; c < d->out_c; c += 2, w += bits == 8 ? 2 * size : size) {
    niwaki_pair_two(d, bits, 0, x, w, c, ky, rows, more, parts, out, next);
    if (bits == 2) niwaki_pair_two(d, bits, 1, x, w, c += 2, ky, rows, more, parts, out, next);
  }
}

/* The places of an output row, or of a pooling window, one after the other. */
typedef struct {
  int32_t top, left, x;
} niwaki_place;

NIWAKI_KERNEL void niwaki_next_place(const niwaki_conv *d, niwaki_place *place, int32_t across) {
  place->left += d->stride_w;
  if (++place->x == across) {
    place->x = 0;
    place->left -= across * d->stride_w;
    place->top += d->stride_h;
  }
}

/* `count` places from the one at `top`, `left` on, two at a time; the last may be without a second. */
NIWAKI_LARGE void niwaki_conv_places(const niwaki_conv *d, int32_t bits, const int8_t *in, int32_t top, int32_t left,
                                      int32_t across, int32_t count, int8_t *out) {
  const int32_t step = niwaki_pair_rows(d), pooled = d->pool_h * d->pool_w > 1;
  int32_t pairs[NIWAKI_PAIRS / 4], *const parts = pairs + step * d->kernel_w * d->in_c;
  niwaki_place place = {top, left, 0};
  for (int32_t i = 0; i < count; i += 2) {
    const niwaki_place first = place;
    if (i + 1 < count) niwaki_next_place(d, &place, across);
    for (int32_t ky = 0; ky < d->kernel_h; ky += step) {
      const int32_t rows = d->kernel_h - ky < step ? d->kernel_h - ky : step;
      niwaki_widen(d, in, first.top, first.left, ky, rows, pairs);
      niwaki_widen(d, in, place.top, place.left, ky, rows, pairs + 2);
      niwaki_pair_channels(d, bits, pairs, ky, rows, i > 0, parts, out, i + 1 < count ? out + d->out_c : out);
    }
    niwaki_next_place(d, &place, across);
    if (!pooled) out += 2 * d->out_c;
  }
}

/* A convolution without groups, two places at a time: neighbours, or of one pooling window. */
NIWAKI_KERNEL void niwaki_conv_pairs(const niwaki_conv *d, int32_t bits, const int8_t *in, int8_t *out) {
  if (d->pool_h * d->pool_w == 1) {
    niwaki_conv_places(d, bits, in, -d->pad_top, -d->pad_left, d->out_w, d->out_h * d->out_w, out);
    return;
  }
  for (int32_t y = 0; y < d->out_h; y++) {
    for (int32_t x = 0; x < d->out_w; x++, out += d->out_c)
      niwaki_conv_places(d, bits, in, y * d->pool_h * d->stride_h - d->pad_top,
                         x * d->pool_w * d->stride_w - d->pad_left, d->pool_w, d->pool_h * d->pool_w, out);
  }
}
