"""What a search finds out about training by measuring."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.search.conftest import Hearing

import niwaki
from niwaki.search.exploring import Exploring
from niwaki.search.running import Running
from niwaki.search.space import Space

SPACE = """
bits = [8]
[data]
validation = 60
preprocessing = { size = [16, 16] }
[train]
batch_size = 20
[search]
batch = 2
rungs = [1, 3]
final_epochs = 4
finalists = 1
smaller = []
[widths]
fc1 = [1, 16]
fc2 = [1, 12]
"""
CHANGES = {  # of training, by the question
    "learn faster, lr = 0.01": {"lr": "0.01"}, "learn still faster, lr = 0.02": {"lr": "0.02"},
    "mirror images": {"flip": "True"}, "leave images where they are": {"shift": "0"},
}  # fmt: skip


def test_the_time_that_questions_take_is_known_before_they_are_asked() -> None:
    """Two candidates each: two learning rates after 3 epochs, mirrored and unmoved images after 6 more."""
    fresh = SimpleNamespace(subject=SimpleNamespace(weights=None))

    def exploring(**settings: object) -> Exploring:
        space = Space.model_validate(settings)
        nothing: Any = None
        return Exploring(nothing, cast(Running, fresh), nothing, space, nothing, nothing, nothing, nothing)

    def cost(**settings: object) -> tuple[int, int]:
        return exploring(**settings).cost_of_questions()

    assert cost() == (8, 2 * (3 + 3 + 6 + 6))
    assert exploring().cost_of_questions(late=True) == (4, 2 * (6 + 6))
    hurried = exploring()
    hurried.late = False
    assert hurried.cost_of_questions() == exploring().cost_of_questions(late=False) == (4, 2 * (3 + 3))
    assert [question for question, _ in hurried.questions()] == ["fast", "faster"]
    assert cost(train={"lr": 1e-3, "shift": 0}) == (2, 2 * 6)
    assert cost(search={"questions": False}) == (0, 0)


@pytest.mark.soak
def test_moved_images_are_judged_after_the_epochs_of_the_last_rung(small_npz: Path, tmp_path: Path) -> None:
    space, heard = tmp_path / "space.toml", Hearing()
    space.write_text(SPACE)
    niwaki.compress(
        "lenet5", small_npz, fit="constants<=2KB", trials=2, seeds=1, jobs=1, space=space, out=tmp_path / "found",
        listener=heard,
    )  # fmt: skip
    asked = {text.partition(":")[0]: text for text in heard.said if text.endswith((": yes", ": no"))}
    assert list(asked) == list(CHANGES)
    assert [" points in 3 epochs: " in text for text in asked.values()] == [False, False, True, True]
    way: dict[str, str] = {}
    for question, change in CHANGES.items():
        way |= change if asked[question].endswith("yes") else {}
    tried = json.loads((tmp_path / "found" / "search.json").read_text())["tried"]
    final = {score["way"] for one in tried for score in one["scores"] if score["epochs"] == 4}
    assert final == {", ".join(["from new weights", *(f"{name} = {value}" for name, value in way.items())])}
