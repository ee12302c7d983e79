"""The forms of a model, each made from the one before it: float ONNX, int8 ONNX, generated C."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from niwaki.codegen.graph.arithmetic import HIGH, LOW
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data.dataset import Dataset
from niwaki.data.preprocessing import Preprocessing
from niwaki.deploy.cause import way_out
from niwaki.deploy.folder import FormNote, MadeWith
from niwaki.deploy.formats import DYNAMIC, FILES, INT8, KINDS, ONNX, TFLITE_FILE, C, Form
from niwaki.deploy.images import calibration_images, random_images
from niwaki.deploy.origin import Origin
from niwaki.deploy.pictures import Pictures
from niwaki.emit.generate import PREFIX, Footprint, generate
from niwaki.errors import DataError, ModelError, NiwakiError, Setting, SpecError, Wording
from niwaki.files import sha256_of
from niwaki.models import modelfile
from niwaki.models.onnx_export import check_against_torch, to_onnx
from niwaki.models.onnxfile import load_onnx
from niwaki.models.opset import DEFAULT_OPSET
from niwaki.notify import Notify
from niwaki.training.quantize import quantize_dynamic, quantize_static
from niwaki.training.settings import QuantizeSettings

CONVERTED: Mapping[Form, Callable[[bytes], bytes]] = {DYNAMIC: lambda data: quantize_dynamic(data).onnx}
"""How a float ONNX model is converted by itself, without images."""
CHECKED = 100  # images to compare a fresh float ONNX with its module on
_FEW_VALUES = 64  # int8 values that pixels use: a range chosen on such pixels leaves more


@dataclass(frozen=True)
class ExportOptions:
    """How forms are made."""

    opset: int | None = None
    """Operator set of the ONNX files, 13 to 18; None: 17, or the ONNX file's own."""
    prefix: str = PREFIX
    """Prefix of every name in the C."""
    ram_limit: int | None = None
    """Bytes of RAM that the C may need; if it needs more, some layers run by stripes of rows."""
    settings: QuantizeSettings = field(default_factory=QuantizeSettings)
    trust: bool = False
    """Whether to call a factory that is not niwaki's."""
    preprocessing: Preprocessing | None = None
    """How pixels become the input of an ONNX that does not say so."""
    labels: tuple[str, ...] = ()
    """The names of its classes."""


@dataclass(frozen=True)
class Material:
    """A model, and what its forms are made with."""

    origin: Origin
    pictures: Pictures = field(default_factory=Pictures)
    """Without data, nothing can be calibrated."""
    named: str | None = None
    """The data that the user named."""
    int8: bytes | None = None
    """The int8 ONNX, if it was made earlier."""


@dataclass
class Making:
    """The forms of one origin, made one by one; the origin itself is the first."""

    material: Material
    options: ExportOptions
    notify: Notify
    files: dict[Form, dict[str, bytes]] = field(default_factory=dict)
    notes: dict[Form, FormNote] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    calibration: str = ""
    footprint: Footprint | None = None
    int8: bytes | None = None
    _float: bytes | None = None
    _failed: dict[str, NiwakiError] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.int8 = self.material.int8
        form = next(name for name, form in KINDS.items() if form.kind == self.origin.kind)
        settings = self._calibrated() if form == INT8 else {}
        self._take(form, {FILES[form]: self.origin.data, **self._beside()}, settings)
        if self.origin.ending:
            self.remarks.append(self.origin.ending.said)

    @property
    def origin(self) -> Origin:
        """The model."""
        return self.material.origin

    @property
    def data(self) -> Dataset | None:
        """The images to calibrate on."""
        return self.material.pictures.data

    def make(self, form: Form) -> None:
        """Make one form; for C, also the form that it is generated from.

        Raises ModelError if it cannot be made from this model; DataError if it needs images and there are none.
        """
        if form == ONNX:
            self._take(form, {FILES[form]: self._float_onnx()}, {"opset": self.options.opset})
        elif form == INT8:
            self._take(form, {FILES[form]: self._int8_onnx(), **self._beside()}, self._calibrated())
            self._warn(form, self._int8_onnx())
        elif form == C:
            self.make(INT8)
            self._generate(self._int8_onnx())
        else:
            converted = CONVERTED[form](self._float_onnx())
            self._take(form, {FILES[form]: converted}, {"opset": self.options.opset})
            if not KINDS[form].is_float:
                self._warn(form, converted)

    def _beside(self) -> dict[str, bytes]:
        """The TensorFlow Lite file that the int8 ONNX was made from, for what runs that."""
        return {TFLITE_FILE: self.origin.tflite} if self.origin.tflite else {}

    def _take(
        self, form: Form, files: Mapping[str, bytes], settings: dict[str, MadeWith], made_of: bytes | None = None
    ) -> None:
        hashes = {path: sha256_of(data) for path, data in files.items()}
        made_of = self.origin.data if made_of is None else made_of
        self.files[form] = dict(files)
        self.notes[form] = FormNote(files=hashes, made_of=sha256_of(made_of), settings=settings)

    def _warn(self, form: Form, data: bytes) -> None:
        """Report once what you have to know to deploy it."""
        try:
            remark = f"{FILES[form]}: {way_out(data)}"
        except ModelError as error:  # C can be generated from it all the same
            remark = Wording(f"{FILES[form]}: ", error)
        if remark not in self.remarks:
            self.remarks.append(remark)

    def _float_onnx(self) -> bytes:
        if self._float is None:
            self._float = self.origin.data if self.origin.kind == "float" else self._once("float", self._export)
        return self._float

    def _export(self) -> bytes:
        self.notify("exporting to ONNX")
        model, info = modelfile.loads(self.origin.data, trust=self.options.trust, name=self.origin.name)
        data = to_onnx(model, info, opset=self.options.opset)
        if self.options.opset is None and (opset := load_onnx(data).opset_import[0].version) > DEFAULT_OPSET:
            self.notify(f"opset {opset}: an operator of this network is newer than {DEFAULT_OPSET}")
        images = random_images(info.input_shape, CHECKED)
        if self.data is not None:
            images = calibration_images(self.data.train, CHECKED)
        check_against_torch(data, model, images, info.preprocessing)
        return data

    def _int8_onnx(self) -> bytes:
        if self.int8 is None:
            self.int8 = self.origin.data if self.origin.kind == "int8" else self._once("int8", self._quantize)
        return self.int8

    def _once(self, step: str, make: Callable[[], bytes]) -> bytes:
        """Make what several forms are made from: if it failed, it is not tried again for the next."""
        if step in self._failed:
            raise self._failed[step]
        try:
            return make()
        except NiwakiError as error:
            self._failed[step] = error
            raise

    def _quantize(self) -> bytes:
        if self.data is None:
            raise self.material.pictures.error or DataError(
                f"{self.origin.name}: int8 needs training images to calibrate on, but no file names them"
                f"{_its_data(self.origin)}: name them with ", Setting("data"),
            )  # fmt: skip
        settings, float_onnx = self.options.settings, self._float_onnx()
        if settings.kind == "qat":
            raise SpecError("kind = qat trains, which export does not: use niwaki quantize, or a study")
        images = calibration_images(self.data.train, settings.images)
        self.calibration = f"{settings.calibration} on {len(images):,} training images of {self.data.name}"
        self.notify(f"quantizing, calibrated by {self.calibration}")
        if self.data.synthetic:
            self.remarks.append("calibrated on synthetic data: garments that niwaki draws, not photographs")
        done = quantize_static(float_onnx, images, settings)
        self.remarks.extend(done.notes)
        return done.onnx

    def _calibrated(self) -> dict[str, MadeWith]:
        if self.origin.kind == "int8":
            return self.origin.ending.made_with if self.origin.ending else {}
        made_with: dict[str, MadeWith] = {"opset": self.options.opset}
        for name, value in self.options.settings.stated().items():
            several = isinstance(value, dict)
            made_with[name] = ", ".join(f"{key} = {one}" for key, one in value.items()) if several else value
        return made_with

    def _generate(self, int8_onnx: bytes) -> None:
        self.notify("generating C")
        options, name = self.options, self.origin.name
        model = load_onnx(int8_onnx, name)
        try:
            graph = read_qdq(model, name)
        except ModelError as error:
            raise error if name in str(error) else ModelError(f"{name}: ", *error.args) from None
        generated = generate(graph, prefix=options.prefix, ram_limit=options.ram_limit, title=self.origin.title)
        self.footprint = generated.report
        if graph.preprocessing is None:
            self.remarks.append(
                Wording(
                    f"the file does not say how pixels become its input: the C takes {_taken(graph)}; say it with ",
                    Setting("preprocessing"),
                )
            )
        self.remarks.extend(_few_values(graph))
        files = {f"{FILES[C]}/{file}": content for file, content in generated.files.items()}
        settings: dict[str, MadeWith] = {"prefix": options.prefix}
        if options.ram_limit is not None:
            settings |= {"ram_limit": options.ram_limit, "stripes": "; ".join(generated.report.stripes) or None}
        self._take(C, files, settings, int8_onnx)


def _taken(graph: Graph) -> str:
    """What the C of a file without preprocessing takes."""
    source = graph.tensors[graph.input]
    numbers = f"q = round(number / {source.scale:.9g}) {source.zero_point:+d}"
    if graph.table is not None:
        return f"pixels as x/255, or int8 inputs {numbers}"
    order = "" if graph.layout == "CHW" else " in the file's own order (rows of pixels, HWC),"
    return f"int8 inputs only,{order} {numbers}"


def _few_values(graph: Graph) -> Iterator[Wording]:
    """A remark if pixels hardly use the input's int8 values: they were prepared in another way for training."""
    if graph.table is None:
        return
    used = max(len(np.unique(row)) for row in graph.table)
    if used >= _FEW_VALUES:
        return
    source, pixels = graph.tensors[graph.input], (graph.preprocessing or Preprocessing()).table()
    low, high = ((end - source.zero_point) * source.scale for end in (LOW, HIGH))
    yield Wording(
        f"of the input's 256 int8 values, which mean {low:.4g} to {high:.4g}, pixels use {used}: they become "
        f"{pixels.min():.4g} to {pixels.max():.4g}: if the network was trained on other numbers, say so with ",
        Setting("preprocessing"),
    )


def _its_data(origin: Origin) -> str:
    name = origin.provenance.data_name
    return f" (it was trained on {name!r} data that are not in the cache)" if name else ""
