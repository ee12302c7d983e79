"""The command that searches: its options and its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from niwaki.cli.options import Json, Trust


def compress(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model file, a study's folder, or a factory: lenet5, separable, package.module:callable.",
        ),
    ],
    fit: Annotated[
        str, typer.Option("--fit", metavar="BUDGET", help="Limits, separated by commas: constants<=16KB, ram<=2KB.")
    ] = "",
    data: Annotated[
        str | None, typer.Option(help="The images: fashion-mnist, synthetic, a folder or an .npz file.")
    ] = None,
    target: Annotated[str, typer.Option(help="The microcontroller for flash, stack and instructions.")] = "cortex-m4",
    maximize: Annotated[
        str | None, typer.Option("--max", metavar="accuracy", help="What is best among what fits; the default.")
    ] = None,
    minimize: Annotated[
        str | None, typer.Option("--min", metavar="COST", help="The same: constants, flash, ram, macs or instructions.")
    ] = None,
    drop: Annotated[
        float | None, typer.Option("--drop", metavar="POINTS", help="Short for accuracy_drop<=POINTS in --fit.")
    ] = None,
    time: Annotated[str | None, typer.Option("--time", metavar="TIME", help="How long to search, as in 60m.")] = None,
    trials: Annotated[int | None, typer.Option(help="Candidates to try; default: 32 in a new folder.")] = None,
    seeds: Annotated[int, typer.Option(help="Seeds of each finalist.")] = 3,
    jobs: Annotated[int | None, typer.Option(help="Worker processes; default: one per processor.")] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on a Ray cluster (auto, or host:port).")
    ] = None,
    space: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="What may change, and how candidates are trained.")
    ] = None,
    sampler: Annotated[str, typer.Option(help="tpe, or random: the control.")] = "tpe",
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="The search's folder; default: compressed/MODEL.")] = None,
    lang: Annotated[str, typer.Option(help="Language of the report: en or ko.")] = "en",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the space and its costs without training.")] = False,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Find the most accurate network within a budget, and write it in every form.

    To resume after Ctrl-C, repeat the command. With another budget, the same folder answers from what it knows.
    Exit code 1: nothing fits.

    Example: niwaki compress lenet5 --fit "constants<=16KB, ram<=2KB" --time 60m --out small
    """
    from niwaki.cli.compress import compress as command
    from niwaki.search.request import Wanted, check_sampler

    wanted = Wanted(
        model, fit, data, target, maximize, minimize, drop, time, trials, seeds, jobs, ray, device, out,
        check_sampler(sampler), trust,
    )  # fmt: skip
    raise typer.Exit(command(wanted, space, language=lang, dry_run=dry_run, as_json=json))
