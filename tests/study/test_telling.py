"""Workers tell of epochs while they train, and hold nothing up if nobody listens."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from niwaki.callbacks.events import Callbacks, Done, EpochEnd, StageEnd
from niwaki.study.letterbox import Letterbox
from niwaki.study.listener import Announcer, Silent
from niwaki.study.plan import Stage
from niwaki.study.run import RunOptions, run_study
from niwaki.study.scheduler import _Epochs
from niwaki.study.spec import parse_spec
from niwaki.study.telling import EpochTold, Listening, Speaker
from small_study import HEAD

TINY = HEAD.replace("steps = 2", "steps = 1") + '[[experiment]]\nname = "ratio"\nset = {{ "prune.ratio" = 0.5 }}\n'


def listening() -> tuple[Listening, Speaker, list[EpochTold], threading.Event]:
    heard: list[EpochTold] = []
    came = threading.Event()
    ears = Listening(*multiprocessing.get_context("spawn").Pipe(duplex=False))
    ears.to(lambda epoch: (heard.append(epoch), came.set()))  # type: ignore[func-returns-value]
    return ears, Speaker(ears.sender), heard, came


def test_what_is_told_is_heard_as_it_was() -> None:
    ears, speaker, heard, came = listening()
    speaker(EpochTold("k" * 32, 3, 0.25, None))
    assert came.wait(5)
    assert heard == [EpochTold("k" * 32, 3, 0.25, None)]
    ears.close()
    assert not ears._thread.is_alive()


def test_a_worker_goes_on_where_nobody_reads_or_the_message_is_too_long() -> None:
    receiver, sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
    speaker = Speaker(sender)
    for number in range(5_000):  # more than a pipe holds
        speaker(EpochTold("k" * 32, number, 0.25, 99.0))
    speaker(EpochTold("k" * 600, 1, 0.25, None))
    receiver.close()
    speaker(EpochTold("k" * 32, 1, 0.25, None))


def test_a_letterbox_gives_all_in_order_and_drops_what_it_has_no_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("niwaki.study.letterbox.ROOM", 3)

    async def used() -> list[list[int]]:
        box = Letterbox()
        waiting = asyncio.ensure_future(box.take())
        for number in (1, 2):
            await box.put(EpochTold("k", number, 0.5, None))
        first = await waiting
        for number in (3, 4, 5, 6):
            await box.put(EpochTold("k", number, 0.5, None))
        return [[told.number for told in letters] for letters in (first, await box.take())]

    with ThreadPoolExecutor() as alone:  # this thread may run the loop of another test
        assert alone.submit(asyncio.run, used()).result() == [[1, 2], [3, 4, 5]]


class Noted:
    """Hears a run as callbacks do, without being one of niwaki's."""

    def __init__(self) -> None:
        self.heard: list[EpochEnd | StageEnd | Done] = []

    def on_epoch(self, event: EpochEnd) -> None:
        self.heard.append(event)

    def on_stage(self, event: StageEnd) -> None:
        self.heard.append(event)

    def on_done(self, event: Done) -> None:
        self.heard.append(event)


def test_callbacks_hear_every_epoch_before_its_stage_and_the_log_has_them(
    small_npz: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = TINY.format(data=small_npz)
    caplog.set_level("DEBUG", "niwaki")
    noted = Noted()
    announcer = Announcer(Callbacks([noted]), Silent())
    run_study(parse_spec(text, "tiny"), RunOptions(tmp_path / "out", jobs=2), announcer)
    assert [(e.name, e.step, e.epoch, e.epochs) for e in noted.heard if isinstance(e, EpochEnd)] == [
        ("train", 0, 1, 2), ("train", 0, 2, 2), ("fine-tune 50 % step 1/1", 1, 1, 1),
    ]  # fmt: skip
    assert [type(event).__name__ for event in noted.heard] == [
        "EpochEnd", "EpochEnd", "StageEnd", "StageEnd", "EpochEnd", "StageEnd",
    ]  # fmt: skip
    train, prune, finetune = (event for event in noted.heard if isinstance(event, StageEnd))
    assert [(e.done, e.total, e.ok) for e in (train, prune, finetune)] == [(1, 3, True), (2, 3, True), (3, 3, True)]
    assert prune.metrics["removed"] > 0
    assert 0 < finetune.metrics["validation_accuracy"] <= 100
    assert finetune.metrics["params"] < train.metrics["params"]
    assert "train: epoch 2/2: loss" in caplog.text
    noted.heard.clear()
    run_study(parse_spec(text, "tiny"), RunOptions(tmp_path / "out", jobs=2), announcer)
    assert noted.heard == []  # all is stored


def test_epochs_come_once_and_in_order_whatever_was_told() -> None:
    heard: list[int] = []
    job = SimpleNamespace(
        listener=SimpleNamespace(epoch=lambda _stage, told: heard.append(told.number)),
        plan=SimpleNamespace(stages={"k": None}),
    )
    epochs = _Epochs(job)  # type: ignore[arg-type]
    for number in (1, 3, 1, 2):  # one is lost and comes late, one comes again since its stage was begun anew
        epochs.hear(EpochTold("k", number, 0.5, None))
    results = SimpleNamespace(epochs=tuple({"loss": 0.5} for _ in range(4)))
    epochs.catch_up(SimpleNamespace(key="k", results=results))  # type: ignore[arg-type]
    assert heard == [1, 2, 3, 4]


def test_a_listener_of_before_hears_no_epochs_and_runs() -> None:
    old = SimpleNamespace(message=print, planned=print, started=print, finished=print)
    stage = Stage("k", "train", {}, None, 0, 0, 2, "train")
    Announcer(Callbacks(), old).epoch(stage, EpochTold("k", 1, 0.5, None))  # type: ignore[arg-type]
