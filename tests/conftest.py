"""Shared fixtures: a small dataset on disk, the true one where it is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `networks`
os.environ.setdefault("RAY_AUTH_MODE", "disabled")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's cache."""
    cache = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("NIWAKI_CACHE_DIR", str(cache))


@pytest.fixture(scope="session")
def small_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 training and 100 test images of 16×16 in four classes that a small network can tell apart."""
    rng = np.random.default_rng(0)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count) % 4
        images = rng.integers(0, 60, (count, 16, 16), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            row, column = divmod(int(label), 2)
            image[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += np.uint8(90)
        return images, labels.astype(np.int64)

    path = tmp_path_factory.mktemp("data") / "small.npz"
    (x_train, y_train), (x_test, y_test) = draw(400), draw(100)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


@pytest.fixture(scope="session")
def true_data() -> Path:
    """The folder of the true Fashion-MNIST files; skipped by name where they are not."""
    folder = Path(os.environ.get("NIWAKI_DATA_DIR", "")) / "fashion-mnist"
    if not os.environ.get("NIWAKI_DATA_DIR") or not folder.is_dir():
        pytest.skip("needs the true Fashion-MNIST: set NIWAKI_DATA_DIR to the folder that holds fashion-mnist/")
    return folder
