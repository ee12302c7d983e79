"""The bits of LiteRT's reference kernels, run anew: `make integrations` installs LiteRT."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from tests.foreign.test_tflite import ANSWERS

from litert import answers
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.foreign.tflite import read_tflite
from tflite_cases import CASES, inputs_of, scores_of

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("name", CASES)
def test_the_reference_equals_the_kernels(name: str) -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: make integrations")
    file = CASES[name]()
    inputs = inputs_of(file)
    found = answers(file, inputs)
    np.testing.assert_array_equal(scores_of(read_qdq(read_tflite(file.build(), name), name), inputs), found)
    assert zlib.crc32(np.ascontiguousarray(found).tobytes()) == ANSWERS[name]
