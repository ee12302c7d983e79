"""Every kind of project: its files, that it compiles, and that it gives the reference's bits."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zipfile
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import niwaki
from bundled import need_tool
from emulated_uno import compile_sketch, measured, simulate
from niwaki.codegen.graph import reference
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data.datasets import GARMENTS
from niwaki.data.preprocessing import Preprocessing
from niwaki.deploy.images import random_images
from niwaki.emit.generate import generate
from niwaki.errors import ModelError
from niwaki.firmware.content import Content, content_of, headers_of, sources_of
from niwaki.firmware.layouts import project_files
from niwaki.models.onnxfile import load_onnx
from niwaki.toolchain.targets import TARGETS, Target, missing_tools, run_program

SPARE = 50  # bytes of an Uno's RAM that must never be used


def test_an_uno_runs_the_pruned_lenet5_to_the_bit_with_ram_to_spare(pruned_projects: Path, tmp_path: Path) -> None:
    library = pruned_projects / "arduino" / "niwaki_model"
    sketch = measured(library / "examples/SelfTest/SelfTest.ino", tmp_path / "Measured")
    program, warnings = compile_sketch(sketch, library.parent, tmp_path / "work")
    assert warnings == ""
    lines = simulate(program, "never used")
    graph = read_qdq(load_onnx(pruned_projects / "model-int8.onnx"), "pruned")
    images = random_images((1, 32, 32), 20)
    expected = reference.run(graph, reference.quantize_pixels(graph, images))
    shown = [re.search(r"scores((?: -?\d+){10}), right, (\d+) us", line) for line in lines]
    found = [match for match in shown if match]
    assert 10 <= len(found) <= 20  # as many as a Nano's flash has room for
    sizes = subprocess.run(["avr-size", "-A", program], capture_output=True, text=True, check=True).stdout
    assert sum(int(size) for size in re.findall(r"^\.(?:text|data)\s+(\d+)", sizes, re.MULTILINE)) <= 30_720
    np.testing.assert_array_equal([[int(n) for n in match[1].split()] for match in found], expected[: len(found)])
    assert 100_000 < np.median([int(match[2]) for match in found]) < 150_000  # microseconds at 16 MHz
    assert any(f"{len(found)} of {len(found)} images right" in line for line in lines)
    assert int(lines[-1].rpartition(" ")[2]) >= SPARE


def test_the_serial_sketch_compiles_without_a_warning(pruned_projects: Path, tmp_path: Path) -> None:
    library = pruned_projects / "arduino" / "niwaki_model"
    assert compile_sketch(library / "examples/Serial/Serial.ino", library.parent, tmp_path / "work")[1] == ""


def test_an_avr_s_model_is_c_and_its_user_may_be_cpp(pruned_projects: Path, tmp_path: Path) -> None:
    """C++ has no way to keep constants in flash; the sketches above, which are C++, call the C."""
    need_tool("avr-g++", "gcc-avr avr-libc")
    source = pruned_projects / "arduino" / "niwaki_model" / "src"
    user = tmp_path / "user.cpp"
    user.write_text(
        "#include <niwaki_model.h>\n"
        "int main() { NiwakiModel model; model.image()[0] = 1; return model.classify() + *model.name(0, true); }\n"
    )
    command = ["avr-g++", "-mmcu=atmega328p", "-Os", "-std=gnu++11", f"-I{source}", "-c", "-o", tmp_path / "model.o"]
    strict = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
    subprocess.run([*command, *strict, user], check=True)
    shutil.copy(source / "model.c", tmp_path / "model.cpp")
    done = subprocess.run([*command, tmp_path / "model.cpp"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    first = next(line for line in done.stderr.splitlines() if "error" in line)
    assert "compile model.c as C (-std=gnu99): C++ cannot keep an AVR's constants in flash" in first


def test_the_zip_is_the_library(small_projects: Path) -> None:
    with zipfile.ZipFile(small_projects / "arduino" / "small.zip") as archive:
        names = set(archive.namelist())
        assert archive.testzip() is None
    folder = small_projects / "arduino"
    assert names == {path.relative_to(folder).as_posix() for path in (folder / "small").rglob("*") if path.is_file()}
    properties = (folder / "small" / "library.properties").read_text()
    assert re.findall(r"^(\w+)=.", properties, re.MULTILINE) == [
        "name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures",
        "includes",
    ]  # fmt: skip


def test_names_are_in_english_and_korean(pruned_projects: Path, tmp_path: Path) -> None:
    need_tool("cc", "gcc libc6-dev")
    source = pruned_projects / "arduino" / "niwaki_model" / "src"
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "niwaki_model_names.h"\n'
        "int main(void) { char name[NIWAKI_MODEL_NAME_BYTES]; for (int k = 0; k < 2; k++) for (int i = 0; i < 11; i++)"
        " { niwaki_model_name((uint8_t)i, (uint8_t)k, name); puts(name); } return 0; }"
    )
    files = (tmp_path / "main.c", source / "niwaki_model_names.c")
    subprocess.run(["cc", f"-I{source}", *files, "-o", tmp_path / "main"], check=True)
    said = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout.split("\n")
    assert len(said) == 23
    assert said[10] == said[21] == ""


@pytest.fixture(scope="module")
def content(small_export: Path) -> Content:
    """The small network as the content of a project, with the images that it may store."""
    int8 = (small_export / "model-int8.onnx").read_bytes()
    graph = read_qdq(load_onnx(small_export / "model-int8.onnx"), "small")
    images = random_images(graph.tensors[graph.input].shape, 20)
    return content_of(
        graph,
        images,
        "random images",
        int8=int8,
        generated=generate(graph, prefix="small", title="small"),
        title="small",
    )


def test_every_class_has_its_name_if_there_are_more_than_256(content: Content, tmp_path: Path) -> None:
    need_tool("cc", "gcc libc6-dev")
    graph = replace(content.graph, labels=tuple(f"class {index}" for index in range(300)))
    report = replace(content.generated.report, output_bytes=300)
    many = replace(content, graph=graph, generated=replace(content.generated, report=report))
    for name, data in {**headers_of(many), **sources_of(many)}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "small_names.h"\n'
        "int main(void) { char name[SMALL_NAME_BYTES]; small_name(299, 1, name); puts(name); return 0; }"
    )
    files = (tmp_path / "main.c", tmp_path / "small_names.c")
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", *files, "-o", tmp_path / "main"], check=True)
    assert subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout == "class 299\n"


def test_the_readme_says_what_lies_at_the_image(content: Content) -> None:
    graph = replace(content.graph, preprocessing=None)
    readmes = [project_files(one, "arduino")["small/README.md"] for one in (content, replace(content, graph=graph))]
    assert b"raw 8-bit pixels at model.image(), then:" in readmes[0]
    assert b"int8 values at model.image(), then:" in readmes[1]


def test_an_avr_stores_no_more_images_than_an_array_takes(content: Content) -> None:
    """avr-gcc refuses an array of more than 32,767 bytes."""
    large = replace(content, images=np.zeros((20, 3, 64, 64), np.uint8))
    assert b"TEST_IMAGES 2 " in headers_of(large)["small_test.h"]
    assert b"TEST_IMAGES 20\n" in headers_of(large)["small_test.h"]


def test_a_file_s_name_does_not_break_what_tools_read(content: Content) -> None:
    odd = replace(content, title='my "net": $(HOME)')
    title = "my 'net': _(HOME)"
    library = json.loads(project_files(odd, "platformio")["lib/small/library.json"])
    assert library["description"].startswith(title)
    zephyr, component = project_files(odd, "zephyr"), project_files(odd, "esp-idf")["small/idf_component.yml"]
    assert f'  name: "{title} (Serial)"\n' in zephyr["small/samples/Serial/sample.yaml"].decode()
    assert f'bool "{title}: ' in zephyr["small/Kconfig"].decode()
    assert f'description: "{title}: ' in component.decode()


def test_zephyr_s_runner_asks_for_every_image(content: Content) -> None:
    files = project_files(content, "zephyr")
    assert b'- "20 of 20 images right to the bit"' in files["small/samples/SelfTest/sample.yaml"]
    assert b"build_only: true" in files["small/samples/Serial/sample.yaml"]


def test_selftest_of_the_package_gives_bits_and_times(small_projects: Path, tmp_path: Path) -> None:
    need_tool("cmake", "cmake")
    package, built = small_projects / "cmake" / "small", tmp_path / "build"
    subprocess.run(["cmake", "-S", package, "-B", built], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", built, "--target", "small_selftest"], check=True, capture_output=True)
    said = subprocess.run([built / "small_selftest"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert all(re.fullmatch(r"\d+: scores( -?\d+)+, right, \d+ us", line) for line in said[:-1])
    assert said[-1] == f"{len(said) - 1} of {len(said) - 1} images right to the bit"


FOREIGN = """
cmake_minimum_required(VERSION 3.16)
project(foreign LANGUAGES C CXX)
find_package(first REQUIRED)
find_package(second REQUIRED)
add_executable(both main.cpp ${START})
target_link_libraries(both PRIVATE first::first second::second)
"""
BOTH = """
#include <first/first.h>
#include <first/first_test.h>
#include <second/second.h>
int main() {
  First first;
  Second second;
  int8_t right[FIRST_OUTPUT_BYTES];
  for (uint8_t i = 0; i < FIRST_TEST_IMAGES; i++) {
    first_test_image(i, First::image());
    first_test_image(i, Second::image());
    first_test_scores(i, right);
    if (first.classify() != second.classify()) return 1;
    for (int c = 0; c < First::classes; c++)
      if (first.score(c) != right[c] || second.score(c) != right[c]) return 2;
  }
  return first.name(0)[0] == 0 ? 3 : 64;
}
"""


@pytest.fixture(scope="module")
def two_packages(small_export: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same network as two CMake packages, by prefix."""
    folder = tmp_path_factory.mktemp("packages")
    for prefix in ("first", "second"):
        niwaki.export(small_export / "model-int8.onnx", folder / prefix, to="cmake", prefix=prefix)
    return {prefix: folder / prefix / "cmake" / prefix for prefix in ("first", "second")}


def bare_metal(target: Target, folder: Path) -> list[str]:
    """CMake's arguments for a board of niwaki's tests: its compiler, start-up and linker script."""
    board = target.board
    assert board is not None
    boards = Path(str(resources.files("niwaki.compiled") / "boards"))
    flags = " ".join((*target.flags, f"-I{boards}", "-ffreestanding", "-fno-exceptions", "-fno-rtti"))
    sizes = f"-Wl,--defsym=flash_size={board.flash_bytes},--defsym=ram_size={board.ram_bytes}"
    (folder / "cross.cmake").write_text(
        f"set(CMAKE_SYSTEM_NAME Generic)\nset(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)\n"
        f"set(CMAKE_C_COMPILER {target.compiler})\nset(CMAKE_CXX_COMPILER {target.compiler.replace('gcc', 'g++')})\n"
        f'set(CMAKE_C_FLAGS "{flags.replace("-fno-rtti", "")}")\nset(CMAKE_CXX_FLAGS "{flags}")\n'
        f'set(CMAKE_EXE_LINKER_FLAGS "-nostartfiles -nodefaultlibs -T{boards / "cortex_m.ld"} {sizes}")\n'
        'set(CMAKE_CXX_STANDARD_LIBRARIES "-lc -lgcc")\n'
    )
    return [f"-DCMAKE_TOOLCHAIN_FILE={folder / 'cross.cmake'}", f"-DSTART={boards / 'cortex_m.c'}"]


@pytest.mark.parametrize("name", ["native", "cortex-m4"])
def test_a_foreign_cmake_project_links_two_models(name: str, two_packages: dict[str, Path], tmp_path: Path) -> None:
    need_tool("cmake", "cmake")
    target = TARGETS[name]
    if missing_tools(target):
        pytest.skip(f"needs {target.packages}: apt-get install {target.packages}")
    cross = (
        bare_metal(target, tmp_path)
        if target.board
        else ["-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Wconversion -Werror"]
    )
    for prefix, package in two_packages.items():
        built = tmp_path / f"build-{prefix}"
        where = f"-DCMAKE_INSTALL_PREFIX={tmp_path / 'installed'}"
        run = ["cmake", "-S", package, "-B", built, where, "-DCMAKE_BUILD_TYPE=Release", *cross]
        subprocess.run(run, check=True, capture_output=True)
        subprocess.run(["cmake", "--build", built], check=True, capture_output=True)
        subprocess.run(["cmake", "--install", built], check=True, capture_output=True)
        if not target.board:
            said = subprocess.run([built / f"{prefix}_selftest"], capture_output=True, text=True, check=True).stdout
            assert said.endswith("20 of 20 images right to the bit\n")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "CMakeLists.txt").write_text(FOREIGN)
    (tmp_path / "foreign" / "main.cpp").write_text(BOTH)
    built = tmp_path / "build-foreign"
    found = (f"-DCMAKE_PREFIX_PATH={tmp_path / 'installed'}", f"-DCMAKE_FIND_ROOT_PATH={tmp_path / 'installed'}")
    subprocess.run(["cmake", "-S", tmp_path / "foreign", "-B", built, *found, *cross], check=True, capture_output=True)
    done = subprocess.run(["cmake", "--build", built], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert run_program(built / "both", target, folder=tmp_path).returncode == 64


CROSS = {
    "arm-none-eabi-gcc": ("gcc-arm-none-eabi libnewlib-arm-none-eabi", "-mcpu=cortex-m4 -mthumb"),
    "riscv64-unknown-elf-gcc": (
        "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf",
        "-march=rv32imc -mabi=ilp32 -misa-spec=2.2 --specs=picolibc.specs",
    ),
    "xtensa-lx106-elf-gcc": ("gcc-xtensa-lx106 picolibc-xtensa-lx106-elf", "-mlongcalls"),
}


@pytest.mark.parametrize("compiler", CROSS)
def test_the_package_compiles_for_microcontrollers(compiler: str, small_projects: Path, tmp_path: Path) -> None:
    need_tool("cmake", "cmake")
    need_tool(compiler, CROSS[compiler][0])
    flags = f"{CROSS[compiler][1]} -Wall -Wextra -Wpedantic -Wconversion -Werror"
    system = f'set(CMAKE_SYSTEM_NAME Generic)\nset(CMAKE_C_COMPILER {compiler})\nset(CMAKE_C_FLAGS "{flags}")\n'
    (tmp_path / "cross.cmake").write_text(f"{system}set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)\n")
    package, built = small_projects / "cmake" / "small", tmp_path / "build"
    run = ["cmake", "-S", package, "-B", built, f"-DCMAKE_TOOLCHAIN_FILE={tmp_path / 'cross.cmake'}"]
    subprocess.run(run, check=True, capture_output=True)
    subprocess.run(["cmake", "--build", built], check=True, capture_output=True)
    assert (built / "libsmall.a").stat().st_size > 5000


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("platformio", ["platformio.ini", "lib/small/library.json", "lib/small/examples/SelfTest/SelfTest.ino"]),
        (
            "esp-idf",
            ["small/CMakeLists.txt", "small/idf_component.yml", "small/examples/SelfTest/main/CMakeLists.txt",
             "small/examples/Serial/CMakeLists.txt"],
        ),
        (
            "zephyr",
            ["small/zephyr/module.yml", "small/Kconfig", "small/CMakeLists.txt", "small/samples/SelfTest/prj.conf",
             "small/samples/Serial/sample.yaml"],
        ),
    ],
)  # fmt: skip
def test_files_lie_where_the_ecosystem_looks_for_them(kind: str, files: list[str], small_projects: Path) -> None:
    for file in files:
        assert "$" not in re.sub(r"\$(ENV)?\{[A-Z_]+\}", "", (small_projects / kind / file).read_text()), file
    place = "lib/small/src" if kind == "platformio" else "small/src"
    assert {"model.c", "model.h", "small.h", "small_test.c", "niwaki_avr.h"} <= {
        path.name for path in (small_projects / kind / place).iterdir()
    }
    if kind == "platformio":
        assert json.loads((small_projects / kind / "lib/small/library.json").read_text())["headers"] == "small.h"


def test_a_project_that_was_changed_is_not_overwritten(small_export: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def export() -> None:
        niwaki.export(small_export / "model-int8.onnx", out, to="arduino", prefix="again")

    export()
    export()  # nothing was changed
    sketch = out / "arduino/again/examples/Serial/Serial.ino"
    sketch.write_text(sketch.read_text() + "// mine\n")
    with pytest.raises(ModelError, match=r"Serial\.ino: was changed since niwaki wrote the project: move"):
        export()
    shutil.rmtree(out / "arduino")
    (out / "arduino").mkdir()
    (out / "arduino" / "mine.txt").touch()
    with pytest.raises(ModelError, match="arduino: exists, and no export wrote it"):
        export()


def test_what_tools_built_stays_and_does_not_stand_in_the_way(small_export: Path, tmp_path: Path) -> None:
    need_tool("cmake", "cmake")
    out = tmp_path / "out"
    kinds = ["cmake", "platformio", "esp-idf"]

    def export() -> None:
        niwaki.export(small_export / "model-int8.onnx", out, to=kinds, prefix="build")

    export()
    package = out / "cmake" / "build"
    subprocess.run(["cmake", "-S", package, "-B", package / "build"], check=True, capture_output=True)
    made = [
        package / "build/CMakeCache.txt", out / "platformio/.pio/build/uno/firmware.hex",
        out / "esp-idf/build/examples/SelfTest/sdkconfig", out / "esp-idf/build/examples/SelfTest/build/app.bin",
    ]  # fmt: skip
    for file in made[1:]:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("a tool's")
    before = [file.read_bytes() for file in made]
    export()
    assert [file.read_bytes() for file in made] == before
    export()
    (out / "esp-idf/build/examples/SelfTest/mine.c").touch()
    with pytest.raises(ModelError, match=r"mine\.c: was changed since niwaki wrote the project"):
        export()
    assert [file.read_bytes() for file in made] == before


def test_a_network_that_no_uno_has_room_for_is_said_to_be_too_large(tmp_path: Path, pruned_projects: Path) -> None:
    report = niwaki.export(pruned_projects / "model-int8.onnx", tmp_path / "fits", to=["arduino", "platformio"])
    assert not any("Uno" in note for note in report.notes)
    niwaki.save(
        niwaki.LeNet5(), tmp_path / "large.safetensors", factory="lenet5", input_shape=(1, 32, 32),
        labels=GARMENTS, preprocessing=Preprocessing(pad=2),
    )  # fmt: skip
    report = niwaki.export(tmp_path / "large.safetensors", tmp_path / "large", to="arduino", data="synthetic", images=8)
    (note,) = [note for note in report.notes if "Uno" in note]
    uno = next(board for board in niwaki.cost(tmp_path / "large.safetensors").boards if board.name == "uno")
    assert note.startswith(f"too large for an Arduino Uno: {'; '.join(uno.why_not)}; boards that fit: Arduino Nano 33")
    assert "Raspberry Pi Pico" in note
    assert "Jetson" not in note
    assert (tmp_path / "large/arduino/niwaki_model.zip").is_file()
    report = niwaki.export(tmp_path / "large.safetensors", tmp_path / "large", to="zephyr", data="synthetic", images=8)
    assert not any("Uno" in note for note in report.notes)


def test_readmes_speak_of_the_boards_that_they_are_for(content: Content) -> None:
    kinds = {"arduino": "small/", "platformio": "", "cmake": "small/", "esp-idf": "small/", "zephyr": "small/"}
    readmes = {kind: project_files(content, kind)[f"{place}README.md"].decode() for kind, place in kinds.items()}
    assert {kind for kind, text in readmes.items() if "AVR" in text} == {"arduino", "platformio", "cmake"}
    assert all("Compile the C as C99 or later" in text for text in readmes.values())
    assert "give `Serial` a UART of your own: `small_serial.h`" in readmes["cmake"]
    one = replace(
        content, generated=replace(content.generated, report=replace(content.generated.report, output_bytes=1))
    )
    assert "and gives 1 score;" in project_files(one, "zephyr")["small/README.md"].decode()


def test_selftest_has_room_on_a_nano_or_the_readme_says_that_it_has_none(content: Content) -> None:
    """An Arduino Nano has 30,720 bytes of flash, an Uno 32,256."""
    used, each = 8_200 + content.generated.report.constant_bytes, 40 * 40 + content.scores.shape[1]
    middle = replace(content, images=np.ones((20, 1, 40, 40), np.uint8))
    found = re.search(rb"TEST_IMAGES (\d+) ", headers_of(middle)["small_test.h"])
    assert found
    assert 8 <= int(found[1]) < 20
    assert used + int(found[1]) * each <= 30_720 < used + 3 * 1_500 + (int(found[1]) + 1) * each
    assert b"Nano has" not in project_files(middle, "arduino")["small/README.md"]
    wide = replace(content, images=np.ones((20, 1, 56, 56), np.uint8))
    assert b"TEST_IMAGES 8 " in headers_of(wide)["small_test.h"]
    for kind, place in (("arduino", "small/"), ("platformio", "")):
        assert b"an Arduino Nano has 30,720" in project_files(wide, kind)[f"{place}README.md"]
    assert b"Nano has" not in project_files(wide, "zephyr")["small/README.md"]


@pytest.mark.parametrize("prefix", ["string", "Serial"])
def test_a_prefix_that_c_or_arduino_has_is_refused(prefix: str, small_export: Path, tmp_path: Path) -> None:
    """A string.h in a library stands before C's; a class Serial hides the line."""
    with pytest.raises(ModelError, match=rf"`prefix=\"{prefix}\"`: C or Arduino has that name already: give another"):
        niwaki.export(small_export / "model-int8.onnx", tmp_path / "out", to="arduino", prefix=prefix)


@pytest.mark.parametrize("prefix", ["model", "niwaki_kernels"])
def test_a_prefix_that_is_a_file_of_the_c_is_refused(prefix: str, small_export: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"`prefix=\"{prefix}\"`: {prefix}\.h is a file of the C already"):
        niwaki.export(small_export / "model-int8.onnx", tmp_path / "out", to="arduino", prefix=prefix)
