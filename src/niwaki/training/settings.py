"""The settings of training, pruning and quantization, as a study's file and Python give them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Of training; off where a stage does not name them.
LATER_OPTIONS = ("rotate", "zoom", "blur", "contrast", "noise", "outliers")


class TrainSettings(BaseModel):
    """How a network is trained. Everything here can change the result, so all of it is in a stage's key."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    epochs: int = Field(5, ge=0, le=100_000, description="passes over the training images")
    batch_size: int = Field(32, ge=1, description="images per step of the optimizer")
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adam", description="PyTorch's optimizer of that name")
    lr: float = Field(1e-3, gt=0, le=100, description="learning rate; the peak of cosine and one-cycle")
    weight_decay: float = Field(0.0, ge=0, description="weight decay of the optimizer")
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd only; adam and adamw use betas (0.9, 0.999)")
    schedule: Literal["constant", "cosine", "one-cycle"] = Field(
        "constant", description="how the learning rate changes"
    )
    flip: bool = Field(False, description="mirror half of the images left to right")
    shift: int = Field(0, ge=0, description="move images by up to this many pixels each way")
    rotate: float = Field(0.0, ge=0, le=180, description="turn images by up to this many degrees each way")
    zoom: float = Field(0.0, ge=0, le=0.9, description="resize images by up to this fraction, up or down")
    blur: float = Field(0.0, ge=0, le=1, description="blur images; the largest standard deviation, in pixels")
    contrast: float = Field(0.0, ge=0, le=1, description="multiply brightness by 1 ± up to this fraction")
    noise: float = Field(
        0.0, ge=0, le=128, description="add noise to pixels that are not black; the largest deviation, in grey levels"
    )
    outliers: float = Field(0.0, ge=0, le=1, description="add this share of drawn images without a class to each batch")
    clip_norm: float | None = Field(None, gt=0, description="clip the gradient to this norm")
    keep: Literal["last", "best"] = Field("last", description="which epoch to keep; best by validation accuracy")

    @property
    def augments(self) -> bool:
        """Whether training images are changed on their way to the network."""
        return any(getattr(self, name) for name in ("flip", "shift", "rotate", "zoom", "blur", "contrast", "noise"))

    def identity(self) -> dict[str, object]:
        """All that can change the result, as JSON; an option that came later is left out if it is off.

        So a stage that was stored before there was such an option keeps its key.
        """
        settings = self.model_dump()
        return {name: value for name, value in settings.items() if value or name not in LATER_OPTIONS}


class FinetuneSettings(TrainSettings):
    """How a pruned network recovers after each step; `epochs = 0` leaves it as pruning left it."""

    lr: float = Field(1e-4, gt=0, le=100, description="learning rate; the peak of cosine and one-cycle")


class PruneSettings(BaseModel):
    """How channels are removed (structured pruning with torch-pruning)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    ratio: float = Field(0.5, ge=0, lt=1, description="fraction of the channels removed after the last step")
    steps: int = Field(5, ge=1, le=1000, description="pruning steps, each fine-tuned")
    scope: Literal["conv", "linear", "both"] = Field("both", description="the layers to prune")
    importance: Literal["l1", "l2", "taylor", "random"] = Field(
        "l1", description="how channels are ranked; random is the control"
    )
    distribution: Literal["uniform", "global"] = Field(
        "uniform", description="uniform: the ratio in every layer; global: one ranking over all layers"
    )
    taylor_images: int = Field(1024, ge=1, description="training images for the gradients of `taylor`")

    @model_validator(mode="after")
    def _something_to_do(self) -> PruneSettings:
        if self.ratio == 0 and self.steps != 1:
            raise ValueError("ratio 0 removes nothing: leave out the [prune] section, or give a ratio above 0")
        return self

    @property
    def weights_decide(self) -> bool:
        """Whether the widths that remain depend on the trained weights."""
        return self.distribution == "global"


class QuantizeSettings(BaseModel):
    """How a network becomes int8. What a kind does not use changes nothing: `dynamic` needs no calibration."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    kind: Literal["static", "dynamic"] = Field(
        "static", description="static: everything int8, calibrated; dynamic: the weights of linear layers only"
    )
    calibration: Literal["minmax", "entropy", "percentile"] = Field(
        "minmax", description="how calibration images set the range of an activation"
    )
    images: int = Field(1000, ge=1, le=100_000, description="training images to calibrate on")
    percentile: float = Field(
        99.99,
        gt=50,
        le=100,
        description="calibration = percentile only: the percentage of an activation's values inside its range",
    )
