"""`niwaki bundle`, `watch` and `doctor` as a user types them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import typer

from niwaki.board import build, sounds
from niwaki.board.compile import Binaries
from niwaki.board.doctor import binaries
from niwaki.board.manifest import differences, read_manifest
from niwaki.board.watch import OPTIONS, arguments_of
from niwaki.cli.main import app
from niwaki.device import options as runner


@pytest.fixture
def compiled(bundle_for, monkeypatch: pytest.MonkeyPatch) -> None:
    """Binaries that were compiled before: compiling is tested elsewhere."""
    folder = bundle_for("jetson-nano")
    ready = Binaries((folder / "libniwaki.so").read_bytes(), (folder / "niwaki").read_bytes())
    monkeypatch.setattr(build, "compile_binaries", lambda *_arguments: ready)


def test_bundle_says_what_it_made_and_how_to_go_on(call, compiled, small_export: Path, tmp_path: Path) -> None:
    out = tmp_path / "nano"
    command = ["bundle", small_export, "--target", "jetson-nano", "--out", out, "--no-sound", "--scenes", 20]
    command += ["--vision", "garment"]
    code, said, err = call(*command)
    assert code == 0
    lines = said.splitlines()
    assert lines[0] == f"{out}: a bundle for Jetson Nano"
    assert re.fullmatch(r"[\d,]+ bytes, without sound", lines[1])
    assert int(lines[1].split()[0].replace(",", "")) == sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    assert lines[2].startswith("of 20 made-up scenes with a garment it names ")
    assert f"Copy it to the board: scp -r {out} USER@BOARD:" in said
    assert "Try it there: ssh USER@BOARD 'nano/start selftest'" in said
    assert said.endswith(f"niwaki doctor {out} --target jetson-nano\n")
    assert "compiling for 64-bit ARM\n" in err
    assert list(differences(out, read_manifest(out))) == []
    assert call(*command, "--scenes", 0)[0] == 0  # again, in its own place


def test_bundle_as_json(call, compiled, small_export: Path, tmp_path: Path) -> None:
    out = tmp_path / "nano"
    code, said, _ = call(
        "bundle", small_export, "--target", "jetson-nano", "--out", out, "--no-sound", "--scenes", 0, "--json",
        "--lang", "ko", "--vision", "garment",
    )  # fmt: skip
    facts = json.loads(said)
    assert code == 0
    assert said.count("\n") == 1
    assert facts["machine"] == "aarch64"
    assert facts["sound_bytes"] == 0
    assert facts["files"]["manifest.json"] == (out / "manifest.json").stat().st_size
    assert "not calibrated, as asked for: every garment found is named" in facts["notes"]
    about = json.loads((out / "bundle.json").read_bytes())
    assert about["languages"] == ["ko"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bundle", "none.onnx", "--target", "jetson-nano", "--out", "o"], "niwaki: none.onnx: there is no such file"),
        (["bundle", "{int8}", "--target", "z80", "--out", "o"], "niwaki: --target z80: expected jetson-nano, "),
        (["bundle", "{int8}", "--target", "jetson-nano"], "Missing option '--out'"),
        (["bundle", "{int8}", "--out", "o"], "Missing option '--target'"),
        (["bundle", "{int8}", "--target", "jetson-nano", "--out", "o", "--lang", "de"], "niwaki: --lang de: expected"),
        (
            ["bundle", "{int8}", "--target", "jetson-nano", "--out", "o", "--scenes", "-1"],
            "Invalid value for '--scenes'",
        ),
        (["bundle", "{int8}", "--target", "jetson-nano", "--out", "{export}"], "exists, but is not a bundle"),
        (["bundle", "{int8}", "--target", "jetson-nano", "--out", "o", "--data", "moon"], "niwaki: --data moon: not"),
        (["watch", "none.onnx"], "niwaki: none.onnx: there is no such file"),
        (["watch", "."], "niwaki: .: no model-int8.onnx in it"),
        (["doctor", "none", "--target", "jetson-nano"], "niwaki: none: there is no such file"),
        (["doctor", ".", "--target", "z80"], "niwaki: --target z80: expected jetson-nano"),
        (["doctor", "."], "Missing option '--target'"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, message, call, small_export, zig, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sounds.shutil, "which", lambda name: f"/usr/bin/{name}")
    names = {"int8": small_export / "model-int8.onnx", "export": small_export}
    code, out, err = call(*(argument.format(**names) for argument in arguments))
    assert (code, out) == (2, "")
    last = err.splitlines()[-1]
    assert message in last
    assert last.startswith("niwaki: ")
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_missing_espeak_is_said_before_anything_is_done(call, small_export, zig, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sounds, "COMMAND", "espeak-ng-that-is-not-there")
    code, out, err = call("bundle", small_export, "--target", "jetson-nano", "--out", tmp_path / "o")
    assert (code, out) == (2, "")
    assert "(Debian: apt-get install espeak-ng), or make a bundle that only writes them: --no-sound" in err
    assert err.count("\n") == 1


def test_watch_without_espeak_prints_words(call, bundle_for, monkeypatch) -> None:
    folder = bundle_for("linux-x86_64")
    monkeypatch.setattr(sounds, "COMMAND", "espeak-ng-that-is-not-there")
    source = f"file:{folder / 'selftest' / 'frames.y4m'}"
    code, _, err = call("watch", folder, "--source", source, "--no-learn")
    assert err.startswith("no espeak-ng-that-is-not-there, so niwaki prints the words: apt-get install espeak-ng\n")
    assert code in (0, 5)  # 5: this machine is no x86-64


@pytest.mark.parametrize("command", ["bundle", "watch", "doctor"])
def test_every_command_has_help_with_an_example(command: str, call) -> None:
    code, out, _ = call(command, "--help")
    assert code == 0
    assert f"Example: niwaki {command} " in out


def test_watch_knows_every_option_of_the_runner() -> None:
    ours = {name for parameter in typer.main.get_command(app).commands["watch"].params for name in parameter.opts}
    theirs = {name for action in runner._parser("x")._actions for name in action.option_strings if name[:2] == "--"}
    assert theirs - ours == {"--help", "--bundle"}
    assert theirs - {f"--{name}" for name in OPTIONS} == {"--help", "--bundle"}


def test_options_are_passed_on_as_they_were_given() -> None:
    passed = {"source": "file:a b", "quiet": True, "serve": False, "port": 0, "token": None, "record": Path("-x")}
    assert arguments_of(passed) == ["--source=file:a b", "--quiet", "--port=0", "--record=-x"]


def test_doctor_prints_a_line_for_each_check(call, bundle_for, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(binaries, "check_instructions", lambda *_arguments: iter(()))
    folder = bundle_for("jetson-nano")
    code, said, _ = call("doctor", folder, "--target", "jetson-nano")
    assert code == 0
    assert said.startswith(f"{folder} on Jetson Nano\n")
    assert re.search(r"^library: glibc +ok +needs 2\.\d+, the oldest board has 2\.27", said, re.MULTILINE)
    assert re.search(r"^camera +not checked +on the board: ./start selftest --source csi:0", said, re.MULTILINE)
    assert said.endswith("All checks that could run passed. Confirm on the board.\n")
    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    (broken / "LICENSE").write_bytes(b"")
    code, said, _ = call("doctor", broken, "--target", "jetson-nano")
    assert code == 1
    assert re.search(r"^files +FAILED +LICENSE: 0 bytes, not 1,\d+", said, re.MULTILINE)
    assert said.endswith("1 check failed.\n")
    code, said, _ = call("doctor", broken, "--target", "jetson-nano", "--json")
    facts = json.loads(said)
    assert (code, facts["ok"], facts["target"]) == (1, False, "jetson-nano")
    assert {check["name"]: check["ok"] for check in facts["checks"]}["camera"] is None
