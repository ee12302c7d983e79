"""`niwaki import`: its options and its help."""

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
    from niwaki.cli import importing as commands

    wanted = commands.Wanted(weights, out, factory, args, data, labels, preprocessing, partial, trust)
    commands.import_weights(wanted, as_json=json)
