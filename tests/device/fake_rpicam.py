"""Stands in for `rpicam-vid`: shows one scene after another, each until the runner has spoken or for a fixed time.

NIWAKI_SCENES is a folder: `script.json` is a list of [scene, words, seconds]; a scene is shown until aplay was called
so many times in all, and then for so many seconds more; the scene `unplugged` ends the program, and the next one goes
on with the scene after it. `SCENE.raw` holds frames of YUV 4:2:0. `at` is the number of the scene that is shown.
"""

import json
import os
import sys
import time
from pathlib import Path

FPS = 30


def calls():
    file = Path(os.environ["NIWAKI_CALLS"])
    return len(file.read_text().splitlines()) if file.exists() else 0


def main():
    folder = Path(os.environ["NIWAKI_SCENES"])
    script, place = json.loads((folder / "script.json").read_text()), folder / "at"
    size = int(option("--width")) * int(option("--height")) * 3 // 2
    with Path(option("--output")).open("wb", buffering=0) as output:
        for at in range(int(place.read_text()), len(script)):
            place.write_text(str(at))
            scene, words, seconds = script[at]
            if scene == "unplugged":
                place.write_text(str(at + 1))
                sys.exit("ERROR: *** camera unplugged ***")
            frames = (folder / (scene + ".raw")).read_bytes()
            show([frames[i : i + size] for i in range(0, len(frames), size)], words, seconds, output)
        (folder / "done").touch()
        while True:
            time.sleep(1)


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


def show(frames, words, seconds, output):
    shown, since = 0, None
    while since is None or time.monotonic() - since < seconds:
        frame = frames[shown % len(frames)]
        while frame:
            frame = frame[output.write(frame) :]
        shown += 1
        time.sleep(1 / FPS)
        if since is None and calls() >= words:
            since = time.monotonic()


main()
