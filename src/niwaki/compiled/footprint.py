"""What a generated folder needs on a microcontroller: flash and RAM from the linker, stack from the compiler."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from niwaki.compiled.library import interface
from niwaki.compiled.on_target import board_files, call_of, link_flags
from niwaki.errors import ModelError, NiwakiError
from niwaki.folders import temporary
from niwaki.toolchain.compiler import STANDARD, run_compiler
from niwaki.toolchain.targets import check_tools, find_target

UNNAMED = "unnamed"  # constants that the compiler made itself
_WHOLE = 1 << 29  # bytes of each memory: large enough that no board limits the measurement
_MODEL = "model.o"
# GNU ld: ` .rodata.name  0xaddress  0xsize file`, broken after a long name; `*fill*` has no file.
_PLACED = re.compile(r"^ (\.\S+|\*fill\*)\s+0x[0-9a-f]+\s+0x([0-9a-f]+)(?: (.*))?$", re.MULTILINE)
# GCC's .ci: after the name, a label states where the function is and the size of its frame.
_NODE = re.compile(r'^node: \{ title: "([^"]+)" label: "[^"]*?(?:\\n(\d+) bytes \(([a-z,]+)\)[^"]*)?"', re.MULTILINE)
_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class TargetFootprint:
    """Bytes that a model needs on a microcontroller, without start-up code and the caller's own buffers."""

    cpu: str
    optimization: str
    entry: str
    """The function that the program calls; what it does not need is not linked."""
    code: int
    library_code: int
    """Functions of the compiler's libraries that it calls (memcpy and similar), constants included."""
    constants: Mapping[str, int]
    """Constant data by name: weights, biases, multipliers, shifts, and structures if they were not inlined."""
    data: Mapping[str, int]
    """Variables with an initial value (none is expected)."""
    bss: Mapping[str, int]
    """Variables that start as zero: the static arena."""
    padding: int
    """Flash between constants and functions, for alignment."""
    output_bytes: int
    """The caller's buffer for the scores."""
    frames: tuple[tuple[str, int], ...]
    """The chain of calls that needs the most stack: functions and the bytes of their frames."""
    library_calls: tuple[str, ...]
    """Library functions that the model calls; their frames are not in `stack`."""

    @property
    def all_code(self) -> int:
        """The code, including what it calls in the compiler's libraries."""
        return self.code + self.library_code

    @property
    def constant_bytes(self) -> int:
        """All constant data."""
        return sum(self.constants.values())

    @property
    def flash(self) -> int:
        """Code, constants and initial values."""
        stored = sum(self.constants.values()) + sum(self.data.values())
        return self.code + self.library_code + stored + self.padding

    @property
    def ram(self) -> int:
        """Variables and the scores; not the stack."""
        return sum(self.data.values()) + sum(self.bss.values()) + self.output_bytes

    @property
    def stack(self) -> int:
        """Bytes of the deepest chain of calls among the model's own functions: an upper bound for these."""
        return sum(size for _, size in self.frames)


def measure_footprint(
    folder: Path, cpu: str = "cortex-m4", optimization: str = "-Os", *, pixels: bool = False
) -> TargetFootprint:
    """Compile a generated folder for `cpu` (a Cortex-M of toolchain.TARGETS) and read what it needs.

    The program calls `<prefix>_run`, or with `pixels` `<prefix>_run_pixels`. GCC's `-fcallgraph-info=su` gives the
    frames. Raises NiwakiError if the compiler is missing or fails, or `cpu` is not a microcontroller; ModelError if the
    stack has no bound.
    """
    target = find_target(cpu)
    if target.board is None:
        raise NiwakiError(f"{cpu}: flash and RAM are those of microcontrollers: try cortex-m4")
    check_tools(target, emulator=False)
    entry = f"{interface(folder).prefix}_run{'_pixels' if pixels else ''}"
    with temporary("footprint") as name, board_files() as files:
        work = Path(name)
        base = (target.compiler, *STANDARD, *target.flags, optimization)
        include = (f"-I{folder}", *call_of(folder, pixels=pixels))
        sections = ("-ffunction-sections", "-fdata-sections")
        run_compiler(
            (
                *base,
                *sections,
                "-fcallgraph-info=su",
                *include,
                "-c",
                str((folder / "model.c").absolute()),
                "-o",
                str(work / _MODEL),
            ),
            str(folder),
        )
        run_compiler(
            (*base, *include, str(files / "call.c"), str(work / _MODEL), *link_flags(files, _WHOLE, _WHOLE),
             f"-Wl,-Map={work / 'map'}", "-o", str(work / "program")),
            str(folder),
        )  # fmt: skip
        sizes = read_map((work / "map").read_text(encoding="utf-8"), work / _MODEL)
        graph = read_call_graph((work / "model.ci").read_text(encoding="utf-8"))
    frames, outside = deepest_chain(graph, entry)
    return TargetFootprint(
        cpu, optimization, entry, sizes.code, sizes.library, sizes.constants, sizes.data, sizes.bss, sizes.padding,
        interface(folder).output_bytes, frames, outside,
    )  # fmt: skip


@dataclass
class Sizes:
    """Bytes in a linked program, of the model and what it calls."""

    code: int
    library: int
    constants: dict[str, int]
    data: dict[str, int]
    bss: dict[str, int]
    padding: int


def read_map(text: str, model: Path) -> Sizes:
    """The sizes of the object file `model` and the libraries in GNU ld's map; each name was compiled to its own
    section.

    Padding counts for what follows it.
    """
    sizes = Sizes(0, 0, {}, {}, {}, 0)
    fill = 0
    for section, size, file in _placed(text):
        if section == "*fill*":
            fill += size
            continue
        kind, _, name = section[1:].partition(".")
        if file == str(model):
            _count(sizes, kind, name or UNNAMED, size)
            sizes.padding += fill if kind in ("text", "rodata") else 0
        elif re.search(r"\.a\(", file) and kind in ("text", "rodata", "data"):
            sizes.library += size + fill
        fill = 0
    return sizes


def _placed(text: str) -> Iterator[tuple[str, int, str]]:
    """Sections with their sizes and files, in order of address, without discarded ones."""
    kept = text.partition("\nLinker script and memory map\n")[2]
    return ((section, int(size, 16), file or "") for section, size, file in _PLACED.findall(kept) if int(size, 16))


def _count(sizes: Sizes, kind: str, name: str, size: int) -> None:
    if kind == "text":
        sizes.code += size
    elif kind == "rodata":
        sizes.constants[name] = sizes.constants.get(name, 0) + size
    elif kind == "data":
        sizes.data[name] = size
    elif kind == "bss":
        sizes.bss[name] = size


@dataclass(frozen=True)
class CallGraph:
    """Who calls whom in one file, after inlining."""

    frames: Mapping[str, int]
    """Bytes of stack of each function of the file."""
    calls: Mapping[str, tuple[str, ...]]


def read_call_graph(text: str) -> CallGraph:
    """The `.ci` file that GCC writes with `-fcallgraph-info=su`.

    Raises ModelError for a function whose frame has no bound (alloca, an array of variable length).
    """
    frames: dict[str, int] = {}
    for name, size, kind in _NODE.findall(text):
        if not size:
            continue  # from another file
        if kind == "dynamic":
            raise ModelError(f"{_plain(name)}: its stack has no bound that the compiler knows")
        frames[name] = int(size)
    calls: dict[str, list[str]] = defaultdict(list)
    for source, target in _EDGE.findall(text):
        calls[source].append(target)
    return CallGraph(frames, {name: tuple(dict.fromkeys(called)) for name, called in calls.items()})


def deepest_chain(graph: CallGraph, entry: str) -> tuple[tuple[tuple[str, int], ...], tuple[str, ...]]:
    """The chain of calls from `entry` with the largest sum of frames, and the functions of other files called anywhere.

    Raises ModelError if functions call each other in a cycle, or `entry` does not exist.
    """
    if entry not in graph.frames:
        raise ModelError(f"{entry}: no such function in the compiler's output")
    outside: set[str] = set()

    def deepest(name: str, above: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
        if name in above:
            raise ModelError(f"{_plain(name)}: calls itself, so its stack has no bound")
        if name not in graph.frames:
            outside.add(name)
            return ()
        below = (deepest(called, (*above, name)) for called in graph.calls.get(name, ()))
        chain = max(below, key=lambda frames: sum(size for _, size in frames), default=())
        return ((_plain(name), graph.frames[name]), *chain)

    frames = deepest(entry, ())
    return frames, tuple(sorted(outside))


def _plain(name: str) -> str:
    """A function without the file name before a static one."""
    return name.rpartition(":")[2]
