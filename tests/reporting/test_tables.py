from __future__ import annotations

import io
import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from rich.console import Console

from niwaki.reporting import times
from niwaki.reporting.columns import columns_of, heading
from niwaki.reporting.gaps import gaps_of
from niwaki.reporting.tables import Figure, make_tables
from niwaki.reporting.text import print_study, study_as_json
from niwaki.reporting.view import TrialView, View
from niwaki.reporting.words import words_in
from niwaki.study.metrics import METRICS, TIMES
from niwaki.study.records import Record, Results
from niwaki.study.result_files import Choice, DataFacts, Machine, Timings
from niwaki.study.spec import Column as ColumnName
from niwaki.study.spec import parse_spec
from stored import stored

STUDIES = Path(__file__).parents[2] / "docs" / "guides" / "studies.md"

SPEC = """
title = "a [bold]title[/bold]"
seeds = 2
[[experiment]]
name = "ratio"
title = "By ratio"
vary = { "prune.ratio" = [0.5, 0.6] }
rows = "steps"
columns = ["accuracy", "params", "macs_tp", "latency_1", "latency_256", "channels"]
source = "a paper"
published = [
  { step = 0, accuracy = [89.39, 89.0], params = 61706 },
  { value = 0.5, step = 1, accuracy = 91.0, params = 40, macs_tp = 99, latency_us = 6.5, channels = 30 },
]
[[experiment]]
name = "memory"
vary = { "prune.ratio" = [0.5, 0.6] }
columns = ["bytes", "file", "activations", "widths", "per_class", "macs", "validation"]
published = [{ value = 0.5, memory_mb = 0.0 }, { value = 0.6, memory_mb = -0.07 }]
"""


def record(key: str, correct: int, params: int, **more: Any) -> Record:
    split = {"total": 1000, "correct": correct, "confusion": [[correct, 1000 - correct], [0, 0]]}
    split = {**split, **more.pop("split", {})}
    kind, position = more.pop("kind", "finetune"), more.pop("position", 1)
    measured = {
        "macs": 10 * params, "macs_tp": 11 * params, "bytes": {"float32": 4 * params}, "file_bytes": 5 * params,
        "activation_bytes": 64, "widths": {"conv": 5, "fc": 4}, "structure": str(params),
    }  # fmt: skip
    found = Results(validation=split, test=split, params=params, **{**measured, **more})
    return Record(
        key=key, kind=kind, parent=None, seed=0, position=position, settings={}, data="", environment={},
        status="done", results=found,
    )  # fmt: skip


def failed(key: str) -> Record:
    return record(key, 1, 1).model_copy(update={"status": "failed", "results": None, "reason": "the loss became nan"})


def view(records: list[Record], *, synthetic: bool = False, timings: dict | None = None) -> View:
    spec = parse_spec(SPEC, "x")
    trials = tuple(
        TrialView(e.name, value, seed, (f"b{seed}", f"{value}-{seed}"), (f"b{seed}", f"{value}-{seed}"))
        for e in spec.experiment
        for value in (0.5, 0.6)
        for seed in (0, 1)
    )
    data = {
        "name": "d", "origin": "o", "synthetic": synthetic, "labels": ["a", "b"], "fingerprint": "f",
        "images": {"train": 1, "validation": 1000, "test": 1000}, "input_shape": [1, 2, 2],
    }  # fmt: skip
    keys = tuple(dict.fromkeys(key for trial in trials for key in trial.stages))
    return View(
        Path("x"), spec, stored(DataFacts, data), stored(Machine, {"machine": "m", "torch": "t"}), keys, trials,
        {r.key: r for r in records}, ("damage",), stored(Timings, timings) if timings else None,
        Choice(key=None, value=None, reason="Because."),
    )  # fmt: skip


TIMINGS = {
    "pinned": True,
    "noise_floor": {"1": 0.05, "256": 0.05},
    "models": {
        "61706": {"1": {"median_us": 100.0, "p95_us": 110.0}, "256": {"median_us": 2560.0, "p95_us": 5120.0}},
        "40": {"1": {"median_us": 96.0, "p95_us": 99.0}, "256": {"median_us": 1280.0, "p95_us": 1281.0}},
    },
}


def bases() -> list[Record]:
    return [record("b0", 890, 61706), record("b1", 900, 61706)]


def test_figures_are_means_with_the_sample_deviation() -> None:
    table = make_tables(view([*bases(), record("0.5-0", 910, 40), record("0.5-1", 920, 40)]))[0]
    base, half, six = table.rows
    assert base.figures["accuracy"] == Figure(89.5, pytest.approx(0.5**0.5), 2)
    assert base.figures["params"] == Figure(61706, 0.0, 2)
    assert half.figures["channels"].mean == 2 * 9 + 2 * 2
    assert half.status == "done"
    assert six.status == "not run yet"
    assert six.figures == {}
    assert Figure.of([3.0]) == Figure(3.0, None, 1)


def test_differences_to_each_published_figure() -> None:
    rows = make_tables(view([*bases(), record("0.5-0", 910, 40), record("0.5-1", 920, 40)]))[0].to_dict()["rows"]
    assert rows[0]["difference"] == {"accuracy": [pytest.approx(0.11), pytest.approx(0.5)], "params": [0.0]}
    assert rows[1]["difference"] == {
        "accuracy": [pytest.approx(0.5)], "params": [0.0], "macs_tp": [341.0], "channels": [-8.0],
    }  # fmt: skip
    assert rows[2]["published"] is None


def test_the_sources_figures_are_hidden_for_synthetic_data() -> None:
    hidden = view([*bases(), record("0.5-0", 910, 40)], synthetic=True)
    assert all(row.published is None for table in make_tables(hidden) for row in table.rows)
    text = printed(hidden)
    assert "SYNTHETIC DATA" in text
    assert "source" not in text.replace("and the published ones are left out", "")


def test_tables_with_times_at_different_batches_share_one_remark_on_how_they_were_measured() -> None:
    timed = view([*bases()], timings=TIMINGS)
    at_1, at_256, at_both = (
        times.remarks(timed, columns, words_in("en"))
        for columns in (["latency_1"], ["latency_256"], ["latency_1", "latency_256"])
    )
    assert at_1[0] == at_256[0] == at_both[0]
    assert at_both[1:] == (at_1[1], at_256[1])
    assert at_1[1] == "Measured twice at batch 1, the same network differs by up to 5.0 %."


def test_times_within_the_noise_are_not_called_different() -> None:
    table = make_tables(view([*bases(), record("0.5-0", 910, 40), record("0.5-1", 920, 40)], timings=TIMINGS))[0]
    half = table.rows[1]
    assert half.figures["latency_1"].mean == 96.0
    assert half.figures["latency_256"].mean == 5.0
    assert half.figures["latency_256_p95"].mean == pytest.approx(1281 / 256)
    assert half.like_base == ("latency_1",)


def test_failures_and_parts_are_said() -> None:
    rows = make_tables(view([*bases(), record("0.5-0", 910, 40), failed("0.5-1"), failed("0.6-0"), failed("0.6-1")]))[
        0
    ].rows
    assert rows[1].status == "1 of 2 seeds; failed: the loss became nan"
    assert rows[2].status == "failed: the loss became nan"
    rows = make_tables(view([*bases(), record("0.5-0", 910, 40)]))[0].rows
    assert rows[1].status == "1 of 2 seeds"


def printed(shown: View) -> str:
    console = Console(file=io.StringIO(), width=220)
    print_study(console, shown)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_printed_study() -> None:
    note = {"notes": ("step 1 of 1 removed nothing",)}
    text = printed(
        view([*bases(), record("0.5-0", 910, 40, **note), record("0.5-1", 920, 40), failed("0.6-0")], timings=TIMINGS)
    )
    for part in (
        "a [bold]title[/bold]", "89.50 ± 0.71", "89.39 | 89.00", "+0.11 | +0.50", "61,706 ✓", "440 (99 +341)", "96.0 ≈",
        "22 (30 −8)", "step 1 of 1 removed nothing", "Source: a paper.", "damage; the next run repairs it",
        "failed: the loss became nan", "stages are still to run", "Choice. Because.", "MB to 50 %", "−0.07", "6.5",
    ):  # fmt: skip
        assert part in text, part
    assert study_as_json(view(bases()))["stages"] == {"planned": 6, "done": 2}


def test_stages_that_wait_for_a_failed_one_are_counted_apart() -> None:
    shown = view([failed("b0"), record("b1", 900, 61706), record("0.5-1", 920, 40)])
    assert "1 stage failed, 2 wait for it.\n1 of 6 stages are still to run.\n" in printed(shown)
    texts = [gap.text for gap in gaps_of(shown, words_in("en"))]
    assert "Not run, since an earlier stage failed: 2 stages" in texts
    assert printed(view([*bases(), failed("0.5-0"), failed("0.5-1")])).count("2 stages failed.\n") == 1


QUANTIZED = """
[[experiment]]
name = "int8"
vary = { "quantize.kind" = ["static", "dynamic"] }
columns = ["accuracy", "agreement", "macs_tp", "bytes_by_type", "activations", "flash", "ram", "file", "latency_ort"]
published = [
  { step = 0, accuracy = 89.0 },
  { step = 5, accuracy = 86.0, size_kb = 41, latency_us = 13.7 },
  { value = "dynamic", quantized = true, accuracy = 86.5, macs_tp = 73, size_kb = 16, latency_us = 18.16 },
]
[[experiment]]
name = "steps"
vary = { "prune.ratio" = [0.6] }
rows = "steps"
"""


def quantized_view() -> View:
    """A base, five pruning steps of one ratio (two shown to be there), and int8 of the last in both kinds."""
    path = ("b0", "p4", "p5")
    rows = {kind: (*path, kind) for kind in ("static", "dynamic")}
    trials = (
        *(TrialView("int8", kind, 0, rows[kind], rows[kind], kind) for kind in rows),
        TrialView("steps", 0.6, 0, rows["static"], rows["static"], "static"),
    )
    int8 = {"bytes": {"int8": 30, "int32": 8}, "macs_tp": None, "kind": "quantize"}
    found = [
        record("b0", 890, 61706, position=0), record("p4", 880, 60, position=4), record("p5", 860, 40, position=5),
        record("static", 850, 41, position=5, agreement=975, flash=600, ram=300, **int8),
        record("dynamic", 862, 42, position=5, agreement=1000, **int8),
    ]  # fmt: skip
    in_onnxruntime = {"41": 7.25, "40": 5.0, "42": 5.2}
    times = {**TIMINGS, "onnxruntime": {n: {"1": {"median_us": t, "p95_us": 8.0}} for n, t in in_onnxruntime.items()}}
    return replace(
        view([]), spec=parse_spec(QUANTIZED, "x"), trials=trials, stages=("b0", "p4", "p5", "static", "dynamic"),
        records={r.key: r for r in found}, timings=stored(Timings, times), damaged=(),
    )  # fmt: skip


def test_int8_has_a_row_of_its_own_below_the_float_rows_that_both_kinds_share() -> None:
    int8, steps = make_tables(quantized_view())
    assert [(row.value, row.step, row.quantized) for row in int8.rows] == [
        (None, 0, None), (None, 5, None), ("static", 5, "static"), ("dynamic", 5, "dynamic"),
    ]  # fmt: skip
    assert [(row.value, row.step, row.quantized) for row in steps.rows] == [
        (None, 0, None), (0.6, 4, None), (0.6, 5, None), (0.6, 5, "static"),
    ]  # fmt: skip
    _, pruned, static, dynamic = int8.rows
    assert static.figures["agreement"].mean == 97.5
    assert (static.figures["flash"].mean, static.figures["ram"].mean) == (600, 300)
    assert static.figures["latency_ort"].mean == 7.25
    assert static.notes == (
        "slower than float in ONNX Runtime (7.2 µs against 5.0); to compare speed, use niwaki bench",
    )
    assert dynamic.notes == ()  # 4 % slower, which is within the noise
    assert steps.rows[-1].notes == ()  # shows no such times
    assert not {"flash", "ram", "macs_tp"} & set(dynamic.figures)
    assert "agreement" not in pruned.figures
    assert static.bytes_by_type == {"int8": 30, "int32": 8}
    assert [row.published and row.published.accuracy for row in int8.rows] == [(89.0,), (86.0,), None, (86.5,)]
    assert int8.to_dict()["rows"][3]["difference"] == {"accuracy": [pytest.approx(-0.3)]}


def test_the_printed_quantization() -> None:
    text = printed(quantized_view())
    lines = [line.split() for line in text.splitlines()]
    heading = next(line for line in lines if line[:1] == ["quantization"])
    assert [" ".join(pair) for pair in itertools.pairwise(heading) if pair[1] == "B"] == [
        "float32 B", "int8 B", "int32 B",
    ]  # fmt: skip
    static, dynamic = (next(line for line in lines if line[:2] == [kind, "int8"]) for kind in ("static", "dynamic"))
    assert {"97.50", "30", "8", "600", "300", "205", "7.2", "8.0"} <= set(static)
    assert {"86.20", "86.50", "−0.30", "100.00", "(73)", "16", "18.2"} <= set(dynamic)
    assert "60 %   int8" in text
    for part in ("source KB", "Flash: constant data", "Agree: test images", "µs b1 ONNX R.", "13.7"):
        assert part in text, part


def test_one_seed_says_how_well_it_is_known() -> None:
    text = printed(view(bases()[:1]))
    assert "certain to about ±" in text


def test_a_dead_network_is_called_so() -> None:
    dead = {"split": {"correct": 500, "confusion": [[500, 0], [500, 0]]}}
    assert "the network is dead, not small" in printed(view([record("b0", 0, 61706, **dead), record("b1", 900, 61706)]))
    assert "dead" not in printed(view(bases()))


def test_a_class_that_was_lost_is_named() -> None:
    base = {"split": {"correct": 950, "confusion": [[500, 0], [50, 450]]}}
    lost = {"split": {"correct": 490, "confusion": [[490, 10], [500, 0]]}}
    shown = view([record("b0", 0, 61706, **base), record("0.5-0", 0, 40, **lost)])
    assert "50 %, step 1: no longer recognizes any test image of 'b'" in printed(shown)
    gone = {"split": {"correct": 0, "confusion": [[0, 500], [500, 0]]}}
    both = view([record("b0", 0, 61706, **base), record("0.5-0", 0, 40, **gone)])
    korean = [note for row in make_tables(both, words_in("ko"))[0].rows for note in row.notes]
    assert any("'a', 'b'" in note for note in korean), korean
    assert not any(" and " in note for note in korean)
    assert "no longer" not in printed(view([record("b0", 0, 61706, **base)]))


def test_channels_removed_are_shown_beside_those_asked_for() -> None:
    """Of the pruning that led to a row; nothing where a seed's record was made before there were such figures."""
    pruned = record("0.5-0", 910, 40, ratio_asked=0.5, ratio_reached=0.125)
    more = record("0.5-1", 910, 40, ratio_asked=0.5, ratio_reached=0.375)
    found = view([*bases(), pruned, more, record("0.6-0", 900, 30, ratio_asked=0.6, ratio_reached=0.6)])
    base, half, six = make_tables(found)[0].rows
    assert (half.figures["asked"], half.figures["reached"]) == (
        Figure(50, 0, 2),
        Figure(25, pytest.approx(17.68, abs=0.01), 2),
    )
    assert "reached" not in base.figures
    assert "reached" not in six.figures
    table = replace(make_tables(found)[0], key=None, columns=("reached",))
    column = columns_of(table, words_in("en"))[-1]
    assert [column.cell(row) for row in table.rows] == ["–", "25.0 ± 17.7 (50.0)", "–"]
    assert heading(column, words_in("en")) == "Channels removed (asked), %"


def test_a_table_can_show_every_column_that_a_study_can_ask_for() -> None:
    names = get_args(ColumnName)
    table = replace(make_tables(view([]))[0], columns=names)
    shown = [column.name for column in columns_of(table, words_in("en"))]
    assert {*METRICS, "latency_1", "reached"} <= set(shown)
    assert set(METRICS) <= set(names)
    assert all(f"column.{name}" in words_in("en").texts for name in METRICS)
    assert tuple(times.COLUMNS) == TIMES
    _, page = STUDIES.read_text().split("### Columns")
    rows = [line.split("|")[1] for line in page.split("## ")[0].splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert told == set(names)
