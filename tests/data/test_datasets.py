import re
from importlib import import_module
from pathlib import Path

import pytest

import niwaki
from niwaki.data import prepare as module
from niwaki.data.datasets import BUILT_IN, DATASETS, MEANT_FOR, BuiltIn, built_in, kind_of
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.spec import DataSpec
from niwaki.device.text import listed
from niwaki.errors import NiwakiError

STUDIES = Path(__file__).parents[2] / "docs" / "guides" / "studies.md"


@pytest.mark.parametrize("kind", DATASETS.values(), ids=DATASETS)
def test_every_dataset_has_a_module_that_finds_it_and_is_in_the_docs(kind) -> None:
    found = import_module(f"niwaki.data.{kind.module}")
    assert callable(found.find)
    assert not kind.in_folders or callable(found.folder_within)
    told = next(line for line in STUDIES.read_text().splitlines() if line.startswith("`name` is "))
    assert f"`{kind.name}`" in told


def test_keys_are_those_of_the_data_section() -> None:
    assert set(MEANT_FOR) <= set(DataSpec.model_fields)
    assert MEANT_FOR["path"] == ("fashion-mnist", "folder", "csv", "idx", "npz")


def test_what_is_built_in_and_what_a_path_is() -> None:
    assert set(BUILT_IN) == {name for name, kind in DATASETS.items() if not kind.given_as}
    assert {"fashion-mnist", "synthetic"} <= set(BUILT_IN)
    assert built_in("synthetic").size == (28, 28)
    assert built_in("npz") is built_in(["npz"]) is None
    assert (kind_of("a/b.npz"), kind_of(Path("a/b"))) == ("npz", "folder")


def test_a_dataset_that_nobody_knows() -> None:
    with pytest.raises(NiwakiError, match=re.escape(f"expected {listed(map(repr, DATASETS))}")):
        niwaki.load_data("x", name="letters")


def test_built_in_images_of_another_size_are_made_to_fit_the_network(monkeypatch) -> None:
    """A study of Fashion-MNIST counts on 28 × 28: other data are resized, those of one size stay as they are."""
    sizes = {"synthetic": (8, 8), "fashion-mnist": (28, 28)}
    monkeypatch.setattr(module, "built_in", lambda name: BuiltIn(("a", "b"), sizes[name]) if name in sizes else None)
    moved = module._redirected(DataSpec(limit=20), "synthetic")
    assert (moved.name, moved.limit, moved.preprocessing) == ("synthetic", 20, Preprocessing(size=(28, 28), pad=2))
    assert moved.known_input_shape() == DataSpec().known_input_shape()
    sizes["synthetic"] = (28, 28)
    assert module._redirected(DataSpec(), "synthetic").preprocessing == Preprocessing(pad=2)
