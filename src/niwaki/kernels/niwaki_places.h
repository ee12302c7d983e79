/* Convolution and matrix product in tiles: the sums of one block of output channels at some places. Included by
 * niwaki_blocks.h after the header of a vector unit, which has the tiles.
 *
 * Nothing here is inlined into a layer: one copy serves all, so that large networks compile quickly.
 */

/* One strip of a convolution. */
typedef struct {
  const niwaki_conv *layer;
  const niwaki_seen *seen;
  int8_t *out;
  int32_t row, places;
} niwaki_job;

/* The image around output rows y0 to y0 + rows, with padding, as the kernels read it. `flip` (see niwaki_strip.h) is
 * for kernels that read bytes without a sign. */
NIWAKI_SHARED void niwaki_see_strip(const niwaki_conv *d, const int8_t *in, int32_t y0, int32_t rows, int32_t row,
                                    int32_t flip, niwaki_seen *strip) {
  const int32_t from = y0 * d->pool_h * d->stride_h - d->pad_top, count = niwaki_strip_height(d, rows);
  const int32_t left = niwaki_least(d->pad_left * d->in_c, row);
  const int32_t taken = niwaki_least(d->in_w * d->in_c, row - left);
  const int32_t first = niwaki_least(from < 0 ? -from : 0, count);
  const int32_t last = d->in_h - from < count ? (d->in_h > from ? d->in_h - from : 0) : count;
  if (left == 0 && taken == row && row == d->in_w * d->in_c && last > first) {
    if (first) niwaki_see_fill(strip, d->in_zero ^ flip, first * row);
    niwaki_see(in + (from + first) * row, (last - first) * row, flip, strip + first * row);
  } else {
    niwaki_see_fill(strip, d->in_zero ^ flip, first * row);
    for (int32_t r = first; r < last; r++) {
      niwaki_seen *const to = strip + r * row;
      niwaki_see_fill(to, d->in_zero ^ flip, left);
      niwaki_see(in + (from + r) * d->in_w * d->in_c, taken, flip, to + left);
      niwaki_see_fill(to + left + taken, d->in_zero ^ flip, row - left - taken);
    }
  }
  if (last < count) niwaki_see_fill(strip + (last > first ? last : first) * row, d->in_zero ^ flip,
                                    (count - (last > first ? last : first)) * row);
  niwaki_see_fill(strip + count * row, 0, 32);
}

NIWAKI_SHARED void niwaki_conv_places(const niwaki_job *job, const niwaki_weights *w, int32_t width,
                                      const niwaki_panel *p, int32_t channels, int8_t *out);

/* All places of a strip, `most` to a tile; the last tile sees some places once more. Whole vectors are written, which
 * the next place overwrites in part; only the last one writes no more than its `channels`, or all of them if there are
 * so `few` that a vector reaches beyond the next place. Only if `pooled` is there more than one window. */
NIWAKI_KERNEL void niwaki_conv_tiles(const niwaki_job *job, const niwaki_weights *w, const int32_t width,
                                     const int32_t most, const int32_t pooled, const int32_t few,
                                     const niwaki_panel *p, int32_t channels, int8_t *out) {
  const niwaki_conv *const d = job->layer;
  const ptrdiff_t step = d->pool_w * d->stride_w * d->in_c, down = (ptrdiff_t)d->pool_h * d->stride_h * job->row;
  const ptrdiff_t out_c = d->out_c;
  const int32_t windows = pooled ? d->pool_h * d->pool_w : 1, out_w = d->out_w;
  const niwaki_seen *at = job->seen;
  int32_t column = 0, left = job->places;
  niwaki_view view;
  view.row = d->dilation_h * job->row;
  view.rows = d->kernel_h;
  view.groups = (d->kernel_w * d->in_c + 3) / 4;
  while (left > 0) {
    niwaki_sums sums[NIWAKI_PLACES];
    if (left < most) {
      const int32_t first = job->places - most;
      if (left == 1) { /* one place alone takes less than a tile */
        niwaki_job last = *job;
        last.seen = column == out_w ? at + down - out_w * step : at;
        last.places = 1;
        niwaki_conv_places(&last, w, width, p, channels, out);
        return;
      }
      out -= (most - left) * out_c;
      left = most;
      column = first % out_w;
      at = job->seen + first / out_w * down + column * step;
    }
    column += most;
    if (column <= out_w) { /* all in one row */
      for (int32_t i = 0; i < most; i++) view.x[i] = at + i * step;
      at += most * step;
    } else {
      column -= most;
      for (int32_t i = 0; i < most; i++) {
        if (column == out_w) column = 0, at += down - out_w * step;
        view.x[i] = at;
        column++;
        at += step;
      }
    }
    view.from = 0;
    niwaki_tile_of(&view, w, width, most, sums);
    for (int32_t i = 1; i < windows; i++) {
      niwaki_sums more[NIWAKI_PLACES];
      view.from = i / d->pool_w * d->stride_h * job->row + i % d->pool_w * d->stride_w * d->in_c;
      niwaki_tile_of(&view, w, width, most, more);
      for (int32_t k = 0; k < most; k++) niwaki_larger_sums(sums + k, more + k, width);
    }
    left -= most;
    if (few) {
      for (int32_t k = 0; k < most; k++) niwaki_store_sums(sums + k, p, width, 1, 0, channels, out + k * out_c);
    } else {
      niwaki_store_sums(sums, p, width, most, out_c, left == 0 ? channels : width, out);
    }
    out += most * out_c;
  }
}

NIWAKI_SHARED void niwaki_conv_tiles_16(const niwaki_job *job, const niwaki_weights *w, const niwaki_panel *p,
                                        int32_t channels, int8_t *out) {
  niwaki_conv_tiles(job, w, 16, NIWAKI_PLACES_16, 0, 0, p, channels, out);
}

NIWAKI_SHARED void niwaki_pool_tiles_16(const niwaki_job *job, const niwaki_weights *w, const niwaki_panel *p,
                                        int32_t channels, int8_t *out) {
  niwaki_conv_tiles(job, w, 16, NIWAKI_PLACES_16, 1, 0, p, channels, out);
}

NIWAKI_SHARED void niwaki_conv_tiles_8(const niwaki_job *job, const niwaki_weights *w, const niwaki_panel *p,
                                       int32_t channels, int8_t *out) {
  niwaki_conv_tiles(job, w, 8, NIWAKI_PLACES_8, 1, 0, p, channels, out);
}

NIWAKI_SHARED void niwaki_few_tiles_8(const niwaki_job *job, const niwaki_weights *w, const niwaki_panel *p,
                                      int32_t channels, int8_t *out) {
  niwaki_conv_tiles(job, w, 8, NIWAKI_PLACES_8, 1, 1, p, channels, out);
}

/* Place by place. */
NIWAKI_SHARED void niwaki_conv_places(const niwaki_job *job, const niwaki_weights *w, int32_t width,
                                      const niwaki_panel *p, int32_t channels, int8_t *out) {
  niwaki_conv_tiles(job, w, width, 1, 1, 2 * job->layer->out_c < width, p, channels, out);
}

#if defined(NIWAKI_VNNI)
#define niwaki_in_columns(d) 0
#define niwaki_conv_columns(job, rows) (void)(rows)
#else
#include "niwaki_columns.h"
#endif

/* The blocks of a strip, the last one first: what it writes beyond its channels is written again. */
NIWAKI_SHARED void niwaki_conv_strip(const niwaki_job *job) {
  const niwaki_conv *const d = job->layer;
  const int32_t width = d->out_c <= 4 ? 4 : d->out_c <= 8 ? 8 : 16;
  const int32_t groups = d->kernel_h * ((d->kernel_w * d->in_c + 3) / 4);
  NIWAKI_ALIGNED niwaki_tap room[NIWAKI_ROOM];
  niwaki_panel panel;
  niwaki_bound_panel(&panel, d->out_zero, d->low, d->high);
  for (int32_t first = (d->out_c - 1) / width * width; first >= 0; first -= width) {
    niwaki_make_panel(d->bias + first, d->multiplier + first, d->shift + first, width, 1, &panel);
    const niwaki_weights w = niwaki_prepare(d->weights + first * 4 * groups, groups, width, job->places, room);
    const int32_t channels = niwaki_least(width, d->out_c - first);
    if (!niwaki_in_tiles(&w))
      niwaki_conv_places(job, &w, width, &panel, channels, job->out + first);
    else if (width == 16 && d->pool_h * d->pool_w > 1)
      niwaki_pool_tiles_16(job, &w, &panel, channels, job->out + first);
    else if (width == 16)
      niwaki_conv_tiles_16(job, &w, &panel, channels, job->out + first);
    else if (2 * d->out_c < 8)
      niwaki_few_tiles_8(job, &w, &panel, channels, job->out + first);
    else
      niwaki_conv_tiles_8(job, &w, &panel, channels, job->out + first);
  }
}

NIWAKI_SHARED void niwaki_run_conv(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  NIWAKI_ALIGNED niwaki_seen seen[NIWAKI_SCRATCH + NIWAKI_SLACK];
  const int32_t rows = niwaki_strip_rows(d);
  niwaki_job job;
  job.layer = d;
  job.seen = seen;
  job.row = niwaki_strip_row(d);
  for (int32_t y = 0; y < d->out_h; y += rows) {
    const int32_t some = niwaki_least(rows, d->out_h - y);
    niwaki_see_strip(d, in, y, some, job.row, NIWAKI_FLIP, seen);
    job.places = some * d->out_w;
    job.out = out + y * d->out_w * d->out_c;
    if (niwaki_in_columns(d)) {
      niwaki_conv_columns(&job, some);
      continue;
    }
    niwaki_conv_strip(&job);
  }
}

NIWAKI_SHARED void niwaki_run_dense(const niwaki_dense *d, const int8_t *in, int8_t *out) {
  NIWAKI_ALIGNED niwaki_seen seen[NIWAKI_SCRATCH + NIWAKI_SLACK];
  const int32_t width = d->out <= 4 ? 4 : d->out <= 8 ? 8 : 16;
  niwaki_panel panel;
  niwaki_view view;
  niwaki_sums sums;
  view.x[0] = seen;
  view.from = view.row = 0;
  view.rows = 1;
  view.groups = (d->in + 3) / 4;
  niwaki_see(in, d->in, NIWAKI_FLIP, seen);
  niwaki_see_fill(seen + d->in, 0, 4);
  niwaki_bound_panel(&panel, d->out_zero, d->low, d->high);
  for (int32_t first = 0; first < d->out; first += width) {
    niwaki_make_panel(d->bias + first, d->multiplier + first, d->shift + first, width, 0, &panel);
    niwaki_place(&view, d->weights + first * 4 * view.groups, width, &sums);
    niwaki_store_sums(&sums, &panel, width, 1, 0, niwaki_least(width, d->out - first), out + first);
  }
}

#define NIWAKI_TAPS_ROOM (16 * NIWAKI_MOST_TAPS + 512)

/* Each channel by itself, 16 of them at a time, whose weights lie tap by tap. Of a layer with 8 channels, two places side
 * by side count as 16 channels. */
NIWAKI_SHARED void niwaki_run_depthwise(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  NIWAKI_ALIGNED niwaki_seen seen[NIWAKI_SCRATCH + NIWAKI_SLACK];
  NIWAKI_ALIGNED niwaki_tap room[NIWAKI_TAPS_ROOM];
  niwaki_panel panel;
  const int32_t rows = niwaki_strip_rows(d), row = niwaki_strip_row(d), taps = d->kernel_h * d->kernel_w;
  const int32_t pairs = d->out_c == 8 && d->stride_w == 1 && d->out_w % 2 == 0;
  niwaki_conv two = *d;
  niwaki_bound_panel(&panel, d->out_zero, d->low, d->high);
  if (pairs) {
    two.out_c = 16;
    two.out_w = (int16_t)(d->out_w / 2);
    two.stride_w = 2;
  }
  for (int32_t y0 = 0; y0 < d->out_h; y0 += rows) {
    const int32_t some = niwaki_least(rows, d->out_h - y0);
    niwaki_see_strip(d, in, y0, some, row, 0, seen);
    for (int32_t first = (d->out_c - 1) / 16 * 16; first >= 0; first -= 16) {
      niwaki_make_panel(d->bias + first, d->multiplier + first, d->shift + first, 16, 1, &panel);
      if (pairs) niwaki_double_panel(&panel);
      const niwaki_tap *const w = niwaki_prepare_taps(d, d->weights + first * taps, some, pairs, room);
      for (int32_t y = 0; y < some;)
        y += niwaki_depthwise_some(&two, seen + y * d->stride_h * row + first, row, some - y, w, &panel,
                                   pairs ? 16 : niwaki_least(16, d->out_c - first),
                                   out + (y0 + y) * d->out_w * d->out_c + first);
    }
  }
}
