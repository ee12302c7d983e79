"""Every kind of layer has its reference and its C; test_random.py checks that random networks contain it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import niwaki.kernels
from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Layer, Tensor
from niwaki.codegen.graph.operators.table import OPERATORS
from random_graphs import Builder

KERNELS = Path(niwaki.kernels.__file__).parent


def test_every_kind_of_layer_has_an_entry() -> None:
    kinds = {kind for kind in Layer.__subclasses__() if kind.__module__.startswith("niwaki.")}
    assert kinds == set(OPERATORS)


def test_every_kernel_is_written() -> None:
    text = "".join(file.read_text() for file in KERNELS.glob("*.h"))
    for operator in OPERATORS.values():
        for kernel in operator.kernels:
            assert re.search(rf"(?:void|#define) niwaki_run_{kernel}\b", text), kernel


def test_a_layer_of_no_kind_is_refused() -> None:
    tensors = {"a": Tensor("a", (1,), 1.0, 0)}
    with pytest.raises(TypeError, match="odd: no layer of the contract: Layer"):
        reference.run_layer(Layer("odd", ("a",), "a"), [np.zeros((1, 1), np.int8)], tensors)


def test_weights_are_the_int8_arrays_of_all_layers() -> None:
    """Whatever kind of layer has them; biases and factors are none."""
    builder = Builder((2, 5, 5), 0)
    builder.conv(3, (2, 2))
    builder.requantize()
    builder.dense(7)
    assert builder.graph().weight_bytes == 3 * 2 * 2 * 2 + 7 * 3 * 4 * 4


def test_arrays_on_the_stack_say_how_they_lie() -> None:
    """Without it, GCC 12 may store to them as if they lay at multiples of 32 bytes, and the program crashes."""
    local = re.compile(r"^ +(?:u?int\d+_t|niwaki_seen|niwaki_tap) \w+\[[^\]]*\];")
    x86 = ("portable", "elements", "packed", "blocks", "strip", "tile", "pixels", "depthwise", "places", "rows")
    lines = {name: (KERNELS / f"niwaki_{name}.h").read_text().splitlines() for name in x86}
    assert [f"{name}: {line}" for name, found in lines.items() for line in found if local.match(line)] == []
    assert sum("NIWAKI_ALIGNED" in line for found in lines.values() for line in found) > 10
