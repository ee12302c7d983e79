"""A bundle that knows garments, and a sound device that records what it was asked to play."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundled import need_tool
from device.small_bundle import Garments, build, train
from niwaki.device.bundle import Bundle
from niwaki.device.network import Network
from once import once

FAKE_APLAY = """#!/bin/sh
echo "$*" >> "$NIWAKI_CALLS"
[ -z "$NIWAKI_APLAY_FAILS" ] || { echo "ALSA lib says more" >&2; echo "aplay: audio open error" >&2; exit 1; }
exec sleep "${NIWAKI_APLAY_SECONDS:-0}"
"""


@pytest.fixture(scope="session")
def garments(tmp_path_factory: pytest.TempPathFactory) -> Garments:
    """A network trained on Fashion-MNIST where it is, else on what niwaki draws."""
    need_tool("gcc", "gcc libc6-dev")
    folder = Path(os.environ.get("NIWAKI_DATA_DIR", "")) / "fashion-mnist"
    there = bool(os.environ.get("NIWAKI_DATA_DIR")) and folder.is_dir()
    return train(folder if there else None, tmp_path_factory.mktemp("garments"))


@pytest.fixture(scope="session")
def bundle_folder(garments: Garments, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle for this machine; not to be changed."""
    work = tmp_path_factory.mktemp("c")
    return once("device bundle", lambda folder: build(garments, folder / "small", work)) / "small"


@pytest.fixture(scope="session")
def bundle(bundle_folder: Path) -> Bundle:
    """The same, opened."""
    return Bundle.open(bundle_folder)


@pytest.fixture(scope="session")
def network(bundle: Bundle) -> Network:
    """Its network."""
    return Network(bundle)


@pytest.fixture
def changed_bundle(bundle_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(bundle_folder, tmp_path / "changed"))


@pytest.fixture
def another_user() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """A context in which root, who may read everything, is somebody else."""

    @contextlib.contextmanager
    def somebody() -> Iterator[None]:
        me = os.geteuid()
        if me == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(me)

    return somebody


class Calls:
    """What the fake aplay was asked to do: its arguments, one line for each call."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "programs"
        self.programs.mkdir()
        self.file = folder / "calls"
        program = self.programs / "aplay"
        program.write_text(FAKE_APLAY)
        program.chmod(0o755)

    @property
    def lines(self) -> list[str]:
        return self.file.read_text().splitlines() if self.file.exists() else []

    @property
    def words(self) -> list[str]:
        """As language/class."""
        return ["/".join(Path(line.split()[-1]).with_suffix("").parts[-2:]) for line in self.lines]

    def variables(self, **others: str) -> dict[str, str]:
        """What the environment needs for it to be found."""
        return {"PATH": f"{self.programs}:{os.environ['PATH']}", "NIWAKI_CALLS": str(self.file), **others}


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    """A fake aplay and what it recorded; `variables()` put it on the PATH."""
    folder = tmp_path / "aplay"
    folder.mkdir()
    return Calls(folder)


@pytest.fixture
def start_runner(bundle_folder: Path, calls: Calls) -> Callable[..., subprocess.Popen[str]]:
    """Starts the bundle's runner with this Python and the fake aplay."""

    def start(*arguments: object, bundle: Path = bundle_folder, **keywords: object) -> subprocess.Popen[str]:
        variables = keywords.pop("variables", {})
        env = {**os.environ, **calls.variables(), "PYTHONPATH": str(bundle), **variables}
        command = [sys.executable, "-S", "-s", "-B", "-m", "niwaki_device", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
        return subprocess.Popen(command, env=env, **{**pipes, **keywords})

    return start


@pytest.fixture
def run_runner(start_runner: Callable[..., subprocess.Popen[str]]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The same, to its end."""

    def run(*arguments: object, **keywords: object) -> subprocess.CompletedProcess[str]:
        process = start_runner(*arguments, **keywords)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run
