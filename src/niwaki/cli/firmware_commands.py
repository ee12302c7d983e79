"""`niwaki cost`: its options and its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from niwaki.cli.options import Json, RamLimit, Trust


def cost(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A model, ONNX or .tflite file, or a factory: lenet5, module:callable."),
    ],
    args: Annotated[str | None, typer.Option(help="The factory's arguments, as in: widths = [2, 6, 48, 33]")] = None,
    shape: Annotated[str | None, typer.Option(metavar="C,H,W", help="The factory's images; default: 1,32,32.")] = None,
    boards: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Boards of your own, in front of niwaki's.")
    ] = None,
    ram_limit: RamLimit = None,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Show what a network costs on every known board, before any training.

    Constants and working memory are exact. Estimates: code, stack, instructions, time, and what a board takes itself.

    Example: niwaki cost lenet5 --args "widths = [2, 6, 48, 33]"
    """
    from niwaki.cli import cost as commands

    found = commands.cost(model, args=args, shape=shape, boards=boards, ram_limit=ram_limit, trust=trust)
    commands.show(found, as_json=json)
