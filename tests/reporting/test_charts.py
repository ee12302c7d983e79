"""The data of figures, worked out by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from niwaki.drawing.chart import Axis, Chart, Panel, Point, Series, chart_csv, to_csv
from niwaki.drawing.figure import draw
from niwaki.reporting.charts.classes import class_changes, classes_chart, confusion_chart
from niwaki.reporting.charts.controls import counterpart, differences, overlaid
from niwaki.reporting.charts.experiments import charts_of
from niwaki.reporting.charts.front import Network, front, front_chart, networks
from niwaki.reporting.charts.latency import latency_chart
from niwaki.reporting.charts.measures import number
from niwaki.reporting.tables import Figure, Row, Table
from niwaki.reporting.words import words_in
from niwaki.study.result_files import Choice, FormTime
from niwaki.study.spec import Experiment, Published

WORDS = words_in("en")


def row(value: Any, step: int, accuracy: float | None, *, std: float | None = None, **more: Any) -> Row:
    figures = {"params": Figure(1000.0 / (step + 1)), "macs": Figure(5000.0 / (step + 1))}
    if accuracy is not None:
        figures |= {"accuracy": Figure(accuracy, std, 2 if std else 1), "validation": Figure(accuracy)}
    figures |= more.pop("figures", {})
    plain: dict[str, Any] = {
        "base": step == 0, "quantized": None, "status": "done", "widths": None, "bytes_by_type": None,
        "per_class": None, "published": None, "notes": (), "like_base": (),
    }  # fmt: skip
    return Row(value=value, step=step, figures=figures, **{**plain, **more})


def table(rows: list[Row], key: str | None = "prune.ratio", columns: tuple[str, ...] = ("accuracy",)) -> Table:
    return Table("t", "T", key, columns, tuple(rows), "", ())


def places(series: Series) -> list[tuple[Any, Any]]:
    return [(point.x, point.y) for point in series.points]


BY_STEP = [row(None, 0, 90), row(0.5, 1, 89, std=0.5), row(0.5, 2, 88), row(0.6, 1, 87), row(0.6, 2, 80)]


def test_by_step_every_value_is_a_series_that_begins_at_the_base() -> None:
    (chart,) = charts_of(table(BY_STEP), WORDS)
    (panel,) = chart.panels
    assert panel.x.categories == ("base", "1", "2")
    assert [(s.name, s.end_label, places(s)) for s in panel.series if s.points] == [
        ("50 %", "50 %", [("base", 90), ("1", 89), ("2", 88)]),
        ("60 %", "60 %", [("base", 90), ("1", 87), ("2", 80)]),
    ]
    assert (panel.series[0].points[1].low, panel.series[0].points[1].high) == (88.5, 89.5)
    assert panel.series[0].points[0].low is None
    assert chart.caption == "Bars: one standard deviation over the seeds."


def test_values_may_be_lists_as_widths_are() -> None:
    rows = [row(None, 0, 90), row([2, 6], 1, 89), row([2, 6], 2, 88), row([1, 4], 1, 87), row([1, 4], 2, 80)]
    (chart,) = charts_of(table(rows, "model.args.widths"), WORDS)
    (panel,) = chart.panels
    assert [places(s) for s in panel.series if s.points] == [
        [("base", 90), ("1", 89), ("2", 88)],
        [("base", 90), ("1", 87), ("2", 80)],
    ]
    assert overlaid(table(rows[1:3], "model.args.widths"), table(rows, "model.args.widths"), WORDS) is not None


def test_many_values_beside_published_ones_have_a_panel_each() -> None:
    published = Published(value=0.7, step=1, accuracy=(70.0, 71.0))
    rows = [*BY_STEP, row(0.7, 1, 75, published=published), row(0.7, 2, 60)]
    (chart,) = charts_of(table(rows), WORDS)
    assert [panel.title for panel in chart.panels] == ["50 %", "60 %", "70 %"]
    ours, theirs = chart.panels[2].series
    assert places(ours) == [("base", 90), ("1", 75), ("2", 60)]
    assert (places(theirs), theirs.source) == ([("1", 70.0), ("1", 71.0)], True)
    assert ours.points[1].tip == "70 %, step 1\nmeasured 75.00 %\npublished 70.00 %, 71.00 %"
    assert [s.name for s in chart.legend] == ["measured here", "published"]


def test_curves_that_all_coincide_are_drawn_once() -> None:
    rows = [row(None, 0, 90), row(5, 1, 89), row(5, 2, 88), row(0, 1, 50), row(0, 2, 40)]
    accuracy, size = charts_of(table(rows, "finetune.epochs", ("accuracy", "params")), WORDS)
    assert [s.name for s in accuracy.panels[0].series if s.points] == [
        "with fine-tuning, 5 epochs",
        "without fine-tuning",
    ]
    assert [places(s) for s in size.panels[0].series] == [[("base", 1000.0), ("1", 500.0), ("2", 1000 / 3)]]
    assert size.legend == ()


def test_along_numbers_the_base_is_a_line_across() -> None:
    published = Published(value=1e-4, accuracy=88.0)
    rows = [row(None, 0, 90), row(1e-6, 1, 70), row(1e-4, 1, 89, published=published)]
    (chart,) = charts_of(table(rows, "finetune.lr"), WORDS)
    (panel,) = chart.panels
    assert (panel.x.scale, panel.x.ticks, panel.x.title) == ("log", (1e-6, 1e-4), "Learning rate")
    assert [places(s) for s in panel.series] == [[(1e-6, 70), (1e-4, 89)], [(1e-4, 88.0)]]
    assert [(rule.value, rule.name) for rule in panel.rules] == [(90, "base 90.00 %")]
    near = [row(None, 0, 90), row(10, 1, 70), row(20, 1, 89)]
    assert charts_of(table(near, "train.batch_size"), WORDS)[0].panels[0].x.scale == "linear"


def test_a_base_that_varies_too_is_a_series_and_no_line_across() -> None:
    rows = [row(10, 0, 95), row(10, 1, 80), row(20, 0, 90), row(20, 1, 70)]
    (chart,) = charts_of(table(rows, "train.batch_size"), WORDS)
    assert [(s.name, places(s)) for s in chart.panels[0].series] == [
        ("measured here", [(10, 80), (20, 70)]),
        ("base", [(10, 95), (20, 90)]),
    ]
    assert chart.panels[0].rules == ()


def test_ratios_are_percents_and_int8_is_a_series_of_its_own() -> None:
    rows = [
        row(None, 0, 90), row(0.5, 1, 89), row(0.5, 1, 88.5, quantized="static"), row(0.6, 1, 80),
        row(0.6, 1, 79, quantized="static"),
    ]  # fmt: skip
    (chart,) = charts_of(table(rows), WORDS)
    assert [(s.name, places(s)) for s in chart.panels[0].series] == [
        ("float", [(50, 89), (60, 80)]),
        ("int8", [(50, 88.5), (60, 79)]),
    ]


def test_what_is_no_number_lies_on_a_line_of_its_own() -> None:
    rows = [row(None, 0, 90), row("both", 1, 88), row("conv", 1, 89, published=Published(value="conv", accuracy=91))]
    (chart,) = charts_of(table(rows, "prune.scope"), WORDS)
    assert chart.kind == "dots"
    assert chart.panels[0].y.categories == ("base", "both", "conv")
    assert [places(s) for s in chart.panels[0].series] == [[(90, "base"), (88, "both"), (89, "conv")], [(91, "conv")]]
    one = [row(None, 0, 90), row(None, 1, 88, quantized="static", figures={"flash": Figure(10)})]
    assert [c.id for c in charts_of(table(one, None, ("accuracy", "flash")), WORDS)] == ["figure-t-accuracy"]


def test_channels_and_data_types() -> None:
    rows = [
        row(None, 0, 90, widths={"conv": 6, "fc": 120}, bytes_by_type={"float32": 400}),
        row(0.5, 1, 88, widths={"conv": 3, "fc": 60}, bytes_by_type={"float32": 8, "int8": 50}),
    ]
    channels, types = charts_of(table(rows, columns=("widths", "bytes_by_type")), WORDS)
    assert [(p.title, places(p.series[0])) for p in channels.panels] == [
        ("conv", [("base", 6), ("50 %", 3)]),
        ("fc", [("base", 120), ("50 %", 60)]),
    ]
    assert [(s.name, places(s)) for s in types.panels[0].series] == [
        ("float32", [(400, "base"), (8, "50 %")]),
        ("int8", [(50, "50 %")]),
    ]


@pytest.mark.parametrize(
    ("columns", "title"),
    [
        (("params", "macs"), "Size. T"), (("latency_1",), "Time. T"), (("agreement",), "Agreement with float. T"),
        (("channels", "agreement", "params", "latency_1"), "Agreement with float, size, channels and time. T"),
    ],
)  # fmt: skip
def test_a_figure_is_called_after_what_it_shows(columns, title) -> None:
    def measured(step: int) -> dict[str, Figure]:
        return {name: Figure(90.0 - step) for name in ("agreement", "channels", "latency_1")}

    rows = [row(value, step, 90 - step, figures=measured(step)) for value, step in ((None, 0), (0.5, 1), (0.6, 2))]
    assert [chart.title for chart in charts_of(table(rows, columns=columns), WORDS)] == [title]


def test_an_experiment_without_results_has_no_figure() -> None:
    assert charts_of(table([replace(row(0.5, 1, None), figures={})]), WORDS) == []


def test_a_control_lies_over_what_it_controls() -> None:
    other = table(BY_STEP)
    control = replace(table([row(None, 0, 90), row(0.5, 2, 86), row(0.6, 2, 84)]), name="scratch")
    assert [(d.value, d.points) for d in differences(control, other)] == [(0.5, -2), (0.6, 4)]
    chart = overlaid(control, other, WORDS)
    assert chart is not None
    assert [(s.name, places(s)) for s in chart.panels[0].series] == [
        ("pruned and fine-tuned", [(50, 88), (60, 80)]),
        ("trained from scratch", [(50, 86), (60, 84)]),
    ]
    assert overlaid(replace(control, rows=()), other, WORDS) is None


def test_int8_of_a_control_is_left_out_where_the_networks_in_float_are_compared() -> None:
    rows = [row(None, 0, 89, base=True), row(0.5, 5, 86), row(0.5, 5, 80, quantized="static")]
    chart = overlaid(table(rows), table(rows), WORDS)
    assert chart is not None
    assert [[point.y for point in series.points] for series in chart.panels[0].series] == [["base", "50 %"]] * 2
    assert [(d.value, d.points) for d in differences(table(rows), table(rows))] == [(0.5, 0)]


def test_the_counterpart_varies_the_same_key_over_the_same_values() -> None:
    def experiment(name: str, values: list[float], **more: Any) -> Experiment:
        return Experiment(name=name, vary={"prune.ratio": values}, **more)

    found = [experiment("a", [0.5]), experiment("b", [0.5, 0.6]), experiment("c", [0.5, 0.6], from_scratch=True)]
    tables = [replace(table(BY_STEP), name=e.name) for e in found]
    assert counterpart(found[2], found, tables) is tables[1]
    assert counterpart(experiment("d", [0.9], from_scratch=True), found, tables) is None


def test_the_front_is_of_those_that_no_other_beats() -> None:
    assert front([(3, 90), (1, 80), (2, 79), (3, 85), (1, 80)]) == [1, 0]
    assert front([]) == []
    assert front([(1, 50), (2, 50)]) == [0]


def test_networks_are_counted_once_and_the_choice_is_marked() -> None:
    choice = Choice(key="k", value=0.5, reason="")
    again = replace(table(BY_STEP), name="again")
    found = networks([again, table(BY_STEP)], choice, "t", WORDS)
    assert len(found) == 5
    assert [(n.name, n.chosen) for n in found if n.chosen] == [("50 %, step 2 (T)", True)]
    chart = front_chart(found, WORDS)
    assert [panel.x.title for panel in chart.panels] == ["Parameters", "MACs"]  # no flash is known
    assert {line.split(",")[0] for line in chart_csv(chart).splitlines()[1:]} == {"Parameters", "MACs"}
    assert [re.search(r"<title[^>]*>(.*?)</title>", svg)[1] for svg in draw(chart)] == [  # type: ignore[index]
        f"{chart.title}: Parameters",
        f"{chart.title}: MACs",
    ]
    below, on = chart.panels[0].series
    # 1000 parameters: 90; 500: 89 and 87; 333: 88 (chosen) and 80, of which 80 and 87 are beaten.
    assert places(on) == [(1000 / 3, 88), (500.0, 89), (1000.0, 90)]
    assert [point.chosen for point in on.points] == [True, False, False]
    assert places(below) == [(500.0, 87), (1000 / 3, 80)]
    assert networks([table(BY_STEP)], None, None, WORDS)[0].chosen is False


def test_networks_far_below_the_best_are_not_drawn_but_the_choice_always_is() -> None:
    def network(accuracy: float, params: float, chosen: bool = False) -> Network:
        return Network("n", accuracy, {"params": params, "macs": params}, False, chosen)

    found = [network(90, 100), network(60, 50), network(50, 60, True), network(40, 70), network(71, 90)]
    below, on = front_chart(found, WORDS).panels[0].series
    assert (places(on), places(below)) == ([(90, 71), (100, 90)], [(60, 50)])


def test_what_the_experiment_leaves_as_it_is_has_no_picture() -> None:
    same = {"figures": {"params": Figure(500.0), "macs": Figure(7.0)}}
    rows = [row(None, 0, 90), row(1, 1, 70, **same), row(3, 1, 89, **same)]
    assert [c.id for c in charts_of(table(rows, "prune.steps", ("accuracy", "params", "macs")), WORDS)] == [
        "figure-t-accuracy"
    ]


def test_panels_that_are_compared_have_one_scale() -> None:
    published = Published(value=0.7, step=1, accuracy=95.0)
    rows = [*BY_STEP, row(0.7, 1, 75, published=published), row(0.7, 2, 60)]
    (chart,) = charts_of(table(rows), WORDS)
    assert {panel.y.reach for panel in chart.panels} == {(60.0, 95.0)}


def test_published_times_stand_beside_ours_where_they_differ() -> None:
    times = {"figures": {"latency_256": Figure(20.0)}}
    stated = Published(value=0.5, step=1, params=500, latency_us=6.5)
    rows = [row(None, 0, 90, **times), row(0.5, 1, 89, published=stated, **times), row(0.5, 2, 88, **times)]
    size, time = charts_of(table(rows, columns=("params", "latency_256")), WORDS)[0].panels
    assert [s.source for s in size.series] == [False]  # as published, to the last parameter
    assert [(s.source, places(s)) for s in time.series][1:] == [(True, [("1", 6.5)])]


def test_flash_has_a_panel_once_two_networks_have_it() -> None:
    int8 = Network("a", 90, {"params": 9, "macs": 9, "flash": 9}, True, False)
    pruned = Network("b", 80, {"params": 9, "macs": 9, "flash": 3}, True, True)
    floats = [replace(n, int8=False, costs={"params": 9, "macs": 9}) for n in (int8, pruned)]
    panels = front_chart([int8, pruned, *floats], WORDS).panels
    assert [panel.x.title for panel in panels] == ["Parameters", "MACs", "Flash, constants (bytes)"]
    assert [len(panel.series[1].points) for panel in panels] == [1, 1, 2]  # int8 stands against flash alone
    assert len(front_chart([int8, *floats], WORDS).panels) == 2
    needs = [replace(n, costs={**n.costs, "ram": ram}) for n, ram in ((int8, 50), (pruned, 20))]
    ram = front_chart([*needs, *floats], WORDS).panels[3]
    assert (ram.x.title, places(ram.series[1])) == ("RAM (bytes)", [(20, 80), (50, 90)])


def test_classes_come_in_the_order_of_what_they_lost() -> None:
    base = [[8, 2], [1, 9]]
    chosen = [[9, 1], [5, 5]]
    changes = class_changes({"base": base, "chosen": chosen})
    assert [(c.index, c.images, c.change, c.taken_for) for c in changes] == [
        (1, 10, -40.0, (0, 5)),
        (0, 10, 10.0, (1, 1)),
    ]
    chart = classes_chart(changes, ["x", "y"], WORDS)
    assert chart.panels[0].y.categories == ("y", "x")
    assert [places(s) for s in chart.panels[0].series] == [[(90, "y"), (80, "x")], [(50, "y"), (90, "x")]]
    alone = class_changes({"base": [[0, 0], [0, 3]]})
    assert [(c.index, c.recall["base"], c.change, c.taken_for) for c in alone] == [
        (0, None, None, None),
        (1, 100, None, None),
    ]
    int8 = class_changes({"base": base, "chosen": chosen, "chosen_int8": [[6, 4], [1, 9]]})
    assert [(c.index, c.change, c.taken_for) for c in int8] == [(0, -20.0, (1, 4)), (1, 0.0, (0, 1))]
    assert [m.title for m in confusion_chart({"base": base, "chosen_int8": chosen}, ["x", "y"], WORDS).matrices] == [
        "base",
        "chosen, int8",
    ]
    matrix = confusion_chart({"base": base, "chosen": chosen}, ["x", "y"], WORDS).matrices[1]
    assert (matrix.counts, matrix.tips[1][0]) == (((9, 1), (5, 5)), "5 × y taken for x")


def test_latency_has_a_line_for_each_form_and_a_whisker_to_the_95th_percentile() -> None:
    def timed(file: Any, form: Any, runtime: str, median: float) -> FormTime:
        return FormTime(file=file, form=form, runtime=runtime, median_us=median, p95_us=2 * median, runs=9)

    rows = [timed("chosen", "c", "C", 1), timed("base", "c", "C", 2), timed("base", "torch", "torch", 100)]
    chart = latency_chart(rows, WORDS)
    assert chart.panels[0].y.categories == ("torch, float", "C, int8, called")
    assert [(s.name, places(s)) for s in chart.panels[0].series] == [
        ("base", [(100, "torch, float"), (2, "C, int8, called")]),
        ("chosen", [(1, "C, int8, called")]),
    ]
    assert [(p.low, p.high) for p in chart.panels[0].series[1].points] == [(1, 2)]


def test_csv_has_every_point_and_no_formula() -> None:
    point = Point("=cmd()", -1.5, "", low=-2, high=-1, chosen=True)
    panel = Panel(Axis("x"), Axis("y"), (Series("+s", (point,), source=True),))
    assert chart_csv(Chart("c", "lines", "", "", "", (panel,))).splitlines() == [
        "panel,series,published,x,y,low,high,chosen",
        "y,'+s,yes,'=cmd(),-1.5,-2,-1,yes",
    ]
    cells = confusion_chart({"base": [[1, 0], [0, 2]]}, ["x", "y"], WORDS)
    assert chart_csv(cells).splitlines()[1:] == ["base,x,x,1", "base,y,y,2"]
    assert to_csv(("a",), [('say "no", then',)]) == 'a\r\n"say ""no"", then"\r\n'


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(86.8241, "percent", "86.82 %"), (1.666, "us", "1.67 µs"), (207.4, "us", "207 µs"), (1426, "bytes", "1,426 B"),
     (61706, "count", "61,706"), (0.123456, "number", "0.1235")],
)  # fmt: skip
def test_numbers_have_the_digits_that_they_deserve(value, unit, text) -> None:
    assert number(value, unit) == text
