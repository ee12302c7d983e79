"""Layer by layer: numbers worked out by hand, and a study of an earlier version that has only channels."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

import niwaki
from niwaki.models import modelfile
from niwaki.reporting.charts.layers import MOST, MOST_CODES, Pair, codes_charts, layers_chart, pairs_of
from niwaki.reporting.charts.sensitivity import sensitivity_chart
from niwaki.reporting.document import Figure, Grid
from niwaki.reporting.sections.layers import layers_section
from niwaki.reporting.view import View, load_view
from niwaki.reporting.words import words_in
from niwaki.study.layer_facts import ChangeFacts, LayerCodes, LayerFacts, LayerLosses, Sensitivity

WORDS = words_in("en")


def layer(name: str, channels: int, params: int) -> LayerFacts:
    return LayerFacts(name=name, kind="Conv2d", channels=channels, params=params, macs=10 * params, bytes=4 * params)


def codes(name: str, weights: dict[int, int], activations: dict[int, int]) -> LayerCodes:
    counts = [tuple(found.get(index, 0) for index in range(32)) for found in (weights, activations)]
    return LayerCodes(name=name, weights=counts[0], activations=counts[1], images=4, scale=0.5, zero_point=-128)


def test_the_whole_bar_is_the_base_and_its_first_part_what_is_left() -> None:
    pairs = pairs_of({"base": [layer("a", 8, 100), layer("b", 4, 50)], "chosen": [layer("a", 3, 30)]})
    assert pairs[1] == Pair(layer("b", 4, 50), None)
    chart = layers_chart(pairs, WORDS)
    assert [panel.title for panel in chart.panels] == ["Channels", "Parameters", "MACs", "Bytes in float"]
    remains, removed = chart.panels[1].series
    assert [(p.x, p.y) for p in remains.points] == [(30.0, "a"), (50.0, "b")]
    assert [(p.x, p.y) for p in removed.points] == [(70.0, "a")]
    assert remains.points[0].tip == "a\nParameters: 100 → 30"


def test_of_many_layers_a_figure_shows_the_largest_in_their_order() -> None:
    pairs = [Pair(layer(f"l{index}", 1, index), None) for index in range(100)]
    names = layers_chart(pairs, WORDS).panels[0].y.categories
    assert names == tuple(f"l{index}" for index in range(100 - MOST, 100))
    many = [codes(f"l{index}", {0: index + 1}, {0: 1}) for index in range(100)]
    assert len(codes_charts({"base_int8": many}, WORDS)[0].panels) == MOST_CODES


def test_codes_are_shares_of_their_layer_in_the_middle_of_what_they_cover() -> None:
    base, chosen = codes("/c1/Conv", {0: 3, 16: 1}, {31: 2}), codes("/c1/Conv", {16: 5}, {0: 1, 31: 1})
    weights, activations = codes_charts({"base_int8": [base], "chosen_int8": [chosen]}, WORDS)
    assert [panel.title for panel in weights.panels] == ["c1"]
    ours, theirs = weights.panels[0].series
    assert (ours.points[0].x, ours.points[0].y, ours.points[16].y) == (-124.0, 75.0, 25.0)
    assert theirs.points[16].y == 100
    last = activations.panels[0].series[1].points[31]
    assert last.tip == "chosen, int8\ncodes 120 to 127: 50.00 %\nnumbers 124 to 128"
    assert codes_charts({}, WORDS) == []


@pytest.fixture(scope="module")
def view(finished_study: Path) -> View:
    return load_view(finished_study)


def test_the_layers_add_up_to_the_networks_of_the_study(view) -> None:
    assert view.evidence.layers.keys() == {"base", "chosen"}
    for name, key in (("base", view.evidence.base.key), ("chosen", view.evidence.chosen.key)):
        results, layers = view.records[key].results, view.evidence.layers[name]
        assert sum(layer.params for layer in layers) == results.params
        assert sum(layer.macs for layer in layers) == results.macs
        assert sum(layer.bytes for layer in layers) == sum(results.bytes.values())
        assert {layer.name: layer.channels for layer in layers}.items() >= results.widths.items()


def test_the_c_of_the_layers_adds_up_to_the_constants_that_the_export_states(view, finished_study) -> None:
    exports = {"base": view.evidence.base.int8, "chosen": view.verification.exported["c"]}
    said = {name: found.flash for name, found in exports.items()}
    _, _, grid, *_ = layers_section(view, WORDS).blocks
    assert grid.heads[-2:] == ("Bytes in the int8 C, base", "Bytes in the int8 C, chosen")
    for column, name in ((-2, "base"), (-1, "chosen")):
        cells = {row[0]: int(row[column].replace(",", "")) for row in grid.rows}
        assert sum(cells.values()) == said[name]
        for layer in view.evidence.layers[name]:  # an int8 for a weight; int32, int32 and uint8 for a channel
            assert cells[layer.name] == layer.params - layer.channels + layer.channels * (4 + 4 + 1)
    assert f"Together: {said['base']:,} → {said['chosen']:,} bytes" in grid.notes[1]
    listed = (finished_study / "chosen" / "c" / "README.md").read_text()
    assert f"{said['chosen']:,} bytes" in listed


def test_what_the_c_stores_outside_of_the_layers_has_a_row_of_its_own(view) -> None:
    base = view.evidence.base.int8
    known = {**base.layers, "/act/Sigmoid": 256}
    with_tables = base.model_copy(update={"flash": sum(known.values()) + 768, "layers": known})
    evidence = view.evidence.model_copy(update={"base": view.evidence.base.model_copy(update={"int8": with_tables})})
    grid = layers_section(replace(view, evidence=evidence), WORDS).blocks[2]
    assert grid.rows[-1] == ("outside these layers", *["–"] * 9, "1,024", "–")
    assert sum(int(row[-2].replace(",", "")) for row in grid.rows) == with_tables.flash
    assert "outside these layers,–" in grid.csv


def test_of_an_earlier_version_the_bytes_in_the_c_are_not_known(view) -> None:
    form = view.verification.exported["c"].model_copy(update={"layers": None})
    assert not form.complete
    earlier = replace(view, verification=view.verification.model_copy(update={"exported": {"c": form}}))
    grid = layers_section(earlier, WORDS).blocks[2]
    assert [head for head in grid.heads if "int8 C" in head] == ["Bytes in the int8 C, base"]


def test_every_weight_has_its_place_on_the_grid(view) -> None:
    of_codes = {name: [sum(layer.weights) for layer in layers] for name, layers in view.evidence.codes.items()}
    assert of_codes.keys() == {"base_int8", "chosen_int8"}
    for name, counts in of_codes.items():
        layers = view.evidence.layers[name.removesuffix("_int8")]
        biases = [layer.channels for layer in layers]  # stay out of the grid
        assert counts == [layer.params - bias for layer, bias in zip(layers, biases, strict=True)]


def test_what_the_base_loses_layer_by_layer_is_what_python_says(view, finished_study) -> None:
    found = view.evidence.sensitivity
    section = tomllib.loads((finished_study.parent / "s.toml").read_text())["data"]
    data = niwaki.load_data(section.pop("path"), **{name: value for name, value in section.items() if name != "name"})
    base = modelfile.loads((finished_study / "stages" / view.evidence.base.key / "weights.safetensors").read_bytes())[0]
    said = niwaki.sensitivity(base, data)
    assert (found.images, found.accuracy) == (said.images, said.accuracy)
    channels, bits = sensitivity_chart(found, WORDS).panels
    assert [series.name for series in channels.series] == [f"{percent} % fewer channels" for percent in (25, 50, 75)]
    assert [series.name for series in bits.series] == ["8 bits", "4 bits", "2 bits"]
    for panel, what, degrees in ((channels, "pruned", (25, 50, 75)), (bits, "rounded", (8, 4, 2))):
        for series, degree in zip(panel.series, degrees, strict=True):
            changes = {layer.name: getattr(layer, what)[degree] for layer in said.layers}
            drawn = {point.y: (point.x, point.low, point.high) for point in series.points}
            assert drawn == {
                name: (change.loss, change.loss - change.noise, change.loss + change.noise)
                for name, change in changes.items() if change is not None
            }  # fmt: skip
            assert drawn


def test_of_many_layers_those_that_lose_most_are_shown() -> None:
    none = dict.fromkeys(("25", "50", "75"))
    layers = tuple(
        LayerLosses(name=f"layer{n}", pruned=none, rounded={"2": ChangeFacts(loss=float(n), noise=1.0)})
        for n in range(30)
    )
    chart = sensitivity_chart(Sensitivity(images=50, accuracy=90.0, layers=layers), WORDS)
    assert chart.panels[1].y.categories == tuple(f"layer{n}" for n in range(6, 30))
    assert chart.caption.endswith("The 24 layers that lose most.")


def test_a_study_of_an_earlier_version_shows_channels(view) -> None:
    earlier = replace(view, evidence=view.evidence.model_copy(update={"layers": {}, "codes": {}}))
    said, grid = layers_section(earlier, WORDS).blocks
    assert "Run the same command again" in said.text
    base = view.records[view.evidence.base.key].results.widths
    assert [(row[0], row[1]) for row in grid.rows] == [(name, str(width)) for name, width in base.items()]
    whole = layers_section(view, WORDS).blocks
    assert [type(block) for block in whole[1:]] == [Figure, Grid, Figure, Figure, Figure]
