"""ExecuTorch with XNNPACK (https://docs.pytorch.org/executorch): the float program and the PT2E-quantized one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.inference_networks import Network
from benchmarks.peers import Contender, as_tensors, need
from niwaki.models.onnxsession import quiet

NAME = "ExecuTorch/XNNPACK"


def executorch_float(network: Network, _folder: Path) -> Sequence[Contender]:
    """The module, with everything that XNNPACK supports delegated to it."""
    need("executorch", NAME)
    with quiet():
        return (_contender("float", torch.export.export(network.model, as_tensors(network.pixels[:1])), network),)


def executorch_int8(network: Network, _folder: Path) -> Sequence[Contender]:
    """The same after PT2E quantization: symmetric, weights per channel, calibrated on the images of niwaki's int8."""
    need("executorch", NAME)
    with quiet():
        from executorch.backends.xnnpack.quantizer import xnnpack_quantizer as xnnpack
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        settings = xnnpack.get_symmetric_quantization_config(is_per_channel=True)
        images = as_tensors(network.pixels)
        captured = torch.export.export(network.model, images[:1]).module()
        observed = prepare_pt2e(captured, xnnpack.XNNPACKQuantizer().set_global(settings))
        for image in images:
            observed(image)
        return (_contender("int8", torch.export.export(convert_pt2e(observed), images[:1]), network),)


class Program:
    """A loaded program on one thread. It reads from its bytes while it lives, so it keeps them."""

    def __init__(self, data: bytes) -> None:
        from executorch.extension.pybindings import portable_lib

        self.data = data
        self.module: Any = portable_lib._load_for_executorch_from_buffer(data)
        portable_lib._unsafe_reset_threadpool(1)

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        """Float32 scores (n, classes) for uint8 images, which it takes one by one."""
        return torch.cat([self.module.forward((image,))[0] for image in as_tensors(pixels)]).numpy()


def _contender(form: str, exported: torch.export.ExportedProgram, network: Network) -> Contender:
    """A program lowered and loaded; its output is not copied, which is its fastest way."""
    program, inputs = Program(lower(exported)), as_tensors(network.pixels[:1])
    return Contender(NAME, form, lambda: program.module.forward(inputs, clone_outputs=False), program.scores)


def lower(exported: torch.export.ExportedProgram) -> bytes:
    """The bytes of an ExecuTorch program with XNNPACK's delegates in it."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    edge = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    return bytes(edge.to_executorch().buffer)
