"""The int8 output of another tool's network whose scores stay float: over which range, and how that is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from onnx import ModelProto

from niwaki.codegen.readers.qdq import float_output
from niwaki.data.dataset import Dataset
from niwaki.deploy.folder import MadeWith
from niwaki.deploy.images import calibration_images
from niwaki.errors import ModelError, Setting, Wording
from niwaki.foreign.ends import with_int8_output, with_output
from niwaki.models.onnxfile import load_onnx
from niwaki.models.onnxsession import scores

_HELD = ("DequantizeLinear", "QuantizeLinear")


@dataclass(frozen=True)
class Ending:
    """A float output that became int8: its name in the file, and the range of the int8 scores."""

    tensor: str
    low: float
    high: float
    images: int = 0
    """How many images it was measured on; 0: it is a bound for any input."""
    data: str = ""
    """Their dataset."""

    @property
    def said(self) -> str:
        """What happened, in one line."""
        done = f"the file's output is float: its scores became int8 from {self.low:.4g} to {self.high:.4g}, "
        if self.images:
            return f"{done}their range on {self.images:,} training images of {self.data}"
        return Wording(
            f"{done}beyond which no input can bring them; for finer steps name images with ", Setting("data")
        )

    @property
    def made_with(self) -> dict[str, MadeWith]:
        """For the record."""
        source = f"{self.images} images of {self.data}" if self.images else "a bound for any input"
        return {"output_low": self.low, "output_high": self.high, "output_range": source}


def with_ending(model: ModelProto, name: str) -> tuple[ModelProto, Ending | None]:
    """An int8 model, its float output quantized over a range that no input leaves; itself if that is int8 already.

    A model that is no integer network stays as it is: where it is read, an error says why.
    """
    last = next((node for node in model.graph.node if model.graph.output[0].name in node.output), None)
    if len(model.graph.output) != 1 or last is None or last.op_type in _HELD:
        return model, None
    try:
        found = float_output(model, name)
    except ModelError:
        return model, None
    if found is None:
        return model, None
    tensor, bounds = found
    return with_int8_output(model, tensor, bounds.low, bounds.high), Ending(tensor, bounds.low, bounds.high)


def measured(bare: bytes, ending: Ending, data: Dataset, table: np.ndarray, images: int) -> tuple[bytes, Ending]:
    """The same model `bare` of its int8 output, quantized over the range of the scores of training images.

    `table` is the input value of each raw pixel, float32 (C, 256).
    """
    model = load_onnx(bare)
    pixels = calibration_images(data.train, images)
    inputs = np.stack([values[pixels[:, channel]] for channel, values in enumerate(table)], axis=1)
    found = scores(with_output(model, ending.tensor).SerializeToString(), inputs)
    ranged = replace(ending, low=float(found.min()), high=float(found.max()), images=len(pixels), data=data.name)
    return with_int8_output(model, ending.tensor, ranged.low, ranged.high).SerializeToString(deterministic=True), ranged
