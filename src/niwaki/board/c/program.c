/* The model as a program that needs no library, no Python and no camera.
 *
 *   niwaki classify PICTURE.pgm...    what is on each picture (PGM; PPM too where whole frames are looked at)
 *   niwaki selftest                   images and frames with known results: exit status 1 if one differs
 *   niwaki bench                      time of an inference and of a frame
 *   niwaki scores IN OUT              raw network inputs to int8 scores, in bulk
 */
#define _POSIX_C_SOURCE 200809L /* lstat */

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "known.h"
#include "picture.h"
#include "selftest.h"

enum { DONE = 0, DIFFERS = 1, BAD_INPUT = 2, NO_ROOM = 4 };

static const char *const USAGE =
    "usage: niwaki classify PICTURE.pgm...\n"
    "       niwaki selftest\n"
    "       niwaki bench\n"
    "       niwaki scores IN OUT    (IN: images of %d bytes, one after another; OUT: %d int8 scores each)\n";

static int fail(const char *path, const char *why, int status) {
  fflush(stdout);
  fprintf(stderr, "niwaki: %s: %s\n", path, why);
  return status;
}

static const char *outcome_text(int32_t outcome) {
  switch (outcome) {
    case NIWAKI_TOO_SMALL: return "no garment: what is there is too small";
    case NIWAKI_TOO_LARGE: return "no garment: what is there does not fit into the picture";
    default: return "no garment: nothing differs from the background";
  }
}

static double logit(int8_t score) {
  return ((double)score - NIWAKI_MODEL_OUTPUT_ZERO_POINT) * (double)NIWAKI_MODEL_OUTPUT_SCALE;
}

static double energy_of(const int8_t *scores, int8_t top) {
  const double t = known_decision.temperature;
  double sum = 0;
  for (int i = 0; i < NIWAKI_MODEL_CLASSES; i++) sum += exp((logit(scores[i]) - logit(top)) / t);
  return -(logit(top) + t * log(sum));
}

/* Prints the class, or that the rule rejects it. */
static void print_class(const char *path, const int8_t *scores) {
  int best = 0, second = -1;
  for (int i = 1; i < NIWAKI_MODEL_CLASSES; i++)
    if (scores[i] > scores[best]) best = i;
  for (int i = 0; i < NIWAKI_MODEL_CLASSES; i++)
    if (i != best && (second < 0 || scores[i] > scores[second])) second = i;
  const double energy = energy_of(scores, scores[best]);
  const int unknown = known_decision.has_energy && energy > known_decision.energy;
  const int close = known_decision.has_margin && second >= 0 &&
                    logit(scores[best]) - logit(scores[second]) < known_decision.margin;
  if (unknown || close)
    printf("%s: %s that is known for certain; most like %s (%.2f)\n", path, known_finds ? "no garment" : "nothing",
           known_names[best], logit(scores[best]));
  else
    printf("%s: %s (%.2f)\n", path, known_names[best], logit(scores[best]));
}

static void pad(const uint8_t *inner, uint8_t *input) {
  const size_t across = (size_t)known_inner_width, border = (size_t)known_pad, rows = (size_t)known_inner_height;
  const size_t area = (size_t)NIWAKI_MODEL_INPUT_WIDTH * NIWAKI_MODEL_INPUT_HEIGHT;
  memset(input, 0, NIWAKI_MODEL_INPUT_BYTES);
  for (size_t channel = 0; channel < (size_t)known_frame.channels; channel++)
    for (size_t y = 0; y < rows; y++)
      memcpy(input + channel * area + (y + border) * NIWAKI_MODEL_INPUT_WIDTH + border,
             inner + (channel * rows + y) * across, across);
}

/* The network's input from a whole picture: why there is none, or NULL. */
static const char *take_whole(const picture *photo, uint8_t *input) {
  const size_t area = (size_t)photo->width * (size_t)photo->height;
  const int32_t row = photo->width * photo->channels, step = photo->channels, other = photo->channels == 3;
  const niwaki_layout layout = {photo->width, photo->height, {0, row, step}, {other, row, step}, {2 * other, row, step},
                                1, 1, NIWAKI_RGB, 1};
  niwaki_frame how = known_frame;
  how.width = photo->width;
  how.height = photo->height;
  const size_t bytes = niwaki_frame_bytes(&how);
  void *const memory = bytes ? malloc(bytes) : NULL;
  uint8_t *const pixels = malloc(area * (size_t)how.channels), *const small = malloc(NIWAKI_MODEL_INPUT_BYTES);
  const char *why = memory && pixels && small ? NULL : "not enough memory";
  if (!why) {
    niwaki_frame_pixels(photo->pixels, area * (size_t)photo->channels, &layout, how.channels, pixels);
    niwaki_frame_init(memory, &how, NULL);
    niwaki_frame_shrink(memory, pixels, small);
    pad(small, input);
  }
  free(small);
  free(pixels);
  free(memory);
  return why;
}

/* The network's input from a photograph: why there is none, or NULL. `status` is set where it is the file's fault. */
static const char *look(const picture *photo, uint8_t *input, int *status) {
  const size_t bytes = niwaki_vision_bytes(photo->width, photo->height, known_inner_width, known_inner_height);
  const size_t inner = (size_t)known_inner_width * (size_t)known_inner_height;
  niwaki_finding finding;
  if (bytes == 0) {
    *status = BAD_INPUT;
    return "photographs have 16 to 4096 pixels each side";
  }
  uint8_t *const memory = malloc(bytes), *const small = malloc(inner);
  const char *why = NULL;
  if (!memory || !small) {
    *status = BAD_INPUT;
    why = "not enough memory";
  } else {
    niwaki_vision_init(memory, photo->width, photo->height, known_inner_width, known_inner_height);
    if (niwaki_vision_find(memory, photo->pixels, photo->width, small, &finding) != NIWAKI_FOUND)
      why = outcome_text(finding.outcome);
    else
      pad(small, input);
  }
  free(small);
  free(memory);
  return why;
}

static int classify(const char *path) {
  static uint8_t input[NIWAKI_MODEL_INPUT_BYTES];
  int8_t scores[NIWAKI_MODEL_OUTPUT_BYTES];
  picture photo;
  int status = DONE;
  const char *why = picture_read(path, !known_finds, &photo);
  if (why) return fail(path, why, BAD_INPUT);
  if (!known_finds) {
    why = take_whole(&photo, input);
    status = why ? BAD_INPUT : DONE;
  } else if (photo.width == NIWAKI_MODEL_INPUT_WIDTH && photo.height == NIWAKI_MODEL_INPUT_HEIGHT)
    memcpy(input, photo.pixels, NIWAKI_MODEL_INPUT_BYTES);
  else if (photo.width == known_inner_width && photo.height == known_inner_height)
    pad(photo.pixels, input);
  else
    why = look(&photo, input, &status);
  free(photo.pixels);
  if (status != DONE) return fail(path, why, status);
  if (why) {
    printf("%s: %s\n", path, why);
    return DONE;
  }
  niwaki_model_run_pixels(input, scores);
  print_class(path, scores);
  return DONE;
}

static int run_all(FILE *in, FILE *out, const char *from, const char *to) {
  static uint8_t input[NIWAKI_MODEL_INPUT_BYTES];
  int8_t scores[NIWAKI_MODEL_OUTPUT_BYTES];
  size_t got;
  while ((got = fread(input, 1, sizeof input, in)) == sizeof input) {
    niwaki_model_run_pixels(input, scores);
    if (fwrite(scores, 1, sizeof scores, out) != sizeof scores) return fail(to, strerror(errno), NO_ROOM);
  }
  if (ferror(in)) return fail(from, strerror(errno), BAD_INPUT);
  return got ? fail(from, "ends within an image", BAD_INPUT) : DONE;
}

/* Whether there is something that is no file: a device, a pipe, a link. It is written to, never replaced. */
static int is_special(const char *path) {
  struct stat about;
  return lstat(path, &about) == 0 && !S_ISREG(about.st_mode);
}

/* The scores appear whole or not at all where OUT is a file. */
static int bulk(const char *from, const char *to) {
  const size_t room = strlen(to) + sizeof ".part";
  const int direct = is_special(to);
  char *const part = malloc(room);
  FILE *const in = fopen(from, "rb");
  FILE *out = NULL;
  int status = DONE;
  if (part) snprintf(part, room, direct ? "%s" : "%s.part", to);
  if (!in)
    status = fail(from, strerror(errno), BAD_INPUT);
  else if (!part || !(out = fopen(part, "wb")))
    status = fail(to, strerror(errno), NO_ROOM);
  if (out) {
    status = run_all(in, out, from, to);
    if (fclose(out) != 0 && status == DONE) status = fail(to, strerror(errno), NO_ROOM);
    if (status == DONE && !direct && rename(part, to) != 0) status = fail(to, strerror(errno), NO_ROOM);
    if (status != DONE && !direct) remove(part);
  }
  if (in) fclose(in);
  free(part);
  return status;
}

static void print_usage(FILE *to) { fprintf(to, USAGE, NIWAKI_MODEL_INPUT_BYTES, NIWAKI_MODEL_OUTPUT_BYTES); }

static int command(int argc, char **argv) {
  const char *const name = argc > 1 ? argv[1] : "";
  int worst = DONE;
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
    print_usage(stdout);
    return DONE;
  }
  if (strcmp(name, "classify") == 0 && argc > 2) {
    for (int i = 2; i < argc; i++) {
      const int status = classify(argv[i]);
      if (status > worst) worst = status;
    }
    return worst;
  }
  if (strcmp(name, "selftest") == 0 && argc == 2) return selftest_run() ? DIFFERS : DONE;
  if (strcmp(name, "bench") == 0 && argc == 2) return selftest_bench() ? fail("bench", "not enough memory", BAD_INPUT) : DONE;
  if (strcmp(name, "scores") == 0 && argc == 4) return bulk(argv[2], argv[3]);
  print_usage(stderr);
  return BAD_INPUT;
}

int main(int argc, char **argv) {
  const int status = command(argc, argv);
  if (fflush(stdout) != 0 || ferror(stdout)) return fail("standard output", strerror(errno), NO_ROOM);
  return status;
}
