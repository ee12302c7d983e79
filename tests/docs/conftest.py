"""The built site, once for all tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from once import once

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def site() -> Path:
    """The pages as `make docs` builds them: any warning is an error."""
    for package in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(package, reason="needs Sphinx: pip install '.[docs]'")

    def make(out: Path) -> None:
        options = ["-q", "-W", "--keep-going", "-b", "html", "-d", out / "doctrees"]
        done = subprocess.run(
            [sys.executable, "-m", "sphinx", *options, ROOT / "docs", out / "html"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    return once("site", make) / "html"
