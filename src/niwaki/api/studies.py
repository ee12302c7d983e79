"""Whole studies: run one, read one, write its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from niwaki.arguments import checked, text_of
from niwaki.callbacks.events import Callbacks, Done
from niwaki.errors import Setting, SpecError
from niwaki.notify import Notify, logged
from niwaki.study.listener import Announcer, Listener, Silent, metrics_of
from niwaki.study.request import Request, copy_preset
from niwaki.study.run import RunOptions
from niwaki.study.run import run_study as run
from niwaki.study.scheduler import StudyResult

if TYPE_CHECKING:  # only the report needs these
    from niwaki.reporting.build import Built, Compared
    from niwaki.reporting.opened import OpenedStudy


@checked
def run_study(
    name_or_file: str | Path = "source",
    *,
    out: str | Path | None = None,
    data: str | Path | None = None,
    seeds: int | None = None,
    jobs: int | None = None,
    ray: str | None = None,
    device: str = "cpu",
    trust: bool = False,
    listener: Listener | None = None,
    callbacks: Sequence[object] = (),
) -> StudyResult:
    """Run a study, or resume it, as `niwaki study run` does, and return its result; prints nothing by itself.

    `name_or_file` is source, quick, camera, bytes or a .toml file, `out` the study's folder (default: studies/NAME),
    `callbacks` are objects with `on_epoch`, `on_stage` or `on_done` (see `niwaki.callbacks`).

    Raises NiwakiError for bad input or an unusable folder. Failed stages are in the result and raise nothing.

    >>> result = niwaki.run_study("tiny.toml", out="studies/tiny", jobs=1)
    >>> result
    <StudyResult studies/tiny: 3 of 3 stages>
    """
    _check_listener(listener)
    request = Request(
        str(name_or_file), text_of(data), seeds, jobs, ray, device, None if out is None else Path(out), trust
    )
    spec = request.spec()
    options = RunOptions(request.folder, request.data, jobs, ray, request.torch_device, trust, request.paths)
    heard = Callbacks(callbacks)
    result = run(spec, options, Announcer(heard, listener or Silent()))
    heard.on_done(Done(not result.failed, result.folder, _chosen_metrics(result)))
    return result


def _check_listener(listener: object) -> None:
    """Raise SpecError unless `listener` is None or has every method of a listener."""
    methods = [name for name, member in vars(Listener).items() if callable(member) and not name.startswith("_")]
    missing = [name for name in methods if not callable(getattr(listener, name, None))]
    if listener is not None and missing:
        raise SpecError(
            f"niwaki.run_study: listener = {listener!r}: has no method {missing[0]}; callbacks= takes any object"
        )


@checked
def open_study(folder: str | Path) -> OpenedStudy:
    """Open a study's folder, finished or running, to read it; the study's data is not needed.

    Raises StoreError if `folder` does not hold a study, or if its `study.json` is damaged.

    >>> study = niwaki.open_study("studies/tiny")
    >>> study.experiments
    ('ratio',)
    >>> [row["params"] for row in study.table("ratio").to_records()]
    [902.0, 218.0]
    """
    from niwaki.reporting.opened import OpenedStudy

    return OpenedStudy(Path(folder))


@checked
def copy_study(name: str, file: str | Path) -> Path:
    """Copy a built-in study to a new .toml file, to edit and run, and return its path.

    Raises SpecError if there is no such study, if the file exists, or if its name does not end in .toml.

    >>> niwaki.copy_study("quick", "mine.toml").name
    'mine.toml'
    """
    return copy_preset(name, Path(file))


@checked
def new_study(
    images: str | Path,
    file: str | Path | None = None,
    *,
    factory: str = "lenet5",
    args: Mapping[str, Any] | None = None,
    trust: bool = False,
    notify: Notify | None = None,
) -> Path:
    """Write a study of your own images, a commented .toml file ready to run, and return its path (default: NAME.toml).

    `images` is a folder or a file that `load_data` reads; niwaki looks at them for size, colour and classes. `factory`
    and `args` name your network; with `trust`, its own names of arguments are used for classes and channels.

    Raises SpecError if the file exists or is no .toml file, DataError if the images cannot be used.

    >>> niwaki.new_study("photos", "photos.toml").name  # doctest: +SKIP
    'photos.toml'
    """
    from niwaki.study.new import new_study as make

    model = {"factory": factory, "args": dict(args or {})}
    out = None if file is None else Path(file)
    return make(Path(images), out, model=model, trust=trust, notify=notify or logged).file


@checked
def report(
    folder: str | Path,
    other: str | Path | None = None,
    *,
    out: str | Path | None = None,
    language: Literal["en", "ko"] = "en",
    notify: Notify | None = None,
) -> Built | Compared:
    """Write `report.html` and `report.md` into a study's folder, finished or not; `.html` is the path of the page.

    With `other`, the folder of a second study, write a page that compares both: `comparison.html` in the first folder,
    or `out`. Raises StoreError if `folder` does not hold a study or cannot be written, SpecError for an unknown
    language.

    >>> niwaki.report("studies/tiny").html.name
    'report.html'
    """
    from niwaki.reporting.build import build_comparison, build_report

    if other is not None:
        return build_comparison(Path(folder), Path(other), out=None if out is None else Path(out), language=language)
    if out is not None:
        raise SpecError(Setting("out"), " is for the page that compares two studies: give both folders")
    return build_report(Path(folder), language=language, notify=notify or logged)


def _chosen_metrics(result: StudyResult) -> dict[str, float]:
    key = result.choice.key if result.choice else None
    record = None if key is None else result.records.get(key)
    return metrics_of(record.results) if record else {}
