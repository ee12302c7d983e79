"""Recordings: what is kept, what remains if something goes wrong, and that a replay makes the same decisions."""

import json
import os
import resource
import shutil
import signal
import subprocess
import tracemalloc
import zlib

import numpy as np
import pytest

from device.film import FPS, HEIGHT, WIDTH, Table
from device.small_bundle import redescribe
from niwaki.device.bundle import Bundle
from niwaki.device.errors import DeviceError
from niwaki.device.network import Network
from niwaki.device.pipeline import Pipeline
from niwaki.device.record import MEGABYTE, Recorder, frames_of, parts_of, sealed
from niwaki.device.replay import replay
from niwaki.device.sources import Frame

LARGE = 10**9


def record(network, folder, frames, *, limit=LARGE, events=None, learned=4, first=0):
    """Record frames, the first of which are learned; `events` by frame number. Returns (number, class) as spoken."""
    pipeline = Pipeline(network, WIDTH, HEIGHT)
    recorder, spoken = Recorder(folder, pipeline, limit), []
    for number, grey in enumerate(frames, first):
        frame = Frame(grey.tobytes(), number, number / FPS)
        for event in (events or {}).get(number, ()):
            if event == "lost":
                pipeline.decider.interrupt()
                recorder.interrupt()
            elif event == "forget":
                pipeline.forget()
                recorder.forget()
        if pipeline.resize(*grey.shape[::-1]):
            recorder.resize()
        if number - first < learned:
            pipeline.learn(frame.pixels, number == first)
            recorder.learn(frame, number == first)
        else:
            step = pipeline.look(frame.pixels, frame.time_s)
            recorder.look(frame, step)
            if step.decision.speak is not None:
                spoken.append((number, step.decision.speak))
    recorder.close()
    return spoken


def play(network, folder):
    """What a replay gives, what it speaks, what it says."""
    spoken, said = [], []
    done = replay(
        folder, network, notify=said.append,
        on_step=lambda frame, step: step.decision.speak is None or spoken.append((frame.number, step.decision.speak)),
    )  # fmt: skip
    return done, spoken, said


@pytest.fixture
def film(garments):
    table = Table()
    return [*table.empty(10), *table.shows(garments.image("Coat"), 40), *table.empty(20),
            *table.shows(garments.image("Bag"), 40, -1)]  # fmt: skip


def lines_of(part):
    """Without their checksums, which any JSON reader takes for an entry like the others."""
    lines = [json.loads(line) for line in part.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "crc"} for line in lines]


def rewrite(part, lines):
    part.write_bytes(b"".join(map(sealed, lines)))


def test_a_replay_decides_the_same(network, film, tmp_path):
    spoken = record(network, tmp_path / "kept", film, events={30: ["lost"], 80: ["lost", "forget"]})
    assert [word for _, word in spoken] == [4, 8]
    done, replayed, said = play(network, tmp_path / "kept")
    assert (done.frames, done.parts, done.difference) == (106, 1, None)
    assert replayed == spoken
    assert said == []


def test_what_is_kept(network, film, tmp_path):
    record(network, tmp_path, film)
    (part,) = parts_of(tmp_path)
    head, *lines = lines_of(part)
    assert (head["niwaki_recording"], head["name"], head["width"], head["height"]) == (1, "small", WIDTH, HEIGHT)
    assert [line["do"] for line in lines] == ["learn"] * 4 + ["look"] * 106
    ((at, size, checksum),) = lines[50]["frames"]
    blob = frames_of(part).read_bytes()[at : at + size]
    assert zlib.crc32(blob) == checksum
    assert zlib.decompress(blob) == film[50].tobytes()
    named = lines[40]
    assert (named["number"], named["time_s"], named["class"], named["reason"]) == (40, 40 / FPS, 4, "spoken")
    assert named["finding"][0] == "found"
    assert len(named["scores"]) == 10


def test_parts_can_be_replayed_by_themselves(network, film, tmp_path):
    spoken = record(network, tmp_path / "kept", film, limit=1_000_000)
    parts = parts_of(tmp_path / "kept")
    assert len(parts) >= 3
    words = []
    for number, part in enumerate(parts):
        alone = tmp_path / f"alone{number}"
        alone.mkdir()
        for path in (part, frames_of(part)):
            shutil.copy(path, alone)
        done, replayed, _ = play(network, alone)
        assert done.difference is None
        words += replayed
    assert words[-1] == spoken[-1]
    assert set(words) <= set(spoken)


def test_the_limit_removes_the_oldest(network, film, tmp_path):
    limit = 1_000_000
    record(network, tmp_path, film, limit=limit)
    parts = parts_of(tmp_path)
    assert parts[0].name != "part-000001.jsonl"
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert limit // 2 < size <= limit
    assert len(list(tmp_path.iterdir())) == 2 * len(parts)
    done, replayed, _ = play(network, tmp_path)
    assert done.difference is None
    assert [word for _, word in replayed][-1] == 8


def test_a_second_recording_is_added(network, film, tmp_path):
    first = record(network, tmp_path, film)
    second = record(network, tmp_path, film[:50], first=1000)
    assert [part.name for part in parts_of(tmp_path)] == ["part-000001.jsonl", "part-000002.jsonl"]
    done, replayed, _ = play(network, tmp_path)
    assert (done.difference, done.frames) == (None, 152)
    assert replayed == first + second


def test_another_size_begins_a_part(network, film, tmp_path):
    record(network, tmp_path, [*film[:20], *(frame[:64, :64].copy() for frame in film[:10])])
    sizes = [(head["width"], head["height"]) for head, *_ in map(lines_of, parts_of(tmp_path))]
    assert sizes == [(WIDTH, HEIGHT), (64, 64)]
    assert play(network, tmp_path)[0].difference is None


def test_the_first_difference_is_told(network, film, tmp_path):
    record(network, tmp_path, film)
    (part,) = parts_of(tmp_path)
    lines = lines_of(part)
    state = lines[60]["state"]
    for number in (60, 80):
        lines[number]["state"] = "asleep"
    rewrite(part, lines)
    done, *_ = play(network, tmp_path)
    assert done.difference == f'{part}: frame 59 at 1.967 s: state was "asleep", is "{state}"'
    assert done.frames == 56


def test_another_c_library_may_round_the_energy_differently(network, film, tmp_path):
    record(network, tmp_path, film)
    (part,) = parts_of(tmp_path)
    lines = lines_of(part)

    def shifted(by):
        for line in lines[1:]:
            if line.get("energy") is not None:
                line["energy"] = np.nextafter(line["energy"], 0) if by is None else line["energy"] + by
        rewrite(part, lines)
        return play(network, tmp_path)[0].difference

    assert shifted(None) is None
    assert "energy was" in shifted(1e-6)


@pytest.mark.parametrize("cut", ["line", "frame", "zeros"])
def test_a_torn_end_is_left_out(network, film, tmp_path, cut):
    """As after a power cut: what was whole before is replayed."""
    record(network, tmp_path, film)
    (part,) = parts_of(tmp_path)
    if cut == "frame":
        frames = frames_of(part)
        os.truncate(frames, frames.stat().st_size - 10)
    elif cut == "line":
        os.truncate(part, part.stat().st_size - 10)
    else:
        with part.open("r+b") as file:
            file.seek(-200, os.SEEK_END)
            file.write(bytes(200))
    done, _, said = play(network, tmp_path)
    assert (done.difference, done.frames) == (None, 105)
    (line,) = said
    assert line.startswith(f"{part}: line 111 is damaged (")
    assert line.endswith("): the rest of this part is left out")


def refusal(network, folder):
    with pytest.raises(DeviceError) as caught:
        play(network, folder)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_recordings_that_cannot_be_replayed(network, film, tmp_path):
    assert refusal(network, tmp_path / "none").endswith("none: No such file or directory")
    assert "there is no recording in it (part-000001.jsonl)" in refusal(network, tmp_path)
    record(network, tmp_path, film[:10])
    (part,) = parts_of(tmp_path)
    whole = part.read_bytes()
    head = lines_of(part)[0]
    for damaged in (b"", b"{}\n", sealed({"frames": []}), sealed({"niwaki_recording": 2, "frames": []}),
                    sealed({**head, "model_sha256": 3}), whole[:10] + b"0" + whole[11:]):  # fmt: skip
        part.write_bytes(damaged)
        assert "part-000001.jsonl: is not a readable recording: " in refusal(network, tmp_path)
    rewrite(part, [{**head, "decider": {}}])
    assert "is not a readable recording: KeyError('window')" in refusal(network, tmp_path)
    part.write_bytes(whole)
    frames_of(part).unlink()
    assert refusal(network, tmp_path).endswith("part-000001.frames: No such file or directory")


@pytest.mark.parametrize("lost", ["lines", "frames", "content"])
def test_a_part_that_a_power_cut_took(network, film, tmp_path, lost):
    """It is left out; recording goes on after it, and it is removed like any other when its time has come."""
    record(network, tmp_path, film[:10])
    (part,) = parts_of(tmp_path)
    if lost == "content":
        part.write_bytes(b"")
        frames_of(part).write_bytes(b"")
    else:
        {"lines": part, "frames": frames_of(part)}[lost].unlink()
    second = record(network, tmp_path, film)
    done, replayed, said = play(network, tmp_path)
    assert (done.difference, done.parts, replayed) == (None, 1, second)
    assert [line.endswith("left out") for line in said] == [True] * (lost != "lines")
    record(network, tmp_path, film, limit=1_000_000)
    assert part.name not in {path.name for path in tmp_path.iterdir()}


def test_a_recording_of_another_model(film, changed_bundle, network, tmp_path):
    record(network, tmp_path / "kept", film[:10])
    redescribe(changed_bundle, lambda description: description.update(model_sha256="0" * 64, name="other"))
    message = refusal(Network(Bundle.open(changed_bundle)), tmp_path / "kept")
    assert "was recorded with model small (" in message
    assert message.endswith("this bundle has other (000000000000): replay it with that bundle")


def test_frames_of_a_wrong_size_are_damage(network, film, tmp_path):
    record(network, tmp_path, film[:10])
    (part,) = parts_of(tmp_path)
    head, *lines = lines_of(part)
    rewrite(part, [{**head, "height": HEIGHT - 1}, *lines])
    assert "line 2 is damaged (a frame of another size)" in play(network, tmp_path)[2][0]


def test_a_frame_takes_no_more_memory_than_its_size(network, film, tmp_path):
    """Zeros are packed a thousand times smaller."""
    record(network, tmp_path, film[:10])
    (part,) = parts_of(tmp_path)
    bomb = zlib.compress(bytes(50 * MEGABYTE))
    frames_of(part).write_bytes(bomb)
    head, *lines = lines_of(part)
    lines[0]["frames"] = [[0, len(bomb), zlib.crc32(bomb)]]
    rewrite(part, [head, *lines])
    tracemalloc.start()
    assert "line 2 is damaged (a frame of another size)" in play(network, tmp_path)[2][0]
    assert tracemalloc.get_traced_memory()[1] < 10 * MEGABYTE
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        (7, "more than 1 frames"),
        ([[0, 1, 0]] * 2, "more than 1 frames"),
        ([[0, 1]], "a frame without a position"),
        ([["0", 1, 0]], "a frame without a position"),
        ([[-1, 1, 0]], "a frame of 1 bytes at -1"),
        ([[1 << 70, 1, 0]], "a frame of 1 bytes at 1180591620717411303424"),
        ([[0, 10**15, 0]], "a frame of 1000000000000000 bytes at 0"),
        ([[0, 10**7, 0]], "its frame is incomplete"),
        ([], "0 frames"),
    ],
)
def test_frames_that_lie_nowhere_are_damage(network, film, tmp_path, frames, why):
    record(network, tmp_path, film[:10])
    (part,) = parts_of(tmp_path)
    head, *lines = lines_of(part)
    rewrite(part, [head, {**lines[0], "frames": frames}])
    assert f"line 2 is damaged ({why}): the rest" in play(network, tmp_path)[2][0]
    rewrite(part, [{**head, "frames": frames and [frames[0]] * 300 if isinstance(frames, list) else frames}, *lines])
    assert frames == [] or "is not a readable recording: ValueError" in refusal(network, tmp_path)


@pytest.mark.parametrize("change", [{"width": 10**9}, {"width": -3}, {"width": 3.5}, {"height": True}, {"height": "7"}])
def test_sizes_that_no_camera_has(network, film, tmp_path, change):
    record(network, tmp_path, film[:10])
    (part,) = parts_of(tmp_path)
    head, *lines = lines_of(part)
    rewrite(part, [{**head, **change}, *lines])
    ((name, value),) = change.items()
    assert f"is not a readable recording: ValueError({f'{name} {value!r}'!r})" in refusal(network, tmp_path)


@pytest.mark.parametrize(("index", "change"), [(0, {"anew": 1}), (5, {"time_s": "x"}), (5, {"number": None})])
def test_lines_of_other_types_are_damage(network, film, tmp_path, index, change):
    record(network, tmp_path, film[:10])
    (part,) = parts_of(tmp_path)
    head, *lines = lines_of(part)
    lines[index] |= change
    rewrite(part, [head, *lines])
    ((name, value),) = change.items()
    said = play(network, tmp_path)[2][0]
    assert f"line {index + 2} is damaged (" in said
    assert f"{name} {'is ' * (index == 0)}{value!r}" in said


@pytest.mark.parametrize("bytes_left", [200, 10_000, 400_000])
def test_a_full_disk(run_runner, network, film, tmp_path, bytes_left):
    """The limit of a file's size stands for the disk's: a write comes back short, the next one fails."""
    path = tmp_path / "film.y4m"
    path.write_bytes(b"YUV4MPEG2 W192 H128 F30:1 Cmono\n" + b"".join(b"FRAME\n" + f.tobytes() for f in film))
    limit = (bytes_left, bytes_left)
    done = run_runner(
        "--source", f"file:{path}", "--record", tmp_path / "kept", "--quiet", "--learn", "4",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )  # fmt: skip
    assert done.returncode == 4
    why = "File too large: make room or choose another folder; what was recorded is complete"
    assert done.stderr.splitlines()[-1] == f"niwaki: --record {tmp_path}/kept: cannot be written: {why}"
    if bytes_left < 50_000:  # not one frame had room
        assert list((tmp_path / "kept").iterdir()) == []
        return
    replayed, _, said = play(network, tmp_path / "kept")
    assert (replayed.difference, said) == (None, [])
    assert replayed.frames > 5


def test_a_disk_that_is_full(run_runner, film, network, tmp_path):
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root, to mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        path = tmp_path / "film.y4m"
        path.write_bytes(b"YUV4MPEG2 W192 H128 F30:1 Cmono\n" + b"".join(b"FRAME\n" + f.tobytes() for f in film))
        done = run_runner("--source", f"file:{path}", "--record", disk / "kept", "--quiet")
        assert done.returncode == 4
        assert "cannot be written: No space left on device: make room" in done.stderr.splitlines()[-1]
        replayed, _, said = play(network, disk / "kept")
        assert (replayed.difference, said) == (None, [])
        assert replayed.frames > 5
    finally:
        subprocess.run(["umount", disk], check=True)


def test_parts_hold_more_than_what_was_learned(network, film, tmp_path):
    """However much that is: a part does not end as soon as it begins."""
    record(network, tmp_path, film, limit=1_200_000, learned=25)
    last = parts_of(tmp_path)[-1]
    assert sum(size for _, size, _ in lines_of(last)[0]["frames"]) > 1_200_000 // 4
    assert int(last.stem.split("-")[1]) < len(film) // 10  # parts so far
    assert play(network, tmp_path)[0].difference is None


def test_no_more_is_kept_of_the_empty_scene_than_counts(network, tmp_path):
    noise = np.random.default_rng(0).integers(0, 30, (500, 16, 16), dtype=np.uint8)
    record(network, tmp_path, noise, limit=120_000, learned=450)
    counts = [len(lines_of(part)[0]["frames"]) for part in parts_of(tmp_path)]
    assert max(counts) == 256
    assert play(network, tmp_path)[0].difference is None


def test_a_limit_that_is_too_small(network, tmp_path, run_runner, film):
    pipeline = Pipeline(network, 640, 480)
    for learned, least in ((15, 20), (0, 2), (2000, 316)):
        why = f"too little for frames of 640 x 480, {min(learned, 256)} of them learned: give {least} or more"
        with pytest.raises(DeviceError, match=f"^--record-limit {least - 1}: {why}$") as caught:
            Recorder(tmp_path / "kept", pipeline, (least - 1) * MEGABYTE, learned)
        assert caught.value.exit_code == 2
        Recorder(tmp_path / "kept", pipeline, least * MEGABYTE, learned)
    path = tmp_path / "film.y4m"
    path.write_bytes(b"YUV4MPEG2 W192 H128 F30:1 Cmono\n" + b"".join(b"FRAME\n" + f.tobytes() for f in film[:20]))
    done = run_runner("--source", f"file:{path}", "--record", tmp_path / "kept", "--record-limit", "1", "--quiet")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2, "niwaki: --record-limit 1: too little for frames of 192 x 128, 15 of them learned: give 2 or more",
    )  # fmt: skip


def test_a_folder_that_cannot_be_made(network, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="--record .*file/kept: cannot be written: Not a directory") as caught:
        Recorder(tmp_path / "file" / "kept", Pipeline(network, WIDTH, HEIGHT), LARGE)
    assert caught.value.exit_code == 4


def test_a_folder_that_goes_away(network, film, tmp_path):
    pipeline = Pipeline(network, WIDTH, HEIGHT)
    recorder = Recorder(tmp_path / "kept", pipeline, LARGE)
    (tmp_path / "kept").rmdir()
    with pytest.raises(DeviceError, match="cannot be written: No such file or directory") as caught:
        recorder.learn(Frame(film[0].tobytes(), 0, 0.0), True)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_a_whole_recording(start_runner, network, film, tmp_path, number, code):
    arguments = ("--source", f"pipe:-?width={WIDTH}&height={HEIGHT}", "--record", tmp_path / "kept", "--learn", "4")
    with start_runner(*arguments, stdin=subprocess.PIPE) as process:
        process.stdin.buffer.write(b"".join(frame.tobytes() for frame in film[:40]))
        process.stdin.buffer.flush()
        assert process.stdout.readline() == "coat\n"  # said as soon as its frame was decided, while it waits for more
        process.send_signal(number)
        assert process.wait(30) == code
    done, spoken, said = play(network, tmp_path / "kept")
    assert (done.difference, said, [word for _, word in spoken]) == (None, [], [4])


def test_a_link_among_the_parts_is_not_followed(network, tmp_path, film):
    record(network, tmp_path / "r", film[:12])
    (part,) = parts_of(tmp_path / "r")
    frames = frames_of(part)
    frames.rename(tmp_path / "outside")
    frames.symlink_to(tmp_path / "outside")
    with pytest.raises(DeviceError, match="part-000001.frames: is a link or no file: copy the recording itself"):
        play(network, tmp_path / "r")
    part.unlink()
    before = (tmp_path / "outside").read_bytes()
    with pytest.raises(DeviceError, match="--record .*: cannot be written"):
        record(network, tmp_path / "r", film[:12])
    assert (tmp_path / "outside").read_bytes() == before
