"""What is measured of a model, one entry each: how a table reads it out of a record, and how it is shown.

Times are not among them: they are kept beside the records (`times`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from niwaki.study.records import Results


@dataclass(frozen=True)
class Metric:
    """`value` is None if a record does not have it; `heading` stands over its column in a terminal."""

    value: Callable[[Results], float | None]
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
