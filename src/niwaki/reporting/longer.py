"""The control that trains the unpruned network longer: how much of a gain is training, and not pruning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from niwaki.reporting.columns import signed, value_name
from niwaki.reporting.findings import ends, noise
from niwaki.reporting.tables import Figure, Row, Table
from niwaki.reporting.view import View
from niwaki.reporting.words import Words
from niwaki.study.spec import Experiment, resolve


@dataclass(frozen=True)
class Longer:
    """The unpruned network before and after that many more epochs, on the test images."""

    epochs: int
    base: Figure
    trained: Figure


def longer_of(view: View, tables: Sequence[Table]) -> Longer | None:
    """The first such control of a study that has been measured."""
    for experiment, table in zip(view.spec.experiment, tables, strict=True):
        if experiment.longer and (found := measured(view, experiment, table)):
            return found
    return None


def measured(view: View, experiment: Experiment, table: Table) -> Longer | None:
    """The result of an experiment with this control; None until it is finished. With several values, the last."""
    epochs = resolve(view.spec, experiment)[-1][1].finetuned_epochs
    bases = [row for row in table.rows if row.base and "accuracy" in row.figures]
    last = [row for row in ends(table) if not row.quantized and "accuracy" in row.figures and row.status == "done"]
    if not bases or not last:
        return None
    return Longer(epochs, bases[-1].figures["accuracy"], last[-1].figures["accuracy"])


def of_training(view: View, experiment: Experiment, table: Table, tables: Sequence[Table], words: Words) -> list[str]:
    """What longer training gives the unpruned network, and how pruning compares with it."""
    found = measured(view, experiment, table)
    if found is None:
        return []
    epochs = words.count("epochs", found.epochs)
    gain = found.trained.mean - found.base.mean
    said = [words("finding.longer", epochs=epochs, base=found.base.mean, trained=found.trained.mean, gain=signed(gain))]
    clear = abs(gain) > 2**0.5 * noise(view, found.trained.mean)  # of two independent accuracies
    said += [] if clear else [words("finding.longer.same")]
    pruned = _pruned(view, tables)
    listed = [
        words(
            "finding.longer.one", value=value_name(pruned, row, words),
            base=signed(row.figures["accuracy"].mean - found.base.mean),
            trained=signed(row.figures["accuracy"].mean - found.trained.mean),
        )
        for row in _ends_in_float(pruned)
    ] if pruned else []  # fmt: skip
    return said + ([words("finding.longer.pruned", list="; ".join(listed))] if listed else [])


def of_the_chosen(found: Longer | None, base: Figure | None, points: float | None, words: Words) -> list[str]:
    """The chosen model compared with the unpruned network that was trained longer."""
    if found is None or base is None or points is None:
        return []
    against = round(points + round(base.mean, 2) - round(found.trained.mean, 2), 2)
    epochs = words.count("epochs", found.epochs)
    return [
        words("answer.longer", epochs=epochs, trained=found.trained.mean, points=signed(against), base=signed(points))
    ]


def _pruned(view: View, tables: Sequence[Table]) -> Table | None:
    """The table that shows pruning: the one by ratio, or the first with pruned networks; not a control."""
    pairs = [
        (experiment, table) for experiment, table in zip(view.spec.experiment, tables, strict=True)
        if not (experiment.from_scratch or experiment.longer) and _ends_in_float(table)
    ]  # fmt: skip
    pruning = [(e, table) for e, table in pairs if all(s.is_pruned for _, s in resolve(view.spec, e))]
    by_ratio = [table for experiment, table in pruning if experiment.varied_key == "prune.ratio"]
    return next(iter([*by_ratio, *(table for _, table in pruning)]), None)


def _ends_in_float(table: Table) -> list[Row]:
    return [row for row in ends(table) if not row.quantized and "accuracy" in row.figures]
