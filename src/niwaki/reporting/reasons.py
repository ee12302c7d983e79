"""Why a model was chosen, or none: the rule in words, what is beyond it, and what is dead."""

from __future__ import annotations

from collections.abc import Sequence

from niwaki.reporting.chosen import Chosen
from niwaki.reporting.columns import shown_value
from niwaki.reporting.tables import Row, Table
from niwaki.reporting.view import View
from niwaki.reporting.words import Words
from niwaki.study.budget import Budget
from niwaki.study.losses import Loss
from niwaki.study.select import judge, latencies
from niwaki.study.spec import SelectSpec


def reason(found: Chosen, select: SelectSpec, words: Words) -> str:
    """Why this one: the rule with its numbers, and the candidates that are beyond the budget."""
    finals = _finals(found.table)
    chosen = found.int8 or found.final
    drop = _drop(found.base, chosen)
    gains = drop is not None and round(drop, 2) < 0
    said = words(
        "answer.reason.gains" if gains else "answer.reason",
        value=shown_value(found.table, chosen) or words("chosen"), count=len(finals),
        minimize=words(f"minimize.{select.minimize}"), budget=budget_text(select, words),
        drop="–" if drop is None else f"{abs(drop):.2f}",
    )  # fmt: skip
    limit = next((limit.limit for limit in select.limits if limit.quantity == "accuracy_drop"), None)
    beyond = [
        words("answer.beyond.one", value=shown_value(found.table, row), drop=f"{gap:.2f}")
        for row in finals
        if limit is not None and (gap := _drop(found.base, row)) is not None and gap > limit + 1e-9
    ]
    return said + (" " + words("answer.beyond", list=", ".join(beyond)) if beyond else "")


def _finals(table: Table) -> list[Row]:
    """The last row of every value: the candidates."""
    last: dict[str, Row] = {}
    for row in table.rows:
        if not row.base and row.figures:
            last[repr(row.value)] = row
    return list(last.values())


def _drop(base: Row, row: Row) -> float | None:
    ours, theirs = row.figures.get("validation"), base.figures.get("validation")
    return theirs.mean - ours.mean if ours and theirs else None


def no_choice(view: View, tables: Sequence[Table], words: Words) -> str:
    """Why nothing is chosen: not requested, not yet, or no candidate qualifies."""
    select = view.spec.select
    if select is None:
        return words("answer.no_select")
    if view.choice is None or view.choice.key is not None:  # chosen, but part of what it is compared with is missing
        return words("answer.not_yet")
    table = next((table for table in tables if table.name == select.experiment), None)
    dead = refused(view, table, words)
    said = words("answer.none.dead" if dead else "answer.none", budget=budget_text(select, words), of=select.experiment)
    return " ".join([said, *dead])


def refused(view: View, table: Table | None, words: Words) -> list[str]:
    """A sentence on candidates that are within the budget but lost a class; none if there are none."""
    if view.spec.select is None or table is None:
        return []
    judged = judge(view.spec.select, view.trials, view.records, latencies(view.timings))
    listed = []
    for candidate in judged.refused:
        row = next((row for row in table.rows if not row.base and row.value == candidate.value), None)
        lost = next(seed.loss for seed in candidate.seeds if seed.loss)
        value = (shown_value(table, row) if row else "") or words("answer.refused.candidate")
        listed.append(loss_text(lost, view.data.labels, words, value))
    return [words("answer.refused", list=" ".join(listed))] if listed else []


def loss_text(loss: Loss, labels: Sequence[str], words: Words, value: str) -> str:
    """Why a network is dead, as a full sentence."""
    if loss.only is not None:
        return words("answer.refused.only", value=value, label=words.name(labels[loss.only]))
    return words(
        "answer.refused.lost", value=value, labels=", ".join(words.name(labels[index]) for index in loss.classes)
    )


def budget_text(select: SelectSpec, words: Words) -> str:
    """The budget in words."""
    return words("and").join(_limit(limit, words) for limit in select.limits)


def _limit(limit: Budget, words: Words) -> str:
    stated = limit.text.partition("=")[2].strip().removesuffix("%").rstrip()
    if limit.at_least:
        return words("budget.at_least", quantity=words(f"budget.{limit.quantity}"), limit=stated)
    if limit.quantity == "accuracy_drop":
        return words("budget.accuracy_drop", limit=stated)
    return words("budget.other", quantity=words(f"budget.{limit.quantity}"), limit=stated)
