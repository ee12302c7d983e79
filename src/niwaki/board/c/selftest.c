#define _POSIX_C_SOURCE 199309L /* clock_gettime */
#include "selftest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "known.h"
#include "niwaki_dispatch.h"

#define BLOCKS 21
#define BLOCK_NS 20000000.0
#define BENCH_WIDTH 640
#define BENCH_HEIGHT 480

static const char *kernels(void) {
#define NAME(name) #name,
  static const char *const names[] = {NIWAKI_VARIANTS(NAME)};
  return names[niwaki_cpu()];
}

static int exact_images(void) {
  int8_t scores[NIWAKI_MODEL_OUTPUT_BYTES];
  int exact = 0;
  for (int i = 0; i < known_images; i++) {
    niwaki_model_run_pixels(known_inputs + (size_t)i * NIWAKI_MODEL_INPUT_BYTES, scores);
    exact += memcmp(scores, known_scores + (size_t)i * sizeof scores, sizeof scores) == 0;
  }
  return exact;
}

/* Memory for the vision, prepared; NULL where there is none. */
static void *eyes(int32_t width, int32_t height) {
  void *const memory = malloc(niwaki_vision_bytes(width, height, known_inner_width, known_inner_height));
  if (memory && niwaki_vision_init(memory, width, height, known_inner_width, known_inner_height) != 0) {
    free(memory);
    return NULL;
  }
  return memory;
}

static int exact_garments(void) {
  const int32_t width = known_frame_width, height = known_frame_height;
  const size_t frame = (size_t)width * (size_t)height;
  const size_t inner = (size_t)known_inner_width * (size_t)known_inner_height;
  void *const memory = eyes(width, height);
  uint8_t *const picture = malloc(inner);
  int exact = 0;
  for (int i = 0; memory && picture && i < known_frames; i++) {
    const uint8_t *const grey = known_film + (size_t)i * frame;
    const int at = i - known_learned;
    niwaki_finding finding;
    if (at < 0) {
      niwaki_vision_learn(memory, grey, width);
      continue;
    }
    niwaki_vision_find(memory, grey, width, picture, &finding);
    exact += memcmp(&finding, &known_findings[at], sizeof finding) == 0 &&
             memcmp(picture, known_pictures + (size_t)at * inner, inner) == 0;
  }
  free(picture);
  free(memory);
  return exact;
}

/* Every frame of the film, converted and shrunk. */
static int exact_whole_frames(void) {
  const size_t pixels = (size_t)known_frame_width * (size_t)known_frame_height * (size_t)known_frame.channels;
  const size_t inner = (size_t)known_inner_width * (size_t)known_inner_height * (size_t)known_frame.channels;
  void *const memory = malloc(niwaki_frame_bytes(&known_frame));
  uint8_t *const frame = malloc(pixels), *const picture = malloc(inner);
  int32_t box[4];
  int exact = 0;
  if (memory && frame && picture && niwaki_frame_init(memory, &known_frame, box) == 0)
    for (int i = 0; i < known_frames; i++) {
      const uint8_t *const samples = known_film + (size_t)i * known_film_bytes;
      const niwaki_finding *const known = &known_findings[i];
      if (niwaki_frame_pixels(samples, known_film_bytes, &known_layout, known_frame.channels, frame) != 0) break;
      niwaki_frame_shrink(memory, frame, picture);
      exact += memcmp(picture, known_pictures + (size_t)i * inner, inner) == 0 && known->x == box[0] &&
               known->y == box[1] && known->width == box[2] && known->height == box[3];
    }
  free(picture);
  free(frame);
  free(memory);
  return exact;
}

static int exact_frames(void) { return known_finds ? exact_garments() : exact_whole_frames(); }

int selftest_run(void) {
  const int images = exact_images(), frames = exact_frames(), all = known_frames - known_learned;
  printf("kernels: %s\n", kernels());
  printf("images: %d of %d exact\n", images, known_images);
  printf("frames: %d of %d exact\n", frames, all);
  return images == known_images && frames == all ? 0 : 1;
}

static double now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

static int by_size(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

typedef struct {
  void *memory;
  uint8_t *frame, *picture; /* of a whole frame, three bytes for each pixel at most */
} bench;

static void infer(const bench *b, long i) {
  int8_t scores[NIWAKI_MODEL_OUTPUT_BYTES];
  (void)b;
  niwaki_model_run_pixels(known_inputs + (size_t)(i % known_images) * NIWAKI_MODEL_INPUT_BYTES, scores);
}

static void look(const bench *b, long i) {
  niwaki_finding finding;
  (void)i;
  if (known_finds)
    niwaki_vision_find(b->memory, b->frame, BENCH_WIDTH, b->picture, &finding);
  else
    niwaki_frame_shrink(b->memory, b->frame, b->picture);
}

/* Nanoseconds of one call: the median of blocks that take some milliseconds each. */
static double median_ns(void (*call)(const bench *, long), const bench *b) {
  double blocks[BLOCKS], start = now_ns(), spent = 0;
  long count = 0, done = 0;
  for (; spent < BLOCK_NS; spent = now_ns() - start) call(b, count++);
  for (int block = 0; block < BLOCKS; block++) {
    start = now_ns();
    for (long i = 0; i < count; i++) call(b, done++);
    blocks[block] = (now_ns() - start) / (double)count;
  }
  qsort(blocks, BLOCKS, sizeof *blocks, by_size);
  return blocks[BLOCKS / 2];
}

/* A grey table, lit from one side; with a garment, a bright square in its middle. */
static void draw(uint8_t *frame, int garment) {
  for (int y = 0; y < BENCH_HEIGHT; y++)
    for (int x = 0; x < BENCH_WIDTH; x++) {
      const int inside = garment && x > 200 && x < 440 && y > 120 && y < 360;
      frame[y * BENCH_WIDTH + x] = (uint8_t)(inside ? 200 : 60 + x / 16 + (x * 7 + y * 13) % 5);
    }
}

/* Memory for whole frames, prepared; NULL where there is none. */
static void *whole_frames(void) {
  niwaki_frame how = known_frame;
  how.width = BENCH_WIDTH;
  how.height = BENCH_HEIGHT;
  void *const memory = malloc(niwaki_frame_bytes(&how));
  if (memory) niwaki_frame_init(memory, &how, NULL);
  return memory;
}

int selftest_bench(void) {
  const size_t channels = (size_t)known_frame.channels;
  bench b = {known_finds ? eyes(BENCH_WIDTH, BENCH_HEIGHT) : whole_frames(),
             calloc(channels, (size_t)BENCH_WIDTH * BENCH_HEIGHT),
             malloc((size_t)known_inner_width * (size_t)known_inner_height * channels)};
  const int ready = b.memory && b.frame && b.picture;
  if (ready) {
    draw(b.frame, 0);
    if (known_finds) niwaki_vision_learn(b.memory, b.frame, BENCH_WIDTH);
    draw(b.frame, 1);
    printf("kernels: %s\n", kernels());
    printf("inference: %.2f us\n", median_ns(infer, &b) / 1000);
    printf("vision, a frame of %dx%d: %.1f us\n", BENCH_WIDTH, BENCH_HEIGHT, median_ns(look, &b) / 1000);
  }
  free(b.memory);
  free(b.frame);
  free(b.picture);
  return ready ? 0 : 1;
}
