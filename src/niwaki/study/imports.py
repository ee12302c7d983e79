"""The model files that a study names: weights to start from, and teachers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from niwaki.errors import SpecError
from niwaki.files import sha256_of
from niwaki.models import modelfile
from niwaki.study.beside import OWN
from niwaki.study.spec import ModelSpec, StudySpec, TrialSettings, resolve


@dataclass(frozen=True)
class TeacherFile:
    """A model file by its content, and what builds its network."""

    sha256: str
    model: ModelSpec


@dataclass(frozen=True)
class Imports:
    """The part of the files that decides results: it is in the keys of stages."""

    weights_sha256: str | None = None
    teachers: Mapping[str, TeacherFile] = field(default_factory=dict)
    """By the path in the study."""


@dataclass(frozen=True)
class ModelFiles:
    """The files themselves: the one that a study starts from, and all by their SHA-256."""

    weights: bytes | None
    imports: Imports
    contents: Mapping[str, bytes]


def adopt_files(spec: StudySpec) -> tuple[StudySpec, ModelFiles]:
    """A study with the factory and arguments of the file that it starts from, if any, and all files that it names.

    Raises SpecError, with the key, for a file that cannot be read; ModelError if it is not a model file.
    """
    weights, contents = None, {}
    path = spec.model.weights
    if path is not None:
        weights = _read(path, "model.weights")
        info = modelfile.info_of(weights, name=str(path))
        model = spec.model.model_copy(update={"factory": info.factory, "args": info.args})
        spec = spec.model_copy(update={"model": model})
        contents[sha256_of(weights)] = weights
    teachers: dict[str, TeacherFile] = {}
    for key, name in _teachers(spec):
        if name not in teachers:
            data = _read(Path(name), key)
            info = modelfile.info_of(data, name=name)
            teachers[name] = TeacherFile(sha256_of(data), ModelSpec(factory=info.factory, args=info.args))
            contents[teachers[name].sha256] = data
    imports = Imports(sha256_of(weights) if weights else None, teachers)
    return spec, ModelFiles(weights, imports, contents)


def factories_of(spec: StudySpec, imports: Imports) -> set[str]:
    """Everything that would be imported to build the networks of a study."""
    own = {settings.model.factory for _, settings in _trials(spec)}
    return own | {file.model.factory for file in imports.teachers.values()}


def _trials(spec: StudySpec) -> Iterator[tuple[str, TrialSettings]]:
    for experiment in spec.experiment:
        for _, settings in resolve(spec, experiment):
            yield experiment.name, settings


def _teachers(spec: StudySpec) -> Iterator[tuple[str, str]]:
    """The key and the path of every teacher that is a file."""
    for _, settings in _trials(spec):
        named: dict[str, Sequence[str]] = {"train.teacher": settings.train.teacher}
        named["finetune.teacher"] = settings.finetune.teacher
        if settings.quantize is not None:
            named["quantize.train.teacher"] = settings.quantize.train.teacher
        for key, names in named.items():
            yield from ((key, name) for name in names if name not in OWN)


def _read(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SpecError(f"{key} = {str(path)!r}: cannot be read: {error.strerror}") from error
