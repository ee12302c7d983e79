/* The frames of a camera of 160 x 120 grey pixels: from standard input. */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { FRAME_BYTES = 160 * 120 };

static inline void read_frame(uint8_t *to) {
  if (fread(to, 1, FRAME_BYTES, stdin) != FRAME_BYTES) exit(0);
}
