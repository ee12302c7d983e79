"""Only the command line knows options: the library names arguments as in Python."""

from __future__ import annotations

import ast
import inspect
import json
import pickle
import re
from pathlib import Path

import pytest
import typer

import niwaki
from niwaki.cli.flags import OPTIONS, all_in_flags, in_flags
from niwaki.cli.main import app
from niwaki.cli.output import CommandLine, print_json
from niwaki.errors import DataError, ModelError, Setting, Wording
from niwaki.training.settings import QatSettings, QuantizeSettings

SOURCES = Path(niwaki.__file__).parent
TRUST = Setting("trust", "True")
COMMANDS = re.compile(r"(niwaki|\./start) [a-z]+( [A-Za-z]+)*( --[a-z-]+( [a-z0-9-]+)?)+")  # to type, whoever called


def options_of_the_command_line() -> set[str]:
    commands = [typer.main.get_command(app)]
    for command in commands:
        commands += getattr(command, "commands", {}).values()
    return {name for command in commands for one in command.params for name in (*one.opts, *one.secondary_opts)}


@pytest.fixture(scope="module")
def nodes() -> dict[Path, list[ast.AST]]:
    """Every node of every module, by its path in the package."""
    files = sorted(SOURCES.rglob("*.py"))
    return {file.relative_to(SOURCES): list(ast.walk(ast.parse(file.read_text(encoding="utf-8")))) for file in files}


@pytest.fixture(scope="module")
def texts(nodes: dict[Path, list[ast.AST]]) -> list[tuple[str, str]]:
    """Every string of every module but `cli` and `device`, which has a command line of its own."""
    return [
        (f"{place}:{node.lineno}", node.value)
        for place, found in nodes.items()
        if place.parts[0] not in ("cli", "device")
        for node in found
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


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


def test_no_text_of_the_library_names_a_setting_unmarked(nodes: dict[Path, list[ast.AST]]) -> None:
    shown = re.compile(r"`\w+=[^`\n]*`")
    found = []
    for place, there in nodes.items():
        docstrings = {id(node.value) for node in there if isinstance(node, ast.Expr)}
        texts = (node for node in there if isinstance(node, ast.Constant) and id(node) not in docstrings)
        found += [
            f"{place}: {text.value}" for text in texts if isinstance(text.value, str) and shown.search(text.value)
        ]
    assert found == []


def settings_of_the_library(nodes: dict[Path, list[ast.AST]]) -> set[str]:
    """The names that `Setting` is called with."""
    calls = [node for found in nodes.values() for node in found if isinstance(node, ast.Call)]
    named = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Setting"]
    return {name.value for name in named if isinstance(name, ast.Constant)}


def test_every_argument_that_a_text_names_is_one_and_has_its_option(nodes: dict[Path, list[ast.AST]]) -> None:
    named = settings_of_the_library(nodes)
    options = options_of_the_command_line()
    of_settings = {*QuantizeSettings.model_fields, *QatSettings.model_fields}  # named as arguments if they are wrong
    assert set(OPTIONS) <= named | of_settings
    assert set(OPTIONS.values()) <= options
    assert named <= set(OPTIONS)
    functions = (
        niwaki.export,
        niwaki.bundle,
        niwaki.verify,
        niwaki.run_study,
        niwaki.compress,
        niwaki.cost,
        niwaki.new_study,
        niwaki.import_model,
    )
    arguments = of_settings | {name for function in functions for name in inspect.signature(function).parameters}
    assert set(OPTIONS) - arguments == {"language"}  # of `niwaki report`


@pytest.mark.parametrize(
    ("said", "python", "shown"),
    [
        (Wording("name them with ", Setting("data")), "name them with `data=`", "name them with --data"),
        (Wording("say ", TRUST, " to run it"), "say `trust=True` to run it", "say --trust to run it"),
        (Wording("try ", Setting("sound", "False")), "try `sound=False`", "try --no-sound"),
        (Wording(Setting("seeds", "0"), ": expected"), "`seeds=0`: expected", "--seeds 0: expected"),
        (Wording(Setting("names", '"/a b.json"'), ": no"), '`names="/a b.json"`: no', "--names /a b.json: no"),
        (Wording(Setting("to", '""'), ": no"), '`to=""`: no', "--to : no"),
        (Wording(Setting("language", "'fr'"), ": no"), "`language='fr'`: no", "--lang 'fr': no"),
        (Wording("lower ", Setting("least_named")), "lower `least_named=`", "lower --least-named"),
        (Wording("no ", Setting("finetune")), "no `finetune=`", "no `finetune=`"),
        ("`data=` of a user's own", "`data=` of a user's own", "`data=` of a user's own"),
    ],
)
def test_a_setting_in_python_and_on_the_command_line(said: str, python: str, shown: str) -> None:
    assert (said, in_flags(said)) == (python, shown)


def test_a_setting_stays_one_through_errors_workers_and_other_texts() -> None:
    error = ModelError("a `data=`\n.npz: say ", TRUST)
    why = "no c: a `data=`\\n.npz: say --trust"
    assert in_flags(Wording("no c: ", error)) == in_flags(str(ModelError("no c: ", str(error)))) == why
    there = pickle.loads(pickle.dumps((error, str(error))))
    assert [in_flags(str(one)) for one in there] == [why.removeprefix("no c: ")] * 2


def test_one_error_from_python_and_from_the_command_line(call, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    why = "not fashion-mnist, not synthetic, not a folder, not a .csv file, not a folder of IDX files, not an .npz file"
    with pytest.raises(DataError) as error:
        niwaki.run_study("quick", data="nowhere", out="o")
    assert str(error.value) == f'`data="nowhere"`: {why}'
    assert call("study", "run", "quick", "--data", "nowhere", "--out", "o") == (
        2,
        "",
        f"niwaki: --data nowhere: {why}\n",
    )


def test_a_note_on_the_console_and_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    advice = Wording("`data=`: name them with ", Setting("data"))
    CommandLine().print(advice, markup=False)
    print_json({"`data=`": [advice, {"a": Wording("say ", Setting("to", '"c"'))}, "`data=`", 1, None]})
    note, line = capsys.readouterr().out.splitlines()
    assert note == "`data=`: name them with --data"
    assert json.loads(line) == {"`data=`": ["`data=`: name them with --data", {"a": "say --to c"}, "`data=`", 1, None]}
    assert all_in_flags((Wording(Setting("out")),)) == ["--out"]


def test_a_users_own_text_is_never_rewritten(call, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("verify", "`data=`.onnx") == (2, "", "niwaki: `data=`.onnx: there is no such file\n")
    code, _, said = call("study", "run", "quick", "--data", "`seeds=`", "--out", "o")
    assert (code, said.split(": ")[1]) == (2, "--data `seeds=`")
