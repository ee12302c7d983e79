"""The `[data]` section of a study: which images, how they are split, how they become the network's input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import (
    BaseModel,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from niwaki.data.datasets import DATASETS, MEANT_FOR, built_in
from niwaki.data.preprocessing import Preprocessing
from niwaki.device.text import listed

if TYPE_CHECKING:
    DatasetName = str
else:
    DatasetName = Literal[tuple(DATASETS)]


class DataSpec(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """The dataset, and which part of it to use.

    >>> DataSpec(name="synthetic").known_input_shape()
    (1, 32, 32)
    """

    name: DatasetName = Field("fashion-mnist", description=listed(DATASETS))
    path: Path | None = Field(
        None,
        validate_default=True,
        description="the folder or file, relative to the study's file; for fashion-mnist, the folder with its files",
    )
    fallback: StrictBool = Field(
        False, description="use synthetic, with a banner, if Fashion-MNIST cannot be found or downloaded"
    )
    validation: StrictInt | None = Field(
        None,
        ge=1,
        description="training images held out to choose on, stratified; none: 5,000, or a tenth if fewer than 20,000",
    )
    test: StrictFloat = Field(
        0.2, gt=0, lt=1, description="folder, npz: fraction held out as the test set if the data has none"
    )
    skip: StrictBool = Field(
        False, description="folder, csv: leave out files that cannot be read, counted and named in a note"
    )
    split_seed: StrictInt = Field(0, ge=0, description="seed of both splits, independent of the training seeds")
    limit: StrictInt | None = Field(None, ge=1, description="use at most this many training images, stratified")
    test_limit: StrictInt | None = Field(None, ge=1, description="use at most this many test images, stratified")
    train_samples: StrictInt = Field(
        20_000, ge=20, le=1_000_000, description="synthetic: images to draw for training and validation"
    )
    test_samples: StrictInt = Field(4_000, ge=10, le=1_000_000, description="synthetic: test images to draw")
    synthetic_seed: StrictInt = Field(0, ge=0, lt=2**32, description="synthetic: seed of the drawn images")
    preprocessing: Preprocessing = Field(
        Preprocessing(), description="grey or colour, size, resize rule, pad, mean, std; built-in datasets: pad = 2"
    )

    @model_validator(mode="before")
    @classmethod
    def _pad_built_in(cls, values: Any) -> Any:
        """Give built-in datasets their default padding, unless the study sets a size or a pad."""
        if not isinstance(values, dict):
            return values
        known = built_in(values.get("name", cls.model_fields["name"].default))
        if known is None:
            return values
        given = values.get("preprocessing", {})
        if not isinstance(given, dict) or given.get("size") is not None:
            return values
        return {**values, "preprocessing": {"pad": known.pad, **given}}

    @field_validator(*MEANT_FOR)
    @classmethod
    def _meant_for_this_dataset(cls, value: Any, info: ValidationInfo) -> Any:
        name, field = info.data.get("name"), str(info.field_name)
        if name is not None and name not in MEANT_FOR[field] and value != cls.model_fields[field].default:
            raise ValueError(f"{field} does not apply to {name}, only to {', '.join(MEANT_FOR[field])}: leave it out")
        return value

    @field_validator("path")
    @classmethod
    def _path_where_needed(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        kind = DATASETS.get(info.data.get("name", ""))
        if value is None and kind is not None and kind.path_is:
            raise ValueError(f"name = {kind.name!r} needs path: {kind.path_is}")
        return value

    @field_validator("fallback")
    @classmethod
    def _named_data_never_falls_back(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("path") is not None:
            raise ValueError("a study that names its data never falls back: leave out fallback or path")
        return value

    def known_input_shape(self) -> tuple[int, int, int] | None:
        """(channels, height, width) of the network's input if it is known without reading data, otherwise None."""
        known = built_in(self.name)
        if known is None and self.preprocessing.size is None:
            return None
        return self.preprocessing.input_shape(known.size if known else None)

    def known_classes(self) -> int | None:
        """The number of classes if it is known without reading data, otherwise None."""
        known = built_in(self.name)
        return len(known.labels) if known else None
