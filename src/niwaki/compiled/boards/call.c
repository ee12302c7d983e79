/* The smallest program that calls a generated model: what is linked into it is what the model needs of a board. */
#include "model.h"

int main(void) {
  static int8_t image[INPUT_BYTES], scores[OUTPUT_BYTES];
  return RUN((const void *)image, scores);
}
