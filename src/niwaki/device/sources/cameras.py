"""Cameras that need a program of their maker: on a Jetson's or a Raspberry Pi's ribbon cable; MJPEG through ffmpeg.

Each function returns the recipe for `ChildCamera`, so the command lines can be read and tested without a camera.
"""

import shutil
from typing import List, Tuple

from ..errors import DeviceError
from .child import Recipe
from .pixels import BT601, BT709, GREY, Pixels, layout_of
from .spec import FASTEST, Spec

CSI_SENSOR = (1280, 720)  # a mode of every sensor that is sold for Jetsons
HD = (1280, 720)
RPICAM_ALIGNMENT = 64  # rows of the camera's buffers start at multiples of this: such widths leave no gap
RPICAM_PROGRAMS = ("rpicam-vid", "libcamera-vid")  # the second is the name before Debian 12


def csi(spec: Spec, want: Pixels = GREY) -> Recipe:
    """`csi:0?width=640&height=360&fps=30`: Jetson, through GStreamer, scaled by its own hardware; grey, or NV12."""
    spec.allow(("width", "height", "fps"))
    sensor = _index(spec)
    width = spec.number("width", 640)
    height = spec.number("height", width * CSI_SENSOR[1] // CSI_SENSOR[0])
    if width * CSI_SENSOR[1] != height * CSI_SENSOR[0] or width % 32:
        raise spec.error(
            spec.text, "{}×{}: pictures are 16:9 with a width of 32, 64, 96, …, such as 640×360".format(width, height)
        )
    rate = spec.number("fps", 30, FASTEST)

    def command(descriptor: int) -> List[str]:
        captured = "video/x-raw(memory:NVMM),width={},height={},framerate={}/1,format=NV12".format(*CSI_SENSOR, rate)
        form = "GRAY8" if want.convert is None else "NV12"
        given = "video/x-raw,format={},width={},height={}".format(form, width, height)
        pipeline = [["nvarguscamerasrc", "sensor-id={}".format(sensor)], [captured], ["nvvidconv"], [given]]
        pipeline += [["fdsink", "fd={}".format(descriptor), "sync=false"]]
        return ["gst-launch-1.0", "-q", *_joined(pipeline)]

    install = "csi: is for NVIDIA Jetson, whose system brings it; sudo apt-get install gstreamer1.0-tools"
    if want.convert is None:
        return Recipe(spec.text, command, width, height, width * height, install)
    layout = layout_of("NV12", (width, height), width)
    return Recipe(spec.text, command, width, height, layout.bytes, install, layout)


def _joined(elements: List[List[str]]) -> List[str]:
    """A pipeline for gst-launch: elements with `!` between them."""
    words = elements[0][:]
    for element in elements[1:]:
        words += ["!", *element]
    return words


def rpicam(spec: Spec) -> Recipe:
    """`rpicam:0?width=640&height=480&fps=30`: Raspberry Pi, through rpicam-vid (libcamera-vid on older systems).

    It writes YUV 4:2:0 in limited range, from 1280×720 on as BT.709; luminance is its first plane. Its
    rows are padded if the width is not a multiple of 64, by an amount that differs between boards: such widths are
    refused.
    """
    spec.allow(("width", "height", "fps"))
    camera = _index(spec)
    width, height = spec.number("width", 640), spec.number("height", 480)
    if width % RPICAM_ALIGNMENT or height % 2:
        raise spec.error(spec.text, "{}×{}: width must be 64, 128, 192, …, height even".format(width, height))
    rate = spec.number("fps", 30, FASTEST)
    program = next(filter(shutil.which, RPICAM_PROGRAMS), RPICAM_PROGRAMS[0])

    def command(descriptor: int) -> List[str]:
        words = [program, "--camera", str(camera), "--nopreview", "--timeout", "0", "--codec", "yuv420", "--flush"]
        words += ["--width", str(width), "--height", str(height), "--framerate", str(rate)]
        return [*words, "--output", "/dev/fd/{}".format(descriptor)]

    install = "rpicam: is for Raspberry Pi; sudo apt-get install rpicam-apps"
    matrix = BT709 if width >= HD[0] or height >= HD[1] else BT601
    layout = layout_of("YU12", (width, height), width, matrix)
    return Recipe(spec.text, command, width, height, width * height * 3 // 2, install, layout)


def ffmpeg(device: str, size: Tuple[int, int], rate: int, channels: int = 1) -> Recipe:
    """The camera at `device`, which gives only MJPEG, decoded by ffmpeg."""
    width, height = size

    def command(descriptor: int) -> List[str]:
        words = ["ffmpeg", "-nostdin", "-loglevel", "error", "-fflags", "nobuffer"]
        words += ["-f", "v4l2", "-input_format", "mjpeg", "-video_size", "{}x{}".format(width, height)]
        words += ["-framerate", str(rate), "-i", device]
        words += ["-s", "{}x{}".format(width, height), "-pix_fmt", "gray" if channels == 1 else "rgb24"]
        return [*words, "-f", "rawvideo", "pipe:{}".format(descriptor)]

    install = "sudo apt-get install ffmpeg"
    if channels == 1:  # from MJPEG, which is of full range
        return Recipe(device, command, width, height, width * height, install, layout_of("GREY", size, width))
    return Recipe(device, command, width, height, 3 * width * height, install, layout_of("RGB3", size, 3 * width))


def _index(spec: Spec) -> int:
    """The camera's number, 0 if none is given."""
    if not (spec.place or "0").isdecimal():
        raise DeviceError("source {}: {!r} is not a camera's number, such as 0".format(spec.text, spec.place))
    return int(spec.place or "0")
