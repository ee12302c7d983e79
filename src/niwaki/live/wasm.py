"""The generated C, with vision, as one WebAssembly module: compiled by zig, without a C library."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from niwaki.compiled.library import interface
from niwaki.errors import NiwakiError
from niwaki.folders import temporary
from niwaki.toolchain.compiler import STANDARD
from niwaki.toolchain.zig import compile_c
from niwaki.vision.library import SOURCE, source_files

TARGET = ("-target", "wasm32-freestanding", "-mcpu=generic+bulk_memory+simd128")
FLAGS = ("-O3", "-g0", "-s", "-nostdlib", "-Wl,--no-entry", "-Wl,--export=__heap_base")
VISION = tuple(f"niwaki_vision_{name}" for name in ("bytes", "init", "learn", "forget", "find"))
MODULE, MEMORY = "live.wasm", "memory.c"


def compile_module(folder: Path, *, vision: bool = True) -> bytes:
    """A module from the `model.c` of a generated folder: it imports nothing and exports its memory, `__heap_base`
    (from where on the memory is free), the `run_pixels` of the model and, with `vision`, all of niwaki_vision.h.

    Vector instructions (simd128: every browser since March 2023) make it several times as fast, with the same bits.
    Raises NiwakiError if the model takes no raw pixels, if zig is missing, and with its first error.
    """
    of_model = interface(folder)
    if not of_model.takes_pixels:
        raise NiwakiError(f"{folder}: this C takes int8 inputs only, since its ONNX file states no preprocessing")
    names = (f"{of_model.prefix}_run_pixels", *(VISION if vision else ()))
    sources = ("model.c", *((SOURCE, MEMORY) if vision else ()))
    with temporary("wasm") as name:
        work = Path(name)
        _gather(folder, work)
        exports = (f"-Wl,--export={name}" for name in names)
        compile_c((*TARGET, *STANDARD, *FLAGS, "-I.", *exports, "-o", MODULE, *sources), str(folder), work)
        return (work / MODULE).read_bytes()


def _gather(folder: Path, work: Path) -> None:
    """Everything that is compiled or included, in one folder."""
    for own in (resources.files("niwaki.live") / "c").iterdir():
        (work / own.name).write_bytes(own.read_bytes())
    with source_files() as vision:
        for file in (folder / "model.c", *folder.glob("*.h"), *vision.glob("*.[ch]")):
            (work / file.name).write_bytes(file.read_bytes())
