"""`niwaki export`, `verify` and `bench` as a user types them."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import pytest

from niwaki.cli.deploy import Lines
from niwaki.deploy import bench, bench_forms, forms, runners
from niwaki.reporting.terminal import Terminal
from niwaki.toolchain.compiler import find_compiler
from niwaki.toolchain.targets import Target, missing_tools


@pytest.fixture(autouse=True)
def here_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No emulators, no optimization: compiling takes seconds."""

    def missing(target: Target) -> tuple[str, ...]:
        return missing_tools(target) or target.emulator[:1]

    monkeypatch.setattr(runners, "missing_tools", missing)
    monkeypatch.setattr(runners, "SPEED", ("-O0",))
    monkeypatch.setattr(runners, "PORTABLE", ("-O0", "-DNIWAKI_PORTABLE"))


def test_export_says_what_it_wrote_and_how_to_go_on(call, small_export: Path, small_npz: Path, tmp_path: Path) -> None:
    source, out = small_export / "model.onnx", tmp_path / "out"
    code, said, err = call(
        "export", source, "--to", "onnx-dynamic", "--to", "c", "--out", out, "--data", small_npz, "--images", 30,
        "--calibration", "entropy", "--ram-limit", "8KB", "--prefix", "tiny",
    )  # fmt: skip
    assert code == 0
    assert {path.name for path in out.iterdir()} >= {"model-dynamic.onnx", "model-int8.onnx", "c"}
    assert "int8 calibrated by entropy on 30 training images of npz" in said
    assert re.search(r"^onnx-int8 +model-int8.onnx +[\d,]+$", said, re.MULTILINE)
    assert re.search(r"^C: flash [\d,]+ bytes of constants, plus code; RAM [\d,]+ bytes", said, re.MULTILINE)
    assert said.endswith(f"Compare the forms with: niwaki verify {out}\n")
    assert "generating C\n" in err
    assert "int tiny_run(" in (out / "c" / "model.h").read_text()


def test_export_ends_with_1_where_a_form_is_missing(call, small_export: Path, tmp_path: Path) -> None:
    command = [
        "export",
        small_export / "model-int8.onnx",
        "--to",
        "all",
        "--ram-limit",
        "90",
        "--out",
        tmp_path / "out",
    ]
    code, said, err = call(*command)
    assert code == 1
    assert re.search(r"^MISSING c: the model needs .* more than the limit of 90", said, re.MULTILINE)
    assert err.splitlines()[-1].startswith("niwaki: no c: the model needs ")
    code, said, _ = call(*command, "--json")
    assert code == 1
    facts = json.loads(said)
    assert (list(facts["forms"]), list(facts["missing"])) == (["onnx-int8"], ["c"])


def test_export_as_json(call, small_export: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, said, _ = call("export", small_export / "model-int8.onnx", "--to", "c", "--out", out, "--json")
    facts = json.loads(said)
    assert code == 0
    assert said.count("\n") == 1
    assert facts["forms"]["onnx-int8"]["bytes"] == (out / "model-int8.onnx").stat().st_size
    assert facts["forms"]["c"]["flash"] > 0
    assert facts["calibration"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "none.onnx", "--to", "c", "--out", "o"], "niwaki: none.onnx: there is no such file"),
        (["export", "{onnx}", "--to", "tflite", "--out", "o"], "niwaki: --to tflite: expected onnx, onnx-int8"),
        (["export", "{onnx}", "--to", "c"], "Missing option '--out'"),
        (["export", "{onnx}", "--out", "o"], "Missing option '--to'"),
        (["export", "{onnx}", "--to", "c", "--out", "o"], "name them with --data"),
        (
            ["export", "{onnx}", "--to", "c", "--out", "o", "--ram-limit", "8 bananas"],
            "niwaki: --ram-limit 8 b",
        ),
        (["export", "{int8}", "--to", "c", "--out", "o", "--ram-limit", "90"], "more than the limit of 90"),
        (["export", "{int8}", "--to", "c", "--out", "o", "--prefix", "a-b"], "niwaki: prefix 'a-b': expected a C"),
        (["export", "{int8}", "--to", "c", "--out", "o", "--calibration", "magic"], "--calibration magic"),
        (["export", "{int8}", "--to", "c", "--out", "o", "--images", "0"], "--images 0"),
        (["verify", "none"], "niwaki: none: there is no such file"),
        (["verify", "."], "give a folder that niwaki export wrote"),
        (["verify", "{export}", "--images", "0"], "niwaki: 0 images: give at least 1"),
        (["verify", "{export}", "--data", "moon"], "niwaki: --data moon: not fashion-mnist"),
        (["bench", "none.onnx"], "niwaki: none.onnx: there is no such file"),
        (["bench"], "Missing argument"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, message, call, small_export, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"onnx": small_export / "model.onnx", "int8": small_export / "model-int8.onnx", "export": small_export}
    code, out, err = call(*(argument.format(**names) for argument in arguments))
    assert code == 2
    last = err.splitlines()[-1]
    assert message in last
    assert last.startswith("niwaki: ")
    assert "Traceback" not in err
    assert out == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["export", "verify", "bench"])
def test_every_command_has_help_with_an_example(command: str, call) -> None:
    code, out, _ = call(command, "--help")
    assert code == 0
    assert f"Example: niwaki {command} " in out


def test_verify_prints_a_line_for_each_form(call, small_export: Path) -> None:
    if find_compiler() is None:
        pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")
    code, said, err = call("verify", small_export, "--images", 50)
    assert code == 0
    assert said.startswith(f"{small_export}: 50 of the 100 test images of npz\n")
    assert re.search(r"^onnx +ONNX Runtime [\d.]+ +50 +agrees +torch +100\.00 %", said, re.MULTILINE)
    assert re.search(r"^c +plain C, .* 50 +agrees +reference, to the bit +100\.00 % +0 int8 st", said, re.MULTILINE)
    assert re.search(r"^  c, Cortex-M4, emulated: not run: no .*; Debian: apt-get install ", said, re.MULTILINE)
    assert "int8 and float give the same class for" in said
    emulated = "c (64-bit ARM with NEON, emulated); c (Cortex-M4, emulated)"
    assert said.endswith(f"The forms that were compared agree. Not run: {emulated}.\n")
    assert "reference, NumPy, integers only\n" in err


def test_ctrl_c_is_130_and_leaves_nothing(call, small_export: Path, tmp_path: Path, monkeypatch) -> None:
    def interrupted(*_arguments: object, **_settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(forms, "generate", interrupted)
    code, said, err = call("export", small_export / "model-int8.onnx", "--to", "c", "--out", tmp_path / "out")
    assert (code, said) == (130, "")
    assert "niwaki: stopped by Ctrl-C: no file is left half-written. To resume: " in err
    assert not list(tmp_path.iterdir())


def test_one_form_alone_agrees_with_nothing(call, small_export: Path) -> None:
    code, said, _ = call("verify", small_export / "model.onnx", "--images", 5)
    assert code == 0
    assert said.endswith("There are no two forms that must agree.\n")


def test_verify_ends_with_1_where_forms_disagree(call, small_export: Path, tmp_path: Path) -> None:
    if find_compiler() is None:
        pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")
    copy = Path(shutil.copytree(small_export, tmp_path / "copy"))
    source = copy / "c" / "model.c"
    source.write_text(re.sub(r"(_weights\[\d+\] = \{\s*)(-?\d+)", r"\g<1>-111", source.read_text()))
    code, said, err = call("verify", copy, "--json", "--images", 50, "--trust")
    assert code == 1
    facts = json.loads(said)
    assert facts["ok"] is False
    assert [form["form"] for form in facts["forms"] if form["ok"] is False] == ["c", "c"]
    assert re.search(r"^niwaki: disagrees: c \(plain C, .*\): first image \d+: \[.*\], reference \[", err, re.MULTILINE)
    code, said, _ = call("verify", copy, "--images", 50, "--trust")
    assert code == 1
    assert "DISAGREES" in said
    assert "reference, not to the bit" in said
    assert said.endswith("The forms disagree.\n")
    code, said, err = call("verify", copy, "--images", 5)
    assert code == 1
    assert re.search(r"^The forms that were compared agree. Not compared: c \(c\)\.", said, re.MULTILINE)
    assert re.search(r"^niwaki: not compared: c \(c\): .*model\.c: not the file", err, re.MULTILINE)


def test_a_factory_of_the_users_own(call, small_data, tmp_path: Path, monkeypatch) -> None:
    import niwaki

    (tmp_path / "ownfactory.py").write_text("from niwaki.models.lenet5 import LeNet5 as Net\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    args = {"num_classes": 4, "image_size": 16}
    niwaki.save(niwaki.LeNet5(**args), "m.safetensors", factory="ownfactory:Net", args=args, data=small_data)
    code, _, err = call("export", "m.safetensors", "--to", "onnx", "--out", "out")
    assert code == 2
    assert "--trust" in err
    (tmp_path / "copy.safetensors").write_bytes((tmp_path / "m.safetensors").read_bytes())
    code, _, err = call("bench", "m.safetensors", "copy.safetensors")
    assert (code, err.count("say --trust")) == (2, 1), err
    assert call("export", "m.safetensors", "--to", "onnx", "--out", "out", "--trust")[0] == 0


def test_bench_shows_every_form_and_runtime(call, small_export: Path, monkeypatch) -> None:
    whole = bench.measure_latency
    monkeypatch.setattr(bench, "measure_latency", lambda calls, **settings: whole(calls, **{**settings, "rounds": 3}))
    monkeypatch.setattr(bench_forms, "default_is_wrong", lambda data, shape: f"another class: {shape}; way out")
    code, said, err = call("bench", small_export)
    assert code == 0
    assert said.startswith(f"{small_export}: one image, one thread\n")
    for form, runtime in (("onnx", "ONNX Runtime"), ("onnx-int8", "ONNX Runtime"), ("c", "C")):
        assert re.search(rf"^{form} +{runtime} +[\d.]+ +[\d.]+ +[\d.]+", said, re.MULTILINE)
    rows = {line.split()[0]: line for line in said.splitlines() if line}
    assert [form for form, line in rows.items() if line.endswith("wrong here")] == ["onnx-int8"]
    assert f"{small_export}: onnx-int8 in ONNX Runtime: another class: (1, 16, 16); way out" in said
    assert re.search(r"≈ within the noise of this run, [\d.]+ %", said)
    assert f"preparing {small_export}" in err
    code, said, _ = call("bench", small_export / "model-int8.onnx", "--json")
    rows = json.loads(said)["rows"]
    assert {row["form"] for row in rows} >= {"onnx-int8", "c"}
    assert all(row["median_us"] > 0 and row["runs"] > 0 and row["batch"] == 1 for row in rows)
    assert {row["wrong"] for row in rows if row["form"] == "onnx-int8"} == {"another class: (1, 16, 16); way out"}


def test_bench_times_the_rest_of_what_is_damaged(call, small_export: Path, tmp_path: Path, monkeypatch) -> None:
    whole = bench.measure_latency
    monkeypatch.setattr(bench, "measure_latency", lambda calls, **settings: whole(calls, **{**settings, "rounds": 2}))
    (tmp_path / "short.onnx").write_bytes(b"")
    code, said, _ = call("bench", tmp_path / "short.onnx", small_export / "model.onnx")
    assert code == 1
    assert re.search(r"^.*short\.onnx: onnx not timed: .*short\.onnx: not an ONNX file", said, re.MULTILINE)
    assert re.search(r"^onnx +ONNX Runtime +[\d.]+", said, re.MULTILINE)


def test_a_terminal_sees_a_bar(small_export: Path) -> None:
    console = Terminal(file=io.StringIO(), force_terminal=True, width=100)
    with Lines(console) as lines:
        lines.message("[bold] is no markup here")
        lines.progress("reference", 0, 10)
        lines.progress("reference", 5, 10)
        lines._bar.refresh()
        lines.progress("reference", 10, 10)
    seen = console.file.getvalue()
    assert "[bold] is no markup here" in seen
    assert "reference" in seen
    assert "5/10" in seen
