/* Files of the machine that runs this program: by stdio under an operating system, by semihosting on a bare
 * Cortex-M, by serial line on an AVR. A Cortex-M also counts instructions and watches its stack. */
#ifndef HOST_H
#define HOST_H

#include <stddef.h>
#include <stdint.h>

#if defined(__AVR__) || (defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M')
#define HOST_IS_BOARD 1

#if defined(__AVR__)
typedef int8_t host_file;
#else
typedef int32_t host_file;
#endif
#define HOST_NO_FILE (-1)

host_file host_open(const char *name, const char *mode);         /* mode "rb" or "wb" */
size_t host_read(host_file file, void *data, size_t size);        /* bytes read */
size_t host_write(host_file file, const void *data, size_t size); /* bytes written */
int host_close(host_file file);                                   /* 0 where all is well */

/* A timer that runs from here on, and its ticks since then. It wraps after 2^24. */
void host_start_timer(void);
uint32_t host_ticks(void);

#else
#include <stdio.h>

typedef FILE *host_file;
#define HOST_NO_FILE NULL
#define host_open(name, mode) fopen(name, mode)
#define host_read(file, data, size) fread(data, 1, size, file)
#define host_write(file, data, size) fwrite(data, 1, size, file)
#define host_close(file) fclose(file)

#endif

#endif
