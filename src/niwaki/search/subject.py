"""What is compressed: a model file, a study's folder or a factory; with the data that it is for."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from niwaki.data.dataset import Dataset, open_dataset
from niwaki.data.datasets import built_in, kind_of
from niwaki.data.prepare import prepare
from niwaki.data.spec import DataSpec
from niwaki.errors import DataError, ModelError, Setting, SpecError, guess
from niwaki.files import sha256_of
from niwaki.models import factory as factories
from niwaki.models import modelfile
from niwaki.models.examine import check_numbers
from niwaki.models.modelfile import ModelInfo
from niwaki.notify import Notify
from niwaki.search.blueprint import Blueprint
from niwaki.search.groups import blueprint_of
from niwaki.search.space import Values
from niwaki.study.fitting import check_import, check_networks, fit_data
from niwaki.study.spec import Experiment, ModelSpec, StudySpec
from niwaki.study.store import CHOSEN


@dataclass(frozen=True)
class Subject:
    """The network to compress, what it was made from, and the images for it."""

    name: str
    model: ModelSpec
    weights: bytes | None
    """The model file of a trained network; None for a factory."""
    data: Dataset
    folder: Path
    """Where the decoded data is: workers open it themselves."""

    @property
    def weights_sha256(self) -> str | None:
        """What identifies the weights."""
        return sha256_of(self.weights) if self.weights is not None else None

    def blueprint(self, args: Values, *, trust: bool) -> Blueprint:
        """What the network costs with any widths and bits, built with other arguments if there are `args`."""
        if self.weights is not None and not args:
            model, info = modelfile.loads(self.weights, trust=trust, name=self.name)
            return blueprint_of(model, info)
        spec = self.with_args(args)
        if args:
            try:
                check_networks(_study(spec), self.data, trust=trust)
            except SpecError as error:
                raise SpecError(f"space: args: {error}") from error
        model = factories.build_seeded(spec.factory, spec.args, 0, trust=trust)
        info = ModelInfo(
            factory=spec.factory, args=spec.args, input_shape=self.data.input_shape, labels=self.data.labels,
            preprocessing=self.data.preprocessing,
        )  # fmt: skip
        return blueprint_of(model, info)

    def with_args(self, args: Values) -> ModelSpec:
        """What builds the network with other arguments."""
        return self.model.model_copy(update={"args": {**self.model.args, **args}})


def open_subject(
    model: str, data: str | None, settings: Values, *, trust: bool, notify: Notify
) -> Subject:  # fmt: skip
    """The network and its data. `settings` are those of a study's `[data]`.

    Raises NiwakiError if there is no such network or data, or if they do not go together.
    """
    path = Path(model)
    if path.is_dir():
        path = path / CHOSEN
        if not path.is_file():
            raise SpecError(
                f"{model}: the folder has no {CHOSEN}: give a study that has chosen a model, or a model file"
            )
    if path.suffix.lower() in (".onnx", ".tflite"):
        raise ModelError(
            f"{path}: widths and training need the network itself, which such a file does not hold: make a model file "
            "of it and its weights with niwaki import (in Python: niwaki.save)"
        )
    if path.suffix.lower() == ".safetensors" or path.is_file():
        return _from_file(path, data, settings, trust=trust, notify=notify)
    if ":" not in model and factories.is_foreign(model):
        near = guess(model, factories.BUILT_IN)
        raise ModelError(
            f"{model}: {near}there is no such model file, study or factory; factories are "
            f"{', '.join(factories.BUILT_IN)}, or package.module:callable"
        )
    factories.check_trust(model, trust)
    folder = _prepared(_data_spec(data or "fashion-mnist", settings, None), notify)
    found = open_dataset(folder)
    spec = ModelSpec(factory=model, args=_fitting_args(model, found))
    check_networks(_study(spec), found, trust=trust)
    return Subject(model, spec, None, found, folder)


def _from_file(path: Path, data: str | None, settings: Values, *, trust: bool, notify: Notify) -> Subject:
    try:
        weights = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    module, info = modelfile.loads(weights, trust=trust, name=str(path))
    check_numbers(module)
    named = data or info.provenance.data_name
    if named is None or (data is None and built_in(named) is None):
        raise DataError(f"{path}: the file does not say which images it is for: name them with ", Setting("data"))
    folder = _prepared(_data_spec(named, settings, info), notify)
    found = open_dataset(folder)
    check_import(info, found)
    spec = ModelSpec(factory=info.factory, args=info.args, weights=path)
    found = fit_data(_study(spec), weights, found, trust=trust, notify=notify)
    return Subject(path.stem, spec.model_copy(update={"weights": None}), weights, found, folder)


def _prepared(spec: DataSpec, notify: Notify) -> Path:
    return prepare(spec, notify=notify)


def _data_spec(named: str, settings: Values, info: ModelInfo | None) -> DataSpec:
    given: Values = dict(settings)
    if info is not None:
        given.setdefault("preprocessing", info.preprocessing)
    if built_in(named) is not None:
        given["name"] = named
    else:
        given |= {"name": kind_of(named), "path": named}
        if not Path(named).exists():
            raise DataError(
                f"{named}: {guess(named, ('fashion-mnist', 'synthetic'))}there is no such dataset, file or folder"
            )
    try:
        return DataSpec.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SpecError(f"space: data.{where} = {first['input']!r}: {first['msg']}") from error


def _fitting_args(factory: str, data: Dataset) -> Values:
    """Arguments of a built-in factory that follow from the data; and those with which small networks train well: batch
    norm, which is folded away in the C, but none between the two convolutions of a block.
    """
    if factories.is_foreign(factory):
        return {}
    channels, height, width = data.input_shape
    usual = {"num_classes": data.num_classes, "in_channels": channels, "norm": True, "between": False}
    if height == width:
        usual["image_size"] = height
    known = inspect.signature(factories.find(factory)).parameters
    return {name: value for name, value in usual.items() if name in known and known[name].default != value}


def _study(model: ModelSpec) -> StudySpec:
    return StudySpec(model=model, experiment=(Experiment(name="compress"),))
