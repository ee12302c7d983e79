/* One image from its int8 inputs to scores, on an AVR (simavr) and on RV32 (qemu): prints cycles or instructions, bytes
 * of stack, and the scores.
 *
 * The data sheet of the ATmega328P has the registers; "The RISC-V Instruction Set Manual" has rdinstret.
 */
#include <stdint.h>

#include "image.h" /* IMAGE, an array, and its INPUT_BYTES; RUN, INPUT, OUTPUT_BYTES */

enum { PAINT = 0xc5 };

#if defined(__AVR__)
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>

extern uint8_t __heap_start;
#define STACK_END (&__heap_start)
#define STACK_POINTER ((volatile uint8_t *)SP)

static void put(char letter) {
  while (!(UCSR0A & (1 << UDRE0))) continue;
  UDR0 = (uint8_t)letter;
}

static void start(void) {
  UCSR0B = 1 << TXEN0;
  TCCR1A = 0;
  TCCR1B = 1 << CS12; /* a tick is 256 cycles: 16 million of them fit */
}

static uint32_t ticks(void) { return (uint32_t)TCNT1 * 256; }

static void stop(void) {
  cli();
  for (;;) sleep_cpu();
}
#else
#include <stdio.h>
#include <stdlib.h>

static uint8_t *stack_end; /* as far down as is looked at */
#define STACK_END stack_end
#define STACK_POINTER ((volatile uint8_t *)__builtin_frame_address(0) - 256) /* below what main itself keeps */

static void put(char letter) { putchar(letter); }
static void start(void) { stack_end = (uint8_t *)__builtin_frame_address(0) - 16384; }
static uint32_t ticks(void) {
  uint32_t count;
  __asm__ volatile("rdinstret %0" : "=r"(count));
  return count;
}
static void stop(void) { exit(0); }
#endif

static void put_number(int32_t number) {
  char digits[11];
  uint8_t count = 0;
  uint32_t left = number < 0 ? 0 - (uint32_t)number : (uint32_t)number;
  do digits[count++] = (char)('0' + left % 10);
  while (left /= 10);
  if (number < 0) put('-');
  while (count) put(digits[--count]);
  put(' ');
}

int main(void) {
  static int8_t scores[OUTPUT_BYTES];
  volatile uint8_t *byte, *top;
  uint8_t *input;
  uint32_t before, after;
  start();
  input = (uint8_t *)INPUT(0);
  for (uint16_t i = 0; i < INPUT_BYTES; i++) input[i] = (uint8_t)IMAGE[i];
  top = STACK_POINTER;
  for (byte = STACK_END; byte < top; byte++) *byte = PAINT;
  before = ticks();
  RUN(0, scores);
  after = ticks();
  for (byte = STACK_END; byte < top && *byte == PAINT;) byte++;
  put_number((int32_t)(after - before));
  put_number((int32_t)(top - byte));
  for (uint16_t i = 0; i < OUTPUT_BYTES; i++) put_number(scores[i]);
  put('\r');
  put('\n');
  stop();
  return 0;
}
