/* runner.c for a board, which also writes measured.bin: for each image two 32-bit words, the timer's ticks during RUN and
 * the bytes of stack that RUN used.
 */
#include "host.h"
#include "model.h"

#define UNUSED_WORD 0xdeadbee5u
#define WATCHED_WORDS 4096 /* of the stack below main's frame */

extern uint32_t bss_end[];

int main(void) {
  static uint8_t image[INPUT_BYTES];
  static int8_t scores[OUTPUT_BYTES];
  size_t got;
  const host_file inputs = host_open("inputs.bin", "rb"), outputs = host_open("scores.bin", "wb");
  const host_file measured = host_open("measured.bin", "wb");
  if (inputs == HOST_NO_FILE || outputs == HOST_NO_FILE || measured == HOST_NO_FILE) return 2;
  host_start_timer();
  while ((got = host_read(inputs, image, sizeof image)) == sizeof image) {
    volatile uint32_t *stack, *word, *end;
    uint32_t before, after, figures[2];
    __asm__ volatile("mov %0, sp" : "=r"(stack));
    end = (uint32_t)(stack - bss_end) > WATCHED_WORDS ? stack - WATCHED_WORDS : bss_end;
    for (word = end; word < stack; word++) *word = UNUSED_WORD;
    before = host_ticks();
    if (RUN((const void *)image, scores) != 0) return 3;
    after = host_ticks();
    for (word = end; word < stack && *word == UNUSED_WORD;) word++;
    figures[0] = (after - before) & 0xffffff;
    figures[1] = (uint32_t)(stack - word) * (uint32_t)sizeof *word;
    if (host_write(measured, figures, sizeof figures) != sizeof figures) return 4;
    if (host_write(outputs, scores, sizeof scores) != sizeof scores) return 4;
  }
  if (got != 0) return 5; /* the file does not hold whole images */
  return host_close(measured) == 0 && host_close(outputs) == 0 ? 0 : 4;
}
