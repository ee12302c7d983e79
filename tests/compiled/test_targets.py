"""The generated C gives the reference's bits with every compiler, flag and processor that this machine can try."""

import functools
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundled import need_tool
from few_bits import of_few_bits
from niwaki.codegen.graph import reference
from niwaki.codegen.graph.arithmetic import Rescale
from niwaki.compiled import on_target
from niwaki.compiled.on_target import compile_program, compile_sources, measure_on_board, run_on_target
from niwaki.emit.generate import generate, write
from niwaki.errors import ModelError, NiwakiError
from niwaki.toolchain import compiler
from niwaki.toolchain.targets import TARGETS, Target, find_target, missing_tools, run_program
from random_graphs import Builder

PROGRAMS = Path(__file__).parent / "programs"
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
SANITIZE = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
NATIVE, A57, A76, M4 = (TARGETS[name] for name in ("native", "aarch64", "aarch64-dotprod", "cortex-m4"))
GCC, CLANG = Target("gcc", "gcc", (), (), "gcc libc6-dev"), Target("clang", "clang", (), (), "clang libclang-rt-14-dev")
S390X = Target(  # the other byte order
    "s390x", "s390x-linux-gnu-gcc", ("-static",), ("qemu-s390x-static",),
    "gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user-static",
)  # fmt: skip

SIMULATED = (  # AVX-512 in plain C, by SIMDe: on any processor
    "-O0", "-DNIWAKI_AVX512=1", "-DSIMDE_NO_NATIVE", "-DSIMDE_ENABLE_NATIVE_ALIASES", "-Wno-psabi",
    f"-I{Path(__file__).parent / 'programs' / 'simulated'}",
)  # fmt: skip
VNNI = ("-march=x86-64-v3", "-mavx512vl", "-mavx512vnni")  # what AVX-VNNI has, on a processor with AVX-512
BUILDS = {  # compiler, flags, and what /proc/cpuinfo must say of this processor
    "gcc -O0": (GCC, ("-O0",), ""),
    "gcc -O2": (GCC, ("-O2",), ""),
    "gcc -Os": (GCC, ("-Os",), ""),
    "gcc -O3 native": (GCC, ("-O3", "-march=native"), ""),
    "gcc -Ofast native": (GCC, ("-Ofast", "-march=native"), ""),
    "gcc portable": (GCC, ("-O2", "-march=native", "-DNIWAKI_PORTABLE"), ""),
    "clang -O2": (CLANG, ("-O2",), ""),
    "clang -O3 native": (CLANG, ("-O3", "-march=native"), ""),
    "clang -Ofast native": (CLANG, ("-Ofast", "-march=native"), ""),
    "x86-64": (GCC, ("-O2", "-march=x86-64"), "sse2"),
    "x86-64 avx2": (GCC, ("-O2", "-march=x86-64-v3"), "avx2"),
    "x86-64 avx512": (GCC, ("-O2", "-march=x86-64-v4", "-mavx512vnni"), "avx512_vnni"),
    "x86-64 avx2 clang": (CLANG, ("-O2", "-march=x86-64-v3"), "avx2"),
    "x86-64 avx512 clang": (CLANG, ("-O2", "-march=x86-64-v4", "-mavx512vnni"), "avx512_vnni"),
    "x86-64 avx-vnni": (GCC, ("-O2", "-march=x86-64-v3", "-mavxvnni"), "avx_vnni"),
    "x86-64 avx2 and vnni": (GCC, ("-O2", *VNNI), "avx512_vnni"),
    "x86-64 avx2 and vnni clang": (CLANG, ("-O2", *VNNI), "avx512_vnni"),
}
QUICK_BUILDS = {  # by model; the others are left to the long forms
    "gcc -O0": "pruned", "gcc -O3 native": "pruned", "x86-64 avx2": "pruned", "gcc portable": "base",
    "clang -O2": "base", "x86-64 avx2 and vnni": "pruned",
}  # fmt: skip
BOARDS = tuple(name for name, target in TARGETS.items() if target.board)
EMULATED = {"s390x": S390X, **{n: t for n, t in TARGETS.items() if t.emulator and n not in BOARDS}}
KERNELS = {  # that must have been chosen; elsewhere it is plain C
    "x86-64 avx2": "NIWAKI_AVX2", "x86-64 avx2 clang": "NIWAKI_AVX2",
    "x86-64 avx512": "NIWAKI_AVX512", "x86-64 avx512 clang": "NIWAKI_AVX512",
    "x86-64 avx-vnni": "NIWAKI_AVX2 NIWAKI_VNNI", "x86-64 avx2 and vnni": "NIWAKI_AVX2 NIWAKI_VNNI",
    "x86-64 avx2 and vnni clang": "NIWAKI_AVX2 NIWAKI_VNNI",
    "aarch64": "NIWAKI_NEON", "aarch64-dotprod": "NIWAKI_NEON", "armhf-neon": "NIWAKI_NEON",
    "cortex-m4": "NIWAKI_DSP", "cortex-m7": "NIWAKI_DSP", "cortex-m55": "NIWAKI_MVE",
    "avr": "NIWAKI_AVR",
}  # fmt: skip
ALL_KERNELS = frozenset(" ".join(KERNELS.values()).split())


def need(target, sanitizers=False):
    """Skip, with what to install, where a compiler, its headers or libraries, or an emulator are missing."""
    if missing_tools(target) or not compiles(target.compiler or "cc", target.flags, sanitizers):
        pytest.skip(f"needs {target.packages}: apt-get install {target.packages}")


@functools.cache
def compiles(compiler, flags, sanitizers):
    if shutil.which(compiler) is None:  # `missing_tools` takes zig for this machine's compiler
        return False
    flags = (*flags, *(SANITIZE if sanitizers else ("-E",)))
    source = "#include <string.h>\nint main(void) { return 0; }\n"
    command = [compiler, *flags, "-o", "/dev/null", "-x", "c", "-"]
    return subprocess.run(command, input=source.encode(), capture_output=True, check=False).returncode == 0


def build(name):
    target, flags, processor = BUILDS[name]
    need(target)
    cpuinfo = Path("/proc/cpuinfo")
    features = cpuinfo.read_text().split("flags", 1)[-1].split("\n", 1)[0].split() if cpuinfo.exists() else []
    if processor and processor not in features:
        pytest.skip(f"needs an x86-64 processor with {processor}")
    return target, flags


def macros(target, flags, folder):
    """Those set at the end of model.c: they show which kernels were chosen."""
    command = [target.compiler, *target.flags, *flags, "-dM", "-E", str(folder / "model.c")]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {line.split()[1] for line in lines}


def check_kernels(name, target, flags, folder):
    if name.startswith("x86-64") or target.emulator:
        assert macros(target, flags, folder) & ALL_KERNELS == set(KERNELS.get(name, "").split())


def check_bits(example, target, flags, images=None):
    """Every warning is an error."""
    images = example.images if images is None else images
    scores = run_on_target(example.folder, images, target, (*flags, *STRICT))
    np.testing.assert_array_equal(scores, example.scores[: len(images)])


@pytest.mark.parametrize("name", QUICK_BUILDS)
def test_builds_on_this_machine(lenet5, name):
    target, flags = build(name)
    example = lenet5(QUICK_BUILDS[name])
    check_kernels(name, target, flags, example.folder)
    check_bits(example, target, flags)


@pytest.mark.parametrize("model", ["pruned", pytest.param("base", marks=pytest.mark.soak)])
@pytest.mark.parametrize("more", [(), ("-D__AVX512VBMI__",)], ids=["", "VBMI"])
def test_avx512_and_vnni_on_a_processor_that_has_neither(lenet5, model, more):
    need(GCC)
    if not any(Path(folder, "simde", "x86", "avx512.h").is_file() for folder in ("/usr/include", "/usr/local/include")):
        pytest.skip("needs libsimde-dev: apt-get install libsimde-dev")
    example = lenet5(model)
    flags = (*SIMULATED, *more)
    assert "NIWAKI_AVX512" in macros(GCC, flags, example.folder)
    check_bits(example, GCC, flags, example.images[:20])


@pytest.mark.parametrize("compiler", [GCC, CLANG], ids=["gcc", "clang"])
def test_avx_vnni_needs_nothing_of_avx512(lenet5, compiler, tmp_path):
    """No emulator, and few machines have it: it is VNNI as above, with one instruction encoded differently."""
    need(compiler)
    program = tmp_path / "model.o"
    flags = ("-O2", "-march=x86-64-v3", "-mavxvnni", *STRICT, "-c")
    subprocess.run([compiler.compiler, *flags, "-o", program, lenet5("base").folder / "model.c"], check=True)
    code = subprocess.run(["objdump", "-d", program], check=True, capture_output=True, text=True).stdout
    instructions = [line.split("\t") for line in code.splitlines() if "vpdpbusd" in line]
    assert len(instructions) > 100
    assert all(encoded.startswith("c4 ") for _, encoded, *_ in instructions)  # VEX; EVEX begins with 62
    assert "zmm" not in code
    assert "%k1" not in code


@pytest.mark.parametrize("name", EMULATED)
def test_emulated_processors(lenet5, name):
    target = EMULATED[name]
    need(target)
    example = lenet5("pruned")
    check_kernels(name, target, (), example.folder)
    check_bits(example, target, ("-O2",) if name == "aarch64" else ("-Os",))  # -Os compiles faster


@pytest.mark.parametrize("name", BOARDS)
def test_boards(lenet5, name):
    target = TARGETS[name]
    need(target)
    example = lenet5("base")
    check_kernels(name, target, ("-Os",), example.folder)
    check_bits(example, target, ("-Os",), example.inputs)  # as numbers; elsewhere they are pixels


def test_every_kernel_for_few_bits_is_tried(few_bits):
    calls = few_bits.generated.files["model.c"].decode().partition("static void layers")[2]
    called = {call.removeprefix("niwaki_") for call in re.findall(r"niwaki_\w+bit", calls)}
    assert called == {
        "run_conv_4bit", "run_conv_2bit", "run_depthwise_2bit", "conv_rows_4bit", "run_dense_4bit", "run_dense_2bit",
    }  # fmt: skip
    assert len(np.unique(few_bits.scores)) > 20  # no layer answers the same whatever it sees


def quickly(names, *quick):
    """Parameters of which the others are left to the long forms."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.soak) for name in names]


@pytest.mark.parametrize("name", quickly(EMULATED, "s390x"))
def test_few_bits_on_emulated_processors(few_bits, name):
    need(EMULATED[name])
    check_bits(few_bits, EMULATED[name], ("-Os",))


@pytest.mark.parametrize("level", quickly(("-O2", "-Os"), "-O2"))
@pytest.mark.parametrize("name", quickly(BOARDS, "cortex-m4"))
def test_few_bits_on_boards(few_bits, name, level):
    need(TARGETS[name])
    check_bits(few_bits, TARGETS[name], (level,))


@pytest.mark.parametrize("bits", [4, 2])
def test_long_rows_of_the_largest_products(bits, tmp_path):
    """The DSP kernels shift weights up, so that they sum a part of a row at a time."""
    need(M4)
    builder = Builder((1, 26, 50), 0)
    builder.bits = bits
    builder.dense(7)  # four channels, two and one
    graph = builder.graph()
    layer = graph.layers[-1]
    layer.weights[:] = -(1 << bits - 1)
    rescale = Rescale(np.full(7, 1 << 30), np.full(7, 40 + bits))
    layers = (*graph.layers[:-1], replace(layer, bias=np.arange(7) << 16, rescale=rescale, clamp=(-128, 127)))
    tensors = graph.tensors | {graph.output: replace(graph.tensors[graph.output], zero_point=-60)}
    graph = replace(graph, tensors=tensors, layers=layers)
    graph.tensors[graph.input] = replace(graph.tensors[graph.input], zero_point=0)
    inputs = np.stack([np.full((1, 26, 50), value, np.int8) for value in (-128, 127)])
    expected = reference.run(graph, inputs)
    assert len(np.unique(expected)) > 7  # not saturated
    np.testing.assert_array_equal(run_on_target(write(generate(graph), tmp_path), inputs, M4, ("-Os",)), expected)


@pytest.mark.soak
@pytest.mark.parametrize("name", BUILDS)
def test_few_bits_on_this_machine(few_bits, name):
    target, flags = build(name)
    check_bits(few_bits, target, flags)


@pytest.mark.soak
@pytest.mark.parametrize("model", ["base", "pruned"])
@pytest.mark.parametrize("name", BUILDS)
def test_all_builds_on_all_images(trained_lenet5, name, model):
    target, flags = build(name)
    check_bits(trained_lenet5(model), target, flags)


@pytest.mark.soak
@pytest.mark.parametrize("model", ["base", "pruned"])
@pytest.mark.parametrize("name", EMULATED)
def test_all_emulated_processors_on_all_images(trained_lenet5, name, model):
    need(EMULATED[name])
    check_bits(trained_lenet5(model), EMULATED[name], ("-O2",))


@pytest.mark.soak
@pytest.mark.parametrize("model", ["base", "pruned"])
@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("level", ["-Os", "-O2"])
def test_all_boards_on_500_images(trained_lenet5, name, model, level):
    need(TARGETS[name])
    example = trained_lenet5(model)
    check_bits(example, TARGETS[name], (level,), example.images[:500])


def test_a_cortex_a57_has_no_dot_product_and_needs_none(tmp_path, lenet5):
    need(A57)
    control = compile_sources([PROGRAMS / "dot_product.c"], A76, ("-O2",), out=tmp_path / "control")
    assert run_program(control, A57, folder=tmp_path).returncode == -signal.SIGILL
    assert run_program(control, A76, folder=tmp_path).returncode == 0
    example = lenet5("pruned")
    with_dot_products = Target("on the wrong processor", A76.compiler, A76.flags, A57.emulator, A57.packages)
    with pytest.raises(NiwakiError, match="on the wrong processor: ended by SIGILL"):
        run_on_target(example.folder, example.inputs[:1], with_dot_products, ("-Os",))


def run_every_call(example, target, flags, folder, *, before=()):
    """Compile and run programs/every_call.c; its scores."""
    program = compile_program(example.folder, PROGRAMS / "every_call.c", target, flags, out=folder / "every_call")
    (folder / "inputs.bin").write_bytes(example.images.tobytes())
    done = subprocess.run([*before, str(program)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.fromfile(folder / "scores.bin", np.int8).reshape(example.scores.shape), done.stderr


SANITIZED = {
    "gcc": (GCC, ("-march=native",)),
    "clang": (CLANG, ("-march=native",)),
    "gcc portable": (GCC, ("-DNIWAKI_PORTABLE", "-DNIWAKI_MODEL_NO_STATIC_ARENA")),
    "clang avx2": (CLANG, ("-march=x86-64-v3",)),
}
QUICK_SANITIZED = ("gcc", "clang", "gcc portable")


@pytest.mark.parametrize("name", QUICK_SANITIZED)
def test_sanitizers_find_nothing(lenet5, name, tmp_path):
    target, flags = SANITIZED[name]
    need(target, sanitizers=True)
    example = lenet5("pruned")
    scores, _ = run_every_call(example, target, ("-O0", *flags, *SANITIZE), tmp_path)
    np.testing.assert_array_equal(scores, example.scores)


@pytest.mark.parametrize("name", quickly(("gcc portable", "clang avx2"), "gcc portable"))
def test_sanitizers_find_nothing_in_few_bits(few_bits, name, tmp_path):
    target, flags = SANITIZED[name]
    need(target, sanitizers=True)
    scores, _ = run_every_call(few_bits, target, ("-O0", *flags, *SANITIZE), tmp_path)
    np.testing.assert_array_equal(scores, few_bits.scores)


@pytest.mark.soak
@pytest.mark.parametrize("name", SANITIZED)
def test_sanitizers_find_nothing_in_fast_code(lenet5, name, tmp_path):
    target, flags = SANITIZED[name]
    need(target, sanitizers=True)
    example = lenet5("base")
    scores, _ = run_every_call(example, target, ("-O2", *flags, *SANITIZE), tmp_path)
    np.testing.assert_array_equal(scores, example.scores)


def test_the_sanitizer_would_find_something(lenet5, tmp_path):
    """A control: the same program with an arena that is a byte too small."""
    need(GCC, sanitizers=True)
    example = lenet5("pruned")
    folder = shutil.copytree(example.folder, tmp_path / "small")
    header = (folder / "model.h").read_text()
    size = example.generated.report.arena_bytes
    (folder / "model.h").write_text(header.replace(f"ARENA_BYTES {size}", f"ARENA_BYTES {size - 1}"))
    program = compile_program(
        folder, PROGRAMS / "every_call.c", GCC, ("-DNIWAKI_PORTABLE", *SANITIZE), out=tmp_path / "program"
    )
    (tmp_path / "inputs.bin").write_bytes(example.images[:1].tobytes())
    done = subprocess.run([program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "buffer-overflow" in done.stderr


VALGRIND = ("valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full")


def test_valgrind_finds_nothing(lenet5, tmp_path):
    need(GCC)
    need_tool("valgrind", "valgrind")
    example = lenet5("pruned")
    scores, said = run_every_call(example, GCC, ("-g", "-Os", "-DNIWAKI_PORTABLE"), tmp_path, before=VALGRIND)
    np.testing.assert_array_equal(scores, example.scores)
    assert said == ""


@pytest.mark.soak
def test_valgrind_finds_nothing_in_vector_code(lenet5, tmp_path):
    """AVX2: valgrind does not know AVX-512."""
    target, flags = build("x86-64 avx2")
    need_tool("valgrind", "valgrind")
    example = lenet5("pruned")
    scores, said = run_every_call(example, target, ("-g", *flags), tmp_path, before=VALGRIND)
    np.testing.assert_array_equal(scores, example.scores)
    assert said == ""


def test_without_a_static_arena(lenet5, tmp_path):
    need(GCC)
    example = lenet5("pruned")
    without = ("-O1", "-DNIWAKI_PORTABLE", "-DNIWAKI_MODEL_NO_STATIC_ARENA", *STRICT)
    scores, _ = run_every_call(example, GCC, without, tmp_path)
    np.testing.assert_array_equal(scores, example.scores)
    assert variables(example.folder, ("-DNIWAKI_PORTABLE",), tmp_path) == {"static_arena"}
    assert variables(example.folder, without, tmp_path) == set()


def variables(folder, flags, work):
    """Names of what model.c keeps in RAM."""
    subprocess.run(
        ["gcc", "-std=c99", "-fno-pie", *flags, "-c", folder / "model.c", "-o", work / "model.o"], check=True
    )
    listed = subprocess.run(["nm", work / "model.o"], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1] for line in listed.splitlines() if line.split()[-2] in "bBdDC"}


@pytest.mark.parametrize("name", ["cortex-m3", "aarch64", "native"])
def test_needs_nothing_but_memory_functions(lenet5, name, tmp_path):
    """No allocation, and on a processor without floating point none of the functions that would stand for it."""
    target = TARGETS[name]
    need(target)
    compiler = target.compiler or "gcc"
    listing = compiler.removesuffix("gcc") + "nm"
    source = lenet5("pruned").folder / "model.c"
    subprocess.run([compiler, "-std=c99", *target.flags, "-O0", "-c", source, "-o", tmp_path / "model.o"], check=True)
    listed = subprocess.run([listing, "-u", tmp_path / "model.o"], check=True, capture_output=True, text=True).stdout
    assert {line.split()[-1] for line in listed.splitlines()} <= {
        "memcpy",
        "memset",
        "memmove",
        "_GLOBAL_OFFSET_TABLE_",
    }


def test_two_models_in_one_program(lenet5, tmp_path):
    need(GCC)
    flags = ("-O1", "-DNIWAKI_PORTABLE", f"-I{tmp_path}", *STRICT)
    examples = {"first": lenet5("base"), "second": lenet5("pruned")}
    for prefix, example in examples.items():
        write(generate(example.graph, prefix=prefix), tmp_path / prefix)
    sources = [PROGRAMS / "two_models.c", *(tmp_path / prefix / "model.c" for prefix in examples)]
    program = compile_sources(sources, GCC, flags, out=tmp_path / "program")
    images = examples["first"].images
    (tmp_path / "inputs.bin").write_bytes(images.tobytes())
    assert run_program(program, GCC, folder=tmp_path).returncode == 0
    scores = np.fromfile(tmp_path / "scores.bin", np.int8).reshape(len(images), 2, -1)
    for index, example in enumerate(examples.values()):
        np.testing.assert_array_equal(scores[:, index], example.scores)


GENERATE = """
import hashlib, sys
from niwaki.emit.generate import generate
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.models.onnxfile import load_onnx
files = generate(read_qdq(load_onnx(open(sys.argv[1], "rb").read()), "example")).files
print(hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest())
"""


def test_the_same_file_gives_the_same_c(lenet5, tmp_path):
    """In any process, whatever the order of its sets."""
    example = lenet5("pruned")
    (tmp_path / "int8.onnx").write_bytes(example.onnx)
    command = [sys.executable, "-c", GENERATE, str(tmp_path / "int8.onnx")]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": "1"}, check=True, capture_output=True, text=True
    )
    here = hashlib.sha256(repr(sorted(example.generated.files.items())).encode()).hexdigest()
    assert done.stdout.strip() == here


DISPATCHED = {  # emulated processors on which the one library for many must run
    "aarch64": (A57, ("qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"), ("cortex-a57", "cortex-a76")),
    "x86-64": (GCC, ("qemu-x86_64-static",), ("qemu64", "Haswell")),
}


@pytest.mark.soak
@pytest.mark.parametrize("name", DISPATCHED)
def test_the_library_that_chooses_its_kernels(lenet5, name, tmp_path):
    """Built by the generated Makefile, it runs on a processor that lacks what its fastest kernels need."""
    target, emulator, processors = DISPATCHED[name]
    need(target)
    need_tool(emulator[0], "qemu-user-static")
    example = lenet5("pruned")
    folder = shutil.copytree(example.folder, tmp_path / "folder")
    subprocess.run(["make", "-s", "portable-library", f"CC={target.compiler}"], cwd=folder, check=True)
    flags = (f"-I{folder}", *on_target.call_of(folder, pixels=True), f"-L{folder}", "-lniwaki_model")
    with on_target.board_files() as files:
        command = [target.compiler, f"-I{files}", files / "runner.c", *flags, "-o", tmp_path / "program"]
        subprocess.run(command, check=True)
    (tmp_path / "inputs.bin").write_bytes(example.images.tobytes())
    for processor in processors:
        command = [*emulator, "-cpu", processor, "-E", f"LD_LIBRARY_PATH={folder}", tmp_path / "program"]
        subprocess.run(command, cwd=tmp_path, check=True)
        scores = np.fromfile(tmp_path / "scores.bin", np.int8).reshape(example.scores.shape)
        np.testing.assert_array_equal(scores, example.scores)


def test_the_instructions_of_a_tick(tmp_path):
    need(M4)
    for name in BOARDS:
        target = TARGETS[name]
        program = compile_sources([PROGRAMS / "ticks.c"], target, out=tmp_path / "program")
        assert run_program(program, target, folder=tmp_path).returncode == 0
        ticks = int(np.fromfile(tmp_path / "measured.bin", "<u4")[0])
        assert abs(ticks * target.board.instructions_per_tick - 2_000_000) < 100


def test_instructions_and_stack_of_a_board(lenet5):
    need(M4)
    example = lenet5("pruned")
    fast, small = (measure_on_board(example.folder, example.images[:4], M4, (level,)) for level in ("-O2", "-Os"))
    np.testing.assert_array_equal(fast.scores, example.scores[:4])
    macs = 28 * 28 * 25 * 2 + 10 * 10 * 25 * 2 * 6 + 150 * 48 + 48 * 33 + 33 * 10
    assert macs < fast.instructions.min() < small.instructions.min() < 40 * macs
    assert 50 < fast.stack_bytes < 1000
    again = measure_on_board(example.folder, example.images[:4], M4, ("-O2",))
    np.testing.assert_array_equal(again.instructions, fast.instructions)
    with pytest.raises(
        NiwakiError, match="native: only boards count instructions: cortex-m0, cortex-m3, cortex-m4, cortex-m7"
    ):
        measure_on_board(example.folder, example.images[:1], NATIVE)


@pytest.mark.parametrize("level", quickly(("-O2", "-Os"), "-Os"))
@pytest.mark.parametrize("model", quickly(("base", "pruned"), "pruned"))
def test_packed_weights_cost_no_more_instructions(lenet5, model, level, tmp_path):
    """On a Cortex-M4, LeNet-5 of 4 and 2 bits, its last layer of 8: a tenth more is more than they take."""
    need(M4)
    whole = lenet5(model)
    int8 = measure_on_board(whole.folder, whole.images[:1], M4, (level,)).instructions[0]
    for bits in (4, 2):
        graph = of_few_bits(whole.graph, bits)
        folder = write(generate(graph), tmp_path / str(bits))
        run = measure_on_board(folder, whole.images[:1], M4, (level,))
        np.testing.assert_array_equal(run.scores, reference.run(graph, whole.inputs[:1]))
        assert run.instructions[0] < 1.1 * int8


def test_no_images_give_no_scores(lenet5):
    need(GCC)
    example = lenet5("pruned")
    assert run_on_target(example.folder, example.images[:0], GCC).shape == (0, 10)


def broken(example, folder, body):
    """A folder whose model does what `body` says."""
    folder.mkdir()
    shutil.copy(example.folder / "model.h", folder)
    function = "int niwaki_model_run(const int8_t *input, int8_t *output) { (void)input; (void)output; %s }"
    (folder / "model.c").write_text('#include <stdlib.h>\n#include "model.h"\n' + function % body)
    return folder


@pytest.mark.parametrize(
    ("target", "body", "message"),
    [
        (NATIVE, "return 1;", "on native: the model refused an image"),
        (NATIVE, "exit(0);", "on native: 0 scores came back for 2 images"),
        (NATIVE, "exit(9);", "on native: exit status 9"),
        (NATIVE, "__builtin_trap();", "on native: ended by SIG"),
        (NATIVE, "for (;;) {}", "program on native: not finished after 0.3 seconds"),
        (NATIVE, "return x;", "gcc could not compile it: .*error: .x. undeclared"),
        (M4, "__builtin_trap();", "on cortex-m4: ended by exception 3"),
        (M4, "static volatile int8_t big[5 << 20]; return big[0];", "will not fit in region .RAM"),
        (M4, "static volatile int8_t big[(4 << 20) - 2048]; return big[0];", "less than 2 KB of this board's RAM"),
        (NATIVE, "extern int missing(void); return missing();", "undefined reference to .missing"),
    ],
)
def test_what_goes_wrong_is_said(lenet5, tmp_path, monkeypatch, target, body, message):
    need(target)
    monkeypatch.setenv("CC", "gcc")
    example = lenet5("pruned")
    timeout = 0.3 if "for" in body else 60
    with pytest.raises(NiwakiError, match=message):
        run_on_target(broken(example, tmp_path / "broken", body), example.inputs[:2], target, timeout=timeout)


def test_images_of_another_kind_are_refused(lenet5, tmp_path):
    example = lenet5("pruned")
    for images in (example.images.astype(np.float32), example.images[:, :, 1:]):
        with pytest.raises(ModelError, match=r"expected uint8 or int8 \(n, 1, 32, 32\)"):
            run_on_target(example.folder, images, NATIVE)
    folder = broken(example, tmp_path / "int8-only", "return 0;")
    header = folder / "model.h"
    header.write_text(header.read_text().replace("_run_pixels", "_gone"))
    with pytest.raises(ModelError, match="this model takes int8 inputs only"):
        run_on_target(folder, example.images, NATIVE)


def test_missing_tools_are_named_with_their_packages(lenet5, tmp_path, monkeypatch):
    example = lenet5("pruned")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    message = (
        "cortex-m4: no arm-none-eabi-gcc on this machine; Debian: apt-get install gcc-arm-none-eabi "
        "libnewlib-arm-none-eabi qemu-system-arm"
    )
    monkeypatch.setattr(compiler, "has_zig", lambda: False)
    with pytest.raises(NiwakiError, match=message):
        run_on_target(example.folder, example.inputs, M4)
    with pytest.raises(NiwakiError, match="native: no cc on this machine; apt-get install gcc libc6-dev"):
        run_on_target(example.folder, example.inputs, NATIVE)
    with pytest.raises(NiwakiError, match="aarch64: no qemu-aarch64-static on this machine"):
        run_program(tmp_path / "program", A57, folder=tmp_path)
    with pytest.raises(NiwakiError, match="no-such-compiler: cannot be run: No such file"):
        compiler.run_compiler(["no-such-compiler"], "model")


def test_targets_by_name():
    assert find_target("cortex-m7").board.machine == "mps2-an500"
    with pytest.raises(NiwakiError, match="target 'z80': expected one of native, aarch64, .*cortex-m4, cortex-m7"):
        find_target("z80")
