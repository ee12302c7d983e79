/* What the program knows besides the model: names, the rule of rejection, images and frames with their exact results.
 * known.c is written when a bundle is built.
 */
#ifndef NIWAKI_KNOWN_H
#define NIWAKI_KNOWN_H

#include "model.h"
#include "niwaki_frame.h"
#include "niwaki_vision.h"

typedef struct {
  int has_energy, has_margin;
  double energy;      /* the highest that is accepted: -T log sum exp(logit / T) */
  double temperature; /* T */
  double margin;      /* the least lead of the best class over the second */
} known_rule;

extern const char *const known_names[NIWAKI_MODEL_CLASSES]; /* UTF-8 */
extern const known_rule known_decision;
extern const int32_t known_pad, known_inner_width, known_inner_height; /* of the network's input; zeros around */

extern const int known_images;
extern const uint8_t known_inputs[]; /* raw pixels, padded */
extern const int8_t known_scores[];

/* The first `known_learned` frames show the empty scene; each later one has a finding and a picture. */
extern const int known_frames, known_learned;
extern const int32_t known_frame_width, known_frame_height;
extern const size_t known_film_bytes; /* of one frame */
extern const uint8_t known_film[];
extern const uint8_t known_pictures[];
extern const niwaki_finding known_findings[];

extern const int known_finds;            /* 1: a garment is searched for; 0: the picture shows the frame or its centre */
extern const niwaki_frame known_frame;   /* how, for frames of that film */
extern const niwaki_layout known_layout; /* of that film */

#endif
