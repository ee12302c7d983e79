"""What a search finds out about training by measuring."""

from __future__ import annotations

from pathlib import Path

from tests.search.conftest import Hearing

import niwaki

SPACE = """
bits = [8]
[data]
validation = 60
preprocessing = { size = [16, 16] }
[train]
batch_size = 20
shift = 1
[search]
batch = 2
rungs = [1, 3]
final_epochs = 1
finalists = 1
smaller = []
[widths]
fc1 = [1, 16]
fc2 = [1, 12]
"""


def test_moved_images_are_judged_after_the_epochs_of_the_last_rung(small_npz: Path, tmp_path: Path) -> None:
    space, heard = tmp_path / "space.toml", Hearing()
    space.write_text(SPACE)
    niwaki.compress(
        "lenet5", small_npz, fit="constants<=2KB", trials=2, seeds=1, jobs=1, space=space, out=tmp_path / "found",
        listener=heard,
    )  # fmt: skip
    asked = [text for text in heard.said if text.endswith((": yes", ": no"))]
    assert [text.partition(":")[0] for text in asked] == [
        "learn faster, lr = 0.01", "learn still faster, lr = 0.02", "mirror images"
    ]  # fmt: skip
    assert [" points in 3 epochs: " in text for text in asked] == [False, False, True]
    settings = [text.partition(":")[0] for text in asked if text.endswith("yes")]
    way = "from new weights" + (", lr = 0.02" if settings[1:2] == [] and settings else "")
    assert way
