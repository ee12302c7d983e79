"""What a study lacks, stated and not left out: what failed or is unfinished, was not run or not measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from niwaki.reporting.charts.latency import form_name
from niwaki.reporting.view import View
from niwaki.reporting.words import Words
from niwaki.study.result_files import Verification


@dataclass(frozen=True)
class Gap:
    """`weight`: `failed` went wrong, `unfinished` may still come, `unmeasured` will not come by itself."""

    weight: Literal["failed", "unfinished", "unmeasured"]
    text: str


def gaps_of(view: View, words: Words, live: str = "") -> list[Gap]:
    """Everything that is missing, the most serious first. `live` says what the live part of the page lacks."""
    order = ("failed", "unfinished", "unmeasured")
    found = [*_stages(view, words), *_choice(view, words), *_forms(view, words), *_measured(view, words)]
    found += [Gap("unfinished" if view.verification is None else "unmeasured", live)] if live else []
    return sorted(found, key=lambda gap: order.index(gap.weight))


def _stages(view: View, words: Words) -> Iterator[Gap]:
    for key, reason in view.failures.items():
        record = view.records[key]
        yield Gap("failed", words("gap.failed", kind=words(f"kind.{record.kind}"), key=key[:8], reason=reason))
    for problem in view.damages:
        yield Gap("failed", words("gap.damaged", problem=problem))
    if view.waiting:
        yield Gap("failed", words("gap.waiting", waiting=len(view.waiting)))
    missing = view.to_do - len(view.damaged)
    if missing > 0:
        yield Gap("unfinished", words("gap.stages", missing=missing, of=len(view.stages)))


def _choice(view: View, words: Words) -> Iterator[Gap]:
    if view.spec.select is None:
        yield Gap("unmeasured", words("gap.no_select"))
    elif view.choice is None:
        yield Gap("unfinished", words("gap.no_choice"))


def _forms(view: View, words: Words) -> Iterator[Gap]:
    found = view.verification
    if found is None:
        damaged = any(problem.startswith(Verification.NAME) for problem in view.damaged_files)
        if view.choice and view.choice.key and not damaged:
            yield Gap("unmeasured", words("gap.no_forms"))
        return
    if not found.exists:
        yield Gap("failed", words("gap.cannot_export", reason=found.reason))
        return
    for name, reason in found.missing.items():
        yield Gap("failed", words("forms.missing", form=name, reason=reason))
    for form in found.forms:
        if form.ok is False:
            said = "gap.disagrees" if form.images else "gap.not_compared"
            yield Gap("failed", words(said, form=form.form, how=form.how, reason=form.reason or ""))
        elif not form.images:
            yield Gap("unmeasured", words("gap.not_run", form=form.form, how=form.how, reason=form.reason))


def _measured(view: View, words: Words) -> Iterator[Gap]:
    if view.evidence is None:
        yield Gap("unfinished", words("gap.no_evidence"))
    elif reason := view.evidence.base.int8.reason:
        yield Gap("unmeasured", words("gap.base_int8", reason=reason))
    if view.timings is None:
        yield Gap("unfinished", words("gap.no_timings"))
    if view.bench is None:
        yield Gap("unmeasured", words("gap.no_bench"))
    for left in view.bench.left_out if view.bench else ():
        name = form_name(left.form, "", words)
        yield Gap("unmeasured", words("gap.left_out", file=words(left.file), form=name, reason=left.reason))
    if view.spec.seeds == 1:
        yield Gap("unmeasured", words("gap.one_seed"))
