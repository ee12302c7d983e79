"""A finished model on a board: build its bundle, check it, and run it on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from niwaki.api.forms import stated
from niwaki.arguments import checked, text_of
from niwaki.data.preprocessing import Preprocessing
from niwaki.notify import Notify, logged

if TYPE_CHECKING:  # loaded only by the functions that need it
    from niwaki.board.build import BundleReport
    from niwaki.board.doctor.report import DoctorReport


@checked
def bundle(
    file: str | Path,
    out: str | Path,
    *,
    target: str,
    languages: Sequence[str] = ("en", "ko"),
    sound: bool = True,
    names: str | Path | None = None,
    vision: str | None = None,
    scenes: int = 1000,
    others: str | Path | None = None,
    least_named: float = 5.0,
    data: str | Path | None = None,
    preprocessing: Preprocessing | Mapping[str, object] | None = None,
    labels: tuple[str, ...] | list[str] | None = None,
    trust: bool = False,
    notify: Notify | None = None,
) -> BundleReport:
    """Build the bundle `out`, a folder to copy to a board and start: `target` is jetson-nano, raspberry-pi, …

    `names` is a JSON file with your own words. `vision` says what becomes of the camera's frames: "garment", "whole
    frame" or "centre square"; if you do not say it, what suits the network's images. `scenes` is the number of
    generated scenes (of whole frames: images) to calibrate rejection on, `others` a folder of your own pictures that
    show none of the classes, `least_named` the percentage of the network's own images that must get a name, `data` the
    calibration images if the file names none. `preprocessing` says how pixels become the input of an int8 ONNX or
    .tflite that does not say so, `labels` are the names of its classes. Raises NiwakiError if an input cannot be used.

    >>> niwaki.bundle("exported", "nano", target="jetson-nano", sound=False, scenes=0).target.title
    'Jetson Nano'
    """
    from niwaki.board.build import bundle_file
    from niwaki.board.options import BundleOptions

    words = None if names is None else Path(names)
    how = stated(preprocessing)
    options = BundleOptions(
        tuple(languages), sound, words, scenes, least_named, trust, how, tuple(labels or ()),
        vision, None if others is None else Path(others),
    )  # fmt: skip
    return bundle_file(Path(file), target, Path(out), options=options, data=text_of(data), notify=notify or logged)


@checked
def doctor(
    path: str | Path,
    *,
    target: str,
    least_named: float = 5.0,
    data: str | Path | None = None,
    trust: bool = False,
    notify: Notify | None = None,
) -> DoctorReport:
    """Whether a bundle suits a board, as far as a desktop can tell: `ok`, and a list of checks with reasons.

    `path` is a bundle, or what `bundle` takes. Raises NiwakiError if it cannot be used.

    >>> niwaki.doctor("nano", target="jetson-nano").ok
    True
    """
    from niwaki.board.doctor.examine import examine_file

    return examine_file(
        Path(path), target, data=text_of(data), trust=trust, least_named=least_named, notify=notify or logged
    )


@checked
def watch(
    file: str | Path,
    *,
    names: str | Path | None = None,
    vision: str | None = None,
    scenes: int = 1000,
    others: str | Path | None = None,
    least_named: float = 5.0,
    data: str | Path | None = None,
    trust: bool = False,
    notify: Notify | None = None,
    **settings: Any,
) -> int:
    """Name what this machine's camera sees, with the runner of a board, until Ctrl-C; returns its exit
    code.

    `settings` are the options of `niwaki watch`: source, speak, quiet, learn, serve, port, record, frames, once, … The
    first call builds a bundle for this machine and keeps it. Raises NiwakiError if an input cannot be used.

    >>> niwaki.watch("exported", source="file:pictures", scenes=0, quiet=True, frames=1, once=True)  # doctest: +SKIP
    0
    """
    from niwaki.board.options import BundleOptions
    from niwaki.board.watch import bundle_to_watch, run

    options = BundleOptions(
        names=None if names is None else Path(names),
        scenes=scenes,
        least_named=least_named,
        trust=trust,
        vision=vision,
        others=None if others is None else Path(others),
    )
    passed: Mapping[str, object] = {name.replace("_", "-"): value for name, value in settings.items()}
    return run(bundle_to_watch(Path(file), passed, options, data=text_of(data), notify=notify or logged), passed)
