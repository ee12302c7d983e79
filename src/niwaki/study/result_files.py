"""The files beside the records: JSON with a checksum of itself, and what each must hold.

Nobody who reads them trips over a part that is missing or of another type, and no change of a value stays unnoticed.
Only what is read of them is asked for: whatever else stands in them is let through. Files of earlier versions have no
checksum; their shape alone is checked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    ValidationError,
    model_validator,
)

from niwaki.files import canonical_json, parse_json, sha256_of

_CHECKSUM = "checksum"


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)  # a number in quotes is no number


Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]  # it names a folder


class _Images(_Part):
    train: int
    validation: int
    test: int


class _Data(_Part):
    name: str
    origin: str
    fingerprint: str
    synthetic: bool
    labels: Annotated[list[str], Field(min_length=1)]
    images: _Images
    input_shape: tuple[int, int, int]


class _Machine(_Part):
    machine: str
    torch: str


class _Trial(_Part):
    experiment: str
    value: Any
    seed: int
    stages: Annotated[tuple[Key, ...], Field(min_length=1)]
    rows: Annotated[tuple[Key, ...], Field(min_length=1)]
    quantize: Literal["static", "dynamic"] | None = None


class Study(_Part):
    """`study.json`, without the specification, which has its own reader."""

    format: Literal[1] = 1
    data: _Data
    environment: _Machine
    stages: tuple[Key, ...]
    trials: tuple[_Trial, ...]

    @model_validator(mode="after")
    def _fits_together(self) -> Study:
        rows: dict[tuple[str, str], int] = {}
        for trial in self.trials:
            if not set(trial.stages) <= set(self.stages) or not set(trial.rows) <= set(trial.stages):
                raise ValueError(f"a trial of {trial.experiment!r} has a stage that is none")
            if rows.setdefault((trial.experiment, repr(trial.value)), len(trial.rows)) != len(trial.rows):
                raise ValueError(f"the seeds of a trial of {trial.experiment!r} have unlike stages")
        return self


class Choice(_Part):
    """`choice.json`: the chosen stage, None where no candidate was within the budget."""

    key: str | None
    value: Any
    reason: str


class _Time(_Part):
    median_us: PositiveFloat  # it is drawn on a logarithmic axis
    p95_us: PositiveFloat


class Timings(_Part):
    """`timings.json`: by structure and batch."""

    pinned: bool
    noise_floor: dict[str, float]
    models: dict[str, dict[str, _Time]]
    onnxruntime: dict[str, dict[str, _Time]] = {}

    @model_validator(mode="after")
    def _has_both_batches(self) -> Timings:
        if not {"1", "256"} <= set(self.noise_floor):
            raise ValueError("noise_floor lacks a batch")
        if not all("1" in batches for batches in (*self.models.values(), *self.onnxruntime.values())):
            raise ValueError("a network has no time at batch 1")
        return self


class _Board(_Part):
    cpu: str
    optimization: str
    flash: int
    code: int
    constants: int
    ram: int
    stack: int


class _Needs(_Part):
    flash: PositiveInt | None = None
    ram: PositiveInt | None = None
    board: _Board | None = None
    reason: str | None = None


class _Accuracy(_Part):
    percent: float
    interval: tuple[float, float]


class _Agreement(_Part):
    against: str
    same_class: int
    equal: bool | None


class _Form(_Part):
    form: str
    how: str
    ok: bool | None
    images: int
    accuracy: _Accuracy | None
    agreement: _Agreement | None
    reason: str | None


class Verification(_Part):
    """`verify.json`: `ok` is None, with a `reason`, for a network that has no such forms."""

    ok: bool | None
    reason: str = ""
    made_of: dict[str, Any] = {}
    files: dict[str, str] = {}
    images: str = ""
    forms: tuple[_Form, ...] = ()
    notes: tuple[str, ...] = ()
    exported: dict[str, _Needs] = {}
    missing: dict[str, str] = {}
    export_notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _says_all(self) -> Verification:
        needed = {"reason"} if self.ok is None else {"images", "forms", "notes", "exported", "export_notes"}
        if missing := sorted(needed - self.model_fields_set):
            raise ValueError(f"{', '.join(missing)} missing")
        return self


class _MadeOf(_Part):
    base: str | None
    chosen: str | None


class _Model(_Part):
    key: str


class _Base(_Model):
    int8: _Needs


class _Image(_Part):
    true: int
    png: str


class _Answer(_Part):
    named: int
    sure: float


class Evidence(_Part):
    """`evidence.json`: the matrices are of one size, and of every image that is shown there is one."""

    format: int
    made_of: _MadeOf
    base: _Base
    chosen: _Model | None
    confusion: dict[str, list[list[int]]]
    shown: dict[str, list[int]]
    moved: dict[str, int]
    classes: list[str | None]
    images: dict[str, _Image]
    answers: dict[str, dict[str, _Answer]]

    @model_validator(mode="after")
    def _fits_together(self) -> Evidence:
        size = len(self.classes)
        if any(len(rows) != size or {len(row) for row in rows} != {size} for rows in self.confusion.values()):
            raise ValueError(f"a confusion matrix is not of {size} classes")
        named = [answer.named for answers in self.answers.values() for answer in answers.values()]
        if not all(0 <= index < size for index in (*named, *(image.true for image in self.images.values()))):
            raise ValueError(f"an answer is none of {size} classes")
        if lost := {str(number) for numbers in self.shown.values() for number in numbers} - set(self.images):
            raise ValueError(f"no image {min(lost)}")
        return self


class _Timed(_Part):
    file: Literal["base", "chosen"]
    form: Literal["torch", "onnx", "onnx-int8", "onnx-dynamic", "c"]


class _Row(_Timed, _Time):
    runtime: str
    runs: int


class _LeftOut(_Timed):
    reason: str


class Bench(_Part):
    """`bench.json`."""

    format: int
    made_of: _MadeOf
    rows: tuple[_Row, ...]
    left_out: tuple[_LeftOut, ...]
    noise_floor: float
    pinned: bool
    notes: tuple[str, ...]


def to_bytes(value: Mapping[str, Any]) -> bytes:
    """The value as readable JSON, with the SHA-256 of its canonical form as `checksum`."""
    body = parse_json(_text(_finite({key: part for key, part in value.items() if key != _CHECKSUM})))
    return _text({**body, _CHECKSUM: sha256_of(canonical_json(body))}).encode() + b"\n"


def from_bytes(data: bytes, shape: type[BaseModel] | None) -> dict[str, Any]:
    """The value, without its checksum. Raises ValueError, in a few words, if it is damaged or lacks what is read."""
    value = parse_json(data)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    stated = value.pop(_CHECKSUM, None)
    if stated is not None and stated != sha256_of(canonical_json(value)):
        raise ValueError("its checksum does not fit")
    if shape is not None:
        _check(shape, value)
    return value


def _finite(value: Any) -> Any:
    """The value with null for each number that JSON does not know."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, (list, tuple)) else value


def _text(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, default=str, allow_nan=False)
    return text.encode("utf-8", "replace").decode()  # a file's name may hold bytes that are no letter


def _check(shape: type[BaseModel], value: dict[str, Any]) -> None:
    try:
        shape.model_validate_json(canonical_json(value))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        what = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{where}: {what}" if where else what) from None
