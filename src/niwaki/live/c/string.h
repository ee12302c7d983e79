/* What the generated C and vision use of <string.h>, where there is no C library: WebAssembly has instructions for it. */
#ifndef NIWAKI_LIVE_STRING_H
#define NIWAKI_LIVE_STRING_H

#include <stddef.h>

#define memcpy __builtin_memcpy
#define memmove __builtin_memmove
#define memset __builtin_memset

#endif
