"""What a network costs on boards: sizes as the generator has them, reasons, the user's own boards."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

import niwaki
from niwaki.cli.entry import run
from niwaki.cli.output import output, print_tabular
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.emit.estimate import estimate, model_of
from niwaki.emit.generate import generate
from niwaki.errors import ModelError, NiwakiError, SpecError
from niwaki.models.onnxfile import load_onnx

UNO, PRUNED = "uno", {"widths": [2, 6, 48, 33]}


def test_a_factory_costs_what_its_c_needs() -> None:
    report = niwaki.cost("lenet5", args=PRUNED)
    assert (report.macs, report.constants, report.ram) == (78_314, 10_355, 1_426)
    uno = next(board for board in report.boards if board.name == UNO)
    assert uno.fits
    assert uno.ram > report.ram
    assert 120 < uno.ms < 145  # 132 in simavr
    assert "fits on 11 of 11 boards" in repr(report)


def test_why_a_network_does_not_fit_is_said() -> None:
    report = niwaki.cost("lenet5")
    uno = next(board for board in report.boards if board.name == UNO)
    assert not uno.fits
    assert [reason.partition(" ")[0] for reason in uno.why_not] == ["flash", "RAM", "a"]
    assert "48,000 bytes of weights" in uno.why_not[2]
    assert report.to_dict()["boards"][0]["fits"] is False
    table = report.table()
    assert any("Arduino Uno" in note for note in table.notes)
    assert table.notes[-1] == report.to_dict()["estimates"]
    assert table.notes[-1].startswith("estimated: code, stack, instructions, time,")


def test_the_table_has_all_that_a_board_needs_in_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    report = niwaki.cost("lenet5")
    print_tabular(output(), report.table())
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["board", "fits", "flash", "of", "RAM", "of", "stack", "instr.", "time"]
    rows = {line[:19].strip(): " ".join(line[19:].split()) for line in lines[2 : 2 + len(report.boards)]}
    assert rows["Arduino Uno"] == "NO 74,094 32,256 2,610 2,048 200 7.4M 700 ms"
    assert rows["Arduino Nano 33 BLE"] == "yes 143 KB 1 MB 47,046 256 KB 836 983k 15 ms"
    assert rows["Jetson Nano"] == "yes 75,594 15 GB 10,810 3.7 GB 8,600 129k 90 µs"
    for board in report.to_dict()["boards"]:
        shown = next(one for one in report.boards if one.name == board["name"])
        assert all(getattr(shown, name) == (tuple(value) if isinstance(value, list) else value)
                   for name, value in board.items())  # fmt: skip


def test_instructions_and_stack_are_those_of_the_network_and_the_core(small_export: Path) -> None:
    """Counted: 1,387,437 instructions on an AVR, 169 bytes of stack; 448 and 848 at -O2 on a Cortex-M0, for patches."""
    small, large = (niwaki.cost("lenet5", args=args) for args in (PRUNED, {}))
    uno, pico = ({board.name: board for board in small.boards}[name] for name in (UNO, "pico"))
    assert abs(uno.instructions / 1_387_437 - 1) < 0.01
    assert 169 <= uno.stack < 250
    kernels = estimate(read_qdq(load_onnx(small_export / "model-int8.onnx"), "small"), model_of("cortex-m4"))
    board = next(one for one in niwaki.cost(small_export / "model-int8.onnx").boards if one.name == "stm32f411")
    assert (board.stack, board.cycles) == (round(kernels.stack), board.instructions)
    assert board.instructions >= round(kernels.instructions)
    other = next(board for board in large.boards if board.name == "pico")
    assert other.stack - pico.stack == 848 - 448
    assert 448 <= pico.stack < 800


def test_a_file_costs_what_its_c_needs(small_model: Path, small_export: Path) -> None:
    whole = generate(read_qdq(load_onnx(small_export / "model-int8.onnx"), "small")).report
    for file in (small_model, small_export / "model.onnx", small_export / "model-int8.onnx"):
        report = niwaki.cost(file)
        assert (report.constants, report.ram) == (whole.constant_bytes, whole.ram_bytes)


def test_a_limit_of_ram_costs_what_the_stripes_cost(small_export: Path) -> None:
    file = small_export / "model-int8.onnx"
    graph = read_qdq(load_onnx(file), "small")
    whole = niwaki.cost(file)
    limit = whole.ram - 1
    striped = niwaki.cost(file, ram_limit=limit)
    made = generate(graph, ram_limit=limit).report
    assert (striped.ram, striped.stripes) == (made.ram_bytes, made.stripes)
    assert striped.ram <= limit
    assert whole.stripes == ()
    assert f"by stripes of rows: {made.stripes[0]}" in striped.table().notes
    assert striped.to_dict()["stripes"] == list(made.stripes)
    before, after = (next(board for board in one.boards if board.name == "stm32f411") for one in (whole, striped))
    assert after.flash > before.flash  # the same constants, and a loop
    assert after.instructions > before.instructions
    assert after.ram - after.stack - striped.ram == before.ram - before.stack - whole.ram  # what the board takes
    with pytest.raises(ModelError, match="the model needs"):
        niwaki.cost(file, ram_limit=10)


def test_a_limit_of_ram_on_the_command_line(small_export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(small_export / "model-int8.onnx")
    limit = niwaki.cost(file).ram - 1
    assert run(["cost", file, "--ram-limit", str(limit), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ram"] <= limit
    assert found["stripes"]
    assert run(["cost", file, "--ram-limit", "little"]) == 2
    assert "--ram-limit little: expected bytes, as in 8192 or 8KB" in capsys.readouterr().err


def test_boards_of_ones_own(small_export: Path, tmp_path: Path) -> None:
    file = tmp_path / "boards.toml"
    board = '[[boards]]\nname = "uno"\ntitle = "Mine"\ncore = "toy"\nflash = 9\nram = 9\nclock = 1000\n'
    file.write_text(board + "[cores.toy]\ncycles_per_mac = 2\n")
    report = niwaki.cost(small_export / "model-int8.onnx", boards=file)
    assert [one.title for one in report.boards if one.name == UNO] == ["Mine"]
    assert report.boards[0].ms == 2 * report.macs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read: No such file"),
        ("[", "not TOML: Invalid"),
        ("[[boards]]\nname = 'x'\n", r"boards\.0\.title is missing \(and 4 more\)$"),
        ("[cores.mine]\ncycle_per_mac = 2\n", r"cores\.mine\.cycle_per_mac is not a known key; did you mean"),
        (
            "[[boards]]\nname = 'x'\ntitle = 'x'\ncore = 'z80'\nflash = 1\nram = 1\nclock = 1\n",
            r"x: core 'z80' is not known: expected one of avr, .*or describe it under \[cores\.z80\]",
        ),
    ],
)
def test_bad_boards_are_refused(text: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "boards.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SpecError, match=message):
        niwaki.cost("lenet5", boards=file)


def test_what_is_no_network_is_refused(small_model: Path, small_export: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="lenet6: there is no such file or factory; factories are lenet5"):
        niwaki.cost("lenet6")
    with pytest.raises(ModelError, match=r"gone\.onnx: there is no such file"):
        niwaki.cost(tmp_path / "gone.onnx")
    with pytest.raises(ModelError, match="`args=` belongs to a factory"):
        niwaki.cost(small_export / "model-int8.onnx", args={})
    with pytest.raises(ModelError, match=r"`shape=.*lenet5 does not take such images"):
        niwaki.cost("lenet5", shape=(1, 8, 8))
    bare = onnx.load(small_export / "model.onnx")
    del bare.metadata_props[:]
    onnx.save(bare, tmp_path / "bare.onnx")
    with pytest.raises(ModelError, match=r"bare\.onnx: does not say how pixels become its input: give a model file"):
        niwaki.cost(tmp_path / "bare.onnx")
    dynamic = tmp_path / "dynamic"
    niwaki.export(small_model, dynamic, to="onnx-dynamic")
    with pytest.raises(ModelError, match=r"dynamic\.onnx: is quantized dynamically: give the model file"):
        niwaki.cost(dynamic / "model-dynamic.onnx")
    with pytest.raises(NiwakiError, match="trust"):
        niwaki.cost("networks:Bare")
