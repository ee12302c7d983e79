/* ESP-IDF's heaps: what Camera calls of them. */
#pragma once
#include <stdint.h>
#include <stdlib.h>

#define MALLOC_CAP_8BIT (1 << 2)
#define MALLOC_CAP_SPIRAM (1 << 10)

static inline void *heap_caps_malloc(size_t size, uint32_t caps) {
  return caps == (MALLOC_CAP_8BIT | MALLOC_CAP_SPIRAM) ? malloc(size) : NULL;
}
