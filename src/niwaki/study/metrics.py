"""What is measured on a model, one entry each: how to read it from a record, or how to measure it.

Times are not among them: they are stored beside the records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from niwaki.study.records import Results

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from niwaki.measure.accuracy import Predict


@dataclass(frozen=True)
class Metric:
    """`heading` is the heading of its column in a terminal."""

    value: Callable[[Results], float | None] | None
    """Returns None if a record does not have it. A metric without a `value` is measured on every float model by
    `measure(model, predict, images, labels)` in the module of its name below niwaki.measure, and stored in
    `Results.measured`."""
    heading: str
    digits: int = 0


def _agreement(results: Results) -> float | None:
    return None if results.agreement is None else 100 * results.agreement / results.test.total


def _channels(results: Results) -> float:
    """As the source counts them: inputs and outputs of every layer."""
    return 2 * sum(results.widths.values()) + 2 * len(results.test.confusion)


METRICS = {
    "validation": Metric(lambda r: r.accuracy("validation"), "validation %", 2),
    "accuracy": Metric(lambda r: r.accuracy("test"), "test %", 2),
    "top5": Metric(lambda r: r.test.top5, "top 5 %", 2),
    "params": Metric(lambda r: r.params, "parameters"),
    "macs": Metric(lambda r: r.macs, "MACs"),
    "macs_tp": Metric(lambda r: r.macs_tp, "macs_tp"),
    "bytes": Metric(lambda r: sum(r.bytes.values()), "weights, bytes"),
    "file": Metric(lambda r: r.file_bytes, "file, bytes"),
    "activations": Metric(lambda r: r.activation_bytes, "activations, bytes"),
    "flash": Metric(lambda r: r.flash, "flash, bytes"),
    "ram": Metric(lambda r: r.ram, "RAM, bytes"),
    "agreement": Metric(_agreement, "agree %", 2),
    "channels": Metric(_channels, "channels (in + out)"),
}
TIMES = ("latency_1", "latency_256", "latency_ort")
COLUMNS = (*METRICS, "per_class", "bytes_by_type", "widths", "reached", *TIMES)
"""Everything that a table can show: the metrics, and columns with several numbers or from outside a record."""


def value_of(name: str, results: Results) -> float | None:
    """A metric of a record; None if the record does not have it."""
    read = METRICS[name].value
    return results.measured.get(name) if read is None else read(results)


def measure_anew(model: nn.Module, predict: Predict, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The metrics that are not in other parts of a record, for a model on uint8 images (N, C, H, W) and labels (N,)."""
    return {
        name: float(import_module(f"niwaki.measure.{name}").measure(model, predict, images, labels))
        for name, metric in METRICS.items()
        if metric.value is None
    }
