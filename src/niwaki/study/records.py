"""The result of a finished stage: a JSON document of deterministic values with its own checksum."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

from niwaki.files import CHECKSUM, checksum_of, parse_json, without_checksum
from niwaki.measure.accuracy import Accuracy

FORMAT = 1


def _answers(values: object) -> Accuracy:
    if isinstance(values, Accuracy):
        return values
    if not isinstance(values, dict):
        raise ValueError("no counts")
    if problem := Accuracy.fault(values):
        raise ValueError(problem)
    return Accuracy.from_dict(values)


Answers = Annotated[Accuracy, BeforeValidator(_answers), PlainSerializer(Accuracy.to_dict)]


class Results(BaseModel):
    """The measurements of the model that a stage made. Deterministic: times are stored elsewhere."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    validation: Answers
    test: Answers
    params: int
    macs: int
    macs_tp: int | None
    bytes: dict[str, int]
    file_bytes: int
    activation_bytes: int | None
    widths: dict[str, int]
    structure: str  # identifies the structure of the network: models of one structure take the same time
    epochs: tuple[dict[str, float | None], ...] = ()
    removed: dict[str, int] | None = None
    notes: tuple[str, ...] = ()
    # Only for a pruned model, and not for one that was pruned before these existed: fractions of the channels in
    # scope: those that should be removed by this step and those that are.
    ratio_asked: float | None = None
    ratio_reached: float | None = None
    # Only for a quantized model; a record without them is written as before they existed.
    agreement: int | None = None  # test images with the same prediction as the float model
    flash: int | None = None  # constant bytes of the generated C
    ram: int | None = None  # bytes of its arena, with the image, and of its output
    measured: dict[str, float] = {}  # metrics by name that have no field here; written only if there are any
    uncounted: tuple[str, ...] = ()  # what `macs` leaves out, as `layer (Kind): operator`; written only if there is any

    def __repr__(self) -> str:
        return f"<Results: validation {self.accuracy('validation'):.2f} %, {self.params:,} parameters>"

    __str__ = __repr__

    def accuracy(self, split: Literal["validation", "test"]) -> float:
        """Correct predictions in percent."""
        return self.answers(split).accuracy

    def answers(self, split: Literal["validation", "test"]) -> Accuracy:
        """Correct predictions by class."""
        return self.validation if split == "validation" else self.test


class Record(BaseModel):
    """A stage's record. If the stage failed, `results` is None and `reason` says why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    key: str
    kind: str
    parent: str | None
    seed: int
    position: int
    settings: dict[str, object]
    data: str
    environment: dict[str, object]
    status: Literal["done", "failed"]
    reason: str | None = None
    results: Results | None = None
    weights_sha256: str | None = None

    def __repr__(self) -> str:
        found = f": validation {self.results.accuracy('validation'):.2f} %" if self.results else ""
        return f"<Record {self.key[:12]}: {self.kind}, {self.status}{found}>"

    __str__ = __repr__


def float_record(records: Mapping[str, Record], key: str) -> Record:
    """The record of a stage, or of its parent if the stage quantized: that one is the float model."""
    record = records[key]
    return records[record.parent] if record.kind == "quantize" and record.parent else record


def to_bytes(record: Record) -> bytes:
    """The record as readable JSON, with the SHA-256 of its canonical form as `checksum`."""
    body = record.model_dump(mode="json")
    if record.results is not None:
        body["results"] = record.results.model_dump(mode="json", exclude=_absent(record.results))
    body[CHECKSUM] = checksum_of(body)
    return (json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _absent(results: Results) -> set[str]:
    optional = ("ratio_asked", "ratio_reached", "agreement", "flash", "ram")
    empty = {name for name in optional if getattr(results, name) is None}
    return empty | {name for name in ("measured", "uncounted") if not getattr(results, name)}


def from_bytes(data: bytes) -> Record:
    """A record from its bytes; ValueError if it is damaged or of another format."""
    try:
        value = parse_json(data)
    except ValueError as error:
        raise ValueError("not a whole record") from error
    if not isinstance(value, dict) or CHECKSUM not in value:
        raise ValueError("not a whole record")
    body = without_checksum(value)
    try:
        return Record.model_validate(body)
    except ValidationError as error:
        raise ValueError(f"not a record of format {FORMAT}") from error
