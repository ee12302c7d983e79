/* A loop of known length: measured.bin has its ticks, a 32-bit word. */
#include "host.h"

enum { TURNS = 1000000 }; /* of two instructions */

int main(void) {
  uint32_t turns = TURNS, before, ticks;
  const host_file file = host_open("measured.bin", "wb");
  if (file == HOST_NO_FILE) return 2;
  host_start_timer();
  before = host_ticks();
  __asm__ volatile(".syntax unified\n1: subs %0, %0, #1\n bne 1b" : "+l"(turns) : : "cc");
  ticks = (host_ticks() - before) & 0xffffff;
  if (host_write(file, &ticks, sizeof ticks) != sizeof ticks) return 4;
  return host_close(file) == 0 ? 0 : 4;
}
