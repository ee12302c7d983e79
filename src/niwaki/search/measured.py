"""What the C of a candidate needs on a target, from the compiler and the emulator: code, stack, instructions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from niwaki.codegen.graph.graph import Graph
from niwaki.compiled.footprint import measure_footprint
from niwaki.compiled.on_target import measure_on_board
from niwaki.deploy.images import random_images
from niwaki.emit.estimate import estimate, estimated_targets, model_of
from niwaki.emit.generate import generate_within, write
from niwaki.errors import SpecError
from niwaki.folders import temporary
from niwaki.search.candidates import Costs, Shape, figures
from niwaki.search.limits import COMPILED, Limits
from niwaki.toolchain.targets import TARGETS, check_tools, find_target, missing_tools

OPTIMIZATION = "-Os"


@dataclass
class OnTarget:
    """The figures of shapes on a target, each measured once: the same program gives flash, stack and instructions.

    The weights are made up: the program's code and the instructions that it takes do not depend on their values.
    """

    target: str
    costs: Costs
    instructions: bool = False
    """Whether to run the program, in the emulator, to count them."""
    _known: dict[str, dict[str, float]] = field(default_factory=dict)

    def of(self, shape: Shape) -> dict[str, float]:
        """`flash`, `code`, `stack` and, if they are counted, `instructions` of a candidate."""
        if shape.id not in self._known:
            graph = self.costs.members[shape.member].blueprint.graph(shape.widths, shape.bits)
            self._known[shape.id] = measure(
                graph, self.target, instructions=self.instructions, ram_limit=self.costs.ram_limit
            )
        return self._known[shape.id]

    def all_of(self, shape: Shape) -> dict[str, float]:
        """These, and what is known without a compiler."""
        return {**figures(self.costs.of(shape)), **self.of(shape)}


def measure(graph: Graph, target: str, *, instructions: bool, ram_limit: int | None = None) -> dict[str, float]:
    """Bytes of flash, code and stack of a graph's C on a target at -Os, and the instructions of one inference.

    With a limit of RAM, some layers run by stripes of rows if that is what it takes.
    What `estimated` names is estimated, with its margin. Raises NiwakiError if a tool is missing for a target without
    estimates, or fails.
    """
    guessed = estimated(target)
    figure: dict[str, float] = {}
    if guessed:
        model = model_of(target)
        figure = estimate(graph, model, ram_limit).safely(model)
        if not instructions:
            del figure["instructions"]
    if "flash" in guessed:
        return figure
    with temporary("candidate") as name:
        folder = write(generate_within(graph, ram_limit), Path(name) / "c")
        found = measure_footprint(folder, target, OPTIMIZATION)
        figure |= {"flash": float(found.flash), "code": float(found.all_code), "stack": float(found.stack)}
        if instructions and "instructions" not in guessed:
            shape = graph.tensors[graph.input].shape
            image = (random_images(shape, 1).astype("i2") - 128).astype("i1")
            run = measure_on_board(folder, image, find_target(target), (OPTIMIZATION,))
            figure["instructions"] = float(run.instructions.max())
    return figure


def estimated(target: str) -> tuple[str, ...]:
    """The words of a budget that are estimated, since this machine lacks the target's compiler or emulator.

    None for a target without estimates.
    """
    known = find_target(target)
    if target not in estimated_targets():
        return ()
    if missing_tools(known, emulator=False):
        return COMPILED
    return ("instructions",) if missing_tools(known, compiler=False) else ()


def check_target(target: str, limits: Limits, minimized: str | None) -> str | None:
    """The target if anything must be measured on it, else None.

    Raises SpecError for an unknown one, or one that is no microcontroller; ToolMissing without the compiler of one that
    has no estimates.
    """
    boards = [name for name, known in TARGETS.items() if known.board is not None]
    if target not in boards:
        raise SpecError(f"target {target!r}: expected one of {', '.join(boards)}")
    asked = {limit.quantity for limit in limits.of(COMPILED)} | ({minimized} if minimized in COMPILED else set())
    if not asked:
        return None
    if target not in estimated_targets():
        check_tools(find_target(target), emulator="instructions" in asked)
    return target


def proxies(limits: Limits, ratio: Mapping[str, float]) -> dict[str, float]:
    """Limits on what is known at once, that stand for those on a target: `ratio` is what was measured so far."""
    found = {}
    for limit in limits.of(COMPILED):
        if limit.quantity == "flash":
            found["constants"] = limit.limit - ratio["code"]
        elif limit.quantity == "instructions":
            found["macs"] = limit.limit / ratio["per_mac"]
    return found
