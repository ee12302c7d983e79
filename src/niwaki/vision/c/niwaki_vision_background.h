/* A surface fitted to the blocks of the border: what the frame would be without a garment. Included by niwaki_vision.c. */
#ifndef NIWAKI_VISION_BACKGROUND_H
#define NIWAKI_VISION_BACKGROUND_H

#include "niwaki_vision_cells.h"

typedef struct {
  int32_t coefficients[TERMS]; /* 256ths, of 1, x, y, x * y, x * x + y * y - MEAN, x * x - y * y */
  int32_t gain;                /* by which the scene is brighter now, in 4096ths; 0: not compared with it */
  int32_t noise;               /* the median difference along the border */
} background;

static int on_ring(int32_t row, int32_t column) {
  return row == 0 || row == BLOCKS - 1 || column == 0 || column == BLOCKS - 1;
}

/* What the scene leads to expect of a cell. */
static int32_t expected_of(int32_t scene, int32_t gain) { return (scene * gain + 2048) >> 12; }

/* Means over blocks of `cells`, less what is expected of `scene`. A block has at most 600 cells: its sum fits. */
static void average_blocks(const workspace *w, const uint16_t *cells, int32_t gain, int32_t *blocks) {
  const int32_t columns = w->size->columns, rows = w->size->rows;
  for (int32_t by = 0; by < BLOCKS; by++)
    for (int32_t bx = 0; bx < BLOCKS; bx++) {
      const int32_t left = bx * columns / BLOCKS, right = (bx + 1) * columns / BLOCKS;
      const int32_t top = by * rows / BLOCKS, bottom = (by + 1) * rows / BLOCKS;
      int32_t sum = 0;
      for (int32_t y = top; y < bottom; y++) {
        const uint16_t *const from = cells + y * columns, *const scene = w->scene_cells + y * columns;
        for (int32_t x = left; x < right; x++) sum += from[x];
        if (gain)
          for (int32_t x = left; x < right; x++) sum -= expected_of(scene[x], gain);
      }
      blocks[by * BLOCKS + bx] = (int32_t)down_divided(sum, (right - left) * (bottom - top));
    }
}

static void sort(int32_t *values, int32_t count) {
  for (int32_t i = 1; i < count; i++) {
    const int32_t value = values[i];
    int32_t j = i;
    for (; j > 0 && values[j - 1] > value; j--) values[j] = values[j - 1];
    values[j] = value;
  }
}

/* By how much the frame is brighter than the scene, in 4096ths, between a half and twice: the median of the border. */
static int32_t fit_gain(const int32_t *blocks, const int32_t *scene) {
  int32_t ratios[RING], count = 0;
  for (int32_t i = 0; i < BLOCKS * BLOCKS; i++)
    if (on_ring(i / BLOCKS, i % BLOCKS) && scene[i] >= 8 * 16) ratios[count++] = blocks[i] * 4096 / scene[i];
  if (count < RING / 4) return 4096;
  sort(ratios, count);
  return within(ratios[count / 2], 2048, 8192);
}

static void basis_at(int32_t block, int32_t *basis) {
  const int32_t x = 2 * (block % BLOCKS) - (BLOCKS - 1), y = 2 * (block / BLOCKS) - (BLOCKS - 1);
  basis[0] = 1;
  basis[1] = x;
  basis[2] = y;
  basis[3] = x * y;
  basis[4] = x * x + y * y - MEAN;
  basis[5] = x * x - y * y;
}

/* How far the blocks are from the surface; the median along the border. Sums stay below 2^23. */
static int32_t leave_residuals(const int32_t *coefficients, const int32_t *blocks, int32_t *residuals) {
  int32_t border[RING], count = 0;
  for (int32_t i = 0; i < BLOCKS * BLOCKS; i++) {
    int32_t basis[TERMS], sum = 0;
    basis_at(i, basis);
    for (int32_t k = 0; k < TERMS; k++) sum += coefficients[k] * basis[k];
    residuals[i] = blocks[i] - (sum >> 8);
    if (on_ring(i / BLOCKS, i % BLOCKS)) border[count++] = residuals[i] < 0 ? -residuals[i] : residuals[i];
  }
  sort(border, RING);
  return border[RING / 2];
}

/* One step of the fit: the first `terms` coefficients, on the border or on all blocks. */
static void improve_surface(int32_t *coefficients, const int32_t *blocks, int32_t terms, int32_t border_only) {
  static const int32_t limits[TERMS] = {1 << 21, 1 << 16, 1 << 16, 1 << 12, 1 << 12, 1 << 12};
  int32_t residuals[BLOCKS * BLOCKS];
  int64_t sums[TERMS] = {0}, norms[TERMS] = {0};
  const int32_t cut = most(48, 4 * leave_residuals(coefficients, blocks, residuals));
  for (int32_t i = 0; i < BLOCKS * BLOCKS; i++) {
    int32_t basis[TERMS];
    if (border_only && !on_ring(i / BLOCKS, i % BLOCKS)) continue;
    basis_at(i, basis);
    for (int32_t k = 0; k < terms; k++) {
      norms[k] += basis[k] * basis[k];
      if (residuals[i] <= cut && residuals[i] >= -cut) sums[k] += residuals[i] * basis[k];
    }
  }
  for (int32_t k = 0; k < terms; k++)
    coefficients[k] =
        (int32_t)divided(256 * sums[k] + coefficients[k] * norms[k], norms[k]);
  for (int32_t k = 0; k < TERMS; k++) coefficients[k] = within(coefficients[k], -limits[k], limits[k]);
}

static void fit_surface(int32_t *coefficients, const int32_t *blocks) {
  int32_t border[RING], count = 0;
  for (int32_t i = 0; i < BLOCKS * BLOCKS; i++)
    if (on_ring(i / BLOCKS, i % BLOCKS)) border[count++] = blocks[i];
  sort(border, RING);
  memset(coefficients, 0, TERMS * sizeof *coefficients);
  coefficients[0] = border[RING / 2] * 256;
  for (int32_t i = 0; i < 6; i++) improve_surface(coefficients, blocks, 3, 1);
  for (int32_t i = 0; i < 6; i++) improve_surface(coefficients, blocks, TERMS, 1);
  for (int32_t i = 0; i < 8; i++) improve_surface(coefficients, blocks, TERMS, 0);
}

/* The surface at the cells of one row. The limits of the coefficients keep every term below 2^28 and the
 * surface below 32,000. */
static void evaluate_row(const workspace *w, const int32_t *c, int32_t row) {
  const int32_t y = place_of(row, w->size->rows), y2 = (y * y) >> 8;
  const int32_t a = c[0] + ((c[2] * y) >> 6) + (((c[4] - c[5]) * y2) >> 4) - c[4] * MEAN;
  const int32_t b = c[1] + ((c[3] * y) >> 6), d = c[4] + c[5];
  for (int32_t x = 0; x < w->size->columns; x++)
    w->surface[x] = (int16_t)((a + ((b * w->x[x]) >> 6) + ((d * w->x2[x]) >> 4)) >> 8);
}

/* How the cells differ from the background. */
static void subtract(const workspace *w, const background *from) {
  const int32_t columns = w->size->columns;
  for (int32_t y = 0; y < w->size->rows; y++) {
    const uint16_t *const cells = w->cells + y * columns, *const scene = w->scene_cells + y * columns;
    int16_t *const to = w->difference + y * columns;
    evaluate_row(w, from->coefficients, y);
    if (from->gain)
      for (int32_t x = 0; x < columns; x++)
        to[x] = (int16_t)(cells[x] - within(expected_of(scene[x], from->gain) + w->surface[x], 0, WHITE));
    else
      for (int32_t x = 0; x < columns; x++) to[x] = (int16_t)(cells[x] - within(w->surface[x], 0, WHITE));
  }
}

/* The value at `rank` of those that were counted. */
static int32_t ranked(const int32_t *counts, int32_t rank) {
  int32_t value = 0, below = counts[0];
  while (below <= rank) below += counts[++value];
  return value;
}

/* The median difference along the border. */
static int32_t border_noise(const workspace *w) {
  const int32_t columns = w->size->columns, rows = w->size->rows;
  const int32_t left = columns / BLOCKS, right = (BLOCKS - 1) * columns / BLOCKS;
  const int32_t top = rows / BLOCKS, bottom = (BLOCKS - 1) * rows / BLOCKS;
  int32_t total = 0;
  memset(w->counts, 0, (WHITE + 1) * sizeof *w->counts);
  for (int32_t y = 0; y < rows; y++)
    for (int32_t x = 0; x < columns; x++) {
      if (y >= top && y < bottom && x == left) x = right;
      const int32_t value = w->difference[y * columns + x];
      w->counts[value < 0 ? -value : value]++;
      total++;
    }
  return ranked(w->counts, total / 2);
}

static void fit_background(const workspace *w, background *fitted, int32_t gain) {
  int32_t blocks[BLOCKS * BLOCKS];
  fitted->gain = gain;
  average_blocks(w, w->cells, gain, blocks);
  fit_surface(fitted->coefficients, blocks);
  subtract(w, fitted);
  fitted->noise = border_noise(w);
}

/* The background that explains the border better: the learned scene, or a smooth surface alone. */
static background find_background(const workspace *w) {
  int32_t blocks[BLOCKS * BLOCKS], scene[BLOCKS * BLOCKS];
  background plain, seen;
  fit_background(w, &plain, 0);
  if (w->size->learned == 0) return plain;
  average_blocks(w, w->cells, 0, blocks);
  average_blocks(w, w->scene_cells, 0, scene);
  fit_background(w, &seen, fit_gain(blocks, scene));
  if (4 * seen.noise <= 5 * plain.noise) return seen;
  subtract(w, &plain);
  return plain;
}

#endif
