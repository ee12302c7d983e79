"""The wheel contains every file of the package, so an installed niwaki has every file that the code opens."""

from __future__ import annotations

import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

HOME = Path(__file__).parents[1]
PACKAGE = HOME / "src" / "niwaki"


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(HOME)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
    there = {path.relative_to(PACKAGE.parent).as_posix() for path in PACKAGE.rglob("*") if path.is_file()}
    assert names == {path for path in there if "__pycache__" not in path}
    data = {Path(name).suffix for name in names}
    assert {".py", ".c", ".h", ".in", ".j2", ".toml", ".js", ".css", ".typed", ".txt"} <= data
