/* niwaki vision: see niwaki_vision.h. reference.py and its parts are the same in NumPy, and say where the
 * methods come from.
 *
 * Brightness is kept in 16ths of a grey level: 0 to 4080. `Cells` are the frame averaged over squares of pixels, at most
 * 76,800, or where a side has fewer than 32 pixels, the pixels themselves: at most 31 × 4096 = 126,976. `Blocks` are
 * 16 × 16 averages of the cells, on which the background is fitted. Comments say why sums fit.
 */
#include "niwaki_vision.h"

/* Of the C library only these; compilers for browsers have no <string.h>. */
void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

#define MOST_CELLS 76800 /* unless a block would be left without cells */
#define WHITE 4080
#define BLOCKS 16
#define RING 60      /* blocks along the border */
#define TERMS 6      /* of the surface */
#define MEAN 170     /* of x * x + y * y over the blocks */
#define FLOOR 96     /* the least difference that counts as one */
#define NOISE 6      /* times the median difference along the border */
#define OTSU_BRIGHT 1 /* eighths of Otsu's threshold, for a bright garment */
#define OTSU_DARK 4  /* and for a dark one, which has shadows beside it */
#define SHADOW 12    /* cells: so wide a shadow is taken away; an even number */
#define STEEP 4      /* a slope: over four cells a fourth of the contrast */
#define SHARP 2      /* in a garment there are at least half as many steep cells as on its outline */
#define REACH 2      /* cells: parts of a garment that lie within twice this are one */
#define NEAR 4       /* a part joins the main one within a fourth of its longest side, */
#define SHARE 20     /* with a twentieth of its mass */
#define FEWEST 9     /* cells of a garment */
#define THINNEST 20  /* a garment's area is at least a 20th of its longest side's square */
#define SMALLEST 8   /* its longest side is at least an eighth of the frame's shorter one */
#define BRIGHT 95    /* per cent of the garment's pixels that are not brighter than white */

/* `>>` of a negative number must be arithmetic: it is with every compiler that this is for. */
typedef char niwaki_shift_is_arithmetic[(-5 >> 1) == -3 ? 1 : -1];

typedef struct {
  int32_t width, height, inner_width, inner_height;
  int32_t factor, columns, rows; /* a cell is factor × factor pixels */
  int32_t learned;               /* frames of the scene */
} sizes;

typedef struct {
  int32_t begin, end, parent; /* columns; the first run that it is known to be connected with */
} run;

typedef struct {
  int32_t left, top, right, bottom; /* cells, the last ones included */
} box;

typedef struct {
  int32_t area, mass;
  box around;
} component;

/* Where everything lies in the caller's memory. */
typedef struct {
  sizes *size;
  uint16_t *scene;        /* [height][width]: sums over the learned frames, at most 256 * 255 */
  uint32_t *scene_sums;   /* [rows][columns]: their sums over cells, at most 256 * 255 * 15 * 15 */
  uint16_t *scene_cells;  /* [rows][columns]: their means */
  uint16_t *cells;        /* [rows][columns] of the frame */
  int16_t *difference;    /* [rows][columns]: to the background */
  uint8_t *marked, *mask; /* [rows][columns]: of the garment; the same, a little wider */
  uint8_t *firm;          /* [rows][columns]: no shadow */
  int16_t *soft;          /* [rows][columns]: differences, blurred */
  int16_t *x, *x2;        /* [columns]: place and its square, for the surface */
  uint16_t *sums;         /* [width]: of one row of cells, at most 15 * 255 */
  int16_t *row;           /* [width] */
  int16_t *surface;       /* [columns] */
  run *runs;              /* of cells in the mask */
  int32_t *row_runs;      /* [rows + 1]: where the runs of a row begin */
  component *parts;       /* as many as runs */
  int32_t *counts;        /* [WHITE + 1] */
  int32_t *across;        /* [inner_width]: one row, shrunk */
  int64_t *down;          /* [inner_width]: sums of rows */
  int16_t *values;        /* [inner_height][inner_width] */
} workspace;

static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }
static int32_t most(int32_t a, int32_t b) { return a > b ? a : b; }
static int32_t within(int32_t value, int32_t low, int32_t high) { return least(most(value, low), high); }

/* Divided and rounded down, as Python's // does. */
static int64_t down_divided(int64_t value, int64_t by) { return value / by - (value % by < 0 ? 1 : 0); }

/* Divided and rounded to the nearest; halves go up. */
static int64_t divided(int64_t value, int64_t by) { return down_divided(2 * value + by, 2 * by); }

/* ---- memory ---- */

static int measure_sizes(sizes *size, int32_t width, int32_t height, int32_t inner_width, int32_t inner_height) {
  if (least(width, height) < NIWAKI_VISION_MIN_SIDE || most(width, height) > NIWAKI_VISION_MAX_SIDE ||
      least(inner_width, inner_height) < 1 || most(inner_width, inner_height) > NIWAKI_VISION_MAX_INNER)
    return -1;
  size->width = width;
  size->height = height;
  size->inner_width = inner_width;
  size->inner_height = inner_height;
  size->factor = 1;
  while ((width / size->factor) * (height / size->factor) > MOST_CELLS &&
         least(width, height) / (size->factor + 1) >= BLOCKS)
    size->factor++;
  size->columns = width / size->factor;
  size->rows = height / size->factor;
  size->learned = 0;
  return 0;
}

/* Takes `bytes` out of the memory, keeping what follows aligned to 8. */
static void *take(uint8_t *memory, size_t *used, size_t bytes) {
  void *const taken = memory ? memory + *used : NULL;
  *used += (bytes + 7) / 8 * 8;
  return taken;
}

/* Lays out the memory, or with NULL only counts its bytes. */
static size_t lay_out(workspace *w, uint8_t *memory, const sizes *size) {
  const size_t width = (size_t)size->width, columns = (size_t)size->columns, rows = (size_t)size->rows;
  const size_t cells = rows * columns, runs = (columns + 1) / 2 * rows, inner = (size_t)size->inner_width;
  size_t used = 0;
  w->size = (sizes *)take(memory, &used, sizeof *w->size);
  w->scene = (uint16_t *)take(memory, &used, width * (size_t)size->height * sizeof *w->scene);
  w->scene_sums = (uint32_t *)take(memory, &used, cells * sizeof *w->scene_sums);
  w->scene_cells = (uint16_t *)take(memory, &used, cells * sizeof *w->scene_cells);
  w->cells = (uint16_t *)take(memory, &used, cells * sizeof *w->cells);
  w->difference = (int16_t *)take(memory, &used, cells * sizeof *w->difference);
  w->mask = (uint8_t *)take(memory, &used, cells);
  w->firm = (uint8_t *)take(memory, &used, cells);
  w->soft = (int16_t *)take(memory, &used, cells * sizeof *w->soft);
  w->marked = (uint8_t *)take(memory, &used, cells);
  w->x = (int16_t *)take(memory, &used, columns * sizeof *w->x);
  w->x2 = (int16_t *)take(memory, &used, columns * sizeof *w->x2);
  w->sums = (uint16_t *)take(memory, &used, width * sizeof *w->sums);
  w->row = (int16_t *)take(memory, &used, width * sizeof *w->row);
  w->surface = (int16_t *)take(memory, &used, columns * sizeof *w->surface);
  w->runs = (run *)take(memory, &used, runs * sizeof *w->runs);
  w->row_runs = (int32_t *)take(memory, &used, (rows + 1) * sizeof *w->row_runs);
  w->parts = (component *)take(memory, &used, runs * sizeof *w->parts);
  w->counts = (int32_t *)take(memory, &used, (WHITE + 1) * sizeof *w->counts);
  w->across = (int32_t *)take(memory, &used, inner * sizeof *w->across);
  w->down = (int64_t *)take(memory, &used, inner * sizeof *w->down);
  w->values = (int16_t *)take(memory, &used, inner * (size_t)size->inner_height * sizeof *w->values);
  return used;
}

static workspace open_memory(void *memory) {
  workspace w;
  sizes size;
  memcpy(&size, memory, sizeof size);
  lay_out(&w, (uint8_t *)memory, &size);
  return w;
}

size_t niwaki_vision_bytes(int32_t width, int32_t height, int32_t inner_width, int32_t inner_height) {
  workspace w;
  sizes size;
  if (measure_sizes(&size, width, height, inner_width, inner_height) != 0) return 0;
  return lay_out(&w, NULL, &size);
}

/* The place of cell `index` of `count`, from -1024 to 1024: 64 to a unit of the surface. */
static int32_t place_of(int32_t index, int32_t count) { return (2 * index + 1) * 1024 / count - 1024; }

int niwaki_vision_init(void *memory, int32_t width, int32_t height, int32_t inner_width, int32_t inner_height) {
  sizes size;
  workspace w;
  if (memory == NULL || measure_sizes(&size, width, height, inner_width, inner_height) != 0) return -1;
  memcpy(memory, &size, sizeof size);
  w = open_memory(memory);
  for (int32_t i = 0; i < size.columns; i++) {
    const int32_t x = place_of(i, size.columns);
    w.x[i] = (int16_t)x;
    w.x2[i] = (int16_t)((x * x) >> 8); /* at most 4096 */
  }
  return 0;
}

void niwaki_vision_forget(void *memory) { ((sizes *)memory)->learned = 0; }

/* ---- cells and the scene ---- */

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

int niwaki_vision_learn(void *memory, const uint8_t *grey, int32_t stride) {
  const workspace w = open_memory(memory);
  const int32_t factor = w.size->factor, columns = w.size->columns, rows = w.size->rows, width = w.size->width;
  uint32_t *const fresh = (uint32_t *)(void *)w.runs; /* not in use now; it holds more than `columns` */
  if (w.size->learned == NIWAKI_VISION_MAX_LEARNED) return NIWAKI_VISION_MAX_LEARNED;
  if (w.size->learned == 0) {
    memset(w.scene, 0, (size_t)width * (size_t)w.size->height * sizeof *w.scene);
    memset(w.scene_sums, 0, (size_t)columns * (size_t)rows * sizeof *w.scene_sums);
  }
  w.size->learned++;
  for (int32_t y = 0; y < w.size->height; y++) {
    uint16_t *const to = w.scene + (ptrdiff_t)y * width;
    const uint8_t *const from = grey + (ptrdiff_t)y * stride;
    for (int32_t x = 0; x < width; x++) to[x] = (uint16_t)(to[x] + from[x]);
  }
  const uint32_t area = (uint32_t)(factor * factor * w.size->learned);
  for (int32_t y = 0; y < rows; y++) {
    sum_cells(&w, grey + (ptrdiff_t)y * factor * stride, stride, fresh);
    for (int32_t x = 0; x < columns; x++) {
      const int32_t i = y * columns + x;
      w.scene_sums[i] += fresh[x];
      w.scene_cells[i] = (uint16_t)((w.scene_sums[i] * 16 + area / 2) / area); /* below 2^28 */
    }
  }
  return w.size->learned;
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

/* ---- background ---- */

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

/* ---- the garment's cells ---- */

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

/* ---- the picture ---- */

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

int niwaki_vision_find(void *memory, const uint8_t *grey, int32_t stride, uint8_t *picture, niwaki_finding *finding) {
  const workspace w = open_memory(memory);
  const sizes *const size = w.size;
  garment found;
  memset(finding, 0, sizeof *finding);
  memset(picture, 0, (size_t)size->inner_width * (size_t)size->inner_height);
  read_cells(&w, grey, stride);
  const background from = find_background(&w);
  const int32_t limit = most(FLOOR, NOISE * from.noise);
  finding->used_scene = from.gain > 0;
  finding->outcome = NIWAKI_NOTHING;
  if (!find_garment(&w, limit, &found)) return finding->outcome;
  finding->x = found.around.left * size->factor;
  finding->y = found.around.top * size->factor;
  finding->width = (found.around.right - found.around.left + 1) * size->factor;
  finding->height = (found.around.bottom - found.around.top + 1) * size->factor;
  finding->polarity = found.polarity;
  finding->contrast = found.contrast;
  finding->outcome = judge(&w, finding, &found.around);
  if (finding->outcome != NIWAKI_FOUND) return finding->outcome;
  int32_t rows = size->inner_height, columns = size->inner_width;
  if (finding->width * rows >= finding->height * columns)
    rows = most(1, (int32_t)divided(finding->height * columns, finding->width));
  else
    columns = most(1, (int32_t)divided(finding->width * rows, finding->height));
  shrink(&w, &from, &found, grey, stride, rows, columns);
  stretch(&w, limit / 2, picture);
  return finding->outcome;
}
