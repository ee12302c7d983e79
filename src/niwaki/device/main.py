"""`python3 -m niwaki_device [watch|selftest]`: reads the options, connects the parts, cleans up after them."""

import argparse
import contextlib
import functools
from pathlib import Path
from typing import Callable, List, Optional

from . import console, selftest
from . import options as command_line
from .bundle import LANGUAGES, Bundle
from .errors import DONE, SELFTEST_FAILED, DeviceError
from .loop import LEARNED_ON_REQUEST, Controls, Loop, Told
from .network import Network
from .pipeline import Pipeline, Step
from .record import MEGABYTE, Recorder
from .replay import replay
from .report import Report
from .sources import Frame, Patient, Pixels, Source, open_source
from .speech import Speaker
from .stopping import Stopped, Stopping
from .view import Labels, LiveView, Place, make_token

DEFAULT_SOURCE = "v4l2:/dev/video0"
_BROKEN_PIPE = 141  # 128 and SIGPIPE, as shells count


def main(arguments: Optional[List[str]] = None, prog: str = "niwaki") -> int:
    """Run a command to its end and return its exit code. Errors are one line on standard error."""
    console.prepare()
    try:
        with Stopping() as stopping:
            options = command_line.parse(arguments, prog)
            if options.command == "selftest":
                return _selftest(options, stopping)
            return _watch_or_replay(options, stopping)
    except DeviceError as error:
        console.last_words("{}: {}".format(prog, error))
        return error.exit_code
    except Stopped as stopped:
        return stopped.exit_code
    except BrokenPipeError:  # the reader of the words is gone
        return _BROKEN_PIPE
    finally:
        console.abandon_unwritten()


def _language(options: argparse.Namespace, bundle: Bundle) -> str:
    language = options.speak or bundle.languages[0]
    if language not in bundle.languages:
        spoken, way = ", ".join(bundle.languages), "choose one of these"
        if language in LANGUAGES:
            way += ", or build it with niwaki bundle --lang {}".format(",".join((*bundle.languages, language)))
        raise DeviceError("--speak {}: this bundle speaks {}: {}".format(language, spoken, way))
    return str(language)


def _selftest(options: argparse.Namespace, stopping: Stopping) -> int:
    bundle = Bundle.open(options.bundle)
    checks = selftest.Selftest(
        bundle, stopping, source=options.source or DEFAULT_SOURCE, language=_language(options, bundle),
        device=options.audio_device, quiet=options.quiet,
    )  # fmt: skip
    results = checks.run()
    console.say(*(selftest.as_json if options.json else selftest.show)(bundle, results))
    return selftest.exit_code(results)


def _watch_or_replay(options: argparse.Namespace, stopping: Stopping) -> int:
    bundle = Bundle.open(options.bundle)
    language = _language(options, bundle)
    network, report = Network(bundle), Report(options.json)
    if options.replay is not None:
        return _replay(options.replay, network, language, report, stopping)
    bundle.check_sounds()
    return _watch(options, network, language, report, stopping)


def _learned(options: argparse.Namespace, bundle: Bundle) -> int:
    """How many frames of the empty scene to learn."""
    if bundle.look.finds:
        return LEARNED_ON_REQUEST if options.learn is None else int(options.learn)
    if options.learn is not None:
        what = "--learn, --no-learn: this bundle looks at the {}: it learns no empty scene: leave it out"
        raise DeviceError(what.format(bundle.look.vision))
    return 0


def _watch(
    options: argparse.Namespace, network: Network, language: str, report: Report, stopping: Stopping
) -> int:  # fmt: skip
    bundle, controls = network.bundle, Controls()
    learn = _learned(options, bundle)
    with contextlib.ExitStack() as tidy:
        speaker = Speaker(bundle, language, _no_sound(report), options.audio_device, options.quiet)
        tidy.callback(speaker.close)
        view = _serve(options, bundle, controls, report, tidy) if options.serve else None
        camera = _Camera(report, stopping, network.wants)
        source = tidy.enter_context(camera.open(options.source or DEFAULT_SOURCE, options.once))
        pipeline = Pipeline(network, source.width, source.height)
        recorder = _record(options, learn, pipeline, tidy)
        told = Told(report, speaker, recorder, view.publish if view else None)
        camera.loop = Loop(source, pipeline, told, stopping, controls=controls, learn=learn)
        camera.loop.run(options.frames)
        speaker.finish(stopping.pause)
    return DONE


class _Camera:
    """Opens the source, and passes its messages to the loop, once there is one."""

    def __init__(self, report: Report, stopping: Stopping, wants: Pixels) -> None:
        self._report, self._stopping, self._wants = report, stopping, wants
        self.loop: Optional[Loop] = None

    def open(self, spec: str, once: bool) -> Source:
        with self._stopping.waiting():
            opened = functools.partial(open_source, want=self._wants)
            return opened(spec) if once else Patient(spec, self._state, self._pause, opened)

    def _state(self, message: str) -> None:
        lost = message.startswith("camera lost")
        if self.loop is not None:
            self.loop.camera_state(message, lost)
        else:
            self._report.event("lost" if lost else "back", message)

    def _pause(self, seconds: float) -> None:
        (self.loop or self._stopping).pause(seconds)


def _serve(
    options: argparse.Namespace, bundle: Bundle, controls: Controls, report: Report, tidy: contextlib.ExitStack
) -> LiveView:  # fmt: skip
    """Start the live view and print its link; if others can reach it, with a token."""
    loopback = options.host in ("localhost", "::1") or options.host.startswith("127.")
    token = options.token or (None if loopback else make_token())
    shape = bundle.input
    labels = Labels(
        [{"id": label.id, "names": label.names} for label in bundle.classes], bundle.languages, bundle.rule,
        bundle.name, (shape.inner_width, shape.inner_height), shape.channels, bundle.look.finds,
    )  # fmt: skip
    view = LiveView(Place(options.host, options.port, token), controls, labels)
    view.start()
    tidy.callback(view.stop)
    report.event("serving", "live view: {}".format(view.url), url=view.url)
    return view


def _record(
    options: argparse.Namespace, learn: int, pipeline: Pipeline, tidy: contextlib.ExitStack
) -> Optional[Recorder]:  # fmt: skip
    if options.record is None:
        return None
    learned = learn or (LEARNED_ON_REQUEST if options.serve and pipeline.bundle.look.finds else 0)
    recorder = Recorder(options.record, pipeline, options.record_limit * MEGABYTE, learned)
    tidy.callback(recorder.close)
    return recorder


def _replay(folder: Path, network: Network, language: str, report: Report, stopping: Stopping) -> int:
    def on_step(frame: Frame, step: Step) -> None:
        with stopping.waiting():
            if step.decision.speak is not None:
                report.word(network.bundle, language, frame, step)

    done = replay(folder, network, on_step=on_step, notify=lambda message: report.event("damaged", message))
    if done.difference is not None:
        report.event("different", "the replay differs: {}".format(done.difference), frames=done.frames)
        return SELFTEST_FAILED
    report.event("same", "{} frames, every decision as it was recorded".format(done.frames), frames=done.frames)
    return DONE


def _no_sound(report: Report) -> Callable[[str], None]:
    return lambda why: report.event(
        "no sound", "no sound: {}; printing the words instead (--quiet silences this)".format(why)
    )
