"""`niwaki import`: what it does, and what it prints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from niwaki import api
from niwaki.api.importing import ImportReport
from niwaki.cli.deploy import Lines, allow, check_file
from niwaki.cli.output import output, print_command, print_json
from niwaki.device.text import counted
from niwaki.study.new import arguments, listed_labels


@dataclass(frozen=True)
class Wanted:
    """What the command line says."""

    weights: Path
    out: Path
    factory: str
    args: str
    data: str | None
    labels: Path | None
    preprocessing: str
    partial: bool
    trust: bool


def import_weights(wanted: Wanted, *, as_json: bool) -> None:
    """Make the model file and say what was taken from the weights."""
    check_file(wanted.weights)
    allow(wanted.trust)
    with Lines() as lines:
        report = api.import_model(
            wanted.weights, wanted.out, factory=wanted.factory, args=arguments(wanted.args, "args"), data=wanted.data,
            labels=None if wanted.labels is None else listed_labels(wanted.labels),
            preprocessing=arguments(wanted.preprocessing, "preprocessing") or None, partial=wanted.partial,
            trust=wanted.trust, notify=lines.message,
        )  # fmt: skip
    if as_json:
        print_json(report.to_dict())
        return
    output().print(_said(wanted.weights, report), highlight=False, markup=False)
    print_command(
        f"Wrote {report.file}; see it with", "niwaki", "inspect", report.file, *(["--trust"] if wanted.trust else [])
    )


def _said(weights: Path, report: ImportReport) -> str:
    said = f"{counted(report.taken, 'tensor')} of {weights}"
    said += f", {len(report.fresh)} with random first values: train it" if report.fresh else ""
    measured = f"; {report.accuracy.accuracy:.2f} % of {report.accuracy.total:,} test images" if report.accuracy else ""
    shape = "×".join(map(str, report.info.input_shape))
    classes = "1 class" if len(report.info.labels) == 1 else f"{len(report.info.labels):,} classes"
    return f"{said}; {shape} to {classes}{measured}"
