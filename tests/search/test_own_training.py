"""A network and a training function of one's own, in the working folder; what does not work is named."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path

import pytest

import niwaki
from niwaki.cli.entry import run
from niwaki.errors import FactoryError, SpecError

SPACE = """
bits = [8]
trainer = "{trainer}"
[data]
validation = 60
preprocessing = {{ size = [16, 16] }}
[search]
batch = 1
rungs = [1]
final_epochs = 2
finalists = 1
smaller = []
"""


def search(folder: Path, data: Path, trainer: str, *options: str) -> int:
    (folder / "space.toml").write_text(SPACE.format(trainer=trainer))
    return run([
        "compress", "own_search:net", "--fit", "constants<=1KB", "--data", str(data), "--trials", "1", "--seeds", "1",
        "--jobs", "1", "--space", "space.toml", "--out", "found", *options,
    ])  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the user's module in it."""
    shutil.copy(Path(__file__).parent / "own.py", tmp_path / "own_search.py")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.timeout(600)
def test_a_function_of_ones_own_trains_the_candidates(
    folder: Path, small_npz: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(folder, small_npz, "own_search:train", "--trust") == 0
    chosen = json.loads((folder / "found/result.json").read_text())["chosen"]
    assert chosen["validation"] > 60
    records = [json.loads(file.read_text()) for file in (folder / "found/stages").glob("*/record.json")]
    trained = [record["settings"] for record in records if record["settings"].get("epochs") in (1, 2)]
    assert {settings["trainer"] for settings in trained} == {"own_search:train"}
    assert len({settings["trainer_source"] for settings in trained}) == 1
    shutil.rmtree(folder / "found")
    capsys.readouterr()
    assert search(folder, small_npz, "own_search:fails", "--trust") == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith("the training function 'own_search:fails' failed: RuntimeError: no luck")


@pytest.mark.parametrize(
    ("trainer", "options", "said"),
    [
        ("own_search:train", (), "'own_search:train' is not niwaki's: it would be run; if you trust it, say --trust"),
        ("own_search:trains", ("--trust",), "trainer 'own_search:trains': own_search has no 'trains'"),
        ("train", ("--trust",), "trainer = 'train'"),
    ],
)
def test_a_function_that_is_not_there_or_not_trusted_is_refused(
    folder: Path, small_npz: Path, trainer: str, options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(folder, small_npz, trainer, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_in_python_a_function_is_given_itself(folder: Path, small_npz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    train = importlib.import_module("own_search").train
    with pytest.raises(FactoryError, match=r"'own_search:train' is not niwaki's: .*if you trust it, say `trust=True`"):
        niwaki.compress("own_search:net", small_npz, fit="constants<=1KB", train=train)
    with pytest.raises(SpecError, match="trainer = 'train'"):
        niwaki.compress("lenet5", small_npz, fit="constants<=1KB", train="train", trust=True)


def test_bits_that_never_fit_are_named(folder: Path, small_npz: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The smallest candidate has 4 bits in its last layer, and the first proposal 8."""
    (folder / "few.toml").write_text(SPACE.format(trainer="own_search:train").replace("bits = [8]", "bits = [8, 4]"))
    code = run([
        "compress", "own_search:net", "--fit", "constants<=150", "--data", str(small_npz), "--trials", "1", "--trust",
        "--jobs", "1", "--space", "few.toml", "--out", "found",
    ])  # fmt: skip
    said = capsys.readouterr().err.splitlines()[-1]
    assert code == 1
    assert "constants<=150: the smallest candidate would, but not with the bits that were proposed" in said
    assert said.endswith("search further with --trials, or allow fewer bits in --space")


def test_a_function_that_workers_cannot_import_is_refused() -> None:
    with pytest.raises(
        SpecError, match=r"<lambda>' of .* cannot be imported by workers: put it into a module of its own"
    ):
        niwaki.compress("lenet5", fit="ram<=2KB", train=lambda model, data, epochs, seed: None, trust=True)
