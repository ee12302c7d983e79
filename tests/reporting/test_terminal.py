"""Text for a terminal, a file or a pipe is readable there."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.text import Text

from niwaki.reporting.letters import fitting
from niwaki.reporting.terminal import Terminal, print_table, that_fit
from niwaki.tabular import Column

COLUMNS: tuple[Column, ...] = (("form", "left"), ("run by", "left"), ("images", "right"), ("median µs", "right"))
ROWS = [
    ("onnx-int8", "ONNX Runtime, one thread, no optimization", "1,000", "12.50"),
    ("c", "gcc -O3 -march=native on this machine", "10,000", "0.75"),
]


def printed(width: int | None, *, terminal: bool = True, encoding: str = "utf-8", rows=ROWS) -> list[str]:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding) as file:
        print_table(Terminal(file=file, width=width, force_terminal=terminal), COLUMNS, rows)
        file.flush()
        return [Text.from_ansi(line).plain.rstrip() for line in raw.getvalue().decode(encoding).splitlines()]


def test_a_table_that_fits_stands_in_one() -> None:
    assert printed(80) == [
        "form       run by                                     images  median µs",
        "onnx-int8  ONNX Runtime, one thread, no optimization   1,000      12.50",
        "c          gcc -O3 -march=native on this machine      10,000       0.75",
    ]
    assert printed(None, terminal=False) == printed(80)


def test_what_does_not_fit_goes_below() -> None:
    assert printed(60) == [
        "form       run by                                     images",
        "onnx-int8  ONNX Runtime, one thread, no optimization   1,000",
        "c          gcc -O3 -march=native on this machine      10,000",
        "form       median µs",
        "onnx-int8      12.50",
        "c               0.75",
    ]


def test_what_goes_below_has_with_it_what_tells_the_rows_apart() -> None:
    steps: tuple[Column, ...] = (("ratio", "left"), ("step", "right"), ("parameters", "right"), ("accuracy", "right"))
    file = io.StringIO()
    print_table(Terminal(file=file, width=26), steps, [("50 %", "1", "902", "90.0"), ("50 %", "2", "443", "87.5")])
    assert file.getvalue().split("\n") == [
        "ratio  step  parameters",
        "50 %      1         902",
        "50 %      2         443",
        "ratio  step  accuracy",
        "50 %      1      90.0",
        "50 %      2      87.5",
        "",
    ]


def test_rows_that_no_column_with_room_tells_apart_are_numbered() -> None:
    assert printed(60, rows=[("c", *row[1:]) for row in ROWS]) == [
        "#  form  run by                                     images",
        "1  c     ONNX Runtime, one thread, no optimization   1,000",
        "2  c     gcc -O3 -march=native on this machine      10,000",
        "#  form  median µs",
        "1  c         12.50",
        "2  c          0.75",
    ]
    assert printed(80, rows=[("c", *row[1:]) for row in ROWS])[0].startswith("form  run by")


@pytest.mark.parametrize(
    ("width", "kept"), [(80, [0, 1, 2, 3]), (60, [0, 2, 3]), (28, [0, 2, 3]), (27, [0, 3]), (20, [0, 3]), (8, [0, 3])]
)
def test_the_most_important_columns_are_kept(width: int, kept: list[int]) -> None:
    console = Terminal(file=io.StringIO(), width=width)
    assert that_fit(console, COLUMNS, ROWS, (3, 2, 1, 0)) == kept


@pytest.mark.parametrize("width", range(28, 72, 4))
def test_no_word_is_broken_and_nothing_is_lost(width: int) -> None:
    lines = printed(width)
    assert max(map(cell_len, lines)) <= width
    words = " ".join(lines).split()
    assert {word for row in ROWS for cell in row for word in cell.split()} <= set(words)


def test_pipes_are_as_wide_as_the_table_unless_columns_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    long = [("a", "word " * 300, "1", "2")]
    assert len(printed(None, terminal=False, rows=long)) == 2
    monkeypatch.setenv("COLUMNS", "60")
    assert printed(None, terminal=False) == printed(60)


@pytest.mark.parametrize(
    ("encoding", "heading", "cell"),
    [("utf-8", "median µs", "1.5 ± 2 → 가"), ("latin-1", "median µs", "1.5 ± 2 -> \\uac00"),
     ("ascii", "median us", "1.5 +- 2 -> \\uac00")],
)  # fmt: skip
def test_letters_that_a_stream_lacks(encoding: str, heading: str, cell: str) -> None:
    lines = printed(80, encoding=encoding, rows=[("c", "1.5 ± 2 → 가", "1", "2")])
    assert heading in lines[0]
    assert cell in lines[1]
    assert cell_len(lines[0].partition("images")[0]) + 6 == cell_len(lines[1].partition("  1  ")[0]) + 3
    assert fitting("plain", encoding) == "plain"


def test_markup_and_controls_of_others_are_shown() -> None:
    console = Terminal(file=io.StringIO())
    print_table(console, COLUMNS, [("[bold]x[/bold]", "\x1b[2J", "a\nb", ":bag: \u202e")])
    console.print("a\nb", markup=False)
    assert console.file.getvalue().splitlines()[1:] == [  # type: ignore[attr-defined]
        "[bold]x[/bold]  \\x1b[2J    a\\nb  :bag: \\u202e",
        "a\\nb",
    ]


def test_a_long_path_can_be_copied_out_of_a_narrow_terminal() -> None:
    console = Terminal(file=io.StringIO(), width=40, force_terminal=True)
    path = "/a/path/that/is/much/longer/than/the/terminal/is/wide.html"
    console.print(f"  Its report, which is a page: {path} and more, which [bold]is[/bold] broken between words, at 40")
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "  Its report, which is a page:",
        f"  {path}",
        "  and more, which \x1b[1mis\x1b[0m broken between",
        "  words, at 40",
    ]
