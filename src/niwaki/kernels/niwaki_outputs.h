/* Cortex-M with the DSP extension: matrix product, four outputs at a time. Included by niwaki_kernels.h.
 *
 * Per four inputs three instructions widen them, or one LDRD reads them from where all were widened before; each output
 * then takes LDR, SXTB16, SXTB16 of the rotated word and two SMLAD, with `halves` (see niwaki_dsp.h) one SXTB16 less, for
 * which widening takes two instructions more. Rows of weights lie `apart`: with an index register two pointers reach
 * four of them.
 */

#define NIWAKI_READ "ldr %[odd], [%[x]], #4\n\tsxtb16 %[even], %[odd]\n\tsxtb16 %[odd], %[odd], ror #8\n\t"
#define NIWAKI_READ_HALVES                                                                                      \
  "ldr %[odd], [%[x]], #4\n\trev16 %[even], %[odd]\n\tsxtb16 %[odd], %[odd], ror #8\n\t"                        \
  "eor %[even], %[even], %[c]\n\tssub16 %[odd], %[odd], %[c]\n\t"
#define NIWAKI_READ_WIDE "ldrd %[even], %[odd], [%[x]], #8\n\t"
#define NIWAKI_OUTPUT(from, sum, odd)                                                                            \
  "ldr %[ws], " from "\n\tsxtb16 %[w02], %[ws]\n\t" odd                                                         \
  "smlad %[" sum "], %[even], %[w02], %[" sum "]\n\tsmlad %[" sum "], %[odd], %[ws], %[" sum "]\n\t"
#define NIWAKI_OUTPUTS(odd)                                                                                     \
  NIWAKI_OUTPUT("[%[w], %[apart]]", "s1", odd) NIWAKI_OUTPUT("[%[w]], #4", "s0", odd)                            \
  NIWAKI_OUTPUT("[%[v], %[apart]]", "s3", odd) NIWAKI_OUTPUT("[%[v]], #4", "s2", odd)
/* No register serves two operands: `apart` may equal a sum. */
#define NIWAKI_IN_REGISTERS                                                                                     \
  [x] "+&r"(x), [w] "+&r"(w), [v] "+&r"(v), [s0] "+&r"(s[0]), [s1] "+&r"(s[1]), [s2] "+&r"(s[2]), [s3] "+&r"(s[3]),    \
      [even] "=&r"(even), [odd] "=&r"(odds), [ws] "=&r"(ws), [w02] "=&r"(w02)
#define NIWAKI_FOUR(read, odd) read NIWAKI_OUTPUTS(odd)
#define NIWAKI_SIXTEEN(read, odd) \
  NIWAKI_FOUR(read, odd) NIWAKI_FOUR(read, odd) NIWAKI_FOUR(read, odd) NIWAKI_FOUR(read, odd)
#define NIWAKI_TO_THE_END(inputs, ...) \
  __asm__("1:\n\t" inputs "ldr %[ws], %[end]\n\tcmp %[x], %[ws]\n\tbne 1b" \
          : NIWAKI_IN_REGISTERS : [end] "m"(end), __VA_ARGS__ : "memory", "cc")
/* `odd` splits a word of weights, and the last arguments are what the assembly reads besides. */
#define NIWAKI_ALL_INPUTS(read, each, odd, ...)                                                                 \
  {                                                                                                             \
    const int8_t *v = w + 2 * apart, *const end = x + (size & ~15) * each;                                      \
    int32_t even, odds, ws, w02;                                                                                \
    if (size % 32 == 0 && size > 0)                                                                             \
      NIWAKI_TO_THE_END(NIWAKI_SIXTEEN(read, odd) NIWAKI_SIXTEEN(read, odd), __VA_ARGS__);                      \
    else if (size >= 16)                                                                                        \
      NIWAKI_TO_THE_END(NIWAKI_SIXTEEN(read, odd), __VA_ARGS__);                                                \
    for (int32_t i = size & 12; i > 0; i -= 4)                                                                  \
      __asm__(NIWAKI_FOUR(read, odd) : NIWAKI_IN_REGISTERS : __VA_ARGS__ : "memory");                           \
    if (each == 2 && size & 3) { /* the last word overlaps the one before it */                                 \
      w -= -size & 3;                                                                                           \
      v -= -size & 3;                                                                                           \
      __asm__(NIWAKI_FOUR(read, odd) : NIWAKI_IN_REGISTERS : __VA_ARGS__ : "memory");                           \
    }                                                                                                           \
  }

/* Add the products of `size` inputs with four rows of weights: inputs as bytes, a multiple of four, or widened. */
NIWAKI_KERNEL void niwaki_four_outputs(int halves, const int8_t *x, const int8_t *w, int32_t apart, int32_t size,
                                       int wide, int32_t *s) {
  if (wide && halves)
    NIWAKI_ALL_INPUTS(NIWAKI_READ_WIDE, 2, "", [apart] "r"(apart))
  else if (wide)
    NIWAKI_ALL_INPUTS(NIWAKI_READ_WIDE, 2, NIWAKI_ODD, [apart] "r"(apart))
  else if (halves)
    NIWAKI_ALL_INPUTS(NIWAKI_READ_HALVES, 1, "", [apart] "r"(apart), [c] "r"(niwaki_127(1)))
  else
    NIWAKI_ALL_INPUTS(NIWAKI_READ, 1, NIWAKI_ODD, [apart] "r"(apart))
}

NIWAKI_KERNEL void niwaki_dense_four(const niwaki_dense *d, const int8_t *x, int wide, int8_t *out) {
  const int8_t *w = d->weights;
  int32_t o = 0;
  for (; o + 4 <= d->out; o += 4, w += 4 * d->in) {
    int32_t s[4] = {d->bias[o], d->bias[o + 1], d->bias[o + 2], d->bias[o + 3]};
    niwaki_four_outputs(NIWAKI_HALVED(d), x, w, d->in, d->in, wide, s);
    const uint32_t shifts = (uint32_t)niwaki_four((const int8_t *)d->shift + o);
#define NIWAKI_END_OF(i)                                                                                        \
  out[o + i] = (int8_t)niwaki_rounded(s[i], d->multiplier[o + i], (int32_t)(shifts >> 8 * i & 0xff), d->out_zero, \
                                      d->low, d->high);
    NIWAKI_END_OF(0)
    NIWAKI_END_OF(1)
    NIWAKI_END_OF(2)
    NIWAKI_END_OF(3)
  }
  for (int32_t left = d->out & 3; left > 0; left--, o++, w += d->in) { /* the same row four times */
    int32_t s[4] = {d->bias[o], 0, 0, 0};
    niwaki_four_outputs(NIWAKI_HALVED(d), x, w, 0, d->in, wide, s);
    out[o] = (int8_t)niwaki_rounded(s[0], d->multiplier[o], d->shift[o], d->out_zero, d->low, d->high);
  }
}

#if defined(NIWAKI_SMALL)
#define niwaki_run_dense niwaki_dense_rows
#else
NIWAKI_KERNEL void niwaki_run_dense(const niwaki_dense *d, const int8_t *in, int8_t *out) {
  if (d->in >= 4 && (d->in + 3) / 4 * 8 <= NIWAKI_PAIRS) {
    int32_t x[NIWAKI_PAIRS / 4];
    int32_t *to = x;
    const int32_t c = niwaki_127(NIWAKI_HALVED(d));
    for (int32_t i = 0; i + 4 <= d->in; i += 4, to += 2)
      niwaki_two_words(NIWAKI_HALVED(d), c, (uint32_t)niwaki_four(in + i), to);
    if (d->in % 4) niwaki_put_last(NIWAKI_HALVED(d), c, to, (uint32_t)niwaki_four(in + d->in - 4), -d->in & 3);
    niwaki_dense_four(d, (const int8_t *)x, 1, out);
  } else if (d->in % 4 == 0) {
    niwaki_dense_four(d, in, 0, out);
  } else {
    niwaki_dense_rows(d, in, out);
  }
}
#endif
