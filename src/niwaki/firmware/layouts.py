"""The files of a project, by path, as each ecosystem expects them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping

from niwaki.deploy.formats import PROJECTS
from niwaki.firmware.content import Content, fill, headers_of, on_a_nano, sources_of

_EXAMPLES = ("SelfTest", "Serial")
_WITH_CAMERA = ("arduino", "platformio", "esp-idf")
_MAIN = {
    "cmake": "int main(void) { return selftest() ? 0 : 1; }",
    "esp-idf": "void app_main(void) { selftest(); }",
    "zephyr": "int main(void) {\n  selftest();\n  return 0;\n}",
}
_CONSOLE = """    harness: console
    harness_config:
      type: one_line
      regex:
        - "{count} of {count} images right to the bit\""""


_ON_AVR = """Compile the C as C99 or later; for an AVR as `gnu99`, so that constants stay in flash. `-Os` is enough \
on an AVR, `-O2` is faster elsewhere."""
_ELSEWHERE = "Compile the C as C99 or later; `-O2` is faster than `-Os`."

_ESP_CAMERA = {
    "main/esp32.h": "camera/esp32.h", "main/idf_component.yml": "esp-idf/camera_component.yml",
    "sdkconfig.defaults": "esp-idf/sdkconfig.defaults",
    "sdkconfig.defaults.esp32s3": "esp-idf/sdkconfig.defaults.esp32s3",
}  # fmt: skip


def project_files(content: Content, kind: str) -> dict[str, bytes]:
    """The files of one kind of project, by path."""
    return _LAYOUTS[kind](content)


def _under(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{path}": data for path, data in files.items()}


def _readme(content: Content, kind: str) -> bytes:
    values = content.values
    how_to = fill(f"{kind}/README.part", values).decode().strip()
    camera = fill(f"camera/{kind}.md", values).decode().strip() if content.for_camera and kind in _WITH_CAMERA else ""
    more = {"kind_title": PROJECTS[kind], "how_to": how_to, "camera": f"{camera}\n\n" if camera else ""}
    more["nano"] = on_a_nano(content) if kind in ("arduino", "platformio") else ""
    more["compile"] = _ON_AVR if kind in ("arduino", "platformio", "cmake") else _ELSEWHERE
    return fill("common/README.md", values | more)


def _arduino_library(content: Content, kind: str) -> dict[str, bytes]:
    """A library: `src/` with everything, examples, what the IDE reads."""
    values = content.values
    names = (*_EXAMPLES, "Camera") if content.for_camera else _EXAMPLES
    sketches = {f"examples/{name}/{name}.ino": fill(f"arduino/{name}.ino", values) for name in names}
    if content.for_camera:
        cameras = {"esp32": "camera/esp32.h", "nano33ble": "arduino/nano33ble.h"}
        sketches |= {f"examples/Camera/{name}.h": fill(file, values) for name, file in cameras.items()}
    return {
        **_under("src", {**headers_of(content), **sources_of(content)}), **sketches,
        "library.properties": fill("arduino/library.properties", values),
        "keywords.txt": fill("arduino/keywords.txt", values),
        "README.md": _readme(content, kind),
    }  # fmt: skip


def _arduino(content: Content) -> dict[str, bytes]:
    library = _under(content.prefix, _arduino_library(content, "arduino"))
    return {**library, f"{content.prefix}.zip": _zip(library)}


def _zip(files: Mapping[str, bytes]) -> bytes:
    """The same files give the same bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(path), data, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def _platformio(content: Content) -> dict[str, bytes]:
    library = _arduino_library(content, "platformio")
    readme = library.pop("README.md")
    boards = fill("camera/boards.ini", content.values).decode() if content.for_camera else ""
    ov767x = "lib_deps = arduino-libraries/Arduino_OV767X\n" if content.for_camera else ""
    cameras = {"camera_boards": boards, "ov767x": ov767x}
    return {
        **_under(f"lib/{content.prefix}", library),
        f"lib/{content.prefix}/library.json": fill("platformio/library.json", content.values),
        "platformio.ini": fill("platformio/platformio.ini", content.values | cameras),
        "README.md": readme,
    }


def _c_files(content: Content) -> dict[str, bytes]:
    return _under("src", {**headers_of(content), **sources_of(content)})


def _selftest(content: Content, kind: str, place: str = "") -> bytes:
    clock = fill(f"{kind}/clock.c", {}).decode().rstrip()
    more = {"place": place, "selftest_clock": clock, "selftest_main": _MAIN[kind]}
    return fill("common/selftest.c", content.values | more)


def _esp_idf(content: Content) -> dict[str, bytes]:
    values = content.values
    mains = {"SelfTest": _selftest(content, "esp-idf"), "Serial": fill("esp-idf/serial.c", values)}
    requires = {"SelfTest": content.prefix, "Serial": f"{content.prefix} esp_driver_uart", "Camera": content.prefix}
    if content.for_camera:
        mains["Camera"] = fill("esp-idf/camera.c", values)
    examples = {}
    for name, main in mains.items():
        more = values | {"example": name, "requires": requires[name]}
        examples[f"examples/{name}/CMakeLists.txt"] = fill("esp-idf/project.cmake", more)
        examples[f"examples/{name}/main/CMakeLists.txt"] = fill("esp-idf/main.cmake", more)
        examples[f"examples/{name}/main/main.c"] = main
    if content.for_camera:
        examples |= {f"examples/Camera/{path}": fill(file, values) for path, file in _ESP_CAMERA.items()}
    return _under(content.prefix, {
        **_c_files(content), **examples, "CMakeLists.txt": fill("esp-idf/component.cmake", values),
        "idf_component.yml": fill("esp-idf/idf_component.yml", values), "README.md": _readme(content, "esp-idf"),
    })  # fmt: skip


def _zephyr(content: Content) -> dict[str, bytes]:
    values = content.values
    mains = {"SelfTest": _selftest(content, "zephyr"), "Serial": fill("zephyr/serial.c", values)}
    config = {"SelfTest": "CONFIG_MAIN_STACK_SIZE=4096", "Serial": "CONFIG_SERIAL=y\nCONFIG_MAIN_STACK_SIZE=4096"}
    expected = {"SelfTest": _CONSOLE.format(count=len(content.images)), "Serial": "    build_only: true"}
    samples = {}
    for name, main in mains.items():
        more = values | {"example": name, "config": config[name], "expected": expected[name]}
        samples[f"samples/{name}/CMakeLists.txt"] = fill("zephyr/sample.cmake", more)
        samples[f"samples/{name}/prj.conf"] = fill("zephyr/prj.conf", more)
        samples[f"samples/{name}/sample.yaml"] = fill("zephyr/sample.yaml", more)
        samples[f"samples/{name}/main.c"] = main
    return _under(content.prefix, {
        **_c_files(content), **samples, "CMakeLists.txt": fill("zephyr/module.cmake", values),
        "Kconfig": fill("zephyr/Kconfig", values), "zephyr/module.yml": fill("zephyr/module.yml", values),
        "README.md": _readme(content, "zephyr"),
    })  # fmt: skip


def _cmake(content: Content) -> dict[str, bytes]:
    values, prefix = content.values, content.prefix
    return _under(prefix, {
        **_under("src", sources_of(content)), **_under(f"include/{prefix}", headers_of(content)),
        "CMakeLists.txt": fill("cmake/CMakeLists.txt", values),
        "cmake/config.cmake.in": fill("cmake/config.cmake.in", values),
        "examples/selftest.c": _selftest(content, "cmake", f"{prefix}/"),
        "examples/serial.c": fill("cmake/serial.c", values),
        "README.md": _readme(content, "cmake"),
    })  # fmt: skip


_LAYOUTS: dict[str, Callable[[Content], dict[str, bytes]]] = {
    "arduino": _arduino, "platformio": _platformio, "esp-idf": _esp_idf, "zephyr": _zephyr, "cmake": _cmake,
}  # fmt: skip
