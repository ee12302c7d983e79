"""A check before training: whether the data and the networks of a study match."""

from __future__ import annotations

import torch
from torch import nn

from niwaki.data.classes import in_order, shown
from niwaki.data.dataset import Dataset
from niwaki.errors import ModelError, NiwakiError, SpecError, first_line
from niwaki.files import canonical_json
from niwaki.models import factory as factories
from niwaki.models import modelfile
from niwaki.models.examine import check_answers, evaluating
from niwaki.models.generators import generators_kept
from niwaki.models.modelfile import ModelInfo
from niwaki.notify import Notify
from niwaki.study.imports import ModelFiles
from niwaki.study.spec import ModelSpec, StudySpec, resolve
from niwaki.study.structure import one_thread

Shape = tuple[int, int, int]
ARGUMENTS = {  # the names that factories usually use
    "classes": ("num_classes", "n_classes", "nb_classes", "classes", "num_labels", "num_outputs", "outputs"),
    "channels": ("in_channels", "in_chans", "input_channels", "num_channels", "n_channels", "channels"),
    "size": ("image_size", "img_size", "input_size", "resolution", "size"),
}


def fit_data(spec: StudySpec, weights: bytes | None, data: Dataset, *, trust: bool, notify: Notify) -> Dataset:
    """The data with its classes in the order of the model file `weights`, if the study starts from one.

    Raises DataError, ModelError or SpecError if a network of the study does not accept its images or classes.
    """
    if weights is None:
        check_networks(spec, data, trust=trust)
        return data
    info = modelfile.info_of(weights, name=str(spec.model.weights))
    check_import(info, data)
    return in_order(data, info.labels, of=str(spec.model.weights), notify=notify)


def check_import(info: ModelInfo, data: Dataset) -> None:
    """Raise ModelError unless an imported model takes the data's images with their preprocessing."""
    if info.input_shape != data.input_shape:
        raise ModelError(f"the imported model takes {info.input_shape}, but the data gives {data.input_shape}")
    if info.preprocessing != data.preprocessing:
        raise ModelError(
            f"the imported model was made for a preprocessing that differs from the data's: {info.preprocessing} "
            "against "
            f"{data.preprocessing}; set [data.preprocessing] to the model's, or save it with preprocessing=…"
        )


def check_teachers(files: ModelFiles, data: Dataset) -> None:
    """Raise ModelError, naming the file, for a teacher that takes other images or knows other classes than `data`."""
    for name, file in files.imports.teachers.items():
        info = modelfile.info_of(files.contents[file.sha256], name=name)
        try:
            check_import(info, data)
            in_order(data, info.labels, of="the teacher")
        except NiwakiError as error:
            raise ModelError(f"teacher {name}: {error}") from error


def check_networks(spec: StudySpec, data: Dataset, *, trust: bool) -> None:
    """Send made-up images through each network of the study, untrained.

    Raises SpecError, with the key and the value that would fit, if it does not take images like the data's or the
    number of its scores differs from the number of classes; ModelError if its output is random.
    """
    models = {
        canonical_json(settings.model.model_dump(mode="json")): settings.model
        for experiment in spec.experiment
        for _, settings in resolve(spec, experiment)
    }
    for model in models.values():
        with one_thread():
            _check_network(model, data, trust)


def check_outputs(module: nn.Module, data: Dataset) -> None:
    """Raise ModelError if a network takes the data's images but has more or fewer scores than there are classes."""
    with evaluating(module):
        given = _try(module, data.input_shape)
    if isinstance(given, tuple) and len(given) == 2 and given[1] != data.num_classes:
        raise ModelError(
            f"{type(module).__name__} gives {given[1]} scores for an image, but {data.origin} has {data.num_classes} "
            f"classes ({shown(data.labels)}): build it for as many"
        )


def _check_network(model: ModelSpec, data: Dataset, trust: bool) -> None:
    module = factories.build_seeded(model.factory, model.args, 0, trust=trust).eval()
    given = _try(module, data.input_shape)
    if isinstance(given, str):
        raise SpecError(_refused(model, module, data, given))
    if given is not None and given != (2, data.num_classes):
        raise SpecError(_other_classes(model, data, given))
    if given is not None:
        images = torch.rand(2, *data.input_shape, generator=torch.Generator().manual_seed(0))
        check_answers(module, images.to(next((parameter.device for parameter in module.parameters()), None)))


def _try(module: nn.Module, shape: Shape) -> tuple[int, ...] | str | None:
    """The shape of its output for two images; None if it is not a tensor; or why it fails."""
    with generators_kept(), torch.no_grad():
        try:
            device = next((parameter.device for parameter in module.parameters()), None)
            given = module(torch.zeros(2, *shape, device=device))
        except Exception as error:  # a user's module may fail in any way
            return first_line(error)
    return tuple(given.shape) if isinstance(given, torch.Tensor) else None


def _other_classes(model: ModelSpec, data: Dataset, given: tuple[int, ...]) -> str:
    has = f"{data.origin} has {data.num_classes} classes ({shown(data.labels)})"
    if len(given) != 2 or given[0] != 2:
        expected = (2, data.num_classes)
        return f"model.factory = {model.factory!r} gives {given} for 2 images, but {has}: expected {expected}"
    outputs = given[1]
    alike = [name for name, value in model.args.items() if value == outputs and not isinstance(value, bool)]
    key = _argument(model, "classes") or (alike[0] if len(alike) == 1 else None)
    what = f"set model.args.{key} = {data.num_classes}" if key else "give it as many (model.args)"
    return f"model.factory = {model.factory!r} gives {outputs} scores for an image, but {has}: {what}"


def _refused(model: ModelSpec, module: nn.Module, data: Dataset, reason: str) -> str:
    """Why it does not take such images, found by trying others, and what to set."""
    channels, height, width = data.input_shape
    images = f"the images of {data.name if data.synthetic else data.origin}, {_shape(data.input_shape)}"
    side, other = _value(model, "size"), 4 - channels
    square = (side, side) if side else (height, width)
    likely = ((other, height, width), (channels, *square), (other, *square))
    taken = next((shape for shape in likely if shape != data.input_shape and _works(module, shape)), None)
    if taken is None:
        return (
            f"model.factory = {model.factory!r} does not take {images} ({reason}): "
            "set model.args, or data.preprocessing (size, pad, color), so that they fit"
        )
    ways = " or ".join(way for way in (_of_the_model(model, data, taken), _of_the_data(data, taken)) if way)
    return f"model.factory = {model.factory!r} takes {_shape(taken)}, not {images}: set {ways}"


def _of_the_model(model: ModelSpec, data: Dataset, taken: Shape) -> str:
    """The arguments with which the network would take the images; empty if unknown."""
    channels, height, width = data.input_shape
    changes = []
    if taken[0] != channels:
        changes.append((_argument(model, "channels"), channels))
    if taken[1:] != (height, width):
        changes.append((_argument(model, "size") if height == width else None, height))
    if any(name is None for name, _ in changes):
        return ""
    return " and ".join(f"model.args.{name} = {value}" for name, value in changes)


def _of_the_data(data: Dataset, taken: Shape) -> str:
    """The preprocessing that would give such images; empty if the padding alone is too wide."""
    pad, changes = data.preprocessing.pad, []
    if taken[0] != data.input_shape[0]:
        changes.append(f'data.preprocessing.color = "{"grey" if taken[0] == 1 else "rgb"}"')
    if taken[1:] != data.input_shape[1:]:
        height, width = (side - 2 * pad for side in taken[1:])
        if min(height, width) < 1:
            return ""
        changes.append(f"data.preprocessing.size = [{height}, {width}]" + (f" (the pad of {pad} is added)" * (pad > 0)))
    return " and ".join(changes)


def _shape(shape: Shape) -> str:
    return "×".join(map(str, shape))


def _works(module: nn.Module, shape: Shape) -> bool:
    return not isinstance(_try(module, shape), str)


def _argument(model: ModelSpec, kind: str) -> str | None:
    """The factory's argument for the number of classes or channels, or the size of its images."""
    known = {*model.args, *factories.parameters(model.factory)}
    return next((name for name in ARGUMENTS[kind] if name in known), None)


def _value(model: ModelSpec, kind: str) -> int | None:
    name = _argument(model, kind)
    if name is None:
        return None
    default = factories.parameters(model.factory).get(name)
    value = model.args.get(name, default.default if default is not None else None)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
