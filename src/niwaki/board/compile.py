"""The two binaries of a bundle: the library that the runner loads, and a program without dependencies.

Both contain the same objects: the model once for each variant of the processor, the choice between them, the vision.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from niwaki.board.targets import Machine
from niwaki.files import write_whole
from niwaki.folders import temporary
from niwaki.toolchain.zig import compile_c
from niwaki.vision.library import source_files

STANDARD = "-std=c99"
SPEED = ("-O3", "-g0")
LIBRARY, PROGRAM = "libniwaki.so", "niwaki"
_OWN = ("program.c", "picture.c", "picture.h", "selftest.c", "selftest.h", "known.h")
_EXPORTED = re.compile(r"^[a-z][\w ]*?[ *](niwaki_\w+)\(", re.MULTILINE)  # declarations of functions
_LABELS = re.compile(r"^extern const char \*const (\w+)\[", re.MULTILINE)


@dataclass(frozen=True)
class Binaries:
    """What was compiled."""

    library: bytes
    program: bytes


def compile_binaries(model: Mapping[str, bytes], known: bytes, machine: Machine) -> Binaries:
    """Compile a generated model (`model.c` and the files beside it) for a machine; the bytes are always the same.

    `known` is `known.c`: the program's data besides the model, as `known.py` writes it. Raises NiwakiError if zig is
    missing or a file does not compile.
    """
    with temporary("bundle") as name:
        folder = Path(name)
        for path, data in {**sources(model), "known.c": known}.items():
            write_whole(folder / path, data)
        (folder / "exports.map").write_text(_exports(folder), encoding="ascii")
        return _compile(folder, machine)


def sources(model: Mapping[str, bytes]) -> dict[str, bytes]:
    """Every file that is compiled, except `known.c`: the model's, the vision's, the program's."""
    files = {name: data for name, data in model.items() if name.endswith((".c", ".h")) and "/" not in name}
    with source_files() as vision:
        files |= {file.name: file.read_bytes() for file in vision.glob("*.[ch]")}
    folder = resources.files("niwaki.board") / "c"
    return files | {name: (folder / name).read_bytes() for name in _OWN}


def _compile(folder: Path, machine: Machine) -> Binaries:
    cpu = f"-mcpu={machine.cpu}"
    parts = [("model.c", "model.o", (cpu, "-DNIWAKI_DISPATCH")), ("niwaki_vision.c", "niwaki_vision.o", (cpu,))]
    parts.append(("niwaki_frame.c", "niwaki_frame.o", (cpu,)))
    for variant in machine.variants:
        flags = (f"-mcpu={variant.cpu}", *variant.flags, f"-DNIWAKI_VARIANT={variant.name}")
        parts.append(("model.c", f"model_{variant.name}.o", flags))
    with ThreadPoolExecutor(os.cpu_count()) as crew:
        list(crew.map(lambda part: _object(folder, machine, *part), parts))
    objects = [out for _, out, _ in parts]
    compile_c(
        ("-target", machine.library_target, cpu, "-shared", "-s", "-Wl,--version-script=exports.map",
         f"-Wl,-soname,{LIBRARY}", "-o", LIBRARY, *objects),
        LIBRARY, folder,
    )  # fmt: skip
    compile_c(
        ("-target", machine.program_target, cpu, STANDARD, "-O2", "-g0", "-static", "-s", "-o", PROGRAM,
         *(name for name in (*_OWN, "known.c") if name.endswith(".c")), *objects),
        PROGRAM, folder,
    )  # fmt: skip
    return Binaries((folder / LIBRARY).read_bytes(), (folder / PROGRAM).read_bytes())


def _object(folder: Path, machine: Machine, source: str, out: str, flags: tuple[str, ...]) -> None:
    compile_c(
        ("-target", machine.library_target, *flags, STANDARD, *SPEED, "-fPIC", "-c", "-o", out, source), source, folder
    )


def _exports(folder: Path) -> str:
    """A linker's version script: only what the two headers declare is exported."""
    names: list[str] = []
    for header in ("model.h", "niwaki_vision.h", "niwaki_frame.h"):
        text = (folder / header).read_text(encoding="utf-8")
        names += [*_EXPORTED.findall(text), *_LABELS.findall(text)]
    return "{ global: " + " ".join(f"{name};" for name in sorted(set(names))) + " local: *; };\n"
