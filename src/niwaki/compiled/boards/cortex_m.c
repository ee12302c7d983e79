/* A Cortex-M without an operating system: start-up, semihosting, the timer.
 *
 * "Semihosting for AArch32 and AArch64" (ARM) has the calls, the Armv7-M Architecture Reference Manual the registers.
 */
#include "host.h"

enum { SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { APPLICATION_EXIT = 0x20026 };

extern uint32_t data_start[], data_end[], data_image[], bss_start[], bss_end[], stack_top[];
int main(void);
void start(void);

/* The debugger or emulator stops at this breakpoint and serves the call. */
static int32_t call_host(int32_t operation, const void *block) {
  register int32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = block;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

__attribute__((noreturn)) static void leave(uint32_t code) {
  const uint32_t block[2] = {APPLICATION_EXIT, code};
  for (;;) call_host(SYS_EXIT_EXTENDED, block);
}

host_file host_open(const char *name, const char *mode) {
  size_t length = 0;
  while (name[length]) length++;
  const uintptr_t block[3] = {(uintptr_t)name, mode[0] == 'w' ? 5 : 1, length}; /* 1 is "rb", 5 is "wb" */
  return call_host(SYS_OPEN, block);
}

/* What is not transferred is returned, so that the rest was. */
static size_t transfer(int32_t operation, host_file file, uintptr_t data, size_t size) {
  const uintptr_t block[3] = {(uintptr_t)file, data, size};
  const int32_t rest = call_host(operation, block);
  return rest < 0 || (size_t)rest > size ? 0 : size - (size_t)rest;
}

size_t host_read(host_file file, void *data, size_t size) { return transfer(SYS_READ, file, (uintptr_t)data, size); }

size_t host_write(host_file file, const void *data, size_t size) {
  return transfer(SYS_WRITE, file, (uintptr_t)data, size);
}

int host_close(host_file file) {
  const uintptr_t block[1] = {(uintptr_t)file};
  return call_host(SYS_CLOSE, block);
}

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define SYSTICK_CONTROL REGISTER(0xe000e010u)
#define SYSTICK_RELOAD REGISTER(0xe000e014u)
#define SYSTICK_VALUE REGISTER(0xe000e018u)
#define COPROCESSORS REGISTER(0xe000ed88u)
enum { SYSTICK_LIMIT = 0xffffff, SYSTICK_ON_BY_CPU_CLOCK = 5, FPU_FOR_ALL = 0xf << 20 };

void host_start_timer(void) {
  SYSTICK_RELOAD = SYSTICK_LIMIT;
  SYSTICK_VALUE = 0;
  SYSTICK_CONTROL = SYSTICK_ON_BY_CPU_CLOCK;
}

/* It counts down; the first tick after the start loads the limit. */
uint32_t host_ticks(void) { return (SYSTICK_LIMIT - SYSTICK_VALUE) & SYSTICK_LIMIT; }

/* Where the processor begins: memory as C expects it, then main. */
void start(void) {
#if defined(__ARM_FP)
  COPROCESSORS |= FPU_FOR_ALL;
  __asm__ volatile("dsb\n\tisb");
#endif
  const volatile uint32_t *from = data_image;
  for (volatile uint32_t *to = data_start; to < data_end;) *to++ = *from++;
  for (volatile uint32_t *to = bss_start; to < bss_end;) *to++ = 0;
  leave((uint32_t)main());
}

/* Any exception ends the program; the exit code is 128 and its number (3: a hard fault). */
static void fault(void) {
  uint32_t number;
  __asm__ volatile("mrs %0, ipsr" : "=r"(number));
  leave(128 + (number & 0x7f));
}

typedef union {
  uint32_t *stack;
  void (*handler)(void);
} vector;

__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    {.stack = stack_top}, {.handler = start}, {.handler = fault}, {.handler = fault}, {.handler = fault},
    {.handler = fault},   {.handler = fault}, {.handler = fault}, {.handler = fault}, {.handler = fault},
    {.handler = fault},   {.handler = fault}, {.handler = fault}, {.handler = fault}, {.handler = fault},
    {.handler = fault},
};
