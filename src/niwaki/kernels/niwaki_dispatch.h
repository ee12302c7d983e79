/* Which build of a model this processor can run. Needs an operating system on ARM, which is asked for the features. */
#ifndef NIWAKI_DISPATCH_H
#define NIWAKI_DISPATCH_H

#if defined(__x86_64__)

#include <cpuid.h>

#define NIWAKI_VARIANTS(X) X(x86_64) X(avx2) X(avx512)
enum { NIWAKI_CPU_x86_64, NIWAKI_CPU_avx2, NIWAKI_CPU_avx512 };

/* What the operating system saves of the registers: bit 1 xmm, 2 ymm, 5 to 7 zmm. */
static unsigned niwaki_saved_registers(void) {
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

static int niwaki_cpu(void) {
  static int known = -1;
  if (known < 0) {
    const unsigned needed = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31); /* AVX-512 F, DQ, BW, VL */
    unsigned a, b, c, d, ymm = 0, zmm = 0;
    int found = NIWAKI_CPU_x86_64;
    if (__get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 27))) {
      ymm = (niwaki_saved_registers() & 0x06u) == 0x06u;
      zmm = (niwaki_saved_registers() & 0xe6u) == 0xe6u;
    }
    if (ymm && __get_cpuid_count(7, 0, &a, &b, &c, &d)) {
      if (b & (1u << 5)) found = NIWAKI_CPU_avx2;
      if (zmm && (b & needed) == needed && (c & (1u << 11))) found = NIWAKI_CPU_avx512; /* VNNI */
    }
    known = found;
  }
  return known;
}

#elif defined(__aarch64__) && defined(__linux__)

#include <sys/auxv.h>

#define NIWAKI_VARIANTS(X) X(neon) X(dotprod)
enum { NIWAKI_CPU_neon, NIWAKI_CPU_dotprod };

static int niwaki_cpu(void) {
  return getauxval(AT_HWCAP) & (1ul << 20) ? NIWAKI_CPU_dotprod : NIWAKI_CPU_neon; /* HWCAP_ASIMDDP */
}

#elif defined(__arm__) && defined(__linux__)

#include <sys/auxv.h>

#define NIWAKI_VARIANTS(X) X(portable) X(neon)
enum { NIWAKI_CPU_portable, NIWAKI_CPU_neon };

static int niwaki_cpu(void) {
  return getauxval(AT_HWCAP) & (1ul << 12) ? NIWAKI_CPU_neon : NIWAKI_CPU_portable; /* HWCAP_NEON */
}

#else

#define NIWAKI_VARIANTS(X) X(portable)
enum { NIWAKI_CPU_portable };

static int niwaki_cpu(void) { return NIWAKI_CPU_portable; }

#endif

#endif
