/* What vision knows of a frame's sizes, and where everything lies in the caller's memory. Included by niwaki_vision.c. */
#ifndef NIWAKI_VISION_MEMORY_H
#define NIWAKI_VISION_MEMORY_H

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

/* The place of cell `index` of `count`, from -1024 to 1024: 64 to a unit of the surface. */
static int32_t place_of(int32_t index, int32_t count) { return (2 * index + 1) * 1024 / count - 1024; }

#endif
