"""`python3 -m niwaki_device`."""

import sys

if sys.version_info < (3, 6):
    sys.exit(
        "niwaki: Python {}.{} is too old: start it with 3.6 or newer: PYTHON=python3.6 ./start".format(
            *sys.version_info
        )
    )

from .main import main  # after that check: an older Python could not read it

sys.exit(main())
