"""Camera: a frame becomes the network's image and a class as in Python, to the bit, in the examples as they are.

The examples are compiled against `sdk/`, which declares what they call of Arduino, esp32-camera, ESP-IDF,
Arduino_OV767X and Zephyr.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundled import need_tool
from niwaki.codegen.graph import reference
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data.class_names import name_classes
from niwaki.data.datasets import GARMENTS
from niwaki.data.preprocessing import Preprocessing
from niwaki.deploy.images import random_images
from niwaki.emit.generate import generate
from niwaki.firmware.content import Content, content_of
from niwaki.firmware.layouts import project_files
from niwaki.models.onnxfile import load_onnx
from niwaki.scenes.scene import bare_scene, garment_scene
from niwaki.vision.reference import Reference

SDK = Path(__file__).parent / "sdk"
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
LEARNED = 8
WORDS = {
    "nothing": "nothing there",
    "too_small": "too small: bring it closer",
    "too_large": "too large: take it away from the camera",
}
Frames = list[np.ndarray]


@pytest.fixture(scope="module")
def content(pruned_projects: Path) -> Content:
    """LeNet-5 with 60 % of its channels removed, for pictures of 28 × 28 with a border of 2."""
    int8 = (pruned_projects / "model-int8.onnx").read_bytes()
    read = read_qdq(load_onnx(int8, "pruned"), "pruned")
    graph = replace(read, labels=GARMENTS, preprocessing=Preprocessing(size=(28, 28), pad=2))
    return content_of(
        graph,
        random_images((1, 32, 32), 8),
        "8 random images",
        int8=int8,
        generated=generate(graph, prefix="seen", title="seen"),
        title="seen",
    )


@pytest.fixture(scope="module")
def projects(content: Content, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The projects with a camera, and Zephyr's."""
    folder = tmp_path_factory.mktemp("camera")
    for kind in ("arduino", "esp-idf", "zephyr", "platformio"):
        for path, data in project_files(content, kind).items():
            place = folder / kind / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
    return folder


def half(frame: np.ndarray) -> np.ndarray:
    """Averages of two by two pixels."""
    height, width = frame.shape
    sums = frame.reshape(height // 2, 2, width // 2, 2).sum(axis=(1, 3), dtype=np.int64)
    return ((sums + 2) // 4).astype(np.uint8)


@pytest.fixture(scope="module")
def frames() -> Frames:
    """An empty scene, garments in it, something too large."""
    shirt = np.zeros((28, 28), np.uint8)
    shirt[:, 8:20], shirt[2:9, 1:27] = 200, 150
    scene = garment_scene(shirt, 0, 3, family="tuning")
    shown = [garment_scene(shirt, 0, number, family="tuning").frame for number in range(6)]
    huge = np.full_like(scene.frame, 20)
    huge[10:230, :] = 240
    return [
        half(frame)
        for frame in (*scene.learned(LEARNED), scene.frame, *shown, bare_scene(0, family="tuning").frame, huge)
    ]


def expected(content: Content, frames: Frames, of_sensor: Callable[[np.ndarray], np.ndarray]) -> list[str]:
    """What an example prints for the frames, by the references in Python."""
    seen = [of_sensor(frame) for frame in frames]
    vision = Reference(seen[0].shape[1], seen[0].shape[0], (28, 28))
    names = name_classes(GARMENTS, ("en", "ko"))
    for frame in seen[:LEARNED]:
        vision.learn(frame)
    said = ["ready"]
    for frame in seen[LEARNED:]:
        finding = vision.find(frame)
        if finding.outcome != "found":
            said.append(WORDS[finding.outcome])
            continue
        image = np.pad(finding.picture, 2)[None, None]
        scores = reference.run(content.graph, reference.quantize_pixels(content.graph, image))[0]
        best = int(scores.argmax())
        said.append(f"{names[best].names['en']} / {names[best].names['ko']}, score {scores[best]}")
    assert len({line.partition(" ")[0] for line in said}) >= 3, said
    return said


def run(program: Path, frames: Frames) -> list[str]:
    given = b"".join(frame.tobytes() for frame in frames)
    return subprocess.run([program], input=given, capture_output=True, check=True).stdout.decode().splitlines()


def build(out: Path, library: Path, example: Path, start: str, *flags: str) -> Path:
    """A program of an example and its library: `start` is what the kit's own `main` does, C++ if it is for a sketch."""
    need_tool("g++", "g++")
    include = (f"-I{SDK}", f"-I{library}", f"-I{example}", *flags)
    main = out / ("main.cpp" if "setup" in start else "main.c")
    main.write_text(start)
    objects = []
    for file in (main, *library.glob("*.c"), *example.glob("*.c")):
        objects.append(out / f"{file.parent.name}-{file.name}.o")
        compiler = ("g++", "-std=gnu++14") if file.suffix == ".cpp" else ("gcc", "-std=gnu11")
        subprocess.run([*compiler, "-O1", *STRICT, *include, "-c", file, "-o", objects[-1]], check=True)
    subprocess.run(["g++", *objects, "-o", out / "program"], check=True)
    return out / "program"


SKETCH = "#include <Arduino.h>\n#include <{name}.ino>\nint main() {{ for (setup();;) loop(); }}\n"
TASK = "void app_main(void);\nint main(void) { app_main(); return 1; }\n"


@pytest.mark.parametrize("target", ["ESP32", "ESP32S3"])
def test_a_sketch_of_an_esp32_says_what_python_says(
    target: str, content: Content, projects: Path, frames: Frames, tmp_path: Path
) -> None:
    library = projects / "arduino" / "seen"
    flags = ("-DARDUINO_ARCH_ESP32", f"-DCONFIG_IDF_TARGET_{target}=1")
    start = SKETCH.format(name="Camera")
    program = build(tmp_path, library / "src", library / "examples/Camera", start, *flags)
    assert run(program, frames) == expected(content, frames, lambda frame: frame)


def test_a_project_of_esp_idf_says_what_python_says(
    content: Content, projects: Path, frames: Frames, tmp_path: Path
) -> None:
    component = projects / "esp-idf" / "seen"
    example = component / "examples" / "Camera" / "main"
    program = build(tmp_path, component / "src", example, TASK, "-DCONFIG_IDF_TARGET_ESP32=1")
    assert run(program, frames) == expected(content, frames, lambda frame: frame)


def test_a_sketch_of_a_nano_says_what_python_says(
    content: Content, projects: Path, frames: Frames, tmp_path: Path
) -> None:
    library = projects / "arduino" / "seen"
    start = SKETCH.format(name="Camera")
    program = build(tmp_path, library / "src", library / "examples/Camera", start, "-DARDUINO_ARDUINO_NANO33BLE")
    assert run(program, frames) == expected(content, frames, lambda frame: half(frame[12:108, 16:144]))


def test_another_board_is_refused_in_one_line(projects: Path) -> None:
    need_tool("g++", "g++")
    library = projects / "arduino" / "seen"
    source = '#include <Arduino.h>\n#include "Camera.ino"\n'
    command = [
        "g++",
        "-fsyntax-only",
        f"-I{SDK}",
        f"-I{library / 'src'}",
        f"-I{library / 'examples/Camera'}",
        "-x",
        "c++",
        "-",
    ]
    said = subprocess.run(command, input=source, capture_output=True, text=True, check=False).stderr
    assert "Camera is for the ESP32-CAM, the ESP32-S3-EYE and the Arduino Nano 33 BLE" in said


@pytest.mark.parametrize(
    "file",
    [
        "esp-idf/seen/examples/SelfTest/main/main.c", "esp-idf/seen/examples/Serial/main/main.c",
        "zephyr/seen/samples/SelfTest/main.c", "zephyr/seen/samples/Serial/main.c",
    ],
)  # fmt: skip
def test_examples_compile_as_their_kits_declare_things(file: str, projects: Path) -> None:
    need_tool("gcc", "gcc libc6-dev")
    library = projects / Path(*Path(file).parts[:2]) / "src"
    command = ["gcc", "-std=gnu11", *STRICT, f"-I{SDK}", f"-I{library}", "-fsyntax-only", projects / file]
    subprocess.run(command, check=True)


def test_only_grey_pixels_have_a_camera(content: Content) -> None:
    assert content.for_camera
    inputs = replace(content, graph=replace(content.graph, preprocessing=None))
    assert not inputs.for_camera
    files = project_files(inputs, "arduino")
    assert not [path for path in files if "amera" in path or "vision" in path]
    assert b"Camera" not in files["seen/README.md"]


def test_the_memory_of_boards_is_as_the_readme_says(projects: Path, tmp_path: Path) -> None:
    need_tool("gcc", "gcc libc6-dev")
    library = projects / "arduino" / "seen"
    main = tmp_path / "main.c"
    main.write_text(
        '#include <stdio.h>\n#include "seen_camera.h"\nint main(void) {\n'
        '  printf("%zu %zu %zu %d\\n", seen_camera_bytes(160, 120), seen_camera_bytes(64, 48) + 160 * 120,\n'
        "         seen_camera_bytes(15, 100), seen_camera_begin(NULL, 64, 48));\n  return 0;\n}\n"
    )
    sources = [main, library / "src/seen_camera.c", library / "src/model.c"]
    subprocess.run(["gcc", f"-I{library / 'src'}", *sources, "-o", tmp_path / "main"], check=True)
    said = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout.split()
    assert said[2:] == ["0", "-1"]
    readme = (library / "README.md").read_text()
    for line, size in zip(("AI-Thinker", "Nano 33 BLE"), said, strict=False):
        assert f"{round(int(size) / 1000)} KB" in next(
            row for row in readme.splitlines() if row.startswith(f"| {line}")
        )
