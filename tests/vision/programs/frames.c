/* Reads series of frames from frames.bin, writes what vision says of each to found.bin.
 *
 * A series: eight int32 (width, height, inner width, inner height, stride, frames to learn, frames to forget after
 * them or not, frames to look at), then the frames, each of stride * (height - 1) + width bytes. Memory and frames are
 * allocated to the byte, so that a sanitizer sees what goes over.
 */
#include <stdio.h>
#include <stdlib.h>

#include "niwaki_vision.h"

enum { WIDTH, HEIGHT, INNER_WIDTH, INNER_HEIGHT, STRIDE, LEARN, FORGET, FIND, NUMBERS };

static int one_series(FILE *in, FILE *out, const int32_t *n) {
  const size_t bytes = niwaki_vision_bytes(n[WIDTH], n[HEIGHT], n[INNER_WIDTH], n[INNER_HEIGHT]);
  const size_t size = (size_t)n[STRIDE] * (size_t)(n[HEIGHT] - 1) + (size_t)n[WIDTH];
  const size_t pixels = (size_t)n[INNER_WIDTH] * (size_t)n[INNER_HEIGHT];
  void *const memory = malloc(bytes);
  uint8_t *const frame = (uint8_t *)malloc(size), *const picture = (uint8_t *)malloc(pixels);
  int bad = bytes == 0 || niwaki_vision_init(memory, n[WIDTH], n[HEIGHT], n[INNER_WIDTH], n[INNER_HEIGHT]) != 0;
  for (int32_t i = 0; !bad && i < n[LEARN]; i++) {
    bad = fread(frame, 1, size, in) != size;
    bad = bad || niwaki_vision_learn(memory, frame, n[STRIDE]) != i + 1;
  }
  if (!bad && n[FORGET]) niwaki_vision_forget(memory);
  for (int32_t i = 0; !bad && i < n[FIND]; i++) {
    niwaki_finding finding;
    bad = fread(frame, 1, size, in) != size;
    bad = bad || niwaki_vision_find(memory, frame, n[STRIDE], picture, &finding) != finding.outcome;
    bad = bad || fwrite(&finding, sizeof finding, 1, out) != 1 || fwrite(picture, 1, pixels, out) != pixels;
  }
  free(memory);
  free(frame);
  free(picture);
  return bad;
}

int main(void) {
  FILE *const in = fopen("frames.bin", "rb"), *const out = fopen("found.bin", "wb");
  int32_t numbers[NUMBERS];
  if (in == NULL || out == NULL) return 2;
  if (niwaki_vision_bytes(15, 16, 28, 28) || niwaki_vision_bytes(16, 4097, 28, 28) ||
      niwaki_vision_bytes(16, 16, 0, 1) || niwaki_vision_bytes(16, 16, 1, 257) ||
      niwaki_vision_init(numbers, -1, 16, 28, 28) != -1 || niwaki_vision_init(NULL, 16, 16, 28, 28) != -1)
    return 3;
  while (fread(numbers, sizeof numbers, 1, in) == 1)
    if (one_series(in, out, numbers)) return 4;
  fclose(in);
  return fclose(out) != 0;
}
