"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from niwaki.board.targets import TARGETS
from niwaki.board.visions import VISIONS
from niwaki.device.text import listed

Json = Annotated[bool, typer.Option("--json", help="Print JSON only.")]
Trust = Annotated[bool, typer.Option("--trust", help="Run code that niwaki did not write: factories, C, bundles.")]
Names = Annotated[
    Path | None, typer.Option(metavar="FILE.json", help='Your own words: {"Bag": {"en": "bag", "ko": "가방"}}.')
]
LeastNamed = Annotated[
    float,
    typer.Option(min=0, max=100, metavar="PERCENT", help="Fail if fewer of the network's own images get a name."),
]
Data = Annotated[
    str | None, typer.Option(help="Calibration images, if the file names none: fashion-mnist or a folder.")
]
Serial = Annotated[
    str | None,
    typer.Option(metavar="PORT[:BAUD]", help="A board with the Serial example, as in /dev/ttyACM0 or COM3."),
]
RamLimit = Annotated[
    str | None,
    typer.Option(
        metavar="BYTES", help="Limit the RAM of the C code, as in 8KB: layers run by stripes of rows if they must."
    ),
]
Board = Annotated[str, typer.Option(metavar="BOARD", help=f"{listed(TARGETS)}.")]
Vision = Annotated[
    str | None,
    typer.Option(metavar="VISION", help=f"{listed(VISIONS)}; if none is given, what suits the network's images."),
]
Others = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Pictures of none of the classes, to calibrate rejection of whole frames on."),
]
Scenes = Annotated[int, typer.Option(min=0, help="Scenes or images to calibrate rejection on; 0: name everything.")]
Preprocessing = Annotated[
    str,
    typer.Option(metavar="TOML", help="How pixels become the input, for an ONNX that does not say: 'mean = [0.5]'."),
]
Labels = Annotated[
    Path | None, typer.Option(metavar="FILE.txt", help="Names of the outputs, one a line, for an ONNX that has none.")
]
