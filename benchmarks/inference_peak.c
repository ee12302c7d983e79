/* What the vector unit of this machine can do at most: int8 multiply-accumulates per nanosecond, exact to the last bit,
 * from registers alone; and the clock, from a chain of additions of one cycle each. Prints one JSON object.
 * Twelve or six independent sums hide the latency of the instruction. */
#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#if defined(__AVX512VNNI__)
#include <immintrin.h>
#define UNIT "AVX-512 VNNI, vpdpbusd"
#define MACS 64
typedef __m512i vector;
#define STEP(i) __asm__ volatile("vpdpbusd %1, %1, %0" : "+v"(sum##i) : "v"(input));
#elif defined(__AVXVNNI__)
#include <immintrin.h>
#define UNIT "AVX-VNNI, vpdpbusd"
#define MACS 32
typedef __m256i vector;
#define STEP(i) __asm__ volatile("%{vex%} vpdpbusd %1, %1, %0" : "+x"(sum##i) : "x"(input));
#elif defined(__AVX2__)
#include <immintrin.h>
#define UNIT "AVX2, vpmaddwd and vpaddd" /* on int16: vpmaddubsw would saturate */
#define MACS 16
typedef __m256i vector;
#define STEP(i) \
    __asm__ volatile("vpmaddwd %2, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum##i), "=&x"(products) : "x"(input));
#elif defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#define UNIT "NEON, sdot"
#define MACS 16
typedef int32x4_t vector;
#define STEP(i) __asm__ volatile("sdot %0.4s, %1.16b, %1.16b" : "+w"(sum##i) : "w"(input));
#elif defined(__aarch64__)
#include <arm_neon.h>
#define UNIT "NEON, smull and sadalp"
#define MACS 8
typedef int32x4_t vector;
#define STEP(i) \
    __asm__ volatile("smull %1.8h, %2.8b, %2.8b\n\tsadalp %0.4s, %1.8h" : "+w"(sum##i), "=&w"(products) : "w"(input));
#else
#define UNIT "one product at a time"
#define MACS 1
typedef int32_t vector;
#define STEP(i) sum##i += input * input; __asm__ volatile("" : "+r"(sum##i), "+r"(input));
#endif

#if MACS > 1
#define SIX(each) each(0) each(1) each(2) each(3) each(4) each(5)
#define ALL(each) SIX(each) each(6) each(7) each(8) each(9) each(10) each(11)
#define SUMS 12
#else
#define ALL(each) each(0) each(1) each(2) each(3)
#define SUMS 4
#endif
#define BEGIN(i) vector sum##i = zero;
#define END(i) *(volatile vector *)&kept = sum##i;
#define REPEATS 40

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static double macs_per_ns(void)
{
    const long rounds = 200000;
    static vector zero;
    vector input = zero, products = zero, kept;
    double begun, ended;
    ALL(BEGIN)
    begun = now();
    for (long round = 0; round < rounds; ++round) {
        ALL(STEP)
    }
    ended = now();
    ALL(END)
    (void)products;
    (void)kept;
    return (double)rounds * SUMS * MACS / (ended - begun);
}

#define ADD(value) ++value; __asm__ volatile("" : "+r"(value));
#define ADDS(value) ADD(value) ADD(value) ADD(value) ADD(value) ADD(value) ADD(value) ADD(value) ADD(value)

static double cycles_per_ns(void)
{
    const long rounds = 60000;
    unsigned long value = 0;
    double begun = now();
    for (long round = 0; round < rounds; ++round) {
        ADDS(value) ADDS(value) ADDS(value) ADDS(value)
    }
    return (double)rounds * 32 / (now() - begun);
}

int main(void)
{
    double macs = 0, cycles = 0;
    for (int repeat = 0; repeat < REPEATS; ++repeat) {
        double m = macs_per_ns(), c = cycles_per_ns();
        macs = m > macs ? m : macs;
        cycles = c > cycles ? c : cycles;
    }
    printf("{\"unit\": \"%s\", \"macs_per_ns\": %.3f, \"cycles_per_ns\": %.4f}\n", UNIT, macs, cycles);
    return 0;
}
