"""Stands in for gst-launch-1.0, rpicam-vid and ffmpeg: accepts the same command lines, and writes raw frames.

FAKE_CAMERA holds JSON: `frames` until it ends (none: forever), `period_s`, `status` and `words` at its end, `part` of a
last frame, `stubborn`, `grandchild`, `first_s` before the first frame. Luminance of frame n is n; colour is 0xEE.
"""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time


def from_gst(words):
    """Argus talks on standard output; the pipeline's last caps say the size."""
    print("Setting pipeline to PAUSED ...\nGST_ARGUS: Creating output stream", flush=True)
    caps = [word for word in words if word.startswith("video/x-raw,format=GRAY8")][-1]
    width, height = (int(re.search(rf"{name}=(\d+)", caps).group(1)) for name in ("width", "height"))
    (sink,) = [word for word in words if re.fullmatch(r"fd=\d+", word)]
    return os.fdopen(int(sink[3:]), "wb", buffering=0), width, height, 0


def from_rpicam(words):
    option = dict(itertools.pairwise(words))
    assert option["--codec"] == "yuv420"
    width, height = int(option["--width"]), int(option["--height"])
    colour = 2 * ((width + 63) // 64 * 64 // 2) * (height // 2)
    return open(option["--output"], "wb", buffering=0), width, height, colour  # noqa: PTH123


def from_ffmpeg(words):
    option = dict(itertools.pairwise(words))
    assert (option["-f"], option["-pix_fmt"]) == ("rawvideo", "gray")  # of the output: it comes last
    width, height = map(int, option["-s"].split("x"))
    return os.fdopen(int(words[-1].removeprefix("pipe:")), "wb", buffering=0), width, height, 0


def main():
    asked = json.loads(os.environ.get("FAKE_CAMERA", "{}"))
    name = os.path.basename(sys.argv[0])  # noqa: PTH119
    kind = {"gst-launch-1.0": from_gst, "ffmpeg": from_ffmpeg}.get(name, from_rpicam)
    out, width, height, colour = kind(sys.argv[1:])
    print("[0:10:11.1] INFO Camera: a word on stderr", file=sys.stderr, flush=True)
    if asked.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if asked.get("grandchild"):
        subprocess.Popen(["sleep", "1000"], pass_fds=(out.fileno(),))
    time.sleep(asked.get("first_s", 0.0))
    n = 0
    while n != asked.get("frames", -1):
        out.write(bytes([n % 256]) * (width * height) + b"\xee" * colour)
        time.sleep(asked.get("period_s", 0.002))
        n += 1
    out.write(b"x" * asked.get("part", 0))
    print(asked.get("words", ""), file=sys.stderr, flush=True)
    if asked.get("status", 0) < 0:
        os.kill(os.getpid(), -asked["status"])
    sys.exit(asked.get("status", 0))


main()
