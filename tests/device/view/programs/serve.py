"""A live view under any Python from 3.6: `python serve.py FOLDER TOKEN`, FOLDER being where niwaki_device lies.

Prints the link, then what is pressed; shows numbered frames until its input ends, then which threads are left.
"""

import sys
import threading
import time

sys.path.insert(0, sys.argv[1])

from niwaki_device.decision import Decision, Rule
from niwaki_device.finding import Finding
from niwaki_device.snapshot import Snapshot
from niwaki_device.view import Labels, LiveView, Place

LOGITS = (1.0, 5.0)
SHOWN = Snapshot(
    1, 0.0, 640, 480, bytes(range(256)) * 1200, Finding("found", 1, 2, 3, 4, 1, 50, True, b""), bytes(28 * 28), LOGITS,
    Decision("named", 1, -5.0, LOGITS, None, "spoken"), 30.0, 400.0, 2000.0, "en", "running",
)  # fmt: skip


class Buttons:
    """Prints what is pressed."""

    def learn(self):
        print("learn", flush=True)

    def forget(self):
        print("forget", flush=True)

    def language(self, code):
        print(code, flush=True)


def main():
    """Serve until the input ends."""
    classes = [{"id": "Coat", "names": {"en": "coat"}}, {"id": "Bag", "names": {"en": "bag"}}]
    view = LiveView(Place("127.0.0.1", 0, sys.argv[2]), Buttons(), Labels(classes, ("en",), Rule()))
    view.start()
    ended = threading.Event()

    def feed():
        number = 0
        while not ended.is_set():
            number += 1
            view.publish(SHOWN._replace(number=number))
            time.sleep(0.01)

    feeder = threading.Thread(target=feed)
    feeder.start()
    print(view.url, flush=True)
    sys.stdin.read()
    ended.set()
    feeder.join()
    view.stop()
    print(sorted(thread.name for thread in threading.enumerate()), flush=True)


main()
