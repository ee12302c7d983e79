"""The generated C, and vision with it, as one WebAssembly module: compiled by zig, without a C library."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from niwaki.data.prepare import cache_folder
from niwaki.deploy.c.library import STANDARD, interface
from niwaki.errors import NiwakiError

TARGET = ("-target", "wasm32-freestanding", "-mcpu=generic+bulk_memory+simd128")
FLAGS = ("-O3", "-g0", "-s", "-nostdlib", "-Wl,--no-entry", "-Wl,--export=__heap_base")
VISION = tuple(f"niwaki_vision_{name}" for name in ("bytes", "init", "learn", "forget", "find"))


def compile_module(folder: Path, *, vision: bool = True) -> bytes:
    """A module from the `model.c` of a generated folder: it imports nothing and exports its memory, `__heap_base`
    (from where on the memory is free), the `run_pixels` of the model and, with `vision`, all of niwaki_vision.h.

    Vector instructions (simd128: every browser since March 2023) make LeNet-5 five times as fast, with the same bits.
    Raises NiwakiError where the model takes no raw pixels, where zig is missing, and with its first error.
    """
    of_model = interface(folder)
    if not of_model.takes_pixels:
        raise NiwakiError(f"{folder}: this C takes int8 inputs only, since its ONNX says no preprocessing")
    exports = [f"{of_model.prefix}_run_pixels", *(VISION if vision else ())]
    with contextlib.ExitStack() as stack:
        packages = ["niwaki.report.live", *(["niwaki.deploy.vision"] if vision else [])]
        shim, *eyes = (stack.enter_context(resources.as_file(resources.files(name) / "c")) for name in packages)
        sources = [folder / "model.c", *(path / "niwaki_vision.c" for path in eyes)]
        includes = (f"-I{path}" for path in (shim, folder, *eyes))
        return _compile([*map(str, sources), *includes, *(f"-Wl,--export={name}" for name in exports)], folder)


def _compile(arguments: Sequence[str], folder: Path) -> bytes:
    if importlib.util.find_spec("ziglang") is None:
        raise NiwakiError("zig, which compiles the model for browsers, is missing: pip install 'niwaki[device]'")
    cache = cache_folder() / "zig"
    with tempfile.TemporaryDirectory(prefix="niwaki-wasm-") as work:
        out = Path(work) / "live.wasm"
        command = [sys.executable, "-m", "ziglang", "cc", *TARGET, *STANDARD, *FLAGS, "-o", str(out), *arguments]
        environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            first = next((line for line in lines if "error:" in line), lines[0])
            raise NiwakiError(f"{folder}: zig could not compile it for browsers: {first}")
        return out.read_bytes()
