"""Flash, stack and instructions of a network's C on a target, estimated from its kernels: without any compiler.

`estimates/TARGET.json` holds what was fitted to compiled and emulated candidates of several networks; it names the
command that made it, and how far off the estimates were for candidates that were left out of the fit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from niwaki.codegen.graph.graph import Graph
from niwaki.emit.generate import generate_within
from niwaki.emit.work import STRIPED_STEPS, STRIPES, Work, work_of
from niwaki.errors import ModelError
from niwaki.files import parse_json

QUANTITIES = ("flash", "stack", "instructions")
_FOLDER = "estimates"


@dataclass(frozen=True)
class Model:
    """The coefficients of a target, compiled at -Os."""

    target: str
    tuned: bool
    """Whether its kernels use the DSP instructions of Cortex-M."""
    instructions: Mapping[str, float]
    code: Mapping[str, float]
    stack: Mapping[str, float]
    """Bytes beside the largest array, by the way of a kernel."""
    margins: Mapping[str, float]
    """By quantity: of 20 candidates left out of the fit, 19 needed no more than the estimate times 1 + this."""
    command: str


@dataclass(frozen=True)
class Estimate:
    """Bytes and instructions of one inference, without a margin; `code` is all of the flash beside the constants."""

    flash: float
    code: float
    stack: float
    instructions: float

    def safely(self, model: Model) -> dict[str, float]:
        """The figures by the words of a budget, each with its margin: on `code`, for flash."""
        code = self.code * (1 + model.margins["code"])
        return {
            "flash": round(self.flash - self.code + code), "code": round(code),
            "stack": round(self.stack * (1 + model.margins["stack"])),
            "instructions": round(self.instructions * (1 + model.margins["instructions"])),
        }  # fmt: skip


def estimated_targets() -> tuple[str, ...]:
    """The targets that estimates are known for."""
    files = resources.files("niwaki.emit").joinpath(_FOLDER).iterdir()
    return tuple(sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json")))


@cache
def model_of(target: str) -> Model:
    """The model of a target. Raises ModelError if there is none."""
    file = resources.files("niwaki.emit") / _FOLDER / f"{target}.json"
    if not file.is_file():
        raise ModelError(f"{target}: no estimates are known; they are for {', '.join(estimated_targets())}")
    found = parse_json(file.read_bytes())
    names = ("tuned", "instructions", "code", "stack", "margins", "command")
    return Model(target, **{name: found[name] for name in names})


def estimate(graph: Graph, model: Model, ram_limit: int | None = None) -> Estimate:
    """What the C of a graph needs on a target, by stripes of rows if a limit of RAM takes that.

    Raises ModelError if no C can be written for it.
    """
    made = generate_within(graph, ram_limit)
    works = work_of(graph, made.program, tuned=model.tuned)
    code = _sum(model.code, code_counts(works))
    return Estimate(
        made.report.constant_bytes + code, code, deepest(model.stack, works),
        _sum(model.instructions, instruction_counts(works)),
    )  # fmt: skip


def deepest(stack: Mapping[str, float], works: Sequence[Work]) -> float:
    """Bytes of stack: the deepest kernel, and beneath it the loop by stripes of rows if there is one."""
    loops = any(work.way == STRIPES for work in works)
    kernels = (work.array + stack.get(work.way, 0.0) for work in works if work.way != STRIPES)
    return max(kernels) + (stack.get(STRIPES, 0.0) if loops else 0.0)


def instruction_counts(works: Sequence[Work]) -> Counter[str]:
    """How often each part of each kernel runs."""
    total: Counter[str] = Counter()
    for work in works:
        total.update(work.counts)
    return total


def code_counts(works: Sequence[Work]) -> Counter[str]:
    """What the code is made of: each kernel, how often it is called (compilers copy it), and if it is only once."""
    counts: Counter[str] = Counter({"program": 1, "pairs: of several bits": _several({work.way for work in works})})
    counts[STRIPED_STEPS] = sum(work.counts[STRIPED_STEPS] for work in works)
    for way, number in Counter(work.way for work in works).items():
        counts[way] = 1
        counts[f"{way}: calls"] = number
        counts[f"{way}: one call"] = int(number == 1)
    return counts


def _several(ways: set[str]) -> int:
    """How many kinds of weights the kernel of two places is compiled for beyond the first: the function for 8 bits has
    it in any case.
    """
    packed = len(ways & {"pairs 4", "pairs 2"})
    whole = bool(ways & {"pairs", "patches 8", "first"})
    return packed + whole - 1 if packed else 0


def _sum(coefficients: Mapping[str, float], counts: Counter[str]) -> float:
    return sum(coefficients.get(name, 0.0) * count for name, count in counts.items())
