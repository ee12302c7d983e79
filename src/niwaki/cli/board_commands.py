"""`niwaki bundle`, `niwaki watch` and `niwaki doctor`: their options and their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from niwaki.cli.options import (
    Board,
    Data,
    Json,
    Labels,
    LeastNamed,
    Names,
    Others,
    Preprocessing,
    Scenes,
    Trust,
    Vision,
)


def bundle(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A model file, an int8 ONNX or .tflite file, or an exported folder.")
    ],
    target: Board,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write the bundle to.")],
    lang: Annotated[str, typer.Option(help="Languages of the words; the first is the default.")] = "en,ko",
    sound: Annotated[
        bool, typer.Option("--sound/--no-sound", help="Include the words as WAV files (espeak-ng).")
    ] = True,
    names: Names = None,
    vision: Vision = None,
    scenes: Scenes = 1000,
    others: Others = None,
    least_named: LeastNamed = 5.0,
    data: Data = None,
    preprocessing: Preprocessing = "",
    labels: Labels = None,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Build a bundle: a folder to copy to a board and start (camera in, spoken word out).

    Example: niwaki bundle studies/source/chosen.safetensors --target jetson-nano --out nano
    """
    from niwaki.api.forms import stated
    from niwaki.board.options import BundleOptions
    from niwaki.cli import board as commands
    from niwaki.cli.deploy import Said

    said = Said(preprocessing, labels)
    how, classes = stated(said.preprocessing), said.classes
    options = BundleOptions(
        commands.codes(lang), sound, names, scenes, least_named, trust, how, classes, vision, others
    )
    commands.bundle(file, target, out, options, data=data, as_json=json)


def watch(
    file: Annotated[Path, typer.Argument(metavar="FILE|BUNDLE", help="A model, as for niwaki bundle, or a bundle.")],
    source: Annotated[
        str | None, typer.Option(metavar="SPEC", help="v4l2:/dev/video0, file:FILM.y4m, file:FOLDER or pipe:-.")
    ] = None,
    speak: Annotated[str | None, typer.Option(metavar="LANGUAGE", help="Language of the words: en or ko.")] = None,
    audio_device: Annotated[
        str | None, typer.Option(metavar="DEV", help="Sound device, as aplay -L lists it: plughw:1,0.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the words without speaking.")] = False,
    learn: Annotated[int | None, typer.Option(help="Frames of the empty scene to start with.")] = None,
    no_learn: Annotated[bool, typer.Option("--no-learn", help="Compare with each frame's border instead.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Serve a live view to a browser.")] = False,
    host: Annotated[str | None, typer.Option(help="Address to serve on; any but loopback needs a token.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to serve on.")] = None,
    token: Annotated[str | None, typer.Option(help="Token that viewers need; made for you if needed.")] = None,
    record: Annotated[Path | None, typer.Option(metavar="DIR", help="Record frames and decisions.")] = None,
    record_limit: Annotated[
        int | None, typer.Option(metavar="MB", help="Beyond this size, drop the oldest part.")
    ] = None,
    replay: Annotated[Path | None, typer.Option(metavar="DIR", help="Replay a recording.")] = None,
    frames: Annotated[int | None, typer.Option(help="Stop after this many frames.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Exit if there is no camera, instead of waiting.")] = False,
    names: Names = None,
    vision: Vision = None,
    scenes: Scenes = 1000,
    others: Others = None,
    least_named: LeastNamed = 5.0,
    data: Data = None,
    json: Annotated[bool, typer.Option("--json", help="Print each event as one line of JSON.")] = False,
    trust: Trust = False,
) -> None:
    """Name what this machine's camera sees, with the program that runs on a board.

    The first start builds a bundle for this machine and keeps it, so later starts are instant. Ctrl-C stops it.

    Example: niwaki watch studies/source/chosen.safetensors --source v4l2:/dev/video0 --speak ko
    """
    from niwaki.board.options import BundleOptions
    from niwaki.cli import board as commands

    passed = {
        "source": source, "speak": speak, "audio-device": audio_device, "quiet": quiet, "learn": learn,
        "no-learn": no_learn, "serve": serve, "host": host, "port": port, "token": token, "record": record,
        "record-limit": record_limit, "replay": replay, "frames": frames, "once": once, "json": json,
    }  # fmt: skip
    options = BundleOptions(
        names=names, scenes=scenes, least_named=least_named, trust=trust, vision=vision, others=others
    )
    raise typer.Exit(commands.watch(file, passed, options, data=data))


def doctor(
    path: Annotated[Path, typer.Argument(metavar="FILE|BUNDLE", help="A model, as for niwaki bundle, or a bundle.")],
    target: Board,
    data: Data = None,
    least_named: LeastNamed = 5.0,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Check on the desktop whether a bundle suits a board; exit code 1 if it does not.

    Example: niwaki doctor nano --target jetson-nano
    """
    from niwaki.cli import board as commands

    raise typer.Exit(commands.doctor(path, target, least_named=least_named, data=data, as_json=json, trust=trust))
