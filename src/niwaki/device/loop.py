"""The main job: frame by frame from the camera to the spoken word, and to every listener."""

import contextlib
import queue
import time
from collections import deque
from typing import Any, Callable, Deque, NamedTuple, Optional

from .decision import EMPTY, Decision
from .finding import Finding
from .learning import Learning
from .pipeline import Pipeline, Step
from .record import Recorder
from .report import Report
from .snapshot import Snapshot
from .sources import Frame, Source
from .speech import Speaker
from .stopping import Stopping
from .text import counted

READ_TIMEOUT_S = 3.0  # a camera without a frame for this long is lost
RUNNING, LEARNING, WAITING = "running", "learning", "waiting"
LEARNED_ON_REQUEST = 15  # frames to learn, if none were learned at start
_RATE_OF = 31  # frames over which their rate is measured
_TICK_S = 0.1  # seconds between checks while waiting for a camera: words still need attention

Publish = Callable[[Snapshot], None]


class Controls:
    """Requests to the loop, from any thread; handled before the next frame."""

    def __init__(self) -> None:
        self._asked: "queue.Queue[Any]" = queue.Queue(maxsize=16)  # further requests are ignored

    def learn(self) -> None:
        """Learn the empty scene from the next frames."""
        self._ask("learn", "")

    def forget(self) -> None:
        """Forget the empty scene: compare with the frame's border."""
        self._ask("forget", "")

    def language(self, code: str) -> None:
        """Speak another language of the bundle."""
        self._ask("language", code)

    def _ask(self, what: str, value: str) -> None:
        with contextlib.suppress(queue.Full):
            self._asked.put_nowait((what, value))

    def next(self) -> Any:
        """The oldest request, as (name, value), or None."""
        try:
            return self._asked.get_nowait()
        except queue.Empty:
            return None


class Told(NamedTuple):
    """Receives what was seen: a console, a loudspeaker, a recording, a live view."""

    report: Report
    speaker: Speaker
    recorder: Optional[Recorder] = None
    publish: Optional[Publish] = None


class Loop:
    """One camera, one pipeline, and the listeners. `learn` is how many frames of the empty scene to learn."""

    def __init__(
        self, source: Source, pipeline: Pipeline, told: Told, stopping: Stopping, *, controls: Controls, learn: int
    ) -> None:
        self._source, self._pipeline, self._controls = source, pipeline, controls
        self._stopping, self._learn_frames = stopping, learn
        self._report, self._speaker, self._recorder, self._publish = told
        self._learning: Optional[Learning] = Learning(learn) if learn else None
        self._arrived: Deque[float] = deque(maxlen=_RATE_OF)
        self._lost = False
        self._shown: Optional[Snapshot] = None
        self.frames = self._words = 0

    def run(self, limit: Optional[int] = None) -> None:
        """Run until the film ends, `limit` frames were taken, or a signal (Stopped) or DeviceError arrives."""
        while limit is None or self.frames < limit:
            with self._stopping.waiting():
                frame = self._source.read(READ_TIMEOUT_S)
            if frame is None:
                self._ended()
                break
            self._take(frame)

    def _ended(self) -> None:
        if self._words:
            return
        why = "a thing is named once it was seen for {:g} s".format(self._pipeline.bundle.rule.stable_s)
        if self._learning is not None:
            why = "all were taken for the empty scene, which is learned first (--learn N, --no-learn)"
        ended = "the film ended after {}, and nothing was named: {}".format(counted(self.frames, "frame"), why)
        self._report.event("ended", ended, frames=self.frames)

    def camera_state(self, message: str, lost: bool) -> None:
        """The source reports that the camera was lost or is back."""
        self._report.event("lost" if lost else "back", message)
        self._lost = self._lost or lost
        if lost and self._shown is not None and self._publish is not None:
            silent = self._shown.decision._replace(speak=None)
            self._publish(self._shown._replace(source_state=WAITING, fps=0.0, decision=silent))

    def pause(self, seconds: float) -> None:
        """Wait for a lost camera, and attend to the word that is being spoken."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self._stopping.pause(min(_TICK_S, seconds))
            self._speaker.poll()

    def _take(self, frame: Frame) -> None:
        self.frames += 1
        self._resume()
        self._obey()
        self._arrived.append(time.monotonic())
        step = self._learn(frame) if self._learning is not None else self._look(frame)
        self._speaker.poll()
        if self._publish is not None:
            self._shown = self._snapshot(frame, step)
            self._publish(self._shown)

    def _resume(self) -> None:
        """After a loss the last second no longer counts; the learned scene does, unless frames have another size."""
        if self._lost:
            self._lost = False
            self._arrived.clear()
            self._pipeline.decider.interrupt()
            if self._recorder is not None:
                self._recorder.interrupt()
            if self._learning is not None:
                self._learning = Learning(self._learn_frames)
        size = (self._source.width, self._source.height)
        if self._pipeline.resize(*size):
            if self._recorder is not None:
                self._recorder.resize()
            self._report.event("size", "frames are {} x {} now".format(*size), width=size[0], height=size[1])
            self._learning = Learning(self._learn_frames) if self._learn_frames else None

    def _obey(self) -> None:
        """Handle the requests from the live view's buttons."""
        for what, value in iter(self._controls.next, None):
            finds = self._pipeline.bundle.look.finds  # else there is no empty scene
            if what == "learn" and finds:
                self._learning = Learning(self._learn_frames or LEARNED_ON_REQUEST)
            elif what == "forget" and finds:
                self._learning = None
                self._forget()
            elif value in self._pipeline.bundle.languages:
                self._speaker.language = value

    def _forget(self) -> None:
        self._pipeline.forget()
        if self._recorder is not None:
            self._recorder.forget()

    def _learn(self, frame: Frame) -> Optional[Step]:
        """A frame of the empty scene; the pipeline does not search it."""
        learning = self._learning
        assert learning is not None
        taken = learning.take(frame.pixels, self._source.width)
        if taken.learn:
            self._pipeline.learn(frame.pixels, taken.anew)
            if self._recorder is not None:
                self._recorder.learn(frame, taken.anew)
        if taken.anew and learning.attempts == 2:
            self._report.event("unsteady", "the picture changed while learning the empty scene: starting again")
        if taken.last:
            self._learning = None
            self._learned(taken.learn)
        return None

    def _learned(self, well: bool) -> None:
        if well:
            self._report.event("learned", "the empty scene is learned")
            return
        self._forget()
        self._report.event(
            "not learned", "the picture never became still: garments are compared with the frame's border instead; "
                "learn the empty scene again when the picture is still",
        )  # fmt: skip

    def _look(self, frame: Frame) -> Step:
        step = self._pipeline.look(frame.pixels, frame.time_s)
        if self._recorder is not None:
            self._recorder.look(frame, step)
        if step.decision.speak is not None:
            self._words += 1
            self._report.word(self._pipeline.bundle, self._speaker.language, frame, step)
            self._speaker.say(step.decision.speak)
        return step

    def _snapshot(self, frame: Frame, step: Optional[Step]) -> Snapshot:
        pipeline, source = self._pipeline, self._source
        shape = pipeline.bundle.input
        blank = bytes(shape.inner_pixels)
        finding = step.finding if step else Finding("nothing", 0, 0, 0, 0, 0, 0, False, blank)
        decision = step.decision if step else Decision(EMPTY, None, None, None, None, "learning")
        return Snapshot(
            frame.number, frame.time_s, source.width, source.height, frame.pixels, finding, finding.picture,
            step.logits if step else None, decision, self._rate(), pipeline.inference_times.median_us,
            pipeline.vision_times.median_us, self._speaker.language, RUNNING if self._learning is None else LEARNING,
        )  # fmt: skip

    def _rate(self) -> float:
        took = self._arrived[-1] - self._arrived[0]
        return (len(self._arrived) - 1) / took if took > 0 else 0.0
