"""`niwaki import`: its options, its help, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from niwaki.cli.options import Json, Trust


def import_weights(
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="A .pth, .pt, .bin or .safetensors file.")],
    factory: Annotated[str, typer.Option(help="The network: lenet5, timm:create_model, package.module:callable.")],
    out: Annotated[Path, typer.Option(metavar="FILE.safetensors", help="The model file to write.")],
    args: Annotated[str, typer.Option(metavar="TOML", help="The factory's arguments, as in 'num_classes = 4'.")] = "",
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE.txt", help="Names of the outputs, one a line, in their order.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Images: they name the classes, and the accuracy is measured on them.")
    ] = None,
    preprocessing: Annotated[
        str, typer.Option(metavar="TOML", help="As in 'color = \"rgb\", size = [64, 64]'; timm's networks state it.")
    ] = "",
    partial: Annotated[
        bool, typer.Option("--partial", help="Take the weights that fit; the others keep random first values.")
    ] = False,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Make a model file of a network and its weights from another tool.

    PyTorch files are read as weights alone: nothing in them is run. Entries that are missing, left over or of another
    shape are named.

    Example: niwaki import weights.pth --factory mynet:Net --data photos --out mine.safetensors --trust
    """
    from niwaki import api
    from niwaki.cli.deploy import Lines, allow, check_file
    from niwaki.cli.output import output, print_command, print_json
    from niwaki.device.text import counted
    from niwaki.study.new import arguments, listed_labels

    check_file(weights)
    allow(trust)
    with Lines() as lines:
        report = api.import_model(
            weights, out, factory=factory, args=arguments(args, "args"), data=data, partial=partial, trust=trust,
            labels=None if labels is None else listed_labels(labels),
            preprocessing=arguments(preprocessing, "preprocessing") or None, notify=lines.message,
        )  # fmt: skip
    if json:
        print_json(report.to_dict())
        return
    said = f"{counted(report.taken, 'tensor')} of {weights}"
    said += f", {len(report.fresh)} with random first values: train it" if report.fresh else ""
    measured = f"; {report.accuracy.accuracy:.2f} % of {report.accuracy.total:,} test images" if report.accuracy else ""
    shape = "×".join(map(str, report.info.input_shape))
    line = f"{said}; {shape} to {len(report.info.labels):,} classes{measured}"
    output().print(line, highlight=False, markup=False)
    print_command(
        f"Wrote {report.file}; see it with", "niwaki", "inspect", report.file, *(["--trust"] if trust else [])
    )
