"""The loop, with a source whose frames and losses the test decides."""

import json
import sys

import numpy as np
import pytest

from device.film import FPS, HEIGHT, WIDTH, Table
from niwaki.device.errors import DeviceError
from niwaki.device.loop import Controls, Loop, Told
from niwaki.device.pipeline import Pipeline, Times
from niwaki.device.record import Recorder
from niwaki.device.replay import replay
from niwaki.device.report import Report
from niwaki.device.sources import Frame, Source
from niwaki.device.speech import Speaker
from niwaki.device.stopping import Stopping


class Script(Source):
    """Gives frames; what stands between them is called: a loss, a button that is pressed."""

    def __init__(self, script):
        self.script = iter(script)
        self.width, self.height = WIDTH, HEIGHT
        self.number = 0

    def read(self, _timeout_s):
        for what in self.script:
            if callable(what):
                what()
                continue
            self.height, self.width = what.shape
            self.number += 1
            return Frame(what.tobytes(), self.number, self.number / FPS)
        return None


class Runner:
    """A loop with its parts; `run(script)` gives the words that were spoken."""

    def __init__(self, network, learn, capsys, calls):
        self.network, self.learn, self.capsys, self.calls = network, learn, capsys, calls
        self.controls, self.snapshots = Controls(), []
        self.loop = None

    def run(self, *script, limit=None, as_json=False, record=None):
        flat = [part for parts in script for part in (parts if isinstance(parts, list) else [parts])]
        pipeline = Pipeline(self.network, WIDTH, HEIGHT)
        report = Report(as_json)
        speaker = Speaker(self.network.bundle, "en", pytest.fail, quiet=True)
        with Stopping() as stopping:
            recorder = Recorder(record, pipeline, 10**9) if record else None
            told = Told(report, speaker, recorder, self.snapshots.append)
            self.loop = Loop(Script(flat), pipeline, told, stopping, controls=self.controls, learn=self.learn)
            self.loop.run(limit)
        out, self.notices = self.capsys.readouterr()
        return out.splitlines()

    def lose(self):
        self.loop.camera_state("camera lost: unplugged; waiting", True)
        self.loop.pause(0.01)
        self.loop.camera_state("camera back", False)


@pytest.fixture
def runner(network, capsys, calls):
    return Runner(network, 5, capsys, calls)


@pytest.fixture
def table():
    return Table()


def test_words_of_a_film(runner, table, garments):
    coat, boot, bag = (garments.image(name) for name in ("Coat", "Ankle boot", "Bag"))
    words = runner.run(
        table.empty(30), table.shows(coat, 40), table.empty(1), table.shows(coat, 20), table.empty(20),
        table.shows(boot, 40, -1), table.shows(bag, 60), table.empty(30),
    )  # fmt: skip
    assert words == ["coat", "ankle boot", "bag"]
    assert runner.notices == "niwaki: the empty scene is learned\n"
    assert runner.loop.frames == 241


def test_an_empty_scene_is_silent(runner, table):
    assert runner.run(table.empty(120)) == []
    assert {s.decision.state for s in runner.snapshots} == {"empty"}


def test_a_film_that_names_nothing_says_so(runner, table, garments):
    coat = garments.image("Coat")
    assert runner.run(table.empty(5), table.shows(coat, 3)) == []
    assert runner.notices.splitlines()[-1] == (
        "niwaki: the film ended after 8 frames, and nothing was named: a thing is named once it was seen for 0.6 s"
    )
    assert runner.run(table.empty(1)) == []
    assert runner.notices == (
        "niwaki: the film ended after 1 frame, and nothing was named: all were taken for the empty scene, which is "
        "learned first (--learn N, --no-learn)\n"
    )
    runner.run(table.empty(30), limit=30)  # as many as were asked for
    assert "ended" not in runner.notices


def test_json_events(runner, table, garments):
    coat = garments.image("Coat")
    lines = runner.run(table.empty(5), table.shows(coat, 30), as_json=True)
    learned, word = map(json.loads, lines)
    assert learned == {"event": "learned", "message": "the empty scene is learned"}
    assert word.pop("energy") <= runner.network.bundle.rule.energy
    assert word == {
        "event": "word", "word": "coat", "language": "en", "class": "Coat", "index": 4, "number": 24,
        "time_s": round(24 / FPS, 6),
    }  # fmt: skip


def test_without_learning(network, capsys, calls, table, garments):
    runner = Runner(network, 0, capsys, calls)
    assert runner.run(table.shows(garments.image("Bag"), 40)) == ["bag"]
    assert {s.finding.used_scene for s in runner.snapshots} == {False}
    assert runner.notices == ""


def test_what_the_view_is_told(runner, table, garments):
    coat = garments.image("Coat")
    runner.run(table.empty(6), table.shows(coat, 40))
    states = [snapshot.source_state for snapshot in runner.snapshots]
    assert states == ["learning"] * 4 + ["running"] * 42  # the fifth frame completes it
    last = runner.snapshots[-1]
    assert (last.width, last.height, len(last.pixels)) == (WIDTH, HEIGHT, WIDTH * HEIGHT)
    assert (last.finding.outcome, last.finding.used_scene) == ("found", True)
    assert last.picture == last.finding.picture
    assert len(last.picture) == 28 * 28
    assert np.argmax(last.logits) == last.decision.class_index == 4
    assert last.fps > 0
    assert last.inference_us > 0
    assert last.vision_us > 0
    assert [s.decision.speak for s in runner.snapshots if s.decision.speak is not None] == [4]
    assert runner.snapshots[0].finding.outcome == "nothing"
    assert runner.snapshots[0].logits is None


def test_a_lost_camera_keeps_the_scene_and_what_was_said(runner, table, garments):
    coat, bag = garments.image("Coat"), garments.image("Bag")
    words = runner.run(table.empty(5), table.shows(coat, 40), runner.lose, table.shows(coat, 40), table.shows(bag, 60))
    assert words == ["coat", "bag"]
    assert "camera lost: unplugged; waiting\nniwaki: camera back\n" in runner.notices
    assert all(snapshot.finding.used_scene for snapshot in runner.snapshots[6:])
    assert [s.source_state for s in runner.snapshots].count("waiting") == 1
    waiting = next(s for s in runner.snapshots if s.source_state == "waiting")
    assert (waiting.fps, waiting.decision.speak) == (0.0, None)


def test_a_camera_lost_while_the_scene_is_learned_begins_anew(runner, table):
    runner.run(table.empty(3), runner.lose, table.empty(6))
    assert [s.source_state for s in runner.snapshots] == ["learning"] * 3 + ["waiting"] + ["learning"] * 4 + [
        "running"
    ] * 2


def test_a_camera_of_another_size_is_learned_anew(runner, table, garments):
    small = [frame[:96, :128].copy() for frame in table.empty(8)]
    coat = garments.image("Coat")
    assert runner.run(table.empty(5), table.shows(coat, 40), runner.lose, small, table.empty(5),
                      table.shows(garments.image("Bag"), 40)) == ["coat", "bag"]  # fmt: skip
    assert "frames are 128 x 96 now\n" in runner.notices
    assert runner.notices.count("the empty scene is learned") == 3


def test_a_changing_picture_is_learned_again_and_said_once(runner, table, garments):
    hand = table.near(1)
    words = runner.run(
        table.empty(2), hand, table.empty(2), hand, table.empty(5), table.shows(garments.image("Coat"), 30)
    )
    assert words == ["coat"]
    assert runner.notices.splitlines() == [
        "niwaki: the picture changed while learning the empty scene: starting again",
        "niwaki: the empty scene is learned",
    ]


def test_a_picture_that_never_rests(runner, table, garments):
    noise = [np.random.default_rng(n).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8) for n in range(21)]
    assert runner.run(noise, table.shows(garments.image("Coat"), 40)) == ["coat"]
    assert "the picture never became still: garments are compared with the frame's border instead" in runner.notices
    assert not runner.snapshots[-1].finding.used_scene


def test_buttons(runner, table, garments):
    coat, bag, boot = (garments.image(name) for name in ("Coat", "Bag", "Ankle boot"))
    words = runner.run(
        table.empty(5), table.shows(coat, 40), lambda: runner.controls.language("ko"),
        lambda: runner.controls.language("xx"), table.shows(bag, 60), runner.controls.forget, table.shows(boot, 40),
        runner.controls.learn, table.empty(30), table.shows(boot, 40),
    )  # fmt: skip
    assert words == ["coat", "가방", "앵클 부츠", "앵클 부츠"]
    assert runner.snapshots[-1].language == "ko"
    assert [s.finding.used_scene for s in runner.snapshots[105:145]] == [False] * 40
    assert runner.snapshots[-1].finding.used_scene
    assert runner.notices.count("the empty scene is learned") == 2


def test_everything_that_happens_is_recorded(runner, table, garments, tmp_path):
    """Losses, another size, buttons: the replay decides the same, and speaks the same."""
    coat, bag = garments.image("Coat"), garments.image("Bag")
    small = [frame[:96, :128].copy() for frame in table.empty(10)]
    words = runner.run(
        table.empty(5), table.shows(coat, 40), runner.lose, table.shows(coat, 30), runner.controls.forget,
        table.shows(bag, 40), runner.controls.learn, table.empty(30), table.shows(coat, 10), runner.lose, small,
        table.empty(5), table.shows(bag, 30), record=tmp_path,
    )  # fmt: skip
    assert words == ["coat", "bag", "bag"]
    again = []
    done = replay(tmp_path, runner.network, notify=pytest.fail,
                  on_step=lambda _, step: step.decision.speak is None or again.append(step.decision.speak))  # fmt: skip
    assert (done.difference, done.parts, again) == (None, 3, [4, 8, 8])
    looked = sum(s.decision.reason != "learning" for s in runner.snapshots if s.source_state != "waiting")
    assert done.frames == looked


def test_more_wishes_than_can_be_kept_are_not_heard(runner, table):
    for _ in range(100):
        runner.controls.learn()
    assert runner.run(table.empty(3)) == []
    assert runner.controls.next() is None


def test_a_limit_of_frames(runner, table):
    runner.run(table.empty(30), limit=7)
    assert (runner.loop.frames, len(runner.snapshots)) == (7, 7)


def test_times_by_hand():
    times = Times()
    assert times.median_us == 0
    for microseconds in (5, 1, 9):
        times.add(microseconds / 1e6)
    assert times.median_us == pytest.approx(5)
    for _ in range(10_000):
        times.add(1.0)
    assert times.median_us == 1e6
    assert sys.getsizeof(times._last) < 2000


def test_frames_too_large_for_the_vision(runner):
    with pytest.raises(DeviceError, match="frames of 5000 x 16: niwaki takes 16 to 4096 pixels a side"):
        runner.run([np.zeros((16, 5000), np.uint8)])
