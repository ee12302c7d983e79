/* Runs a generated model on the images of inputs.bin and writes their scores to scores.bin, both raw bytes in the
 * current folder. Compile with -DRUN=niwaki_model_run (or _run_pixels), -DINPUT_BYTES=..., -DOUTPUT_BYTES=....
 */
#include "host.h"
#include "model.h"

int main(void) {
  static uint8_t image[INPUT_BYTES];
  static int8_t scores[OUTPUT_BYTES];
  size_t got;
  const host_file inputs = host_open("inputs.bin", "rb"), outputs = host_open("scores.bin", "wb");
  if (inputs == HOST_NO_FILE || outputs == HOST_NO_FILE) return 2;
  while ((got = host_read(inputs, image, sizeof image)) == sizeof image) {
    if (RUN((const void *)image, scores) != 0) return 3;
    if (host_write(outputs, scores, sizeof scores) != sizeof scores) return 4;
  }
  if (got != 0) return 5; /* the file does not hold whole images */
  return host_close(outputs) == 0 ? 0 : 4;
}
