"""Write `model.c` and `model.h`: constants, the calls of the kernels in order, the interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources
from math import prod
from string import Template

import numpy as np

from niwaki.codegen.graph.arithmetic import LOW
from niwaki.codegen.graph.graph import Graph, Layout
from niwaki.codegen.graph.layout import pair_bytes, stack_bytes
from niwaki.codegen.graph.program import INPUT, OUTPUT, Program
from niwaki.emit import pack, striped
from niwaki.emit.constants import Constant, Constants, StoredWeights, comment, kind
from niwaki.emit.halves import in_halves
from niwaki.emit.work import ways

_CALLS = {"depthwise": "niwaki_run_depthwise{bits}", "rows": "niwaki_{kernel}_rows{bits}"}  # by layout of the weights
LAYOUTS: dict[Layout, str] = {"CHW": "channels first (CHW)", "HWC": "rows of pixels (HWC)"}
"""In words."""


@dataclass(frozen=True)
class Source:
    """The text of `model.c` and `model.h`, and the constants in it."""

    model_c: str
    model_h: str
    constants: tuple[Constant, ...]
    weights: tuple[StoredWeights, ...]


def write_source(graph: Graph, program: Program, prefix: str, title: str) -> Source:
    """The two files of a program. `prefix` begins every public name; `title` is a line for people."""
    writer = Constants()
    for index, (step, way) in enumerate(zip(program.steps, ways(program), strict=True)):
        writer.layer(index, step, pack.stored(step), halved=in_halves(step, way, twice=graph.rounds_twice))
        writer.suffixes[-1] += "_twos" if way in ("pairs 4", "pairs 2") else ""
    shifted = graph.table is None or pixels_are_shifted(graph)
    if graph.table is not None and not shifted:
        writer.table(graph.table)
    names = {"prefix": prefix, "macro": prefix.upper(), "title": comment(title)}
    has_pixels = graph.table is not None
    writer.lines += [striped.passages(stripes) for stripes in program.stripes]
    patch, scratch = stack_bytes(program.steps)
    model_c = fill(
        "model.c",
        **names,
        rounding=_conditions(graph, program),
        patch=patch,
        scratch=scratch,
        pairs=f"\n#define NIWAKI_PAIRS {pairs}" if (pairs := pair_bytes(program.steps)) else "",
        constants="\n".join(writer.lines),
        stripes='#include "niwaki_stripes.h"\n' if program.stripes else "",
        by_stripes="\n#define NIWAKI_BY_STRIPES 1" if program.stripes else "",
        **_calls(program, writer.suffixes),
        arrange=_arrange(graph, program),
        input_at=program.offsets.get(INPUT, 0),
        labels=_labels(graph, prefix),
        run_pixels=fill("run_pixels.c", convert=_convert(graph, program)) if has_pixels else "",
        static_pixels=fill("static_pixels.c", **names) if has_pixels else "",
        dispatch_pixels=_DISPATCH_PIXELS.format(prefix=prefix) if has_pixels else "",
    )
    return Source(model_c, _header(graph, program, names), tuple(writer.constants), tuple(writer.weights))


def _conditions(graph: Graph, program: Program) -> str:
    """What the kernels must know of the whole model."""
    lowest = any((step.arrays["weights"] == LOW).any() for step in program.steps if step.weights)
    twice = "#define NIWAKI_TWICE 1 /* round as TensorFlow Lite does */\n" if graph.rounds_twice else ""
    return twice + ("#define NIWAKI_LOWEST 1 /* some weights are -128 */\n" if lowest else "")


_DISPATCH_PIXELS = """
int {prefix}_run_pixels_in(void *arena, const uint8_t *image, int8_t *output) {{
  switch (niwaki_cpu()) {{ NIWAKI_VARIANTS(PICK_RUN_PIXELS) default: return -1; }}
}}
"""


def fill(template: str, **values: object) -> str:
    """A template of this package with its names filled in."""
    text = (resources.files("niwaki.emit") / "templates" / f"{template}.in").read_text(encoding="utf-8")
    return Template(text).substitute(values)


def input_shape(graph: Graph) -> tuple[int, int, int]:
    """Channels, height, width of the input; a flat one counts as channels, a signal as an image of one row."""
    shape = graph.tensors[graph.input].shape
    return (shape[0], 1, 1) if len(shape) == 1 else (shape[0], prod(shape[1:-1]), shape[-1])


def pixels_are_shifted(graph: Graph) -> bool:
    """Whether every raw pixel x becomes x - 128, so no table is needed."""
    return graph.table is not None and bool((graph.table == (np.arange(256) - 128)[None]).all())


def _header(graph: Graph, program: Program, names: dict[str, str]) -> str:
    channels, height, width = input_shape(graph)
    source, target = graph.tensors[graph.input], graph.tensors[graph.output]
    pixels = graph.table is not None
    declaration = f"extern const char *const {names['prefix']}_labels[{names['macro']}_CLASSES]; /* UTF-8 */\n"
    return fill(
        "model.h",
        **names,
        channels=channels, height=height, width=width, input_bytes=source.size, output_bytes=target.size,
        input_scale=f"{source.scale.hex()}f /* {source.scale:.9g} */", input_zero=source.zero_point,
        output_scale=f"{target.scale.hex()}f /* {target.scale:.9g} */", output_zero=target.zero_point,
        arena_bytes=max(program.arena_bytes, 1),
        layout=LAYOUTS[graph.layout], label_declaration=declaration if graph.labels else "",
        pixels_declaration=(
            fill("pixels.h", **names, order=graph.layout, preprocessing=_preprocessing(graph)) if pixels else ""
        ),
    )  # fmt: skip


def _preprocessing(graph: Graph) -> str:
    if graph.preprocessing is None:
        return "the ONNX does not say how, so x / 255 is taken."
    mean, std = (", ".join(f"{v:g}" for v in values) for values in (graph.preprocessing.mean, graph.preprocessing.std))
    return f"(x / 255 - {mean}) / ({std})."


def _calls(program: Program, bits: Sequence[str]) -> dict[str, str]:
    """The calls of all kernels, one by one; or, each in a function so that none adds to the stack of another,
    loops of stripes and the calls between them. `bits` ends the name of each kernel.
    """
    kernel = partial(_kernel, program, bits=bits)
    bodies, index = [], 0
    for stripes in program.stripes:
        loop = striped.loop(program, stripes, partial(_place, program), kernel)
        bodies += [_run(program, index, stripes.start, kernel), loop]
        index = stripes.end
    bodies.append(_run(program, index, len(program.steps), kernel))
    if not program.stripes:
        return {"parts": "", "calls": bodies[0]}
    bodies = [body for body in bodies if body]
    functions = [fill("part.c", number=number, body=body) for number, body in enumerate(bodies)]
    calls = [f"  part{number}(arena, input, output);" for number in range(len(bodies))]
    return {"parts": "\n".join(functions) + "\n", "calls": "\n".join(calls)}


def _run(program: Program, start: int, end: int, kernel: Callable[[int], str]) -> str:
    return "\n".join(_call(program, index, kernel(index)) for index in range(start, end))


def _place(program: Program, name: str) -> str:
    return name if name in (INPUT, OUTPUT) else f"arena + {program.offsets[name]}"


def _kernel(program: Program, index: int, bits: Sequence[str]) -> str:
    step = program.steps[index]
    return _CALLS.get(step.weights, "niwaki_run_{kernel}{bits}").format(kernel=step.kernel, bits=bits[index])


def _call(program: Program, index: int, kernel: str) -> str:
    step = program.steps[index]
    target = _place(program, step.output) + (f" + {step.fields['at']}" if step.fields.get("at") else "")
    places = ", ".join(
        [f"layer{index}_{step.kernel}", *(_place(program, name) for name in step.inputs), target]
    )  # fmt: skip
    return f"  NIWAKI_RUN({kernel}, niwaki_{kind(step)}, {places});"


def _arrange(graph: Graph, program: Program) -> str:
    if not program.arrange_input:
        return "  layers(work, input ? input : work + INPUT_AT, output);"
    channels, height, width = input_shape(graph)
    return (
        "  if (input) { /* channels first, as the ONNX has it, to rows of pixels */\n"
        "    static const NIWAKI_FLASH niwaki_reshape arrange = {\n"
        f"        .in_h = 1, .in_w = 1, .in_c = {channels * height * width},\n"
        f"        .out_h = {height}, .out_w = {width}, .out_c = {channels}}};\n"
        "    NIWAKI_RUN(niwaki_run_reshape, niwaki_reshape, arrange, input, work + INPUT_AT);\n"
        "  }\n"
        "  layers(work, work + INPUT_AT, output);"
    )


def _convert(graph: Graph, program: Program) -> str:
    """The loops from raw pixels to the image in the arena; pixels already there are changed in place."""
    channels, height, width = input_shape(graph)
    size = height * width
    shifted = pixels_are_shifted(graph)
    if not program.arrange_input:
        per_channel = channels > 1 and not shifted
        channel = "i" if size == 1 else f"(i % {channels})"
        looked_up = f"pixel_table[256 * {channel} + p[i]]" if per_channel else "pixel_table[p[i]]"
        value = "p[i] - 128" if shifted else looked_up
        return (
            "  const uint8_t *const p = pixels ? pixels : (const uint8_t *)image;\n"
            f"  for (int32_t i = 0; i < {channels * size}; i++) image[i] = (int8_t)({value});"
        )
    value = "p[from] - 128" if shifted else "pixel_table[256 * c + p[from]]"
    return (
        "  const uint8_t *const p = pixels ? pixels : (const uint8_t *)image;\n"
        f"  for (int32_t at = 0; at < {size}; at++) {{\n"
        f"    for (int32_t c = 0; c < {channels}; c++) {{\n"
        f"      const int32_t to = at * {channels} + c, from = pixels ? c * {size} + at : to;\n"
        f"      image[to] = (int8_t)({value});\n"
        "    }\n"
        "  }"
    )


def _labels(graph: Graph, prefix: str) -> str:
    if not graph.labels:
        return ""
    names = ",\n  ".join(c_string(label) for label in graph.labels)
    return f"const char *const {prefix}_labels[{prefix.upper()}_CLASSES] = {{\n  {names}\n}};\n"


def c_string(text: str) -> str:
    """A C string literal of the text's UTF-8 bytes; everything except plain characters as octal escapes."""
    plain = set(b" !#$%&'()*+,-./0123456789:;<=>@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~")
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'
