/* Every public function of a generated LeNet-5 on the images of inputs.bin, in buffers of exactly the size that it asks
 * for, at any address. Writes the scores to scores.bin; another exit status than 0 says which check failed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

enum { IN = NIWAKI_MODEL_INPUT_BYTES, OUT = NIWAKI_MODEL_OUTPUT_BYTES, ARENA = NIWAKI_MODEL_ARENA_BYTES };

#define CHECK(number, condition) \
  if (!(condition)) exit(number)

/* In an arena that begins at any address and ends where its memory ends: a sanitizer sees each byte beyond. */
static void in_own_arena(const uint8_t *pixels, const int8_t *input, const int8_t *expected, size_t offset) {
  int8_t *const memory = malloc(offset + ARENA), *const scores = malloc(OUT), *const image = malloc(IN);
  int8_t *const arena = memory + offset;
  CHECK(10, memory && scores && image);
  memset(arena, 0x55, ARENA);
  CHECK(11, niwaki_model_run_pixels_in(arena, pixels, scores) == 0 && memcmp(scores, expected, OUT) == 0);
  memset(arena, 0xaa, ARENA);
  memcpy(image, input, IN);
  CHECK(12, niwaki_model_run_in(arena, image, scores) == 0 && memcmp(scores, expected, OUT) == 0);
  CHECK(13, memcmp(image, input, IN) == 0);
  memcpy(niwaki_model_input(arena), input, IN); /* one channel: rows of pixels are the same as channels first */
  CHECK(14, niwaki_model_run_in(arena, NULL, scores) == 0 && memcmp(scores, expected, OUT) == 0);
  memcpy(niwaki_model_input(arena), pixels, IN);
  CHECK(15, niwaki_model_run_pixels_in(arena, NULL, scores) == 0 && memcmp(scores, expected, OUT) == 0);
  free(memory);
  free(scores);
  free(image);
}

#if !defined(NIWAKI_MODEL_NO_STATIC_ARENA)
static void in_static_arena(const uint8_t *pixels, const int8_t *inputs, const int8_t *expected, size_t count) {
  int8_t *const scores = malloc(count * OUT);
  CHECK(20, scores != NULL);
  for (size_t i = 0; i < count; i++) {
    CHECK(21, niwaki_model_run(inputs + i * IN, scores) == 0 && memcmp(scores, expected + i * OUT, OUT) == 0);
    CHECK(22, niwaki_model_run_pixels(pixels + i * IN, scores) == 0 && memcmp(scores, expected + i * OUT, OUT) == 0);
  }
  memcpy(niwaki_model_input(NULL), pixels, IN);
  CHECK(23, niwaki_model_run_pixels(NULL, scores) == 0 && memcmp(scores, expected, OUT) == 0);
  memset(scores, 0, count * OUT);
  CHECK(24, niwaki_model_run_batch(inputs, scores, count) == 0 && memcmp(scores, expected, count * OUT) == 0);
  memset(scores, 0, count * OUT);
  CHECK(25, niwaki_model_run_pixels_batch(pixels, scores, count) == 0 && memcmp(scores, expected, count * OUT) == 0);
  CHECK(26, niwaki_model_run(inputs, NULL) == -1 && niwaki_model_run_batch(NULL, scores, 1) == -1);
  free(scores);
}
#endif

int main(void) {
  static uint8_t arena[ARENA];
  FILE *const file = fopen("inputs.bin", "rb"), *const out = fopen("scores.bin", "wb");
  uint8_t *pixels;
  int8_t *inputs, *expected;
  long size;
  CHECK(2, file && out && fseek(file, 0, SEEK_END) == 0);
  size = ftell(file);
  CHECK(3, size > 0 && size % IN == 0);
  rewind(file);
  const size_t count = (size_t)size / IN;
  pixels = malloc((size_t)size);
  inputs = malloc((size_t)size);
  expected = malloc(count * OUT);
  CHECK(4, pixels && inputs && expected && fread(pixels, 1, (size_t)size, file) == (size_t)size);
  for (size_t i = 0; i < (size_t)size; i++) inputs[i] = (int8_t)(pixels[i] - 128);
  CHECK(5, niwaki_model_run_in(NULL, inputs, expected) == -1 && niwaki_model_run_in(arena, inputs, NULL) == -1);
  for (size_t i = 0; i < count; i++) {
    CHECK(6, niwaki_model_run_in(arena, inputs + i * IN, expected + i * OUT) == 0);
    in_own_arena(pixels + i * IN, inputs + i * IN, expected + i * OUT, i % 64);
  }
#if !defined(NIWAKI_MODEL_NO_STATIC_ARENA)
  in_static_arena(pixels, inputs, expected, count);
#endif
  CHECK(7, fwrite(expected, OUT, count, out) == count && fclose(out) == 0 && fclose(file) == 0);
  CHECK(8, niwaki_model_labels[0] != NULL && niwaki_model_labels[NIWAKI_MODEL_CLASSES - 1] != NULL);
  free(pixels);
  free(inputs);
  free(expected);
  return 0;
}
