/* Classifies raw images from a file: 8-bit pixels, channels first, one image after another.
 *
 *   ./classify images.bin
 *
 * For the desk. Build systems of boards that compile every file they find have a main of their own.
 */
#if !defined(ARDUINO) && !defined(PLATFORMIO) && !defined(ESP_PLATFORM) && !defined(__ZEPHYR__)
#include <stdio.h>

#include "model.h"

static int best_of(const int8_t *scores) {
  int best = 0;
  for (int i = 1; i < NIWAKI_MODEL_CLASSES; i++)
    if (scores[i] > scores[best]) best = i;
  return best;
}

int main(int argc, char **argv) {
  static uint8_t pixels[NIWAKI_MODEL_INPUT_BYTES];
  int8_t scores[NIWAKI_MODEL_OUTPUT_BYTES];
  FILE *file;
  size_t got;
  long image = 0;

  if (argc != 2) {
    fprintf(stderr, "usage: %s FILE (images of %d bytes, one after another)\n", argv[0], NIWAKI_MODEL_INPUT_BYTES);
    return 2;
  }
  file = fopen(argv[1], "rb");
  if (!file) {
    perror(argv[1]);
    return 2;
  }
  while ((got = fread(pixels, 1, sizeof pixels, file)) == sizeof pixels) {
    int best;
    if (niwaki_model_run_pixels(pixels, scores) != 0) return 1;
    best = best_of(scores);
    printf("%ld: %s (score %d)\n", image++, niwaki_model_labels[best], scores[best]);
  }
  fclose(file);
  if (got != 0 || image == 0) {
    fprintf(stderr, "%s: does not hold whole images of %d bytes\n", argv[1], NIWAKI_MODEL_INPUT_BYTES);
    return 2;
  }
  return 0;
}
#else
typedef int niwaki_model_example_is_for_the_desk; /* C wants something in every file */
#endif
