"""The commands: what each takes, what its help says, and the one function that does it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from niwaki.board.targets import TARGETS
from niwaki.cli.version import print_version
from niwaki.data.datasets import BUILT_IN
from niwaki.deploy.formats import CHOICES
from niwaki.device.text import listed

app = typer.Typer(
    name="niwaki",
    help="Make a PyTorch image classifier small enough for a device, and prove what was lost and gained.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
study_app = typer.Typer(help="Run studies and show their tables.", no_args_is_help=True)
app.add_typer(study_app, name="study")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Trust = Annotated[bool, typer.Option("--trust", help="Run code that is not niwaki's: factories, C, bundles.")]
Names = Annotated[
    Path | None, typer.Option(metavar="FILE.json", help='Words of your own: {"Bag": {"en": "bag", "ko": "가방"}}.')
]
LeastNamed = Annotated[
    float,
    typer.Option(min=0, max=100, metavar="PERCENT", help="Of the scenes with a garment that must get a name."),
]
Data = Annotated[
    str | None, typer.Option(help="Images to calibrate on, if the file does not name them: fashion-mnist, a folder.")
]
Board = Annotated[str, typer.Option(metavar="BOARD", help=f"{listed(TARGETS)}.")]
Scenes = Annotated[int, typer.Option(min=0, help="To calibrate rejection on; 0: name whatever is found.")]


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="With --version: all that a report of a fault should say.")
    ] = False,
) -> None:
    """Make a PyTorch image classifier small enough for a device, and prove what was lost and gained."""
    context.obj = debug
    print_version(asked=version, verbose=verbose)


@study_app.command("run")
def study_run(
    study: Annotated[
        str, typer.Argument(metavar="NAME|FILE.toml", help="source, quick, camera, or a file.")
    ] = "source",
    data: Annotated[str | None, typer.Option(help=f"{', '.join(BUILT_IN)}, or a folder.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds: tables show mean ± std.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Worker processes; one per processor if left out.")] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on a Ray cluster (auto, or host:port).")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="The study's folder; studies/NAME if left out.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan; read no data, train nothing.")] = False,
    show: Annotated[bool, typer.Option("--open", help="Open the report in a browser at the end.")] = False,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Run a study, or what is missing of it.

    Stages that are stored are not run again: after Ctrl-C, a signal or a crash, give the same command.

    Example: niwaki study run quick --out studies/first
    """
    from niwaki.cli import study as commands
    from niwaki.study.request import Request

    request = Request(study, data, seeds, jobs, ray, device, out, trust)
    raise typer.Exit(commands.run(request, dry_run=dry_run, as_json=json, show=show))


@study_app.command("show")
def study_show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A study's folder.")],
    wide: Annotated[bool, typer.Option("--wide", help="All columns; those without room go below.")] = False,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all tables as CSV instead.")] = None,
    json: Json = False,
) -> None:
    """Print the tables of a study, finished or not.

    Example: niwaki study show studies/source --wide
    """
    from niwaki.cli import study as commands

    commands.show(folder, as_json=json, wide=wide, csv=csv)


@study_app.command("copy")
def study_copy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A built-in study: source, quick or camera.")],
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="Where to write it; must not exist.")],
) -> None:
    """Write a built-in study to a file of your own, to change and run.

    Example: niwaki study copy quick mine.toml
    """
    from niwaki.cli import study as commands

    commands.copy(name, file)


@app.command("report")
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A study's folder.")],
    other: Annotated[
        Path | None, typer.Argument(metavar="OTHER", help="A second study's folder: compare the two.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The page that compares two studies; ends in .html.")
    ] = None,
    lang: Annotated[str, typer.Option(help="en or ko.")] = "en",
    show: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    json: Json = False,
) -> None:
    """Write report.html and report.md of a study, finished or not, into its folder.

    With a second folder, write comparison.html, which sets both studies side by side, into the first one:
    niwaki report studies/quick studies/mine

    Example: niwaki report studies/source --open
    """
    from niwaki.cli.report import compare
    from niwaki.cli.report import report as command

    if other is not None:
        compare(folder, other, out=out, language=lang, show=show, as_json=json)
    elif out is not None:
        raise typer.BadParameter("it is for the page that compares two studies: give both folders", param_hint="--out")
    else:
        command(folder, language=lang, show=show, as_json=json)


@app.command("inspect")
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A model file (.safetensors) or an ONNX.")],
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Show the layers of a model file or an ONNX, its parameters, MACs and bytes.

    Example: niwaki inspect studies/source/chosen.safetensors
    """
    from niwaki.cli.inspect import inspect as command

    command(file, as_json=json, trust=trust)


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A model file (.safetensors) or an ONNX.")],
    to: Annotated[list[str], typer.Option(metavar="FORM", help=f"{listed((*CHOICES, 'all'))}; can be repeated.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder that the forms go to.")],
    opset: Annotated[int | None, typer.Option(help="ONNX operator set, 13 to 18; 17 if left out.")] = None,
    prefix: Annotated[str, typer.Option(help="Of every name in the C.")] = "niwaki_model",
    ram_limit: Annotated[
        str | None, typer.Option(metavar="BYTES", help="Fail if the C needs more RAM, as in 8KB.")
    ] = None,
    data: Data = None,
    calibration: Annotated[str, typer.Option(help="minmax, entropy or percentile.")] = "minmax",
    images: Annotated[int, typer.Option(help="Training images to calibrate on.")] = 1000,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Write a model as ONNX, as int8 ONNX, or as integer C that runs anywhere; exit code 1 if a form cannot be made.

    Example: niwaki export studies/source/chosen.safetensors --to c --out small
    """
    from niwaki.cli import deploy as commands

    code = commands.export(
        file, to, out, opset=opset, prefix=prefix, ram_limit=ram_limit, data=data, calibration=calibration,
        images=images, as_json=json, trust=trust,
    )  # fmt: skip
    raise typer.Exit(code)


@app.command("verify")
def verify(
    path: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="An exported folder, a model file or an ONNX.")],
    data: Annotated[
        str | None, typer.Option(help="Images to try it on, if the files do not name them: fashion-mnist, a folder.")
    ] = None,
    images: Annotated[int | None, typer.Option(help="How many; as many as take seconds if left out.")] = None,
    steps: Annotated[int, typer.Option(help="Int8 steps that ONNX Runtime's scores may be off.")] = 3,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Send the same images through every form of a model; exit code 1 if they disagree.

    Example: niwaki verify small
    """
    from niwaki.cli import deploy as commands

    raise typer.Exit(commands.verify(path, data=data, images=images, steps=steps, as_json=json, trust=trust))


@app.command("bench")
def bench(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Model files, ONNX, exported folders.")],
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Time every form of a model in every runtime on this machine, in one run; exit code 1 if one cannot be used.

    Example: niwaki bench studies/source/chosen.safetensors
    """
    from niwaki.cli import deploy as commands

    raise typer.Exit(commands.bench(files, as_json=json, trust=trust))


@app.command("bundle")
def bundle(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A model file, an int8 ONNX, or a folder that was exported.")
    ],
    target: Board,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder that becomes the bundle.")],
    lang: Annotated[str, typer.Option(help="Languages of the words; the first is the usual one.")] = "en,ko",
    sound: Annotated[bool, typer.Option("--sound/--no-sound", help="Words as WAV files, spoken by espeak-ng.")] = True,
    names: Names = None,
    scenes: Scenes = 1000,
    least_named: LeastNamed = 5.0,
    data: Data = None,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Make the folder that is copied to a board and started: camera in, spoken word out.

    Example: niwaki bundle studies/source/chosen.safetensors --target jetson-nano --out nano
    """
    from niwaki.board.options import BundleOptions
    from niwaki.cli import board as commands

    options = BundleOptions(commands.codes(lang), sound, names, scenes, least_named, trust)
    commands.bundle(file, target, out, options, data=data, as_json=json)


@app.command("watch")
def watch(
    file: Annotated[Path, typer.Argument(metavar="FILE|BUNDLE", help="As for niwaki bundle, or a bundle.")],
    source: Annotated[
        str | None, typer.Option(metavar="SPEC", help="v4l2:/dev/video0, file:FILM.y4m, file:FOLDER, pipe:-")
    ] = None,
    speak: Annotated[str | None, typer.Option(metavar="LANGUAGE", help="en or ko.")] = None,
    audio_device: Annotated[str | None, typer.Option(metavar="DEV", help="Of aplay -L, as in plughw:1,0.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print words, speak none.")] = False,
    learn: Annotated[int | None, typer.Option(help="Frames of the empty scene at the start.")] = None,
    no_learn: Annotated[bool, typer.Option("--no-learn", help="Compare with the frame's own border.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="A live view for the browser.")] = False,
    host: Annotated[str | None, typer.Option(help="Address to serve on; others than loopback need a token.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to serve on.")] = None,
    token: Annotated[str | None, typer.Option(help="Who views must know it; made where one is needed.")] = None,
    record: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep frames and decisions.")] = None,
    record_limit: Annotated[int | None, typer.Option(metavar="MB", help="The oldest are removed beyond.")] = None,
    replay: Annotated[Path | None, typer.Option(metavar="DIR", help="Go through a recording again.")] = None,
    frames: Annotated[int | None, typer.Option(help="Stop after so many.")] = None,
    once: Annotated[bool, typer.Option("--once", help="End where there is no camera, instead of waiting.")] = False,
    names: Names = None,
    scenes: Scenes = 1000,
    least_named: LeastNamed = 5.0,
    data: Data = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object for each event, a line each.")] = False,
    trust: Trust = False,
) -> None:
    """Show garments to a camera of this machine, with the same runner as on a board.

    The first start makes a bundle for this machine and keeps it; the next is instant. Ctrl-C ends it.

    Example: niwaki watch studies/source/chosen.safetensors --source v4l2:/dev/video0 --speak ko
    """
    from niwaki.board.options import BundleOptions
    from niwaki.cli import board as commands

    passed = {
        "source": source, "speak": speak, "audio-device": audio_device, "quiet": quiet, "learn": learn,
        "no-learn": no_learn, "serve": serve, "host": host, "port": port, "token": token, "record": record,
        "record-limit": record_limit, "replay": replay, "frames": frames, "once": once, "json": json,
    }  # fmt: skip
    options = BundleOptions(names=names, scenes=scenes, least_named=least_named, trust=trust)
    raise typer.Exit(commands.watch(file, passed, options, data=data))


@app.command("doctor")
def doctor(
    path: Annotated[Path, typer.Argument(metavar="FILE|BUNDLE", help="As for niwaki bundle, or a bundle.")],
    target: Board,
    data: Data = None,
    least_named: LeastNamed = 5.0,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Say whether a bundle suits a board, as far as a desk can tell; exit code 1 if it does not.

    Example: niwaki doctor nano --target jetson-nano
    """
    from niwaki.cli import board as commands

    raise typer.Exit(commands.doctor(path, target, least_named=least_named, data=data, as_json=json, trust=trust))
