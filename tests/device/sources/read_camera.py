"""Reads frames in whatever Python runs it. Standard input: JSON {name: settings}; standard output: what came, as JSON.

Settings: `source`; `shim`, the settings of the preloaded camera; and those of `read`.
"""

import hashlib
import json
import os
import sys
import time
from pathlib import Path

from niwaki_device.errors import DeviceError
from niwaki_device.sources import Patient, open_source


def descriptors():
    """How many are open, without the one that lists them."""
    return len(list(Path("/proc/self/fd").iterdir())) - 1


def read(source, patient=False, frames=3, timeout_s=30.0, sleep_s=0.0):
    """Name, size and frames of a source (number, first pixel, hash), what a patient one said, and the error, if any."""
    said, got = [], []
    before = descriptors()
    out = {"frames": got, "said": said, "error": None}
    try:
        with Patient(source, said.append, lambda s: time.sleep(0.001)) if patient else open_source(source) as opened:
            out.update(name=opened.name, size=[opened.width, opened.height], live=opened.live)
            for _ in range(frames):
                frame = opened.read(timeout_s)
                got.append([frame.number, frame.pixels[0], hashlib.sha256(frame.pixels).hexdigest()])
                time.sleep(sleep_s)
    except DeviceError as error:
        out["error"] = [type(error).__name__, str(error), error.exit_code]
    out["leaked"] = descriptors() - before
    return out


def main():
    results = {}
    for name, settings in json.load(sys.stdin).items():
        os.environ["V4L2_SHIM"] = settings.pop("shim", "")
        results[name] = read(**settings)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
