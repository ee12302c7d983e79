"""Thresholds: the same rule as on the board, false words within the target, rates that are correct."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from niwaki.board.decision import Decision
from niwaki.board.rejection import (
    REJECTED,
    Scenes,
    calibrate,
    choose,
    energies,
    judge_all,
    logits_of,
    name_all,
    rates,
    rates_of,
    see_training_scenes,
    without_padding,
)
from niwaki.data import synthetic
from niwaki.data.dataset import Split
from niwaki.data.preprocessing import Preprocessing
from niwaki.device import decision
from niwaki.device.decision import Rule
from niwaki.errors import DataError
from niwaki.scenes.seen import NONE, Seen
from niwaki.vision.library import Vision, compile_vision

SCENES, BARE = 40, 30


@pytest.fixture(scope="module")
def train() -> Split:
    images, labels = synthetic.draw(np.arange(200), seed=0, split=0)
    return Split(Preprocessing(pad=2).arrange(images), labels)


@pytest.fixture(scope="module")
def vision(tmp_path_factory: pytest.TempPathFactory) -> Vision:
    return Vision(compile_vision(tmp_path_factory.mktemp("vision") / "vision.so"), 320, 240)


@pytest.fixture(scope="module")
def seen(train: Split, vision: Vision) -> Seen:
    return see_training_scenes(vision, train, pad=2, scenes=SCENES, bare=BARE, seed=3)


@pytest.fixture(scope="module")
def network(train: Split):
    """A classifier that needs no training: how much a picture correlates with the mean image of each class."""
    means = np.stack([train.images[train.labels == label].mean(0).ravel() for label in range(10)])
    means -= means.mean(1, keepdims=True)
    means /= np.linalg.norm(means, axis=1, keepdims=True)

    def logits(images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1).astype(np.float64)
        flat -= flat.mean(1, keepdims=True)
        return 12 * flat @ means.T / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1)

    return logits


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_energies_are_the_boards(temperature: float) -> None:
    logits = np.random.default_rng(0).normal(0, 40, (200, 10))
    expected = [decision.energy(row.tolist(), temperature) for row in logits]
    assert energies(logits, temperature) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("rule", [Rule(), Rule(energy=-5.0), Rule(energy=-5.0, margin=1.5), Rule(margin=2.0)])
def test_words_are_the_boards(rule: Rule) -> None:
    """On logits as int8 scores give them: ties, and leads that equal the margin to the bit, among them."""
    logits = np.random.default_rng(1).integers(-128, 128, (500, 10)) * 0.0625
    logits[:20] = np.round(logits[:20])
    logits[0] = 3.0
    verdicts = [decision.judge(row.tolist(), rule).class_index for row in logits]
    words = judge_all(logits, rule)
    assert words.tolist() == [REJECTED if verdict is None else verdict for verdict in verdicts]
    if rule != Rule():
        assert 0 < (words == REJECTED).sum() < 500


def test_rates_by_hand() -> None:
    labels = np.array([0, 1, 2, 3, NONE, NONE, NONE, NONE])
    best = np.array([0, 1, 9, REJECTED, 5, 6, REJECTED, 1])
    words = np.array([0, REJECTED, 9, REJECTED, REJECTED, 6, REJECTED, REJECTED])
    found = rates(labels, words, best)
    assert (found.found, found.accepted, found.right) == (0.75, 0.5, 0.25)
    assert (found.accuracy_accepted, found.accuracy_found, found.false_words) == (0.5, 2 / 3, 0.25)
    nothing = rates(labels[4:], words[4:], best[4:])
    assert math.isnan(nothing.accepted)
    assert math.isnan(nothing.accuracy_accepted)


def example(bare_energies: tuple[list[float], list[float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Twenty garments that are named rightly, of energies -20, -19 … -1; scenes without one, of these energies."""
    garments = np.arange(1.0, 21)
    strengths = np.stack([np.concatenate([garments, -np.array(way)]) for way in bare_energies])
    logits = np.full((*strengths.shape, 3), -1000.0)
    logits[..., 1] = strengths
    labels = np.array([1] * 20 + [NONE] * len(bare_energies[0]))
    return labels, np.ones(strengths.shape, dtype=bool), logits


def test_the_highest_energy_within_the_target_is_chosen() -> None:
    labels, found, logits = example(([-7.4, -3.0, -2.0, -1.0], [-7.0, -3.0, -2.0, -1.0]))
    assert choose(labels, found, logits, target=0.0).energy == pytest.approx(-7.9)
    assert choose(labels, found, logits, target=0.25).energy == pytest.approx((-7.0 - 3.0) / 2, abs=0.5)
    assert choose(labels, found, logits, target=1.0).energy == pytest.approx(-1.0)
    for target in (0.0, 0.25, 0.5, 0.75):
        rule = choose(labels, found, logits, target)
        for way in (0, 1):
            words = judge_all(logits[way], rule)
            assert np.mean(words[labels == NONE] != REJECTED) == target


def test_both_ways_stay_within_the_target() -> None:
    """With the place learned nothing false is found; without it there is: that decides."""
    labels, found, logits = example(([-10.0, -9.0], [-10.0, -9.0]))
    found[1, labels == NONE] = False
    rule = choose(labels, found, logits, target=0.0)
    assert (judge_all(logits[0], rule)[labels == NONE] == REJECTED).all()


def test_scenes_of_one_energy_are_all_kept_out() -> None:
    labels, found, logits = example(([-5.0] * 4, [-5.0] * 4))
    rule = choose(labels, found, logits, target=0.5)
    assert (judge_all(logits[0], rule)[labels == NONE] == REJECTED).all()
    assert judge_all(logits[0], rule)[labels == 1].tolist() == [REJECTED] * 5 + [1] * 15


def test_a_margin_is_taken_where_it_helps() -> None:
    """Scenes without a garment have low energies but two classes alike: only their margin tells them."""
    labels, found, logits = example(([-30.0] * 4, [-30.0] * 4))
    logits[:, labels == NONE, 2] = 29.9
    assert choose(labels, found, logits, target=0.0).margin == 0.25
    logits[:, labels == NONE, 2] = -1000
    assert choose(labels, found, logits, target=0.0).margin is None


def test_a_network_that_finds_nothing_false_keeps_every_garment() -> None:
    labels, found, logits = example(([-5.0], [-5.0]))
    found[:, labels == NONE] = False
    rule = choose(labels, found, logits)
    assert (judge_all(logits[0], rule)[labels == 1] == 1).all()


def test_nothing_can_be_calibrated_where_nothing_is_found() -> None:
    labels, found, logits = example(([-5.0], [-5.0]))
    found[:, labels != NONE] = False
    with pytest.raises(DataError, match="no garment was found in any scene"):
        choose(labels, found, logits)


def test_scenes_are_seen_both_ways(seen: Seen) -> None:
    assert seen.garment.tolist() == [True] * SCENES + [False] * BARE
    assert seen.pictures.shape == (2, SCENES + BARE, 28, 28)
    assert not any(finding.used_scene for finding in seen.findings[0])
    assert np.mean([finding.used_scene for finding in seen.findings[1]]) > 0.9
    assert not seen.pictures[~seen.found].any()
    assert seen.found[:, seen.garment].mean() > 0.9
    assert seen.found[:, ~seen.garment].mean() < 0.8
    assert {scene.frame.size for scene in seen.scenes} == {0}  # kept without their pixels


def test_pictures_are_padded_for_the_network(seen: Seen) -> None:
    asked: list[np.ndarray] = []

    def logits(images: np.ndarray) -> np.ndarray:
        asked.append(images)
        return np.zeros((len(images), 3))

    named = name_all(seen, logits, 2)
    assert asked[0].shape == (seen.found.sum(), 1, 32, 32)
    assert asked[0].dtype == np.uint8
    assert np.array_equal(asked[0][:, 0, 2:-2, 2:-2], seen.pictures[seen.found])
    assert np.array_equal(np.isnan(named[..., 0]), ~seen.found)


def test_a_calibration_says_what_it_measured(train: Split, vision: Vision, seen: Seen, network) -> None:
    found = calibrate(network, vision, train, Scenes(SCENES, BARE, target=0.1, seed=3), pad=2)
    assert Decision.model_validate_json(found.model_dump_json()) == found
    rule = Rule.from_json(found.model_dump())
    assert rule == found.rule
    assert (rule.temperature, rule.window_s, rule.stable_s, rule.empty_s) == Rule()[1:2] + Rule()[3:]
    report = found.model_dump()["calibration"]
    assert (report["scenes"], report["empty"], report["seed"], report["target"]) == (SCENES, BARE, 3, 0.1)
    named = name_all(seen, network, 2)
    assert choose(seen.labels, seen.found, named, 0.1) == rule
    for way, part in ((0, report), (1, report["learned"])):
        measured = rates_of(seen, named, rule, way)
        assert part["false_word_rate"] == round(measured.false_words, 4) <= 0.1
        assert part["accepted_true_rate"] == round(measured.accepted, 4)
        assert part["accuracy_accepted"] == round(measured.accuracy_accepted, 4)
        assert part["found_rate"] == round(measured.found, 4)
    assert report["accuracy_accepted"] > 0.5


def test_rejection_pays(seen: Seen, network) -> None:
    named = name_all(seen, network, 2)
    everything, rule = Rule(), choose(seen.labels, seen.found, named, 0.05)
    for way in (0, 1):
        before, after = rates_of(seen, named, everything, way), rates_of(seen, named, rule, way)
        assert after.false_words <= 0.05 < before.false_words
        assert after.accuracy_accepted >= before.accuracy_found == before.accuracy_accepted


def test_the_generated_c_gives_the_logits(small_export: Path) -> None:
    from niwaki.compiled.library import CModel

    model = CModel(small_export / "c")
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 16, 16), dtype=np.uint8)
    expected = (model(images).astype(float) - model.interface.output_zero_point) * model.interface.output_scale
    assert np.array_equal(logits_of(model)(images), expected)


def test_what_cannot_be_shown_to_the_camera(train: Split, vision: Vision, network) -> None:
    colour = Split(np.repeat(train.images, 3, axis=1), train.labels)
    with pytest.raises(DataError, match="images have 3 channels: only grey ones"):
        calibrate(network, vision, colour, Scenes(), pad=2)
    with pytest.raises(DataError, match="201 scenes of 200 training images"):
        calibrate(network, vision, train, Scenes(201), pad=2)


def test_padding_is_taken_off() -> None:
    images = np.pad(np.ones((3, 1, 4, 6), dtype=np.uint8), ((0, 0), (0, 0), (2, 2), (2, 2)))
    assert without_padding(images, 2).shape == (3, 4, 6)
    assert without_padding(images, 2).all()
    assert without_padding(images, 0).shape == (3, 8, 10)
