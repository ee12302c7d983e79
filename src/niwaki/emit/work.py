"""What kernels have to do for a network, counted from shapes: how often each part of each kernel runs.

The choice between kernels is that of kernels/niwaki_first.h, niwaki_outputs.h, niwaki_planes.h and niwaki_packed.h, and
the parts are their loops. A target's coefficients (estimate.py) turn these counts into instructions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.graph.layout import pair_bytes, stack_bytes
from niwaki.codegen.graph.program import Program, Step, Stripes
from niwaki.emit.pack import stored

_PLANE = 960  # NIWAKI_PLANE: bytes for some rows of one channel
_FEW = 48  # NIWAKI_FEW: bytes that are put together before they are widened
_LANES = 16
STRIPES, STRIPED_STEPS = "stripes", "stripes: steps"
Counts = Counter[str]


@dataclass(frozen=True)
class Scratch:
    """Bytes on the stack that the layers share."""

    patch: int
    pairs: int
    small: bool
    """Whether all convolutions are pooled: compiled for size, there are fewer kernels then."""


@dataclass(frozen=True)
class Work:
    """A layer's kernel, by a name of its own for each way of doing it, its array on the stack, and what it counts."""

    way: str
    array: int
    counts: Counts


def ways(program: Program) -> list[str]:
    """The kernel of each step on a Cortex-M with DSP instructions, compiled for speed."""
    scratch = replace(_scratch(program), small=False)
    return [_way(step, _bits(step), scratch) for step in program.steps]


def _scratch(program: Program) -> Scratch:
    patch, _ = stack_bytes(program.steps)
    pairs = pair_bytes(program.steps)
    return Scratch(patch, pairs or (patch + 12) & ~7, pairs == 0)


def _bits(step: Step) -> int:
    weights = stored(step)
    return weights.bits if weights and weights.suffix else 8


def work_of(graph: Graph, program: Program, *, tuned: bool) -> list[Work]:
    """What each step of a program does; `tuned` if the target has the DSP instructions of Cortex-M."""
    scratch = _scratch(program)
    found = []
    for step in program.steps:
        bits = _bits(step)
        way = _way(step, bits, scratch) if tuned else _plain_way(step, bits)
        found.append(Work(way, _array(way, scratch), Counter(dict(_counts(step, way, scratch)))))
    found += [_striping(stripes, [work.way for work in found]) for stripes in program.stripes]
    if program.arrange_input:
        found.append(Work("reshape", 0, Counter({"reshape values": graph.tensors[graph.input].size})))
    return found


def _striping(stripes: Stripes, kernels: Sequence[str]) -> Work:
    """A loop by stripes of rows: what its passes, the calls of each kernel and the rows that move take in addition."""
    steps = range(stripes.start, stripes.end)
    counts: Counts = Counter({"stripes: passes": stripes.passes, "stripes: moved": stripes.moved})
    for index in steps:
        counts[f"stripes: calls of {kernels[index]}"] += max(stripes.calls // len(steps), 1)
    return Work(STRIPES, 0, counts | Counter({STRIPED_STEPS: len(steps)}))


def _plain_way(step: Step, bits: int) -> str:
    if step.weights == "depthwise":
        return f"depthwise {bits}"
    if step.kernel == "conv":
        return f"{'rows' if step.weights == 'rows' else 'patches'} {bits}"
    return f"{step.kernel} {bits}" if step.kernel in ("dense", "large_conv") else step.kernel


def _way(step: Step, bits: int, scratch: Scratch) -> str:
    f = step.fields
    if step.weights == "depthwise":
        return f"{'planes' if _has_planes(f) else 'depthwise'} {bits}"
    if step.kernel in ("conv", "large_conv") and step.weights != "rows":
        return _conv_way(step, bits, scratch)
    if step.kernel == "dense" and step.weights != "rows" and bits == 8 and not scratch.small:
        if f["in"] >= 4 and -(-f["in"] // 4) * 8 <= scratch.pairs:
            return "dense widened"
        return "dense narrow" if f["in"] % 4 == 0 else "dense 8"
    return _plain_way(step, bits)


def _conv_way(step: Step, bits: int, scratch: Scratch) -> str:
    f = step.fields
    if is_first(f) and bits == 8:
        return "first"
    if is_first(f) and f["out_c"] * f["kernel_h"] * 5 <= scratch.patch // 2:
        return f"packed first {bits}"
    in_twos = bits == 8 or (step.kernel == "conv" and f["out_c"] % (2 if bits == 4 else 4) == 0)
    if in_twos and not scratch.small and _pair_rows(f, scratch) > 0:
        return "pairs" if bits == 8 else f"pairs {bits}"
    return _plain_way(step, bits)


def _array(way: str, scratch: Scratch) -> int:
    kind = way.partition(" ")[0]
    if way.startswith("packed first"):
        return 128 + scratch.patch // 2
    known = {"patches": scratch.patch, "pairs": scratch.pairs, "planes": _PLANE, "first": 128}
    return scratch.pairs if way == "dense widened" else known.get(kind, 0)


def is_first(f: Mapping[str, int]) -> bool:
    """Whether a convolution is the work of the kernel for a first layer of one channel."""
    plain = f["stride_h"] == f["stride_w"] == f["dilation_h"] == 1 and f["pad_top"] == f["pad_left"] == 0
    shape = f["in_c"] == 1 and f["kernel_w"] == 5 and f["kernel_h"] <= 7 and f["pool_h"] == f["pool_w"] == 2
    inside = 2 * f["out_h"] + f["kernel_h"] - 1 <= f["in_h"] and 2 * f["out_w"] + 4 <= f["in_w"]
    return plain and shape and inside


def _pair_rows(f: Mapping[str, int], scratch: Scratch) -> int:
    line = f["kernel_w"] * f["in_c"]
    if line < 4:
        return 0
    if scratch.pairs // 16 >= (line * f["kernel_h"] + 3) // 4:
        return f["kernel_h"]
    rows = (scratch.pairs - 8 * (f["out_c"] + 1)) // (4 * line)
    return rows if line % 4 == 0 and f["pool_h"] * f["pool_w"] == 1 and rows > 0 else 0


def _plane_row(f: Mapping[str, int]) -> int:
    return ((f["out_w"] - 1) * f["stride_w"] + 3 + 4) & ~1


def _has_planes(f: Mapping[str, int]) -> bool:
    shape = f["kernel_h"] == f["kernel_w"] == 3 and f["dilation_h"] == f["dilation_w"] == 1
    return shape and f["stride_w"] <= 2 and f["pad_left"] <= 2 and 3 * _plane_row(f) <= _PLANE


def _at_edge(f: Mapping[str, int]) -> int:
    """The places that see padding."""
    inside = 1
    for side, before, kernel in (("h", "pad_top", "kernel_h"), ("w", "pad_left", "kernel_w")):
        reach = (f[kernel] - 1) * f[f"dilation_{side}"]
        starts = (at * f[f"stride_{side}"] - f[before] for at in range(f[f"out_{side}"] * f[f"pool_{side}"]))
        inside *= sum(start >= 0 and start + reach < f[f"in_{side}"] for start in starts)
    return _places(f) - inside


def _places(f: Mapping[str, int]) -> int:
    return f["out_h"] * f["pool_h"] * f["out_w"] * f["pool_w"]


def _counts(step: Step, way: str, scratch: Scratch) -> Iterator[tuple[str, float]]:
    yield f"layer {way}", 1
    f, kind = step.fields, way.partition(" ")[0]
    if kind == "pairs":
        yield from _pairs(f, way, scratch)
    elif kind == "patches":
        yield from _patches(f, way)
    elif kind in ("first", "packed"):
        yield from _first(f, way)
    elif kind == "planes":
        yield from _planes(f, way)
    elif kind == "dense":
        yield from _dense(f, way)
    elif kind == "depthwise":
        taps, values = f["kernel_h"] * f["kernel_w"], f["out_h"] * f["out_w"] * f["out_c"]
        lanes = f["out_h"] * f["out_w"] * -(-f["out_c"] // _LANES)
        yield from {f"{way} lanes": lanes, f"{way} taps": lanes * taps, f"{way} products": values * taps,
                    f"{way} outputs": values}.items()  # fmt: skip
    elif kind in ("rows", "large_conv"):
        sums, taps = _places(f) * f["out_c"], f["kernel_h"] * f["kernel_w"]
        yield from {f"{way} sums": sums, f"{way} taps": sums * taps,
                    f"{way} products": sums * taps * f["in_c"] // f["groups"]}.items()  # fmt: skip
    else:
        yield from _others(f, way)


def _others(f: Mapping[str, int], way: str) -> Iterator[tuple[str, float]]:
    if way in ("average_pool", "max_pool"):
        windows, seen = f["out_h"] * f["out_w"], f["kernel_h"] * f["kernel_w"]
        yield f"{way} lanes", windows * -(-f["channels"] // _LANES) * seen
        yield f"{way} values", windows * f["channels"] * seen
        yield f"{way} outputs", windows * f["channels"]
    else:
        image = f.get("in_h", 1) * f.get("in_w", 1) * f.get("channels", f.get("in_c", 1))
        yield f"{way} values", f["size"] * f.get("rows", 1) if "size" in f else image


def _pairs(f: Mapping[str, int], name: str, scratch: Scratch) -> Iterator[tuple[str, float]]:
    line, pooled, outputs = f["kernel_w"] * f["in_c"], f["pool_h"] * f["pool_w"], f["out_h"] * f["out_w"]
    size, rows, channels = line * f["kernel_h"], _pair_rows(f, scratch), f["out_c"]
    parts = -(-f["kernel_h"] // rows)
    twos = outputs * -(-pooled // 2) if pooled > 1 else -(-outputs // 2)
    words = sum(-(-min(rows, f["kernel_h"] - part * rows) * line // 4) for part in range(parts))
    edge = _at_edge(f)
    share = 2 * twos / _places(f)  # the second place of the last pair may be the first once more
    inner = (_places(f) - edge) * share
    way = "words" if line % 4 == 0 else "copied" if size <= _FEW else "joined"
    yield f"widen {way}: words", inner * size / 4
    yield f"widen {way}", inner * (parts if way == "words" else 1)
    yield "widen at the edge", edge * share
    yield "widen at the edge: words" if f["in_c"] % 4 == 0 else "widen at the edge: bytes", edge * share * size
    yield name, twos * parts
    yield f"{name}: channels", twos * parts * -(-channels // 2)
    yield f"{name}: words of two channels", twos * words * (channels // 2)
    yield f"{name}: words of one channel", twos * words * (channels % 2)
    yield f"{name}: outputs", channels * (twos if pooled > 1 else outputs)


def _patches(f: Mapping[str, int], way: str) -> Iterator[tuple[str, float]]:
    taps, edge = f["kernel_h"] * f["kernel_w"], _at_edge(f)
    inner, places = _places(f) - edge, _places(f)
    yield "gather", places
    yield "gather: rows", inner * f["kernel_h"]
    yield "gather: bytes", inner * taps * f["in_c"]
    yield "gather at the edge: taps", edge * taps
    yield "gather at the edge: bytes", edge * taps * f["in_c"]
    yield f"{way}: places", f["out_h"] * f["out_w"]
    yield f"{way}: outputs", f["out_h"] * f["out_w"] * f["out_c"]
    yield from _sums(way, places, f["out_c"], taps * f["in_c"])


def _dense(f: Mapping[str, int], way: str) -> Iterator[tuple[str, float]]:
    yield f"{way}: outputs", f["out"]
    if way in ("dense widened", "dense narrow"):
        fours = f["out"] // 4 + f["out"] % 4  # what four leave over is done in fours too
        yield f"{way}: fours", fours
        yield f"{way}: words", fours * -(-f["in"] // 4)
        yield f"{way}: inputs", f["in"]
    else:
        yield from _sums(way, 1, f["out"], f["in"])


def _sums(way: str, places: int, channels: int, size: int) -> Iterator[tuple[str, float]]:
    """Dot products over `size` inputs, of four channels at a time and of what they leave over."""
    bits = int(way.rpartition(" ")[2])
    groups = [(4, channels // 4)]
    groups += [(1, channels % 4)] if bits == 8 else [(2, channels >> 1 & 1), (1, channels & 1)]
    for together, count in groups:
        strips = max(8 // bits // together, 1)  # rows of inputs whose weights share bytes
        row = size // strips
        yield f"{bits} bits, {together}", places * count
        yield f"{bits} bits, {together}: words", places * count * (row // 4)
        yield f"{bits} bits, {together}: rest", places * count * (row % 4)
        yield f"{bits} bits, {together}: beyond", places * count * (size - row * strips)


def _first(f: Mapping[str, int], way: str) -> Iterator[tuple[str, float]]:
    outputs = f["out_h"] * f["out_w"]
    yield "first: rows", outputs * (f["kernel_h"] + 1)
    yield "first: outputs", outputs * f["out_c"]
    yield "first: products", outputs * f["out_c"] * f["kernel_h"]
    if way != "first":
        yield f"{way}: weights", f["out_c"] * f["kernel_h"] * 5


def _planes(f: Mapping[str, int], way: str) -> Iterator[tuple[str, float]]:
    most = (_PLANE // _plane_row(f) - 3) // f["stride_h"] + 1
    blocks = -(-f["out_h"] // most)
    lines = f["out_h"] * f["stride_h"] + (3 - f["stride_h"]) * blocks
    rows, width = f["out_c"] * f["out_h"], f["out_w"]
    yield f"{way}: channels", f["out_c"] * blocks
    yield "planes: lines", f["out_c"] * lines
    yield "planes: bytes", f["out_c"] * lines * f["in_w"]
    yield "planes: rows", rows
    yield "planes: two outputs", rows * (width // 2) if f["stride_w"] == 1 else 0
    yield "planes: one output", rows * (width % 2 if f["stride_w"] == 1 else width)
