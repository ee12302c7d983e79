"""The journeys of all networks and the page about them: `python -m tests.zoo --write` writes docs/networks.md.

Results are kept in a folder (`--kept`): an interrupted run resumes, and networks named as arguments are made anew.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parents[1]
PAGE = HERE.parent / "docs" / "networks.md"
KEPT = Path(tempfile.gettempdir()) / "niwaki-zoo"


def main(arguments: Sequence[str] | None = None) -> None:
    sys.path.insert(0, str(HERE))
    from zoo.full import measured
    from zoo.journey import travel
    from zoo.networks import ALL
    from zoo.page import page

    parser = argparse.ArgumentParser(prog="python -m tests.zoo", description=__doc__)
    parser.add_argument("names", nargs="*", help="networks to make anew (default: those without a result)")
    parser.add_argument("--kept", type=Path, default=KEPT, help=f"folder of the results (default: {KEPT})")
    parser.add_argument("--write", action="store_true", help="write docs/networks.md")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(ALL):
        parser.error(f"no network is called {', '.join(sorted(unknown))}: there are {', '.join(ALL)}")
    os.environ.setdefault("NIWAKI_CACHE_DIR", str(options.kept / "cache"))
    for name in options.names:
        shutil.rmtree(options.kept / name, ignore_errors=True)
    rows = travel(list(ALL), options.kept)
    print(*rows, sep="\n")
    if options.write:
        PAGE.write_text(page(rows, measured(options.kept / "full")), encoding="utf-8")


if __name__ == "__main__":
    main()
