"""From a quantized graph to a folder of C: the files, and the flash and RAM that they need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.graph.program import Program
from niwaki.emit.constants import Constant, StoredWeights
from niwaki.emit.fitting import fit, smallest, within
from niwaki.emit.lower import lower
from niwaki.emit.source import LAYOUTS, fill, input_shape, write_source
from niwaki.emit.striped import in_words
from niwaki.errors import ModelError, NiwakiError
from niwaki.files import write_whole
from niwaki.kernels import STRIPES, headers

PREFIX = "niwaki_model"
EXAMPLE = "example"
"""The folder of `main.c`, separate from the rest: tools that compile every file of a folder have their own `main`."""
_KEYWORDS = frozenset(
    {
        "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern",
        "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed",
        "sizeof", "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Footprint:
    """What the C needs, known when it is written; code and stack depend on the compiler."""

    constants: tuple[Constant, ...]
    arena_bytes: int
    """Working memory, including the image."""
    arena_without_input: int
    """Enough if the image is elsewhere."""
    lifetimes_bytes: int
    """What a plan from lifetimes alone would need: no fusing, nothing in place."""
    input_bytes: int
    output_bytes: int
    weights: tuple[StoredWeights, ...]
    """Those of each layer that has any, in plain C."""
    stripes: tuple[str, ...] = ()
    """In words, layers that run by stripes of rows to keep a limit of RAM."""

    @property
    def constant_bytes(self) -> int:
        """Flash for constant data, in plain C."""
        return sum(constant.plain for constant in self.constants)

    @property
    def block_bytes(self) -> int:
        """The same with weights in blocks for vector units."""
        return sum(constant.blocks for constant in self.constants)

    @property
    def weight_bytes(self) -> int:
        """The weights in `constant_bytes`."""
        return sum(constant.plain for constant in self.constants if constant.name.endswith("_weights"))

    @property
    def layer_bytes(self) -> dict[str, int]:
        """Of `constant_bytes`, those of every layer that has any, by its name in the graph, in the order of the C."""
        found: dict[str, int] = {}
        for constant in self.constants:
            if constant.layer:
                found[constant.layer] = found.get(constant.layer, 0) + constant.plain
        return found

    @property
    def ram_bytes(self) -> int:
        """Arena (with the image) and output."""
        return self.arena_bytes + self.output_bytes


@dataclass(frozen=True)
class Generated:
    """The files by name, and what the code needs."""

    files: Mapping[str, bytes]
    report: Footprint
    program: Program
    prefix: str

    @property
    def compiled(self) -> dict[str, bytes]:
        """The files that are compiled into the library."""
        return {name: content for name, content in self.files.items() if re.fullmatch(r"[^/]+\.[ch]", name)}


def generate(graph: Graph, *, prefix: str = PREFIX, ram_limit: int | None = None, title: str = "") -> Generated:
    """The C of a graph: `model.h`, `model.c`, kernels, `README.md`, `Makefile` and an example; always the same bytes.

    `ram_limit` is in bytes, for arena and output: if the model needs more, some of its layers run by stripes of rows.
    Raises ModelError if `prefix` is not a C identifier, or if that does not help enough.
    """
    program = lower(graph)
    if ram_limit is not None:
        program = fit(graph, program, ram_limit - graph.tensors[graph.output].size)
    return generate_program(graph, program, prefix=prefix, title=title)


def generate_within(graph: Graph, ram_limit: int | None) -> Generated:
    """The C of a graph within a limit of RAM, as `generate` writes it; without stripes if no form of it fits."""
    program = lower(graph)
    if ram_limit is not None:
        program = within(graph, program, ram_limit - graph.tensors[graph.output].size) or program
    return generate_program(graph, program)


def least_ram(graph: Graph) -> int:
    """The smallest limit of RAM, in bytes, that the C of a graph can keep to."""
    return smallest(graph, lower(graph))[0].arena_bytes + graph.tensors[graph.output].size


def generate_program(graph: Graph, program: Program, *, prefix: str = PREFIX, title: str = "") -> Generated:
    """The C of a graph by a program of it. Raises ModelError if `prefix` is not a C identifier."""
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]{0,40}", prefix) or prefix in _KEYWORDS:
        raise ModelError(f"prefix {prefix!r}: expected a C identifier of up to 41 letters, digits and underscores")
    source = write_source(graph, program, prefix, title or prefix)
    report = Footprint(
        source.constants, program.arena_bytes, program.arena_without_input, program.lifetimes_bytes,
        graph.tensors[graph.input].size, graph.tensors[graph.output].size, source.weights,
        tuple(in_words(program, stripes) for stripes in program.stripes),
    )  # fmt: skip
    files = {"model.h": source.model_h.encode(), "model.c": source.model_c.encode()}
    files |= {name: data for name, data in headers().items() if program.stripes or name != STRIPES}
    files |= _companions(graph, report, prefix, title or prefix)
    return Generated(files, report, program, prefix)


def write(generated: Generated, folder: Path) -> Path:
    """Write the files into `folder`, each whole or not at all. Raises NiwakiError if the folder cannot be written."""
    try:
        for name, content in generated.files.items():
            write_whole(folder / name, content)
    except OSError as error:
        raise NiwakiError(f"{folder}: cannot be written: {error.strerror}") from error
    return folder


def _companions(graph: Graph, report: Footprint, prefix: str, title: str) -> dict[str, bytes]:
    """The program, the Makefile and the README."""
    names = {"prefix": prefix, "macro": prefix.upper()}
    pixels = graph.table is not None
    channels, height, width = input_shape(graph)
    sides = (height, width, channels) if graph.layout == "HWC" else (channels, height, width)
    call = (
        f"{prefix}_run_pixels(pixels, scores); /* {report.input_bytes} raw 8-bit pixels, {LAYOUTS[graph.layout]} */"
        if pixels
        else f"{prefix}_run(input, scores); /* {report.input_bytes} int8 values, {LAYOUTS[graph.layout]} */"
    )
    readme = fill(
        "README.md", **names, title=title, shape="×".join(map(str, sides)),
        input_bytes=f"{report.input_bytes:,}", output_bytes=report.output_bytes,
        constant_bytes=f"{report.constant_bytes:,}", weight_bytes=f"{report.weight_bytes:,}",
        block_bytes=f"{report.block_bytes:,}", arena_bytes=f"{report.arena_bytes:,}",
        arena_without_input=f"{report.arena_without_input:,}", example=call, measured="",
        table_note=", a table of pixels" if any(c.name == "pixel_table" for c in report.constants) else "",
    )  # fmt: skip
    files = {
        "README.md": readme,
        "Makefile": fill("Makefile", **names),
        f"{EXAMPLE}/main.c": _main(graph, names),
    }
    return {name: text.encode() for name, text in files.items()}


def _main(graph: Graph, names: dict[str, str]) -> str:
    shown, value = ("%s", f"{names['prefix']}_labels[best]") if graph.labels else ("class %d", "best")
    text = fill("main.c", **names, layout=LAYOUTS[graph.layout], shown=shown, shown_value=value)
    if graph.table is None:  # no raw pixels: the file holds the int8 input itself
        text = text.replace(f"{names['prefix']}_run_pixels(pixels", f"{names['prefix']}_run((const int8_t *)pixels")
        text = text.replace("8-bit pixels", "int8 values")
    return text
