/* An AVR's files: by serial line, served by whoever started it (niwaki.toolchain.serial_host).
 *
 * A request is a letter and its arguments; numbers have two bytes, the lower first. The ATmega328P's and the
 * ATmega2560's data sheets have the registers, which are the same.
 */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>

#include "host.h"

int main(void);

/* libgcc's product of 16-bit numbers skips a `ret`, after which qemu 7.2 runs the skip again and again. The same without
 * one: r27:r26 times r19:r18 is in r25:r22, and too large where the first is negative. */
__asm__(
    ".section .text.libgcc.mul, \"ax\", @progbits\n"
    ".global __usmulhisi3\n"
    "__usmulhisi3:\n"
    "  call __umulhisi3\n"
    ".global __usmulhisi3_tail\n"
    "__usmulhisi3_tail:\n"
    "  sbrs r27, 7\n"
    "  rjmp 1f\n"
    "  sub r24, r18\n"
    "  sbc r25, r19\n"
    "1: ret\n");

static uint8_t get(void) {
  while (!(UCSR0A & (1 << RXC0))) continue;
  return UDR0;
}

static void put(uint8_t byte) {
  while (!(UCSR0A & (1 << UDRE0))) continue;
  UDR0 = byte;
}

static size_t get_size(void) {
  const uint8_t low = get();
  return (size_t)(low | (unsigned)get() << 8);
}

static void ask(char letter, host_file file, size_t size) {
  put((uint8_t)letter);
  put((uint8_t)file);
  put((uint8_t)size);
  put((uint8_t)(size >> 8));
}

host_file host_open(const char *name, const char *mode) {
  size_t length = 0;
  int8_t file;
  while (name[length]) length++;
  ask('o', mode[0], length);
  while (*name) put((uint8_t)*name++);
  file = (int8_t)get();
  return file;
}

size_t host_read(host_file file, void *data, size_t size) {
  uint8_t *to = data;
  size_t got, i;
  ask('r', file, size);
  got = get_size();
  for (i = 0; i < got; i++) to[i] = get();
  return got;
}

size_t host_write(host_file file, const void *data, size_t size) {
  const uint8_t *from = data;
  size_t i;
  ask('w', file, size);
  for (i = 0; i < size; i++) put(from[i]);
  return get_size();
}

int host_close(host_file file) {
  ask('c', file, 0);
  return (int8_t)get();
}

/* Before main: the line as fast as it goes. */
__attribute__((constructor, used)) static void open_line(void) {
  UBRR0 = 0;
  UCSR0A = 1 << U2X0;
  UCSR0B = 1 << RXEN0 | 1 << TXEN0;
}

/* What follows main: C's `exit`. */
void exit(int code) {
  ask('x', 0, (size_t)code);
  cli();
  for (;;) sleep_cpu();
}
