/* Along one axis, in plain C: normalization, Softmax, the product of two tensors. Included by niwaki_kernels.h.
 *
 * A tensor is `outer` blocks of `count` rows of `inner` elements; a group is what lies `inner` apart within a block.
 */

typedef struct {
  int32_t outer, count, inner;
  int32_t by_outer, by_count, by_inner; /* the steps of factor and offset */
  int64_t epsilon;
  int8_t root; /* the mean stays: numbers are counted from the zero point */
  int16_t factor_shift, in_zero, out_zero, low, high;
  const NIWAKI_FLASH int32_t *factor;
  const NIWAKI_FLASH int32_t *offset;
} niwaki_normalize;

typedef struct {
  int32_t outer, count, inner, multiplier;
  int16_t shift, out_zero, low, high;
  const NIWAKI_FLASH int32_t *powers;
} niwaki_softmax;

typedef struct {
  int32_t batch, rows, depth, columns, a_batch, b_batch, multiplier;
  int16_t shift, zero_a, zero_b, out_zero, low, high;
} niwaki_matmul;

/* The whole root of a number below 2^62. */
NIWAKI_KERNEL int32_t niwaki_root(int64_t value) {
  int64_t root = 0;
  for (int64_t bit = (int64_t)1 << 30; bit > 0; bit >>= 1)
    if ((root + bit) * (root + bit) <= value) root += bit;
  return (int32_t)root;
}

/* One group: see the contract for what is rounded and where. */
NIWAKI_KERNEL void niwaki_normalize_group(const niwaki_normalize *d, const int8_t *in, int32_t index, int8_t *out) {
  const int32_t zero = d->root ? d->in_zero : 0;
  int64_t sum = 0, squares = 0;
  for (int32_t k = 0; k < d->count; k++) {
    const int32_t q = in[k * d->inner] - zero;
    sum += q;
    squares += q * q;
  }
  if (d->root) sum = 0;
  int64_t variance = d->count * squares - sum * sum + d->epsilon;
  int32_t down = 41; /* 61 bits of the inverse root less the 20 of a number */
  for (; variance < (int64_t)1 << 60; variance *= 4) down--;
  const int64_t inverse = niwaki_quotient((int64_t)1 << 61, niwaki_root(variance));
  for (int32_t k = 0; k < d->count; k++, index += d->by_count) {
    const int64_t far = ((int64_t)d->count * (in[k * d->inner] - zero) - sum) * inverse;
    const int64_t number = (far + ((int64_t)1 << (down - 1))) >> down;
    const int64_t offset = (int64_t)d->offset[index] * ((int64_t)1 << (d->factor_shift - 16));
    out[k * d->inner] =
        niwaki_round_once(number * d->factor[index] + offset, d->factor_shift, d->out_zero, d->low, d->high);
  }
}

/* May work in place. */
NIWAKI_KERNEL void niwaki_run_normalize(const niwaki_normalize *d, const int8_t *in, int8_t *out) {
  for (int32_t o = 0; o < d->outer; o++) {
    for (int32_t i = 0; i < d->inner; i++) {
      const int32_t at = o * d->count * d->inner + i;
      niwaki_normalize_group(d, in + at, o * d->by_outer + i * d->by_inner, out + at);
    }
  }
}

/* May work in place. */
NIWAKI_KERNEL void niwaki_run_softmax(const niwaki_softmax *d, const int8_t *in, int8_t *out) {
  for (int32_t group = 0; group < d->outer * d->inner; group++) {
    const int32_t at = group / d->inner * d->count * d->inner + group % d->inner;
    const int8_t *const x = in + at;
    int32_t most = -128;
    int64_t sum = 0;
    for (int32_t k = 0; k < d->count; k++) most = x[k * d->inner] > most ? x[k * d->inner] : most;
    for (int32_t k = 0; k < d->count; k++) sum += d->powers[most - x[k * d->inner]];
    const int64_t inverse = niwaki_quotient((int64_t)1 << 55, sum);
    for (int32_t k = 0; k < d->count; k++) {
      const int64_t share = (d->powers[most - x[k * d->inner]] * inverse) >> 25;
      out[at + k * d->inner] = niwaki_round_once(share * d->multiplier, d->shift, d->out_zero, d->low, d->high);
    }
  }
}

NIWAKI_KERNEL void niwaki_run_matmul(const niwaki_matmul *d, const int8_t *a, const int8_t *b, int8_t *out) {
  for (int32_t batch = 0; batch < d->batch; batch++, a += d->a_batch, b += d->b_batch) {
    for (int32_t row = 0; row < d->rows; row++) {
      for (int32_t column = 0; column < d->columns; column++) {
        int32_t sum = 0;
        for (int32_t k = 0; k < d->depth; k++)
          sum += (a[row * d->depth + k] - d->zero_a) * (b[k * d->columns + column] - d->zero_b);
        *out++ = niwaki_round_once((int64_t)sum * d->multiplier, d->shift, d->out_zero, d->low, d->high);
      }
    }
  }
}
