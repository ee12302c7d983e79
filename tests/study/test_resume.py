"""A study that was killed at any moment and started again ends with the same bits."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from niwaki.study.plan import Stage
from niwaki.study.stages import Task
from niwaki.study.workers.processes import ProcessWorkers, _signals_held_back
from tests.study.conftest import Niwaki, command, contents, environment


def test_a_second_run_trains_nothing(niwaki: Niwaki, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "out", tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "stages").rglob("*.safetensors")}
    again = niwaki("study", "run", finished / "small.toml", "--out", tmp_path / "out")
    assert "0 to run" in again.stderr
    assert "timing" not in again.stderr
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())


def kill_and_resume(study: Path, out: Path, cache: Path, *, jobs: int, whole_group: bool, kills: int) -> set[Path]:
    """Start the study again and again, and kill it with SIGKILL at random moments of its work.

    A study that comes to its end before it is killed is left, and the next one begun in another folder.
    Returns all folders.
    """
    moments = random.Random(f"{jobs}{whole_group}")
    folders = {out / "0"}
    while kills:
        folder = out / str(len(folders) - 1)
        process = subprocess.Popen(
            command("study", "run", study, "--jobs", jobs, "--out", folder),
            env=environment(cache), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        workers = wait_for_workers(process, jobs)
        time.sleep(moments.uniform(0, 4))
        if process.poll() is not None:
            folders.add(out / str(len(folders)))
            continue
        kills -= 1
        if whole_group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        deadline = time.monotonic() + 10
        while any(alive(pid) for pid in workers):
            assert time.monotonic() < deadline, f"orphaned workers: {workers}"
            time.sleep(0.01)
    return folders


def wait_for_workers(process: subprocess.Popen, jobs: int) -> list[int]:
    """The pids of the workers, once all have started (or the driver has ended)."""
    while process.poll() is None:
        found = [pid for pid in children(process.pid) if "spawn_main" in command_line(pid)]
        if len(found) >= jobs:
            return found
        time.sleep(0.01)
    return []


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="watches processes through /proc (Linux)")


@needs_proc
@pytest.mark.parametrize(
    ("jobs", "whole_group", "kills", "int8"),
    [
        (2, False, 2, False),
        pytest.param(1, True, 2, True, marks=pytest.mark.soak),
        *(pytest.param(jobs, group, 13, True, marks=pytest.mark.soak) for jobs in (1, 2) for group in (False, True)),
    ],
)
def test_killed_and_resumed(
    undisturbed: dict[str, str], undisturbed_int8: dict[str, str], small_study: Path, int8_study: Path, tmp_path: Path,
    cache: Path, niwaki: Niwaki, jobs: int, whole_group: bool, kills: int, int8: bool,
) -> None:  # fmt: skip
    """In the long form 52 kills: the driver alone and the whole group, with one worker and with two."""
    study, expected = (int8_study, undisturbed_int8) if int8 else (small_study, undisturbed)
    folders = kill_and_resume(study, tmp_path / "out", cache, jobs=jobs, whole_group=whole_group, kills=kills)
    for folder in folders:
        niwaki("study", "run", study, "--jobs", jobs, "--out", folder)
        assert contents(folder) == expected


@needs_proc
def test_orphaned_workers_end_within_a_second(small_study: Path, tmp_path: Path, cache: Path) -> None:
    process = subprocess.Popen(
        command("study", "run", small_study, "--jobs", 2, "--out", tmp_path / "out"),
        env=environment(cache), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    workers = wait_for_workers(process, 2)
    assert len(workers) == 2
    process.kill()
    process.wait()
    time.sleep(1)
    assert not [pid for pid in workers if alive(pid)]


@needs_proc
def test_a_worker_is_deaf_to_ctrl_c_from_its_first_moment(small_npz: Path) -> None:
    """Also while it still starts, before it can ignore the signal by itself."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    workers = ProcessWorkers(small_npz, 1)
    task = Task(Stage("key", "train", {}, None, 0, 0, 0, "a stage that fails"), None, "", {})
    outcome = workers.submit(task)
    try:
        (worker,) = workers._pool._processes
        assert blocked(worker, signal.SIGINT)
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before  # the driver hears it as before
        assert outcome.exception() is not None
    finally:
        workers.close()


@needs_proc
def test_ctrl_c_waits_until_workers_are_started() -> None:
    """Also where another thread of the driver takes the signal: half-started workers would say so in a traceback."""
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    started = []

    def start() -> None:
        with _signals_held_back():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)  # long enough for a handler to run
            started.append(True)

    other.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            start()
    finally:
        end.set()
        other.join()
    assert started


def blocked(process: int, number: int) -> bool:
    status = Path(f"/proc/{process}/status").read_text()
    (mask,) = (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigBlk"))
    return bool(mask >> (number - 1) & 1)


@needs_proc
@pytest.mark.parametrize(
    ("number", "whole_group", "code"),
    [
        (signal.SIGINT, True, 130),  # as a terminal does
        (signal.SIGTERM, False, 143),
        pytest.param(signal.SIGHUP, True, 129, marks=pytest.mark.soak),  # as a terminal that is closed does
        pytest.param(signal.SIGTERM, True, 143, marks=pytest.mark.soak),
        pytest.param(signal.SIGHUP, False, 129, marks=pytest.mark.soak),
    ],
)
def test_a_signal_ends_a_run_cleanly_and_says_how_to_go_on(
    small_study: Path, tmp_path: Path, cache: Path, niwaki: Niwaki, undisturbed: dict[str, str],
    number: signal.Signals, whole_group: bool, code: int,
) -> None:  # fmt: skip
    again = command("study", "run", small_study, "--jobs", 2, "--out", tmp_path / "out")
    process = subprocess.Popen(
        again, env=environment(cache), start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    workers = wait_for_workers(process, 2)
    (os.killpg if whole_group else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert f" stored in {tmp_path / 'out'}; unfinished ones start over. To resume: " in errors
    assert errors.endswith(f"-m niwaki {shlex.join(again[3:])}\n")
    assert "Traceback" not in errors
    assert "resource_tracker" not in errors
    assert not [pid for pid in workers if alive(pid)]
    if number == signal.SIGINT:
        niwaki("study", "run", small_study, "--jobs", 2, "--out", tmp_path / "out")
        assert contents(tmp_path / "out") == undisturbed
