"""A float ONNX whose input leaves its sides open, for one size: that of the preprocessing."""

from __future__ import annotations

import onnx

from niwaki.data.preprocessing import Preprocessing
from niwaki.models.onnxfold import fold
from niwaki.models.onnxsize import check_sizes


def with_sides(model: onnx.ModelProto, entry: str, preprocessing: Preprocessing, name: str) -> onnx.ModelProto | None:
    """A copy whose input `entry` has the sides that `preprocessing` gives wherever it left one open; the batch stays.

    None if nothing was open, or the preprocessing has no size itself. Raises ModelError, with `name` for the model, if
    it needs more memory for one image of that size than a file may use.
    """
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    dims = next(value for value in sized.graph.input if value.name == entry).type.tensor_type.shape.dim
    if len(dims) != 4 or preprocessing.size is None or all(dim.dim_value for dim in dims[1:]):
        return None
    for dim, side in zip(dims[1:], preprocessing.input_shape(), strict=True):
        dim.dim_value = dim.dim_value or side
    del sized.graph.value_info[:]  # of open sides
    sized = onnx.shape_inference.infer_shapes(sized)
    while fold(sized):  # sizes that nodes compute from the input's
        sized = onnx.shape_inference.infer_shapes(sized)
    check_sizes(sized, name)
    return sized
