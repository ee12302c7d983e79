"""Only the command line knows options: the library names arguments, as Python has them."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import niwaki
from niwaki.cli.flags import OPTIONS, all_in_flags, in_flags
from niwaki.cli.main import app
from niwaki.cli.output import CommandLine, print_json
from niwaki.errors import DataError

SOURCES = Path(niwaki.__file__).parent
COMMANDS = re.compile(r"(niwaki|\./start) [a-z]+( [A-Za-z]+)*( --[a-z-]+( [a-z0-9-]+)?)+")  # to type, whoever called


def options_of_the_command_line() -> set[str]:
    commands = [typer.main.get_command(app)]
    for command in commands:
        commands += getattr(command, "commands", {}).values()
    return {name for command in commands for one in command.params for name in (*one.opts, *one.secondary_opts)}


@pytest.fixture(scope="module")
def texts() -> list[tuple[str, str]]:
    return list(texts_of_the_library())


def texts_of_the_library() -> Iterator[tuple[str, str]]:
    """Every string of every module but `cli` and `device`, which has a command line of its own."""
    for file in sorted(SOURCES.rglob("*.py")):
        place = file.relative_to(SOURCES)
        if place.parts[0] not in ("cli", "device"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield f"{place}:{node.lineno}", node.value


def test_no_text_of_the_library_names_an_option(texts: list[tuple[str, str]]) -> None:
    options = options_of_the_command_line()
    assert {"--data", "--no-sound", "--out"} <= options
    found = [
        f"{place}: {flag}"
        for place, text in texts
        for flag in re.findall(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*", COMMANDS.sub("", text))
        if flag in options
    ]
    assert found == []


def test_every_argument_that_a_text_names_is_one_and_has_its_option(texts: list[tuple[str, str]]) -> None:
    named = {name for _, text in texts for name in re.findall(r"`(\w+)=", text)}
    options = options_of_the_command_line()
    assert set(OPTIONS) <= named
    assert set(OPTIONS.values()) <= options
    assert not {f"--{name.replace('_', '-')}" for name in named - set(OPTIONS)} & options
    functions = (niwaki.export, niwaki.bundle, niwaki.verify, niwaki.run_study)
    arguments = {name for function in functions for name in inspect.signature(function).parameters}
    assert set(OPTIONS) - arguments == {"language"}  # of `niwaki report`


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("name them with `data=`", "name them with --data"),
        ("say `trust=True` to run it", "say --trust to run it"),
        ("try `sound=False`, or `names=`", "try --no-sound, or --names"),
        ("`seeds=0`: expected", "--seeds 0: expected"),
        ('`names="/a b/c.json"`: no', "--names /a b/c.json: no"),
        ('`to=""`: no', "--to : no"),
        ("`language='fr'`: expected", "--lang 'fr': expected"),
        ("lower `least_named=`", "lower --least-named"),
        ("`finetune=` and `x` stay", "`finetune=` and `x` stay"),
    ],
)
def test_an_argument_in_words_of_the_command_line(said: str, shown: str) -> None:
    assert in_flags(said) == shown


def test_one_error_from_python_and_from_the_command_line(call, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    why = "not fashion-mnist, not synthetic, not a folder, not an .npz file"
    with pytest.raises(DataError) as error:
        niwaki.run_study("quick", data="nowhere", out="o")
    assert str(error.value) == f'`data="nowhere"`: {why}'
    assert call("study", "run", "quick", "--data", "nowhere", "--out", "o") == (
        2,
        "",
        f"niwaki: --data nowhere: {why}\n",
    )


def test_a_note_on_the_console_and_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    CommandLine().print("name them with `data=`", markup=False)
    print_json({"`data=`": ["with `data=`", {"a": 'say `to="c"`'}, 1, None]})
    note, line = capsys.readouterr().out.splitlines()
    assert note == "name them with --data"
    assert json.loads(line) == {"`data=`": ["with --data", {"a": "say --to c"}, 1, None]}
    assert all_in_flags(("`out=`",)) == ["--out"]
