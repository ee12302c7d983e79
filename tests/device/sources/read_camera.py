"""Reads frames in whatever Python runs it, and prints what came as JSON. Arguments: a source, and settings as JSON."""

import hashlib
import json
import os
import sys
import time

from niwaki_device.errors import DeviceError
from niwaki_device.sources import Patient, open_source


def descriptors():
    """Numbers of the open ones, without the one that lists them."""
    return len(os.listdir("/proc/self/fd")) - 1


def first_pixel(frame):
    return frame.grey[0]


def main(text, patient=False, frames=3, timeout_s=20.0, sleep_s=0.0, rounds=1):
    said = []
    before = descriptors()
    out = {"frames": [], "said": said, "error": None}
    try:
        for _ in range(rounds):
            with Patient(text, said.append, lambda s: time.sleep(0.001)) if patient else open_source(text) as source:
                out["name"], out["size"], out["live"] = source.name, [source.width, source.height], source.live
                for _ in range(frames):
                    frame = source.read(timeout_s)
                    if frame is None:
                        out["frames"].append(None)
                        break
                    digest = hashlib.sha256(frame.grey).hexdigest()
                    out["frames"].append([frame.number, len(frame.grey), first_pixel(frame), digest])
                    time.sleep(sleep_s)
    except DeviceError as error:
        out["error"] = [type(error).__name__, str(error), error.exit_code]
    out["leaked"] = descriptors() - before
    print(json.dumps(out))


if __name__ == "__main__":
    main(sys.argv[1], **json.loads(sys.argv[2]))
