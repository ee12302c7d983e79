"""`niwaki quantize`: from a model file or a float ONNX file to one int8 ONNX file, with training on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data.dataset import Dataset
from niwaki.deploy.images import calibration_images
from niwaki.deploy.origin import Origin, open_origin
from niwaki.deploy.pictures import find_pictures
from niwaki.deploy.runtimes import onnxruntime_predictor
from niwaki.emit.generate import Footprint, generate
from niwaki.errors import DataError, ModelError, Setting, Wording
from niwaki.files import write_whole
from niwaki.measure.accuracy import evaluate
from niwaki.models import modelfile
from niwaki.models.generators import seeded
from niwaki.models.onnx_export import to_onnx
from niwaki.notify import Notify, silent
from niwaki.randomness import derive_seed
from niwaki.tabular import Column, Tabular
from niwaki.training.qat import quantize_aware
from niwaki.training.quantize import quantize
from niwaki.training.settings import QuantizeSettings
from niwaki.training.teachers import Teacher
from niwaki.training.train import Epoch, Training

_COLUMNS: tuple[Column, ...] = (("network", "left"), ("validation %", "right"), ("test %", "right"))


@dataclass(frozen=True)
class QuantizeOptions:
    """How a network is quantized, and with which training."""

    settings: QuantizeSettings = field(default_factory=QuantizeSettings)
    data: Dataset | str | None = None
    """The data whose training images calibrate and train; None: the dataset that the file names."""
    teachers: Callable[[Dataset], Sequence[Teacher]] = lambda _data: ()
    """Those that training learns from, for the data that is found."""
    seed: int = 0
    device: str = "cpu"
    trust: bool = False
    notify: Notify = silent
    after_epoch: Callable[[int, Epoch], None] | None = None


@dataclass(frozen=True)
class Measured:
    """Accuracy in percent."""

    validation: float
    test: float


@dataclass(frozen=True)
class QuantizeReport:
    """The result for a network: the file, its accuracy beside the float's, what its C needs."""

    file: Path
    origin: str
    kind: str
    before: Measured
    """The float network."""
    after: Measured
    """The int8 file, in ONNX Runtime."""
    footprint: Footprint | None
    """Constants and RAM of the C; None if none can be generated: a note says why."""
    epochs: tuple[Epoch, ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<QuantizeReport {self.file}: {self.after.validation:.2f} %, float {self.before.validation:.2f} %>"

    def _repr_html_(self) -> str:
        return self.table().to_html()

    def table(self) -> Tabular:
        """Accuracy before and after; below, what the C needs."""
        rows = tuple(
            (name, f"{found.validation:.2f}", f"{found.test:.2f}")
            for name, found in (("float", self.before), (f"int8, {self.kind}", self.after))
        )
        said = list(self.notes)
        if needs := self.footprint:
            said.insert(0, f"C: {needs.constant_bytes:,} bytes of constants, {needs.ram_bytes:,} of RAM")
        return Tabular(_COLUMNS, rows, f"{self.origin}: written to {self.file}", tuple(said))

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON: accuracies in percent, sizes in bytes."""
        return {
            "file": str(self.file),
            "origin": self.origin,
            "kind": self.kind,
            "float": vars(self.before),
            "int8": vars(self.after),
            "constants": self.footprint.constant_bytes if self.footprint else None,
            "ram": self.footprint.ram_bytes if self.footprint else None,
            "epochs": [epoch.to_dict() for epoch in self.epochs],
            "notes": list(self.notes),
        }


def quantize_file(file: Path, out: Path, options: QuantizeOptions) -> QuantizeReport:
    """Write the int8 ONNX of a model file or a float ONNX file to `out`, and measure both.

    Raises ModelError for a file that cannot be used or is int8 already, and for an `out` that does not end in .onnx;
    DataError if there are no images to calibrate on.
    """
    if out.suffix != ".onnx":
        raise ModelError(f"{out}: the int8 network is an ONNX file: give a name that ends in .onnx")
    origin = open_origin(file)
    if origin.kind not in ("model", "float"):
        raise ModelError(f"{file}: is int8 already: give the float network")
    data = _images(origin, options)
    teachers = options.teachers(data)
    if origin.kind == "model":
        model, info = modelfile.loads(origin.data, trust=options.trust, name=origin.name)
        float_onnx = to_onnx(model, info)
    else:
        float_onnx = origin.data
    settings = options.settings
    images = calibration_images(data.train, settings.images, derive_seed(options.seed, "quantize", 0))
    history: list[Epoch] = []
    if settings.kind == "qat":
        training = Training(
            data.validation, options.seed, "quantize", 0, options.device, teachers=teachers,
            after_epoch=options.after_epoch,
        )  # fmt: skip
        options.notify(f"training with rounding on {len(data.train):,} images of {data.name}")
        with seeded(derive_seed(options.seed, "quantize", 0)):
            done, history = quantize_aware(float_onnx, images, data.train, settings, training)
    else:
        done = quantize(float_onnx, images, settings)
    footprint, notes = _footprint(done.onnx)
    write_whole(out, done.onnx)
    return QuantizeReport(
        out, origin.name, settings.kind, _measured(float_onnx, data), _measured(done.onnx, data), footprint,
        tuple(history), (*done.notes, *notes),
    )  # fmt: skip


def _images(origin: Origin, options: QuantizeOptions) -> Dataset:
    pictures = find_pictures(origin.needs, options.data, options.notify, any_classes=True)
    if pictures.data is None:
        raise pictures.error or DataError(
            f"{origin.name}: the file names no dataset to calibrate, train and measure on: name one with ",
            Setting("data"),
        )  # fmt: skip
    return pictures.data


def _footprint(int8_onnx: bytes) -> tuple[Footprint | None, tuple[str, ...]]:
    try:
        return generate(read_qdq(onnx.load_from_string(int8_onnx), "the int8 ONNX")).report, ()
    except ModelError as error:
        return None, (Wording("no C can be generated: ", error),)


def _measured(network: bytes, data: Dataset) -> Measured:
    predict = onnxruntime_predictor(network, data.preprocessing.table())
    accuracies = (
        evaluate(predict, split.images, split.labels, data.num_classes).accuracy
        for split in (data.validation, data.test)
    )
    return Measured(*accuracies)
