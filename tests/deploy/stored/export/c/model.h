/* small
 *
 * int8 in, int8 out, integers in between: the same bits on every processor and compiler. Written by niwaki; do not edit.
 */
#ifndef NIWAKI_MODEL_H
#define NIWAKI_MODEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NIWAKI_MODEL_INPUT_CHANNELS 1
#define NIWAKI_MODEL_INPUT_HEIGHT 16
#define NIWAKI_MODEL_INPUT_WIDTH 16
#define NIWAKI_MODEL_INPUT_BYTES 256 /* one image */
#define NIWAKI_MODEL_OUTPUT_BYTES 4 /* its scores */
#define NIWAKI_MODEL_CLASSES 4

/* A number is (int8 - ZERO_POINT) * SCALE. */
#define NIWAKI_MODEL_INPUT_SCALE 0x1.0101020000000p-8f /* 0.00392156886 */
#define NIWAKI_MODEL_INPUT_ZERO_POINT (-128)
#define NIWAKI_MODEL_OUTPUT_SCALE 0x1.6c6d1a0000000p-12f /* 0.000347543886 */
#define NIWAKI_MODEL_OUTPUT_ZERO_POINT (-128)

/* Working memory. The image may lie inside it, at niwaki_model_input(arena). */
#define NIWAKI_MODEL_ARENA_BYTES 328

extern const char *const niwaki_model_labels[NIWAKI_MODEL_CLASSES]; /* UTF-8 */

/* Scores of one image: int8, channels first (CHW). Returns 0, or -1 where `output` is missing.
 * Without -DNIWAKI_MODEL_NO_STATIC_ARENA there is one static arena: these three are not for two threads at once. */
int niwaki_model_run(const int8_t *input, int8_t *output);

/* The same for `count` images, one after another. */
int niwaki_model_run_batch(const int8_t *inputs, int8_t *outputs, size_t count);

/* The same for raw 8-bit pixels (CHW), as they are before any scaling: (x / 255 - 0) / (1).
 * With `pixels` NULL they lie at niwaki_model_input(arena) already, as rows of pixels (HWC). */
int niwaki_model_run_pixels(const uint8_t *pixels, int8_t *output);
int niwaki_model_run_pixels_batch(const uint8_t *pixels, int8_t *outputs, size_t count);
int niwaki_model_run_pixels_in(void *arena, const uint8_t *pixels, int8_t *output);

/* The same in an arena of the caller's, of NIWAKI_MODEL_ARENA_BYTES bytes at any address: for several threads, or memory of
 * your choice. Where `input` is NULL the image lies at niwaki_model_input(arena) already, as rows of pixels with the
 * channels of a pixel side by side (HWC): then no other copy of it is needed. It is overwritten. */
int niwaki_model_run_in(void *arena, const int8_t *input, int8_t *output);

/* Where in `arena` the image lies; NULL means the static arena. */
void *niwaki_model_input(void *arena);

#ifdef __cplusplus
}
#endif

#endif
