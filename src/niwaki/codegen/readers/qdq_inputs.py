"""What an operator between DequantizeLinear and QuantizeLinear may ask about its inputs."""

from __future__ import annotations

from typing import Protocol

from onnx import NodeProto

from niwaki.codegen.graph.graph import Tensor
from niwaki.codegen.readers.qdq_constants import Constants
from niwaki.codegen.readers.qdq_values import Value
from niwaki.models.onnxfold import Shape


class Inputs(Protocol):
    """Gives an operator its inputs."""

    constants: Constants

    def value(self, name: str, reader: NodeProto) -> Value:
        """A float value."""

    def tensor(self, name: str, reader: NodeProto) -> str:
        """The tensor that represents a float value exactly."""

    def held(self, value: Value, name: str, reader: NodeProto) -> str:
        """The tensor, named `name` if it is new, that represents `value` exactly."""

    def held_tensor(self, name: str) -> Tensor:
        """A tensor of the graph."""

    def shape(self, name: str) -> Shape:
        """The shape of a float value, without the batch."""

    def any_shape(self, name: str) -> Shape:
        """The same, or the shape of a value that only changes its shape."""
