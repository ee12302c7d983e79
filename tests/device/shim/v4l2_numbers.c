/* What <linux/videodev2.h> says on this word size: every size, constant and request number that the sources use. */
#include <linux/videodev2.h>
#include <stddef.h>
#include <stdio.h>

#define REQUEST(name) printf("\"%s\": %lu,\n", #name, (unsigned long)VIDIOC_##name)
#define SIZE(name, type) printf("\"%s\": %zu,\n", #name, sizeof(struct type))
#define VALUE(name) printf("\"%s\": %lu,\n", #name, (unsigned long)V4L2_##name)

int main(void) {
  printf("{");
  REQUEST(QUERYCAP); REQUEST(ENUM_FMT); REQUEST(S_FMT); REQUEST(S_PARM); REQUEST(REQBUFS); REQUEST(QUERYBUF);
  REQUEST(QBUF); REQUEST(DQBUF); REQUEST(STREAMON);
  SIZE(CAPABILITY, v4l2_capability); SIZE(FMTDESC, v4l2_fmtdesc); SIZE(FORMAT, v4l2_format);
  SIZE(STREAMPARM, v4l2_streamparm); SIZE(REQUESTBUFFERS, v4l2_requestbuffers); SIZE(BUFFER, v4l2_buffer);
  VALUE(CAP_VIDEO_CAPTURE); VALUE(CAP_VIDEO_CAPTURE_MPLANE); VALUE(CAP_STREAMING); VALUE(CAP_IO_MC); VALUE(CAP_DEVICE_CAPS);
  VALUE(BUF_FLAG_ERROR); VALUE(FIELD_NONE);
  printf("\"COLOURS\": %zu, \"SPACE_JPEG\": %d, \"FULL_RANGE\": %d,\n", offsetof(struct v4l2_pix_format, xfer_func) -
         offsetof(struct v4l2_pix_format, colorspace), V4L2_COLORSPACE_JPEG, V4L2_QUANTIZATION_FULL_RANGE);
  printf("\"SPACES_709\": [%d, %d], \"ENCODINGS_709\": [%d, %d],\n", V4L2_COLORSPACE_REC709, V4L2_COLORSPACE_DCI_P3,
         V4L2_YCBCR_ENC_709, V4L2_YCBCR_ENC_XV709);
  printf("\"VIDEO_CAPTURE\": %d, \"MMAP\": %d}\n", V4L2_BUF_TYPE_VIDEO_CAPTURE, V4L2_MEMORY_MMAP);
  return 0;
}
