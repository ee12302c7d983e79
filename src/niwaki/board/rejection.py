"""When a network should say nothing: the thresholds of a bundle, calibrated on made-up scenes.

Garments of the training images and scenes without any, all of the `tuning` family, pass through vision, network and
decision, as on the board. It takes the highest energy that keeps false words on scenes without a garment under a target
(Liu et al., "Energy-based Out-of-distribution Detection", 2020), and the margin that gains most.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from niwaki.board.decision import Calibration, Decision, Measured
from niwaki.compiled.library import CModel
from niwaki.data.dataset import Split
from niwaki.device.decision import Rule
from niwaki.errors import DataError
from niwaki.randomness import derive_seed
from niwaki.scenes.seen import NONE, Eye, Seen, bare_scenes, garment_scenes, see

TARGET = 0.025  # false words on scenes without a garment; on other families the rate is about twice as high
SCENES, BARE = 1000, 1000  # with a garment, without one
MARGINS = (None, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)  # margins to try, in logits
REJECTED = -1

Logits = Callable[[np.ndarray], np.ndarray]  # raw pixels, uint8 (n, C, H, W) → float64 (n, classes)


@dataclass(frozen=True)
class Rates:
    """The rates of a rule on scenes. All are fractions; without scenes they are nan."""

    found: float  # of the garments
    accepted: float  # of the garments
    right: float  # of the garments: accepted and named correctly
    accuracy_accepted: float  # of the accepted garments
    accuracy_found: float  # of those found, whatever the rule says
    false_words: float  # of the scenes without a garment


def logits_of(model: CModel) -> Logits:
    """The generated C as a function to logits, as the board computes them from its int8 scores."""
    scale, zero_point = model.interface.output_scale, model.interface.output_zero_point
    return lambda images: (model(images).astype(np.float64) - zero_point) * scale


def energies(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """`device.decision.energy` for many logits at once: float64 (n, classes) → (n,)."""
    top = logits.max(1)
    total = np.exp((logits - top[:, None]) / temperature).sum(1)
    values: np.ndarray = -(top + temperature * np.log(total))
    return values


def judge_all(logits: np.ndarray, rule: Rule) -> np.ndarray:
    """`device.decision.judge` for many logits at once: the class, or REJECTED; int64 (n,)."""
    accepted = np.ones(len(logits), dtype=bool)
    if rule.energy is not None:
        accepted &= energies(logits, rule.temperature) <= rule.energy
    if rule.margin is not None:
        accepted &= _leads(logits) >= rule.margin
    return np.where(accepted, logits.argmax(1), REJECTED)


def name_all(seen: Seen, logits: Logits, pad: int) -> np.ndarray:
    """Logits of every picture, float64 (2, n, classes); nan if vision found nothing."""
    padded = np.pad(seen.pictures[seen.found], ((0, 0), (pad, pad), (pad, pad)))[:, None]
    values = logits(padded)
    named = np.full((*seen.found.shape, values.shape[1]), np.nan)
    named[seen.found] = values
    return named


def rates(labels: np.ndarray, words: np.ndarray, best: np.ndarray) -> Rates:
    """Rates from labels (n,), NONE if there is no garment; words (n,), REJECTED without a word; the best class (n,)
    whatever the rule says, REJECTED if nothing was found.
    """
    garment = labels != NONE
    said, seen = garment & (words != REJECTED), garment & (best != REJECTED)
    right = said & (words == labels)
    return Rates(
        found=_share(seen, garment),
        accepted=_share(said, garment),
        right=_share(right, garment),
        accuracy_accepted=_share(right, said),
        accuracy_found=_share(seen & (best == labels), seen),
        false_words=_share(~garment & (words != REJECTED), ~garment),
    )


def choose(labels: np.ndarray, found: np.ndarray, logits: np.ndarray, target: float = TARGET) -> Rule:
    """The rule with the most right words minus wrong ones, while false words stay within `target`.

    Labels (n,), found bool (2, n) and logits (2, n, classes), without and with the empty background learned: the target
    applies to both. If all garments found can be named within it, the energy is the highest of theirs. Raises DataError
    if no garment was found at all.
    """
    if not found[:, labels != NONE].any():
        raise DataError("no garment was found in any scene: there is nothing to calibrate rejection on")
    best: tuple[float, Rule] | None = None
    for margin in MARGINS:
        energy = _highest_energy(labels, found, logits, margin, target)
        rule = Rule(energy=energy, margin=margin)
        gain = _gain(labels, found, logits, rule)
        if best is None or gain > best[0]:
            best = gain, rule
    assert best is not None
    return best[1]


@dataclass(frozen=True)
class Scenes:
    """The made-up scenes that thresholds are calibrated on."""

    shown: int | None = None
    """Number with a garment; None: SCENES, or one for each training image if there are fewer."""
    bare: int = BARE
    """Number without one."""
    target: float = TARGET
    """The allowed share of false words among these."""
    seed: int = 0


def calibrate(logits: Logits, vision: Eye, train: Split, scenes: Scenes, *, pad: int) -> Decision:
    """The `decision` of a bundle: thresholds, and their measured rates over the scenes that they were chosen on.

    `logits` are those of the integer network, `vision` processes frames of 320 × 240, `train` are grey training images
    surrounded by `pad` raw zeros. Raises DataError if they are not grey, or fewer than the scenes need.
    """
    shown = min(SCENES, len(train)) if scenes.shown is None else scenes.shown
    seen = see_training_scenes(vision, train, pad=pad, scenes=shown, bare=scenes.bare, seed=scenes.seed)
    named = name_all(seen, logits, pad)
    rule = choose(seen.labels, seen.found, named, scenes.target)
    found_rates = [rates_of(seen, named, rule, way) for way in (0, 1)]
    calibration = Calibration(
        scenes=shown,
        empty=scenes.bare,
        seed=scenes.seed,
        target=scenes.target,
        **measured(found_rates[0]).model_dump(),
        learned=measured(found_rates[1]),
        source="made-up scenes of the tuning family with training images; the empty scene not learned, or learned",
    )
    return Decision.of(rule, calibration)


def see_training_scenes(vision: Eye, train: Split, *, pad: int, scenes: int, bare: int, seed: int) -> Seen:
    """Scenes of the `tuning` family as vision sees them: first with garments drawn from `train`, then without."""
    if train.images.shape[1] != 1:
        raise DataError(f"images have {train.images.shape[1]} channels: only grey ones can be shown to a grey camera")
    if len(train) < scenes:
        raise DataError(f"{scenes} scenes of {len(train)} training images: give at most as many scenes as images")
    chosen = np.sort(np.random.default_rng(derive_seed(seed, "scenes", 0)).permutation(len(train))[:scenes])
    garments = without_padding(np.asarray(train.images[chosen]), pad)
    with_garment = see(garment_scenes(garments, train.labels[chosen], family="tuning", seed=seed), vision)
    without = see(bare_scenes(bare, family="tuning", seed=seed), vision)
    return with_garment.and_then(without)


def without_padding(images: np.ndarray, pad: int) -> np.ndarray:
    """Grey images, uint8 (n, 1, H, W), without the surrounding zeros: (n, H - 2 pad, W - 2 pad)."""
    return images[:, 0, pad : images.shape[2] - pad, pad : images.shape[3] - pad]


def rates_of(seen: Seen, named: np.ndarray, rule: Rule, way: int) -> Rates:
    """Rates without (`way` 0) or with (1) the empty background learned."""
    words, best = words_of(seen, named, rule, way)
    return rates(seen.labels, words, best)


def words_of(seen: Seen, named: np.ndarray, rule: Rule, way: int) -> tuple[np.ndarray, np.ndarray]:
    """The word for each scene, and the best class, int64 (n,); REJECTED if there is none."""
    return _words(seen.found[way], named[way], rule)


def words_for(logits: np.ndarray, rule: Rule) -> np.ndarray:
    """The word for each of some logits, int64 (n,); REJECTED if there is none."""
    return judge_all(logits, rule).astype(np.int64)


def _words(found: np.ndarray, logits: np.ndarray, rule: Rule) -> tuple[np.ndarray, np.ndarray]:
    words = np.full(len(found), REJECTED, dtype=np.int64)
    best = words.copy()
    words[found] = judge_all(logits[found], rule)
    best[found] = logits[found].argmax(1)
    return words, best


def _highest_energy(
    labels: np.ndarray, found: np.ndarray, logits: np.ndarray, margin: float | None, target: float
) -> float:
    """The highest threshold at which at most `target` of the scenes without a garment get a word, either way.

    Midway between the last energy that gets a word and the first that does not.
    """
    limits = []
    for way in (0, 1):
        bare = found[way] & (labels == NONE)
        values = logits[way][bare]
        if margin is not None:
            values = values[_leads(values) >= margin]
        allowed = math.floor(target * int((labels == NONE).sum()))
        order = np.sort(energies(values)) if len(values) else np.empty(0)
        if allowed < len(order):
            below = order[allowed - 1] if allowed else order[0] - 1
            limits.append((below + order[allowed]) / 2 if below < order[allowed] else below - 1e-3)
    garments = np.concatenate([energies(logits[way][found[way] & (labels != NONE)]) for way in (0, 1)])
    return float(min(limits, default=garments.max()))


def _gain(labels: np.ndarray, found: np.ndarray, logits: np.ndarray, rule: Rule) -> float:
    """Right words minus wrong ones on garments, both ways together."""
    total = 0
    for way in (0, 1):
        words, _ = _words(found[way], logits[way], rule)
        said = (labels != NONE) & (words != REJECTED)
        total += int((said & (words == labels)).sum()) - int((said & (words != labels)).sum())
    return float(total)


def _leads(logits: np.ndarray) -> np.ndarray:
    """The lead of the best logit."""
    ordered = np.sort(logits, axis=1)
    leads: np.ndarray = ordered[:, -1] - ordered[:, -2]
    return leads


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    count = int(whole.sum())
    return int(part.sum()) / count if count else math.nan


def measured(found: Rates) -> Measured:
    """Rates as they are written."""

    def rounded(value: float) -> float | None:
        return None if math.isnan(value) else round(value, 4)

    return Measured(
        found_rate=rounded(found.found),
        accepted_true_rate=rounded(found.accepted),
        accuracy_accepted=rounded(found.accuracy_accepted),
        false_word_rate=rounded(found.false_words),
    )
