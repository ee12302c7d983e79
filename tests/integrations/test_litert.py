"""The bits of LiteRT's reference kernels, run anew, and LiteRT in verify and bench: `make integrations` installs it."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from tests.foreign.test_tflite import ANSWERS

from litert import answers
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.deploy.bench_forms import forms_of
from niwaki.deploy.verify import VerifyOptions, verify_file
from niwaki.foreign.tflite import read_tflite
from tflite_cases import CASES, inputs_of, one, scores_of
from tflite_files import File, Tensor

pytestmark = pytest.mark.soak


@pytest.fixture(autouse=True)
def _installed() -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: make integrations")


@pytest.mark.parametrize("name", CASES)
def test_the_reference_equals_the_kernels(name: str) -> None:
    file = CASES[name]()
    inputs = inputs_of(file)
    found = answers(file, inputs)
    np.testing.assert_array_equal(scores_of(read_qdq(read_tflite(file.build(), name), name), inputs), found)
    assert zlib.crc32(np.ascontiguousarray(found).tobytes()) == ANSWERS[name]


def written(file: File, folder: Path) -> Path:
    path = folder / "theirs.tflite"
    path.write_bytes(file.build())
    return path


@pytest.mark.parametrize("name", ["small 0", "transposed conv", "float at both ends", "uint8, network"])
def test_verify_compares_with_the_kernels(name: str, tmp_path: Path) -> None:
    """Scores of a class each, and images, which are rows of pixels there."""
    report = verify_file(written(CASES[name](), tmp_path), options=VerifyOptions(20))
    (kernels,) = (form for form in report.forms if form.form == "tflite")
    assert kernels.ok, report.disagreements
    assert kernels.how.startswith("LiteRT ")
    assert kernels.images == 20
    assert kernels.agreement is not None
    assert kernels.agreement.equal


def test_verify_names_a_file_that_the_kernels_refuse(tmp_path: Path) -> None:
    """LOGISTIC in another scale than 1/256."""
    shape = (1, 4, 4, 2)
    report = verify_file(
        written(one("LOGISTIC", shape, Tensor(shape, 1 / 200, -128)), tmp_path), options=VerifyOptions(5)
    )
    assert not report.ok
    assert [line for line in report.disagreements if line.startswith("tflite (LiteRT")] != []
    assert "LiteRT refuses the file: " in "".join(report.disagreements)


def test_bench_races_the_fast_kernels(tmp_path: Path) -> None:
    found = forms_of(written(CASES["small 0"](), tmp_path))
    (subject,) = (subject for subject in found.subjects if subject.form == "tflite")
    assert subject.runtime.endswith(", XNNPACK")
    assert np.asarray(subject.call()).shape == (1, 5)
