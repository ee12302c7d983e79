"""The picture of the parts shows the contract on imports, and is redrawn when that changes."""

from __future__ import annotations

import re
from itertools import pairwise

from tests.arrows import contract
from tests.picture import HIGH, PICTURE, arrows, boxes, draw, lay_out

LINES = contract()
DRAWN = draw(LINES)


def reached(part: str, ways: dict[str, set[str]]) -> set[str]:
    return ways[part].union(*(reached(other, ways) for other in ways[part]))


def test_the_committed_picture_is_that_of_the_contract() -> None:
    assert PICTURE.read_text() == DRAWN, "run `make picture`"


def test_left_out_arrows_change_nothing_of_what_a_box_reaches() -> None:
    box = {part: name for name, parts in boxes(LINES).items() for part in parts}
    direct: dict[str, set[str]] = {name: set() for name in box.values()}
    for part, allowed in LINES.items():
        direct[box[part]] |= {box[other] for other in allowed} - {box[part]}
    ways = {name: set(others) for name, others in arrows(LINES).items()}
    assert {name: reached(name, ways) for name in ways} == {name: reached(name, direct) for name in direct}
    for name, others in ways.items():
        for other in others:
            assert other not in reached(name, {**ways, name: others - {other}})


def test_an_arrow_goes_down_layer_by_layer_and_nothing_overlaps() -> None:
    layout = lay_out(arrows(LINES))
    row = {name: at for at, layer in enumerate(layout.layers) for name in layer}
    for route in layout.ways:
        assert [row[name] for name in route] == list(range(row[route[0]], row[route[-1]] + 1))
    for layer in layout.layers:
        for one, other in pairwise(layer):
            bends = (">" in one) + (">" in other)
            assert layout.columns[other] - layout.columns[one] >= (1, 0.5, 0.25)[bends]


def test_every_part_is_in_the_picture_with_what_it_may_import() -> None:
    for part, allowed in LINES.items():
        assert f"{part} may import {', '.join(allowed) or 'no other part'}" in DRAWN
    assert HIGH >= 15 * 3 + 8
    assert all(group.count("<text") <= 3 for group in re.findall(r"<g>.*?</g>", DRAWN, re.DOTALL))


def test_the_page_names_files_that_are_there() -> None:
    root = PICTURE.parents[1]
    text = (root / "docs" / "architecture.md").read_text()
    named = {name for name in re.findall(r"`([\w./-]+/[\w./-]*)`", text) if "NAME" not in name}
    assert len(named) > 30
    for name in named:
        assert (root / "src" / "niwaki" / name).exists() or (root / name).exists(), name
    rows = [line for line in text.splitlines() if line.startswith("| a")]
    assert len(rows) > 10
    for row in rows:
        files = re.findall(r"`([\w/-]+/|[\w/.-]+\.(?:py|md|toml|svg|h)|Makefile)`", re.sub(r"\(.*?\)", "", row))
        assert len(set(files)) <= 4, row
