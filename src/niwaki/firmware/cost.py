"""What a network costs on every known board, before it is trained: constants and RAM exactly, the rest about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from niwaki.codegen.graph.layout import stack_bytes
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data.preprocessing import Preprocessing
from niwaki.deploy.images import random_images
from niwaki.deploy.origin import Origin, open_origin
from niwaki.emit.estimate import Estimate, estimate, model_of
from niwaki.emit.generate import Generated, generate
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
UNO, LINUX = "uno", "aarch64"  # a board; the core of boards that get no project
AVR_ARRAY = 32_767  # bytes: avr-gcc takes no larger array
_ESTIMATES = (
    "estimated: code, stack, instructions, time, and what a board takes itself; constants and working memory are exact"
)
_COLUMNS: tuple[Column, ...] = (
    ("board", "left"), ("fits", "left"), ("flash", "right"), ("of", "right"), ("RAM", "right"), ("of", "right"),
    ("stack", "right"), ("instr.", "right"), ("time", "right"),
)  # fmt: skip
_ALL_DIGITS = 100_000  # bytes below that are shown to the byte


@dataclass(frozen=True)
class BoardCost:
    """Estimates for one board: bytes with code, stack and what it takes itself; instructions, cycles, ms an image."""

    name: str
    title: str
    flash: int
    flash_of: int
    ram: int
    """Working memory, scores, stack, and what the board takes."""
    ram_of: int
    stack: int
    """What a call of the network needs of it, counted in `ram` too."""
    instructions: int
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
    stripes: tuple[str, ...]
    """Which layers run by stripes of rows, and how, if a limit of RAM takes that."""
    boards: tuple[BoardCost, ...]

    @property
    def estimates(self) -> str:
        """What is estimated, in words."""
        return _ESTIMATES

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
        striped = (f"by stripes of rows: {layers}" for layers in self.stripes)
        return Tabular(_COLUMNS, rows, caption, (*why, *striped, _ESTIMATES))

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "name": self.name, "macs": self.macs, "constants": self.constants, "ram": self.ram,
            "stripes": list(self.stripes), "estimates": self.estimates,
            "boards": [{**vars(board), "why_not": list(board.why_not), "fits": board.fits} for board in self.boards],
        }  # fmt: skip


@dataclass(frozen=True)
class Called:
    """How a factory is called."""

    args: Mapping[str, object] | None = None
    shape: tuple[int, ...] | None = None
    """Of its images: (C, H, W)."""


def cost_of(
    model: str, called: Called, *, boards: Path | None, ram_limit: int | None, trust: bool, notify: Notify
) -> CostReport:  # fmt: skip
    """What a model file, an ONNX or .tflite file, or the network of a factory costs on every known board.

    `boards` is a file of the user's own boards. With a limit of RAM in bytes, layers run by stripes of rows if they
    must. Raises NiwakiError if there is no such file or factory, or no C can be made of it within the limit.
    """
    cores, known = known_boards(boards)
    notify(f"working out what {model} needs")
    path = Path(model)
    if path.exists() or path.suffix.lower() in (".safetensors", ".onnx", ".tflite"):
        for setting, value in vars(called).items():
            if value is not None:
                raise ModelError(Setting(setting), f" belongs to a factory: {model} is a file that says it itself")
        int8 = _int8_of(open_origin(path), trust)
    else:
        int8 = _of_factory(model, called.args or {}, called.shape or (1, 32, 32), trust)
    onnx = load_onnx(int8, model)
    graph = read_qdq(onnx, model)
    made = generate(graph, ram_limit=ram_limit)
    tried = {core.kernels for core in cores.values() if core.kernels}
    kernels = {target: estimate(graph, model_of(target), ram_limit) for target in tried}
    macs, needs = count_onnx(onnx).macs or 0, made.report
    costs = tuple(_on_board(made, macs, board, cores[board.core], kernels) for board in known)
    return CostReport(model, macs, needs.constant_bytes, needs.ram_bytes, needs.stripes, costs)


def too_large_for_an_uno(made: Generated) -> str:
    """Why an Arduino Uno has no room for a network's C, and which microcontrollers have, in a line; empty if it has."""
    cores, known = known_boards()
    costs = [_on_board(made, 0, board, cores[board.core], {}) for board in known if board.core != LINUX]
    uno = next(cost for cost in costs if cost.name == UNO)
    if uno.fits:
        return ""
    fit = ", ".join(cost.title.partition(" (")[0] for cost in costs if cost.fits)
    return f"too large for an Arduino Uno: {'; '.join(uno.why_not)}; boards that fit: {fit or 'none that niwaki knows'}"


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


def _on_board(
    made: Generated, macs: int, board: KnownBoard, core: Core, kernels: Mapping[str, Estimate]
) -> BoardCost:  # fmt: skip
    needs, tried = made.report, kernels.get(core.kernels)
    patch, _ = stack_bytes(made.program.steps)
    cycles = round(macs * core.cycles_per_mac)
    code, stack = core.code, core.stack + (patch if core.patch else 0)
    instructions = round(macs * (core.instructions_per_mac or core.cycles_per_mac))
    if tried:
        code, stack = round(tried.code), round(tried.stack)
        cycles = instructions = max(instructions, round(tried.instructions))  # it knows nothing of some kernels
    flash = board.taken_flash + code + needs.constant_bytes
    ram = board.taken_ram + needs.ram_bytes + stack
    why = [
        f"{what} {needed - there:,} bytes short" for what, needed, there in
        (("flash", flash, board.flash), ("RAM", ram, board.ram)) if needed > there
    ]  # fmt: skip
    largest = max((weights.bytes for weights in needs.weights), default=0)
    if board.core == "avr" and largest > AVR_ARRAY:
        why.append(f"a layer has {largest:,} bytes of weights, the compiler takes {AVR_ARRAY:,}")
    return BoardCost(
        board.name, board.title, flash, board.flash, ram, board.ram, stack, instructions, cycles,
        1000 * cycles / board.clock, tuple(why),
    )  # fmt: skip


def _cells(board: BoardCost) -> tuple[str, ...]:
    """A row of 80 columns if the title has no more than 19 characters before its brackets."""
    memories = (board.flash, board.flash_of, board.ram, board.ram_of, board.stack)
    return (
        board.title.partition(" (")[0], "yes" if board.fits else "NO", *map(_bytes, memories),
        _scaled(board.instructions, 1, ("", "k", "M", "G")), _scaled(board.ms, 1e-3, (" µs", " ms", " s")),
    )  # fmt: skip


def _bytes(size: int) -> str:
    """As 32,256, 256 KB or 4 MB."""
    if size < _ALL_DIGITS:
        return f"{size:,}"
    kilo, units = size / 1024, ["MB", "GB"]
    unit = "KB"
    while kilo >= 1000 and units:
        kilo, unit = kilo / 1024, units.pop(0)
    return f"{kilo:.0f} {unit}" if kilo >= 10 else f"{kilo:.2g} {unit}"


def _scaled(value: float, unit: float, names: tuple[str, ...]) -> str:
    """Two or three digits and the name of the unit: 2.1M, 132 ms."""
    scaled, left = value / unit, list(names)
    while scaled >= 1000 and len(left) > 1:
        scaled, left = scaled / 1000, left[1:]
    return f"{scaled:,.0f}{left[0]}" if scaled >= 10 else f"{scaled:.2g}{left[0]}"
