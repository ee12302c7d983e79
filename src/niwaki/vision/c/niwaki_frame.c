/* niwaki frame: see niwaki_frame.h. frame.py is the same in NumPy. Filters, weights and rounding are those of Pillow's
 * Image.resize, first across, then down; places and sides those of niwaki.data.preprocessing.
 */
#include "niwaki_frame.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF /* a fused multiplication and addition would round once instead of twice */
#endif

/* Of the C library only this; compilers for browsers have no <string.h>. */
void *memset(void *to, int value, size_t bytes);

#define BITS 22                 /* of a weight's fraction: 8 bits of pixels and 2 of the weights' sum remain */
#define MOST_ENLARGED 16        /* a frame becomes at most so many times larger before it is cut */

/* One direction: where `count` samples of the picture come from. */
typedef struct {
  int32_t whole;        /* side of the frame after resizing, before the cut */
  int32_t first, count; /* what remains of it */
  int32_t place;        /* of that in the picture */
  int32_t taps;         /* most weights of a sample */
} axis;

typedef struct {
  niwaki_frame how;
  axis across, down;
} plan;

typedef struct {
  plan *all;
  int32_t *starts[2], *counts[2], *weights[2]; /* across, down: of each sample of the picture */
  uint8_t *narrow;                             /* [height][across.count][channels] */
} workspace;

static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }
static int32_t most(int32_t a, int32_t b) { return a > b ? a : b; }
static uint8_t clipped(int32_t value) { return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value); }

/* ---- samples to pixels ---- */

/* 16 bits of fraction: of Y, of Cr to red, of Cb and Cr to green, of Cb to blue. Rec. ITU-R BT.601-7 and BT.709-6, 3.3
 * and 3.5: with full range as JFIF 1.02 has it. */
typedef struct {
  int32_t black, luma, red, green_b, green_r, blue;
} colours;

static colours colours_of(int32_t matrix, int32_t full) {
  static const colours known[2][2] = {
      {{16, 76309, 104597, 25675, 53279, 132201}, {0, 65536, 91881, 22553, 46802, 116130}},
      {{16, 76309, 117489, 13975, 34925, 138438}, {0, 65536, 103206, 12276, 30679, 121609}},
  };
  return known[matrix == NIWAKI_BT709][full != 0];
}

/* Whether all samples of a component lie within the data. */
static int is_within(const niwaki_samples *of, int32_t columns, int32_t rows, size_t bytes) {
  const int64_t last = (int64_t)of->first + (int64_t)(rows - 1) * of->row + (int64_t)(columns - 1) * of->step;
  return of->first >= 0 && of->row >= 0 && of->step >= 0 && last >= 0 && (uint64_t)last < bytes;
}

static void rgb_row(const uint8_t *data, const niwaki_layout *as, int32_t y, int32_t channels, uint8_t *to) {
  const uint8_t *const red = data + as->a.first + (ptrdiff_t)y * as->a.row;
  const uint8_t *const green = data + as->b.first + (ptrdiff_t)y * as->b.row;
  const uint8_t *const blue = data + as->c.first + (ptrdiff_t)y * as->c.row;
  for (int32_t x = 0; x < as->width; x++) {
    const int32_t r = red[(ptrdiff_t)x * as->a.step], g = green[(ptrdiff_t)x * as->b.step];
    const int32_t b = blue[(ptrdiff_t)x * as->c.step];
    if (channels == 1) {
      *to++ = (uint8_t)((19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
      continue;
    }
    *to++ = (uint8_t)r;
    *to++ = (uint8_t)g;
    *to++ = (uint8_t)b;
  }
}

static void grey_row(const uint8_t *luma, const niwaki_layout *as, const colours *k, uint8_t *to) {
  for (int32_t x = 0; x < as->width; x++)
    to[x] = clipped((k->luma * (luma[(ptrdiff_t)x * as->a.step] - k->black) + 32768) >> 16);
}

static void colour_row(const uint8_t *data, const niwaki_layout *as, int32_t y, const colours *k, uint8_t *to) {
  const uint8_t *const luma = data + as->a.first + (ptrdiff_t)y * as->a.row;
  const uint8_t *const cb = data + as->b.first + (ptrdiff_t)(y / as->down) * as->b.row;
  const uint8_t *const cr = data + as->c.first + (ptrdiff_t)(y / as->down) * as->c.row;
  int32_t red = 0, green = 0, blue = 0;
  for (int32_t x = 0; x < as->width; x++, to += 3) {
    if (x % as->across == 0) { /* the same colour for all pixels that share a sample */
      const int32_t u = cb[(ptrdiff_t)(x / as->across) * as->b.step] - 128;
      const int32_t v = cr[(ptrdiff_t)(x / as->across) * as->c.step] - 128;
      red = k->red * v + 32768;
      green = -k->green_b * u - k->green_r * v + 32768;
      blue = k->blue * u + 32768;
    }
    const int32_t grey = k->luma * (luma[(ptrdiff_t)x * as->a.step] - k->black);
    to[0] = clipped((grey + red) >> 16);
    to[1] = clipped((grey + green) >> 16);
    to[2] = clipped((grey + blue) >> 16);
  }
}

int niwaki_frame_pixels(const uint8_t *data, size_t bytes, const niwaki_layout *as, int32_t channels, uint8_t *pixels) {
  const int32_t rgb = as->matrix == NIWAKI_RGB;
  if (as->width < 1 || as->height < 1 || most(as->width, as->height) > NIWAKI_FRAME_MAX_SIDE) return -1;
  if (as->across < 1 || as->down < 1 || (channels != 1 && channels != 3)) return -1;
  const int32_t columns = (as->width - 1) / as->across + 1, rows = (as->height - 1) / as->down + 1;
  if (!is_within(&as->a, as->width, as->height, bytes)) return -1;
  if ((rgb || channels == 3) && (!is_within(&as->b, columns, rows, bytes) || !is_within(&as->c, columns, rows, bytes)))
    return -1;
  const colours k = colours_of(as->matrix, as->full);
  for (int32_t y = 0; y < as->height; y++) {
    uint8_t *const to = pixels + (size_t)y * (size_t)as->width * (size_t)channels;
    if (rgb)
      rgb_row(data, as, y, channels, to);
    else if (channels == 1)
      grey_row(data + as->a.first + (ptrdiff_t)y * as->a.row, as, &k, to);
    else
      colour_row(data, as, y, &k, to);
  }
  return 0;
}

/* ---- pixels to the picture ---- */

/* To the nearest integer, halves to the even one, as Python's round. */
static int32_t rounded(double value) {
  const int32_t down = (int32_t)value;
  const double rest = value - down;
  return down + (rest > 0.5 || (rest == 0.5 && (down & 1)));
}

static double support_of(int32_t filter) { return filter == NIWAKI_BOX ? 0.5 : filter == NIWAKI_BILINEAR ? 1.0 : 2.0; }

static double weight_of(int32_t filter, double x) {
  const double a = -0.5; /* Keys, Cubic convolution interpolation for digital image processing, 1981 */
  if (filter == NIWAKI_BOX) return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
  if (x < 0.0) x = -x;
  if (filter == NIWAKI_BILINEAR) return x < 1.0 ? 1.0 - x : 0.0;
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  return x < 2.0 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
}

/* How many pixels a weighted mean reaches to each side. */
static double reach_of(int32_t filter, int32_t from, int32_t to) {
  const double scale = (double)from / to;
  return support_of(filter) * (scale < 1.0 ? 1.0 : scale);
}

static int32_t taps_of(int32_t filter, int32_t from, int32_t to) {
  const double reach = reach_of(filter, from, to);
  const int32_t whole = (int32_t)reach;
  return filter == NIWAKI_NEAREST ? 1 : 2 * (whole + (reach > whole)) + 1;
}

static void cut(axis *of, int32_t whole, int32_t picture, int32_t as_torchvision) {
  const int32_t rest = whole - picture;
  of->whole = whole;
  of->first = as_torchvision ? rounded(rest / 2.0) : rest / 2;
  of->count = picture;
  of->place = 0;
}

static void put(axis *of, int32_t inner, int32_t picture) {
  of->whole = inner;
  of->first = 0;
  of->count = inner;
  of->place = (picture - inner) / 2;
}

static void place(plan *all) {
  const niwaki_frame *const how = &all->how;
  const double down = (double)how->picture_height / how->height, across = (double)how->picture_width / how->width;
  if (how->resize == NIWAKI_STRETCH) {
    put(&all->across, how->picture_width, how->picture_width);
    put(&all->down, how->picture_height, how->picture_height);
  } else if (how->resize == NIWAKI_FIT) {
    const double factor = down < across ? down : across;
    put(&all->across, most(1, rounded(how->width * factor)), how->picture_width);
    put(&all->down, most(1, rounded(how->height * factor)), how->picture_height);
  } else if (how->shorter) {
    const int32_t side = least(how->width, how->height);
    cut(&all->across, (int32_t)((int64_t)how->shorter * how->width / side), how->picture_width, 1);
    cut(&all->down, (int32_t)((int64_t)how->shorter * how->height / side), how->picture_height, 1);
  } else {
    const double factor = down > across ? down : across;
    cut(&all->across, most(how->picture_width, rounded(how->width * factor)), how->picture_width, 0);
    cut(&all->down, most(how->picture_height, rounded(how->height * factor)), how->picture_height, 0);
  }
  all->across.taps = taps_of(how->filter, how->width, all->across.whole);
  all->down.taps = taps_of(how->filter, how->height, all->down.whole);
}

static int make_plan(plan *all, const niwaki_frame *how) {
  const int32_t frame = most(how->width, how->height), picture = most(how->picture_width, how->picture_height);
  if (least(how->width, how->height) < 1 || frame > NIWAKI_FRAME_MAX_SIDE) return -1;
  if (least(how->picture_width, how->picture_height) < 1 || picture > NIWAKI_FRAME_MAX_PICTURE) return -1;
  if ((how->channels != 1 && how->channels != 3) || how->resize < NIWAKI_STRETCH || how->resize > NIWAKI_CROP) return -1;
  if (how->filter < NIWAKI_NEAREST || how->filter > NIWAKI_BICUBIC) return -1;
  if (how->shorter < 0 || (how->shorter > 0 && how->shorter < picture)) return -1;
  if (how->shorter > MOST_ENLARGED * NIWAKI_FRAME_MAX_SIDE) return -1;
  all->how = *how;
  place(all);
  return 0;
}

static void *take(uint8_t *memory, size_t *used, size_t bytes) {
  void *const taken = memory ? memory + *used : NULL;
  *used += (bytes + 7) / 8 * 8;
  return taken;
}

static size_t lay_out(workspace *w, uint8_t *memory, const plan *all) {
  const axis *const axes[2] = {&all->across, &all->down};
  size_t used = 0;
  w->all = (plan *)take(memory, &used, sizeof *w->all);
  for (int i = 0; i < 2; i++) {
    const size_t count = (size_t)axes[i]->count, taps = (size_t)axes[i]->taps;
    w->starts[i] = (int32_t *)take(memory, &used, count * sizeof(int32_t));
    w->counts[i] = (int32_t *)take(memory, &used, count * sizeof(int32_t));
    w->weights[i] = (int32_t *)take(memory, &used, count * taps * sizeof(int32_t));
  }
  const size_t row = (size_t)all->across.count * (size_t)all->how.channels;
  w->narrow = (uint8_t *)take(memory, &used, row * (size_t)all->how.height);
  return used;
}

/* The pixels that one sample is the mean of, and their weights. */
static void weigh(const axis *of, int32_t filter, int32_t from, int32_t sample, workspace *w, int i) {
  const double scale = (double)from / of->whole, reach = reach_of(filter, from, of->whole);
  const double centre = (sample + of->first + 0.5) * scale, narrower = 1.0 / (scale < 1.0 ? 1.0 : scale);
  int32_t *const weights = w->weights[i] + (ptrdiff_t)sample * of->taps;
  if (filter == NIWAKI_NEAREST) {
    double place = 0.5 * scale;
    for (int32_t x = 0; x < sample + of->first; x++) place += scale; /* as Pillow adds it up, rounding each time */
    w->starts[i][sample] = least((int32_t)place, from - 1);
    w->counts[i][sample] = 1;
    weights[0] = 1 << BITS;
    return;
  }
  const double left = centre - reach + 0.5, right = centre + reach + 0.5;
  const int32_t start = left < 0.0 ? 0 : (int32_t)left, count = least((int32_t)right, from) - start;
  double total = 0.0;
  for (int32_t x = 0; x < count; x++) total += weight_of(filter, (x + start - centre + 0.5) * narrower);
  for (int32_t x = 0; x < count; x++) {
    const double one = weight_of(filter, (x + start - centre + 0.5) * narrower);
    const double share = total != 0.0 ? one / total : one;
    const double scaled = share * (1 << BITS);
    weights[x] = (int32_t)(share < 0.0 ? -0.5 + scaled : 0.5 + scaled);
  }
  w->starts[i][sample] = start;
  w->counts[i][sample] = count;
}

size_t niwaki_frame_bytes(const niwaki_frame *how) {
  plan all;
  workspace w;
  return make_plan(&all, how) == 0 ? lay_out(&w, NULL, &all) : 0;
}

static void show(const plan *all, int32_t *box) {
  const int32_t sides[2] = {all->how.width, all->how.height};
  const axis *const axes[2] = {&all->across, &all->down};
  for (int i = 0; i < 2; i++) {
    const int64_t from = sides[i], whole = axes[i]->whole;
    box[i] = (int32_t)(axes[i]->first * from / whole);
    box[i + 2] = (int32_t)most(1, (int32_t)(axes[i]->count * from / whole));
  }
}

int niwaki_frame_init(void *memory, const niwaki_frame *how, int32_t *box) {
  plan all;
  workspace w;
  if (memory == NULL || make_plan(&all, how) != 0) return -1;
  lay_out(&w, (uint8_t *)memory, &all);
  *w.all = all;
  for (int32_t x = 0; x < all.across.count; x++) weigh(&all.across, how->filter, how->width, x, &w, 0);
  for (int32_t y = 0; y < all.down.count; y++) weigh(&all.down, how->filter, how->height, y, &w, 1);
  if (box) show(&all, box);
  return 0;
}

/* The weighted mean of pixels `step` bytes apart. */
static uint8_t mean_of(const uint8_t *from, ptrdiff_t step, const int32_t *weights, int32_t count) {
  int32_t sum = 1 << (BITS - 1);
  for (int32_t i = 0; i < count; i++) sum += from[i * step] * weights[i];
  return clipped(sum >> BITS);
}

void niwaki_frame_shrink(void *memory, const uint8_t *pixels, uint8_t *picture) {
  const plan *const all = (const plan *)memory;
  const niwaki_frame *const how = &all->how;
  const int32_t channels = how->channels, columns = all->across.count;
  const ptrdiff_t row = (ptrdiff_t)columns * channels;
  const size_t area = (size_t)how->picture_width * (size_t)how->picture_height;
  workspace w;
  lay_out(&w, (uint8_t *)memory, all);
  memset(picture, 0, area * (size_t)channels);
  const int32_t last = all->down.count - 1, top = w.starts[1][0], bottom = w.starts[1][last] + w.counts[1][last];
  for (int32_t y = top; y < bottom; y++)
    for (int32_t x = 0; x < columns; x++) {
      const uint8_t *const from = pixels + ((ptrdiff_t)y * how->width + w.starts[0][x]) * channels;
      const int32_t *const weights = w.weights[0] + (ptrdiff_t)x * all->across.taps;
      for (int32_t c = 0; c < channels; c++)
        w.narrow[y * row + x * channels + c] = mean_of(from + c, channels, weights, w.counts[0][x]);
    }
  for (int32_t y = 0; y < all->down.count; y++) {
    const int32_t *const weights = w.weights[1] + (ptrdiff_t)y * all->down.taps;
    const uint8_t *const from = w.narrow + w.starts[1][y] * row;
    for (int32_t x = 0; x < columns; x++)
      for (int32_t c = 0; c < channels; c++) {
        uint8_t *const to = picture + (size_t)c * area + (size_t)((y + all->down.place) * how->picture_width);
        to[x + all->across.place] = mean_of(from + x * channels + c, row, weights, w.counts[1][y]);
      }
  }
}
