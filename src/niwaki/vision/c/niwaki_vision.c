/* niwaki vision: see niwaki_vision.h. reference.py and its parts are the same in NumPy, and say where the
 * methods come from.
 *
 * Brightness is kept in 16ths of a grey level: 0 to 4080. `Cells` are the frame averaged over squares of pixels, at most
 * 76,800, or where a side has fewer than 32 pixels, the pixels themselves: at most 31 × 4096 = 126,976. `Blocks` are
 * 16 × 16 averages of the cells, on which the background is fitted. Comments say why sums fit.
 */
#include "niwaki_vision_picture.h" /* and by it the stages before: garment, background, cells, memory */

size_t niwaki_vision_bytes(int32_t width, int32_t height, int32_t inner_width, int32_t inner_height) {
  workspace w;
  sizes size;
  if (measure_sizes(&size, width, height, inner_width, inner_height) != 0) return 0;
  return lay_out(&w, NULL, &size);
}

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
