"""Write the constants of `model.c`: the arrays of each layer, in every layout, and its description."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from niwaki.codegen.graph.program import Step
from niwaki.emit import pack
from niwaki.emit.halves import has_room

_TYPES = {
    "bias": "int32_t", "multiplier": "int32_t", "shift": "uint8_t", "factor": "int32_t", "offset": "int32_t",
    "numbers": "int32_t", "powers": "int32_t", "from": "uint16_t", "from_far": "int32_t", "above": "uint16_t",
    "down": "uint16_t", "before": "uint16_t", "right": "uint16_t",
}  # the others are int8  # fmt: skip


@dataclass(frozen=True)
class Constant:
    """The size of one array of the C, in bytes: for plain C, and in blocks for vector units.

    `layer` is the layer of the graph that it belongs to; the table of pixels belongs to none.
    """

    name: str
    plain: int
    blocks: int
    layer: str = ""


@dataclass(frozen=True)
class StoredWeights:
    """The weights of a layer, an ONNX node's, in plain C."""

    layer: str
    bits: int
    bytes: int


class Constants:
    """Writes the constants of `model.c` and records them."""

    def __init__(self) -> None:
        self.constants: list[Constant] = []
        self.weights: list[StoredWeights] = []
        self.suffixes: list[str] = []  # of the kernels' names, step by step
        self.lines: list[str] = []

    def layer(self, index: int, step: Step, stored: pack.Stored | None, *, halved: Step | None = None) -> None:
        """The arrays of a step and its description; `halved` has those for weights in halves, if it may have them."""
        name = f"layer{index}_{step.kernel}"
        packed = f", weights of {stored.bits} bits" if stored and stored.bits < 8 else ""
        self.lines.append(f"/* {comment(step.name)}: {describe(step)}{packed} */")
        arrays = {key: values for key, values in step.arrays.items() if key != "sums"}
        plain = arrays | ({"weights": stored.values} if stored else {})
        if step.weights == "blocks":
            self._two_layouts(name, step, arrays, plain, halved)
        elif step.weights == "depthwise":
            self._depthwise(name, step, arrays, plain)
        else:
            for key, values in plain.items():
                self._array(f"{name}_{key}", _type(key), values, step.name)
        if stored:
            self.weights.append(StoredWeights(step.name, stored.bits, stored.values.size))
        self.suffixes.append(stored.suffix if stored else "")
        members = [f".{key} = {value}" for key, value in step.fields.items() if key != "at"]
        members += [f".{key} = {name}_{key}" for key in arrays]
        in_lanes = stored is not None and stored.bits < 8
        roomy = step.kernel == "conv" and (in_lanes or step.weights == "depthwise") and has_room(step)
        more = ",\n  .halves = 1" if halved else ",\n  .roomy = 1" if roomy else ""
        self.lines.append(
            f"static const NIWAKI_FLASH niwaki_{kind(step)} {name} = {{\n  {_wrap(', '.join(members))}{more}\n}};\n"
        )

    def table(self, table: np.ndarray) -> None:
        """The int8 value of every raw pixel."""
        self.lines.append("/* The int8 value of every raw pixel, for each channel. */")
        self._array("pixel_table", "int8_t", table)
        self.lines.append("")

    def _two_layouts(
        self, name: str, step: Step, arrays: dict[str, np.ndarray], plain: dict[str, np.ndarray], halved: Step | None
    ) -> None:
        """Row by row for plain C, in halves for Cortex-M, in blocks for vector units; the bias for units whose
        activations are unsigned.
        """
        weights, sums = arrays["weights"], step.arrays["sums"]
        rows = weights.reshape(len(weights), weights.shape[1] if weights.ndim == 4 else 1, -1)
        blocks = {
            "weights": pack.in_blocks(rows), "bias": pack.fill(arrays["bias"]),
            "multiplier": pack.fill(arrays["multiplier"]), "shift": pack.fill(arrays["shift"], 1),
        }  # fmt: skip
        self.lines.append("#if NIWAKI_BLOCKS")
        for key in ("weights", "multiplier", "shift"):
            self._values(f"{name}_{key}", _type(key), blocks[key])
        self.lines.append("#if NIWAKI_UNSIGNED")
        self._values(f"{name}_bias", "int32_t", pack.fill(arrays["bias"] - 128 * sums))
        self.lines.append("#else")
        self._values(f"{name}_bias", "int32_t", blocks["bias"])
        self.lines.append("#endif")
        if halved:
            self.lines.append("#elif NIWAKI_HALVES")
            for key in ("weights", "bias", "multiplier", "shift"):
                self._values(f"{name}_{key}", _type(key), halved.arrays[key])
        self.lines.append("#else")
        self._plain(name, step, plain, blocks)

    def _depthwise(self, name: str, step: Step, arrays: dict[str, np.ndarray], plain: dict[str, np.ndarray]) -> None:
        """Tap by tap, for vector units in tiles of 16 channels, which AVX-512 has by columns."""
        weights, sums = arrays["weights"], step.arrays["sums"]
        tiles = -(-len(sums) // pack.BLOCK) * pack.BLOCK
        tiled = {
            "weights": pack.in_tiles(weights),
            "bias": pack.fill(arrays["bias"] - 128 * sums, to=tiles),
            "multiplier": pack.fill(arrays["multiplier"], to=tiles), "shift": pack.fill(arrays["shift"], 1, to=tiles),
        }  # fmt: skip
        self.lines.append("#if defined(NIWAKI_AVX512)")
        for key, values in tiled.items():
            self._values(f"{name}_{key}", _type(key), values)
        self.lines.append("#elif NIWAKI_BLOCKS")
        by_taps = tiled | {"weights": pack.by_taps(weights), "bias": pack.fill(arrays["bias"], to=tiles)}
        for key, values in by_taps.items():
            self._values(f"{name}_{key}", _type(key), values)
        self.lines.append("#else")
        self._plain(name, step, plain, tiled)

    def _plain(self, name: str, step: Step, plain: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
        """Arrays as plain C has them, which end what vector units have in another way."""
        for key, values in plain.items():
            self._values(f"{name}_{key}", _type(key), values)
            width = _width(_type(key))
            found = Constant(f"{name}_{key}", values.size * width, other[key].size * width, step.name)
            self.constants.append(found)
        self.lines.append("#endif")

    def _array(self, name: str, kind: str, values: np.ndarray, layer: str = "") -> None:
        self._values(name, kind, values)
        size = values.size * _width(kind)
        self.constants.append(Constant(name, size, size, layer))

    def _values(self, name: str, kind: str, values: np.ndarray) -> None:
        flat = [str(value) for value in values.reshape(-1).tolist()]
        self.lines.append(f"static const NIWAKI_FLASH {kind} {name}[{len(flat)}] = {{\n  {_wrap(', '.join(flat))}\n}};")


def kind(step: Step) -> str:
    """The structure that describes such a step, without its prefix."""
    return step.kernel.removeprefix("large_")


def _type(key: str) -> str:
    return _TYPES.get(key, "int8_t")


def _width(kind: str) -> int:
    return np.dtype(kind.removesuffix("_t")).itemsize


def describe(step: Step) -> str:
    """A step's shapes in a few words."""
    f = step.fields
    if step.kernel in ("conv", "large_conv"):
        pool = f", maximum of {f['pool_h']}x{f['pool_w']}" if f["pool_h"] * f["pool_w"] > 1 else ""
        kind = "depthwise" if step.weights == "depthwise" else f"groups {f['groups']}" if f["groups"] > 1 else "conv"
        return (
            f"{kind} {f['kernel_h']}x{f['kernel_w']}, {f['in_h']}x{f['in_w']}x{f['in_c']} -> "
            f"{f['out_h']}x{f['out_w']}x{f['out_c']}{pool}"
        )
    if step.kernel == "dense":
        return f"dense {f['in']} -> {f['out']}"
    return step.kernel.replace("_", " ")


def comment(text: str) -> str:
    """Text from outside that cannot end a comment or hide in it."""
    plain = "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
    return plain.replace("*/", "*_").replace("/*", "/_").replace("\\", "_").replace("??", "__")[:120]


def _wrap(text: str, width: int = 112) -> str:
    lines, line = [], ""
    for part in text.split(", "):
        if line and len(line) + len(part) + 2 > width:
            lines.append(line + ",")
            line = part
        else:
            line = f"{line}, {part}" if line else part
    return "\n  ".join([*lines, line])
