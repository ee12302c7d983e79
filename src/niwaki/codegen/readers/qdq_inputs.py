"""What an operator between DequantizeLinear and QuantizeLinear may ask about its inputs."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Protocol

from onnx import NodeProto

from niwaki.codegen.graph.graph import Tensor
from niwaki.codegen.readers.qdq_constants import Constants
from niwaki.codegen.readers.qdq_values import Value
from niwaki.errors import ModelError
from niwaki.models.onnxcheck import label
from niwaki.models.onnxfold import Shape

MOST_AXES = 5  # of a tensor, without the batch


class Inputs(Protocol):
    """Gives an operator its inputs."""

    constants: Constants
    unsigned: set[str]
    """The tensors that are uint8 in the file."""
    rounds_twice: bool
    """Whether the network rounds as TensorFlow Lite does."""

    def value(self, name: str, reader: NodeProto) -> Value:
        """A float value."""

    def tensor(self, name: str, reader: NodeProto) -> str:
        """The tensor that represents a float value exactly."""

    def held(self, value: Value, name: str, reader: NodeProto) -> str:
        """The tensor, named `name` if it is new, that represents `value` exactly."""

    def held_tensor(self, name: str) -> Tensor:
        """A tensor of the graph."""

    def constant_tensor(self, name: str, reader: NodeProto) -> str:
        """A tensor that holds a constant, quantized as it is in the file, or to its own range."""

    def factors(self, name: str) -> tuple[Fraction, ...]:
        """For each channel of a float value, its scale in that of its tensor; nothing if all have one scale."""

    def shape(self, name: str) -> Shape:
        """The shape of a float value, without the batch."""

    def full_shape(self, name: str) -> Shape:
        """The shape of a float value for one image, the batch included."""


def axes_of(node: NodeProto, full: Shape, axes: Iterable[int]) -> tuple[int, ...]:
    """Axes of a node as axes of its tensors, which have no batch. Raises ModelError for the batch."""
    kept, wanted = axes_kept(full), [axis % len(full) for axis in axes]
    if not set(wanted) <= set(kept):
        raise ModelError(f"{label(node)}: axes {list(axes)} of {full}: the batch stays as it is")
    return tuple(kept.index(axis) for axis in wanted)


def axes_kept(full: Shape) -> list[int]:
    """The axes of a float value that its tensor has: no batch, and beyond MOST_AXES none of one element."""
    kept = list(range(1 if full[0] == 1 and len(full) > 1 else 0, len(full)))
    while len(kept) > MOST_AXES and any(full[axis] == 1 for axis in kept):
        kept.remove(next(axis for axis in kept if full[axis] == 1))
    return kept
