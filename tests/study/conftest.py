"""A study that trains for seconds, and a way to run it as a user does: a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from niwaki.cli.entry import run as run_command
from once import once
from small_study import HEAD

SMALL = (
    'title = "small"\n'
    + HEAD
    + """
[select]
experiment = "ratio"
budget = ["accuracy_drop<=100"]
export = false

[[experiment]]
name = "ratio"
vary = {{ "prune.ratio" = [0.3, 0.5] }}
rows = "steps"

[[experiment]]
name = "importance"
vary = {{ "prune.importance" = ["l1", "random", "taylor"] }}

[[experiment]]
name = "from-scratch"
vary = {{ "prune.ratio" = [0.5] }}
from_scratch = true
"""
)

INT8 = """
[[experiment]]
name = "int8"
set = {{ "quantize.kind" = "static", "quantize.images" = 40 }}
columns = ["accuracy", "agreement", "macs", "bytes_by_type", "flash", "ram"]
"""


EXPORTED = """
[model]
factory = "{factory}"
args = {args}

[data]
name = "npz"
path = "{data}"
validation = 60
preprocessing = {{ size = [16, 16] }}

[train]
epochs = 2
batch_size = 20
lr = 1e-2

[quantize]
images = 40

[select]
experiment = "calibration"
budget = ["accuracy_drop<=50", "flash<=16KB", "ram<=2KB"]
minimize = "flash"

[[experiment]]
name = "calibration"
vary = {{ "quantize.calibration" = ["minmax", "percentile"] }}
columns = ["accuracy", "flash", "ram", "latency_1", "latency_ort"]
"""
LENET = ("lenet5", "{ num_classes = 4, image_size = 16, widths = [3, 6, 16, 12] }")


@pytest.fixture
def small_study(tmp_path: Path, small_npz: Path) -> Path:
    """The file of the small study."""
    file = tmp_path / "small.toml"
    file.write_text(SMALL.format(data=small_npz))
    return file


@pytest.fixture
def int8_study(tmp_path: Path, small_npz: Path) -> Path:
    """The file of the small study with int8 of its 50 % model."""
    file = tmp_path / "int8.toml"
    file.write_text((SMALL + INT8).format(data=small_npz))
    return file


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared-cache")


@pytest.fixture(scope="session")
def finished(small_npz: Path, cache: Path) -> Path:
    """A folder with the small study and its int8 as one worker left it undisturbed, its file beside it."""

    def make(folder: Path) -> None:
        (folder / "small.toml").write_text((SMALL + INT8).format(data=small_npz))
        subprocess.run(
            command("study", "run", folder / "small.toml", "--jobs", 1, "--out", folder / "out"),
            env=environment(cache), check=True, capture_output=True,
        )  # fmt: skip

    return once("finished small study", make)


@pytest.fixture(scope="session")
def undisturbed_int8(finished: Path) -> dict[str, str]:
    """The hashes of what the small study with int8 leaves when nothing happens to it."""
    return contents(finished / "out")


@pytest.fixture(scope="session")
def undisturbed(finished: Path, undisturbed_int8: dict[str, str]) -> dict[str, str]:
    """The same of the small study, which is of float models only."""
    (int8,) = (record["key"] for record in records(finished / "out") if record["kind"] == "quantize")
    return {path: digest for path, digest in undisturbed_int8.items() if int8 not in path}


@dataclass(frozen=True)
class Done:
    """What a command left."""

    code: int
    stdout: str
    stderr: str


Niwaki = Callable[..., Done]


@pytest.fixture
def niwaki(cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Niwaki:
    """Run the command line to its end, in this process (its workers are processes all the same)."""
    monkeypatch.setenv("NIWAKI_CACHE_DIR", str(cache))
    tests = str(Path(__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", tests)

    def run(*arguments: object, check: int = 0) -> Done:
        capsys.readouterr()
        code = run_command([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert code == check, captured.out + captured.err
        return Done(code, captured.out, captured.err)

    return run


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "niwaki", *map(str, arguments)]


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "NIWAKI_CACHE_DIR": str(cache), "PYTHONPATH": str(Path(__file__).parents[1])}


def contents(folder: Path) -> dict[str, str]:
    """The hash of every record and model file of a study."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / "stages").rglob("*"))
        if path.is_file()
    }


def records(folder: Path) -> list[dict]:
    return [json.loads(path.read_bytes()) for path in (folder / "stages").glob("*/record.json")]


@pytest.fixture(scope="session")
def template(small_npz: Path, cache: Path) -> Path:
    """A folder with a study that exports what it chooses, finished, its file beside it."""

    def make(folder: Path) -> None:
        (folder / "s.toml").write_text(EXPORTED.format(factory=LENET[0], args=LENET[1], data=small_npz))
        subprocess.run(
            command("study", "run", folder / "s.toml", "--jobs", 1, "--out", folder / "out"),
            env=environment(cache), check=True, capture_output=True,
        )  # fmt: skip

    return once("exported study", make)


@pytest.fixture
def study(template: Path, tmp_path: Path) -> Path:
    """A copy of that study, its file beside it."""
    shutil.copytree(template, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def other_order(small_npz: Path, tmp_path: Path) -> Path:
    """The same images, whose classes are listed in another order."""
    names = np.array(["3", "1", "0", "2"])
    with np.load(small_npz) as file:
        arrays = dict(file)
    number = np.array([list(names).index(str(label)) for label in range(4)])
    labels = {key: number[arrays[key]] for key in ("y_train", "y_test")}
    path = tmp_path / "order.npz"
    np.savez(path, **{**arrays, **labels, "labels": names})
    return path
