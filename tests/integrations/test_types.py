"""The types that niwaki states are correct in a user's program, under the strictest settings of two checkers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.soak
PROGRAM = Path(__file__).with_name("program.py")
WRONG = {
    'ratio=0.5, steps=2, finetune={"epochs": 1})': 'ratio=0.5, finetune="one")',
    'niwaki.evaluate(model, data, "validation")': 'niwaki.evaluate(model, data, "valid")',
    "best.test_accuracy": "best.accuracy",
}


@pytest.fixture(params=["mypy", "basedpyright"])
def check(request: pytest.FixtureRequest, tmp_path: Path):
    """Check a program with one of the two: its exit code and what it says."""
    if request.param == "mypy":
        pytest.importorskip("mypy")
        command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    else:
        found = Path(sys.executable).with_name("basedpyright")
        if not found.exists():
            pytest.skip("basedpyright is not installed: make integrations")
        command = [str(found), "--pythonpath", sys.executable]

    def run(text: str) -> tuple[int, str]:
        file = tmp_path / "program.py"
        file.write_text(text)
        done = subprocess.run([*command, str(file)], cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    return run


def test_a_program_is_well_typed_and_a_wrong_one_is_not(check) -> None:
    text = PROGRAM.read_text()
    code, said = check(text)
    assert code == 0, said
    for right, wrong in WRONG.items():
        assert right in text
        assert check(text.replace(right, wrong))[0] != 0, wrong
