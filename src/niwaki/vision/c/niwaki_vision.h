/* niwaki vision: from a grey photograph to the small picture that a network for garments expects.
 *
 * The garment is found by its difference to the empty scene, learned before, or to a smooth background fitted to the
 * frame's own border; it is cut out and averaged down so that its longest side fills the picture, centred, bright on
 * black. Integers only, no allocation: the same bits on every processor.
 */
#ifndef NIWAKI_VISION_H
#define NIWAKI_VISION_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NIWAKI_VISION_ABI 1
#define NIWAKI_VISION_MIN_SIDE 16      /* of a frame, pixels */
#define NIWAKI_VISION_MAX_SIDE 4096
#define NIWAKI_VISION_MAX_INNER 256    /* of a picture, pixels */
#define NIWAKI_VISION_MAX_LEARNED 256  /* frames that are averaged; more change nothing */

typedef enum {
  NIWAKI_FOUND = 0,     /* the picture shows the garment */
  NIWAKI_NOTHING = 1,   /* nothing differs from the background */
  NIWAKI_TOO_SMALL = 2, /* bring it closer */
  NIWAKI_TOO_LARGE = 3  /* take it away from the camera: it does not fit into the frame */
} niwaki_outcome;

typedef struct {
  int32_t outcome;             /* a niwaki_outcome */
  int32_t x, y, width, height; /* box of the garment in the frame, pixels; 0 where nothing is there */
  int32_t polarity;            /* +1 brighter than its background, -1 darker, 0 where nothing is there */
  int32_t contrast;            /* of the garment against its background, grey levels */
  int32_t used_scene;          /* 1: compared with the learned empty scene; 0: with its own border */
} niwaki_finding;

/* Bytes of working memory for frames and pictures of these sizes; 0 where they are out of range: frames have 16 to
 * 4096 pixels each side, pictures 1 to 256. The memory also holds the learned scene. It is the caller's, aligned to 8
 * bytes, and may be copied or moved between calls. */
size_t niwaki_vision_bytes(int32_t width, int32_t height, int32_t inner_width, int32_t inner_height);

/* Prepares memory, before anything else; forgets the scene. 0, or -1 where sizes are out of range. */
int niwaki_vision_init(void *memory, int32_t width, int32_t height, int32_t inner_width, int32_t inner_height);

/* Takes in one frame of the empty scene, rows `stride` bytes apart; frames are averaged, from the first after init or
 * forget on. Returns how many there are now, at most NIWAKI_VISION_MAX_LEARNED. */
int niwaki_vision_learn(void *memory, const uint8_t *grey, int32_t stride);

/* Forgets the scene. */
void niwaki_vision_forget(void *memory);

/* Looks for the garment in one grey frame, rows `stride` bytes apart. Writes inner_width × inner_height bytes, row by
 * row, to `picture` (zeros unless it was found) and returns the outcome, which is in `finding` too. */
int niwaki_vision_find(void *memory, const uint8_t *grey, int32_t stride, uint8_t *picture, niwaki_finding *finding);

#ifdef __cplusplus
}
#endif

#endif
