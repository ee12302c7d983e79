"""The next process removes what a killed process was writing, but not what a running one writes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from niwaki.files import sweep_files, whole_file, write_whole
from niwaki.folders import temporary
from niwaki.study.store import Store

WRITER = """
import sys
from pathlib import Path
from niwaki.files import whole_file
from niwaki.folders import staging, temporary
place = Path(sys.argv[1])
with whole_file(place / "record.json") as file, staging(place) as work, temporary("test") as other:
    file.write(b"half")
    print(work, other, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A process that writes into `tmp_path` until it is killed, and the folders that it has made."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process, [Path(name) for name in process.stdout.readline().split()]
    process.kill()
    process.communicate()


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name.split(".")[1] for path in folder.glob(".*.tmp"))


def test_only_what_dead_processes_left_is_swept(writer, tmp_path: Path) -> None:
    process, folders = writer
    write_whole(tmp_path / "record.json", b"whole")
    sweep_files(tmp_path)
    with temporary("test"), Store(tmp_path).driver():
        pass
    assert leftovers(tmp_path) == ["record"]
    assert all(folder.is_dir() for folder in folders)

    process.kill()
    process.wait()
    write_whole(tmp_path / "other.json", b"")  # sweeps its own name only
    assert leftovers(tmp_path) == ["record"]
    write_whole(tmp_path / "record.json", b"whole again")
    assert leftovers(tmp_path) == []
    (tmp_path / ".record.json.0a1b2c3d.tmp").write_bytes(b"of an earlier version")
    (tmp_path / "stages" / "k").mkdir(parents=True)
    (tmp_path / "stages" / "k" / ".model.onnx.abc.tmp").write_bytes(b"")
    with temporary("test") as mine, Store(tmp_path).driver():
        assert Path(mine).is_dir()
    assert leftovers(tmp_path) == leftovers(tmp_path / "stages" / "k") == []
    assert not any(folder.exists() for folder in (*folders, Path(mine)))
    assert (tmp_path / "record.json").read_bytes() == b"whole again"


def test_long_names_and_links(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"kept")
    (tmp_path / ".a.b.tmp").symlink_to(tmp_path / "target")
    name = "가" * 80 + ".json"  # 245 bytes
    write_whole(tmp_path / name, b"x")
    with whole_file(tmp_path / name) as file:
        file.write(b"y")
        sweep_files(tmp_path)  # in one process too
    assert (tmp_path / name).read_bytes() == b"y"
    sweep_files(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "target", ".a.b.tmp"])
