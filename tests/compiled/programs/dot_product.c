/* A control: one dot-product instruction of ARMv8.2, which a Cortex-A57 does not have. */
#include <arm_neon.h>

int main(void) {
  volatile int8_t one = 3, other = -5;
  int32x4_t sum = vdotq_s32(vdupq_n_s32(0), vdupq_n_s8(one), vdupq_n_s8(other));
  return vgetq_lane_s32(sum, 2) == -60 ? 0 : 1;
}
