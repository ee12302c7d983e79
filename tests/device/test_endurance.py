"""An hour of work in a minute: memory stays constant, and the words come at the same moments in every round."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from device.film import FPS, Table

WIDTH, HEIGHT = 96, 72
HOUR = 60 * 60 * FPS
ROUND = 300  # frames: ten seconds
GROWTH_KIB = 1024  # what an allocator may differ by; a single frame kept per second would be ten times that in an hour


@pytest.fixture
def frames(garments):
    """A round: empty, a coat, a boot, empty, a bag, empty."""
    table = Table(WIDTH, HEIGHT, times=2, noise=0)  # without noise an hour takes little room
    coat, boot, bag = (garments.image(name) for name in ("Coat", "Ankle boot", "Bag"))
    made = [*table.empty(40), *table.shows(coat, 60), *table.shows(boot, 60, -1), *table.empty(40),
            *table.shows(bag, 60), *table.empty(40)]  # fmt: skip
    assert len(made) == ROUND
    return np.stack(made)


def resident_kib(pid):
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(fields["VmRSS"].split()[0])


@pytest.mark.parametrize("count", [10 * ROUND, pytest.param(HOUR, marks=pytest.mark.soak)])
def test_an_hour(start_runner, frames, tmp_path, count):
    """Watched and recorded as fast as it goes, then replayed."""
    source = f"pipe:-?width={WIDTH}&height={HEIGHT}&fps={FPS}"
    arguments = ("--source", source, "--record", tmp_path / "kept", "--json", "--quiet")
    memory, data = [], frames.tobytes()
    with (tmp_path / "events").open("w") as events, start_runner(
        *arguments, stdin=subprocess.PIPE, stdout=events
    ) as process:  # fmt: skip
        for _ in range(count // ROUND):
            process.stdin.buffer.write(data)
            memory.append(resident_kib(process.pid))
        process.stdin.close()
        assert process.wait(120) == 0, process.stderr.read()
    check_memory(memory)
    check_words((tmp_path / "events").read_text().splitlines(), count // ROUND)
    check_replay(start_runner, tmp_path, count)


def check_memory(memory):
    """From the third round on, when every buffer has its size."""
    assert max(memory[2:]) - memory[2] < GROWTH_KIB, memory


def check_words(lines, rounds):
    words = [event for event in map(json.loads, lines) if event["event"] == "word"]
    assert [word["word"] for word in words] == ["coat", "ankle boot", "bag"] * rounds
    moments = [word["number"] % ROUND for word in words]
    assert moments == moments[:3] * rounds
    coat, boot, bag = moments[:3]
    assert coat - 40 == bag - 200 == 18  # 0.6 s
    assert 18 < boot - 100 < 50  # the coat's scores leave the mean first


def check_replay(start_runner, folder, count):
    memory = []
    with start_runner("--replay", folder / "kept", "--json") as process:
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "word":
                memory.append(resident_kib(process.pid))
    assert event == {"event": "same", "message": f"{count - 15} frames, every decision as it was recorded",
                     "frames": count - 15}  # fmt: skip
    check_memory(memory[::3])
