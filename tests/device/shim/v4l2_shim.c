/* A camera of Video4Linux for programs that are started with this library preloaded: it answers as a USB camera's driver
 * does, in the terms of the true <linux/videodev2.h>, for the word size that it is compiled for.
 *
 * V4L2_SHIM holds settings, separated by commas:
 *   path=/dev/video0     the device node
 *   formats=MJPG+YUYV    what ENUM_FMT lists, in this order; a wish for any other gets the first
 *   sizes=640x480        what it has; a wish gets the nearest
 *   pad=0                bytes after each row
 *   period=2000          microseconds from one frame to the next
 *   capabilities=0x...   instead of capture and streaming (device_caps)
 *   unplug=N  gone=M     after N frames the camera is unplugged; the next M attempts to open find nothing (default 1)
 *   freeze=N             after N frames no more come
 *   damaged=K short=K    every K-th frame is flagged as an error, or only half there
 *   fail=NAME:ERRNO      that call (open, or an ioctl without VIDIOC_) fails
 *   buffers=N            how many it grants at most
 *   jpeg=FILE            what an MJPG frame holds
 *   log=FILE             what was asked, a line each
 *
 * Luminance of frame n at (x, y) is x + 3 y + 7 n modulo 256; padding and colour hold 0xEE. n counts on while no buffer
 * is free, as with a true camera, and from 0 in every process. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 8, PAGE = 65536 };

static struct {
  int descriptor, memory; /* an eventfd that can be read when a frame, or the end, is there; -1 while closed */
  int streaming, unplugged, count, mapped;
  struct v4l2_pix_format format;
  size_t buffer_bytes;
  unsigned char *seen[MOST]; /* the driver's own mapping of each buffer */
  struct v4l2_buffer state[MOST];
  int queued[MOST], n_queued, done[MOST], n_done;
  unsigned frame, delivered;
} cam = {.descriptor = -1, .memory = -1};
static int refusals;
static char refused_for[512]; /* the settings that they belong to: the next camera is another one */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t sensor;

static const char *setting(const char *name, const char *otherwise) {
  static __thread char value[256];
  const char *at = getenv("V4L2_SHIM");
  size_t length = strlen(name);
  while (at != NULL && *at != '\0') {
    if (strncmp(at, name, length) == 0 && at[length] == '=') {
      snprintf(value, sizeof value, "%.*s", (int)strcspn(at + length + 1, ","), at + length + 1);
      return value;
    }
    at = strchr(at, ',');
    at = at == NULL ? NULL : at + 1;
  }
  return otherwise;
}

static long number(const char *name, long otherwise) {
  const char *text = setting(name, NULL);
  return text == NULL ? otherwise : strtol(text, NULL, 0);
}

static void note(const char *format, ...) {
  const char *path = setting("log", NULL);
  FILE *file = path == NULL ? NULL : fopen(path, "a");
  va_list values;
  if (file == NULL) return;
  va_start(values, format);
  vfprintf(file, format, values);
  va_end(values);
  fputc('\n', file);
  fclose(file);
}

static int refuse(int number) {
  errno = number;
  return -1;
}

static int fails(const char *name) { /* the errno that was set for this call, or 0 */
  char wanted[32];
  const char *text = setting("fail", "");
  snprintf(wanted, sizeof wanted, "%s:", name);
  return strncmp(text, wanted, strlen(wanted)) == 0 ? atoi(text + strlen(wanted)) : 0;
}

/* ---- formats ---- */

static int format_at(unsigned index, __u32 *fourcc) {
  const char *formats = setting("formats", "MJPG+YUYV");
  if (strlen(formats) < 5 * index + 4) return 0;
  formats += 5 * index;
  *fourcc = v4l2_fourcc((__u32)formats[0], (__u32)formats[1], (__u32)formats[2], (__u32)formats[3]);
  return 1;
}

static int has_format(__u32 wanted) {
  __u32 fourcc;
  for (unsigned i = 0; format_at(i, &fourcc); i++)
    if (fourcc == wanted) return 1;
  return 0;
}

static void nearest_size(__u32 *width, __u32 *height) {
  const char *at = setting("sizes", "640x480");
  long best = -1, best_width = 0, best_height = 0;
  while (at != NULL && *at != '\0') {
    char *end;
    long w = strtol(at, &end, 10), h = strtol(end + 1, &end, 10);
    long distance = labs(w * h - (long)*width * (long)*height);
    if (best < 0 || distance < best) best = distance, best_width = w, best_height = h;
    at = *end == '+' ? end + 1 : NULL;
  }
  *width = (__u32)best_width;
  *height = (__u32)best_height;
}

static __u32 bytes_per_pixel_of_row(__u32 fourcc) {
  switch (fourcc) {
    case V4L2_PIX_FMT_YUYV: case V4L2_PIX_FMT_UYVY: case V4L2_PIX_FMT_YVYU: case V4L2_PIX_FMT_VYUY:
    case V4L2_PIX_FMT_Y16: case V4L2_PIX_FMT_SRGGB10: return 2;
    case V4L2_PIX_FMT_MJPEG: return 0;
    default: return 1;
  }
}

static __u32 rows_of(__u32 fourcc, __u32 height) { /* colour planes, if any, follow in rows as long */
  switch (fourcc) {
    case V4L2_PIX_FMT_NV12: case V4L2_PIX_FMT_NV21: case V4L2_PIX_FMT_YUV420: case V4L2_PIX_FMT_YVU420:
      return height + (height + 1) / 2;
    case V4L2_PIX_FMT_NV16: case V4L2_PIX_FMT_YUV422P: return 2 * height;
    default: return height;
  }
}

static int set_format(struct v4l2_format *wish) {
  struct v4l2_pix_format *pix = &wish->fmt.pix;
  if (wish->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return refuse(EINVAL);
  if (cam.streaming || cam.count > 0) return refuse(EBUSY);
  note("S_FMT %ux%u %.4s", pix->width, pix->height, (char *)&pix->pixelformat);
  if (!has_format(pix->pixelformat)) format_at(0, &pix->pixelformat);
  nearest_size(&pix->width, &pix->height);
  pix->field = V4L2_FIELD_NONE;
  pix->bytesperline = pix->width * bytes_per_pixel_of_row(pix->pixelformat);
  if (pix->bytesperline > 0) pix->bytesperline += (__u32)number("pad", 0);
  pix->sizeimage = pix->pixelformat == V4L2_PIX_FMT_MJPEG ? pix->width * pix->height * 2
                                                          : pix->bytesperline * rows_of(pix->pixelformat, pix->height);
  pix->colorspace = V4L2_COLORSPACE_SRGB;
  cam.format = *pix;
  return 0;
}

/* ---- frames ---- */

static size_t draw(unsigned char *to, unsigned n) {
  const struct v4l2_pix_format *pix = &cam.format;
  __u32 step = bytes_per_pixel_of_row(pix->pixelformat);
  size_t first = pix->pixelformat == V4L2_PIX_FMT_UYVY || pix->pixelformat == V4L2_PIX_FMT_VYUY ||
                 pix->pixelformat == V4L2_PIX_FMT_Y16;
  if (pix->pixelformat == V4L2_PIX_FMT_MJPEG) {
    FILE *file = fopen(setting("jpeg", ""), "rb");
    size_t bytes = file == NULL ? 0 : fread(to, 1, pix->sizeimage, file);
    if (file != NULL) fclose(file);
    return bytes;
  }
  memset(to, 0xEE, pix->sizeimage);
  for (__u32 y = 0; y < pix->height; y++)
    for (__u32 x = 0; x < pix->width; x++)
      to[(size_t)y * pix->bytesperline + (size_t)x * step + first] = (unsigned char)(x + 3 * y + 7 * n);
  return pix->sizeimage;
}

static int every(const char *name, unsigned n) {
  long k = number(name, 0);
  return k > 0 && (n + 1) % (unsigned)k == 0;
}

static void tell(__u64 count) {
  if (write(cam.descriptor, &count, sizeof count) != (ssize_t)sizeof count) abort();
}

static void deliver(void) { /* one frame into the buffer that has waited longest, if there is one */
  unsigned n = cam.frame++;
  struct v4l2_buffer *buffer;
  int index;
  if (cam.n_queued == 0) return;
  index = cam.queued[0];
  memmove(cam.queued, cam.queued + 1, sizeof(int) * (size_t)--cam.n_queued);
  buffer = &cam.state[index];
  buffer->bytesused = (__u32)draw(cam.seen[index], n) / (every("short", n) ? 2 : 1);
  buffer->flags = V4L2_BUF_FLAG_MAPPED | V4L2_BUF_FLAG_DONE | V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC |
                  (every("damaged", n) ? V4L2_BUF_FLAG_ERROR : 0);
  buffer->sequence = n;
  buffer->timestamp.tv_sec = 1000 + n;
  cam.done[cam.n_done++] = index;
  cam.delivered++;
  tell(1);
}

static void *run_sensor(void *unused) {
  long period = number("period", 2000), freeze = number("freeze", -1), unplug = number("unplug", -1);
  struct timespec wait = {period / 1000000, period % 1000000 * 1000};
  (void)unused;
  for (;;) {
    nanosleep(&wait, NULL);
    pthread_mutex_lock(&lock);
    if (!cam.streaming) break;
    if (unplug >= 0 && cam.delivered >= (unsigned)unplug) {
      cam.unplugged = 1;
      refusals = (int)number("gone", 1);
      snprintf(refused_for, sizeof refused_for, "%s", getenv("V4L2_SHIM"));
      tell(1000000); /* as poll says POLLERR from now on */
      note("unplugged");
      break;
    }
    if (freeze < 0 || cam.delivered < (unsigned)freeze) deliver();
    pthread_mutex_unlock(&lock);
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

/* ---- buffers ---- */

static int request_buffers(struct v4l2_requestbuffers *wish) {
  if (wish->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || wish->memory != V4L2_MEMORY_MMAP) return refuse(EINVAL);
  if (cam.streaming || cam.mapped > 0) return refuse(EBUSY);
  if (wish->count > (__u32)number("buffers", MOST)) wish->count = (__u32)number("buffers", MOST);
  cam.buffer_bytes = (cam.format.sizeimage + PAGE - 1) / PAGE * PAGE;
  cam.memory = (int)syscall(SYS_memfd_create, "v4l2_shim", 1u /* close on exec */);
  if (ftruncate(cam.memory, (off_t)(cam.buffer_bytes * MOST)) != 0) abort();
  cam.count = (int)wish->count;
  note("REQBUFS %d", cam.count);
  return 0;
}

static int query_buffer(struct v4l2_buffer *buffer) {
  if (buffer->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || buffer->index >= (__u32)cam.count) return refuse(EINVAL);
  buffer->memory = V4L2_MEMORY_MMAP;
  buffer->m.offset = (__u32)(buffer->index * cam.buffer_bytes);
  buffer->length = cam.format.sizeimage;
  return 0;
}

static int queue_buffer(struct v4l2_buffer *buffer) {
  int index = (int)buffer->index;
  if (buffer->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || buffer->memory != V4L2_MEMORY_MMAP) return refuse(EINVAL);
  if (index >= cam.count) return refuse(EINVAL);
  for (int i = 0; i < cam.n_queued; i++)
    if (cam.queued[i] == index) return refuse(EINVAL);
  for (int i = 0; i < cam.n_done; i++)
    if (cam.done[i] == index) return refuse(EINVAL);
  cam.queued[cam.n_queued++] = index;
  buffer->flags = V4L2_BUF_FLAG_MAPPED | V4L2_BUF_FLAG_QUEUED;
  return 0;
}

static int dequeue_buffer(struct v4l2_buffer *buffer) {
  __u64 one;
  int index;
  if (buffer->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || buffer->memory != V4L2_MEMORY_MMAP || !cam.streaming)
    return refuse(EINVAL);
  if (cam.n_done == 0) return refuse(EAGAIN);
  if (read(cam.descriptor, &one, sizeof one) != (ssize_t)sizeof one) abort();
  index = cam.done[0];
  memmove(cam.done, cam.done + 1, sizeof(int) * (size_t)--cam.n_done);
  *buffer = cam.state[index];
  buffer->index = (__u32)index;
  buffer->type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
  buffer->memory = V4L2_MEMORY_MMAP;
  buffer->field = V4L2_FIELD_NONE;
  buffer->m.offset = (__u32)((size_t)index * cam.buffer_bytes);
  buffer->length = cam.format.sizeimage;
  return 0;
}

static int stream_on(const int *type) {
  if (*type != V4L2_BUF_TYPE_VIDEO_CAPTURE || cam.count == 0) return refuse(EINVAL);
  for (int i = 0; i < cam.count; i++) {
    void *at = mmap(NULL, cam.buffer_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, cam.memory, (off_t)cam.buffer_bytes * i);
    if (at == MAP_FAILED) abort();
    cam.seen[i] = at;
  }
  cam.streaming = 1;
  note("STREAMON with %d queued, %d mapped", cam.n_queued, cam.mapped);
  return pthread_create(&sensor, NULL, run_sensor, NULL) == 0 ? 0 : refuse(ENOMEM);
}

static void end(void) { /* the last descriptor is closed */
  int was_streaming;
  pthread_mutex_lock(&lock);
  was_streaming = cam.streaming;
  cam.streaming = 0;
  pthread_mutex_unlock(&lock);
  if (was_streaming) pthread_join(sensor, NULL);
  for (int i = 0; i < cam.count; i++)
    if (cam.seen[i] != NULL) syscall(SYS_munmap, cam.seen[i], cam.buffer_bytes);
  note("close with %d mapped", cam.mapped);
  if (cam.memory >= 0) syscall(SYS_close, cam.memory);
  cam.descriptor = cam.memory = -1;
  cam.count = cam.n_queued = cam.n_done = cam.unplugged = 0;
  cam.delivered = 0;
  memset(cam.seen, 0, sizeof cam.seen);
}

/* ---- what the program calls ---- */

static int capabilities(struct v4l2_capability *answer) {
  memset(answer, 0, sizeof *answer);
  strcpy((char *)answer->driver, "uvcvideo");
  strcpy((char *)answer->card, "Shim Camera");
  answer->device_caps = (__u32)strtoul(setting("capabilities", "0x04200001"), NULL, 0);
  answer->capabilities = answer->device_caps | V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
  return 0;
}

static int list_format(struct v4l2_fmtdesc *wish) {
  if (wish->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || !format_at(wish->index, &wish->pixelformat)) return refuse(EINVAL);
  snprintf((char *)wish->description, sizeof wish->description, "%.4s", (char *)&wish->pixelformat);
  return 0;
}

static int set_rate(struct v4l2_streamparm *wish) {
  struct v4l2_fract *each = &wish->parm.capture.timeperframe;
  if (wish->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return refuse(EINVAL);
  note("S_PARM %u/%u", each->numerator, each->denominator);
  wish->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
  each->numerator = 1;
  each->denominator = 30;
  return 0;
}

#define CALL(name, action) \
  case VIDIOC_##name: return (failure = fails(#name)) != 0 ? refuse(failure) : (action);

static int answer(unsigned long request, void *value) {
  int failure;
  if (cam.unplugged) return refuse(ENODEV);
  switch (request & 0xFFFFFFFFul) {
    CALL(QUERYCAP, capabilities(value))
    CALL(ENUM_FMT, list_format(value))
    CALL(S_FMT, set_format(value))
    CALL(S_PARM, set_rate(value))
    CALL(REQBUFS, request_buffers(value))
    CALL(QUERYBUF, query_buffer(value))
    CALL(QBUF, queue_buffer(value))
    CALL(DQBUF, dequeue_buffer(value))
    CALL(STREAMON, stream_on(value))
    default: note("unknown ioctl 0x%lx", request); return refuse(ENOTTY);
  }
}

int ioctl(int descriptor, unsigned long request, ...) {
  va_list values;
  void *value;
  int result;
  va_start(values, request);
  value = va_arg(values, void *);
  va_end(values);
  if (descriptor != cam.descriptor || descriptor < 0) return (int)syscall(SYS_ioctl, descriptor, request, value);
  pthread_mutex_lock(&lock);
  result = answer(request, value);
  pthread_mutex_unlock(&lock);
  return result;
}

static int open_camera(void) {
  int failure = fails("open");
  if (failure != 0) return refuse(failure);
  if (refusals > 0 && getenv("V4L2_SHIM") != NULL && strcmp(refused_for, getenv("V4L2_SHIM")) != 0) refusals = 0;
  if (refusals > 0) return refusals--, note("open finds nothing"), refuse(ENOENT);
  if (cam.descriptor >= 0) return refuse(EBUSY);
  cam.descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
  note("open");
  return cam.descriptor;
}

static int is_camera(const char *path) { return strcmp(path, setting("path", "/dev/video0")) == 0; }

static int open_any(int folder, const char *path, int flags, unsigned mode) {
  if (is_camera(path)) return open_camera();
  return (int)syscall(SYS_openat, folder, path, flags, mode);
}

#ifndef O_LARGEFILE
#define O_LARGEFILE 0
#endif
#define MODE(last) unsigned mode; va_list values; va_start(values, last); mode = va_arg(values, unsigned); va_end(values)

int open(const char *path, int flags, ...) { MODE(flags); return open_any(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags); return open_any(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags); return open_any(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) {
  MODE(flags);
  return open_any(folder, path, flags | O_LARGEFILE, mode);
}

int close(int descriptor) {
  if (descriptor >= 0 && descriptor == cam.descriptor) end();
  return (int)syscall(SYS_close, descriptor);
}

static void *map_any(void *(*next)(void *, size_t, int, int, int, off64_t), void *at, size_t bytes, int protection,
                     int flags, int descriptor, off64_t offset) {
  void *got;
  int ours = descriptor >= 0 && descriptor == cam.descriptor;
  if (ours && (offset % (off64_t)cam.buffer_bytes != 0 || bytes != cam.format.sizeimage)) {
    errno = EINVAL;
    return MAP_FAILED;
  }
  got = next(at, bytes, protection, flags, ours ? cam.memory : descriptor, offset);
  if (ours && got != MAP_FAILED) cam.mapped++;
  return got;
}

void *mmap64(void *at, size_t bytes, int protection, int flags, int descriptor, off64_t offset) {
  static void *(*next)(void *, size_t, int, int, int, off64_t);
  if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "mmap64");
  return map_any(next, at, bytes, protection, flags, descriptor, offset);
}

void *mmap(void *at, size_t bytes, int protection, int flags, int descriptor, off_t offset) {
  return mmap64(at, bytes, protection, flags, descriptor, offset);
}

int munmap(void *at, size_t bytes) {
  if (cam.mapped > 0 && bytes == cam.format.sizeimage) cam.mapped--;
  return (int)syscall(SYS_munmap, at, bytes);
}
