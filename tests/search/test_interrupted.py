"""A search that is killed, stopped by a full disk or run on two nodes ends with the same front and the same bits."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.study.conftest import command, contents, environment

from niwaki.cli.entry import run

KILLS = 20


def options(data: Path, space: Path, out: Path) -> list[str]:
    return [
        "compress", "lenet5", "--data", str(data), "--space", str(space), "--fit", "constants<=2KB", "--trials", "6",
        "--seeds", "2", "--out", str(out), "--json",
    ]  # fmt: skip


def found_in(folder: Path) -> tuple[object, ...]:
    """What must not depend on what happened on the way."""
    known = json.loads((folder / "search.json").read_text())
    result = json.loads((folder / "result.json").read_text())
    kept = {name: result[name] for name in ("chosen", "runner_up", "front", "binding", "tried", "verified")}
    return contents(folder), known["tried"], known["plan"], kept, (folder / "front.csv").read_text()


@pytest.fixture(scope="module")
def undisturbed(small_npz: Path, space: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    folder = tmp_path_factory.mktemp("undisturbed") / "found"
    assert run([*options(small_npz, space, folder), "--jobs", "1"]) == 0
    return found_in(folder)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_at_random_moments(
    small_npz: Path, space: Path, undisturbed: tuple[object, ...], tmp_path: Path, jobs: int
) -> None:
    """With SIGKILL, the whole group or the driver alone. A search that ends before is left, and another one begun."""
    moments = random.Random(jobs)
    folders = [tmp_path / "0"]
    kills = 0
    while kills < KILLS:
        process = subprocess.Popen(
            [*command(*options(small_npz, space, folders[-1])), "--jobs", str(jobs)], env=environment(tmp_path),
            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        patience = time.monotonic() + 120
        while not (folders[-1] / ".driver.json").exists() and process.poll() is None and time.monotonic() < patience:
            time.sleep(0.05)
        time.sleep(moments.uniform(0, 12))
        if process.poll() is not None:
            folders.append(tmp_path / str(len(folders)))
            continue
        kills += 1
        if moments.random() < 0.5:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        time.sleep(1)  # orphaned workers end
    for folder in folders:
        assert run([*options(small_npz, space, folder), "--jobs", str(jobs)]) == 0
        assert found_in(folder) == undisturbed


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_on_two_nodes(small_npz: Path, space: Path, undisturbed: tuple[object, ...], tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="needs Ray: pip install ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    try:
        assert run([*options(small_npz, space, tmp_path / "there"), "--ray", cluster.address]) == 0
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert found_in(tmp_path / "there") == undisturbed


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_full_disk_is_one_line_and_loses_nothing(
    small_npz: Path, space: Path, undisturbed: tuple[object, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    tmpfs = ["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(disk)]
    if subprocess.run(tmpfs, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs (root)")
    try:
        command_line = [*options(small_npz, space, disk / "found"), "--jobs", "1"]
        assert run(command_line) == 2
        (line,) = (line for line in capsys.readouterr().err.splitlines() if "cannot be written" in line)
        assert "No space left on device; free some space and run the same command again: what is stored is kept" in line
        kept = contents(disk / "found")
        assert kept
        assert not list(disk.rglob("*.tmp"))
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        assert run(command_line) == 0
        assert found_in(disk / "found") == undisturbed
        assert {path for path in kept if path.endswith("record.json")} <= set(contents(disk / "found"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
