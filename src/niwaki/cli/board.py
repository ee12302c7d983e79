"""`niwaki bundle`, `niwaki watch` and `niwaki doctor`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from niwaki.board.visions import GARMENT
from niwaki.cli.deploy import Lines, allow, check_file
from niwaki.cli.flags import in_flags
from niwaki.cli.output import output, print_command, print_json, print_tabular

if TYPE_CHECKING:
    from niwaki.board.build import BundleReport
    from niwaki.board.options import BundleOptions


def bundle(file: Path, target: str, out: Path, options: BundleOptions, *, data: str | None, as_json: bool) -> None:
    """Build a bundle and print the next commands."""
    from niwaki.board.build import bundle_file

    check_file(file)
    allow(options.trust)
    with Lines() as lines:
        report = bundle_file(file, target, out, options=options, data=data, notify=lines.message)
    if as_json:
        print_json(report.to_dict())
    else:
        _print_bundle(report)


def watch(file: Path, passed: Mapping[str, object], options: BundleOptions, *, data: str | None) -> int:
    """Run a bundle for this machine, building it if there is none; returns the runner's exit code."""
    from niwaki.board.watch import bundle_to_watch, run

    check_file(file)
    allow(options.trust)
    with Lines() as lines:
        found = bundle_to_watch(file, passed, options, data=data, notify=lines.message)
    return run(found, passed)


def codes(languages: str) -> tuple[str, ...]:
    """The languages in a text like `en,ko`."""
    return tuple(code.strip() for code in languages.split(","))


def doctor(path: Path, target: str, *, least_named: float, data: str | None, as_json: bool, trust: bool) -> int:
    """Check a bundle, building it first if needed; 1 if it does not suit the board."""
    from niwaki.board.doctor.examine import examine_file

    check_file(path)
    allow(trust)
    with Lines() as lines:
        report = examine_file(path, target, data=data, trust=trust, least_named=least_named, notify=lines.message)
    if as_json:
        print_json(report.to_dict())
    else:
        print_tabular(output(), report.table())
    return 0 if report.ok else 1


def _print_bundle(report: BundleReport) -> None:
    console = output()
    console.print(f"{report.folder}: a bundle for {report.target.title}", highlight=False, markup=False)
    words = f", {report.sound_bytes:,} of them spoken words" if report.sound_bytes else ", without sound"
    console.print(f"{report.bytes:,} bytes{words}", highlight=False)
    rates = report.decided.calibration
    if rates:
        own, none = "made-up scenes with a garment", "without one"
        if report.vision != GARMENT:
            own, none = "of its own images", "pictures of none of its classes"
        console.print(
            f"of {rates.scenes:,} {own} it names {_percent(rates.accepted_true_rate)}, "
            f"{_percent(rates.accuracy_accepted)} of these correctly; of {rates.empty:,} {none} it names "
            f"{_percent(rates.false_word_rate)}",
            highlight=False,
        )
    for note in report.notes:
        console.print(in_flags(note), highlight=False, markup=False)
    print_command("Copy it to the board", "scp", "-r", report.folder, "USER@BOARD:")
    started = shlex.quote(f"{report.folder.resolve().name}/start")
    print_command("Try it there", "ssh", "USER@BOARD", f"{started} selftest")
    print_command("Check it here first", "niwaki", "doctor", report.folder, "--target", report.target.name)


def _percent(rate: float | None) -> str:
    return "none" if rate is None else f"{100 * rate:.1f} %"
