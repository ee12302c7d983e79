"""Random networks on tensors of any shape: moved, joined, normalized, multiplied with each other."""

from __future__ import annotations

from fractions import Fraction
from math import prod

import numpy as np
from hypothesis import strategies as st

from niwaki.codegen.graph.arithmetic import Rescale, rescale_of
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.graph.lines import lines_of
from niwaki.codegen.graph.operators.functions import KINDS, MOST_DIVIDED, Divide, Lookup
from niwaki.codegen.graph.operators.moves import Constant, Rearrange
from niwaki.codegen.graph.operators.rows import EXP_BITS, SHARE_BITS, Linear, Matmul, Normalize, Reduce, Scale, Softmax
from random_graphs import Builder

SHAPES = ((6, 4, 5), (8, 3, 3), (12,), (4, 6, 2), (5, 7), (2, 3, 4, 3), (1, 9, 2))
STEPS = (
    "transpose", "slice", "shuffle", "reshape", "linear", "scale", "reduce", "largest", "normalize", "softmax",
    "matmul", "constant", "lookup", "lines", "divide", "requantize", "conv", "concat",
)  # fmt: skip


class Shaped(Builder):
    """Adds layers that take any shape, drawing what is not given."""

    def factors(self, count: int) -> Rescale:
        drawn = self.rng.uniform(0.2, 3, count) / 60
        return rescale_of([Fraction(float(factor)) for factor in drawn], "random")

    def moved(self, shape: tuple[int, ...], index: np.ndarray) -> str:
        return self._put(Rearrange(self._name(), (self.last,), self.tensor(shape, self.last), index.reshape(-1)))

    def transpose(self) -> str:
        order = self.rng.permutation(len(self.shape))
        index = np.arange(prod(self.shape)).reshape(self.shape).transpose(order)
        return self.moved(index.shape, index)

    def slice(self) -> str:
        axis = int(self.rng.integers(len(self.shape)))
        index = np.arange(prod(self.shape)).reshape(self.shape)
        index = np.flip(index, axis) if self.rng.random() < 0.3 else index.take(range(0, index.shape[axis], 2), axis)
        return self.moved(index.shape, index)

    def shuffle(self) -> str:
        """Elements from anywhere: what no loops visit."""
        index = self.rng.permutation(prod(self.shape))[: int(self.rng.integers(1, 40))]
        return self.moved(index.shape, index)

    def linear(self) -> str:
        weights = self.rng.integers(-128, 128, (5, self.shape[-1])).astype(np.int8)
        bias = self.rng.integers(-900, 900, 5).astype(np.int32)
        out = self.tensor((*self.shape[:-1], 5))
        return self._put(Linear(self._name(), (self.last,), out, weights, bias, self.factors(5), self.clamp()))

    def scale(self) -> str:
        size = self.shape[-1]
        weights = self.rng.choice([127, -127, 0], size).astype(np.int8)
        bias = self.rng.integers(-900, 900, size).astype(np.int32)
        factors, out = self.factors(size), self.tensor(self.shape)
        return self._put(Scale(self._name(), (self.last,), out, weights, bias, factors, self.clamp()))

    def reduce(self, largest: bool) -> str:
        first, last = sorted(self.rng.integers(0, len(self.shape), 2).tolist())
        axes = tuple(range(first, last + 1)) if last - first + 1 < len(self.shape) else (first,)
        kept = tuple(side for axis, side in enumerate(self.shape) if axis not in axes) or (1,)
        out = self.tensor(kept, self.last if largest else None)
        clamp = (-128, 127) if largest else self.clamp()
        return self._put(Reduce(self._name(), (self.last,), out, axes, None if largest else self.factors(1), clamp))

    def normalize(self) -> str:
        axis, by = (int(self.rng.integers(len(self.shape))) for _ in range(2))
        size, epsilon = self.shape[by], int(self.rng.choice([1, 700, 1 << 40]))
        factor = self.rng.integers(-(2**31), 2**31, size).astype(np.int32)
        offset = self.rng.integers(-(2**22), 2**22, size).astype(np.int32)
        out, shift = self.tensor(self.shape), int(self.rng.choice([17, 40, 45, 47]))
        root = bool(self.rng.random() < 0.3)
        layer = Normalize(self._name(), (self.last,), out, (axis,), epsilon, factor, offset, shift, (by,), root)
        return self._put(layer)

    def softmax(self) -> str:
        table = np.round(np.exp(-np.arange(256) * self.rng.uniform(0.01, 0.3)) * (1 << EXP_BITS)).astype(np.int32)
        rescale = rescale_of([Fraction(int(self.rng.integers(50, 400)), 1 << SHARE_BITS)], "random")
        axis = int(self.rng.integers(len(self.shape)))
        return self._put(Softmax(self._name(), (self.last,), self.tensor(self.shape), axis, table, rescale))

    def matmul(self) -> str:
        """With itself, transposed; of several matrices with one or as many."""
        if len(self.shape) == 1:
            self.reshape((self.shape[0], 1))
        left = self.last
        shape = self.shape
        if len(shape) == 3 and self.rng.random() < 0.5:  # one matrix for all
            index = np.arange(prod(shape)).reshape(shape)[0].T
        else:
            index = np.arange(prod(shape)).reshape(shape).swapaxes(-1, -2)
        right = self.moved(index.shape, index)
        out = self.tensor((*shape[:-1], shape[-2]))
        return self._put(Matmul(self._name(), (left, right), out, self.factors(1), self.clamp()))

    def constant(self) -> str:
        """Joined with the tensor, whose axes it has all or only the last of."""
        left, shape = self.last, self.shape[int(self.rng.integers(len(self.shape))) :]
        values = self.rng.integers(-128, 128, shape).astype(np.int8)
        right = self._put(Constant(self._name(), (), self.tensor(shape), values))
        kind, names = str(self.rng.choice(KINDS)), self.rng.permutation([left, right]).tolist()
        return self.pairwise(kind, *names)

    def divide(self) -> str:
        """By itself in another scale, or by its first row."""
        left, shift = self.last, int(self.rng.choice([1, 20, 25, 28, MOST_DIVIDED]))
        if self.rng.random() < 0.5 and len(self.shape) > 1:
            first = np.arange(prod(self.shape)).reshape(self.shape)[:1]
            right = self.moved(first.shape, first)
        else:
            right = self.requantize()
        multiplier = min(round(float(self.rng.uniform(1, 40)) * 2.0**shift), (1 << 31) - 1)
        rescale = Rescale(np.array([multiplier]), np.array([shift]))
        return self._put(
            Divide(self._name(), (left, right), self.tensor(self.tensors[left].shape), rescale, self.clamp())
        )

    def lines(self) -> str:
        """Tables along an axis that are one function."""
        axis, out = int(self.rng.integers(len(self.shape))), self.tensor(self.shape)
        target, sides = self.tensors[out], (self.shape[axis], 1)
        factors, offsets = self.rng.normal(0, 1, sides), self.rng.normal(0, 0.5, sides)
        values = (factors * self.rng.normal(0, 1, 256) + offsets) * 60 * target.scale
        clamp = self.clamp()
        steps = np.floor(values / target.scale + 0.5) + target.zero_point
        table = np.clip(steps, *clamp).astype(np.int8)
        lines = lines_of(values, table, target, clamp)
        assert lines is not None
        return self._put(Lookup(self._name(), (self.last,), out, table, axis, lines))

    def step(self, kind: str) -> None:
        """One step of that kind, if it takes the present shape."""
        if kind == "reshape":
            total = prod(self.shape)
            first = int(self.rng.choice([side for side in range(1, total + 1) if total % side == 0]))
            self.reshape((first, total // first))
        elif kind == "conv":
            if len(self.shape) == 3:
                self.conv(4, (1, 1))
        elif kind == "lookup":
            self.lookup(int(self.rng.integers(len(self.shape))))
        elif kind == "concat":
            self.concat([self.last, self.requantize()], int(self.rng.integers(len(self.shape))))
        elif kind in ("reduce", "largest"):
            self.reduce(kind == "largest")
        else:
            getattr(self, kind)()


def of_each_kind() -> list[Graph]:
    """Networks that have every kind of layer between them, and weights of every layout in every number of bits."""
    made: list[Builder] = []

    def start(shape: tuple[int, ...], *, twice: bool = False, bits: int = 8) -> Builder:
        made.append(Builder(shape, len(made), twice=twice))
        made[-1].bits = bits
        return made[-1]

    for bits in (8, 4, 2):
        start((4, 6, 7), bits=bits).conv(8, (3, 3))
        start((4, 6, 7), bits=bits).conv(8, (3, 3), groups=2)
        start((4, 6, 7), bits=bits).conv(4, (3, 3), groups=4)
        start((4, 6, 7), bits=bits).dense(5)
    for twice in (False, True):
        start((3, 6, 7), twice=twice).max_pool((2, 2), (2, 2))
        start((3, 6, 7), twice=twice).average_pool((2, 2), (2, 2), (0, 0, 0, 0), count_pads=False)
        builder = start((3, 6, 7), twice=twice)
        builder.add(builder.last, builder.requantize())
    start((3, 6, 7), twice=True).integer_mean((2, 2), (2, 2), (0, 0, 0, 0))
    start((3, 6, 7)).pad((1, 0, 2, 1))
    start((3, 6, 7)).bilinear((4, 9), (14, 8), same=False)
    start((3, 6, 7)).bilinear((4, 9), (14, 8), same=True)
    start((3, 6, 7), twice=True).bilinear((4, 9), (1024, 1024), same=True)
    start((3, 6, 7)).widen(1, 2)
    start((3, 6, 7)).reshape((126,))
    for kind in STEPS:
        shaped = Shaped((6, 4, 5), len(made))
        shaped.step(kind)
        made.append(shaped)
    return [builder.graph() for builder in made]


@st.composite
def shaped_graphs(draw: st.DrawFn) -> Graph:
    """A network of one to five steps on tensors of one to four axes."""
    builder = Shaped(draw(st.sampled_from(SHAPES)), draw(st.integers(0, 2**32 - 1)))
    for kind in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=5)):
        builder.step(kind)
    if not builder.layers:
        builder.transpose()
    return builder.graph()
