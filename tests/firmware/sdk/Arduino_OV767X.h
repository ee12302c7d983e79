/* Arduino_OV767X: what Camera calls of it. */
#pragma once
#include "frames.h"

enum { VGA, CIF, QVGA, QCIF, QQVGA };
enum { YUV422, RGB444, RGB565, GRAYSCALE };

class OV767X {
 public:
  int begin(int resolution, int format, int fps) { return resolution == QQVGA && format == GRAYSCALE && (fps == 1 || fps == 5); }
  void readFrame(void *buffer) { read_frame(static_cast<uint8_t *>(buffer)); }
};

static OV767X Camera;
