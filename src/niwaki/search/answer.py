"""The answer: which candidate is best among those that keep to the limits, and what binds it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.compiled.library import CModel
from niwaki.data.dataset import Split
from niwaki.deploy.runners import in_layout
from niwaki.emit.generate import Footprint, generate_within, write
from niwaki.errors import NiwakiError
from niwaki.folders import temporary
from niwaki.measure.accuracy import Accuracy, evaluate, wilson_interval
from niwaki.search.limits import AT_LEAST, Limits
from niwaki.search.remarks import Remark
from niwaki.search.tried import Score, Tried
from niwaki.study.budget import Budget

NEAR = 0.97  # of a limit: it binds
SPREAD = 0.5  # doublings of a cost that a front must span to have a slope


@dataclass(frozen=True)
class Figures:
    """A network of the answer: the stage that it is, its accuracy in integers, and what its C needs."""

    tried: Tried
    score: Score
    validation: Accuracy
    test: Accuracy | None
    footprint: Footprint
    target: dict[str, float]
    """Flash, stack and instructions, if a target was asked for and its compiler is here."""
    latency: float | None = None
    """Microseconds for an image in C on this machine, if latency is a limit."""
    estimated: tuple[str, ...] = ()
    """Of `target`, what is estimated, with a margin."""

    def to_dict(self) -> dict[str, object]:
        """As JSON: accuracies in percent, sizes in bytes."""
        low, high = wilson_interval(self.validation.correct, self.validation.total)
        return {
            "id": self.tried.shape.id,
            "validation": self.validation.accuracy,
            "validation_interval": [low, high],
            "test": self.test.accuracy if self.test else None,
            "seeds": {str(score.seed): score.validation for score in self.tried.last},
            "epochs": self.score.epochs,
            "constants": self.footprint.constant_bytes,
            "flash": _whole(self.target.get("flash")),
            "ram": self.footprint.ram_bytes,
            "stripes": list(self.footprint.stripes),
            "stack": _whole(self.target.get("stack")),
            "macs": int(self.tried.figures["macs"]),
            "instructions": _whole(self.target.get("instructions")),
            "estimated": list(self.estimated),
            "latency_us": None if self.latency is None else round(self.latency, 2),
            "bits": dict(self.tried.shape.bits),
            "widths": dict(self.tried.shape.widths),
            "args": self.tried.args,
            "trained": self.score.way,
        }


def graph_of(int8: bytes) -> Graph:
    """The integer network in an int8 ONNX."""
    return read_qdq(onnx.load_from_string(int8), "the int8 ONNX")


def integer_accuracy(graph: Graph, split: Split, classes: int, ram_limit: int | None) -> Accuracy:
    """How often the integer network itself is right: its C on this machine, or the reference without a compiler."""
    try:
        with temporary("integer") as name:
            folder = write(generate_within(graph, ram_limit), Path(name) / "c")
            network = CModel(folder)
            return evaluate(lambda images: network(in_layout(graph, images)), split.images, split.labels, classes)
    except NiwakiError:
        return evaluate(
            lambda images: reference.run(graph, reference.quantize_pixels(graph, images)),
            split.images, split.labels, classes,
        )  # fmt: skip


def ranked(tried: Sequence[Tried], minimized: str | None, full: int) -> list[Tried]:
    """Candidates that fit: first those trained for `full` epochs or more, by accuracy or by what is minimized.

    Then come the others, those trained longest first.
    """
    if minimized is None:
        return sorted(tried, key=lambda one: (-min(one.epochs, full), -one.validation, one.shape.id))
    return sorted(
        tried, key=lambda one: (-min(one.epochs, full), one.figures[minimized], -one.validation, one.shape.id)
    )


def binding(limits: Limits, chosen: Figures, front: Sequence[Tried], epochs: int) -> list[Remark]:
    """What keeps the chosen network from being better, in words: each limit and how much of it is used."""
    said = []
    for limit in limits.budgets:
        figure = chosen.latency if limit.quantity == "latency" else chosen.tried.figures.get(limit.quantity)
        if figure is None or limit.quantity in AT_LEAST:
            continue
        used = figure / limit.limit if limit.limit else 1.0
        if used >= NEAR:
            said.append(_binds(limit, slope_of(front, limit.quantity, epochs)))
        else:
            percent = f"{100 * used:.0f}"
            said.append(
                Remark("search.used", f"{limit.text} is used to {percent} %", limit=limit.text, percent=percent)
            )
    return said


def _binds(limit: Budget, slope: float | None) -> Remark:
    """A limit that binds, and what more of it would buy, from the slope of the front below it."""
    said = f"{limit.text} binds"
    if slope is None:
        return Remark("search.binds", said, limit=limit.text)
    in_bytes = limit.quantity in ("constants", "flash", "ram", "stack")
    key, word = ("search.binds.kb", "1 KB") if in_bytes else ("search.binds.tenth", "a tenth")
    more = 1024.0 if in_bytes else limit.limit / 10
    points = f"{max(slope * math.log2((limit.limit + more) / limit.limit), 0.0):.1f}"
    said += f"; {word} more would buy about {points} points"
    return Remark(key, said, limit=limit.text, points=points)


def slope_of(front: Sequence[Tried], quantity: str, epochs: int) -> float | None:
    """Points of accuracy for each doubling of a cost, along the front; None if it spans too little."""
    points = sorted(
        (math.log2(one.figures[quantity]), at)
        for one in front
        if one.figures.get(quantity, 0) > 0 and (at := one.at(epochs)) is not None
    )
    if len(points) < 2 or points[-1][0] - points[0][0] < SPREAD:
        return None
    return float(np.polyfit([x for x, _ in points], [y for _, y in points], 1)[0])


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
