"""`niwaki study …`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from niwaki.cli.outcome import complain
from niwaki.cli.output import beside, output, print_command, print_json
from niwaki.cli.progress import Progression
from niwaki.device.text import counted, printable
from niwaki.errors import Stopped, Wording
from niwaki.study.request import Request, copy_preset
from niwaki.study.spec import StudySpec

if TYPE_CHECKING:
    from niwaki.reporting.view import View
    from niwaki.study.dryrun import DryRun, Work
    from niwaki.study.structure import Sizes


def run(request: Request, *, dry_run: bool, as_json: bool, show: bool = False) -> int:
    """Run a study, print its tables and write its report; returns 1 if a trial failed."""
    spec = request.spec()
    if dry_run:
        return _dry_run(request, spec, as_json=as_json)
    from niwaki.reporting.text import study_as_json
    from niwaki.reporting.view import load_view
    from niwaki.study.run import RunOptions, run_study

    folder = request.folder
    progress = Progression(beside())
    options = RunOptions(
        folder, request.data, request.jobs, request.ray, request.torch_device, request.trust, request.paths
    )
    try:
        result = run_study(spec, options, progress)
    except KeyboardInterrupt:
        progress.stop()
        raise Stopped(_what_is_stored(progress, folder)) from None
    finally:
        progress.stop()
    view = load_view(folder)
    if as_json:
        print_json(study_as_json(view))
    else:
        _print(view)
        print(printable(f"Study: {folder}"))
    _report(folder, as_json=as_json, show=show)
    for key, reason in result.lost.items():
        complain(Wording(f"no result: {result.plan.stages[key].label}: ", reason))
    return 1 if result.failed else 0


def _report(folder: Path, *, as_json: bool, show: bool) -> None:
    from niwaki.cli.report import open_page, tell
    from niwaki.reporting.build import build_report

    built = build_report(folder)
    if built.note and built.asked_for:
        tell(built.note)
    if not as_json:
        print(printable(f"Report: {built.html}"))
    if show:
        open_page(built)


def show(folder: Path, *, as_json: bool, wide: bool = False, csv: Path | None = None) -> None:
    """Print the tables of a study's folder, or write them as CSV."""
    from niwaki.reporting.text import study_as_json
    from niwaki.reporting.view import load_view

    view = load_view(folder)
    if csv is not None:
        from niwaki.reporting.opened import OpenedStudy

        print(printable(f"Wrote {OpenedStudy(folder).to_csv(csv)}"))
    elif as_json:
        print_json(study_as_json(view))
    else:
        _print(view, wide=wide)


def _print(view: View, *, wide: bool = False) -> None:
    """The tables, and how to see the columns that did not fit."""
    from niwaki.reporting.text import print_study

    if not print_study(output(), view, wide=wide):
        print_command("All columns", "niwaki", "study", "show", view.folder, "--wide")
        print_command("As a file", "niwaki", "study", "show", view.folder, "--csv", "FILE")


def copy(name: str, file: Path) -> None:
    """Copy a built-in study to a new file."""
    copy_preset(name, file)
    print_command(f"Wrote {file}; run it with", "niwaki", "study", "run", file)


def new(images: Path, file: Path | None, *, factory: str, args: str, trust: bool) -> None:
    """Write a study of the user's own images, and print what it holds."""
    from niwaki.cli.deploy import Lines, allow
    from niwaki.study.new import arguments, new_study

    allow(trust)
    model = {"factory": factory, "args": arguments(args)}
    with Lines() as lines:
        made = new_study(images, file, model=model, trust=trust, notify=lines.message)
    data = made.found.data
    kind = "colour" if made.found.coloured else "grey"
    held = ", ".join(f"{counted(len(getattr(data, name)), 'image')} for {name}" for name in ("validation", "test"))
    output().print(
        f"{data.num_classes} classes; {len(data.train):,} images for training, {held}; {kind}, {made.found.sizes}; "
        f"the network sees {'×'.join(map(str, data.input_shape))}",
        highlight=False, markup=False,
    )  # fmt: skip
    run = ["--trust"] if made.needs_trust else []
    print_command(f"Wrote {made.file}; read it, then run it with", "niwaki", "study", "run", made.file, *run)


def _dry_run(request: Request, spec: StudySpec, *, as_json: bool) -> int:
    from niwaki.study.dryrun import dry_run
    from niwaki.study.run import RunOptions, check_options

    options = RunOptions(Path(), None, request.jobs, request.ray, request.torch_device, request.trust, request.paths)
    check_options(spec, options)
    plan = dry_run(spec, trust=request.trust)
    if as_json:
        print_json(plan.to_dict())
    else:
        _print_plan(spec, plan)
    return 0


def _print_plan(spec: StudySpec, plan: DryRun) -> None:
    console = output()
    console.print(f"{spec.title}: nothing was read or trained", highlight=False, markup=False)
    shared = f" ({_work(plan.requested)} without sharing)" if plan.unique != plan.requested else ""
    console.print(f"to run: {_work(plan.unique)}{shared}", highlight=False)
    if plan.longer.stages:
        console.print(f"and {_work(plan.longer)} to train the unpruned network longer", highlight=False)
    for experiment in plan.experiments:
        console.print()
        console.print(experiment.title, style="bold", highlight=False, markup=False)
        for trial in experiment.trials:
            last = trial.structure[-1] if trial.structure else None
            varied = trial.trial.value
            value = "" if varied is None else f"{varied}: "
            size = f"but will fail: {trial.refused}" if trial.refused else _size(last)
            console.print(f"  {value}{counted(trial.work.epochs, 'epoch')}, {size}", highlight=False, markup=False)
            for name, why in last.whole.items() if last else ():
                console.print(f"    {name} stays whole: {why}", highlight=False, markup=False)


def _size(last: Sizes | None) -> str:
    if last is None:
        return "size depends on training"
    without = f" (without {', '.join(last.uncounted)})" if last.uncounted else ""
    return f"{last.params:,} parameters, {last.macs:,} MACs{without}"


def _work(work: Work) -> str:
    return f"{counted(work.stages, 'stage')}, {counted(work.epochs, 'epoch')}"


def _what_is_stored(progress: Progression, folder: Path) -> str:
    if not progress.total:
        return "no stage had started"
    dropped = "; unfinished ones start over" if progress.stored < progress.total else ""
    are = "is" if progress.stored == 1 else "are"
    return f"{progress.stored} of {counted(progress.total, 'stage')} {are} stored in {folder}{dropped}"
