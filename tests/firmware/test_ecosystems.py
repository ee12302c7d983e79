"""What PlatformIO, Espressif's component manager and Zephyr's Kconfig themselves make of the projects, offline.

Their tools are taken from the PATH, or installed once into environments of the tests' cache.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.soak
Tool = Callable[[str, str], Path]


@pytest.fixture
def tool(pytestconfig: pytest.Config) -> Tool:
    """A program of a package from PyPI; skipped by name if it cannot be installed."""

    def find(name: str, package: str) -> Path:
        if (found := shutil.which(name)) is not None and name != "python":
            return Path(found)
        place = Path(pytestconfig.cache.mkdir("ecosystems")) / package
        program = place / "bin" / name
        if not (place / "installed").exists():
            shutil.rmtree(place, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", place], check=True)
            pip = [place / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", package]
            if subprocess.run(pip, check=False, capture_output=True).returncode != 0:
                pytest.skip(f"needs {package}: pip install {package}")
            (place / "installed").touch()
        return program

    return find


def test_platformio_packs_the_library_and_reads_the_project(small_projects: Path, tool: Tool, tmp_path: Path) -> None:
    pio, project = tool("pio", "platformio"), small_projects / "platformio"
    alone = os.environ | {"PLATFORMIO_CORE_DIR": str(tmp_path / "core"), "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no"}
    packed = tmp_path / "small.tar.gz"
    subprocess.run([pio, "pkg", "pack", project / "lib" / "small", "-o", packed], check=True, env=alone)
    with tarfile.open(packed) as archive:
        names = set(archive.getnames())
    assert {"library.json", "src/model.c", "src/small.h", "examples/Camera/Camera.ino"} <= names
    asked = [pio, "project", "config", "--json-output"]
    said = subprocess.run(asked, check=True, env=alone, cwd=project, capture_output=True, text=True).stdout
    config = {section: dict(options) for section, options in json.loads(said)}
    assert Path(config["platformio"]["src_dir"]).joinpath("SelfTest.ino").is_file()
    assert {"env:uno", "env:esp32cam", "env:esp32-s3-eye", "env:nano33ble", "env:pico"} <= set(config)


def test_espressif_packs_the_component(small_projects: Path, tool: Tool, tmp_path: Path) -> None:
    compote = tool("compote", "idf-component-manager")
    component = shutil.copytree(small_projects / "esp-idf" / "small", tmp_path / "small")
    subprocess.run([compote, "component", "pack", "--name", "small"], check=True, cwd=component)
    (packed,) = (component / "dist").glob("small_*.tgz")
    with tarfile.open(packed) as archive:
        names = {name.removeprefix("./") for name in archive.getnames()}
    assert {"idf_component.yml", "CMakeLists.txt", "src/model.c", "examples/Camera/main/idf_component.yml"} <= names
    read = (
        "import sys; from idf_component_tools.manager import ManifestManager as M\n"
        "print(*[(d.name, d.version_spec) for d in M(sys.argv[1], 'main').load().requirements])"
    )
    python = Path(os.path.realpath(compote.parent)) / "python"
    example = component / "examples" / "Camera" / "main"
    said = subprocess.run([python, "-c", read, example], check=True, capture_output=True, text=True).stdout
    assert "espressif/esp32-camera" in said


def test_zephyr_s_kconfig_takes_the_module(small_projects: Path, tool: Tool) -> None:
    python = tool("python", "kconfiglib")
    module = small_projects / "zephyr" / "small"
    read = (
        "import sys, kconfiglib\n"
        "read = kconfiglib.Kconfig(sys.argv[1], warn_to_stderr=False)\n"
        "print(read.load_config(sys.argv[2])); print(read.syms['SMALL'].str_value, read.warnings)"
    )
    for example in ("SelfTest", "Serial"):
        files = (module / "Kconfig", module / "samples" / example / "prj.conf")
        said = subprocess.run([python, "-c", read, *files], check=True, capture_output=True, text=True).stdout
        assert "\ny [" in said


MODULE = """
import sys, yaml, pykwalify.core
text, names = {"type": "str"}, {"type": "seq", "sequence": [{"type": "str"}]}
build = {"type": "map", "mapping": {"cmake": text, "kconfig": text, "depends": names}}
keys = {"name": text, "build": build, "tests": names, "samples": names, "boards": names}
with open(sys.argv[1]) as file:
    pykwalify.core.Core(source_data=yaml.safe_load(file), schema_data={"type": "map", "mapping": keys}).validate()
"""


def test_the_module_has_the_keys_that_zephyr_knows(small_projects: Path, tool: Tool) -> None:
    """Zephyr checks `module.yml` by pykwalify, which comes with west; the keys are those of its documentation."""
    west, module = tool("west", "west"), small_projects / "zephyr" / "small"
    python = Path(os.path.realpath(west.parent)) / "python"
    subprocess.run([python, "-c", MODULE, module / "zephyr" / "module.yml"], check=True)
    for file in ("CMakeLists.txt", "Kconfig", "samples/SelfTest/sample.yaml"):
        assert (module / file).is_file()
