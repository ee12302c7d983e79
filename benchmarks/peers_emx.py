"""emx-onnx-cgen (https://github.com/emmtrix/emx-onnx-cgen): C from ONNX, built with the flags of niwaki's C."""

from __future__ import annotations

import ctypes
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime import quantization

from benchmarks.inference_networks import Network, scaled
from benchmarks.peers import Contender, compiler_for, images_in_a_loop, need, plain
from niwaki.errors import NiwakiError
from niwaki.models.onnxsession import open_session, quiet
from niwaki.toolchain.compiler import SPEED

NAME = "emx-onnx-cgen C"
# The pointer is read again each time, or a compiler might do the work only once.
LOOP = """#include "{source}"
void repeat(const void *input, void *output, int count)
{{
    const void *volatile image = input;
    while (count-- > 0)
        model(image, output);
}}
"""


def emx_float(network: Network, folder: Path) -> Sequence[Contender]:
    """The C of the float ONNX."""
    return _contenders("float", network.float_onnx, network, folder)


def emx_int8(network: Network, folder: Path) -> Sequence[Contender]:
    """The C of the QDQ ONNX, which computes in float from each DQ to the next Q."""
    return _contenders("int8 QDQ", network.int8_onnx, network, folder)


def emx_int8_linear(network: Network, folder: Path) -> Sequence[Contender]:
    """The C of the network in QLinear operators, which computes in integers."""
    need("emx_onnx_cgen", NAME)
    data = with_types(in_linear_operators(network, folder), network.inputs[:1])
    return _contenders("int8 QLinear", data, network, folder)


def _contenders(form: str, data: bytes, network: Network, folder: Path) -> Sequence[Contender]:
    need("emx_onnx_cgen", NAME)
    function = build(form, data, network, folder)
    with torch.no_grad():
        classes = network.model(torch.from_numpy(network.inputs[:1])).shape[1]
    image, output = np.ascontiguousarray(network.inputs[:1]), np.zeros(classes, np.float32)
    places = _address(image), _address(output)

    def scores(pixels: np.ndarray) -> np.ndarray:
        found = np.zeros((len(pixels), classes), np.float32)
        for inputs, row in zip(scaled(pixels), found, strict=True):
            function(_address(inputs), _address(row), 1)
        return found

    def one() -> None:
        function(*places, 1)

    images = images_in_a_loop(one)
    loop = Contender(NAME, form, lambda: function(*places, images), scores, images, looped=True)
    return Contender(NAME, form, one, scores), loop


def build(form: str, data: bytes, network: Network, folder: Path) -> Callable[..., None]:
    """The C of an ONNX, with all weights inside and without a heap, as a function (input, output, count)."""
    compiler = compiler_for(NAME)
    stem = folder / plain(f"{network.name} {form}")
    stem.with_suffix(".onnx").write_bytes(data)
    _run(
        sys.executable, "-m", "emx_onnx_cgen", "compile", f"{stem}.onnx", f"{stem}.c", "--model-name", "model",
        *(["--input-dim", "batch=1"] if b"batch" in data else []), "--large-weight-threshold", "0",
        "--large-temp-threshold", "0",
    )  # fmt: skip
    loop = folder / f"{stem.name}-loop.c"
    loop.write_text(LOOP.format(source=f"{stem.name}.c"), encoding="utf-8")
    _run(*shlex.split(compiler), *SPEED, "-w", "-fPIC", "-shared", "-o", f"{stem}.so", str(loop), "-lm")
    function = ctypes.CDLL(f"{stem}.so").repeat
    function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int], None
    return function


def in_linear_operators(network: Network, folder: Path) -> bytes:
    """The float ONNX quantized like niwaki's int8, but in QLinear operators."""
    source, target = folder / f"{plain(network.name)}.onnx", folder / f"{plain(network.name)}-linear.onnx"
    source.write_bytes(network.float_onnx)
    settings = {
        "quant_format": quantization.QuantFormat.QOperator, "per_channel": True,
        "activation_type": quantization.QuantType.QInt8, "weight_type": quantization.QuantType.QInt8,
    }  # fmt: skip
    with quiet():
        quantization.quantize_static(source, target, _Images(network.inputs), **settings)
    return target.read_bytes()


class _Images(quantization.CalibrationDataReader):
    """Images one by one, as ONNX Runtime's quantizer requests them."""

    def __init__(self, inputs: np.ndarray) -> None:
        self.left = iter(np.split(inputs, len(inputs)))

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self.left, None)
        return None if image is None else {"input": image}


def with_types(data: bytes, inputs: np.ndarray) -> bytes:
    """The ONNX for the batch of `inputs`, with the type and shape of every value, which emx-onnx-cgen needs.

    ONNX's own inference does not know the operators that ONNX Runtime adds, so the values are computed.
    """
    model = onnx.load_from_string(data)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = len(inputs)
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    known = {value.name for value in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name not in known]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = open_session(probe.SerializeToString(), "plain")
    values = session.run(names, {model.graph.input[0].name: inputs})
    del model.graph.value_info[:]
    for name, value in zip(names, values, strict=True):
        kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        model.graph.value_info.append(onnx.helper.make_tensor_value_info(name, kind, value.shape))
    return bytes(model.SerializeToString())


def _address(array: np.ndarray) -> ctypes.c_void_p:
    """A pointer that keeps its array alive."""
    return array.ctypes.data_as(ctypes.c_void_p)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["no message"]
        raise NiwakiError(f"{NAME}: {' '.join(command[:4])} … failed: {said[-1]}")
