"""The C gives the reference's bits with every compiler, flag and processor that this machine can try."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from niwaki.compiled.on_target import compile_sources
from niwaki.toolchain.targets import TARGETS, Target, missing_tools, run_program
from niwaki.vision.finding import OUTCOMES, Finding
from niwaki.vision.library import SOURCE, source_files

from .conftest import check_same

PROGRAMS = Path(__file__).parent / "programs"
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
SANITIZE = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
GCC, CLANG = Target("gcc", "gcc", (), (), "gcc libc6-dev"), Target("clang", "clang", (), (), "clang libclang-rt-14-dev")
BUILDS = {
    "gcc -O0": (GCC, ("-O0",)),
    "gcc -O3 native": (GCC, ("-O3", "-march=native")),
    "clang -O2": (CLANG, ("-O2",)),
    "gcc sanitizers": (GCC, ("-O1", *SANITIZE)),
    "clang sanitizers": (CLANG, ("-O1", *SANITIZE)),
    "aarch64": (TARGETS["aarch64"], ("-O2",)),
    "armhf-neon": (TARGETS["armhf-neon"], ("-O2",)),
}
MORE = {
    "armhf": (TARGETS["armhf"], ("-Os",)),
    "aarch64 -O3": (TARGETS["aarch64"], ("-O3",)),
    "clang -O3 native": (CLANG, ("-O3", "-march=native")),
    "gcc -Os": (GCC, ("-Os",)),
    "gcc -m32": (Target("32 bits", "gcc", ("-m32",), (), "gcc-multilib"), ("-O2",)),
}


def need(target, flags=()):
    """Skip, with what to install, where a compiler, its libraries or an emulator are missing."""
    found = not missing_tools(target)
    if found:
        source = b"#include <stdlib.h>\nint main(void) { return 0; }\n"
        command = [target.compiler, *target.flags, *flags, "-o", "/dev/null", "-x", "c", "-"]
        found = subprocess.run(command, input=source, capture_output=True, check=False).returncode == 0
    if not found:
        pytest.skip(f"needs {target.packages}: apt-get install {target.packages}")


def write(every_series, path):
    """What programs/frames.c reads: strides of all kinds, and something else than zeros between the rows."""
    with path.open("wb") as file:
        for number, (series, _) in enumerate(every_series):
            (width, height), inner = series.size, series.inner
            stride = width + number % 3 * 5
            numbers = [width, height, inner[1], inner[0], stride, len(series.learn), series.forget, len(series.look)]
            file.write(np.array(numbers, np.int32).tobytes())
            for frame in (*series.learn, *series.look):
                rows = np.full((height, stride), 77, np.uint8)
                rows[:, :width] = frame
                file.write(rows.tobytes()[: stride * (height - 1) + width])


def read(every_series, path):
    """What programs/frames.c wrote: a list of findings for every series."""
    with path.open("rb") as file:
        for series, _ in every_series:
            findings = []
            for _ in series.look:
                n = np.frombuffer(file.read(32), np.int32).tolist()
                picture = np.frombuffer(file.read(series.inner[0] * series.inner[1]), np.uint8).reshape(series.inner)
                findings.append(Finding(OUTCOMES[n[0]], tuple(n[1:5]), n[5], n[6], bool(n[7]), picture))
            yield findings
        assert file.read() == b""


def check_bits(every_series, target, flags, folder):
    need(target, flags)
    write(every_series, folder / "frames.bin")
    with source_files() as files:
        sources = [PROGRAMS / "frames.c", files / SOURCE]
        program = compile_sources(sources, target, (*flags, *STRICT, f"-I{files}"), out=folder / "program")
    done = run_program(program, target, folder=folder)
    assert done.returncode == 0, done.stderr
    found = list(read(every_series, folder / "found.bin"))
    for findings, (_, expected) in zip(found, every_series, strict=True):
        check_same(findings, expected)


@pytest.mark.parametrize("name", BUILDS)
def test_builds(every_series, name, tmp_path):
    check_bits(every_series, *BUILDS[name], tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("name", MORE)
def test_more_builds(every_series, name, tmp_path):
    check_bits(every_series, *MORE[name], tmp_path)


def test_the_sanitizer_would_find_something(every_series, tmp_path):
    """A control: the program that allocates to the byte, with a byte less."""
    need(GCC, SANITIZE)
    write(every_series[:1], tmp_path / "frames.bin")
    text = (PROGRAMS / "frames.c").read_text()
    (tmp_path / "frames.c").write_text(text.replace("malloc(bytes)", "malloc(bytes - 8)"))
    with source_files() as files:
        sources, flags = [tmp_path / "frames.c", files / SOURCE], (*SANITIZE, f"-I{files}")
        program = compile_sources(sources, GCC, flags, out=tmp_path / "program")
    done = run_program(program, GCC, folder=tmp_path)
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr


@pytest.mark.parametrize("level", ["-O0", "-O3"])
def test_needs_nothing_but_memory_functions(level, tmp_path):
    """No allocation, and no static memory that two cameras would share."""
    need(GCC)
    with source_files() as files:
        command = ["gcc", "-std=c99", level, "-ffreestanding", "-c", str(files / SOURCE), "-o", str(tmp_path / "v.o")]
        subprocess.run(command, check=True)
    listed = subprocess.run(["nm", tmp_path / "v.o"], check=True, capture_output=True, text=True).stdout
    symbols = [line.split()[-2:] for line in listed.splitlines()]
    assert {name for kind, name in symbols if kind == "U"} <= {"memcpy", "memset", "_GLOBAL_OFFSET_TABLE_"}
    assert [name for kind, name in symbols if kind in "bBdDC"] == []
    assert {name for kind, name in symbols if kind == "T"} == {
        f"niwaki_vision_{name}" for name in ("bytes", "init", "learn", "forget", "find")
    }


def test_compiles_for_browsers(tmp_path):
    """Without any C library: a page brings memcpy and memset."""
    pytest.importorskip("ziglang", reason="needs ziglang: pip install ziglang")
    exports = [f"-Wl,--export=niwaki_vision_{name}" for name in ("bytes", "init", "learn", "forget", "find")]
    with source_files() as files:
        sources = [str(files / SOURCE), str(PROGRAMS / "memory.c")]
        command = [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-freestanding", "-std=c99", "-O2",
                   "-nostdlib", "-Wl,--no-entry", *exports, *sources, "-o", str(tmp_path / "vision.wasm")]  # fmt: skip
        subprocess.run(command, check=True)
    assert (tmp_path / "vision.wasm").read_bytes()[:4] == b"\0asm"


def test_valgrind_finds_nothing(every_series, tmp_path):
    """Nothing is read that was never written, as a sanitizer of addresses does not see."""
    if shutil.which("valgrind") is None:
        pytest.skip("needs valgrind: apt-get install valgrind")
    need(GCC)
    few = [one for one in every_series if one[0].look[0].size < 20_000][:12] + every_series[-4:]
    write(few, tmp_path / "frames.bin")
    with source_files() as files:
        sources, flags = [PROGRAMS / "frames.c", files / SOURCE], ("-g", "-O1", f"-I{files}")
        program = compile_sources(sources, GCC, flags, out=tmp_path / "program")
    command = ["valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full", str(program)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
