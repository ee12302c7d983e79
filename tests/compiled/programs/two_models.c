/* Two generated models in one program, one image each in turn: scores.bin has first's scores, then second's, of each. */
#include <stdio.h>

#include "first/model.h"
#include "second/model.h"

int main(void) {
  static uint8_t pixels[FIRST_INPUT_BYTES];
  int8_t scores[FIRST_OUTPUT_BYTES + SECOND_OUTPUT_BYTES];
  FILE *const in = fopen("inputs.bin", "rb"), *const out = fopen("scores.bin", "wb");
  if (!in || !out || FIRST_INPUT_BYTES != SECOND_INPUT_BYTES) return 2;
  while (fread(pixels, 1, sizeof pixels, in) == sizeof pixels) {
    if (first_run_pixels(pixels, scores) != 0) return 3;
    if (second_run_pixels(pixels, scores + FIRST_OUTPUT_BYTES) != 0) return 3;
    if (fwrite(scores, 1, sizeof scores, out) != sizeof scores) return 4;
  }
  return fclose(out) == 0 ? 0 : 4;
}
