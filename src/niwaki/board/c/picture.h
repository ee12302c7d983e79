/* Pictures from PGM (P2, P5) and PPM files (P3, P6), plain and raw, 8 and 16 bits deep. */
#ifndef NIWAKI_PICTURE_H
#define NIWAKI_PICTURE_H

#include <stddef.h>
#include <stdint.h>

#define PICTURE_MAX_SIDE 4096

typedef struct {
  int32_t width, height;
  int32_t channels; /* 1: grey; 3: red, green, blue */
  uint8_t *pixels;  /* row by row, 0 to 255; the caller's, to be freed */
} picture;

/* Reads the first picture of a file, of colours only where `colours` are wanted. NULL, or why it cannot be read: a text that stays until the next call. */
const char *picture_read(const char *path, int colours, picture *out);

#endif
