"""What a network costs on every known board, before it is trained: constants and RAM exactly, the rest about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data.preprocessing import Preprocessing
from niwaki.deploy.images import random_images
from niwaki.deploy.origin import Origin, open_origin
from niwaki.emit.generate import generate
from niwaki.errors import ModelError, Setting
from niwaki.firmware.boards import Core, KnownBoard, known_boards
from niwaki.measure.onnxcost import count_onnx
from niwaki.models import factory as factories
from niwaki.models import modelfile
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnx_export import to_onnx
from niwaki.models.onnxfile import load_onnx
from niwaki.notify import Notify
from niwaki.tabular import Column, Tabular
from niwaki.training.quantize import quantize_static
from niwaki.training.settings import QuantizeSettings

IMAGES = 8  # random ones: sizes do not depend on them
AVR_ARRAY = 32_767  # bytes: avr-gcc takes no larger array
_ESTIMATES = "code, stack, what a board takes itself, and times are estimates; constants and working memory are exact"
_COLUMNS: tuple[Column, ...] = (
    ("board", "left"), ("fits", "left"), ("flash, about", "right"), ("of", "right"), ("RAM, about", "right"),
    ("of", "right"), ("time, about", "right"),
)  # fmt: skip


@dataclass(frozen=True)
class BoardCost:
    """Estimates for one board: bytes with code, stack and what the board takes itself, cycles and ms an image."""

    name: str
    title: str
    flash: int
    flash_of: int
    ram: int
    """Working memory, scores, stack, and what the board takes."""
    ram_of: int
    stack: int
    cycles: int
    ms: float
    why_not: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether there is room for it."""
        return not self.why_not


@dataclass(frozen=True)
class CostReport:
    """What a network costs."""

    name: str
    macs: int
    constants: int
    """Bytes of constants in flash, exactly."""
    ram: int
    """Bytes of working memory with the image, and scores, exactly."""
    boards: tuple[BoardCost, ...]

    def __repr__(self) -> str:
        return (
            f"<CostReport {self.name}: fits on {sum(board.fits for board in self.boards)} of {len(self.boards)} boards>"
        )

    def _repr_html_(self) -> str:
        return self.table().to_html()

    def table(self) -> Tabular:
        """A row for each board; below, why a network does not fit."""
        rows = tuple(_cells(board) for board in self.boards)
        why = (f"{board.title}: {'; '.join(board.why_not)}" for board in self.boards if board.why_not)
        caption = f"{self.name}: {self.macs:,} MACs, {self.constants:,} bytes of constants, {self.ram:,} bytes of RAM"
        return Tabular(_COLUMNS, rows, caption, (*why, _ESTIMATES))

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "name": self.name, "macs": self.macs, "constants": self.constants, "ram": self.ram,
            "estimates": _ESTIMATES,
            "boards": [{**vars(board), "why_not": list(board.why_not), "fits": board.fits} for board in self.boards],
        }  # fmt: skip


def cost_of(
    model: str, *, args: Mapping[str, object] | None, shape: tuple[int, ...] | None, boards: Path | None, trust: bool,
    notify: Notify,
) -> CostReport:  # fmt: skip
    """What a model file, an ONNX or .tflite file, or the network of a factory costs on every known board.

    A factory is called with `args`, for images of `shape` (C, H, W); `boards` is a file with boards of the user's own.
    Raises NiwakiError if there is no such file or factory, or no C can be made of it.
    """
    cores, known = known_boards(boards)
    notify(f"working out what {model} needs")
    path = Path(model)
    if path.exists() or path.suffix in (".safetensors", ".onnx", ".tflite"):
        for setting, value in (("args", args), ("shape", shape)):
            if value is not None:
                raise ModelError(Setting(setting), f" belongs to a factory: {model} is a file that says it itself")
        int8 = _int8_of(open_origin(path), trust)
    else:
        int8 = _of_factory(model, args or {}, shape or (1, 32, 32), trust)
    onnx = load_onnx(int8, model)
    graph = read_qdq(onnx, model)
    return _report(model, graph, count_onnx(onnx).macs or 0, cores, known)


def _int8_of(origin: Origin, trust: bool) -> bytes:
    """An int8 ONNX of its sizes, calibrated on random images if it is float."""
    if origin.kind == "int8":
        return origin.data
    if origin.kind == "dynamic":
        raise ModelError(f"{origin.name}: is quantized dynamically: give the model file or the float ONNX")
    if origin.preprocessing is None:
        raise ModelError(f"{origin.name}: does not say how pixels become its input: give a model file or an int8 ONNX")
    data = origin.data
    if origin.kind == "model":
        module, info = modelfile.loads(data, trust=trust, name=origin.name)
        data = to_onnx(module, info)
    return _quantized(data, origin.input_shape)


def _of_factory(name: str, args: Mapping[str, object], shape: tuple[int, ...], trust: bool) -> bytes:
    if ":" not in name and factories.is_foreign(name):
        raise ModelError(
            f"{name}: there is no such file or factory; factories are {', '.join(factories.BUILT_IN)}, or "
            "package.module:callable"
        )
    module = factories.build_seeded(name, args, 0, trust=trust)
    try:
        with torch.no_grad():
            outputs = module.eval()(torch.zeros(1, *shape)).shape[-1]
    except RuntimeError as error:
        said = str(error).partition("\n")[0]
        raise ModelError(Setting("shape", f'"{shape}"'), f": {name} does not take such images: {said}") from error
    info = ModelInfo(
        factory=name, args=dict(args), input_shape=shape, labels=tuple(str(label) for label in range(outputs)),
        preprocessing=Preprocessing(color="grey" if shape[0] == 1 else "rgb"),
    )  # fmt: skip
    return _quantized(to_onnx(module, info), shape)


def _quantized(float_onnx: bytes, shape: tuple[int, ...]) -> bytes:
    return quantize_static(float_onnx, random_images(shape, IMAGES), QuantizeSettings(images=IMAGES)).onnx


def _report(name: str, graph: Graph, macs: int, cores: Mapping[str, Core], known: tuple[KnownBoard, ...]) -> CostReport:
    made = generate(graph).report
    largest = max((weights.bytes for weights in made.weights), default=0)
    costs = []
    for board in known:
        core = cores[board.core]
        flash = board.taken_flash + core.code + made.constant_bytes
        ram = board.taken_ram + made.ram_bytes + core.stack
        why = [
            f"{what} {needed - there:,} bytes short" for what, needed, there in
            (("flash", flash, board.flash), ("RAM", ram, board.ram)) if needed > there
        ]  # fmt: skip
        if board.core == "avr" and largest > AVR_ARRAY:
            why.append(f"a layer has {largest:,} bytes of weights, the compiler takes {AVR_ARRAY:,}")
        cycles = round(macs * core.cycles_per_mac)
        costs.append(
            BoardCost(
                board.name, board.title, flash, board.flash, ram, board.ram, core.stack, cycles,
                1000 * cycles / board.clock, tuple(why),
            )
        )  # fmt: skip
    return CostReport(name, macs, made.constant_bytes, made.ram_bytes, tuple(costs))


def _cells(board: BoardCost) -> tuple[str, ...]:
    time = f"{board.ms:,.0f} ms" if board.ms >= 10 else f"{board.ms:.2g} ms"
    return (
        board.title, "yes" if board.fits else "NO", f"{board.flash:,}", f"{board.flash_of:,}", f"{board.ram:,}",
        f"{board.ram_of:,}", time,
    )  # fmt: skip
