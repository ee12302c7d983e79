from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import niwaki
from niwaki.board.targets import TARGETS as BOARDS
from niwaki.cli.entry import run
from niwaki.cli.main import app, study_app
from niwaki.data.datasets import BUILT_IN
from niwaki.errors import NiwakiError
from niwaki.models.lenet5 import LeNet5
from niwaki.study.request import Request


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study", "run", "sauce"], "niwaki: unknown study 'sauce'"),
        (["study", "run", "source", "--seeds", "0"], "niwaki: --seeds 0: expected 1 to 1000"),
        (["study", "run", "source", "--jobs", "0", "--dry-run"], "niwaki: --jobs 0: at least one worker"),
        (["study", "run", "source", "--device", "tpu"], "niwaki: --device 'tpu': expected cpu, cuda or auto"),
        (["study", "run", "source", "--data", "/no/such/place", "--out", "x"], "niwaki: "),
        (["study", "run", "source", "--colour"], "No such option"),
        (["study", "show"], "Missing argument"),
        (["study", "show", "/no/such/place"], "niwaki: /no/such/place: there is no such folder"),
        (
            ["study", "copy", "sauce", "x.toml"],
            "niwaki: unknown study 'sauce': did you mean 'source'? built-in are bytes, camera, quick, source",
        ),
        (["study", "copy", "quick", "x.yaml"], "niwaki: x.yaml: a study's file ends in .toml"),
        (["inspect", "none.safetensors"], "niwaki: none.safetensors: there is no such file"),
        (["paint"], "No such command"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, message, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, *arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    if err.startswith("niwaki: "):
        assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study", "run", "quick", "--out", "plain.txt"], "plain.txt is a file: give a folder with --out"),
        (["study", "run", "quick", "--out", "plain.txt/x"], "plain.txt is a file: give a folder with --out"),
        (["study", "show", "plain.txt"], "plain.txt is a file, not a study's folder"),
        (["report", "plain.txt"], "plain.txt is a file, not a study's folder"),
        (["study", "run", "plain.txt"], "plain.txt is a file, not a study: a study's file ends in .toml"),
        (["study", "run", "empty"], "empty is a folder, not a study: a study's file ends in .toml"),
    ],
)
def test_a_file_for_a_folder_and_a_folder_for_a_file(arguments, message, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.txt").touch()
    (tmp_path / "empty").mkdir()
    assert call(capsys, *arguments) == (2, "", f"niwaki: {message}\n")


@pytest.mark.parametrize("arguments", [[], ["study"]])
def test_no_command_is_the_help_alone(arguments, capsys) -> None:
    code, out, err = call(capsys, *arguments)
    assert code == 2
    assert "Usage: " in out + err
    assert "niwaki: " not in err


def test_what_typer_refuses_is_a_sentence(capsys) -> None:
    err = call(capsys, "study", "run", "quick", "--jobs", "y")[2]
    assert err == "niwaki: Invalid value for '--jobs': expected a valid integer. See niwaki study run --help.\n"
    assert call(capsys, "paint")[2] == "niwaki: No such command 'paint'. See niwaki --help.\n"
    err = call(capsys, "study", "rnu")[2]
    assert err == "niwaki: No such command 'rnu'. Did you mean 'run'? See niwaki study --help.\n"
    err = call(capsys, "study", "run", "--jbos", "2")[2]
    assert err == "niwaki: No such option: --jbos. Did you mean --jobs? See niwaki study run --help.\n"
    assert call(capsys, "report")[2] == "niwaki: Missing argument 'DIR'. See niwaki report --help.\n"


def test_the_help_starts_with_studies_and_a_flag_has_no_type(capsys) -> None:
    out = call(capsys, "--help")[1]
    assert out.index("│ study ") < out.index("│ report ")
    assert "bool" not in out
    out = call(capsys, "study", "run", "--help")[1]
    assert "<int>" in out
    assert "bool" not in out


def test_debug_shows_the_traceback(capsys) -> None:
    assert "Traceback" in call(capsys, "study", "run", "sauce", "--debug")[2]


def test_an_unexpected_error_says_so(capsys, monkeypatch) -> None:
    monkeypatch.setattr("niwaki.study.request.load_spec", lambda _: 1 / 0)
    code, _, err = call(capsys, "study", "run", "source")
    assert code == 1
    assert "study run source: unexpected ZeroDivisionError: division by zero (niwaki/study/request.py:" in err
    assert err.count("\n") == 1
    assert "Traceback" in call(capsys, "--debug", "study", "run", "source")[2]


@pytest.mark.parametrize(
    "command", [[], ["study"], ["study", "run"], ["study", "show"], ["study", "copy"], ["inspect"]]
)
def test_every_command_has_help_with_an_example(command, capsys) -> None:
    code, out, _ = call(capsys, *command, "--help")
    assert code == 0
    if len(command) == 2 or command == ["inspect"]:
        assert "Example: niwaki" in out


def test_version(capsys) -> None:
    assert call(capsys, "--version")[:2] == (0, f"niwaki {niwaki.__version__}\n")
    code, out, _ = call(capsys, "--version", "--verbose")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()][:2] == ["niwaki", "Python"]
    assert f"torch {torch.__version__}, " in out
    assert "not installed" not in out.partition("onnx ")[0]


def test_a_shell_completes_commands() -> None:
    asked = {"_NIWAKI_COMPLETE": "complete_bash", "COMP_WORDS": "niwaki ver", "COMP_CWORD": "1"}
    niwaki = Path(sys.executable).with_name("niwaki")
    done = subprocess.run([niwaki], env={**os.environ, **asked}, capture_output=True, text=True, check=True)
    assert done.stdout == "verify\n"


def test_copy_writes_a_study_that_runs(capsys, tmp_path) -> None:
    file = tmp_path / "mine.toml"
    code, out, _ = call(capsys, "study", "copy", "quick", file)
    assert code == 0
    assert f"niwaki study run {file}" in out
    code, out, _ = call(capsys, "study", "run", file, "--dry-run", "--json")
    assert json.loads(out)["epochs"]["unique"] == 30
    code, _, err = call(capsys, "study", "copy", "quick", file)
    assert (code, err) == (2, f"niwaki: {file} exists: give another name\n")


def test_dry_run_reads_no_data(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("NIWAKI_DATA_DIR", str(tmp_path / "nowhere"))
    code, out, err = call(capsys, "study", "run", "source", "--dry-run")
    assert (code, err) == (0, "")
    assert "to run: 130 stages, 445 epochs" in out
    assert "0.6: 30 epochs, 9,563 parameters, 78,314 MACs" in out


def test_dry_run_with_a_foreign_factory(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dryfactory.py").write_text("from niwaki.models.lenet5 import LeNet5 as Net\n")
    (tmp_path / "s.toml").write_text('[model]\nfactory = "dryfactory:Net"\n[[experiment]]\nname = "one"\n')
    code, _, err = call(capsys, "study", "run", "s.toml", "--dry-run")
    assert code == 2
    assert "--trust" in err
    code, out, _ = call(capsys, "study", "run", "s.toml", "--dry-run", "--trust", "--json")
    assert code == 0
    assert json.loads(out)["experiments"][0]["trials"][0]["structure"][0]["params"] == 61706


def saved(tmp_path: Path) -> Path:
    return niwaki.save(
        LeNet5(), tmp_path / "m.safetensors", factory="lenet5", input_shape=(1, 32, 32), labels=tuple("0123456789"),
        preprocessing=niwaki.Preprocessing(pad=2),
    )  # fmt: skip


def test_inspect(capsys, tmp_path) -> None:
    file = saved(tmp_path)
    code, out, _ = call(capsys, "inspect", file, "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["params"], facts["macs"], facts["macs_tp"]) == (61706, 416520, 429342)
    assert facts["bytes"] == {"float32": 246824, "file": file.stat().st_size}
    assert facts["layers"][0]["name"] == "conv1"
    assert facts["layers"][0]["macs"] == 6 * 25 * 28 * 28
    code, out, _ = call(capsys, "inspect", file)
    assert code == 0
    assert "61,706 parameters, 416,520 MACs (torch-pruning counts 429,342)" in out
    file.write_bytes(file.read_bytes()[:1000])
    code, _, err = call(capsys, "inspect", file)
    assert code == 2
    assert "damaged, truncated" in err
    (tmp_path / "m.txt").write_bytes(b"")
    assert "expected a model file (.safetensors)" in call(capsys, "inspect", tmp_path / "m.txt")[2]


def test_importing_niwaki_is_quick_because_torch_is_not_imported() -> None:
    script = "import sys, niwaki; from niwaki.cli import main; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_every_public_name_is_there() -> None:
    assert set(dir(niwaki)) >= set(niwaki.__all__)
    assert all(getattr(niwaki, name) is not None for name in niwaki.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        niwaki.nonsense  # noqa: B018


def test_commands_are_declared_and_done_elsewhere() -> None:
    """The files of commands decide nothing: what each takes, its help, and the one function that is called."""
    decided = (ast.If, ast.IfExp, ast.For, ast.While, ast.Try, ast.With, ast.comprehension, ast.Lambda, ast.BoolOp)
    found = []
    for name in ("main.py", "board_commands.py", "firmware_commands.py", "import_command.py", "search_commands.py"):
        tree = ast.parse((Path(niwaki.__file__).parent / "cli" / name).read_text())
        assert [node.lineno for node in ast.walk(tree) if isinstance(node, decided)] == []
        found += [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    commands = [*app.registered_commands, *study_app.registered_commands]
    assert sorted(found) == sorted(["options", *(command.callback.__name__ for command in commands)])


def test_a_closed_pipe_is_no_error() -> None:
    script = f"{sys.executable} -m niwaki study run quick --dry-run --json | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=dict(os.environ), check=False)
    assert done.stdout == "0\n"
    assert done.stderr == ""


def test_device_auto_and_cuda(monkeypatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Request(device="auto").torch_device == "cpu"
    with pytest.raises(NiwakiError, match="torch finds no CUDA device here"):
        assert Request(device="cuda").torch_device
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Request(device="auto").torch_device == "cuda"


def test_save_needs_to_know_the_data(tmp_path) -> None:
    with pytest.raises(NiwakiError, match=r"save needs data=…, or input_shape, labels and preprocessing"):
        niwaki.save(LeNet5(), tmp_path / "m.safetensors", factory="lenet5")


@pytest.mark.parametrize(
    ("command", "option", "names"),
    [(["bundle"], "--target", BOARDS), (["doctor"], "--target", BOARDS), (["study", "run"], "--data", BUILT_IN)],
)
def test_help_lists_what_there_is(command, option, names, capsys) -> None:
    """The names are those of the table, whatever it holds."""
    _, out, _ = call(capsys, *command, "--help")
    told = out[out.index(option) :].replace("│", " ").split()
    assert all(any(word.strip(",.") == name for word in told) for name in names), out
