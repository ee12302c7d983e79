/* esp32-camera 2: what Camera calls of it. */
#pragma once
#include <stddef.h>

#include "frames.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef int esp_err_t;
#define ESP_OK 0
#define ESP_FAIL -1

typedef enum { LEDC_TIMER_0, LEDC_TIMER_1 } ledc_timer_t;
typedef enum { LEDC_CHANNEL_0, LEDC_CHANNEL_1 } ledc_channel_t;
typedef enum { PIXFORMAT_RGB565, PIXFORMAT_YUV422, PIXFORMAT_YUV420, PIXFORMAT_GRAYSCALE, PIXFORMAT_JPEG } pixformat_t;
typedef enum { FRAMESIZE_96X96, FRAMESIZE_QQVGA } framesize_t;
typedef enum { CAMERA_FB_IN_PSRAM, CAMERA_FB_IN_DRAM } camera_fb_location_t;
typedef enum { CAMERA_GRAB_WHEN_EMPTY, CAMERA_GRAB_LATEST } camera_grab_mode_t;

typedef struct {
  int pin_pwdn, pin_reset, pin_xclk, pin_sccb_sda, pin_sccb_scl;
  int pin_d7, pin_d6, pin_d5, pin_d4, pin_d3, pin_d2, pin_d1, pin_d0, pin_vsync, pin_href, pin_pclk;
  int xclk_freq_hz;
  ledc_timer_t ledc_timer;
  ledc_channel_t ledc_channel;
  pixformat_t pixel_format;
  framesize_t frame_size;
  int jpeg_quality;
  size_t fb_count;
  camera_fb_location_t fb_location;
  camera_grab_mode_t grab_mode;
} camera_config_t;

typedef struct {
  uint8_t *buf;
  size_t len, width, height;
  pixformat_t format;
} camera_fb_t;

typedef struct sensor_of_camera sensor_t;
struct sensor_of_camera {
  int (*set_vflip)(sensor_t *sensor, int enable);
};

static inline int set_vflip(sensor_t *sensor, int enable) { return sensor == NULL || enable != 1; }

static inline esp_err_t esp_camera_init(const camera_config_t *config) {
  const int grey = config->pixel_format == PIXFORMAT_GRAYSCALE && config->frame_size == FRAMESIZE_QQVGA;
  return grey && config->fb_count == 1 && config->xclk_freq_hz == 20000000 ? ESP_OK : ESP_FAIL;
}

static inline sensor_t *esp_camera_sensor_get(void) {
  static sensor_t sensor = {set_vflip};
  return &sensor;
}

static inline camera_fb_t *esp_camera_fb_get(void) {
  static uint8_t pixels[FRAME_BYTES];
  static camera_fb_t frame = {pixels, FRAME_BYTES, 160, 120, PIXFORMAT_GRAYSCALE};
  read_frame(pixels);
  return &frame;
}

static inline void esp_camera_fb_return(camera_fb_t *frame) { frame->len = FRAME_BYTES; }

#ifdef __cplusplus
}
#endif
