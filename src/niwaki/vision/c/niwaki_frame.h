/* niwaki frame: from what a camera gives to the picture that a network expects, where that shows the whole frame or its
 * centre.
 *
 * Samples of any layout become grey or red, green and blue pixels (integers); pixels become a smaller picture as Pillow
 * makes it: its filters and its rounding, first across, then down. Only the tables of weights are made with doubles,
 * once for each size of frames; what is done to pixels is integers.
 */
#ifndef NIWAKI_FRAME_H
#define NIWAKI_FRAME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NIWAKI_FRAME_MAX_SIDE 4096    /* of a frame, pixels */
#define NIWAKI_FRAME_MAX_PICTURE 1024 /* of a picture */

/* Where the samples of one component are: the first byte, bytes from row to row and from sample to sample. */
typedef struct {
  int32_t first, row, step;
} niwaki_samples;

typedef enum { NIWAKI_RGB = 0, NIWAKI_BT601 = 1, NIWAKI_BT709 = 2 } niwaki_matrix;

typedef struct {
  int32_t width, height;
  niwaki_samples a, b, c; /* red, green, blue; or Y, Cb, Cr */
  int32_t across, down;   /* pixels that share a sample of b and c: 1, 2 or 4; of RGB always 1 */
  int32_t matrix;         /* a niwaki_matrix */
  int32_t full;           /* 1: Y is 0 to 255; 0: 16 to 235, and Cb and Cr 16 to 240 */
} niwaki_layout;

/* Writes width × height pixels row by row: 1 byte each (channels 1: grey) or 3 (red, green, blue). 0, or -1 where the
 * layout does not fit into `bytes` bytes of data. */
int niwaki_frame_pixels(const uint8_t *data, size_t bytes, const niwaki_layout *layout, int32_t channels, uint8_t *pixels);

typedef enum { NIWAKI_STRETCH = 0, NIWAKI_FIT = 1, NIWAKI_CROP = 2 } niwaki_resize;
typedef enum { NIWAKI_NEAREST = 0, NIWAKI_BOX = 1, NIWAKI_BILINEAR = 2, NIWAKI_BICUBIC = 3 } niwaki_filter;

typedef struct {
  int32_t width, height;                 /* of frames */
  int32_t channels;                      /* 1 or 3 */
  int32_t picture_width, picture_height;
  int32_t resize;                        /* a niwaki_resize: both sides; all of it on black; its centre */
  int32_t shorter;                       /* crop: the shorter side before the centre is cut out; 0: just enough */
  int32_t filter;                        /* a niwaki_filter */
} niwaki_frame;

/* Bytes of working memory; 0 where a size or a choice is out of range, or the cut-out would be larger than the frame. It
 * is the caller's, aligned to 8 bytes. */
size_t niwaki_frame_bytes(const niwaki_frame *how);

/* Prepares memory. Writes to `box` (may be NULL) the part of the frame that the picture shows: x, y, width, height. 0, or
 * -1 as above. */
int niwaki_frame_init(void *memory, const niwaki_frame *how, int32_t *box);

/* Makes the picture of a frame of pixels side by side: channel after channel, each row by row. */
void niwaki_frame_shrink(void *memory, const uint8_t *pixels, uint8_t *picture);

#ifdef __cplusplus
}
#endif

#endif
