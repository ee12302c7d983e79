"""What niwaki does, as functions for Python: a study's steps, whole studies, a finished model's forms and bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from torch import nn

from niwaki.arguments import check_data, check_factory, check_pair, check_split, settings_of, warn
from niwaki.data.classes import in_order, places_of
from niwaki.data.dataset import Dataset, open_dataset
from niwaki.data.datasets import built_in, kind_of
from niwaki.data.prepare import prepare
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.spec import DataSpec
from niwaki.errors import SpecError
from niwaki.measure.accuracy import Accuracy, Predict
from niwaki.measure.accuracy import evaluate as measure_accuracy
from niwaki.measure.predict import torch_predictor
from niwaki.models import modelfile
from niwaki.models.accelerator import check_device
from niwaki.models.class_names import remember, remembered
from niwaki.models.examine import check_answers, check_bare, check_module, check_numbers
from niwaki.models.modelfile import ModelInfo, load, read_info
from niwaki.models.pixels import pixel_scale
from niwaki.models.provenance import Provenance
from niwaki.notify import silent
from niwaki.randomness import derive_seed
from niwaki.study.fitting import check_outputs
from niwaki.study.listener import Listener, Silent
from niwaki.study.request import Request
from niwaki.study.run import RunOptions
from niwaki.study.run import run_study as run
from niwaki.study.scheduler import StudyResult
from niwaki.training.prune import COMPARED, Given, PruneReport, prune_step
from niwaki.training.settings import FinetuneSettings, PruneSettings, QuantizeSettings, TrainSettings
from niwaki.training.train import Epoch, Training, fit, resting_norms, sample, tensor_of

if TYPE_CHECKING:  # ONNX and its runtime are only loaded for what needs them
    from niwaki.board.build import BundleReport
    from niwaki.compiled.library import CModel
    from niwaki.deploy.compare_forms import Progress
    from niwaki.deploy.export import ExportReport
    from niwaki.deploy.verify import VerifyReport


def load_data(name_or_folder: str | Path = "fashion-mnist", **settings: Any) -> Dataset:
    """A dataset, decoded once and memory-mapped: training, validation and test images as uint8 (N, C, H, W).

    `name_or_folder` is fashion-mnist, synthetic, a folder with a folder of images per class, or an .npz file;
    `settings` are those of a study's `[data]` section (`limit=1000`, `preprocessing={"size": [32, 32]}`).

    Copies among the images are told in warnings. Raises NiwakiError if it cannot be had or is damaged.
    """
    if built_in(name_or_folder):
        settings = {"name": name_or_folder, **settings}
    else:
        settings = {"name": kind_of(name_or_folder), "path": name_or_folder, **settings}
    data = open_dataset(prepare(settings_of(DataSpec, settings)))
    for note in data.notes:
        warn(f"{data.origin}: {note}")
    return data


def train(model: nn.Module, data: Dataset, *, seed: int = 0, device: str = "cpu", **settings: Any) -> list[Epoch]:
    """Train `model` in place. `settings` are those of `[train]`: epochs (0 leaves it as it is), batch_size, lr, …

    A model that knows these classes in another order (it was loaded, or trained before) keeps its order, with a
    warning. Norms that you froze and put in eval mode (in a model that is in training mode) stay as they are.

    Raises NiwakiError for a network that cannot be trained as it is: one that answers at random, all frozen, with NaN,
    or with another number of scores than there are classes.
    """
    check_pair(model, data)
    recipe = settings_of(TrainSettings, settings)
    check_device(device)
    data = _as_the_model_counts(model, data)
    check_outputs(model, data)
    remember(model, data.labels)
    training = Training(data.validation, seed, device=device, resting=resting_norms(model))
    return fit(model, data.train, data.preprocessing, recipe, training)


def prune(
    model: nn.Module,
    data: Dataset,
    *,
    seed: int = 0,
    finetune: Mapping[str, Any] | None = None,
    device: str = "cpu",
    after_step: Callable[[PruneReport], None] | None = None,
    **settings: Any,
) -> list[PruneReport]:
    """Prune `model` in place in steps, with fine-tuning after each if `finetune` says how.

    `settings` are those of `[prune]` (ratio, steps, scope, importance, distribution), `finetune` those of
    `[finetune]` (epochs, lr, …). `after_step` is called with the report of each step, once it is fine-tuned.

    Raises NiwakiError for a network that cannot be pruned: one that answers at random in eval mode, with NaN, or in
    which no layer can lose channels.
    """
    check_pair(model, data)
    how = settings_of(PruneSettings, settings)
    check_device(device)
    recover = settings_of(FinetuneSettings, {"epochs": 0} if finetune is None else finetune, "finetune")
    data = _as_the_model_counts(model, data)
    check_bare(model)
    check_numbers(model)
    check_answers(model.cpu(), sample(data, 2, seed)[0])
    resting = resting_norms(model)
    reports: list[PruneReport] = []
    original: dict[str, int] | None = None
    for step in range(1, how.steps + 1):
        step_seed = derive_seed(seed, "prune", step)
        gradients = sample(data, how.taylor_images, step_seed) if how.importance == "taylor" else None
        state = reports[-1].state if reports else None
        given = Given(state, original, sample(data, COMPARED, step_seed)[0], gradients, step_seed)
        report = prune_step(model.cpu(), how, data.input_shape, step=step, given=given)
        original = original or {name: report.widths[name] + gone for name, gone in report.removed.items()}
        if recover.epochs:
            training = Training(data.validation, seed, "finetune", step, device, resting)
            fit(model, data.train, data.preprocessing, recover, training)
        reports.append(report)
        if after_step:
            after_step(report)
    return reports


def evaluate(
    model: nn.Module,
    data: Dataset,
    split: Literal["train", "validation", "test"] = "test",
    *,
    labels: Sequence[str] | None = None,
    device: str = "cpu",
) -> Accuracy:
    """Accuracy in percent, per class, and the confusion matrix of a model on one split of the data, in its order.

    `labels` are the names of the model's outputs, if they are not those that it was loaded or trained with. Classes
    are compared by name: with a warning where the model has them in another order than the data.

    Raises DataError where the names are not the same; ModelError for a network whose figure would mean nothing: one
    that answers at random, or with NaN in it.
    """
    check_pair(model, data)
    check_split(split)
    part = getattr(data, split)
    check_device(device)
    check_numbers(model)
    table = data.preprocessing.table()
    check_answers(model.to(device), pixel_scale(table, device)(tensor_of(part.images[:2]).to(device)))
    predict = torch_predictor(model, table, device)
    named = tuple(labels) if labels is not None else remembered(model)
    if named is not None and named != data.labels:
        in_order(data, named, notify=warn)
        predict = _reordered(predict, places_of(data.labels, named))
    return measure_accuracy(predict, part.images, part.labels, data.num_classes)


def save(
    model: nn.Module,
    path: str | Path,
    *,
    factory: str,
    args: Mapping[str, Any] | None = None,
    data: Dataset | None = None,
    input_shape: tuple[int, int, int] | None = None,
    labels: tuple[str, ...] | list[str] | None = None,
    preprocessing: Preprocessing | None = None,
) -> Path:
    """Write a trained model of your own as a model file; a study can start from it (`[model] weights = …`).

    `factory` names what builds the module: `lenet5`, or `package.module:callable`, called with `args`. The
    input shape, labels and preprocessing come from `data`, or are given one by one; with `data` the file also says
    on which images it was trained, so that exports are calibrated and verified on them.

    Raises ModelError if the file would not give the same model back.
    """
    check_module(model)
    check_factory(factory)
    if data is not None:
        check_data(data)
        input_shape, labels = input_shape or data.input_shape, labels or _as_the_model_counts(model, data).labels
        preprocessing = preprocessing or data.preprocessing
    if input_shape is None or labels is None or preprocessing is None:
        raise SpecError("save needs data=…, or input_shape, labels and preprocessing")
    info = ModelInfo(
        factory=factory, args=dict(args or {}), input_shape=input_shape, labels=tuple(labels),
        preprocessing=preprocessing, provenance=Provenance() if data is None else Provenance.of(data),
    )  # fmt: skip
    return modelfile.save(model, path, info)


def export(
    file: str | Path,
    out: str | Path,
    *,
    to: str | Sequence[str] = "all",
    data: str | Path | None = None,
    opset: int | None = None,
    prefix: str = "niwaki_model",
    ram_limit: int | None = None,
    trust: bool = False,
    notify: Callable[[str], None] | None = None,
    **settings: Any,
) -> ExportReport:
    """Write forms of a model file or an ONNX into the folder `out`: onnx, onnx-int8, onnx-dynamic, c, or all.

    `data` names the dataset whose training images calibrate int8, where the file does not; `ram_limit` is in bytes;
    `settings` are those of `[quantize]` (calibration, images, percentile). Raises NiwakiError for what cannot be used.
    """
    from niwaki.deploy.export import export_file
    from niwaki.deploy.forms import ExportOptions

    options = ExportOptions(opset, prefix, ram_limit, settings_of(QuantizeSettings, settings), trust)
    forms = (to,) if isinstance(to, str) else to
    tell = notify or silent
    return export_file(Path(file), forms, Path(out), data=_text(data), options=options, notify=tell)


def bundle(
    file: str | Path,
    out: str | Path,
    *,
    target: str,
    languages: Sequence[str] = ("en", "ko"),
    sound: bool = True,
    names: str | Path | None = None,
    scenes: int = 1000,
    least_named: float = 5.0,
    data: str | Path | None = None,
    trust: bool = False,
    notify: Callable[[str], None] | None = None,
) -> BundleReport:
    """Make the folder `out` that is copied to a board and started there: `target` is jetson-nano, raspberry-pi, …

    `names` is a JSON file with words of your own, `scenes` how many made-up scenes rejection is calibrated on,
    `least_named` the percent of these with a garment that must get a name, `data`
    the images for it where the file does not name them. Raises NiwakiError for what cannot be used.
    """
    from niwaki.board.build import bundle_file
    from niwaki.board.options import BundleOptions

    words = None if names is None else Path(names)
    options = BundleOptions(tuple(languages), sound, words, scenes, least_named, trust)
    tell = notify or silent
    return bundle_file(Path(file), target, Path(out), options=options, data=_text(data), notify=tell)


def verify(
    path: str | Path,
    *,
    data: str | Path | None = None,
    images: int | None = None,
    steps: int = 3,
    trust: bool = False,
    notify: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Send the same images through every form of an exported folder, a model file or an ONNX; `ok` if all agree.

    `data` names the dataset whose test images they are, where the files do not; `images` how many.
    A score of ONNX Runtime's int8 may differ from that of the integer reference by `steps` int8 steps.
    """
    from niwaki.deploy.verify import VerifyOptions, verify_file

    tell, show = notify or silent, progress or silent
    options = VerifyOptions(images, steps, trust)
    return verify_file(Path(path), data=_text(data), options=options, notify=tell, progress=show)


def load_c(folder: str | Path, *, trust: bool = False) -> CModel:
    """The generated C of an exported folder, compiled for this processor: uint8 (n, C, H, W) to int8 (n, classes).

    It is compiled if it is what niwaki generates from the int8 ONNX beside it; `trust` compiles and runs whatever lies
    there. Raises NiwakiError where it is neither, and where there is no C compiler.

    >>> niwaki.load_c("exported/c")(data.test.images).argmax(1)              # doctest: +SKIP
    """
    from niwaki.compiled.library import CModel
    from niwaki.deploy.own import own_files_beside

    return CModel(folder, files=None if trust else own_files_beside(Path(folder)))


def run_study(
    name_or_file: str | Path = "source",
    *,
    out: str | Path | None = None,
    data: str | Path | None = None,
    seeds: int | None = None,
    jobs: int | None = None,
    ray: str | None = None,
    device: str = "cpu",
    trust: bool = False,
    listener: Listener | None = None,
) -> StudyResult:
    """Run a study, or what is missing of it, as `niwaki study run` does; without a listener, silently."""
    request = Request(
        str(name_or_file), _text(data), seeds, jobs, ray, device, None if out is None else Path(out), trust
    )
    spec = request.spec()
    options = RunOptions(request.folder, request.data, jobs, ray, request.torch_device, trust, request.paths)
    return run(spec, options, listener or Silent())


def _as_the_model_counts(model: nn.Module, data: Dataset) -> Dataset:
    """The data with its classes in the order of the model, if that knows the same ones."""
    labels = remembered(model)
    known = labels is not None and places_of(data.labels, labels) is not None
    return in_order(data, labels, notify=warn) if labels is not None and known else data


def _reordered(predict: Predict, places: np.ndarray | None) -> Predict:
    """A model's scores in the order of the data's classes."""

    def by_name(pixels: np.ndarray) -> np.ndarray:
        scores = predict(pixels)
        return scores[:, places] if places is not None and scores.shape[1] == len(places) else scores

    return by_name


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)


__all__ = [
    "bundle", "evaluate", "export", "load", "load_c", "load_data", "prune", "read_info", "run_study", "save", "train",
    "verify",
]  # fmt: skip
