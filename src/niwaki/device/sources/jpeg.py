"""JPEG needs a decoder on this machine: OpenCV, Pillow or ffmpeg. Nothing else requires one."""

import importlib
import io
import shutil
import subprocess
from typing import Any, Callable, Optional, Tuple

from .pnm import decode_pnm
from .spec import LARGEST_SIDE

Decoder = Callable[[bytes], Tuple[int, int, bytes]]

INSTALL = "sudo apt-get install ffmpeg (or python3-opencv, or python3-pil)"
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset(range(0xD0, 0xD9)) | {0x01}  # markers without a length
FFMPEG_S = 30.0  # seconds for one picture


def decode_jpeg(data: bytes, channels: int = 1) -> Tuple[int, int, bytes]:
    """Width, height and luminance (with 3 channels colours) of a JPEG picture.

    A `ValueError` says what is wrong or what to install.
    """
    decode = find_decoder(channels) or _ffmpeg_decoder(channels)
    if decode is None:
        raise ValueError("JPEG needs a decoder: {}; or convert it to PNG".format(INSTALL))
    check_size(data)
    return decode(data)


def find_decoder(channels: int = 1) -> Optional[Decoder]:
    """A decoder in this process, fast enough for a camera's stream: OpenCV's or Pillow's; None without either."""
    decode = _opencv_decoder(channels) or _pillow_decoder(channels)
    return None if decode is None else _within_size(decode)


def check_size(data: bytes) -> None:
    """Raise ValueError if a JPEG states a size that is too large for the runner, or no size.

    Decoders allocate memory for the size in the header (ITU-T T.81, B.2.2) before they see any pixel.
    """
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], 256 * data[at + 2] + data[at + 3]
        if marker in _FRAME_HEADERS:
            height, width = 256 * data[at + 5] + data[at + 6], 256 * data[at + 7] + data[at + 8]
            if max(width, height) > LARGEST_SIDE:
                raise ValueError("{}×{} pixels, at most {} a side".format(width, height, LARGEST_SIDE))
            return
        if marker == 0xFF:  # fills
            at += 1
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + max(length, 2)
    raise ValueError("is a damaged JPEG: it does not state its size")


def _within_size(decode: Decoder) -> Decoder:
    def checked(data: bytes) -> Tuple[int, int, bytes]:
        check_size(data)
        return decode(data)

    return checked


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _opencv_decoder(channels: int) -> Optional[Decoder]:
    cv2, numpy = _module("cv2"), _module("numpy")
    if cv2 is None or numpy is None:
        return None

    kind = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR
    as_stored = kind | cv2.IMREAD_IGNORE_ORIENTATION  # as the other decoders do

    def decode(data: bytes) -> Tuple[int, int, bytes]:
        picture = cv2.imdecode(numpy.frombuffer(data, numpy.uint8), as_stored)
        if picture is None:
            raise ValueError("is a damaged JPEG")
        height, width = picture.shape[:2]
        if channels == 3:  # OpenCV has blue first
            picture = picture[..., ::-1]
        return width, height, picture.tobytes()

    return decode


def _pillow_decoder(channels: int) -> Optional[Decoder]:
    image = _module("PIL.Image")
    if image is None:
        return None

    mode = "L" if channels == 1 else "RGB"

    def decode(data: bytes) -> Tuple[int, int, bytes]:
        try:
            with image.open(io.BytesIO(data)) as picture:
                picture.draft(mode, picture.size)  # of a grey one only the luminance is decoded
                wanted = picture.convert(mode)
        except (OSError, SyntaxError) as error:
            raise ValueError("is a damaged JPEG: {}".format(error)) from error
        return wanted.width, wanted.height, wanted.tobytes()

    return decode


def _ffmpeg_decoder(channels: int) -> Optional[Decoder]:
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    command = [program, "-v", "error", "-f", "mjpeg", "-i", "pipe:0"]
    kind = ("gray", "pgm") if channels == 1 else ("rgb24", "ppm")
    command += ["-frames:v", "1", "-pix_fmt", kind[0], "-c:v", kind[1], "-f", "image2pipe", "pipe:1"]

    def decode(data: bytes) -> Tuple[int, int, bytes]:
        try:
            done = subprocess.run(
                command, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=FFMPEG_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ValueError("ffmpeg did not decode it in {:.0f} s".format(FFMPEG_S)) from error
        if done.returncode:
            last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            raise ValueError("ffmpeg cannot decode it: {}".format("".join(last) or "no reason given"))
        return decode_pnm(done.stdout, channels)

    return decode
