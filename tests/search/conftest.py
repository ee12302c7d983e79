"""The space that the tests search: small networks on small images, trained for moments."""

from __future__ import annotations

from pathlib import Path

import pytest

from niwaki.study.listener import Silent

SPACE = """
[data]
validation = 60
preprocessing = { size = [16, 16] }
[train]
batch_size = 20
lr = 1e-2
[qat]
batch_size = 20
[search]
batch = 3
rungs = [1]
final_epochs = 2
finalists = 2
smaller = [0.6]
questions = false
[widths]
fc1 = [1, 16]
fc2 = [1, 12]
"""


class Hearing(Silent):
    """Keeps all messages."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: object) -> None:
        self.said.append(str(text))


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("space") / "space.toml"
    file.write_text(SPACE)
    return file
