"""A candidate as stages of a study: the network, cut to its widths, trained, and quantized."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, replace
from typing import Literal

from niwaki.device.text import counted
from niwaki.models import factory as factories
from niwaki.search.candidates import Member, Shape
from niwaki.search.space import Space, Values
from niwaki.search.subject import Subject
from niwaki.study.plan import Kind, Known, Settings, Stage, stage_of
from niwaki.training.settings import QatSettings, QuantizeSettings, TrainSettings

Start = Literal["scratch", "inherited"]
CALIBRATION = 1000  # images


@dataclass(frozen=True)
class Way:
    """How candidates are trained: from which weights, with which settings that differ from the space's, by whom."""

    start: Start = "scratch"
    changed: tuple[tuple[str, object], ...] = ()
    taught: bool = False

    @property
    def settings(self) -> Values:
        """The settings that differ."""
        return dict(self.changed)

    @property
    def of_rounding(self) -> Values:
        """Those that hold for training with rounding too: its learning rate is its own."""
        return {name: value for name, value in self.changed if name != "lr"}

    @property
    def text(self) -> str:
        """In words."""
        parts = ["from the given weights" if self.start == "inherited" else "from new weights"]
        parts += ["with the given network as a teacher"] if self.taught else []
        return ", ".join([*parts, *(f"{name} = {value}" for name, value in self.changed)])


@dataclass(frozen=True)
class Path:
    """The stages of a candidate, each after what it needs; the last one is the integer network."""

    stages: tuple[Stage, ...]
    epochs: int = 0
    trainings: int = 1
    """How many trainings follow each other, each with a learning rate that falls to the end."""

    @property
    def end(self) -> str:
        """The key of the integer network."""
        return self.stages[-1].key

    @property
    def float_end(self) -> str:
        """The key of the network before it was quantized."""
        return str(self.stages[-1].parent)


class Paths:
    """Makes the stages of candidates, for one subject and one space."""

    def __init__(self, subject: Subject, space: Space, known: Known, trainer: Settings | None = None) -> None:
        self._subject, self._space, self._known = subject, space, known
        self._trainer = trainer or {}
        self._source = factories.source_hash(subject.model.factory)

    def of(
        self, member: Member, shape: Shape, epochs: int, seed: int, way: Way, after: Path | None = None
    ) -> Path:  # fmt: skip
        """A candidate with so many epochs in all: from the beginning, or from where its training on the rung before
        ended, which is `after`.
        """
        teachers = (self.teacher(),) if way.taught else ()
        extra: Values = {"teacher": tuple(stage.key for stage in teachers)} if teachers else {}
        label = f"{shape.id}, {counted(epochs, 'epoch')}" + (f", seed {seed}" if seed else "")
        before: tuple[Stage, ...]
        own = {**_layout(member, self._space.train), **way.settings, **extra}
        if after is None:
            before, trainings = (self.base(member), self._cut(member, shape)), 1
            recipe = self._space.recipe(epochs, **own)
            trained = self._trained(member, before[-1], recipe, (seed, trainings), way, label)
        else:
            before, trainings = after.stages[:-1], after.trainings + 1
            recipe = self._space.recipe(epochs - after.epochs, **own)
            trained = self._finetuned(before[-1], recipe, (seed, trainings), label)
        quantized = self._quantized(member, shape, trained, epochs, way, extra)
        stages = {stage.key: stage for stage in (*teachers, *before, trained, quantized)}
        return Path(tuple(stages.values()), epochs, trainings)

    def _cut(self, member: Member, shape: Shape) -> Stage:
        named = {group.name: shape.widths[group.name] for group in member.blueprint.groups}
        settings: Settings = {"widths": named, "torch_pruning": importlib.metadata.version("torch-pruning")}
        return self._stage("cut", settings, self.base(member).key, (0, 1), f"cut {shape.id}")

    def base(self, member: Member) -> Stage:
        """The network before it is cut: the given one, or a fresh one that is not trained."""
        if self._subject.weights is not None and member.model == self._subject.model:
            return self.teacher()
        recipe = TrainSettings(epochs=0)
        settings = {**self._model(member), **recipe.identity()}
        return self._stage("train", settings, None, (0, 0), f"build {member.model.factory}", recipe)

    def teacher(self) -> Stage:
        """The given network."""
        model = self._subject.model
        settings = {**self._built_by(model.factory, model.args), "sha256": self._subject.weights_sha256}
        return self._stage("import", settings, None, (0, 0), f"import {self._subject.name}")

    def whole(self, member: Member, epochs: int, way: Way) -> Path:
        """The uncut network in 8 bits, to measure an accuracy drop from: the given one, or a trained one."""
        if self._subject.weights is not None:
            base = self.teacher()
        else:
            recipe = self._space.recipe(epochs, **_layout(member, self._space.train), **way.settings)
            settings = {**self._model(member), **recipe.identity(), **self._trainer}
            base = self._stage(
                "train", settings, None, (0, 0), f"train the whole network, {counted(epochs, 'epoch')}", recipe
            )
        int8 = QuantizeSettings(images=CALIBRATION)
        return Path((base, self._stage("quantize", self._tools(int8), base.key, (0, 0), "quantize the whole network")))

    def _trained(
        self, member: Member, cut: Stage, recipe: TrainSettings, drawn: tuple[int, int], way: Way, label: str
    ) -> Stage:  # fmt: skip
        if way.start == "inherited":
            return self._finetuned(cut, recipe, drawn, label)
        settings = {**self._model(member), **recipe.identity(), **self._trainer}
        return self._stage("train", settings, cut.key, drawn, f"train {label}", recipe)

    def _finetuned(self, parent: Stage, recipe: TrainSettings, drawn: tuple[int, int], label: str) -> Stage:
        settings = {**recipe.identity(), **self._trainer}
        return self._stage("finetune", settings, parent.key, drawn, f"fine-tune {label}", recipe)

    def _quantized(
        self, member: Member, shape: Shape, trained: Stage, epochs: int, way: Way, extra: Values
    ) -> Stage:  # fmt: skip
        drawn, label = (trained.seed, 1), f"quantize {trained.label.partition(' ')[2]}"
        bits = {layer: shape.bits[layer] for layer in member.blueprint.layers}
        few = {layer: number for layer, number in bits.items() if number != 8}
        if not few:
            return self._stage("quantize", self._tools(QuantizeSettings(images=CALIBRATION)), trained.key, drawn, label)
        rounding: QatSettings = self._space.rounding(
            epochs, **_layout(member, self._space.qat), **way.of_rounding, **extra
        )
        settings = QuantizeSettings.model_validate(
            {"kind": "qat", "images": CALIBRATION, "layer_bits": few, "train": rounding}
        )
        stated = {**self._tools(settings), "train": rounding.identity()}
        return self._stage("quantize", stated, trained.key, drawn, label, rounding)

    def _tools(self, settings: QuantizeSettings) -> Settings:
        tools = {name: importlib.metadata.version(name) for name in ("onnx", "onnxscript", "onnxruntime")}
        return {**settings.identity(), "tools": tools}

    def _model(self, member: Member) -> Settings:
        return self._built_by(member.model.factory, member.model.args)

    def _built_by(self, factory: str, args: Values) -> Settings:
        return {"factory": factory, "args": dict(args), "source": self._source}

    def _stage(
        self, kind: Kind, settings: Settings, parent: str | None, drawn: tuple[int, int], label: str,
        recipe: TrainSettings | None = None,
    ) -> Stage:  # fmt: skip
        return replace(stage_of(kind, settings, parent, drawn, self._known, recipe), label=label)


def _layout(member: Member, stated: Values) -> Values:
    """Networks with depthwise convolutions train faster with channels last; what the space states counts."""
    return {"memory_format": "channels_last"} if member.blueprint.depthwise and "memory_format" not in stated else {}
