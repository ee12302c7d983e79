from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from niwaki.reporting.forms import print_verification
from niwaki.study.result_files import Verification
from stored import stored


def form(name: str, how: str, ok: bool | None, **more: Any) -> dict[str, Any]:
    plain = {"form": name, "how": how, "ok": ok, "images": 0, "agreement": None, "accuracy": None, "reason": None}
    return {**plain, **more}


def right(correct: int) -> dict[str, Any]:
    return {"correct": correct, "total": 1000, "percent": correct / 10, "interval": [0.0, 100.0]}


def against(name: str, same: int, equal: bool | None = None) -> dict[str, Any]:
    return {"against": name, "same_class": same, "equal": equal, "difference": 0.5, "unit": "scores"}


FOUND: dict[str, Any] = {
    "ok": False,
    "images": "all 1,000 test images of [d]",
    "forms": [
        form("torch", "torch 2", None, images=1000, accuracy=right(901)),
        form("reference", "NumPy", None, images=1000, accuracy=right(899), agreement=against("torch", 990)),
        form("onnx-int8", "ONNX Runtime", True, images=1000, agreement=against("reference", 1000)),
        form("c", "gcc", True, images=1000, agreement=against("reference", 1000, True)),
        form("c", "arm", False, images=9, agreement=against("reference", 8, False), reason="first image 3: [1], [2]"),
        form("c", "m4", None, reason="no qemu on this machine"),
    ],
    "notes": ["int8 and float give the same class for 99.00 % of the images"],
    "exported": {
        "c": {
            "flash": 10355, "ram": 1426,
            "board": {"cpu": "m4", "optimization": "-Os", "flash": 12532, "code": 1926, "constants": 10587,
                      "ram": 1426, "stack": 392},
        }
    },
    "export_notes": ["calibrated on synthetic data"],
}  # fmt: skip


def printed(found: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=200)
    print_verification(console, stored(Verification, found), Path("out/chosen"))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_every_form_has_its_line_and_every_reason_is_said() -> None:
    lines = [" ".join(line.split()) for line in printed(FOUND).splitlines()]
    assert lines == [
        "Exported to out/chosen, verified on all 1,000 test images of [d]: FORMS DISAGREE.",
        "form run by images test % compared with same class verdict",
        "torch torch 2 1,000 90.10",
        "reference NumPy 1,000 89.90 torch 990",
        "onnx-int8 ONNX Runtime 1,000 reference 1,000 agrees",
        "c gcc 1,000 reference, to the bit 1,000 agrees",
        "c arm 9 reference, not to the bit 8 DISAGREES",
        "c m4 not run",
        "C: 10,355 bytes of constants in flash, 1,426 bytes of RAM; code and stack on top.",
        "C on m4 (-Os): flash 12,532 bytes (code 1,926, constants 10,587), RAM 1,426, stack 392.",
        "c, arm: first image 3: [1], [2]",
        "c, m4: not run: no qemu on this machine",
        "calibrated on synthetic data",
        "int8 and float give the same class for 99.00 % of the images",
    ]


def test_a_model_without_forms_is_said() -> None:
    assert printed({"ok": None, "reason": "node [s]: Sigmoid"}) == (
        "The chosen model cannot be exported and verified: node [s]: Sigmoid\n"
    )
    whole = {**FOUND, "ok": True, "exported": {"c": {"flash": 1, "ram": 2, "board": None}}}
    assert "the forms that were compared agree" in printed(whole)
    ran = {**whole, "forms": [form for form in FOUND["forms"] if form["images"]]}
    assert "all forms agree" in printed(ran)
    assert "the forms that were compared agree" in printed({**ran, "not_held": ["onnx-int8 (how)"]})
    assert "C on" not in printed(whole)
