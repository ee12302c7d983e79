"""The forms of a finished model: inspect it, export it, check that the forms agree, time them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from niwaki.api.teaching import Named_or_several, several, teachers_of
from niwaki.arguments import checked, settings_of, text_of
from niwaki.callbacks.events import Callbacks, Done, EpochEnd
from niwaki.data.dataset import Dataset
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import Setting, SpecError
from niwaki.models.accelerator import check_device
from niwaki.notify import Notify, logged, silent
from niwaki.training.settings import QatSettings, QuantizeSettings

if TYPE_CHECKING:  # ONNX and ONNX Runtime are loaded only by the functions that need them
    from niwaki.compiled.library import CModel
    from niwaki.deploy.bench import BenchReport
    from niwaki.deploy.compare_forms import Progress
    from niwaki.deploy.export import ExportReport
    from niwaki.deploy.quantizing import QuantizeReport
    from niwaki.deploy.verify import VerifyReport
    from niwaki.measure.facts import ModelFacts, OnnxFacts


@checked
def inspect(file: str | Path, *, trust: bool = False) -> ModelFacts | OnnxFacts:
    """The content of a model file or an ONNX file: `cost` (parameters, MACs, bytes, layers), input shape, labels.

    Of an int8 ONNX, `c` holds what the generated C stores: bits and packed bytes of each layer's weights. A .tflite
    file is shown as the int8 ONNX that it becomes. Raises ModelError if the file is none of these, or cannot be read.

    >>> facts = niwaki.inspect("small.safetensors")
    >>> facts.cost.params, facts.info.input_shape
    (61706, (1, 32, 32))
    """
    from niwaki.deploy.facts import facts_of

    return facts_of(Path(file), trust=trust)


@checked
def export(
    file: str | Path,
    out: str | Path,
    *,
    to: str | Sequence[str] = "all",
    data: str | Path | None = None,
    preprocessing: Preprocessing | Mapping[str, object] | None = None,
    labels: tuple[str, ...] | list[str] | None = None,
    opset: int | None = None,
    prefix: str = "niwaki_model",
    ram_limit: int | None = None,
    trust: bool = False,
    notify: Notify | None = None,
    **settings: Any,
) -> ExportReport:
    """Export a model file or an ONNX file to the folder `out`: as onnx, onnx-int8, onnx-dynamic, c, or all.

    As arduino, platformio, esp-idf, zephyr or cmake it also becomes a project for a microcontroller, in a folder of
    that name with examples; the int8 ONNX comes with it.
    `file` may also be an int8 .tflite file, which becomes onnx-int8 and c. `data` names the dataset whose training
    images calibrate int8, if the file names none; of another tool's int8 file whose output is float, they give its
    range. `preprocessing` says how pixels become the input of an ONNX that does not say so, `labels` are the names of
    its classes. `ram_limit` is in bytes: if the C needs more, some layers run by stripes of rows. `settings` are those
    of `[quantize]` (calibration, images, percentile). Raises NiwakiError if no form can be made.

    >>> niwaki.export("small.safetensors", "int8", to=["onnx-int8", "c"], images=100)
    <ExportReport int8: model, onnx-int8, c>
    """
    from niwaki.deploy.export import export_file
    from niwaki.deploy.formats import INT8, PROJECTS
    from niwaki.deploy.forms import ExportOptions
    from niwaki.firmware.projects import write_projects

    how = stated(preprocessing)
    settled = settings_of(QuantizeSettings, settings)
    options = ExportOptions(opset, prefix, ram_limit, settled, trust, how, tuple(labels or ()))
    asked = (to,) if isinstance(to, str) else to
    kinds = [form for form in asked if form in PROJECTS]
    forms = [*(form for form in asked if form not in PROJECTS), *([INT8] if kinds else [])]
    tell, images = notify or logged, text_of(data)
    report = export_file(Path(file), forms, Path(out), data=images, options=options, notify=tell)
    if not kinds or INT8 in report.missing:
        return report
    written = write_projects(Path(out), kinds, prefix=prefix, ram_limit=ram_limit, data=images, notify=tell)
    return replace(report, projects=written.places, notes=(*report.notes, *written.notes))


def stated(given: object) -> Preprocessing | None:
    """Preprocessing from its settings. Raises SpecError if they are no settings, or wrong ones."""
    if given is None or isinstance(given, Preprocessing):
        return given
    if not isinstance(given, Mapping):
        return settings_of(Preprocessing, given, "preprocessing")  # which says that it is none
    try:
        return settings_of(Preprocessing, given, "preprocessing")
    except SpecError as error:
        raise SpecError(Setting("preprocessing"), ": ", *error.args) from error


@checked
def quantize(
    file: str | Path,
    out: str | Path,
    *,
    data: str | Path | Dataset | None = None,
    teacher: Named_or_several = None,
    train: Mapping[str, Any] | int | None = None,
    seed: int = 0,
    device: str = "cpu",
    trust: bool = False,
    callbacks: Sequence[object] = (),
    notify: Notify | None = None,
    **settings: Any,
) -> QuantizeReport:
    """Write the int8 ONNX of a model file or a float ONNX to `out`, and measure both on validation and test images.

    `settings` are those of `[quantize]` (kind, bits, layer_bits, calibration, images). With `kind="qat"` the network is
    trained with its weights and activations rounded: `train` are the settings of `[quantize.train]` (epochs, lr, …), or
    the number of epochs; `teacher` is a trained module or a model file, or a list. `data` is a dataset or the name of
    one; without it, niwaki takes the one that the file names. `callbacks` are called after every epoch.

    Raises NiwakiError if the file cannot be used, or if there are no images.

    >>> niwaki.quantize("small.safetensors", "small4.onnx", kind="qat", bits=4, train=1)  # doctest: +ELLIPSIS
    <QuantizeReport small4.onnx: ... %, float ... %>
    """
    from niwaki.deploy.quantizing import QuantizeOptions, quantize_file

    heard = Callbacks(callbacks)
    recipe = {"epochs": train} if isinstance(train, int) and not isinstance(train, bool) else train
    if recipe is not None:
        settings["train"] = settings_of(QatSettings, recipe, "train")
    check_device(device)
    how = settings_of(QuantizeSettings, settings)
    named = several(teacher)  # refused, if at all, before any work
    images = data if isinstance(data, Dataset) else text_of(data)
    options = QuantizeOptions(
        how, images, lambda found: teachers_of(named, found, trust=trust), seed, device, trust, notify or logged,
        lambda number, epoch: heard.on_epoch(
            EpochEnd("quantize", 0, number, how.train.epochs, epoch.loss, epoch.validation_accuracy)
        ),
    )  # fmt: skip
    report = quantize_file(Path(file), Path(out), options)
    heard.on_done(Done(True, metrics={"validation": report.after.validation, "test": report.after.test}))
    return report


@checked
def verify(
    path: str | Path,
    *,
    data: str | Path | None = None,
    images: int | None = None,
    steps: int = 3,
    preprocessing: Preprocessing | Mapping[str, object] | None = None,
    labels: tuple[str, ...] | list[str] | None = None,
    serial: str | None = None,
    trust: bool = False,
    notify: Notify | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Run the same images through every form of an exported folder, a model, ONNX or .tflite file; `ok` if all agree.

    `data` names the dataset with the test images, if the files name none; `images` is how many to use. A score from
    ONNX Runtime's int8 may differ from the integer reference by `steps` int8 steps. `preprocessing` and `labels` are as
    in `export`, for a file that does not say them. `serial` is a port, as in
    "/dev/ttyACM0" or "COM3:115200", with a board that runs the `Serial` example of the folder's project: one more form.

    >>> niwaki.verify("small.safetensors", images=20).ok
    True
    """
    from niwaki.deploy.verify import VerifyOptions, verify_file

    tell, show = notify or logged, progress or silent
    options = VerifyOptions(images, steps, trust, stated(preprocessing), tuple(labels or ()))
    if serial is not None:
        from niwaki.firmware.on_board import verify_on_board

        return verify_on_board(Path(path), serial, data=text_of(data), options=options, notify=tell, progress=show)
    return verify_file(Path(path), data=text_of(data), options=options, notify=tell, progress=show)


@checked
def bench(
    files: str | Path | Sequence[str | Path],
    *,
    rounds: int = 100,
    serial: str | None = None,
    trust: bool = False,
    notify: Notify | None = None,
) -> BenchReport:
    """The time for one image in every form and runtime on this machine, in microseconds, all measured in one run.

    `files` is a model, ONNX or .tflite file or an exported folder, or a list of them to compare. niwaki times them in
    turn, `rounds` times or for a minute. With `serial`, a port, only the board there is timed, by its own clock;
    `files` is the folder of its project. Raises NiwakiError if there is nothing to time.

    >>> report = niwaki.bench("exported", rounds=3)
    >>> sorted({row.runtime for row in report.rows})
    ['C', 'C, in a loop', 'ONNX Runtime', 'torch']
    """
    from niwaki.deploy.bench import bench_files

    several = [files] if isinstance(files, str | Path) else list(files) if isinstance(files, Sequence) else [files]
    if not all(isinstance(file, str | Path) for file in several):
        raise SpecError(f"files = {files!r}: expected a path, or a list of paths")
    if serial is not None:
        from niwaki.firmware.on_board import bench_on_board

        if len(several) != 1:
            raise SpecError(Setting("serial"), f" times one board: give one folder, not {len(several)}")
        return bench_on_board(Path(several[0]), serial, notify=notify or logged)
    return bench_files([Path(file) for file in several], rounds=rounds, trust=trust, notify=notify or logged)


@checked
def load_c(folder: str | Path, *, trust: bool = False) -> CModel:
    """The generated C of an exported folder, compiled for this machine: uint8 (n, C, H, W) to int8 (n, classes).

    niwaki compiles only C that matches what it generates itself from the int8 ONNX file beside it; with `trust` it
    compiles and runs any C in the folder. Raises NiwakiError if the C differs and is not trusted, or if there is no C
    compiler.

    >>> scores = niwaki.load_c("exported/c")(data.test.images)
    >>> scores.shape, scores.dtype
    ((60, 10), dtype('int8'))
    """
    from niwaki.compiled.library import CModel
    from niwaki.deploy.own import own_files_beside

    return CModel(folder, files=None if trust else own_files_beside(Path(folder)))
