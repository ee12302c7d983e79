/* Integer kernels of niwaki: C99, no allocation, no floating point. Which forms are used is settled at compile
 * time; all give the same bits.
 *
 *   NIWAKI_AVX512   x86 with AVX-512 VNNI        NIWAKI_NEON   ARM with NEON, and its dot product where compiled for
 *   NIWAKI_AVX2     x86 with AVX2, or AVX-VNNI   NIWAKI_DSP    Cortex-M with the DSP extension
 *   NIWAKI_AVR      an AVR that multiplies       NIWAKI_MVE    Cortex-M with Helium
 *
 * model.c says how much its layers keep on the stack: NIWAKI_PATCH bytes in plain C, NIWAKI_SCRATCH in vector kernels.
 * With NIWAKI_TWICE, all but matrix products is rounded in two steps, as TensorFlow Lite does: first by 31 bits, ties
 * up, then by the rest, ties away from zero. That is one rounding with another half: NIWAKI_FIRST_HALF more, or less for
 * a negative product. -DNIWAKI_PORTABLE leaves only plain C. Activations lie in memory as rows of pixels, the channels of
 * a pixel side by side (HWC). A layer is described by a constant structure; compiled for speed, its kernel is inlined and
 * every number in the structure becomes a literal; compiled for size (-Os), the layers of a kind share one function.
 */
#ifndef NIWAKI_KERNELS_H
#define NIWAKI_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if !defined(NIWAKI_PORTABLE)
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#define NIWAKI_AVX512 1
#elif defined(__AVX2__)
#define NIWAKI_AVX2 1
#if (defined(__AVXVNNI__) || (defined(__AVX512VNNI__) && defined(__AVX512VL__))) && defined(__GNUC__) && \
    defined(__x86_64__) && !defined(__ILP32__)
#define NIWAKI_VNNI 1 /* which multiplies bytes without saturating */
#endif
#elif defined(__ARM_NEON) && (!defined(__BYTE_ORDER__) || __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
#define NIWAKI_NEON 1
#elif defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1) && defined(__OPTIMIZE__) /* else a register is missing */
#define NIWAKI_MVE 1
#elif defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_UNALIGNED) && __ARM_ARCH_PROFILE == 'M'
#define NIWAKI_DSP 1
#elif defined(__AVR_HAVE_MUL__) && defined(__FLASH) && !defined(__STRICT_ANSI__)
#define NIWAKI_AVR 1
#endif
#endif

#if defined(NIWAKI_DSP) && defined(__OPTIMIZE__) && !defined(__clang__)
#define NIWAKI_TUNED 1 /* kernels in assembly, for which unoptimized code and Clang have too few registers left */
#endif

#if defined(NIWAKI_TUNED) && !defined(__OPTIMIZE_SIZE__)
#define NIWAKI_HALVES 1 /* two weights of a layer with `halves` are one number of 16 bits: see niwaki_dsp.h */
#else
#define NIWAKI_HALVES 0
#endif
#define NIWAKI_HALVED(d) (NIWAKI_HALVES && (d)->halves)

#if defined(NIWAKI_AVX512) || defined(NIWAKI_AVX2) || defined(NIWAKI_NEON)
#define NIWAKI_BLOCKS 1 /* weights lie in blocks of output channels, four inputs of each side by side */
#else
#define NIWAKI_BLOCKS 0 /* weights lie row by row, nothing added */
#endif

#if defined(NIWAKI_AVX512) || defined(NIWAKI_VNNI)
#define NIWAKI_UNSIGNED 1 /* the bias takes in that activations are moved by 128 before they are multiplied */
#else
#define NIWAKI_UNSIGNED 0
#endif

#if defined(__GNUC__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#define NIWAKI_KERNEL static inline __attribute__((always_inline, unused))
#elif defined(__GNUC__)
#define NIWAKI_KERNEL static __attribute__((unused))
#else
#define NIWAKI_KERNEL static
#endif

/* A kernel that keeps much on the stack: compiled for size it is not inlined, else the stack of two would add up. */
#if defined(__GNUC__) && defined(__OPTIMIZE_SIZE__)
#define NIWAKI_LARGE static __attribute__((noinline, unused))
#else
#define NIWAKI_LARGE NIWAKI_KERNEL
#endif

/* An array on the stack: GCC 12 aligns stores to it more than the array itself, unless it says how it lies. */
#if defined(__GNUC__) && !defined(__clang__) && (defined(__x86_64__) || defined(__i386__))
#define NIWAKI_ALIGNED __attribute__((aligned(64)))
#else
#define NIWAKI_ALIGNED
#endif

/* A kernel that all layers share. */
#if defined(__GNUC__) && !defined(__clang__)
#define NIWAKI_SHARED static __attribute__((noinline, noclone, unused))
#elif defined(__GNUC__)
#define NIWAKI_SHARED static __attribute__((noinline, unused))
#else
#define NIWAKI_SHARED static
#endif

/* With -ffreestanding or -fno-builtin (Zephyr's default) memcpy of four bytes is a call; this stays a load. */
#if defined(__GNUC__)
#define NIWAKI_COPY __builtin_memcpy
#define NIWAKI_FILL __builtin_memset
#else
#define NIWAKI_COPY memcpy
#define NIWAKI_FILL memset
#endif

/* Constants of an AVR stay in flash, which has addresses of its own there: NIWAKI_FLASH is where they lie, elsewhere
 * nothing. The description of one layer at a time is copied to the stack. */
#if defined(__AVR__) && defined(__FLASH) && !defined(__STRICT_ANSI__)
#define NIWAKI_FLASH __flash
#define NIWAKI_RUN(kernel, kind, layer, ...)  \
  do {                                        \
    const kind in_ram = layer;                \
    kernel(&in_ram, __VA_ARGS__);             \
  } while (0)
#else
#if defined(__AVR__) && defined(__cplusplus)
#error "compile model.c as C (-std=gnu99): C++ cannot keep an AVR's constants in flash. Your C++ may call it."
#elif defined(__AVR__)
#warning "the constants take RAM: compile with -std=gnu99, then they stay in flash"
#endif
#define NIWAKI_FLASH
#define NIWAKI_RUN(kernel, kind, layer, ...) kernel(&layer, __VA_ARGS__)
#endif

/* The arithmetic needs >> of negative numbers to keep the sign, as every known compiler does. */
typedef char niwaki_needs_arithmetic_shift[((-3) >> 1) == -2 && ((int64_t)(-3) >> 1) == -2 ? 1 : -1];

/* A convolution, with the maximum over pool_h x pool_w windows of its output taken before rounding. */
typedef struct {
  int16_t in_h, in_w, in_c;
  int16_t out_h, out_w, out_c; /* after pooling */
  int16_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups;
  int16_t pool_h, pool_w;
  int16_t in_zero, out_zero, low, high;
  int8_t wide;   /* a product may leave 32 bits: round one by one */
  int8_t pixels; /* vectors run over pixels, not over output channels */
  int8_t halves; /* where NIWAKI_HALVES is 1, two weights are one number, and sums 256 times what they are */
  int8_t roomy;  /* 256 times every sum fits into 32 bits */
  const NIWAKI_FLASH int8_t *weights;
  const NIWAKI_FLASH int32_t *bias; /* takes in the input's zero point */
  const NIWAKI_FLASH int32_t *multiplier;
  const NIWAKI_FLASH uint8_t *shift;
} niwaki_conv;

typedef struct {
  int32_t in, out;
  int16_t out_zero, low, high;
  int8_t wide;
#if defined(NIWAKI_TWICE)
  int8_t twice; /* in place of a convolution: round in two steps */
#endif
  int8_t halves; /* as in a convolution */
  const NIWAKI_FLASH int8_t *weights;
  const NIWAKI_FLASH int32_t *bias;
  const NIWAKI_FLASH int32_t *multiplier;
  const NIWAKI_FLASH uint8_t *shift;
} niwaki_dense;

typedef struct {
  int16_t in_h, in_w, channels, out_h, out_w;
  int16_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
} niwaki_max_pool;

typedef struct {
  int16_t in_h, in_w, channels, out_h, out_w;
  int16_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
  int16_t in_zero, out_zero, low, high;
  int32_t divisors;  /* 1: every window has one; else the multiplier of divisor n is the n-th; 0: see the kernel */
  int8_t count_pads; /* padding counts in the divisor, as zeros */
  const NIWAKI_FLASH int32_t *multiplier;
  const NIWAKI_FLASH uint8_t *shift;
} niwaki_average_pool;

typedef struct {
  int32_t size, multiplier_a, multiplier_b;
  int16_t shift, zero_a, zero_b, out_zero, low, high;
} niwaki_add;

/* `rows` runs of `size` values, `out_step` apart in the output: a whole tensor, or its part of a concatenation. */
typedef struct {
  int32_t rows, size, out_step, multiplier;
  int16_t shift, in_zero, out_zero, low, high;
} niwaki_requantize;

typedef struct {
  int16_t in_h, in_w, channels, top, left, bottom, right, value;
} niwaki_pad;

/* The sum of two tensors, each first rounded to a fine common unit: as TensorFlow Lite adds. */
typedef struct {
  int32_t size, multiplier_a, multiplier_b, multiplier;
  int16_t shift_a, shift_b, shift, zero_a, zero_b, out_zero, low, high;
  int8_t minus; /* the difference in place of the sum */
} niwaki_fine_add;

/* The same elements, counted channels first, under another shape. */
typedef struct {
  int32_t in_h, in_w, in_c, out_h, out_w, out_c;
} niwaki_reshape;

NIWAKI_KERNEL int32_t niwaki_clamp(int32_t value, int32_t low, int32_t high) {
  return value < low ? low : value > high ? high : value;
}

#define NIWAKI_FIRST_HALF 0x40000000

#if !defined(NIWAKI_TWICE)
#define niwaki_round_once niwaki_round
#endif

/* The one rounding: to nearest, ties up. */
NIWAKI_KERNEL int8_t niwaki_round_once(int64_t product, int32_t shift, int32_t zero, int32_t low, int32_t high) {
#if defined(NIWAKI_AVR) /* shifts of 64 bits take a loop of their own */
  if (shift > 32) {
    const uint8_t rest = (uint8_t)(shift - 32);
    const int32_t upper = (int32_t)(product >> 32) + ((int32_t)1 << (rest - 1)), rounded = (upper >> rest) + zero;
    return (int8_t)(rounded < low ? low : rounded > high ? high : rounded);
  }
#endif
  int64_t value = ((product + ((int64_t)1 << (shift - 1))) >> shift) + zero;
  return (int8_t)(value < low ? low : value > high ? high : value);
}

#if defined(NIWAKI_TWICE)
NIWAKI_KERNEL int64_t niwaki_more(int64_t product, int32_t shift) {
  return shift <= 31 ? 0 : product < 0 ? -NIWAKI_FIRST_HALF : NIWAKI_FIRST_HALF;
}

NIWAKI_KERNEL int8_t niwaki_round(int64_t product, int32_t shift, int32_t zero, int32_t low, int32_t high) {
  return niwaki_round_once(product + niwaki_more(product, shift), shift, zero, low, high);
}

NIWAKI_KERNEL int32_t niwaki_scaled(int32_t value, int32_t multiplier, int32_t shift) {
  const int64_t product = (int64_t)value * multiplier;
  return (int32_t)((product + niwaki_more(product, shift) + ((int64_t)1 << (shift - 1))) >> shift);
}
#endif

#include "niwaki_portable.h"
#include "niwaki_elements.h"
#include "niwaki_rows.h"

#if defined(NIWAKI_TUNED)
#if !defined(NIWAKI_PAIRS) /* model.c says so where a convolution is not pooled */
#define NIWAKI_PAIRS ((NIWAKI_PATCH + 12) & ~7)
#if defined(__OPTIMIZE_SIZE__)
#define NIWAKI_SMALL 1 /* the code of more kernels would take more than is worth the time of so small a model */
#endif
#endif
#define NIWAKI_PLANE 960 /* bytes of the stack for some rows of one channel */
#include "niwaki_dsp.h"
#include "niwaki_first.h"
#include "niwaki_outputs.h"
#include "niwaki_planes.h"
#endif

#define NIWAKI_BITS 4
#include "niwaki_packed.h"
#undef NIWAKI_BITS
#define NIWAKI_BITS 2
#include "niwaki_packed.h"
#undef NIWAKI_BITS

#if NIWAKI_BLOCKS
#include "niwaki_blocks.h"
#elif defined(NIWAKI_MVE)
#include "niwaki_helium.h"
#elif defined(NIWAKI_AVR)
#include "niwaki_avr.h"
#endif

/* Layers whose weights are packed in plain C: in blocks and tiles these are bytes. Those that end in `twos` have their
 * channels in twos that share bytes, and room on the stack for two places. */
#if NIWAKI_BLOCKS
#define niwaki_run_conv_4bit niwaki_run_conv
#define niwaki_run_conv_2bit niwaki_run_conv
#define niwaki_run_conv_4bit_twos niwaki_run_conv
#define niwaki_run_conv_2bit_twos niwaki_run_conv
#define niwaki_run_large_conv_4bit niwaki_run_large_conv
#define niwaki_run_large_conv_2bit niwaki_run_large_conv
#define niwaki_run_dense_4bit niwaki_run_dense
#define niwaki_run_dense_2bit niwaki_run_dense
#else
#if defined(NIWAKI_TUNED)
NIWAKI_KERNEL void niwaki_run_conv_4bit(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  if (niwaki_is_packed_first(d))
    niwaki_conv_packed_first(d, 4, in, out);
  else
    niwaki_conv_patches_4bit(d, in, out);
}
NIWAKI_KERNEL void niwaki_run_conv_2bit(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  if (niwaki_is_packed_first(d))
    niwaki_conv_packed_first(d, 2, in, out);
  else
    niwaki_conv_patches_2bit(d, in, out);
}
#else
#define niwaki_run_conv_4bit niwaki_conv_patches_4bit
#define niwaki_run_conv_2bit niwaki_conv_patches_2bit
#endif
#if defined(NIWAKI_TUNED) && !defined(NIWAKI_SMALL)
NIWAKI_KERNEL void niwaki_run_conv_4bit_twos(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  niwaki_conv_pairs(d, 4, in, out);
}
NIWAKI_KERNEL void niwaki_run_conv_2bit_twos(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  niwaki_conv_pairs(d, 2, in, out);
}
#else
#define niwaki_run_conv_4bit_twos niwaki_run_conv_4bit
#define niwaki_run_conv_2bit_twos niwaki_run_conv_2bit
#endif
#define niwaki_run_large_conv_4bit niwaki_conv_rows_4bit
#define niwaki_run_large_conv_2bit niwaki_conv_rows_2bit
#define niwaki_run_dense_4bit niwaki_dense_rows_4bit
#define niwaki_run_dense_2bit niwaki_dense_rows_2bit
#endif
#if NIWAKI_BLOCKS
#define niwaki_run_depthwise_4bit niwaki_run_depthwise
#define niwaki_run_depthwise_2bit niwaki_run_depthwise
#elif defined(NIWAKI_TUNED)
NIWAKI_KERNEL void niwaki_run_depthwise_4bit(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  if (niwaki_has_planes(d))
    niwaki_depthwise_planes(d, 4, in, out);
  else
    niwaki_depthwise_4bit(d, in, out);
}
NIWAKI_KERNEL void niwaki_run_depthwise_2bit(const niwaki_conv *d, const int8_t *in, int8_t *out) {
  if (niwaki_has_planes(d))
    niwaki_depthwise_planes(d, 2, in, out);
  else
    niwaki_depthwise_2bit(d, in, out);
}
#else
#define niwaki_run_depthwise_4bit niwaki_depthwise_4bit
#define niwaki_run_depthwise_2bit niwaki_depthwise_2bit
#endif

#endif
