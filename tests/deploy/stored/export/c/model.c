/* small
 * Written by niwaki from a quantized ONNX; do not edit. See README.md.
 */
#include "model.h"

#define JOINED(a, b) a##b
#define NAMED(a, b) JOINED(a, b)

#if defined(NIWAKI_DISPATCH)
/* One of several builds of this file does the work: which, the processor says at run time. */
#include "niwaki_dispatch.h"
#define RUN_VARIANT(name) \
  int NAMED(niwaki_model_run_in_, name)(void *arena, const int8_t *input, int8_t *output); \
  int NAMED(niwaki_model_run_pixels_in_, name)(void *arena, const uint8_t *pixels, int8_t *output);
NIWAKI_VARIANTS(RUN_VARIANT)
#define PICK(call, name) case NAMED(NIWAKI_CPU_, name): return NAMED(call, name)(arena, image, output);
#define PICK_RUN(name) PICK(niwaki_model_run_in_, name)
#define PICK_RUN_PIXELS(name) PICK(niwaki_model_run_pixels_in_, name)

int niwaki_model_run_in(void *arena, const int8_t *image, int8_t *output) {
  switch (niwaki_cpu()) { NIWAKI_VARIANTS(PICK_RUN) default: return -1; }
}

int niwaki_model_run_pixels_in(void *arena, const uint8_t *image, int8_t *output) {
  switch (niwaki_cpu()) { NIWAKI_VARIANTS(PICK_RUN_PIXELS) default: return -1; }
}

#else

#define NIWAKI_PATCH 200
#define NIWAKI_SCRATCH 256
#include "niwaki_kernels.h"

#if defined(NIWAKI_VARIANT)
#define RUN_IN NAMED(niwaki_model_run_in_, NIWAKI_VARIANT)
#define RUN_PIXELS_IN NAMED(niwaki_model_run_pixels_in_, NIWAKI_VARIANT)
int RUN_IN(void *arena, const int8_t *input, int8_t *output);
int RUN_PIXELS_IN(void *arena, const uint8_t *pixels, int8_t *output);
#else
#define RUN_IN niwaki_model_run_in
#define RUN_PIXELS_IN niwaki_model_run_pixels_in
#endif

#define INPUT_AT 72 /* the image's place in the arena */

/* conv1: conv 5x5, 16x16x1 -> 6x6x2, maximum of 2x2 */
#if NIWAKI_BLOCKS
static const int8_t layer0_conv_weights[160] = {
  -31, 24, -114, -105, 43, 127, -66, -35, 0, 0, 0, 0, 0, 0, 0, 0, -69, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  -3, -32, 50, -39, -9, 123, -37, -17, 0, 0, 0, 0, 0, 0, 0, 0, -4, 0, 0, 0, -42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  -61, -50, -127, -97, -67, -30, 122, 15, 0, 0, 0, 0, 0, 0, 0, 0, -72, 0, 0, 0, 83, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  0, -27, 10, 30, -99, 37, -22, 49, -67, 0, 0, 0, 0, 0, 0, 0, 0, -74, 0, 0, 0, -45, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  0, 6, 54, -51, 45, -23, 98, 33, -15, 0, 0, 0, 0, 0, 0, 0, 0, -47, 0, 0, 0, 28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
};
static const int32_t layer0_conv_multiplier[4] = {
  1568830751, 1506506512, 0, 0
};
static const uint8_t layer0_conv_shift[4] = {
  39, 39, 1, 1
};
#if NIWAKI_UNSIGNED
static const int32_t layer0_conv_bias[4] = {
  8753, 34767, 0, 0
};
#else
static const int32_t layer0_conv_bias[4] = {
  -104271, 71631, 0, 0
};
#endif
#else
static const int8_t layer0_conv_weights[50] = {
  -31, 24, -114, -105, -69, -3, -32, 50, -39, -4, -61, -50, -127, -97, -72, -27, 10, 30, -99, -74, 6, 54, -51, 45,
  -47, 43, 127, -66, -35, 5, -9, 123, -37, -17, -42, -67, -30, 122, 15, 83, 37, -22, 49, -67, -45, -23, 98, 33,
  -15, 28
};
static const int32_t layer0_conv_bias[2] = {
  -104271, 71631
};
static const int32_t layer0_conv_multiplier[2] = {
  1568830751, 1506506512
};
static const uint8_t layer0_conv_shift[2] = {
  39, 39
};
#endif
static const niwaki_conv layer0_conv = {
  .in_h = 16, .in_w = 16, .out_h = 6, .out_w = 6, .in_c = 1, .out_c = 2, .kernel_h = 5, .kernel_w = 5,
  .stride_h = 1, .stride_w = 1, .pad_top = 0, .pad_left = 0, .dilation_h = 1, .dilation_w = 1, .groups = 1,
  .pool_h = 2, .pool_w = 2, .in_zero = -128, .out_zero = -128, .low = -128, .high = 127, .wide = 0, .pixels = 1,
  .weights = layer0_conv_weights, .bias = layer0_conv_bias, .multiplier = layer0_conv_multiplier,
  .shift = layer0_conv_shift
};

/* conv2: conv 5x5, 6x6x2 -> 1x1x3, maximum of 2x2 */
#if NIWAKI_BLOCKS
static const int8_t layer1_conv_weights[240] = {
  -2, -116, -26, -30, -58, -64, -33, -46, -27, -59, 72, 105, 0, 0, 0, 0, 22, -94, -90, -121, -126, -109, -2, -28,
  71, -106, -127, 14, 0, 0, 0, 0, -21, 41, 0, 0, -100, 28, 0, 0, 82, -28, 0, 0, 0, 0, 0, 0, -107, 30, -100, -127,
  -102, -86, -7, -7, -103, 94, -28, 37, 0, 0, 0, 0, -84, -21, 2, -53, 20, 95, -54, -14, -53, 63, -25, 47, 0, 0, 0,
  0, -2, -53, 0, 0, 79, 4, 0, 0, -26, -32, 0, 0, 0, 0, 0, 0, -91, -79, -11, -4, -81, -11, 120, 27, -118, -28, -114,
  -109, 0, 0, 0, 0, 11, -91, -49, -5, 91, 84, -112, 125, -21, 71, 2, 105, 0, 0, 0, 0, -35, 7, 0, 0, -33, 84, 0, 0,
  -60, 90, 0, 0, 0, 0, 0, 0, -17, 26, 17, -5, 6, 126, 19, -10, 50, -93, -119, 6, 0, 0, 0, 0, 48, -126, -107, -96,
  31, -119, 52, -63, -9, -93, 116, -72, 0, 0, 0, 0, -71, 7, 0, 0, 8, 90, 0, 0, -54, -77, 0, 0, 0, 0, 0, 0, -3, -19,
  36, -108, -65, -1, 63, -66, 119, 45, 48, -78, 0, 0, 0, 0, 40, -89, 41, 46, -127, -101, -78, -124, -119, -3, 83,
  6, 0, 0, 0, 0, -20, 22, 0, 0, -33, -112, 0, 0, -15, 85, 0, 0, 0, 0, 0, 0
};
static const int32_t layer1_conv_multiplier[4] = {
  1206337052, 1627492599, 1636286023, 0
};
static const uint8_t layer1_conv_shift[4] = {
  40, 41, 41, 1
};
#if NIWAKI_UNSIGNED
static const int32_t layer1_conv_bias[4] = {
  -38801, -33451, -28142, 0
};
#else
static const int32_t layer1_conv_bias[4] = {
  -253457, -138411, -77422, 0
};
#endif
#else
static const int8_t layer1_conv_weights[150] = {
  -2, -116, -26, -30, 22, -94, -90, -121, -21, 41, -107, 30, -100, -127, -84, -21, 2, -53, -2, -53, -91, -79, -11,
  -4, 11, -91, -49, -5, -35, 7, -17, 26, 17, -5, 48, -126, -107, -96, -71, 7, -3, -19, 36, -108, 40, -89, 41, 46,
  -20, 22, -58, -64, -33, -46, -126, -109, -2, -28, -100, 28, -102, -86, -7, -7, 20, 95, -54, -14, 79, 4, -81, -11,
  120, 27, 91, 84, -112, 125, -33, 84, 6, 126, 19, -10, 31, -119, 52, -63, 8, 90, -65, -1, 63, -66, -127, -101,
  -78, -124, -33, -112, -27, -59, 72, 105, 71, -106, -127, 14, 82, -28, -103, 94, -28, 37, -53, 63, -25, 47, -26,
  -32, -118, -28, -114, -109, -21, 71, 2, 105, -60, 90, 50, -93, -119, 6, -9, -93, 116, -72, -54, -77, 119, 45, 48,
  -78, -119, -3, 83, 6, -15, 85
};
static const int32_t layer1_conv_bias[3] = {
  -253457, -138411, -77422
};
static const int32_t layer1_conv_multiplier[3] = {
  1206337052, 1627492599, 1636286023
};
static const uint8_t layer1_conv_shift[3] = {
  40, 41, 41
};
#endif
static const niwaki_conv layer1_conv = {
  .in_h = 6, .in_w = 6, .out_h = 1, .out_w = 1, .in_c = 2, .out_c = 3, .kernel_h = 5, .kernel_w = 5, .stride_h = 1,
  .stride_w = 1, .pad_top = 0, .pad_left = 0, .dilation_h = 1, .dilation_w = 1, .groups = 1, .pool_h = 2,
  .pool_w = 2, .in_zero = -128, .out_zero = -128, .low = -128, .high = 127, .wide = 0, .pixels = 0,
  .weights = layer1_conv_weights, .bias = layer1_conv_bias, .multiplier = layer1_conv_multiplier,
  .shift = layer1_conv_shift
};

/* fc1: dense 3 -> 8 */
#if NIWAKI_BLOCKS
static const int8_t layer2_dense_weights[32] = {
  105, -54, 127, 0, 127, 62, -4, 0, -127, 54, -98, 0, 16, 21, -127, 0, -66, 126, -127, 0, -23, 127, 46, 0, 4, -127,
  73, 0, -127, -59, -70, 0
};
static const int32_t layer2_dense_multiplier[8] = {
  1990911631, 1216420563, 1403626472, 1846262185, 1915517967, 1167464982, 2045485525, 1436293828
};
static const uint8_t layer2_dense_shift[8] = {
  38, 39, 39, 38, 38, 37, 38, 38
};
#if NIWAKI_UNSIGNED
static const int32_t layer2_dense_bias[8] = {
  -5686, 43979, 73769, -2177, 24546, 30020, -23626, 12770
};
#else
static const int32_t layer2_dense_bias[8] = {
  17098, 67659, 51881, -13697, 15970, 49220, -30026, -19998
};
#endif
#else
static const int8_t layer2_dense_weights[24] = {
  105, -54, 127, 127, 62, -4, -127, 54, -98, 16, 21, -127, -66, 126, -127, -23, 127, 46, 4, -127, 73, -127, -59,
  -70
};
static const int32_t layer2_dense_bias[8] = {
  17098, 67659, 51881, -13697, 15970, 49220, -30026, -19998
};
static const int32_t layer2_dense_multiplier[8] = {
  1990911631, 1216420563, 1403626472, 1846262185, 1915517967, 1167464982, 2045485525, 1436293828
};
static const uint8_t layer2_dense_shift[8] = {
  38, 39, 39, 38, 38, 37, 38, 38
};
#endif
static const niwaki_dense layer2_dense = {
  .in = 3, .out = 8, .out_zero = -128, .low = -128, .high = 127, .wide = 0, .weights = layer2_dense_weights,
  .bias = layer2_dense_bias, .multiplier = layer2_dense_multiplier, .shift = layer2_dense_shift
};

/* fc2: dense 8 -> 6 */
#if NIWAKI_BLOCKS
static const int8_t layer3_dense_weights[64] = {
  -92, -127, -22, 5, -127, 95, -109, 2, -37, -76, -47, -127, 100, 92, 118, 46, 37, -64, -63, -127, -102, -18, 45,
  5, 0, 0, 0, 0, 0, 0, 0, 0, 38, -107, 0, 9, -22, -69, 17, 109, 58, -62, -86, -74, -73, -63, 51, 127, 29, -75,
  -120, 118, -106, -127, 125, 26, 0, 0, 0, 0, 0, 0, 0, 0
};
static const int32_t layer3_dense_multiplier[8] = {
  1580145309, 1567190321, 1606173740, 1188461508, 1532149671, 1309899917, 0, 0
};
static const uint8_t layer3_dense_shift[8] = {
  40, 40, 40, 40, 40, 40, 1, 1
};
#if NIWAKI_UNSIGNED
static const int32_t layer3_dense_bias[8] = {
  22024, -21205, 18179, -26229, -2877, -46090, 0, 0
};
#else
static const int32_t layer3_dense_bias[8] = {
  -15864, -34517, -39549, 24715, -36797, -65546, 0, 0
};
#endif
#else
static const int8_t layer3_dense_weights[48] = {
  -92, -127, -22, 5, 38, -107, 0, 9, -127, 95, -109, 2, -22, -69, 17, 109, -37, -76, -47, -127, 58, -62, -86, -74,
  100, 92, 118, 46, -73, -63, 51, 127, 37, -64, -63, -127, 29, -75, -120, 118, -102, -18, 45, 5, -106, -127, 125,
  26
};
static const int32_t layer3_dense_bias[6] = {
  -15864, -34517, -39549, 24715, -36797, -65546
};
static const int32_t layer3_dense_multiplier[6] = {
  1580145309, 1567190321, 1606173740, 1188461508, 1532149671, 1309899917
};
static const uint8_t layer3_dense_shift[6] = {
  40, 40, 40, 40, 40, 40
};
#endif
static const niwaki_dense layer3_dense = {
  .in = 8, .out = 6, .out_zero = -128, .low = -128, .high = 127, .wide = 0, .weights = layer3_dense_weights,
  .bias = layer3_dense_bias, .multiplier = layer3_dense_multiplier, .shift = layer3_dense_shift
};

/* fc3: dense 6 -> 4 */
#if NIWAKI_BLOCKS
static const int8_t layer4_dense_weights[32] = {
  10, 58, -4, -70, -86, 100, -82, -82, 50, 34, -127, 60, -33, -127, -24, 30, -113, 127, 0, 0, 44, -127, 0, 0, 73,
  68, 0, 0, -57, 59, 0, 0
};
static const int32_t layer4_dense_multiplier[4] = {
  1723737111, 1294792911, 1850721313, 2043393778
};
static const uint8_t layer4_dense_shift[4] = {
  36, 36, 36, 36
};
#if NIWAKI_UNSIGNED
static const int32_t layer4_dense_bias[4] = {
  10166, 6849, 5666, 8181
};
#else
static const int32_t layer4_dense_bias[4] = {
  11190, -22975, 25890, -11275
};
#endif
#else
static const int8_t layer4_dense_weights[24] = {
  10, 58, -4, -70, -113, 127, -86, 100, -82, -82, 44, -127, 50, 34, -127, 60, 73, 68, -33, -127, -24, 30, -57, 59
};
static const int32_t layer4_dense_bias[4] = {
  11190, -22975, 25890, -11275
};
static const int32_t layer4_dense_multiplier[4] = {
  1723737111, 1294792911, 1850721313, 2043393778
};
static const uint8_t layer4_dense_shift[4] = {
  36, 36, 36, 36
};
#endif
static const niwaki_dense layer4_dense = {
  .in = 6, .out = 4, .out_zero = -128, .low = -128, .high = 127, .wide = 0, .weights = layer4_dense_weights,
  .bias = layer4_dense_bias, .multiplier = layer4_dense_multiplier, .shift = layer4_dense_shift
};

static void layers(int8_t *arena, const int8_t *input, int8_t *output) {
  (void)arena;
  niwaki_run_conv(&layer0_conv, input, arena + 0);
  niwaki_run_conv(&layer1_conv, arena + 0, arena + 72);
  niwaki_run_dense(&layer2_dense, arena + 72, arena + 0);
  niwaki_run_dense(&layer3_dense, arena + 0, arena + 8);
  niwaki_run_dense(&layer4_dense, arena + 8, output);
}

int RUN_IN(void *arena, const int8_t *input, int8_t *output) {
  int8_t *const work = arena;
  if (!work || !output) return -1;
  layers(work, input ? input : work + INPUT_AT, output);
  return 0;
}

int RUN_PIXELS_IN(void *arena, const uint8_t *pixels, int8_t *output) {
  int8_t *const work = arena;
  if (!work || !output) return -1;
  int8_t *const image = work + INPUT_AT;
  const uint8_t *const p = pixels ? pixels : (const uint8_t *)image;
  for (int32_t i = 0; i < 256; i++) image[i] = (int8_t)(p[i] - 128);
  layers(work, image, output);
  return 0;
}

#endif /* NIWAKI_DISPATCH */

#if !defined(NIWAKI_VARIANT)
const char *const niwaki_model_labels[NIWAKI_MODEL_CLASSES] = {
  "0",
  "1",
  "2",
  "3"
};

#if defined(NIWAKI_MODEL_NO_STATIC_ARENA)
#define STATIC_ARENA NULL
#else
static int8_t static_arena[NIWAKI_MODEL_ARENA_BYTES];
#define STATIC_ARENA static_arena

int niwaki_model_run(const int8_t *input, int8_t *output) {
  return niwaki_model_run_in(static_arena, input, output);
}

int niwaki_model_run_batch(const int8_t *inputs, int8_t *outputs, size_t count) {
  if (!inputs || !outputs) return -1;
  for (size_t i = 0; i < count; i++)
    niwaki_model_run_in(static_arena, inputs + i * NIWAKI_MODEL_INPUT_BYTES, outputs + i * NIWAKI_MODEL_OUTPUT_BYTES);
  return 0;
}

int niwaki_model_run_pixels(const uint8_t *pixels, int8_t *output) {
  return niwaki_model_run_pixels_in(static_arena, pixels, output);
}

int niwaki_model_run_pixels_batch(const uint8_t *pixels, int8_t *outputs, size_t count) {
  if (!pixels || !outputs) return -1;
  for (size_t i = 0; i < count; i++)
    niwaki_model_run_pixels_in(static_arena, pixels + i * NIWAKI_MODEL_INPUT_BYTES, outputs + i * NIWAKI_MODEL_OUTPUT_BYTES);
  return 0;
}
#endif

void *niwaki_model_input(void *arena) {
  int8_t *const work = arena ? arena : STATIC_ARENA;
  return work ? work + 72 : NULL;
}
#endif
