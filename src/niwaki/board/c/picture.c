#include "picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE ((size_t)128 << 20) /* the largest picture as text, and comments */
#define FIRST_ROOM ((size_t)1 << 16)

typedef struct {
  const uint8_t *data;
  size_t size, at;
} cursor;

static char reason[160];

static const char *because(const char *text) {
  snprintf(reason, sizeof reason, "%s", text);
  return reason;
}

static int is_space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The next byte, or -1 at the end. */
static int peek(const cursor *c) { return c->at < c->size ? c->data[c->at] : -1; }

static void skip_space_and_comments(cursor *c) {
  int next = peek(c);
  while (is_space(next) || next == '#') {
    if (next == '#')
      while (next != -1 && next != '\n' && next != '\r') c->at++, next = peek(c);
    else
      c->at++;
    next = peek(c);
  }
}

/* A number of at most 7 digits; -1 where there is none. */
static int32_t read_number(cursor *c) {
  int32_t value = 0;
  int digits = 0;
  skip_space_and_comments(c);
  for (int next = peek(c); next >= '0' && next <= '9'; next = peek(c)) {
    if (++digits > 7) return -1;
    value = 10 * value + (next - '0');
    c->at++;
  }
  return digits ? value : -1;
}

static uint8_t to_eight_bits(int32_t value, int32_t most) {
  return (uint8_t)(most == 255 ? value : (value * 255 + most / 2) / most);
}

static const char *read_raw(cursor *c, int32_t most, size_t count, uint8_t *pixels) {
  const size_t bytes = most > 255 ? 2 : 1;
  if (!is_space(peek(c))) return because("a PGM whose header does not end with a blank");
  c->at++;
  if ((c->size - c->at) / bytes < count) {
    snprintf(reason, sizeof reason, "truncated: %zu of %zu bytes of pixels: copy or convert it again", c->size - c->at, count * bytes);
    return reason;
  }
  for (size_t i = 0; i < count; i++) {
    int32_t value = c->data[c->at++];
    if (bytes == 2) value = 256 * value + c->data[c->at++];
    if (value > most) return because("a pixel is brighter than the header says");
    pixels[i] = to_eight_bits(value, most);
  }
  return NULL;
}

static const char *read_plain(cursor *c, int32_t most, size_t count, uint8_t *pixels) {
  for (size_t i = 0; i < count; i++) {
    const int32_t value = read_number(c);
    if (value < 0 || value > most) {
      const char *what = value >= 0 ? "is brighter than the header says" : peek(c) == -1 ? "is missing" : "is no number";
      snprintf(reason, sizeof reason, "pixel %zu of %zu %s", i + 1, count, what);
      return reason;
    }
    pixels[i] = to_eight_bits(value, most);
  }
  return NULL;
}

static const char *parse(cursor *c, int colours, picture *out) {
  const char kind = (char)(c->size > 1 ? c->data[1] : 0);
  const char *why;
  size_t count;
  int32_t most;
  const int grey = kind == '2' || kind == '5', colour = colours && (kind == '3' || kind == '6');
  if (c->size < 3 || c->data[0] != 'P' || !(grey || colour) || !(is_space(c->data[2]) || c->data[2] == '#'))
    return because(colours ? "no PPM or PGM (P2, P3, P5 or P6): convert it, as in: convert photo.jpg photo.ppm"
                           : "no PGM (P2 or P5): convert it, as in: convert photo.jpg photo.pgm");
  out->channels = colour ? 3 : 1;
  c->at = 2;
  out->width = read_number(c);
  out->height = read_number(c);
  most = read_number(c);
  if (out->width < 1 || out->height < 1 || out->width > PICTURE_MAX_SIDE || out->height > PICTURE_MAX_SIDE)
    return because("a PGM without sides of 1 to 4096 pixels");
  if (most < 1 || most > 65535) return because("a PGM whose brightest value is not 1 to 65535");
  count = (size_t)out->width * (size_t)out->height * (size_t)out->channels;
  out->pixels = malloc(count);
  if (!out->pixels) return because("not enough memory");
  why = kind == '5' || kind == '6' ? read_raw(c, most, count, out->pixels) : read_plain(c, most, count, out->pixels);
  if (why) {
    free(out->pixels);
    out->pixels = NULL;
  }
  return why;
}

/* All bytes of a file; `size` says how many. */
static const char *load(FILE *file, uint8_t **data, size_t *size) {
  size_t room = FIRST_ROOM, used = 0, got;
  uint8_t *bytes = malloc(room);
  while (bytes && (got = fread(bytes + used, 1, room - used, file)) > 0) {
    used += got;
    if (used < room) continue;
    if (room >= MAX_FILE) break;
    uint8_t *const more = realloc(bytes, 2 * room);
    if (!more) free(bytes);
    bytes = more;
    room *= 2;
  }
  *data = bytes;
  *size = used;
  if (!bytes) return because("not enough memory");
  if (ferror(file)) return because(strerror(errno));
  return used >= MAX_FILE ? because("larger than 128 MiB: make it smaller, as in: convert photo.jpg -resize 640 photo.pgm") : NULL;
}

const char *picture_read(const char *path, int colours, picture *out) {
  cursor c = {NULL, 0, 0};
  uint8_t *data = NULL;
  const char *why;
  FILE *const file = fopen(path, "rb");
  out->pixels = NULL;
  if (!file) return because(strerror(errno));
  why = load(file, &data, &c.size);
  fclose(file);
  c.data = data;
  if (!why) why = parse(&c, colours, out);
  free(data);
  return why;
}
