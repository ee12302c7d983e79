"""The answer and the findings, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from niwaki.measure.accuracy import Accuracy
from niwaki.reporting.charts.controls import counterpart
from niwaki.reporting.chosen import base_key
from niwaki.reporting.findings import against, findings
from niwaki.reporting.gaps import gaps_of
from niwaki.reporting.headline import Line, answer, times_text
from niwaki.reporting.longer import of_training
from niwaki.reporting.reasons import budget_text
from niwaki.reporting.sections.experiments import kind_of
from niwaki.reporting.tables import Figure, make_tables
from niwaki.reporting.view import TrialView, View
from niwaki.reporting.words import words_in
from niwaki.study.records import Record, Results
from niwaki.study.result_files import Bench, Choice, DataFacts, Evidence, LeftOut, Machine, Timings, Verification
from niwaki.study.spec import SelectSpec, parse_spec
from stored import stored

WORDS = words_in("en")
NONE = Choice(key=None, value=None, reason="")
TIMINGS: dict[str, Any] = {"noise_floor": {"1": 0.0, "256": 0.0}, "pinned": True, "models": {}}
SPEC = """
title = "t"
[select]
experiment = "ratio"
budget = ["accuracy_drop<=3", "flash<=16KB"]
[quantize]
kind = "static"
[[experiment]]
name = "ratio"
vary = { "prune.ratio" = [0.5, 0.9] }
columns = ["accuracy", "params"]
published = [
  { value = 0.5, step = 1, params = 500, accuracy = 89.0 },
  { value = 0.9, step = 1, params = 99, accuracy = 80.0 },
]
[[experiment]]
name = "scratch"
vary = { "prune.ratio" = [0.5, 0.9] }
set = { "quantize.images" = 5 }
from_scratch = true
"""


def record(key: str, correct: int, params: int, *, position: int = 1, **more: Any) -> Record:
    split = {"total": 1000, "correct": correct, "confusion": [[correct, 1000 - correct], [0, 0]]}
    kind = more.pop("kind", "finetune")
    results = Results(
        validation=split, test=split, params=params, macs=10 * params, macs_tp=None, bytes={"float32": 4 * params},
        file_bytes=1, activation_bytes=1, widths={"conv": 5}, structure=key, **more,
    )  # fmt: skip
    return Record(
        key=key, kind=kind, parent=None, seed=0, position=position, settings={}, data="", environment={},
        status="done", results=results,
    )  # fmt: skip


RIGHT = {n: Accuracy(1000, n, ((n, 1000 - n), (0, 0))) for n in (906, 950)}


def timed(file: str, form: str, runtime: str, median: float) -> dict[str, Any]:
    return {"file": file, "form": form, "runtime": runtime, "median_us": median, "p95_us": median, "runs": 1}


@pytest.fixture
def view() -> View:
    """A base of 90 %, 50 % pruned of 88 %, 90 % pruned of 70 %, all with int8; scratch of 88.5 and 75 %."""
    keys = {0.5: ("base", "half", "half8"), 0.9: ("base", "tenth", "tenth8")}
    trials = [TrialView("ratio", value, 0, path, path, "static") for value, path in keys.items()]
    trials += [TrialView("scratch", v, 0, ("base", f"s{v}"), ("base", f"s{v}")) for v in keys]
    found = [
        record("base", 900, 1000, position=0), record("half", 880, 500), record("tenth", 700, 100),
        record("half8", 875, 500, kind="quantize", flash=520, ram=60, agreement=990),
        record("tenth8", 690, 100, kind="quantize", flash=120, ram=50, agreement=990),
        record("s0.5", 885, 500), record("s0.9", 750, 100),
    ]  # fmt: skip
    evidence = {
        "format": 1, "made_of": {"base": None, "chosen": None}, "shown": {}, "moved": {}, "classes": [None, None],
        "images": {}, "answers": {}, "base": {"key": "base", "int8": {"flash": 1040, "ram": 90, "board": None}},
        "chosen": {"key": "half"},
        "confusion": {"base": [[9, 1], [0, 0]], "base_int8": [[89, 11], [0, 0]], "chosen_int8": [[87, 13], [0, 0]]},
    }  # fmt: skip
    rows = [
        timed("base", "torch", "torch", 100), timed("chosen", "torch", "torch", 80), timed("base", "c", "C", 30),
        timed("chosen", "c", "C", 2),
    ]  # fmt: skip
    bench = {"format": 1, "made_of": {"base": None, "chosen": None}, "rows": rows, "left_out": [], "noise_floor": 0.0,
             "pinned": True, "notes": []}  # fmt: skip
    verification = {"ok": True, "exported": {"c": {"flash": 520, "ram": 60, "board": None}}, "forms": [], "notes": [],
                    "export_notes": [], "images": ""}  # fmt: skip
    data = {"name": "d", "origin": "o", "synthetic": False, "labels": ["a", "b"], "input_shape": [1, 2, 2],
            "fingerprint": "f", "images": {"train": 1, "validation": 1000, "test": 1000}}  # fmt: skip
    return View(
        folder=Path("x"), spec=parse_spec(SPEC, "x"),
        data=stored(DataFacts, data), environment=stored(Machine, {"machine": "m", "torch": "t"}),
        stages=tuple(r.key for r in found), trials=tuple(trials),
        records={r.key: r for r in found}, damaged=(), timings=stored(Timings, TIMINGS),
        choice=Choice(key="half8", value=0.5, reason=""), verification=stored(Verification, verification),
        evidence=stored(Evidence, evidence), bench=stored(Bench, bench),
    )  # fmt: skip


def test_the_answer_compares_the_base_with_the_chosen_model(view) -> None:
    found = answer(view, make_tables(view), WORDS)
    lines = {line.name: line for line in found.lines}
    accuracy = lines["Test accuracy (%)"]
    assert accuracy.cells == ("90.00", "89.00", "88.00", "87.50")
    assert accuracy.points == -2.5
    assert (lines["Parameters"].cells[0], lines["Parameters"].cells[2], lines["Parameters"].ratio) == (
        "1,000",
        "500",
        2,
    )
    constants = lines["Constants (bytes)"]
    assert (constants.cells, round(constants.ratio, 2)) == (("4,000", "1,040", "2,000", "520"), 7.69)
    assert lines["RAM of the C (bytes)"].cells == ("", "90", "", "60")
    assert (lines["Time in torch (µs)"].cells, lines["Time in torch (µs)"].ratio) == (("100.0", "", "80.0", ""), 1.25)
    assert (lines["Time as C (µs)"].cells, lines["Time as C (µs)"].ratio) == (("", "30.0", "", "2.0"), 15)
    assert "Flash on a Cortex-M4, with code (bytes)" not in lines  # nobody measured it
    assert [line.name for line in found.lines if line.loss] == ["Test accuracy (%)"]
    assert [(h.now, h.was, h.gain, h.loss) for h in found.headlines] == [
        ("87.50 %", "90.00 %", "−2.50 points", True),
        ("500", "1,000", "2.0× fewer", False),
        ("520", "4,000", "7.7× fewer", False),
        ("2.0 µs", "30.0", "15× faster", False),
    ]


@pytest.mark.parametrize(
    ("values", "loss"),
    [
        ({"points": -0.01}, True), ({"points": 0.0}, False), ({"points": 1.0}, False),
        ({"ratio": 0.94}, True), ({"ratio": 0.96}, False), ({"ratio": 2.0}, False), ({}, False),
    ],
)  # fmt: skip
def test_what_is_worse_than_the_base_is_a_loss(values, loss) -> None:
    """A ratio that is shown as 1.0 is none."""
    assert Line("", ("", "", "", ""), **values).loss is loss


def test_the_reason_names_the_rule_and_what_is_beyond_it(view) -> None:
    found = answer(view, make_tables(view), WORDS)
    assert found.reason == (
        "The study chose 50 %: of 2 candidates it is the smallest by parameters within the budget (accuracy drop ≤ 3 "
        "points and flash ≤ 16KB). On the validation images it loses 2.50 points; the test images played no part in "
        "the choice. Beyond the budget: 90 % loses 21.00."
    )


def test_without_a_choice_there_is_only_a_reason(view) -> None:
    tables = make_tables(view)
    assert answer(replace(view, choice=None), tables, WORDS).reason == "The study has not chosen a model yet."
    none = answer(replace(view, choice=NONE), tables, WORDS)
    assert (none.lines, none.headlines) == ((), ())
    assert none.reason.startswith("Nothing was chosen: no candidate of “ratio” is within the budget")


def test_what_was_refused_as_dead_is_said(view) -> None:
    """int8 of 90 % answers one class only, and of a balanced validation split that is within a wide budget."""
    dead = Accuracy(1000, 500, ((500, 0), (500, 0)))
    lost = Accuracy(1000, 490, ((490, 10), (500, 0)))
    wide = view.spec.select.model_copy(update={"budget": ("accuracy_drop<=60",)})

    def said(answers: Accuracy, choice: Choice, language: str = "en") -> str:
        base, int8 = view.records["base"], view.records["tenth8"]
        right = Accuracy(1000, 950, ((500, 0), (50, 450)))
        records = {
            **view.records,
            "base": base.model_copy(update={"results": base.results.model_copy(update={"validation": right})}),
            "tenth8": int8.model_copy(update={"results": int8.results.model_copy(update={"validation": answers})}),
        }
        found = replace(view, records=records, choice=choice, spec=view.spec.model_copy(update={"select": wide}))
        return answer(found, make_tables(found), words_in(language)).reason

    assert said(dead, view.choice).endswith("Refused, though within the budget: 90 % answers “a” for every image.")
    assert said(lost, view.choice).endswith(" 90 % no longer recognizes a validation image of b.")
    assert said(lost, NONE).startswith(
        "Nothing was chosen: every network of “ratio” within the budget accuracy drop ≤ 60 points is dead. Refused"
    )
    assert "90 %: 모든 이미지에 “a”(으)로만 답합니다." in said(dead, view.choice, "ko")


def test_without_what_the_choice_is_compared_with_there_is_no_answer(view) -> None:
    """A chosen model, but no base (its record is damaged): that is no study without a choice."""
    without = replace(view, records={key: record for key, record in view.records.items() if key != "base"})
    found = answer(without, make_tables(without), WORDS)
    assert (found.lines, found.reason) == ((), "The study has not chosen a model yet.")


def test_a_model_that_needs_more_is_said_to_need_more(view) -> None:
    rows = tuple(
        row.model_copy(update={"median_us": 60.0} if row.runtime == "C" and row.file == "chosen" else {})
        for row in view.bench.rows
    )
    grown = view.records["half"].results.model_copy(update={"params": 2500, "validation": RIGHT[950]})
    int8 = view.records["half8"].results.model_copy(update={"validation": RIGHT[906]})
    records = {**view.records, "half": view.records["half"].model_copy(update={"results": grown}),
               "half8": view.records["half8"].model_copy(update={"results": int8})}  # fmt: skip
    slow = replace(view, bench=view.bench.model_copy(update={"rows": rows}), records=records)
    found = answer(slow, make_tables(slow), WORDS)
    assert [(h.gain, h.loss) for h in found.headlines] == [
        ("−2.50 points", True), ("2.5× more", True), ("7.7× fewer", False), ("2.0× slower", True),
    ]  # fmt: skip
    assert "On the validation images it gains 0.60 points;" in found.reason
    korean = answer(slow, make_tables(slow), words_in("ko"))
    assert [h.gain for h in korean.headlines][1:] == ["2.5배로 늘어남", "7.7분의 1", "2.0배 느림"]
    assert "정확도는 0.60%p 높아졌습니다" in korean.reason


def test_times_of_the_study_stand_in_where_no_form_was_timed(view) -> None:
    models = {key: {"1": {"median_us": us, "p95_us": us}} for key, us in (("base", 40.0), ("half", 20.0))}
    times = {**TIMINGS, "models": models}
    plain = replace(view, bench=None, timings=stored(Timings, times))
    lines = {line.name: line for line in answer(plain, make_tables(plain), WORDS).lines}
    assert lines["µs per image, batch 1"].cells == ("40.0", "", "20.0", "")
    assert lines["µs per image, batch 1"].ratio == 2


def test_several_seeds_give_the_int8_accuracy_a_spread(view) -> None:
    tables = make_tables(view)
    rows = [replace(r, figures={**r.figures, "accuracy": replace(r.figures["accuracy"], std=0.5, n=2)})
            for r in tables[0].rows]  # fmt: skip
    elsewhere = replace(tables[0], name="other", rows=tuple(rows))
    floats = replace(tables[0], rows=tuple(r for r in tables[0].rows if not r.quantized))
    lines = {line.name: line for line in answer(view, [floats, elsewhere], WORDS).lines}
    assert lines["Test accuracy (%)"].cells[3] == "87.50 ± 0.50"
    (accuracy, *_) = answer(view, [floats, elsewhere], WORDS).headlines
    assert (accuracy.now, accuracy.name, accuracy.was) == ("87.50 %", "test accuracy (± 0.50)", "90.00 %")
    assert accuracy.gain == "−2.50 points"


def test_the_gain_is_the_difference_of_what_is_shown(view) -> None:
    """74.686 to 72.624 is −2.062, but 74.69 and 72.62 stand beside it."""
    ratio, *others = make_tables(view)
    shown = {"base": 74.686, "int8": 72.624}
    rows = [
        replace(r, figures={**r.figures, "accuracy": Figure(shown["base" if r.base else "int8"])}) for r in ratio.rows
    ]
    found = answer(view, [replace(ratio, rows=tuple(rows)), *others], WORDS)
    assert [found.headlines[0].was, found.headlines[0].now, found.headlines[0].gain] == [
        "74.69 %", "72.62 %", "−2.07 points",
    ]  # fmt: skip


def test_the_base_is_that_of_the_chosen_model(view) -> None:
    assert base_key(view) == "base"
    assert base_key(replace(view, records={})) is None
    assert base_key(replace(view, choice=None)) == "base"


def test_budgets_in_words() -> None:
    select = SelectSpec(experiment="e", budget=("accuracy_drop<=1", "latency<=2ms", "params<=20k"))
    assert budget_text(select, WORDS) == "accuracy drop ≤ 1 points and latency ≤ 2ms and parameters ≤ 20k"
    least = SelectSpec(experiment="e", budget=("worst_class >= 80 %", "balanced_accuracy>=85"))
    assert budget_text(least, WORDS) == "accuracy of the worst class ≥ 80 % and balanced accuracy ≥ 85 %"
    assert times_text(24.8) == "25"
    assert times_text(9.94) == "9.9"


def test_findings(view) -> None:
    ratio, scratch = make_tables(view)
    assert findings(view, ratio, WORDS) == [
        "Highest test accuracy: 50 % (88.00 %). Lowest: 90 %, int8 (69.00 %). The base: 90.00 %.",
        "Of 1,000 test images, this many get a different answer in int8 than in float: 10 (50 %, int8), "
        "10 (90 %, int8).",
        "1 of 2 published counts match exactly.",
        "Furthest from a published figure: 90 %, by −10.00 points.",
    ]
    assert against(view, scratch, ratio, WORDS) == [
        "Training from scratch beats pruning at 90 % by 5.00 points.",
        "No difference beyond the noise of the test images at 50 %.",
    ]
    rows = [replace(r, notes=(WORDS("note.dead"),)) if r.value == 0.9 else r for r in scratch.rows]
    assert against(view, replace(scratch, rows=tuple(rows)), ratio, WORDS)[-1] == (
        "Trained from scratch, the network is dead at 90 %: it gives one class for every image."
    )


LONGER = """
[[experiment]]
name = "longer"
longer = true
rows = "steps"
set = { "prune.steps" = 2, "prune.ratio" = 0.5, "finetune.epochs" = 3, "quantize.images" = 6 }
"""


def test_pruning_is_held_against_the_unpruned_network_trained_as_long(view) -> None:
    """The base: 90 %, after 6 epochs more 94 %. The chosen model: 87.5 % in int8."""
    path = ("base", "l1", "l2")
    trained = {key: record(key, right, 1000, position=at) for key, right, at in (("l1", 915, 1), ("l2", 940, 2))}
    longer = replace(
        view, spec=parse_spec(SPEC + LONGER, "x"), trials=(*view.trials, TrialView("longer", None, 0, path, path)),
        records={**view.records, **trained},
    )  # fmt: skip
    tables = make_tables(longer)
    control = tables[-1]
    assert [(row.step, row.figures["accuracy"].mean) for row in control.rows] == [(0, 90.0), (1, 91.5), (2, 94.0)]
    assert of_training(longer, longer.spec.experiment[2], control, tables, WORDS) == [
        "Trained for another 6 epochs, the unpruned network goes from 90.00 to 94.00 % (+4.00 points).",
        "Pruning may look good only because it trains longer. Points against the base, and against the base "
        "trained as long: 50 %: −2.00 and −6.00; 90 %: −20.00 and −24.00.",
    ]
    assert (
        " Trained for another 6 epochs, the unpruned network reaches 94.00 % on the test images. The chosen model "
        "differs from that by −6.50 points, and from the base by −2.50."
    ) in answer(longer, tables, WORDS).reason
    assert kind_of(longer.spec.experiment[2]) == "control"
    assert counterpart(longer.spec.experiment[1], longer.spec.experiment[2:], [control]) is None


def test_what_training_on_does_not_change_is_said_too(view) -> None:
    path = ("base", "l1", "l2")
    longer = replace(
        view, spec=parse_spec(SPEC + LONGER, "x"), trials=(*view.trials, TrialView("longer", None, 0, path, path)),
        records={**view.records, "l1": record("l1", 900, 1000), "l2": record("l2", 905, 1000, position=2)},
    )  # fmt: skip
    tables = make_tables(longer)
    said = of_training(longer, longer.spec.experiment[2], tables[2], tables, WORDS)
    assert said[1] == "That is within the noise of the test images."
    unfinished = replace(longer, records=view.records)
    tables = make_tables(unfinished)
    assert of_training(unfinished, unfinished.spec.experiment[2], tables[2], tables, WORDS) == []
    assert "Trained for another" not in answer(unfinished, tables, WORDS).reason


def test_only_networks_of_their_own_are_said_to_lie_close_together(view) -> None:
    """Forms of one model predict the same images: the report says how many get another class."""
    ratio, scratch = make_tables(view)
    close = replace(ratio, rows=tuple(r for r in ratio.rows if r.value != 0.9))  # 88 % in float, 87.5 % in int8
    assert not any("lie within" in said for said in findings(view, close, WORDS))
    assert "a different answer in int8 than in float: 10 (50 %, int8)." in findings(view, close, WORDS)[1]
    seeds = [replace(r, figures={**r.figures, "agreement": Figure(99.0, 0.1, 2)}) for r in close.rows]
    assert not any("a different answer" in said for said in findings(view, replace(close, rows=tuple(seeds)), WORDS))
    rows = [
        r if r.base else replace(r, figures={**r.figures, "accuracy": Figure(88.0 + r.value)}) for r in scratch.rows
    ]
    assert findings(view, replace(scratch, rows=tuple(rows)), WORDS)[1] == (
        "All values lie within 0.40 points of one another, less than the uncertainty of a single accuracy "
        "(±1.96 points, 95 %)."
    )


def test_gaps_are_said_the_gravest_first(view) -> None:
    assert [gap.weight for gap in gaps_of(view, WORDS)] == ["unmeasured"]  # one seed
    left_out = (LeftOut(file="base", form="c", reason="no compiler"),)
    failed = view.records["tenth"].model_copy(update={"status": "failed", "results": None, "reason": "nan"})
    worse = replace(
        view, bench=view.bench.model_copy(update={"left_out": left_out}), records={**view.records, "tenth": failed},
        stages=(*view.stages, "more"), timings=None, evidence=None,
    )  # fmt: skip
    texts = [gap.text for gap in gaps_of(worse, WORDS)]
    assert texts[0] == "Fine-tuning, stage tenth: nan"
    assert texts[1].startswith("1 of 8 stages are still to run")
    assert "base, C: not timed. no compiler" in texts
    assert next(gap.text for gap in gaps_of(replace(view, verification=None), WORDS)).startswith(
        "The chosen model was not"
    )
