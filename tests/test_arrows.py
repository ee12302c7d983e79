"""The contract on imports finds what it should, and the packages state the same rules."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from grimp import ImportGraph
from importlinter import fields

import niwaki
from tests.arrows import Arrows, Lines, LinesField, Rooms, contract, rooms

SOURCES = Path(niwaki.__file__).parent
PACKAGES = sorted(file.parent.relative_to(SOURCES).as_posix() for file in SOURCES.glob("*/**/__init__.py"))
LINES = contract()
ROOMS = rooms()


def findings(may_import: dict[str, str], *imports: tuple[str, str], kind: type[Arrows | Rooms] = Arrows) -> list[str]:
    graph = ImportGraph()
    for importer, imported in imports:
        graph.add_import(importer=importer, imported=imported, line_number=7, line_contents="")
    check = kind("arrows", {}, {"may_import": may_import}).check(graph, verbose=False)
    assert check.kept == (not check.metadata["findings"])
    return check.metadata["findings"]


def reached(part: str, lines: Lines = LINES) -> set[str]:
    """What a part may import, directly or through others."""
    return set(lines[part]).union(*(reached(other, lines) for other in lines[part]))


def test_an_import_that_no_line_names_is_found_with_its_place() -> None:
    lines = {"study": "data, errors", "data": "", "errors": ""}
    inside = ("niwaki.study.run", "niwaki.study.plan")
    allowed = (("niwaki.study.run", "niwaki.data.spec"), ("niwaki.study", "niwaki.errors"), inside)
    assert findings(lines, *allowed) == []
    assert findings(lines, *allowed, ("niwaki.data.spec", "niwaki.errors")) == [
        "niwaki.data.spec (line 7) imports niwaki.errors: data may not import errors"
    ]


def test_every_part_has_a_line_and_every_line_a_part_and_a_use() -> None:
    lines = {"study": "data", "data": "", "search": ""}
    imports = (("niwaki.study", "niwaki.data"), ("niwaki", "niwaki.data"))
    assert findings(lines, *imports) == [
        "__init__: give it a line in pyproject.toml",
        "search: there is no such part; take its line out of pyproject.toml",
    ]
    lines = {"study": "data, errors", "data": "errors", "errors": ""}
    assert findings(lines, ("niwaki.study", "niwaki.data"), ("niwaki.data", "niwaki.errors")) == [
        "study does not import errors: take it out of the line in pyproject.toml"
    ]


def test_an_import_that_no_line_of_a_room_names_is_found() -> None:
    lines = {"codegen.emit": "codegen, codegen.graph", "codegen.graph": "errors", "codegen.graph.operators": "errors"}
    allowed = (
        ("niwaki.codegen.emit.source", "niwaki.codegen.graph.operators.table"),  # by the room beside its own
        ("niwaki.codegen.emit.source", "niwaki.codegen.limits"),
        ("niwaki.codegen.graph.operators.table", "niwaki.errors"),
        ("niwaki.codegen.graph.reference", "niwaki.codegen.graph.operators.table"),
        ("niwaki.codegen.generate", "niwaki.codegen.emit.source"),
    )
    assert findings(lines, *allowed, kind=Rooms) == []
    more = (
        ("niwaki.codegen.graph.operators.table", "niwaki.codegen.graph.reference"),
        ("niwaki.codegen.graph.operators.table", "niwaki.codegen.emit.source"),
        ("niwaki.codegen.graph.reference", "niwaki.codegen.generate"),
        ("niwaki.codegen.readers.qdq", "niwaki.data.spec"),
    )
    assert findings(lines, *allowed, *more, kind=Rooms) == [
        "codegen.readers: give it a line in pyproject.toml",
        *(
            f"niwaki.codegen.graph.{module} (line 7) imports niwaki.codegen.{imported}: {room} may not import {name}"
            for module, imported, room, name in (
                ("reference", "generate", "codegen.graph", "codegen"),
                ("operators.table", "emit.source", "codegen.graph", "codegen.emit"),
                ("operators.table", "emit.source", "codegen.graph.operators", "codegen.emit"),
                ("operators.table", "graph.reference", "codegen.graph.operators", "codegen.graph"),
            )
        ),
    ]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ({"a": "b", "b": "a"}, "b names a, which does not stand below it"),
        ({"a": "a"}, "a names a, which does not stand below it"),
        ({"a": "b"}, "a names b, which has no line"),
    ],
)
def test_no_circle_can_be_written(lines: dict[str, str], fault: str) -> None:
    with pytest.raises(fields.ValidationError) as failure:
        LinesField().parse(lines)
    assert failure.value.message == fault


def test_what_must_not_know_each_other_does_not_through_others_either() -> None:
    assert "board" not in reached("reporting")
    assert "board" not in reached("deploy")
    assert "reporting" not in reached("study") | reached("board")
    assert reached("toolchain") <= {"folders", "files", "errors", "device"}
    assert reached("scenes") - {"vision"} == reached("vision")
    assert [part for part, names in LINES.items() if "cli" in names] == ["__main__"]
    assert LINES["device"] == ()
    assert not {"codegen.readers", "emit"} & set(ROOMS["codegen.graph"] + ROOMS["codegen.graph.operators"])
    assert "emit" not in ROOMS["codegen.readers"] + LINES["codegen"]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_in_three_lines_what_it_owns_and_may_import(package: str) -> None:
    text = ast.get_docstring(ast.parse((SOURCES / package / "__init__.py").read_text())) or ""
    lines = [line for line in text.splitlines() if line]
    assert len(lines) <= 3
    allowed = (LINES | ROOMS)[package.replace("/", ".")]
    assert " ".join(lines).endswith(f"May import: {', '.join(allowed) or 'nothing else of niwaki'}.")
