"""From a graph of layers to steps on buffers: layouts, pooling taken into convolutions, memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from niwaki.codegen.arena import apart, lives_of, share_in_place
from niwaki.codegen.arithmetic import Rescale
from niwaki.codegen.graph import (
    Add,
    AveragePool,
    Concat,
    Conv,
    Dense,
    Graph,
    Layer,
    MaxPool,
    Pad,
    Requantize,
    Reshape,
    Tensor,
)
from niwaki.codegen.layout import MOST_PATCH_BYTES, MOST_STRIP_BYTES, is_wide, over_pixels, weights_layout
from niwaki.codegen.memory import check_plan, lifetimes_bytes, plan_arena
from niwaki.codegen.program import INPUT, OUTPUT, Program, Step
from niwaki.errors import ModelError

MAX_SIDE = 32767  # shapes are 16-bit numbers in the C


def lower(graph: Graph) -> Program:
    """The program of a graph.

    Raises ModelError naming the layer whose shape is beyond the C's 16-bit numbers.
    """
    plain = _Lowering(graph, fuse=False).run()
    lowering = _Lowering(graph, fuse=True)
    steps = lowering.run()
    lives = share_in_place(steps, lives_of(steps, lowering.sizes))
    offsets, arena = plan_arena(apart(lives), last=INPUT)
    places = {name: offsets[root] for name, root in lives.roots.items()}
    check_plan(apart(lives), offsets)
    return Program(
        steps=tuple(steps),
        offsets=places,
        sizes={name: lowering.sizes[name] for name in places},
        arena_bytes=arena,
        arena_without_input=max(
            (places[name] + lowering.sizes[name] for name in places if name != INPUT or lowering.arrange_input),
            default=0,
        ),
        lifetimes_bytes=lifetimes_bytes(list(lives_of(plain, _sizes(graph)).values())),
        arrange_input=lowering.arrange_input,
    )


def hwc(tensor: Tensor) -> tuple[int, int, int]:
    """Height, width, channels of a tensor; a flat one is a single pixel."""
    if len(tensor.shape) == 1:
        return 1, 1, tensor.shape[0]
    channels, height, width = tensor.shape
    return height, width, channels


def _ordered_alike(tensor: Tensor) -> bool:
    """Whether channels first and channels last are the same order of bytes."""
    height, width, channels = hwc(tensor)
    return channels == 1 or height * width == 1


def _sizes(graph: Graph) -> dict[str, int]:
    return {**{name: tensor.size for name, tensor in graph.tensors.items()}, INPUT: graph.tensors[graph.input].size}


@dataclass
class _Lowering:
    """Walks the layers of a graph and writes steps."""

    graph: Graph
    fuse: bool
    steps: list[Step] = field(default_factory=list)
    home: dict[str, str] = field(default_factory=dict)  # the buffer in which a tensor lies
    layout: dict[str, Tensor] = field(default_factory=dict)  # the shape in which a free reshape left the bytes
    sizes: dict[str, int] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    @property
    def arrange_input(self) -> bool:
        return not _ordered_alike(self.graph.tensors[self.graph.input])

    def run(self) -> list[Step]:
        graph = self.graph
        self.home[graph.input] = INPUT
        self.sizes = _sizes(graph)
        for layer in graph.layers:
            for name in (*layer.inputs, layer.output):
                if max(hwc(graph.tensors[name])[:2]) > MAX_SIDE or hwc(graph.tensors[name])[2] > MAX_SIDE:
                    if isinstance(layer, Dense | Reshape):
                        continue
                    raise ModelError(f"{layer.name}: shape {graph.tensors[name].shape}: sides go up to {MAX_SIDE}")
            if layer.name not in self.done:
                self._lower(layer)
        return self._into_output()

    def _lower(self, layer: Layer) -> None:
        match layer:
            case Conv():
                self._conv(layer)
            case Dense():
                self._dense(layer)
            case MaxPool():
                self._emit("max_pool", layer, {**self._image(layer), **_window(layer)})
            case AveragePool():
                self._average_pool(layer)
            case Add():
                self._add(layer)
            case Concat():
                self._concat(layer)
            case Requantize():
                size = self.graph.tensors[layer.output].size
                self._emit("requantize", layer, _requantize(layer.rescale, 1, size, size) | self._ends(layer))
            case Pad():
                self._pad(layer)
            case Reshape():
                self._reshape(layer)
            case _:  # pragma: no cover (the reader makes no others)
                raise AssertionError(type(layer))

    def _emit(
        self, kernel: str, layer: Layer, fields: dict[str, int], arrays: dict[str, np.ndarray] | None = None,
        weights: str = "", output: str | None = None, inputs: tuple[str, ...] | None = None,
    ) -> None:  # fmt: skip
        output = output or layer.output
        self.home[output] = output
        homes = tuple(self.home[name] for name in inputs or layer.inputs)
        self.steps.append(Step(kernel, layer.name, homes, output, fields, arrays or {}, weights))

    def _image(self, layer: Layer, output: str | None = None) -> dict[str, int]:
        in_h, in_w, channels = hwc(self.graph.tensors[layer.inputs[0]])
        out_h, out_w, _ = hwc(self.graph.tensors[output or layer.output])
        return {"in_h": in_h, "in_w": in_w, "channels": channels, "out_h": out_h, "out_w": out_w}

    def _ends(self, layer: Layer) -> dict[str, int]:
        low, high = getattr(layer, "clamp", (-128, 127))
        return {
            "in_zero": self.graph.tensors[layer.inputs[0]].zero_point,
            "out_zero": self.graph.tensors[layer.output].zero_point,
            "low": low,
            "high": high,
        }

    def _conv(self, layer: Conv) -> None:
        pool = self._pool_after(layer)
        output = pool.output if pool else layer.output
        image = self._image(layer, output)
        in_c, filters = image.pop("channels"), layer.weights.shape[0]
        fields = image | {
            "in_c": in_c, "out_c": filters, "kernel_h": layer.weights.shape[2], "kernel_w": layer.weights.shape[3],
            "stride_h": layer.strides[0], "stride_w": layer.strides[1], "pad_top": layer.pads[0],
            "pad_left": layer.pads[1], "dilation_h": layer.dilations[0], "dilation_w": layer.dilations[1],
            "groups": layer.groups, "pool_h": pool.kernel[0] if pool else 1, "pool_w": pool.kernel[1] if pool else 1,
            **self._ends(layer), "wide": is_wide(layer), "pixels": 0,
        }  # fmt: skip
        by_tap = layer.weights.transpose(0, 2, 3, 1)  # OHWI
        weights = weights_layout(fields)
        if weights == "depthwise":
            by_tap = by_tap[..., 0]
        if weights == "blocks":
            fields["pixels"] = int(over_pixels(fields))
        seen = by_tap[0].size * fields["pool_h"] * fields["pool_w"]
        kernel = "conv" if weights != "blocks" or seen <= MOST_PATCH_BYTES else "large_conv"
        self._emit(kernel, layer, fields, {"weights": by_tap, **self._ending(layer)}, weights, output)
        if pool:
            self.done.add(pool.name)

    def _ending(self, layer: Conv | Dense) -> dict[str, np.ndarray]:
        """The arrays with which a sum of products is rounded; the bias takes in the input's zero point."""
        zero = self.graph.tensors[layer.inputs[0]].zero_point
        sums = layer.weights.astype(np.int64).reshape(len(layer.weights), -1).sum(axis=1)
        return {
            "bias": layer.bias.astype(np.int64) - zero * sums,
            "sums": sums,
            "multiplier": layer.rescale.multiplier,
            "shift": layer.rescale.shift,
        }

    def _pool_after(self, layer: Conv) -> MaxPool | None:
        """The pooling that can be done on the sums: maximum and rounding, which keeps order, may change places."""
        readers = list(self.graph.readers(layer.output))
        if not self.fuse or len(readers) != 1 or layer.output == self.graph.output or layer.groups > 1:
            return None
        pool = readers[0]
        if isinstance(pool, MaxPool) and pool.kernel == pool.strides and pool.pads == (0, 0, 0, 0):
            return pool
        return None

    def _dense(self, layer: Dense) -> None:
        weights = layer.weights
        shape = self.layout.get(layer.inputs[0])
        if shape is not None:  # the bytes still lie as rows of pixels
            weights = weights.reshape(len(weights), *shape.shape).transpose(0, 2, 3, 1).reshape(len(weights), -1)
        fields = {"in": weights.shape[1], "out": len(weights), **self._ends(layer), "wide": is_wide(layer)}
        del fields["in_zero"]
        lies = "blocks" if weights.shape[1] <= MOST_STRIP_BYTES else "rows"
        self._emit("dense", layer, fields, {"weights": weights, **self._ending(layer)}, lies)

    def _average_pool(self, layer: AveragePool) -> None:
        divisors = sorted(layer.rescale)
        table = np.zeros((2, divisors[-1]), np.int64) + np.array([[0], [1]])
        for n in divisors:
            table[:, n - 1] = layer.rescale[n].multiplier[0], layer.rescale[n].shift[0]
        if len(divisors) == 1:
            table = table[:, -1:]
        fields = {
            **self._image(layer), **_window(layer), **self._ends(layer), "divisors": table.shape[1],
            "count_pads": int(layer.count_include_pad),
        }  # fmt: skip
        self._emit("average_pool", layer, fields, {"multiplier": table[0], "shift": table[1]})

    def _add(self, layer: Add) -> None:
        a, b = (self.graph.tensors[name] for name in layer.inputs)
        ends = self._ends(layer)
        del ends["in_zero"]
        (ma, mb), shift = layer.rescale.multiplier, layer.rescale.shift[0]
        self._emit("add", layer, {
            "size": a.size, "multiplier_a": int(ma), "multiplier_b": int(mb), "shift": int(shift),
            "zero_a": a.zero_point, "zero_b": b.zero_point, **ends,
        })  # fmt: skip

    def _concat(self, layer: Concat) -> None:
        """One step for each part; in rows of pixels the channels are the innermost axis."""
        out = hwc(self.graph.tensors[layer.output])
        axis = (2, 0, 1)[layer.axis] if len(self.graph.tensors[layer.output].shape) == 3 else 2
        inner, start = int(np.prod(out[axis + 1 :])), 0
        for index, name in enumerate(layer.inputs):
            tensor = self.graph.tensors[name]
            size = hwc(tensor)[axis] * inner
            part = replace(layer, inputs=(name,))
            step = _requantize(layer.rescale[index], int(np.prod(out[:axis])), size, out[axis] * inner)
            fields = {**step, **self._ends(part), "at": start}
            self._emit("requantize", part, fields)
            start += size

    def _pad(self, layer: Pad) -> None:
        image = self._image(layer)
        top, left, bottom, right = layer.pads
        self._emit("pad", layer, {
            "in_h": image["in_h"], "in_w": image["in_w"], "channels": image["channels"], "top": top, "left": left,
            "bottom": bottom, "right": right, "value": layer.value,
        })  # fmt: skip

    def _reshape(self, layer: Reshape) -> None:
        """Nothing to do where the bytes lie alike, or where only dense layers read them: these take their order."""
        source, target = self.graph.tensors[layer.inputs[0]], self.graph.tensors[layer.output]
        readers = list(self.graph.readers(layer.output))
        flat = len(target.shape) == 1 and layer.output != self.graph.output
        if _ordered_alike(source) and _ordered_alike(target):
            self.home[layer.output] = self.home[layer.inputs[0]]
        elif flat and len(source.shape) == 3 and readers and all(isinstance(r, Dense) for r in readers):
            self.home[layer.output] = self.home[layer.inputs[0]]
            self.layout[layer.output] = source
        else:
            self._emit("reshape", layer, _reshape(source, target))

    def _into_output(self) -> list[Step]:
        """The last step writes to the caller's output, channels first; a copy where it cannot."""
        graph, last = self.graph, self.home[self.graph.output]
        tensor = graph.tensors[graph.output]
        written = [step for step in self.steps if step.output == last]
        read = any(last in step.inputs for step in self.steps)
        if _ordered_alike(tensor) and written and not read:
            return [replace(step, output=OUTPUT) if step.output == last else step for step in self.steps]
        flat = Tensor(tensor.name, (tensor.size,), tensor.scale, tensor.zero_point)
        copy = Step("reshape", "output", (last,), OUTPUT, _reshape(tensor, flat))
        return [*self.steps, copy]


def _window(layer: MaxPool | AveragePool) -> dict[str, int]:
    return {
        "kernel_h": layer.kernel[0], "kernel_w": layer.kernel[1], "stride_h": layer.strides[0],
        "stride_w": layer.strides[1], "pad_top": layer.pads[0], "pad_left": layer.pads[1],
    }  # fmt: skip


def _requantize(rescale: Rescale, rows: int, size: int, out_step: int) -> dict[str, int]:
    return {"rows": rows, "size": size, "out_step": out_step, "multiplier": int(rescale.multiplier[0]),
            "shift": int(rescale.shift[0])}  # fmt: skip


def _reshape(source: Tensor, target: Tensor) -> dict[str, int]:
    names = ("in_h", "in_w", "in_c", "out_h", "out_w", "out_c")
    return dict(zip(names, (*hwc(source), *hwc(target)), strict=True))
