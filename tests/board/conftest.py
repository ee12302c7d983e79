"""What a network gives for images, by the integer reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.models.onnxfile import load_onnx


@pytest.fixture(scope="session")
def small_graph(small_export: Path) -> Graph:
    """The integer network of `small_export`."""
    return read_qdq(load_onnx(small_export / "model-int8.onnx"), "small")


@pytest.fixture(scope="session")
def exact(small_graph: Graph) -> Callable[[np.ndarray], np.ndarray]:
    """int8 scores (n, classes) of raw pixels, uint8 (n, 1, H, W)."""
    return lambda pixels: reference.run(small_graph, reference.quantize_pixels(small_graph, pixels))
