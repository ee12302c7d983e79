"""From raw pixels to the int8 input of a network."""

from __future__ import annotations

import numpy as np

from niwaki.codegen.graph.arithmetic import LOW
from niwaki.codegen.readers.qdq_constants import Quantization
from niwaki.errors import ModelError
from niwaki.models.onnxfile import Metadata
from niwaki.models.onnxfold import Shape

PIXELS = Quantization(float(np.float32(1 / 255)), LOW)
"""x/255 as bytes."""


def table_of(about: Metadata, shape: Shape, quantization: Quantization | None) -> np.ndarray | None:
    """The input's int8 value for each raw pixel, (C, 256): the float32 of the preprocessing, or of x/255, quantized.

    None for another tool's file in rows of pixels that states no preprocessing: nothing is assumed about that.
    """
    preprocessing = about.preprocessing
    if len(shape) != 3 or quantization is None or (preprocessing is None and about.rows_of_pixels):
        return None
    if preprocessing is None:
        return quantization.quantize_all(np.tile(np.arange(256, dtype=np.float32) / np.float32(255), (shape[0], 1)))
    table = preprocessing.table()
    if len(table) != shape[0]:
        raise ModelError(f"the preprocessing gives {len(table)} channels, but the input has {shape[0]}")
    return quantization.quantize_all(table)
