"""The library and the program of a bundle, on emulated boards: the right bits, and nothing that a board lacks."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from bundled import emulated, run_program, scores_of
from niwaki.board.build import bundle_file
from niwaki.board.compile import LIBRARY, PROGRAM, compile_binaries, sources
from niwaki.board.description import read_description
from niwaki.board.known import write_known
from niwaki.board.options import BundleOptions
from niwaki.board.selftest import make_selftest
from niwaki.board.targets import AARCH64
from niwaki.codegen.graph import reference
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.compiled.on_target import board_files
from niwaki.data.dataset import open_dataset
from niwaki.data.datasets import GARMENTS
from niwaki.data.prepare import prepare
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.spec import DataSpec
from niwaki.deploy.images import random_images
from niwaki.emit.generate import generate
from niwaki.errors import NiwakiError
from niwaki.models.lenet5 import LeNet5
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnx_export import to_onnx
from niwaki.models.onnxfile import load_onnx
from niwaki.toolchain import compiler
from niwaki.toolchain import zig as zig_cc
from niwaki.toolchain.targets import TARGETS, missing_tools
from niwaki.training.quantize import quantize_static
from niwaki.training.settings import QuantizeSettings

BOARDS = {  # processors that a target must run on, and the kernels that it must choose there
    ("jetson-nano", "cortex-a57"): "neon",
    ("jetson-nano", "cortex-a76"): "dotprod",
    ("raspberry-pi-32", "cortex-a7"): "neon",
    ("raspberry-pi-32", "arm1176"): "portable",
    ("linux-x86_64", "qemu64"): "x86_64",
    ("linux-x86_64", "Haswell"): "avx2",
}
IMAGES = 400
PI_32 = "raspberry-pi-32"  # its C library takes zig a minute in a fresh clone


def long(*values: str) -> Any:
    """Parameters of a test; those of 32-bit ARM are for the long form."""
    return pytest.param(*values, marks=[pytest.mark.soak] if PI_32 in values else [])


@pytest.fixture(scope="module")
def images(small_data):
    """The test images and made-up ones."""
    made = random_images((1, 16, 16), IMAGES - len(small_data.test))
    return np.concatenate([small_data.test.images, made])


@pytest.mark.parametrize(("target", "processor"), [long(*board) for board in BOARDS])
def test_the_program_gives_the_bits_of_the_reference(target, processor, bundle_for, images, exact, tmp_path):
    before = emulated(target, processor)
    program = bundle_for(target) / PROGRAM
    np.testing.assert_array_equal(scores_of(program, images, tmp_path, before), exact(images))
    done = run_program(program, "selftest", before=before)
    kernels = BOARDS[target, processor]
    expected = f"kernels: {kernels}\nimages: 100 of 100 exact\nframes: 4 of 4 exact\n"
    assert (done.returncode, done.stdout) == (0, expected)


@pytest.mark.parametrize("target", [long("jetson-nano"), long(PI_32), long("linux-x86_64")])
def test_the_library_needs_an_old_glibc_and_the_program_nothing(target, bundle_for):
    with (bundle_for(target) / LIBRARY).open("rb") as stream:
        library = ELFFile(stream)
        names = {symbol.name for symbol in library.get_section_by_name(".dynsym").iter_symbols() if symbol.name}
        needs = library.get_section_by_name(".gnu.version_r")
        versions = {entry.name for _, entries in needs.iter_versions() for entry in entries}
    assert versions
    assert all(tuple(map(int, version.removeprefix("GLIBC_").split("."))) <= (2, 27) for version in versions)
    ours = {name for name in names if name.startswith("niwaki_")}
    assert ours >= {"niwaki_model_run_pixels", "niwaki_model_labels", "niwaki_vision_find", "niwaki_vision_learn"}
    assert names - ours <= {"memcpy", "memset", "memmove", "memcmp", "getauxval"}
    assert not {name for name in ours if "niwaki_model_run_in_" in name}  # the variants are its own affair
    with (bundle_for(target) / PROGRAM).open("rb") as stream:
        kinds = {segment["p_type"] for segment in ELFFile(stream).iter_segments()}
    assert not kinds & {"PT_DYNAMIC", "PT_INTERP"}


def test_every_source_is_read_for_32_bits(small_export, tmp_path):
    """By Debian's cross compiler, with its warnings: the long form compiles and runs them."""
    cross = TARGETS["armhf"]
    if missing_tools(cross):
        pytest.skip(f"needs {cross.packages}: apt-get install {cross.packages}")
    files = sources({file.name: file.read_bytes() for file in (small_export / "c").glob("*.[ch]")})
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    names = [name for name in files if name.endswith(".c")]
    assert {"program.c", "niwaki_vision.c", "model.c"} < set(names)
    flags = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-fsyntax-only")
    done = subprocess.run([cross.compiler, *flags, *names], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


LOADED = {  # cross compiler's target, where its C library lies, processors
    "jetson-nano": ("aarch64", "/usr/aarch64-linux-gnu", ("cortex-a57", "cortex-a76")),
    "raspberry-pi-32": ("armhf", "/usr/arm-linux-gnueabihf", ("cortex-a7",)),
}


@pytest.mark.parametrize("target", [long(target) for target in LOADED])
def test_the_library_is_loaded_and_runs_on_arm(target, bundle_for, images, exact, tmp_path):
    """Linked with a program by Debian's cross compiler, against its C library."""
    name, root, processors = LOADED[target]
    cross = TARGETS[name]
    if missing_tools(cross) or not Path(root).is_dir():
        pytest.skip(f"needs {cross.packages}: apt-get install {cross.packages}")
    bundle = bundle_for(target)
    header = "#include <stdint.h>\nint niwaki_model_run_pixels(const uint8_t *pixels, int8_t *output);\n"
    (tmp_path / "model.h").write_text(header)
    with board_files() as files:
        macros = ("-DRUN=niwaki_model_run_pixels", "-DINPUT_BYTES=256", "-DOUTPUT_BYTES=4")
        command = [
            cross.compiler, *macros, f"-I{tmp_path}", f"-I{files}", files / "runner.c", f"-L{bundle}", "-lniwaki",
            "-o", tmp_path / "program",
        ]  # fmt: skip
        subprocess.run(command, check=True)
    (tmp_path / "inputs.bin").write_bytes(images.tobytes())
    for processor in processors:
        (tmp_path / "scores.bin").unlink(missing_ok=True)
        before = [*emulated(target, processor), "-L", root, "-E", f"LD_LIBRARY_PATH={bundle}"]
        done = run_program(tmp_path / "program", before=before, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        scores = np.fromfile(tmp_path / "scores.bin", np.int8).reshape(len(images), 4)
        np.testing.assert_array_equal(scores, exact(images))


def test_the_same_model_gives_the_same_bytes(bundle_for, small_graph, small_data):
    """Compiled again, in another folder, with nothing kept but zig's own libraries."""
    bundle = bundle_for("jetson-nano")
    decision = read_description(bundle).decision
    known = write_known(make_selftest(small_graph, small_data, 0), small_graph.labels, decision, 0)
    again = compile_binaries(generate(small_graph).files, known, AARCH64)
    assert again.library == (bundle / LIBRARY).read_bytes()
    assert again.program == (bundle / PROGRAM).read_bytes()
    assert b"/tmp" not in again.library + again.program


def test_what_does_not_compile_is_named(tmp_path, zig):
    (tmp_path / "bad.c").write_text("int f(void) { return missing; }\n")
    target = ("-target", AARCH64.library_target)
    with pytest.raises(NiwakiError, match=r"bad\.c: zig could not compile it: .*error: .*undeclared"):
        zig_compile(tmp_path, *target, "-c", "bad.c", "-o", "bad.o")


def zig_compile(folder, *arguments):
    zig_cc.compile_c(arguments, "bad.c", folder)


def test_missing_zig_is_said_with_what_installs_it(monkeypatch, tmp_path):
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(NiwakiError, match=r"no zig, .*: pip install ziglang"):
        zig_compile(tmp_path)


def test_zig_keeps_its_libraries_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("NIWAKI_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv(compiler.GLOBAL_CACHE, raising=False)
    monkeypatch.delenv(compiler.LOCAL_CACHE, raising=False)
    assert compiler.zig_caches(Path("work")) == {
        compiler.GLOBAL_CACHE: str(tmp_path / "zig"),
        compiler.LOCAL_CACHE: "work/.zig",
    }
    monkeypatch.setenv(compiler.GLOBAL_CACHE, "/elsewhere")
    assert compiler.zig_caches(Path("work"))[compiler.GLOBAL_CACHE] == "/elsewhere"


@pytest.mark.soak
@pytest.mark.parametrize("widths", [(6, 16, 120, 84), (2, 6, 48, 33)], ids=["base", "pruned"])
def test_all_test_images_on_emulated_boards(true_data, zig, widths, tmp_path):
    """All 10,000 of Fashion-MNIST, through the program and on every processor of every kind of board."""
    data = open_dataset(prepare(DataSpec(name="fashion-mnist", limit=2000), data=str(true_data), cache=tmp_path / "c"))
    info = ModelInfo(factory="lenet5", input_shape=(1, 32, 32), labels=GARMENTS, preprocessing=Preprocessing(pad=2))
    calibration = data.train.images[:500]
    int8 = quantize_static(to_onnx(LeNet5(widths), info), calibration, QuantizeSettings(images=500)).onnx
    (tmp_path / "model-int8.onnx").write_bytes(int8)
    graph = read_qdq(load_onnx(int8), "model")
    expected = reference.run(graph, reference.quantize_pixels(graph, data.test.images))
    assert len(expected) == 10_000
    for target in ("jetson-nano", "raspberry-pi-32", "linux-x86_64"):
        out = tmp_path / target
        bundle_file(tmp_path / "model-int8.onnx", target, out, options=BundleOptions(sound=False, scenes=0))
        for board, processor in BOARDS:
            if board == target:
                found = scores_of(out / PROGRAM, data.test.images, tmp_path, emulated(target, processor))
                np.testing.assert_array_equal(found, expected)
        assert sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) < 2_000_000
