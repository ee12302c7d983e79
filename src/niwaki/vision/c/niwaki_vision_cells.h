/* The frame and the learned scene, averaged over cells. Included by niwaki_vision.c. */
#ifndef NIWAKI_VISION_CELLS_H
#define NIWAKI_VISION_CELLS_H

#include "niwaki_vision_memory.h"

/* Sums of the pixels of one row of cells: at most 15 * 15 * 255 each. What is left over at the right is not looked at. */
static void sum_cells(const workspace *w, const uint8_t *grey, ptrdiff_t stride, uint32_t *sums) {
  const int32_t factor = w->size->factor, columns = w->size->columns, width = columns * factor;
  for (int32_t x = 0; x < width; x++) w->sums[x] = grey[x];
  for (int32_t k = 1; k < factor; k++)
    for (int32_t x = 0; x < width; x++) w->sums[x] = (uint16_t)(w->sums[x] + grey[k * stride + x]);
  for (int32_t i = 0; i < columns; i++) {
    uint32_t sum = 0;
    for (int32_t k = 0; k < factor; k++) sum += w->sums[i * factor + k];
    sums[i] = sum;
  }
}

static void read_cells(const workspace *w, const uint8_t *grey, ptrdiff_t stride) {
  const int32_t factor = w->size->factor, columns = w->size->columns;
  const uint32_t scale = (uint32_t)divided(1 << 20, factor * factor);
  uint32_t *const fresh = (uint32_t *)(void *)w->runs;
  for (int32_t y = 0; y < w->size->rows; y++) {
    sum_cells(w, grey + (ptrdiff_t)y * factor * stride, stride, fresh);
    for (int32_t x = 0; x < columns; x++) /* 255 << 20, and rounding: fits */
      w->cells[y * columns + x] = (uint16_t)((fresh[x] * scale + 32768) >> 16);
  }
}

#endif
