"""The latency of candidates' C on this machine, measured together after training; the MACs that it allows before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from niwaki.codegen.graph.graph import Graph
from niwaki.compiled.library import CModel
from niwaki.emit.generate import generate_within
from niwaki.errors import SpecError, StageFailed, step
from niwaki.measure.latency import Call, alone_on_one_cpu, measure_latency
from niwaki.search.candidates import Costs, figures
from niwaki.study.budget import Budget
from niwaki.toolchain.compiler import find_compiler, no_compiler

_ROUNDS, _BUDGET_S = 50, 15.0


def check_latency(device: str) -> None:
    """Raise ToolMissing if this machine has no C compiler, SpecError if training takes place on an accelerator."""
    if find_compiler() is None:
        raise no_compiler()
    if device != "cpu":
        raise SpecError(f"fit: latency is that of the C on this machine's processor: it cannot go with {device}")


@step("timing the candidates' C")
def latencies_of(graphs: Mapping[str, Graph], ram_limit: int | None) -> dict[str, float]:
    """Microseconds for one image of each graph's C, compiled for this machine: medians of one interleaved run.

    Raises NiwakiError if there is no C compiler, or it fails.
    """
    calls: dict[str, Call] = {}
    for name, graph in graphs.items():
        call = CModel(name, files=generate_within(graph, ram_limit).compiled).prepare(inputs=True)
        call.image[:] = np.random.default_rng(0).integers(-128, 128, call.image.shape, np.int8)
        calls[name] = call
    with alone_on_one_cpu():
        table = measure_latency(calls, batch=1, rounds=_ROUNDS, budget_s=_BUDGET_S)
    return {name: row.median_us for name, row in table.rows.items()}


def macs_within(costs: Costs, limit: Budget) -> int:
    """About how many MACs a latency allows, by what the smallest and the largest candidates take on this machine.

    Raises StageFailed if the smallest one takes longer.
    """
    ends = {
        f"{member.number}, {name}": (figures(costs.of(shape))["macs"], member.blueprint.graph(shape.widths, shape.bits))
        for member in costs.members
        for name, shape in (("smallest", member.smallest), ("largest", member.largest))
    }
    times = latencies_of({name: graph for name, (_, graph) in ends.items()}, costs.ram_limit)
    least = min(times.values())
    if not limit.allows(least):
        raise StageFailed(f"nothing fits: {limit.text}: the smallest candidate takes {least:,.1f} µs on this machine")
    return _allowed([(macs, times[name]) for name, (macs, _) in ends.items()], limit.limit)


def _allowed(measured: Sequence[tuple[float, float]], limit: float) -> int:
    """The MACs at which a line through what was measured reaches the limit.

    >>> _allowed([(1000, 2.0), (9000, 10.0)], 5.0)
    4000
    """
    slope, level = np.polyfit([macs for macs, _ in measured], [time for _, time in measured], 1)
    least = min(macs for macs, _ in measured)
    return max(int(least), round((limit - level) / slope)) if slope > 0 else int(max(macs for macs, _ in measured))
