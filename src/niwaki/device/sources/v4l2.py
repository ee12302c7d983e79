"""A camera of Video4Linux (USB, mostly) through ioctl and mmap of the standard library."""

import errno
import mmap
import select
import struct
import time
from typing import Any, List, Optional, Tuple

from ..errors import NO_CAMERA, DeviceError
from . import v4l2_layout as layout
from .cameras import ffmpeg
from .child import ChildCamera
from .jpeg import INSTALL, Decoder, find_decoder
from .luminance import PACKINGS, luminance
from .pixels import GREY, Pixels
from .source import Frame, Source, SourceLost
from .spec import FASTEST, Spec
from .v4l2_device import JPEGS, Device, Picture, negotiate

BUFFERS = 4  # one being filled, one in use, two so that none is missed
AGAIN_S = 0.005  # pause if a driver says ready and then is not


def open_v4l2(spec: Spec, want: Pixels = GREY) -> Source:
    """`v4l2:/dev/video0?width=640&height=480&fps=30`: the camera, with a picture of that size or the nearest it has.

    MJPEG is used only for cameras that give nothing else, through OpenCV or Pillow, or else through an ffmpeg child.
    """
    spec.allow(("width", "height", "fps"))
    asked = spec.number("width", 640), spec.number("height", 480)
    rate = spec.number("fps", 30, FASTEST)
    device = Device(spec.place or "/dev/video0")
    try:
        picture = negotiate(device, asked, want)
        decoder = find_decoder(want.channels) if picture.fourcc in JPEGS else None
        if picture.fourcc not in JPEGS or decoder is not None:
            return V4l2Camera(device, picture, rate, want, decoder)
    except BaseException:
        device.close()
        raise
    device.close()
    return _through_ffmpeg(device.path, picture, rate, want)


def _through_ffmpeg(path: str, picture: Picture, rate: int, want: Pixels) -> Source:
    try:
        return ChildCamera(ffmpeg(path, (picture.width, picture.height), rate, want.channels), want)
    except DeviceError as error:
        raise DeviceError("{}: gives only MJPEG, which needs {}".format(path, INSTALL), NO_CAMERA) from error


class V4l2Camera(Source):
    """The newest frame of a camera that streams into memory shared with its driver."""

    live = True

    def __init__(self, device: Device, picture: Picture, rate: int, want: Pixels, decoder: Optional[Decoder]) -> None:
        self.name, self.width, self.height = device.path, picture.width, picture.height
        self._device, self._picture = device, picture
        self._want, self._decoder = want, decoder
        self._memory: List[mmap.mmap] = []
        self._number = 0
        self._refused = ""  # why the decoder refused the last frame
        self._poll = select.poll()
        self._poll.register(device.descriptor, select.POLLIN)
        try:
            self._set_rate(rate)
            self._share_buffers()
            self._device.call(layout.STREAMON, struct.Struct("@i"), layout.VIDEO_CAPTURE)
        except OSError as error:
            self.close()
            raise device.error(error) from error
        except BaseException:
            self.close()
            raise

    def _set_rate(self, rate: int) -> None:
        """Frames per second, if the camera can be set: many cannot."""
        try:
            self._device.call(layout.S_PARM, layout.STREAMPARM, layout.VIDEO_CAPTURE, 0, 0, 1, rate, b"")
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTTY):
                raise

    def _share_buffers(self) -> None:
        wish = (BUFFERS, layout.VIDEO_CAPTURE, layout.MMAP, 0, 0)
        count = self._device.call(layout.REQBUFS, layout.REQUESTBUFFERS, *wish)[0]
        if count < 2:
            raise SourceLost("{}: the driver has no memory for frames".format(self.name))
        for index in range(count):
            answer = self._buffer(layout.QUERYBUF, index)
            offset, length = answer[10], answer[11]
            self._memory.append(mmap.mmap(self._device.descriptor, length, offset=offset))
            self._buffer(layout.QBUF, index)

    def _buffer(self, request: int, index: int = 0) -> Tuple[Any, ...]:
        values = (index, layout.VIDEO_CAPTURE, 0, 0, 0, 0, 0, b"", 0, layout.MMAP, 0, 0, 0, 0)
        return self._device.call(request, layout.BUFFER, *values)

    def read(self, timeout_s: float) -> Optional[Frame]:
        """The newest frame; older ones that wait, and damaged or short ones, go back to the driver unread."""
        deadline = time.monotonic() + timeout_s
        rested = False
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not self._poll.poll(int(left * 1000) + 1):
                why = "; the last one {}".format(self._refused) if self._refused else ""
                raise SourceLost("{}: no frame for {:.1f} s{}".format(self.name, timeout_s, why))
            try:
                pixels = self._newest(rested)
            except OSError as error:
                raise SourceLost("{}: {}".format(self.name, _loss(error))) from error
            if pixels is not None:
                self._refused = ""
                return Frame(pixels, self._number - 1, time.monotonic())
            time.sleep(AGAIN_S)
            rested = True

    def _newest(self, any_age: bool) -> Optional[bytes]:
        """The pixels of the last good buffer that is ready; None if there is none.

        If every buffer is full the camera had none left to fill, and even the last may be old: unless `any_age`, it is
        skipped too.
        """
        ready = list(iter(self._take, None))
        good = [buffer for buffer in ready if buffer[1] >= self._picture.least_bytes(self._want)]
        self._number += len(good)
        full = len(ready) == len(self._memory)
        pixels = self._pixels(*good[-1]) if good and (any_age or not full) else None
        for index, _ in ready:
            self._buffer(layout.QBUF, index)
        return pixels

    def _take(self) -> Optional[Tuple[int, int]]:
        """Index and bytes of a filled buffer (0 bytes if it is damaged); None if none is ready."""
        try:
            answer = self._buffer(layout.DQBUF)
        except BlockingIOError:
            return None
        index, _, used, flags = answer[:4]
        return index, 0 if flags & layout.BUF_FLAG_ERROR else used

    def _pixels(self, index: int, used: int) -> Optional[bytes]:
        picture = self._picture
        data = self._memory[index][:used]
        if self._decoder is None and self._want.convert is not None:
            return self._want.convert(data, picture.layout)
        if self._decoder is None:
            return luminance(data, PACKINGS[picture.fourcc], picture.width, picture.height, picture.stride)
        try:
            width, height, pixels = self._decoder(data)
        except ValueError as error:  # cut off in transfer: wait for the next one
            self._refused = str(error)
            return None
        if (width, height) == (picture.width, picture.height):
            return pixels
        self._refused = "is {}×{}, not {}×{} as agreed".format(width, height, picture.width, picture.height)
        return None

    def close(self) -> None:
        """Release the device.

        Each mapping holds its own descriptor: while one is left, the kernel keeps the device's name, and a camera that
        is plugged in again comes back under another.
        """
        for memory in self._memory:
            memory.close()
        self._memory.clear()
        self._device.close()


def _loss(error: OSError) -> str:
    if error.errno == errno.ENODEV:
        return "the camera was unplugged"
    return "the camera stopped: {}".format(error.strerror)
