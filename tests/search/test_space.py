"""What may change is read from TOML, and a space that is wrong or empty is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from niwaki.errors import SpecError
from niwaki.search.blueprint import Blueprint, Group
from niwaki.search.candidates import Member
from niwaki.search.paths import Way
from niwaki.search.sampling import Asking
from niwaki.search.space import Space, checked_space, load_space
from niwaki.study.spec import ModelSpec


class Layers(Blueprint):
    """Two layers and a group, without a network behind them."""

    def __init__(self) -> None:
        self.groups = (Group("conv1", ("conv1",), 6), Group("conv2", ("conv2",), 8, 2))

    layers = ("conv1", "conv2", "fc")  # type: ignore[assignment]


def test_the_usual_space_has_all_widths_and_bits_but_no_scores_of_2_bits() -> None:
    assert Space().widths_of(Layers()) == {"conv1": (1, 6), "conv2": (2, 8)}
    assert Space().bits_of(Layers()) == {"conv1": (8, 4, 2), "conv2": (8, 4, 2), "fc": (8, 4)}


def test_patterns_choose_bits_and_widths(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text(
        'bits = [8]\n[layer_bits]\n"conv*" = [2, 4]\n[widths]\nconv1 = [2, 4]\n[train]\nlr = 1e-3\n'
        "[search]\nrungs = [2, 4]\n"
    )
    space = load_space(file)
    assert space.bits_of(Layers()) == {"conv1": (4, 2), "conv2": (4, 2), "fc": (8,)}
    assert space.widths_of(Layers())["conv1"] == (2, 4)
    assert (space.recipe(7).lr, space.recipe(7).epochs, space.rounding(12).epochs) == (1e-3, 7, 2)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"bits": []}, "bits has nothing to choose from: the space is empty"),
        ({"bits": [3]}, "bits.0 = 3"),
        ({"args": {"depth": []}}, "depth has nothing to choose from"),
        ({"widths": {"conv1": [4, 2]}}, "widths.conv1 = [4, 2]: the space is empty"),
        ({"train": {"epochs": 3}}, "epochs is set by the search"),
        ({"train": {"lr": -1}}, "lr = -1"),
        ({"search": {"rungs": [3, 3]}}, "numbers of epochs that rise"),
        ({"width": {}}, "width is not a known key; did you mean 'widths'?"),
    ],
)
def test_a_wrong_space_is_refused_by_its_key(values: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError) as error:
        checked_space(values, "space.toml")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"layer_bits": {"conv9": [8]}}, "no layer is called 'conv9'; there are conv1, conv2, fc"),
        ({"widths": {"fc": [1, 2]}}, "no group is called 'fc'; there are conv1, conv2"),
        ({"widths": {"conv1": [9, 12]}}, "widths.conv1 = [9, 12]: the space is empty: the group has 6 channels"),
    ],
)
def test_names_that_the_network_lacks_are_refused(values: dict[str, object], said: str) -> None:
    space = checked_space(values)
    asked = space.bits_of if "layer_bits" in values else space.widths_of
    with pytest.raises(SpecError) as error:
        asked(Layers())
    assert said in str(error.value)


def test_too_many_networks_of_a_factory_are_refused() -> None:
    with pytest.raises(SpecError, match="49 combinations: at most 32"):
        checked_space({"args": {"a": list(range(7)), "b": list(range(7))}}).members()


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        load_space(tmp_path / "no.toml")
    (tmp_path / "bad.toml").write_text("bits = [")
    with pytest.raises(SpecError, match="not valid TOML"):
        load_space(tmp_path / "bad.toml")


def test_a_seed_changes_what_is_proposed_and_nothing_else_does() -> None:
    model = ModelSpec(factory="lenet5")
    member = Member(0, model, Layers(), Space().bits_of(Layers()), Space().widths_of(Layers()))

    def proposals(seed: int) -> list[object]:
        asking = Asking([member], seed, "random")
        return [asking.ask().proposal for _ in range(3)]

    assert proposals(0) == proposals(0) != proposals(1)


def test_rounding_keeps_its_own_learning_rate() -> None:
    """What a question found holds for both trainings, except for the learning rate."""
    way = Way(changed=(("lr", 2e-2), ("flip", True)))
    assert way.settings == {"lr": 2e-2, "flip": True}
    assert way.of_rounding == {"flip": True}
    assert way.text == "from new weights, lr = 0.02, flip = True"
