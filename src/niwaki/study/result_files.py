"""The files beside the records: a type for each, which reads and writes it with its own checksum.

So readers never meet a part that is missing or has another type, and every changed value is noticed. Entries that
niwaki does not read pass, and are written back. Files of earlier versions have no checksum: only the shape counts.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt, StringConstraints, model_validator

from niwaki.deploy.formats import TIMED, RunForm
from niwaki.study.checked_json import Letters, Part, ResultFile
from niwaki.study.layer_facts import LayerCodes, LayerFacts, Sensitivity
from niwaki.training.settings import QuantizeSettings

Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]  # it names a folder
TIMED_FORMS = TIMED


class Images(Part):
    """How many images each split has."""

    train: int
    validation: int
    test: int


class DataFacts(Part):
    """The data that a study's networks were trained and evaluated on."""

    name: Letters
    origin: Letters
    fingerprint: str
    synthetic: bool
    labels: Annotated[list[Letters], Field(min_length=1)]
    images: Images
    input_shape: tuple[int, int, int]
    notes: tuple[Letters, ...] = ()  # what was skipped, passed over or is repeated; written only if there is any


class Machine(Part):
    """The machine and the versions, in words."""

    machine: Letters
    torch: str

    @property
    def versions(self) -> dict[str, object]:
        """Everything that is known except the machine and its system."""
        return {name: value for name, value in self.to_dict().items() if name not in ("machine", "system")}

    @property
    def system(self) -> object:
        """The operating system, if a file states it."""
        return (self.model_extra or {}).get("system", "?")


class StoredTrial(Part):
    """A trial of the plan. `quantize` is the kind of quantization in the last row."""

    experiment: str
    value: Any
    seed: int
    stages: Annotated[tuple[Key, ...], Field(min_length=1)]
    rows: Annotated[tuple[Key, ...], Field(min_length=1)]
    quantize: Literal["static", "dynamic", "qat"] | None = None


class Study(ResultFile):
    """`study.json`: enough to show a study without its data. The specification has its own reader."""

    NAME: ClassVar[str] = "study.json"

    spec: Any = None
    data: DataFacts
    environment: Machine
    stages: tuple[Key, ...]
    trials: tuple[StoredTrial, ...]

    @model_validator(mode="after")
    def _fits_together(self) -> Study:
        rows: dict[tuple[str, str], int] = {}
        for trial in self.trials:
            if not set(trial.stages) <= set(self.stages) or not set(trial.rows) <= set(trial.stages):
                raise ValueError(f"a trial of {trial.experiment!r} has a stage that is none")
            if rows.setdefault((trial.experiment, repr(trial.value)), len(trial.rows)) != len(trial.rows):
                raise ValueError(f"the seeds of a trial of {trial.experiment!r} have unlike stages")
        return self


class Choice(ResultFile):
    """`choice.json`: the chosen stage and why, in words; `key` is None if no candidate is within the budget."""

    NAME: ClassVar[str] = "choice.json"

    key: str | None
    value: Any
    reason: Letters


class Time(Part):
    """Microseconds per call."""

    median_us: PositiveFloat  # it is drawn on a logarithmic axis
    p95_us: PositiveFloat


class Timings(ResultFile):
    """`timings.json`: the latencies of the networks, by structure and batch."""

    NAME: ClassVar[str] = "timings.json"

    machine: dict[Letters, Letters] | None = None
    threads: int = 1
    pinned: bool
    noise_floor: dict[str, float]
    models: dict[str, dict[str, Time]]
    onnxruntime: dict[str, dict[str, Time]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_both_batches(self) -> Timings:
        if not {"1", "256"} <= set(self.noise_floor):
            raise ValueError("noise_floor lacks a batch")
        if not all("1" in batches for batches in (*self.models.values(), *self.onnxruntime.values())):
            raise ValueError("a network has no time at batch 1")
        return self


class Board(Part):
    """Bytes of the C on a microcontroller, with its code."""

    cpu: str
    optimization: str
    flash: int
    code: int
    constants: int
    ram: int
    stack: int


class FormFootprint(Part):
    """Bytes of the C without code (`layers`: `flash` by layer), of `board` with code. `reason`: why there is no C."""

    bytes: int | None = None  # of an exported form's files; the rest applies to the C alone
    arena: int | None = None
    flash: PositiveInt | None = None
    ram: PositiveInt | None = None
    board: Board | None = None
    layers: dict[Letters, int] | None = None
    reason: Letters | None = None

    @property
    def complete(self) -> bool:
        """Whether no number is missing that an earlier version did not write."""
        return self.flash is None or self.layers is not None


class FormAccuracy(Part):
    """Correct predictions in percent, with the 95 % interval."""

    percent: float
    interval: tuple[float, float]


class FormAgreement(Part):
    """A form compared with another: images with the same class; whether all bits are `equal` (None: one is float)."""

    against: str
    same_class: int
    equal: bool | None


class VerifiedForm(Part):
    """The result of one form on the images; `ok` is None if it has nothing to agree with, or it was not run."""

    form: str
    how: Letters
    ok: bool | None
    images: int
    accuracy: FormAccuracy | None
    agreement: FormAgreement | None
    reason: Letters | None


class ExportIdentity(Part):
    """What determined the exported forms, and what could be verified of them when they were made."""

    model: str | None = None
    int8: str | None = None
    opset: int | None = None
    quantize: dict[str, object] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    missing: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @property
    def settings(self) -> QuantizeSettings:
        """How the model became int8."""
        return QuantizeSettings.model_validate(self.quantize)


class Verification(ResultFile):
    """`verify.json`: `ok` is None, with a `reason`, for a network that has no such forms."""

    NAME: ClassVar[str] = "verify.json"

    ok: bool | None
    reason: Letters = ""
    made_of: ExportIdentity = ExportIdentity()
    files: dict[Letters, str] = Field(default_factory=dict)
    images: Letters = ""
    forms: tuple[VerifiedForm, ...] = ()
    notes: tuple[Letters, ...] = ()
    not_held: tuple[Letters, ...] = ()
    far: tuple[Letters, ...] = ()
    exported: dict[str, FormFootprint] = Field(default_factory=dict)
    missing: dict[str, Letters] = Field(default_factory=dict)
    export_notes: tuple[Letters, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether there are forms that could be verified."""
        return self.ok is not None

    @property
    def all_compared(self) -> bool:
        """Whether every form was run and compared with another."""
        return all(form.images for form in self.forms) and not (self.not_held or self.far)

    @property
    def disagree(self) -> bool:
        """Whether a form disagrees with another; one that was not run cannot."""
        return not self.ok and any(form.ok is False and form.images for form in self.forms)

    @model_validator(mode="after")
    def _says_all(self) -> Verification:
        needed = {"reason"} if self.ok is None else {"images", "forms", "notes", "exported", "export_notes"}
        if missing := sorted(needed - self.model_fields_set):
            raise ValueError(f"{', '.join(missing)} missing")
        return self


class Compared(Part):
    """What `evidence.json` and `bench.json` describe: the SHA-256 of the base and of the chosen model, in float."""

    base: str | None
    chosen: str | None
    forms: dict[Letters, str] | None = None
    data: str | None = None
    processor: Letters | None = None


class ModelFacts(Part):
    """A model by its stage."""

    key: str


class BaseFacts(ModelFacts):
    """The base, and what its C needs."""

    int8: FormFootprint


class ShownImage(Part):
    """A test image as PNG in base64, and its class."""

    true: int
    png: str


class ShownAnswer(Part):
    """The class that a network predicts for an image, its softmax, and the true class's."""

    named: int
    sure: float
    true: float | None = None


class Evidence(ResultFile):
    """`evidence.json`: all matrices have the same size, and each image that is shown has an entry."""

    NAME: ClassVar[str] = "evidence.json"

    made_of: Compared
    base: BaseFacts
    chosen: ModelFacts | None
    confusion: dict[str, list[list[int]]]
    shown: dict[str, list[int]]
    moved: dict[str, int]
    classes: list[str | None]
    images: dict[str, ShownImage]
    answers: dict[str, dict[str, ShownAnswer]]
    layers: dict[str, tuple[LayerFacts, ...]] = Field(default_factory=dict)  # files of earlier versions lack these
    codes: dict[str, tuple[LayerCodes, ...]] = Field(default_factory=dict)
    sensitivity: Sensitivity | None = None

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


class _Timed(Part):
    file: Literal["base", "chosen"]
    form: RunForm


class FormTime(_Timed, Time):
    """The time of one form in one runtime."""

    runtime: str
    runs: int


class LeftOut(_Timed):
    """A form that was not timed, and why."""

    reason: Letters


class Bench(ResultFile):
    """`bench.json`: the time of every form of both models."""

    NAME: ClassVar[str] = "bench.json"

    made_of: Compared
    rows: tuple[FormTime, ...]
    left_out: tuple[LeftOut, ...]
    noise_floor: float
    pinned: bool
    notes: tuple[Letters, ...]


class Driver(ResultFile):
    """`.driver.json`: the process that is running the study."""

    NAME: ClassVar[str] = ".driver.json"

    pid: int
    host: Letters
    since: str
