/* What vision calls of a C library, where there is none: each becomes one instruction of WebAssembly (bulk memory). */
#include <stddef.h>

void *memcpy(void *to, const void *from, size_t bytes) { return __builtin_memcpy(to, from, bytes); }
void *memset(void *to, int value, size_t bytes) { return __builtin_memset(to, value, bytes); }
