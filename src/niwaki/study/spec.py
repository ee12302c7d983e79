"""What a study is: one TOML file, validated completely before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationError,
    field_validator,
    model_validator,
)

from niwaki.data.spec import DataSpec
from niwaki.errors import SpecError, explain, guess
from niwaki.files import TOML_LIMIT, parse_toml, read_at_most
from niwaki.study.beside import beside
from niwaki.study.budget import Budget, parse_budget
from niwaki.study.metrics import COLUMNS
from niwaki.training.settings import FinetuneSettings, PruneSettings, QuantizeSettings, TrainSettings

if TYPE_CHECKING:
    Column = str
else:
    Column = Literal[COLUMNS]
VARIED_SECTIONS = ("model", "train", "prune", "finetune", "quantize")


class _Strict(BaseModel):
    """Not `strict` as a whole, which would refuse a list for a tuple: numbers and booleans are, one by one."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelSpec(_Strict):
    """What builds the network, and weights to start from instead of training it."""

    factory: str = Field("lenet5", description="lenet5, or package.module:callable (niwaki study run --trust)")
    args: dict[str, Any] = Field({}, description="lenet5 takes widths, num_classes, in_channels, image_size, norm")
    weights: Path | None = Field(None, description="a model file (niwaki.save) to start from instead of training")


class Published(_Strict):
    """Published figures for one row of an experiment; several values if they disagree."""

    value: Any = Field(None, description="the varied value of the row; none: every value")
    step: StrictInt | None = Field(None, ge=0, description="the pruning step; none: the last")
    quantized: StrictBool = Field(False, description="the row after quantization, without a step")
    accuracy: tuple[StrictFloat, ...] = Field((), description="percent; a list if the source gives several")
    params: StrictInt | None = None
    macs_tp: StrictInt | None = None
    latency_us: StrictFloat | None = None
    channels: StrictInt | None = None
    memory_mb: StrictFloat | None = None
    size_kb: StrictFloat | None = Field(None, description="a size in KB, whatever the source counted")

    @field_validator("accuracy", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int | float) else value


class Experiment(_Strict):
    """One table. One key varies, everything else is fixed."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="short name: lower case, digits and hyphens")
    title: str = Field("", description="heading of the table; default: the name")
    vary: dict[str, list[Any]] = Field({}, description='one key and its values: { "prune.ratio" = [0.5, 0.6] }')
    set: dict[str, Any] = Field({}, description="keys that this experiment sets differently from the study")
    from_scratch: StrictBool = Field(False, description="control: the final widths, trained from scratch as long")
    longer: StrictBool = Field(False, description="control: the unpruned network, trained as long")
    rows: Literal["steps", "final"] = Field("final", description="one row per pruning step, or the last only")
    columns: tuple[Column, ...] = Field(
        ("validation", "accuracy", "params", "macs", "latency_1"), description="columns of the table, in this order"
    )
    published: tuple[Published, ...] = Field((), description="figures to compare with, in the keys below")
    source: str = Field("", description="source of the published figures")

    @model_validator(mode="after")
    def _one_thing_varied(self) -> Experiment:
        if len(self.vary) > 1:
            raise ValueError(f"vary has {len(self.vary)} keys ({', '.join(self.vary)}): an experiment varies one thing")
        for key, values in self.vary.items():
            if not values:
                raise ValueError(f"vary.{key} has no values")
            if any(value in values[:index] for index, value in enumerate(values)):
                raise ValueError(f"vary.{key} repeats a value: {values}")
        if self.from_scratch and self.longer:
            raise ValueError("from_scratch and longer are two controls: make an experiment of each")
        if set(self.vary) & set(self.set):
            raise ValueError(f"{next(iter(self.vary))} is both varied and set")
        return self

    @property
    def varied_key(self) -> str | None:
        """The one key that varies, if any."""
        return next(iter(self.vary), None)


class SelectSpec(_Strict):
    """How the study chooses a model."""

    experiment: str = Field(description="the experiment whose values are the candidates")
    budget: tuple[str, ...] = Field(("accuracy_drop<=1",), description="limits that the model must meet")
    minimize: Literal["params", "macs", "bytes", "flash", "ram"] = Field("params", description="what to minimize")
    export: StrictBool = Field(True, description="export the chosen model in every form and verify the forms")
    opset: int | None = Field(
        None, ge=13, le=18, description="of the chosen model's ONNX; by default 17, or 18 if the network needs it"
    )

    @field_validator("budget")
    @classmethod
    def _readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            parse_budget(text)
        return value

    @property
    def limits(self) -> tuple[Budget, ...]:
        """The budget, parsed."""
        return tuple(parse_budget(text) for text in self.budget)

    @property
    def of_generated_c(self) -> str | None:
        """The first limit (or what is minimized) that needs generated C: flash and RAM."""
        asked = {limit.quantity: limit.text for limit in self.limits} | {self.minimize: self.minimize}
        return next((text for quantity, text in asked.items() if quantity in ("flash", "ram")), None)


class TrialSettings(_Strict):
    """All settings of one trial except its seed."""

    model: ModelSpec
    train: TrainSettings
    prune: PruneSettings | None
    finetune: FinetuneSettings
    quantize: QuantizeSettings | None = None
    from_scratch: bool = False
    longer: bool = False

    @property
    def is_pruned(self) -> bool:
        """Whether it prunes at all."""
        return self.prune is not None and self.prune.ratio > 0

    @property
    def finetuned_epochs(self) -> int:
        """Total epochs of fine-tuning: after every pruning step, or as many for a network that is left whole."""
        return self.prune.steps * self.finetune.epochs if self.prune is not None and self.prune.ratio > 0 else 0


class StudySpec(_Strict):
    """A study: one model and dataset, several experiments."""

    title: str = Field("", description="heading of the report and the tables")
    seeds: int = Field(
        1,
        ge=1,
        le=1000,
        strict=True,
        description="number of seeds (0, 1, …); with several, tables show mean ± standard deviation",
    )
    model: ModelSpec = ModelSpec()
    data: DataSpec = DataSpec()
    train: TrainSettings = TrainSettings()
    prune: PruneSettings | None = None
    finetune: FinetuneSettings = FinetuneSettings()
    quantize: QuantizeSettings | None = None
    experiment: tuple[Experiment, ...] = Field(min_length=1)
    select: SelectSpec | None = None

    @model_validator(mode="after")
    def _names_fit(self) -> StudySpec:
        names = [experiment.name for experiment in self.experiment]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two experiments are called {sorted(twice)[0]!r}")
        if self.select and self.select.experiment not in names:
            raise ValueError(f"select.experiment is {self.select.experiment!r}; experiments: {', '.join(names)}")
        return self


def presets() -> list[str]:
    """The names of the built-in studies."""
    folder = resources.files("niwaki.study") / "presets"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_spec(name_or_file: str) -> tuple[StudySpec, str]:
    """The study in a preset or a TOML file, and the short name for its folder.

    Raises SpecError naming the file, the key and what is allowed.
    """
    path = Path(name_or_file)
    if name_or_file in presets():
        text = (resources.files("niwaki.study") / "presets" / f"{name_or_file}.toml").read_text(encoding="utf-8")
        return parse_spec(text, name_or_file), name_or_file
    if path.suffix != ".toml":
        if path.exists():
            kind = "a folder" if path.is_dir() else "a file"
            raise SpecError(f"{path} is {kind}, not a study: a study's file ends in .toml")
        near = guess(name_or_file, presets())
        raise SpecError(
            f"unknown study {name_or_file!r}: {near}built-in are {', '.join(presets())}; or give a .toml file"
        )
    try:
        data = read_at_most(path, TOML_LIMIT)
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse_spec(data, str(path), path.parent), path.stem


def parse_spec(text: str | bytes, name: str, folder: Path | None = None) -> StudySpec:
    """A study from the text of a TOML file; resolves every trial's settings once, so that all are valid.

    Relative paths in it are relative to `folder`.
    """
    try:
        values = parse_toml(text)
    except ValueError as error:
        raise SpecError(f"{name}: not valid TOML: {error}") from error
    spec: StudySpec = _validated(StudySpec, values if folder is None else beside(values, folder), name)
    for experiment in spec.experiment:
        trials = resolve(spec, experiment, name)
        if spec.select and spec.select.experiment == experiment.name:
            _check_select(spec.select, trials, name)
    return spec


def _check_select(select: SelectSpec, trials: list[tuple[Any, TrialSettings]], name: str) -> None:
    """Flash and RAM belong to the generated C, which only static int8 has."""
    without = [trial for _, trial in trials if trial.quantize is None or trial.quantize.kind == "dynamic"]
    if select.of_generated_c and without:
        raise SpecError(
            f"{name}: select: {select.of_generated_c}: flash and RAM are known for static int8 only, but experiment "
            f'{select.experiment!r} leaves trials without it: set [quantize] kind = "static"'
        )


def resolve(spec: StudySpec, experiment: Experiment, name: str = "study") -> list[tuple[Any, TrialSettings]]:
    """The varied value (None if nothing varies) and the settings of every trial of an experiment."""
    key = experiment.varied_key
    values: list[Any] = experiment.vary[key] if key else [None]
    where = f"{name}: experiment {experiment.name!r}"
    if experiment.longer and len(values) > 1 and key and key.startswith("prune.") and key != "prune.steps":
        raise SpecError(f"{where}: longer does not prune, so {key} changes nothing: leave vary out")
    trials = []
    for value in values:
        settings: dict[str, Any] = {
            section: getattr(spec, section).model_dump() if getattr(spec, section) is not None else None
            for section in VARIED_SECTIONS
        }
        for dotted, new in {**experiment.set, **({key: value} if key else {})}.items():
            _put(settings, dotted, new, where)
        settings["from_scratch"], settings["longer"] = experiment.from_scratch, experiment.longer
        trials.append((value, _validated(TrialSettings, settings, where)))
    _check_controls([trial for _, trial in trials], where)
    return trials


def _check_controls(trials: list[TrialSettings], where: str) -> None:
    """A control needs something to control."""
    if any(trial.from_scratch and not trial.is_pruned for trial in trials):
        raise SpecError(
            f"{where}: from_scratch trains the widths that pruning left, but nothing is pruned: set [prune]"
        )
    if any(trial.longer and not trial.finetuned_epochs for trial in trials):
        raise SpecError(
            f"{where}: longer trains the unpruned network for as many epochs as pruned ones are fine-tuned, but none "
            "is: set [prune], and epochs in [finetune]"
        )


def _put(settings: dict[str, Any], dotted: str, value: Any, where: str) -> None:
    section, _, key = dotted.partition(".")
    if section not in VARIED_SECTIONS or not key:
        raise SpecError(
            f"{where}: {dotted!r} cannot be varied or set; use {', '.join(f'{s}.…' for s in VARIED_SECTIONS)}"
        )
    if dotted == "model.weights":
        raise SpecError(f"{where}: a study starts from one file: {dotted!r} cannot be varied; make a study for each")
    target = settings[section] = dict(settings[section] or {})
    parts = key.split(".")
    for part in parts[:-1]:
        if not isinstance(target.get(part), dict):
            raise SpecError(f"{where}: {dotted!r}: there is no table {part!r}")
        target[part] = dict(target[part])
        target = target[part]
    target[parts[-1]] = value


def _validated(kind: type[Any], values: Mapping[str, Any], name: str) -> Any:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise SpecError(f"{name}: {explain(error, kind)}") from error
