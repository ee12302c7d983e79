"""The settings of training, pruning and quantization, as set in a study's file or in Python."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# For training, newer than the first stored stages: in a stage's key only if used.
LATER_OPTIONS = (
    "rotate", "zoom", "blur", "contrast", "noise", "outliers", "label_smoothing", "decay", "warmup", "average",
    "ema_decay", "swa_epochs", "teacher", "temperature", "teacher_weight", "class_weights", "sampling", "memory_format",
)  # fmt: skip


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
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of each label that all classes divide")
    decay: Literal["all", "weights"] = Field(
        "all", description="what weight decay shrinks; weights: no biases, no norms"
    )
    warmup: float = Field(0.0, ge=0, description="epochs in which the learning rate rises to lr; one-cycle has its own")
    average: Literal["none", "ema", "swa"] = Field(
        "none", description="keep the mean of the weights: of all steps (ema), or of the last epochs (swa)"
    )
    ema_decay: float = Field(0.999, gt=0, lt=1, description="ema only: what stays of the mean at each step")
    swa_epochs: int = Field(5, ge=1, description="swa only: how many of the last epochs are averaged")
    teacher: tuple[str, ...] = Field(
        (),
        description="distillation: a model file; base, the trial's unpruned network; study, the network of the study's "
        "own [model] and [train]; a list is averaged",
    )
    temperature: float = Field(2.0, gt=0, le=100, description="teacher only: softens the scores that are compared")
    teacher_weight: float = Field(0.9, gt=0, le=1, description="teacher only: its share of the loss")

    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: an image counts in the loss as N/(classes · images of its class)"
    )
    sampling: Literal["shuffle", "balanced"] = Field(
        "shuffle", description="balanced: images are drawn so that every class comes equally often, with repetition"
    )
    memory_format: Literal["contiguous", "channels_last"] = Field(
        "contiguous",
        description="PyTorch's memory format of images and weights in training; channels_last: networks with "
        "depthwise convolutions train faster",
    )

    @field_validator("teacher", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _fits_together(self) -> TrainSettings:
        if self.warmup and self.schedule == "one-cycle":
            raise ValueError("warmup: the one-cycle schedule has a warm-up of its own; use constant or cosine")
        if self.warmup > self.epochs > 0:
            raise ValueError(f"warmup = {self.warmup:g} is longer than the {self.epochs} epochs of training")
        if self.outliers and self.class_weights != "none":
            raise ValueError("class_weights: outliers have a loss of their own; use sampling = 'balanced'")
        return self

    @property
    def augments(self) -> bool:
        """Whether training images are augmented."""
        return any(getattr(self, name) for name in ("flip", "shift", "rotate", "zoom", "blur", "contrast", "noise"))

    def identity(self) -> dict[str, object]:
        """Everything that can change the result, as JSON; options added later are left out if they are off.

        So a stage stored before such an option existed keeps its key.
        """
        settings = self.model_dump()
        return {name: value for name, value in settings.items() if name not in LATER_OPTIONS or self._uses(name)}

    def _uses(self, name: str) -> bool:
        """Whether a newer option changes anything."""
        needed = {
            "temperature": bool(self.teacher),
            "teacher_weight": bool(self.teacher),
            "ema_decay": self.average == "ema",
            "swa_epochs": self.average == "swa",
            "decay": self.decay != "all" and self.weight_decay > 0,
            "average": self.average != "none",
            "class_weights": self.class_weights != "none",
            "sampling": self.sampling != "shuffle",
            "memory_format": self.memory_format != "contiguous",
        }
        return needed.get(name, bool(getattr(self, name)))


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
    keep: tuple[str, ...] = Field((), description='layers that keep all channels, by name or pattern: ["stem.*"]')
    ratios: dict[str, Annotated[float, Field(ge=0, lt=1)]] = Field(
        {}, description='another ratio for some layers, by name or pattern: { "fc*" = 0.8 }; the first that fits'
    )
    multiple: int = Field(1, ge=1, le=256, description="widths are rounded up to multiples of this")

    @field_validator("keep", mode="before")
    @classmethod
    def _list_of_names(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _something_to_do(self) -> PruneSettings:
        if self.distribution == "global" and (self.ratios or self.multiple > 1):
            raise ValueError("ratios and multiple are for the uniform distribution: a global ranking sets the widths")
        if self.ratio == 0 and self.steps != 1:
            raise ValueError("ratio 0 removes nothing: leave out the [prune] section, or give a ratio above 0")
        return self

    def keeps(self, layer: str) -> bool:
        """Whether `keep` names this layer."""
        return any(fnmatchcase(layer, pattern) for pattern in self.keep)

    def ratio_of(self, *layers: str) -> float:
        """The ratio of layers that lose channels together: that of the first pattern that fits one of them."""
        fitting = (ratio for pattern, ratio in self.ratios.items() if any(fnmatchcase(one, pattern) for one in layers))
        return next(fitting, self.ratio)

    def identity(self) -> dict[str, object]:
        """Everything that can change the result, as JSON; options added later only if they are used."""
        later = {name for name in ("keep", "ratios") if not getattr(self, name)} | (
            {"multiple"} if self.multiple == 1 else set()
        )
        return self.model_dump(exclude=later)

    @property
    def weights_decide(self) -> bool:
        """Whether the remaining widths depend on the trained weights."""
        return self.distribution == "global"


class QatSettings(FinetuneSettings):
    """How a network is trained with its weights and activations rounded (quantization-aware training)."""

    epochs: int = Field(10, ge=0, le=100_000, description="passes over the training images")
    batch_size: int = Field(128, ge=1, description="images per step of the optimizer")
    lr: float = Field(1e-3, gt=0, le=100, description="learning rate; the peak of cosine and one-cycle")
    schedule: Literal["constant", "cosine", "one-cycle"] = Field("cosine", description="how the learning rate changes")
    decay: Literal["all", "weights"] = Field(
        "weights", description="what weight decay shrinks; weights: no biases, no step sizes"
    )


Bits = Literal[8, 4, 2]


class QuantizeSettings(BaseModel):
    """How a network becomes int8. Settings that a kind does not use change nothing: `dynamic` needs no calibration."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    kind: Literal["static", "dynamic", "qat"] = Field(
        "static",
        description="static: everything int8, calibrated; qat: the same, then trained with rounding; dynamic: the "
        "weights of linear layers only",
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
    bits: Bits = Field(8, description="bits of each weight, 8, 4 or 2; activations have 8")
    layer_bits: dict[str, Bits] = Field(
        {}, description='bits of some layers, by name or pattern: { "fc3" = 8, "block1.*" = 4 }; the first that fits'
    )
    train: QatSettings = Field(QatSettings(), description="kind = qat only: the training, with the keys of [train]")

    @model_validator(mode="after")
    def _bits_fit_the_kind(self) -> QuantizeSettings:
        if self.kind == "dynamic" and (self.bits != 8 or self.layer_bits):
            raise ValueError("bits: dynamic quantization has 8 bits; use kind = static or qat")
        return self

    def bits_of(self, layer: str) -> Bits:
        """The bits of a layer's weights, by its name."""
        fitting = (bits for pattern, bits in self.layer_bits.items() if fnmatchcase(layer, pattern))
        return next(fitting, self.bits)

    def stated(self) -> dict[str, Any]:
        """What an export records: newer settings only if they are used, and none of a training."""
        return {**self.model_dump(include={"kind", "calibration", "images", "percentile"}), **self.identity()}

    def identity(self) -> dict[str, object]:
        """Everything that can change the result, as JSON, without the training and settings that the kind ignores."""
        if self.kind == "dynamic":
            return {"kind": self.kind}
        used = {"kind", "calibration", "images"}
        used |= {"percentile"} if self.calibration == "percentile" else set()
        used |= {"bits"} if self.bits != 8 else set()
        used |= {"layer_bits"} if self.layer_bits else set()
        return self.model_dump(include=used)
