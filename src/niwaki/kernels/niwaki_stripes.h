/* Layers that run together, some rows at a time. Included by a model.c that does so.
 *
 * A buffer that holds only some rows of a tensor begins with the first one that is still needed: what a pass leaves is
 * moved there. Kernels do not know of it: they see a small image, with padding at its top or bottom only where the whole
 * image has it.
 */
#ifndef NIWAKI_STRIPES_H
#define NIWAKI_STRIPES_H

#if defined(__GNUC__)
#define NIWAKI_MOVE __builtin_memmove
#else
#define NIWAKI_MOVE memmove
#endif

/* Row y of a layer's output needs rows y * step - pad to y * step - pad + reach - 1 of its input. `most`: in a pass. */
typedef struct {
  int16_t in_h, out_h, reach, step, pad, most;
} niwaki_passage;

/* The rows of a tensor that are there: from `first` to the one before `end`. */
typedef struct {
  int16_t first, end;
} niwaki_band;

/* What a layer does next: `rows` rows of output at row `to` of their buffer, from `in_h` rows of input at row `from`,
 * `also` that of a second input, above which `pad` rows of padding lie. */
typedef struct {
  int32_t from, also, to;
  int16_t in_h, pad, rows;
} niwaki_stripe;

/* The next rows of a layer whose input is `in`, and `also`: of a second input, or of a tensor beside which it writes.
 * 0: none yet. */
NIWAKI_SHARED int niwaki_next_stripe(const NIWAKI_FLASH niwaki_passage *p, const niwaki_band *in,
                                     const niwaki_band *also, niwaki_band *out, niwaki_stripe *next) {
  const int32_t done = out->end, room = (int32_t)in->end + p->pad - p->reach;
  const int32_t above = p->pad - done * p->step, from = above < 0 ? -above : 0;
  int32_t end = in->end >= p->in_h ? p->out_h : room < 0 ? 0 : room / p->step + 1, last;
  if (end > p->out_h) end = p->out_h;
  if (end > done + p->most) end = done + p->most;
  if (also && end > also->end) end = also->end;
  if (end <= done) return 0;
  last = (end - 1) * p->step - p->pad + p->reach;
  if (last > in->end) last = in->end;
  next->from = from - in->first;
  next->also = also ? done - also->first : 0;
  next->to = done - out->first;
  next->in_h = (int16_t)(last > from ? last - from : 0);
  next->pad = (int16_t)(above > 0 ? above : 0);
  next->rows = (int16_t)(end - done);
  out->end = (int16_t)end;
  return 1;
}

/* The first row of its input that a layer still needs. */
NIWAKI_SHARED int32_t niwaki_needed(const NIWAKI_FLASH niwaki_passage *p, const niwaki_band *out) {
  const int32_t from = (int32_t)out->end * p->step - p->pad;
  return out->end >= p->out_h ? p->in_h : from < 0 ? 0 : from;
}

NIWAKI_KERNEL int32_t niwaki_earlier(int32_t a, int32_t b) { return a < b ? a : b; }

/* Move the rows from `needed` on to the beginning of their buffer; a row has `row` bytes. */
NIWAKI_SHARED void niwaki_keep(int8_t *buffer, int32_t row, niwaki_band *band, int32_t needed) {
  const int32_t first = niwaki_earlier(needed, band->end);
  if (first > band->first && band->end > first)
    NIWAKI_MOVE(buffer, buffer + (first - band->first) * row, (size_t)((band->end - first) * row));
  band->first = (int16_t)first;
}

#endif
