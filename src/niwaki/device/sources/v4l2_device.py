"""A device node of Video4Linux: ioctls, what their errors mean to the user, and negotiating a format."""

import errno
import fcntl
import os
import struct
from typing import Any, List, NamedTuple, Optional, Tuple

from ..errors import NO_CAMERA, DeviceError
from . import v4l2_layout as layout
from .luminance import PACKINGS
from .pixels import BT601, BT709, COLOURED, COLOURLESS, GREY, Layout, Pixels, layout_of
from .source import SourceLost
from .spec import LARGEST_SIDE

JPEGS = ("MJPG", "JPEG")
SMALLEST_SIDE = 16  # pixels
RGB = ("RGB3", "BGR3", "RGB4", "BGR4", "RGBP", "AR24", "XR24", "AB24", "XB24", "RA24", "RX24", "BA24", "BX24")
CONVERT = "for a virtual camera choose YUYV (I420, NV12) when making it, as with ffmpeg -pix_fmt yuyv422"
RIBBON = "for a camera on a ribbon cable use csi:0 (Jetson) or rpicam:0 (Raspberry Pi)"

# What an errno means while a device is opened and set up: a line for the user, and whether waiting may help.
MEANINGS = {
    errno.ENOENT: ("no such camera; to list cameras: ls /dev/video*", True),
    errno.ENODEV: ("no such camera: it was unplugged", True),
    errno.ENXIO: ("no such camera: it was unplugged", True),
    errno.EIO: ("the camera does not answer", True),
    errno.EPROTO: ("the camera does not answer", True),
    errno.ETIMEDOUT: ("the camera does not answer", True),
    errno.EBUSY: ("another program uses the camera: fuser -v {}", True),
    errno.ENOSPC: ("USB has too little room for this size and rate: ask for less, or use another port", True),
    errno.EACCES: ("no permission to use the camera: sudo usermod -aG video $USER, then log in again", False),
    errno.EPERM: ("no permission to use the camera: sudo usermod -aG video $USER, then log in again", False),
    errno.ENOTTY: ("is not a camera", False),
    errno.EPIPE: ("is part of a larger camera: " + RIBBON, False),
}


class Picture(NamedTuple):
    """What the driver agreed to."""

    fourcc: str
    width: int
    height: int
    stride: int  # bytes from one row to the next
    bytes: int  # of a whole frame
    matrix: int = BT601
    full: bool = False

    @property
    def layout(self) -> Layout:
        """Where it has its samples."""
        return layout_of(self.fourcc, (self.width, self.height), self.stride, self.matrix, self.full)

    def least_bytes(self, want: Pixels) -> int:
        """A frame with fewer bytes than this has incomplete luminance, or colour if that is wanted."""
        if self.fourcc in JPEGS:
            return 4
        if want.convert is not None:
            return self.layout.bytes
        step = PACKINGS[self.fourcc].step
        return self.stride * (self.height - 1) + self.width * step


class Device:
    """An open device node: ioctls by name, and errors as lines for the user."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self.descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise self.error(error) from error

    def call(self, request: int, layout_: struct.Struct, *values: Any) -> Tuple[Any, ...]:
        """One ioctl with a structure that both sides may write; passes OSError on."""
        memory = bytearray(layout_.pack(*values))
        while True:
            try:
                fcntl.ioctl(self.descriptor, request, memory, True)
            except InterruptedError:
                continue
            return layout_.unpack(bytes(memory))

    def error(self, error: OSError) -> DeviceError:
        """What to tell the user about an error while the device is set up."""
        meaning, waiting_helps = MEANINGS.get(error.errno or 0, (error.strerror or str(error), False))
        message = "{}: {}".format(self.path, meaning.format(self.path))
        return SourceLost(message) if waiting_helps else DeviceError(message, NO_CAMERA)

    def close(self) -> None:
        """Close the node; doing it again has no effect."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def negotiate(device: Device, size: Tuple[int, int], want: Pixels = GREY) -> Picture:
    """The best format that the camera has and a size near `size`; sets the camera to it."""
    try:
        _check_capture(device)
        formats = _formats(device)
        for fourcc in _best_first(want):
            picture = _set_format(device, fourcc, size) if fourcc in formats else None
            if picture is not None:
                return picture
    except OSError as error:
        raise device.error(error) from error
    listed = ", ".join(formats) or "no picture at all"
    way = CONVERT if any(fourcc in RGB for fourcc in formats) else RIBBON
    raise DeviceError("{}: gives only {}, which niwaki does not read; {}".format(device.path, listed, way), NO_CAMERA)


def _best_first(want: Pixels) -> Tuple[str, ...]:
    if want.channels == 3:
        return (*COLOURED, *JPEGS, *COLOURLESS)
    return (*PACKINGS, *JPEGS)


def _check_capture(device: Device) -> None:
    _, card, _, _, capabilities, own, *_ = device.call(
        layout.QUERYCAP, layout.CAPABILITY, b"", b"", b"", 0, 0, 0, 0, 0, 0
    )
    flags = own if capabilities & layout.CAP_DEVICE_CAPS else capabilities
    name = card.split(b"\0")[0].decode("utf-8", "replace")
    if not flags & layout.CAP_VIDEO_CAPTURE:
        what = "gives no pictures ({}): its camera may have another number, see v4l2-ctl --list-devices".format(name)
        if flags & layout.CAP_VIDEO_CAPTURE_MPLANE:
            what = "gives pictures in several planes ({}), which niwaki does not read".format(name)
        raise DeviceError("{}: {}".format(device.path, what), NO_CAMERA)
    if flags & layout.CAP_IO_MC:
        raise DeviceError("{}: is part of a larger camera ({}): {}".format(device.path, name, RIBBON), NO_CAMERA)
    if not flags & layout.CAP_STREAMING:
        raise DeviceError("{}: cannot stream to memory ({}): too old a driver".format(device.path, name), NO_CAMERA)


def _formats(device: Device) -> List[str]:
    """The four characters of every format, in the driver's order."""
    found: List[str] = []
    while len(found) < 64:
        values = (len(found), layout.VIDEO_CAPTURE, 0, b"", b"", 0, 0, 0, 0)
        try:
            answer = device.call(layout.ENUM_FMT, layout.FMTDESC, *values)
        except OSError as error:
            if error.errno == errno.EINVAL:  # the end of the list
                break
            raise
        found.append(answer[4].decode("latin-1"))
    return found


def _set_format(device: Device, fourcc: str, size: Tuple[int, int]) -> Optional[Picture]:
    """What the driver makes of the request; None if it insists on another format or an unusable size."""
    wish = (layout.VIDEO_CAPTURE, *size, fourcc.encode("latin-1"), layout.FIELD_NONE, 0, 0, b"")
    try:
        answer = device.call(layout.S_FMT, layout.FORMAT, *wish)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise
    _, width, height, given, _, stride, size_bytes, rest = answer
    if given != wish[3] or not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in (width, height)):
        return None
    step = 0 if fourcc in JPEGS else layout_of(fourcc, (1, 1), 0).a.step
    return Picture(fourcc, width, height, max(stride, width * step), size_bytes, *_meaning(rest))


def _meaning(rest: bytes) -> Tuple[int, bool]:
    """Matrix and range of YCbCr, by the rules of V4L2_MAP_YCBCR_ENC_DEFAULT and V4L2_MAP_QUANTIZATION_DEFAULT."""
    space, _, _, encoding, quantization = layout.COLOURS.unpack_from(rest)
    is_709 = encoding in layout.ENCODINGS_709 or (encoding == 0 and space in layout.SPACES_709)
    full = quantization == layout.FULL_RANGE or (quantization == 0 and space == layout.SPACE_JPEG)
    return BT709 if is_709 else BT601, full
