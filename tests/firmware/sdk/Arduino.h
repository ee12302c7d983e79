/* Arduino's core: what the examples call of it. */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define F(text) (text)

class Line {
 public:
  void begin(unsigned long) {}
  explicit operator bool() const { return true; }
  int read() { return getchar(); }
  size_t write(const uint8_t *bytes, size_t count) { return fwrite(bytes, 1, count, stdout); }
  void print(const char *text) { fputs(text, stdout); }
  void print(char letter) { putchar(letter); }
  void print(int number) { printf("%d", number); }
  void print(unsigned long number) { printf("%lu", number); }
  template <typename T> void println(T what) { print(what), putchar('\n'); }
};

static Line Serial;

static inline void delay(unsigned long) { exit(1); }
static inline unsigned long micros() { return 0; }
