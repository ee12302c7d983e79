"""`python3 -m niwaki_device`."""

import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while the rest is loading: no traceback

if sys.version_info < (3, 6):
    sys.exit(
        "niwaki: Python {}.{} is too old: start it with 3.6 or newer: PYTHON=python3.6 ./start".format(
            *sys.version_info
        )
    )

from .main import main  # noqa: E402 - after that check: an older Python could not read it

sys.exit(main())
