/* The garment's pixels, shrunk to the network's picture and stretched to its grey levels. Included by niwaki_vision.c. */
#ifndef NIWAKI_VISION_PICTURE_H
#define NIWAKI_VISION_PICTURE_H

#include "niwaki_vision_garment.h"

/* One row of pixels of the garment: how far they are from the background; zeros outside the mask. */
static void read_row(const workspace *w, const background *from, const garment *found, const uint8_t *grey, int32_t y) {
  const int32_t factor = w->size->factor, cell_y = y / factor, left = found->around.left;
  const uint8_t *const mask = w->mask + cell_y * w->size->columns;
  const uint16_t *const scene = w->scene + (ptrdiff_t)y * w->size->width;
  /* 2^18 times the mean in 16ths, of a sum of at most 255 * learned: at most 255 << 23, and rounding. */
  const uint32_t scale = from->gain ? (uint32_t)((from->gain * 1024 + w->size->learned / 2) / w->size->learned) : 0;
  int16_t *to = w->row;
  if (y % factor == 0) evaluate_row(w, from->coefficients, cell_y);
  for (int32_t cell = left; cell <= found->around.right; cell++)
    for (int32_t x = cell * factor; x < (cell + 1) * factor; x++) {
      const int32_t ground = w->surface[cell] + (from->gain ? (int32_t)((scene[x] * scale) >> 18) : 0);
      const int32_t away = found->polarity * (grey[x] * 16 - within(ground, 0, WHITE));
      *to++ = (int16_t)(mask[cell] ? away : 0);
    }
}

/* Averages the row over equal widths: sums of values times what falls into each, at most 4080 * 4096. */
static void shrink_row(const workspace *w, int32_t width, int32_t target) {
  for (int32_t i = 0; i < target; i++) {
    const int32_t begin = i * width, end = begin + width;
    const int32_t first = begin / target, last = (end - 1) / target;
    int32_t sum = 0;
    if (first == last) {
      w->across[i] = w->row[first] * width;
      continue;
    }
    for (int32_t x = first + 1; x < last; x++) sum += w->row[x];
    w->across[i] =
        sum * target + w->row[first] * ((first + 1) * target - begin) + w->row[last] * (end - last * target);
  }
}

/* Adds the shrunk row with a weight: at most 4080 * 4096 * 4096 in the end. */
static void add_row(const workspace *w, int32_t columns, int32_t weight) {
  for (int32_t i = 0; i < columns; i++) w->down[i] += (int64_t)w->across[i] * weight;
}

/* The garment averaged over equal areas to rows × columns in the middle of `values`. */
static void shrink(const workspace *w, const background *from, const garment *found, const uint8_t *grey,
                   ptrdiff_t stride, int32_t rows, int32_t columns) {
  const int32_t factor = w->size->factor, inner = w->size->inner_width;
  const int32_t x0 = found->around.left * factor, y0 = found->around.top * factor;
  const int32_t width = (found->around.right + 1) * factor - x0, height = (found->around.bottom + 1) * factor - y0;
  int16_t *to = w->values + (w->size->inner_height - rows) / 2 * inner + (inner - columns) / 2;
  int32_t done = 0; /* of the target row, in units of which a source row has `rows` and a target row `height` */
  memset(w->values, 0, (size_t)(inner * w->size->inner_height) * sizeof *w->values);
  memset(w->down, 0, (size_t)inner * sizeof *w->down);
  for (int32_t y = 0; y < height; y++) {
    const int32_t into = least(rows, height - done);
    read_row(w, from, found, grey + (ptrdiff_t)(y0 + y) * stride, y0 + y);
    shrink_row(w, width, columns);
    add_row(w, columns, into);
    done += into;
    if (done < height) continue;
    for (int32_t i = 0; i < columns; i++) to[i] = (int16_t)divided(w->down[i], (int64_t)width * height);
    to += inner;
    memset(w->down, 0, (size_t)inner * sizeof *w->down);
    done = rows - into;
    add_row(w, columns, done);
  }
}

/* Grey levels: noise to 0, the bright parts to 255. */
static void stretch(const workspace *w, int32_t floor, uint8_t *picture) {
  const int32_t count = w->size->inner_width * w->size->inner_height;
  int32_t seen = 0;
  memset(w->counts, 0, (WHITE + 1) * sizeof *w->counts);
  for (int32_t i = 0; i < count; i++)
    if (w->values[i] > floor) {
      w->counts[w->values[i]]++;
      seen++;
    }
  if (seen == 0) return;
  const int32_t white = ranked(w->counts, (seen - 1) * BRIGHT / 100);
  for (int32_t i = 0; i < count; i++)
    if (w->values[i] > floor) picture[i] = (uint8_t)least((510 * w->values[i] + white) / (2 * white), 255);
}

static int32_t judge(const workspace *w, const niwaki_finding *finding, const box *cells) {
  const sizes *const size = w->size;
  const int32_t smallest = most(most(size->inner_width, size->inner_height), least(size->width, size->height) / SMALLEST);
  if (cells->left == 0 && cells->right == size->columns - 1) return NIWAKI_TOO_LARGE;
  if (cells->top == 0 && cells->bottom == size->rows - 1) return NIWAKI_TOO_LARGE;
  return most(finding->width, finding->height) < smallest ? NIWAKI_TOO_SMALL : NIWAKI_FOUND;
}

#endif
