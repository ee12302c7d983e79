/* Which cells are the garment: marked, cleared of shadow, joined, measured. Included by niwaki_vision.c. */
#ifndef NIWAKI_VISION_GARMENT_H
#define NIWAKI_VISION_GARMENT_H

#include "niwaki_vision_background.h"

typedef struct {
  box around;
  int32_t polarity, contrast;
} garment;

/* Otsu's threshold of values of 0 to 255. Of 126,976 values squares stay below 2^50. */
static int32_t otsu(const int32_t *counts) {
  int64_t total = 0, weighted = 0, below = 0, sum_below = 0, best = 0;
  int32_t chosen = 0;
  for (int32_t value = 0; value < 256; value++) {
    total += counts[value];
    weighted += (int64_t)value * counts[value];
  }
  for (int32_t value = 0; value < 255; value++) {
    below += counts[value];
    sum_below += (int64_t)value * counts[value];
    const int64_t spread = below * (total - below) / total;
    if (spread == 0) continue;
    const int64_t distance = weighted * below / total - sum_below;
    const int64_t score = distance * distance / spread;
    if (score > best) {
      best = score;
      chosen = value;
    }
  }
  return chosen;
}

/* +1 if there is more that is brighter than the background by `limit`, else -1. Sums stay below 2^29. */
static int32_t find_polarity(const workspace *w, int32_t limit) {
  const int32_t cells = w->size->columns * w->size->rows;
  int32_t brighter = 0, darker = 0;
  for (int32_t i = 0; i < cells; i++) {
    brighter += most(w->difference[i] - limit, 0);
    darker += most(-w->difference[i] - limit, 0);
  }
  return brighter >= darker ? 1 : -1;
}

/* Turns differences into distances from the background, and marks those above the threshold. */
static void mark(const workspace *w, int32_t polarity, int32_t limit) {
  const int32_t cells = w->size->columns * w->size->rows;
  int32_t counts[256] = {0};
  if (polarity < 0)
    for (int32_t i = 0; i < cells; i++) w->difference[i] = (int16_t)-w->difference[i];
  for (int32_t i = 0; i < cells; i++) counts[most(w->difference[i], 0) >> 4]++;
  const int32_t part = polarity > 0 ? OTSU_BRIGHT : OTSU_DARK;
  const int32_t threshold = most(limit, otsu(counts) * 16 * part / 8);
  for (int32_t i = 0; i < cells; i++) w->marked[i] = w->difference[i] > threshold;
}

/* Averages with the weights 1, 2, 1 along rows and columns; edges are repeated. */
static void blur(const workspace *w) {
  const int32_t columns = w->size->columns, rows = w->size->rows;
  for (int32_t y = 0; y < rows; y++) {
    const int16_t *const here = w->difference + y * columns;
    const int16_t *const above = y > 0 ? here - columns : here, *const below = y < rows - 1 ? here + columns : here;
    int16_t *const sums = w->row, *const to = w->soft + y * columns; /* sums are at most 4 * 4080 */
    for (int32_t x = 0; x < columns; x++) sums[x] = (int16_t)(above[x] + 2 * here[x] + below[x]);
    for (int32_t x = 1; x < columns - 1; x++) to[x] = (int16_t)((sums[x - 1] + 2 * sums[x] + sums[x + 1]) >> 4);
    to[0] = (int16_t)((3 * sums[0] + sums[1]) >> 4);
    to[columns - 1] = (int16_t)((sums[columns - 2] + 3 * sums[columns - 1]) >> 4);
  }
}

static int32_t apart(int32_t a, int32_t b) { return a < b ? b - a : a - b; }

/* Which cells no shadow can be: far from the background, or on a slope; `mean` is that of the marked cells. */
static void find_firm(const workspace *w, int32_t mean) {
  const int32_t columns = w->size->columns, rows = w->size->rows;
  for (int32_t y = 0; y < rows; y++) {
    const int16_t *const here = w->soft + y * columns;
    const int16_t *const above = w->soft + most(y - 2, 0) * columns;
    const int16_t *const below = w->soft + least(y + 2, rows - 1) * columns;
    uint8_t *const firm = w->firm + y * columns;
    for (int32_t x = 0; x < columns; x++) firm[x] = here[x] >= mean / 2 || apart(above[x], below[x]) >= mean / STEEP;
    for (int32_t x = 2; x < columns - 2; x++) firm[x] = (uint8_t)(firm[x] | (apart(here[x - 2], here[x + 2]) >= mean / STEEP));
    for (int32_t x = 0; x < 2; x++) {
      const int32_t last = columns - 1 - x;
      firm[x] = (uint8_t)(firm[x] | (apart(here[0], here[x + 2]) >= mean / STEEP));
      firm[last] = (uint8_t)(firm[last] | (apart(here[last - 2], here[columns - 1]) >= mean / STEEP));
    }
  }
}

static uint64_t eight(const uint8_t *cells) {
  uint64_t together;
  memcpy(&together, cells, 8);
  return together;
}

/* Copies marked cells, less those that are not firm and have a neighbour outside. */
static void peel(const workspace *w, const uint8_t *from, uint8_t *to) {
  const int32_t columns = w->size->columns, rows = w->size->rows;
  for (int32_t y = 0; y < rows; y++) {
    const uint8_t *const here = from + y * columns, *const firm = w->firm + y * columns;
    const uint8_t *const above = y > 0 ? here - columns : here, *const below = y < rows - 1 ? here + columns : here;
    uint8_t *const out = to + y * columns;
    const int32_t end = columns - 1;
    int32_t x = 1;
    for (; x + 8 <= end; x += 8) {
      const uint64_t inner = eight(above + x) & eight(below + x) & eight(here + x - 1) & eight(here + x + 1);
      const uint64_t left = eight(here + x) & (eight(firm + x) | inner);
      memcpy(out + x, &left, 8);
    }
    for (; x < end; x++)
      out[x] = (uint8_t)(here[x] & (firm[x] | (above[x] & below[x] & here[x - 1] & here[x + 1])));
    out[0] = (uint8_t)(here[0] & (firm[0] | (above[0] & below[0] & here[1])));
    out[end] = (uint8_t)(here[end] & (firm[end] | (above[end] & below[end] & here[end - 1])));
  }
}

/* Takes away marked cells that hang on the outside and are faint and smooth, as shadows are and cloth is not. */
static void remove_shadow(const workspace *w) {
  const int32_t cells = w->size->columns * w->size->rows;
  int32_t area = 0, mass = 0; /* below 2^29 */
  for (int32_t i = 0; i < cells; i++) {
    area += w->marked[i];
    mass += w->marked[i] ? w->difference[i] : 0;
  }
  if (area == 0) return;
  find_firm(w, mass / area);
  for (int32_t i = 0; i < SHADOW; i += 2) {
    peel(w, w->marked, w->mask);
    peel(w, w->mask, w->marked);
  }
}

/* The mask: everything within REACH cells of what is marked. */
static void widen(const workspace *w) {
  const int32_t columns = w->size->columns, rows = w->size->rows;
  uint8_t *const wide = (uint8_t *)(void *)w->parts; /* not in use now, and larger */
  for (int32_t y = 0; y < rows; y++) {
    const uint8_t *const from = w->marked + y * columns;
    uint8_t *const to = wide + y * columns;
    memcpy(to, from, (size_t)columns);
    for (int32_t k = 1; k <= REACH; k++)
      for (int32_t x = 0; x + k < columns; x++) {
        to[x] |= from[x + k];
        to[x + k] |= from[x];
      }
  }
  for (int32_t y = 0; y < rows; y++) {
    uint8_t *const to = w->mask + y * columns;
    memset(to, 0, (size_t)columns);
    for (int32_t k = most(0, y - REACH); k <= least(rows - 1, y + REACH); k++)
      for (int32_t x = 0; x < columns; x++) to[x] |= wide[k * columns + x];
  }
}

/* The runs of the mask in one row, from number `count` on; how many there are then. */
static int32_t find_runs(const workspace *w, int32_t y, int32_t count) {
  const uint8_t *const mask = w->mask + y * w->size->columns;
  const int32_t columns = w->size->columns;
  for (int32_t x = 0; x < columns;) {
    if (!mask[x]) {
      x++;
      continue;
    }
    w->runs[count].begin = x;
    while (x < columns && mask[x]) x++;
    w->runs[count].end = x;
    w->runs[count].parent = count;
    count++;
  }
  return count;
}

static int32_t root_of(run *runs, int32_t number) {
  while (runs[number].parent != number) {
    runs[number].parent = runs[runs[number].parent].parent;
    number = runs[number].parent;
  }
  return number;
}

/* Connects the runs of the mask with those that touch them in the next row, corners too; how many runs there are. */
static int32_t connect(const workspace *w) {
  int32_t count = 0;
  for (int32_t y = 0; y < w->size->rows; y++) {
    int32_t above = y ? w->row_runs[y - 1] : 0;
    const int32_t first = count;
    w->row_runs[y] = first;
    count = find_runs(w, y, count);
    for (int32_t i = first; i < count; i++) {
      while (above < first && w->runs[above].end < w->runs[i].begin) above++;
      for (int32_t j = above; j < first && w->runs[j].begin <= w->runs[i].end; j++) {
        const int32_t a = root_of(w->runs, i), b = root_of(w->runs, j);
        w->runs[most(a, b)].parent = least(a, b);
      }
    }
  }
  w->row_runs[w->size->rows] = count;
  return count;
}

static void enclose(box *around, const box *other) {
  around->left = least(around->left, other->left);
  around->top = least(around->top, other->top);
  around->right = most(around->right, other->right);
  around->bottom = most(around->bottom, other->bottom);
}

/* Area, mass and box of the marked cells of every component, kept at its first run. */
static void measure_parts(const workspace *w, int32_t count) {
  const int32_t columns = w->size->columns;
  for (int32_t i = 0; i < count; i++) {
    const component nothing = {0, 0, {columns, w->size->rows, -1, -1}};
    w->parts[i] = nothing;
  }
  for (int32_t y = 0; y < w->size->rows; y++)
    for (int32_t i = w->row_runs[y]; i < w->row_runs[y + 1]; i++) {
      component *const part = &w->parts[root_of(w->runs, i)];
      for (int32_t x = w->runs[i].begin; x < w->runs[i].end; x++) {
        if (!w->marked[y * columns + x]) continue;
        const box cell = {x, y, x, y};
        part->area++;
        part->mass += w->difference[y * columns + x]; /* of all cells below 2^29 */
        enclose(&part->around, &cell);
      }
    }
}

static int32_t longest_of(const box *a) { return most(a->right - a->left, a->bottom - a->top) + 1; }

/* Cells between two boxes, along rows or columns, whichever is more. */
static int32_t distance_of(const box *a, const box *b) {
  return most(most(a->left - b->right, b->left - a->right), most(a->top - b->bottom, b->top - a->bottom));
}

/* The garment: the heaviest part, and what is heavy enough and near it. Leaves only that in the mask. */
static component join_parts(const workspace *w, int32_t count) {
  int32_t main = 0;
  for (int32_t i = 1; i < count; i++)
    if (w->parts[i].mass > w->parts[main].mass) main = i;
  const component heaviest = w->parts[main];
  const box *const middle = &heaviest.around;
  const int32_t gap = longest_of(middle) / NEAR;
  component whole = heaviest;
  for (int32_t i = 0; i < count; i++) {
    component *const part = &w->parts[i];
    if (i == main || w->runs[i].parent != i) continue;
    if ((int64_t)part->mass * SHARE >= heaviest.mass && distance_of(&part->around, middle) <= gap) {
      whole.area += part->area;
      whole.mass += part->mass;
      enclose(&whole.around, &part->around);
    } else {
      part->area = 0; /* it is not of the garment */
    }
  }
  for (int32_t y = 0; y < w->size->rows; y++)
    for (int32_t i = w->row_runs[y]; i < w->row_runs[y + 1]; i++)
      if (w->parts[root_of(w->runs, i)].area == 0)
        memset(w->mask + y * w->size->columns + w->runs[i].begin, 0, (size_t)(w->runs[i].end - w->runs[i].begin));
  return whole;
}

static int32_t slope_at(const workspace *w, int32_t x, int32_t y) {
  const int32_t columns = w->size->columns, last_x = columns - 1, last_y = w->size->rows - 1;
  const int16_t *const soft = w->soft;
  return most(apart(soft[y * columns + most(x - 2, 0)], soft[y * columns + least(x + 2, last_x)]),
              apart(soft[most(y - 2, 0) * columns + x], soft[least(y + 2, last_y) * columns + x]));
}

/* Whether a cell's four neighbours are marked; beyond the frame, everything is as at its edge. */
static int is_inner(const workspace *w, int32_t x, int32_t y) {
  const int32_t columns = w->size->columns, last_x = columns - 1, last_y = w->size->rows - 1;
  const uint8_t *const marked = w->marked;
  return marked[y * columns + most(x - 1, 0)] && marked[y * columns + least(x + 1, last_x)] &&
         marked[most(y - 1, 0) * columns + x] && marked[least(y + 1, last_y) * columns + x];
}

/* Whether there are enough steep cells for the outline: the edges of cloth are steep, folds and stains are not. */
static int is_sharp(const workspace *w, const component *whole) {
  const int32_t limit = whole->mass / whole->area / STEEP;
  int32_t outline = 0, steep = 0;
  for (int32_t y = whole->around.top; y <= whole->around.bottom; y++)
    for (int32_t x = whole->around.left; x <= whole->around.right; x++) {
      const int32_t i = y * w->size->columns + x;
      if (!w->marked[i] || !w->mask[i]) continue;
      if (!is_inner(w, x, y)) outline++;
      if (slope_at(w, x, y) >= limit) steep++;
    }
  return steep * SHARP >= outline;
}

/* The garment among the cells; 0 where there is none. */
static int find_garment(const workspace *w, int32_t limit, garment *found) {
  found->polarity = find_polarity(w, limit);
  mark(w, found->polarity, limit);
  blur(w);
  if (found->polarity < 0) remove_shadow(w);
  widen(w);
  const int32_t count = connect(w);
  if (count == 0) return 0;
  measure_parts(w, count);
  const component whole = join_parts(w, count);
  const int32_t longest = longest_of(&whole.around);
  if (whole.area < FEWEST || whole.area * THINNEST < longest * longest) return 0; /* at most 4096 squared */
  if (!is_sharp(w, &whole)) return 0;
  found->around = whole.around;
  found->contrast = whole.mass / whole.area >> 4;
  return 1;
}

#endif
