"""The benchmark of TensorFlow Lite files: what it compares before it times, and what it reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks import lite, report
from benchmarks.peers import Contender

from niwaki.codegen.readers.qdq import read_qdq
from niwaki.errors import NiwakiError
from niwaki.foreign.tflite import read_tflite
from tflite_files import small_file

FOUND = lite.Found(
    "tiny-kws", "ab" * 32, 1000,
    {"niwaki C int8": [2e-6, 4e-6], "niwaki C int8, again": [2e-6, 4e-6], "LiteRT int8": [3e-6, 4e-6]}, 1500,
)  # fmt: skip


def test_ratios_are_those_of_each_round() -> None:
    text = report.render(lite.report([FOUND], ("no LiteRT here",)))
    assert "tiny-kws           LiteRT int8  3.5  1.250 (1.125–1.375)" in text
    assert "tiny-kws: LiteRT int8 takes 1.250 (1.125–1.375) of the time of niwaki's C." in text
    assert ["tiny-kws", "1,000", "1,500", "1.50", "7,691,840"] in [line.split() for line in text.splitlines()]
    assert "- no LiteRT here" in text


def test_without_an_emulator_there_are_no_instructions() -> None:
    text = report.render(lite.report([replace(FOUND, name="other", instructions=None)], ("no LiteRT here",)))
    assert ["other", "1,000", "–", "–", "–"] in [line.split() for line in text.splitlines()]


def test_other_scores_are_not_timed() -> None:
    graph = read_qdq(read_tflite(small_file().build(), "a"), "a")
    wrong = Contender("LiteRT", "int8", lambda: None, lambda inputs: np.zeros((len(inputs), 5), np.int8))
    with pytest.raises(NiwakiError, match="^LiteRT int8: other scores than those of the reference: this is a bug$"):
        lite._check([wrong], graph)


def test_without_files() -> None:
    with pytest.raises(NiwakiError, match="^tflite: no .tflite file: name their folder with --files$"):
        lite.run([], quick=True)


@pytest.mark.soak
def test_a_file_is_compared_and_timed(tmp_path: Path) -> None:
    (tmp_path / "small.tflite").write_bytes(small_file().build())
    told = report.render(lite.run([tmp_path / "small.tflite"], quick=True))
    assert "niwaki C int8, again" in told
    assert "small.tflite: SHA-256 " in told
