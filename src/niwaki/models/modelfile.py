"""The model file: a `.safetensors` file with the weights and, as JSON, all that rebuilds the module. No pickle."""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
)
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import nn

from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import ModelError, expectation
from niwaki.files import parse_json, write_whole
from niwaki.limits import check_memory
from niwaki.models import factory as factories
from niwaki.models import structure
from niwaki.models.class_names import LONGEST_LABEL, remember
from niwaki.models.examine import check_answers, check_bare, check_leftovers, check_numbers, evaluating
from niwaki.models.generators import generators_kept
from niwaki.models.provenance import Provenance

FORMAT = "niwaki-model-1"
_ENTRY = "niwaki"  # one metadata entry only: safetensors does not keep the order of several


def _without_nul(label: str) -> str:
    if "\0" in label:
        raise ValueError(f"the label {label!r} has a NUL in it")
    return label


_Size = Annotated[int, Field(ge=1, strict=True)]
_Label = Annotated[str, Field(min_length=1, max_length=LONGEST_LABEL), AfterValidator(_without_nul)]


class PruningState(BaseModel):
    """How far a model has been pruned, so that the next step can start from its file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: int = Field(ge=1)
    scopes: dict[str, int]  # channels before the first step, per ranking scope of torch-pruning
    whole: dict[str, str] = {}  # layers that cannot be cut without changing others, and why; not written if empty

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        written: dict[str, object] = handler(self)
        return written if self.whole else {name: value for name, value in written.items() if name != "whole"}


class ModelInfo(BaseModel):
    """Everything in a model file except its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    factory: str
    args: dict[str, Any] = {}
    input_shape: tuple[_Size, _Size, _Size]
    labels: tuple[_Label, ...]
    preprocessing: Preprocessing = Preprocessing()
    original_widths: dict[str, int] = {}
    pruning: PruningState | None = None
    provenance: Provenance = Provenance()

    def __repr__(self) -> str:
        classes = f"{len(self.labels)} class{'' if len(self.labels) == 1 else 'es'}"
        return f"<ModelInfo {self.factory}: {'×'.join(map(str, self.input_shape))} to {classes}>"

    __str__ = __repr__


def dumps(model: nn.Module, info: ModelInfo, *, trust: bool = False) -> bytes:
    """The bytes of a model file; the same module and info always give the same bytes.

    Raises ModelError if the factory cannot build a module that fits these weights.
    """
    fresh = factories.build_seeded(info.factory, info.args, 0, trust=trust)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    changed = structure.changed_sizes(model, fresh)
    structure.resize(fresh, changed, tensors)
    header = {"format": FORMAT, "sizes": changed, **info.model_dump(mode="json")}
    text = json.dumps(header, sort_keys=True, ensure_ascii=False)
    return safetensors.save(tensors, metadata={_ENTRY: text})


def loads(data: bytes, *, trust: bool = False, name: str = "model file") -> tuple[nn.Module, ModelInfo]:
    """The module (in eval mode, on the CPU) and the info of a model file's bytes.

    Executes nothing from the file; a foreign factory is imported only with `trust`. Raises ModelError
    if the bytes are damaged, truncated or not a niwaki model.
    """
    tensors, header = _parse(data, name)
    info, changed = _describe(header, name)
    model = factories.build_seeded(info.factory, info.args, 0, trust=trust)
    try:
        structure.resize(model, changed, tensors)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error
    remember(model, info.labels)
    return model.eval(), info


def read_info(path: str | Path) -> ModelInfo:
    """The description in a model file, without building the module."""
    return info_of(_read(Path(path)), name=str(path))


def info_of(data: bytes, *, name: str = "model file") -> ModelInfo:
    """The description in a model file's bytes, without building the module."""
    return _describe(_parse(data, name)[1], name)[0]


def load(path: str | Path, *, trust: bool = False) -> nn.Module:
    """The module that a model file holds, in eval mode, on the CPU."""
    return loads(_read(Path(path)), trust=trust, name=str(path))[0]


def load_with_info(path: str | Path, *, trust: bool = False) -> tuple[nn.Module, ModelInfo]:
    """`load`, and the file's description."""
    return loads(_read(Path(path)), trust=trust, name=str(path))


def save(model: nn.Module, path: str | Path, info: ModelInfo) -> Path:
    """Write a trained module of your own as a model file, whole or not at all, and return its path.

    niwaki calls the factory in `info` (`lenet5` or `package.module:callable`, called with `args`) once to make sure
    that the file can be loaded; the result must give the same outputs. The widths in `info` are those of the rebuilt
    module.

    Raises ModelError if the rebuilt module refuses the weights or gives other outputs, or if the module contains
    leftovers of other tools (wrappers, masks, counters' buffers), NaN or anything random.
    """
    check_bare(model)
    check_numbers(model)
    fresh = factories.build_seeded(info.factory, info.args, 0, trust=True)
    check_leftovers(model, fresh)
    info = info.model_copy(update={"original_widths": _widths(fresh)})
    data = dumps(model, info, trust=True)
    again, _ = loads(data, trust=True)
    _check_same_outputs(model, again, info)
    write_whole(Path(path), data)
    return Path(path)


_SIZES: TypeAdapter[structure.Sizes] = TypeAdapter(dict[str, dict[str, _Size | list[_Size]]])


def _describe(header: dict[str, Any], name: str) -> tuple[ModelInfo, structure.Sizes]:
    """The info and the sizes in a description, both validated."""
    try:
        sizes = _SIZES.validate_python(header.pop("sizes"))
        info = ModelInfo.model_validate(header)
        shape = "×".join(map(str, info.input_shape))
        check_memory(4 * prod(info.input_shape), f"{name}: an input of {shape}", ModelError)
        return info, sizes
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{name}: its description is damaged at {where!r}: {expectation(first['msg'])}") from error


def _check_same_outputs(model: nn.Module, again: nn.Module, info: ModelInfo) -> None:
    sample = torch.rand(2, *info.input_shape, generator=torch.Generator().manual_seed(0))
    device = next(model.parameters()).device
    check_answers(model, sample.to(device))
    with generators_kept(), evaluating(model), torch.no_grad():
        before, after = model(sample.to(device)).cpu(), again(sample)
    if before.shape != (2, len(info.labels)):
        raise ModelError(
            f"the module returns {tuple(before.shape)} for 2 images, but there are {len(info.labels)} labels"
        )
    if not before.isfinite().all():
        raise ModelError(
            f"{type(model).__name__} gives NaN or infinity as a score for random images: find what makes it, such as a "
            "division by a norm of 0"
        )
    if not torch.allclose(before, after, rtol=1e-5, atol=1e-6):
        raise ModelError(
            f"factory {info.factory!r} with {info.args!r} builds a module that gives other outputs with these "
            "weights: pass the arguments that built this one"
        )


def _widths(model: nn.Module) -> dict[str, int]:
    return {name: structure.out_width(layer) for name, layer in structure.weighted_layers(model)}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def _parse(data: bytes, name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    try:
        tensors = safetensors.load(data)
        length = struct.unpack("<Q", data[:8])[0]
        metadata = parse_json(data[8 : 8 + length]).get("__metadata__") or {}
    except (SafetensorError, ValueError, struct.error, UnicodeDecodeError, KeyError) as error:
        raise ModelError(f"{name}: damaged, truncated or not a safetensors file: {error}") from error
    if _ENTRY not in metadata:
        raise ModelError(
            f"{name}: holds tensors but no niwaki description; make model files with niwaki.save(model, …)"
        )
    try:
        header = parse_json(metadata[_ENTRY])
    except ValueError as error:
        raise ModelError(f"{name}: its description is not JSON: {error}") from error
    if (
        not isinstance(header, dict)
        or header.pop("format", None) != FORMAT
        or not isinstance(header.get("sizes"), dict)
    ):
        raise ModelError(f"{name}: not a model file of this version ({FORMAT}); save it again")
    return tensors, header
