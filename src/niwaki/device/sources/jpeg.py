"""JPEG needs a decoder that this machine has: OpenCV, Pillow or ffmpeg. None of them is required for anything else."""

import importlib
import io
import shutil
import subprocess
from typing import Any, Callable, Optional, Tuple

from .pnm import decode_pnm

Decoder = Callable[[bytes], Tuple[int, int, bytes]]

INSTALL = "sudo apt-get install ffmpeg (or python3-opencv, or python3-pil)"
FFMPEG_S = 30.0  # seconds for one picture


def decode_jpeg(data: bytes) -> Tuple[int, int, bytes]:
    """Width, height and luminance of a JPEG picture; a `ValueError` says what is wrong or what to install."""
    decode = find_decoder() or _ffmpeg_decoder()
    if decode is None:
        raise ValueError("JPEG needs a decoder: {}; or convert it to PNG".format(INSTALL))
    return decode(data)


def find_decoder() -> Optional[Decoder]:
    """A decoder inside this process, fast enough for a camera's stream: OpenCV's or Pillow's; None without either."""
    return _opencv_decoder() or _pillow_decoder()


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _opencv_decoder() -> Optional[Decoder]:
    cv2, numpy = _module("cv2"), _module("numpy")
    if cv2 is None or numpy is None:
        return None

    as_stored = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION  # as the other decoders do

    def decode(data: bytes) -> Tuple[int, int, bytes]:
        picture = cv2.imdecode(numpy.frombuffer(data, numpy.uint8), as_stored)
        if picture is None:
            raise ValueError("is a damaged JPEG")
        height, width = picture.shape
        return width, height, picture.tobytes()

    return decode


def _pillow_decoder() -> Optional[Decoder]:
    image = _module("PIL.Image")
    if image is None:
        return None

    def decode(data: bytes) -> Tuple[int, int, bytes]:
        try:
            with image.open(io.BytesIO(data)) as picture:
                picture.draft("L", picture.size)  # only the luminance is decoded
                grey = picture.convert("L")
        except (OSError, SyntaxError) as error:
            raise ValueError("is a damaged JPEG: {}".format(error)) from error
        return grey.width, grey.height, grey.tobytes()

    return decode


def _ffmpeg_decoder() -> Optional[Decoder]:
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    command = [program, "-v", "error", "-f", "mjpeg", "-i", "pipe:0"]
    command += ["-frames:v", "1", "-pix_fmt", "gray", "-c:v", "pgm", "-f", "image2pipe", "pipe:1"]

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
        return decode_pnm(done.stdout)

    return decode
