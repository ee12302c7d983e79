"""The commands: their options, their help, and the functions that run them; those for boards are in board_commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from niwaki.cli import board_commands, firmware_commands, import_command, search_commands
from niwaki.cli.options import Data, Json, Labels, Preprocessing, RamLimit, Serial, Trust
from niwaki.cli.usage import Commands
from niwaki.cli.version import print_version
from niwaki.data.datasets import BUILT_IN
from niwaki.deploy.formats import CHOICES, PROJECTS
from niwaki.device.text import listed

app = typer.Typer(
    name="niwaki",
    cls=Commands,
    help="Shrink a PyTorch image classifier to fit a device, and measure what that costs.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
study_app = typer.Typer(cls=Commands, help="Run studies and show their tables.", no_args_is_help=True)
app.add_typer(study_app, name="study")


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with each error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="With --version: print what a bug report needs.")] = False,
) -> None:
    """Shrink a PyTorch image classifier to fit a device, and measure what that costs."""
    context.obj = debug
    print_version(asked=version, verbose=verbose)


@study_app.command("run")
def study_run(
    study: Annotated[
        str, typer.Argument(metavar="NAME|FILE.toml", help="Built-in study (source, quick, camera, bytes) or a file.")
    ] = "source",
    data: Annotated[str | None, typer.Option(help=f"{', '.join(BUILT_IN)}, or a folder.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds; tables show mean ± std.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Worker processes; default: one per processor.")] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on a Ray cluster (auto, or host:port).")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="The study's folder; default: studies/NAME.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan without reading data or training.")] = False,
    show: Annotated[bool, typer.Option("--open", help="Open the report in a browser when done.")] = False,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Run a study, or resume it.

    Finished stages are stored and do not run again. To resume after Ctrl-C or a crash, repeat the command.

    Example: niwaki study run quick --out studies/first
    """
    from niwaki.cli import study as commands
    from niwaki.study.request import Request

    request = Request(study, data, seeds, jobs, ray, device, out, trust)
    raise typer.Exit(commands.run(request, dry_run=dry_run, as_json=json, show=show))


@study_app.command("show")
def study_show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A study's folder.")],
    wide: Annotated[bool, typer.Option("--wide", help="Show all columns, in several blocks if needed.")] = False,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all tables as CSV instead.")] = None,
    json: Json = False,
) -> None:
    """Print a study's tables, even while it runs.

    Example: niwaki study show studies/source --wide
    """
    from niwaki.cli import study as commands

    commands.show(folder, as_json=json, wide=wide, csv=csv)


@study_app.command("copy")
def study_copy(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A built-in study: source, quick, camera or bytes.")],
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="The file to create.")],
) -> None:
    """Copy a built-in study to a file, to edit and run.

    Example: niwaki study copy quick mine.toml
    """
    from niwaki.cli import study as commands

    commands.copy(name, file)


@study_app.command("new")
def study_new(
    images: Annotated[
        Path,
        typer.Argument(metavar="IMAGES", help="A folder of images, a .csv or .npz file, or a folder of IDX files."),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="The file to create; default: NAME.toml.")
    ] = None,
    factory: Annotated[str, typer.Option(help="Your network: package.module:callable.")] = "lenet5",
    args: Annotated[str, typer.Option(metavar="TOML", help="Its arguments, as in 'width = 16, name = \"a\"'.")] = "",
    trust: Trust = False,
) -> None:
    """Write a study of your own images: a commented file, ready to run.

    niwaki proposes size, colour and shares for validation and test from the images.
    It leaves out files that cannot be read, and names them.

    Example: niwaki study new photos --factory mynet:Net --trust
    """
    from niwaki.cli import study as commands

    commands.new(images, out, factory=factory, args=args, trust=trust)


@app.command("report")
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A study's folder.")],
    other: Annotated[
        Path | None, typer.Argument(metavar="OTHER", help="A second study's folder, to compare with.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The comparison's file; ends in .html.")] = None,
    lang: Annotated[str, typer.Option(help="Language: en or ko.")] = "en",
    show: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    json: Json = False,
) -> None:
    """Write a study's report.html and report.md into its folder, even while it runs.

    With a second folder, write comparison.html, with both studies side by side, into the first folder:
    niwaki report studies/quick studies/mine

    Example: niwaki report studies/source --open
    """
    from niwaki.cli.report import report as command

    command(folder, other, out=out, language=lang, show=show, as_json=json)


@app.command("inspect")
def inspect(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A model file (.safetensors), an ONNX or a TensorFlow Lite file.")
    ],
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Measure what pruning or rounding each layer alone costs.")
    ] = False,
    data: Annotated[
        str | None, typer.Option(help="Images for --sensitivity, if the file names none: fashion-mnist or a folder.")
    ] = None,
    images: Annotated[
        int | None, typer.Option(min=1, help="Validation images for --sensitivity; default: all of them.")
    ] = None,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Show a model's layers, parameters, MACs and bytes, and how sensitive its accuracy is to each layer.

    Example: niwaki inspect studies/source/chosen.safetensors --sensitivity
    """
    from niwaki.cli.inspect import inspect as command

    command(file, sensitivity=sensitivity, data=data, images=images, as_json=json, trust=trust)


@app.command("export")
def export(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A model file (.safetensors), an ONNX or a TensorFlow Lite file.")
    ],
    to: Annotated[
        list[str], typer.Option(metavar="FORM", help=f"{listed((*CHOICES, *PROJECTS, 'all'))}; repeat for more.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write to.")],
    opset: Annotated[
        int | None, typer.Option(help="ONNX operator set, 13 to 18; default: 17, or 18 if the network needs it.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Prefix of every name in the C code.")] = "niwaki_model",
    ram_limit: RamLimit = None,
    data: Data = None,
    preprocessing: Preprocessing = "",
    labels: Labels = None,
    calibration: Annotated[str, typer.Option(help="Method: minmax, entropy or percentile.")] = "minmax",
    images: Annotated[int, typer.Option(help="Number of calibration images.")] = 1000,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Write a model as ONNX, int8 ONNX, integer C, or a project for a microcontroller; exit code 1 if a form fails.

    Example: niwaki export studies/source/chosen.safetensors --to c --out small
    """
    from niwaki.cli import deploy as commands

    code = commands.export(
        file, to, out, commands.Said(preprocessing, labels), opset=opset, prefix=prefix,
        ram_limit=commands.bytes_of(ram_limit), data=data, calibration=calibration, images=images, as_json=json,
        trust=trust,
    )  # fmt: skip
    raise typer.Exit(code)


@app.command("quantize")
def quantize(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A model file (.safetensors) or a float ONNX file.")],
    out: Annotated[Path, typer.Option(metavar="FILE.onnx", help="The int8 ONNX to write.")],
    kind: Annotated[str, typer.Option(help="static: calibrate only; qat: also train with rounding.")] = "static",
    bits: Annotated[int, typer.Option(help="Bits of each weight: 8, 4 or 2.")] = 8,
    layer_bits: Annotated[
        list[str] | None, typer.Option(metavar="LAYER=BITS", help="Bits of some layers, as in fc3=8; repeat for more.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="qat only: passes over the training images; default: 10.")] = None,
    lr: Annotated[float | None, typer.Option(help="qat only: learning rate; default: 0.001.")] = None,
    teacher: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="qat only: a model to learn from.")] = None,
    data: Data = None,
    calibration: Annotated[str, typer.Option(help="Method: minmax, entropy or percentile.")] = "minmax",
    images: Annotated[int, typer.Option(help="Number of calibration images.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the order of images.")] = 0,
    device: Annotated[str, typer.Option(help="Where to train: cpu or cuda.")] = "cpu",
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Make an int8 ONNX, with weights of 8, 4 or 2 bits, and measure what that costs.

    Example: niwaki quantize studies/source/chosen.safetensors --kind qat --bits 4 --out small4.onnx
    """
    from niwaki.cli import deploy as commands

    recipe = commands.Recipe(kind, layer_bits, epochs, lr, teacher)
    commands.quantize(
        file, out, recipe, bits=bits, data=data, calibration=calibration, images=images, seed=seed, device=device,
        as_json=json, trust=trust,
    )  # fmt: skip


app.command("compress")(search_commands.compress)
app.command("cost")(firmware_commands.cost)


@app.command("verify")
def verify(
    path: Annotated[
        Path, typer.Argument(metavar="DIR|FILE", help="An exported folder, a model file, an ONNX or a .tflite file.")
    ],
    data: Annotated[
        str | None, typer.Option(help="Test images, if the files name none: fashion-mnist or a folder.")
    ] = None,
    images: Annotated[
        int | None, typer.Option(help="Number of images; default: as many as take a few seconds.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Tolerance for ONNX Runtime's scores, in int8 steps.")] = 3,
    preprocessing: Preprocessing = "",
    labels: Labels = None,
    serial: Serial = None,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Run the same images through every form of a model; exit code 1 if they disagree.

    Example: niwaki verify small
    """
    from niwaki.cli import deploy as commands

    said = commands.Said(preprocessing, labels)
    code = commands.verify(path, said, data=data, images=images, steps=steps, serial=serial, as_json=json, trust=trust)
    raise typer.Exit(code)


@app.command("bench")
def bench(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Model files, ONNX files, .tflite files or exported folders."),
    ],
    serial: Serial = None,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Time every form of a model in every runtime on this machine, or a board; exit code 1 if one fails.

    Example: niwaki bench studies/source/chosen.safetensors
    """
    from niwaki.cli import deploy as commands

    raise typer.Exit(commands.bench(files, serial=serial, as_json=json, trust=trust))


app.command("import")(import_command.import_weights)
app.command("bundle")(board_commands.bundle)
app.command("watch")(board_commands.watch)
app.command("doctor")(board_commands.doctor)
