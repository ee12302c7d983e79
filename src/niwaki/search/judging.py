"""Which candidates keep to the limits, what their C needs, and how often their integers are right."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from niwaki.codegen.graph.graph import Graph
from niwaki.device.text import counted
from niwaki.emit.generate import generate_within
from niwaki.errors import NiwakiError, StageFailed
from niwaki.measure.accuracy import Accuracy
from niwaki.search.answer import Figures, graph_of, integer_accuracy, ranked
from niwaki.search.blueprint import cost_of
from niwaki.search.latency import latencies_of
from niwaki.search.limits import COMPILED
from niwaki.search.measured import estimated, measure
from niwaki.search.state import Search
from niwaki.search.tried import Score, Tried, fitting
from niwaki.study.structure import one_thread

_JUDGED = 3  # candidates whose integers are compared
_TIMED = 24  # the best candidates, if latency is a limit


def judged_of(search: Search) -> list[Figures]:
    """The two best candidates by the accuracy of their integers, mean over the seeds, each with its best seed."""
    found: list[tuple[float, Figures]] = []
    for one in ranked(_fitting(search), search.minimized, search.epochs):
        judged = [_figures(search, one, score) for score in one.last]
        kept = [entry for entry in judged if not search.limits.broken(_known_figures(entry), _asked(search))]
        if kept:
            best = max(kept, key=lambda entry: (entry.validation.accuracy, -entry.score.seed))
            found.append((fmean(entry.validation.accuracy for entry in judged), best))
        if len(found) == _JUDGED:
            break
    if search.minimized is None:
        found.sort(key=lambda entry: -entry[0])
    return [entry for _, entry in found[:2]]


def _fitting(search: Search) -> list[Tried]:
    """What keeps to all limits. What keeps to the others is timed, together, if latency is one of them."""
    known = _measured(search)
    if not search.limits.of(("latency",)):
        return fitting(known, search.limits, search.whole)
    others = [limit.quantity for limit in search.limits.budgets if limit.quantity != "latency"]
    able = ranked(fitting(known, search.limits, search.whole, words=others), search.minimized, search.epochs)[:_TIMED]
    time_candidates(search, able)
    return fitting(able, search.limits, search.whole, latency=search.latency)


def time_candidates(search: Search, tried: Sequence[Tried]) -> None:
    """Time the C of candidates on this machine, all in one run, if any of them was not timed yet."""
    able = [one for one in tried if one.scores]
    if all(one.shape.id in search.latency for one in able):
        return
    search.notify(f"timing the C of {counted(len(able), 'candidate')} on this machine")
    graphs = {one.shape.id: graph_of(int8_of(search, one.last[0].key)) for one in able}
    search.latency |= latencies_of(graphs, search.limits.ram)


def _measured(search: Search) -> list[Tried]:
    """Everything known, with what the limits ask for: their own C of those that earlier searches left."""
    _stripe(search)
    if search.target is None:
        return list(search.known)
    asked = _asked(search)
    found = []
    for one in search.known:
        if one.scores and any(name not in one.figures for name in asked):
            graph = graph_of(int8_of(search, one.last[0].key))
            one.figures |= _on_target(search, graph, search.target, instructions="instructions" in asked)
        found.append(one)
    return found


def _stripe(search: Search) -> None:
    """Networks of earlier searches that need too much RAM: by stripes of rows they may keep to the limit."""
    limit = search.limits.ram
    if limit is None:
        return
    for one in fitting(search.known, search.limits, None, words=("constants", "macs")):
        if one.figures["ram"] > limit:
            cost = cost_of(graph_of(int8_of(search, one.last[0].key)), limit)
            if cost.stripes is not None:
                one.striped(cost)


def _on_target(search: Search, graph: Graph, target: str | None, *, instructions: bool) -> dict[str, float]:
    """What the C needs on a target; nothing without one."""
    return {} if target is None else measure(graph, target, instructions=instructions, ram_limit=search.limits.ram)


def _asked(search: Search) -> list[str]:
    """The words of the budget that a compiler or an emulator answers."""
    words = [limit.quantity for limit in search.limits.of(COMPILED)]
    return words + ([search.minimized] if search.minimized in COMPILED else [])


def _known_figures(entry: Figures) -> dict[str, float | None]:
    return {**entry.tried.figures, **entry.target}


def int8_of(search: Search, key: str) -> bytes:
    """The int8 ONNX of a stage. Raises StageFailed if it is gone."""
    record = search.store.checked(key)
    if record is None:
        raise StageFailed(f"stage {key} is not in {search.store.folder}: run the search again")
    return search.store.weights(key, record)


def _figures(search: Search, tried: Tried, score: Score) -> Figures:
    graph = graph_of(int8_of(search, score.key))
    data = search.subject.data
    with one_thread():
        validation = integer_accuracy(graph, data.validation, data.num_classes, search.limits.ram)
    target = _on_target(search, graph, search.target, instructions="instructions" in _asked(search))
    footprint = generate_within(graph, search.limits.ram).report
    return Figures(tried, score, validation, None, footprint, target, search.latency.get(tried.shape.id))


def with_test(search: Search, figures: Figures) -> Figures:
    """The same with its accuracy on the test images, which nothing was chosen on, and what it needs on the target."""
    data = search.subject.data
    graph = graph_of(int8_of(search, figures.score.key))
    with one_thread():
        test: Accuracy = integer_accuracy(graph, data.test, data.num_classes, search.limits.ram)
    target = figures.target
    if "instructions" not in target:
        with contextlib.suppress(NiwakiError):  # no compiler or emulator: nothing that was asked for is missing
            target = _on_target(search, graph, search.wanted.target, instructions=True)
    guessed = tuple(name for name in estimated(search.wanted.target) if name in target)
    return replace(figures, test=test, target=target, estimated=guessed)
