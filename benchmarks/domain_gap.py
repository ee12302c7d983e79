"""From clean pictures to the camera: how networks classify garments in made-up photographs, and other things.

Thresholds are calibrated on scenes of the `tuning` family with training images, as for a bundle. The results are
measured on the `figure` family, with other backgrounds and things, and with test images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from benchmarks.domain_gap_networks import SHIPPED, Network, trained_networks
from benchmarks.report import Report, Table
from niwaki.board import rejection
from niwaki.board.rejection import REJECTED, Rates, name_all, without_padding
from niwaki.data.dataset import Dataset
from niwaki.device.decision import Rule
from niwaki.scenes.scene import Scene
from niwaki.scenes.seen import NONE, Seen, bare_scenes, garment_scenes, see
from niwaki.vision.finding import Finding
from niwaki.vision.library import Vision, compile_vision

GARMENTS, BARE = 2000, 500  # scenes of the figure
SEED = 2026  # of the figure's scenes; calibration has its own
COMMAND = "python -m benchmarks domain-gap"
WAYS = ("vision, scene not learned", "vision, scene learned")
NO_VISION = "no vision: middle square, scaled down"
Networks = Callable[[Dataset, Path, bool], AbstractContextManager[list[Network]]]


@dataclass(frozen=True)
class Row:
    """One network with one way of looking."""

    network: str
    way: str
    rates: Rates
    rule: Rule
    clean: float
    words: np.ndarray  # int64 (n,): the predicted class, REJECTED if there is none


@dataclass(frozen=True)
class Size:
    """How many scenes."""

    garments: int = GARMENTS
    bare: int = BARE
    calibration: int = rejection.SCENES
    calibration_bare: int = rejection.BARE


def run(
    data: Dataset, *, quick: bool, studies: Path = Path("studies"), networks: Networks = trained_networks
) -> Report:
    """Measure all networks in all ways."""
    size = Size(60, 30, 60, 30) if quick else Size()
    pad = data.preprocessing.pad
    with TemporaryDirectory(prefix="niwaki-gap-") as work:
        vision = Vision(
            compile_vision(Path(work) / "vision.so"), 320, 240, without_padding(data.test.images, pad).shape[1:]
        )
        eyes = {"vision": vision, "none": Whole(vision.inner)}
        tuning = {
            name: rejection.see_training_scenes(
                eye, data.train, pad=pad, scenes=size.calibration, bare=size.calibration_bare, seed=0
            )
            for name, eye in eyes.items()
        }
        figure = {name: see(figure_scenes(data, size, pad), eye) for name, eye in eyes.items()}
        with networks(data, Path(work) if quick else studies, quick) as found:
            rows = [row for network in found for row in judge(network, tuning, figure, pad)]
    return report(rows, figure["vision"], size)


def figure_scenes(data: Dataset, size: Size, pad: int) -> Iterable[Scene]:
    """Garments drawn from the test split, then scenes without one; all of the `figure` family."""
    chosen = np.sort(np.random.default_rng(SEED).permutation(len(data.test))[: size.garments])
    images = without_padding(np.asarray(data.test.images[chosen]), pad)
    yield from garment_scenes(images, data.test.labels[chosen], family="figure", seed=SEED)
    yield from bare_scenes(size.bare, family="figure", seed=SEED)


class Whole:
    """Without vision: the middle square of the frame scaled down, its difference from the grey of its border stretched.

    Of fifteen plain ways (this square, the whole frame, the frame with borders; unchanged, inverted, inverted if the
    border is bright, these stretched, this one) it did best for two of three networks on scenes of the tuning family.
    """

    def __init__(self, inner: tuple[int, int]) -> None:
        self.inner = inner

    def learn(self, frame: np.ndarray) -> int:  # noqa: ARG002
        """Nothing is learned."""
        return 0

    def forget(self) -> None:
        """Nothing was learned."""

    def find(self, frame: np.ndarray) -> Finding:
        """Everything is a garment."""
        height, width = frame.shape
        square = frame[:, (width - height) // 2 : (width + height) // 2]
        small = np.asarray(Image.fromarray(square).resize(self.inner[::-1], Image.Resampling.BOX), dtype=np.float64)
        border = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
        away = np.abs(small - np.median(border))
        picture = np.rint(away * (255 / max(away.max(), 1))).astype(np.uint8)
        return Finding("found", (0, 0, width, height), 0, 0, False, picture)


def judge(network: Network, tuning: dict[str, Seen], figure: dict[str, Seen], pad: int) -> list[Row]:
    """A network without vision, with it, and with the learned scene too; each way has its own thresholds."""
    rows = []
    for eye, ways in (("none", (NO_VISION,)), ("vision", WAYS)):
        known = tuning[eye]
        rule = rejection.choose(known.labels, known.found, name_all(known, network.logits, pad))
        named = name_all(figure[eye], network.logits, pad)
        for way, title in enumerate(ways):
            words, _ = rejection.words_of(figure[eye], named, rule, way)
            found = rejection.rates_of(figure[eye], named, rule, way)
            rows.append(Row(network.name, title, found, rule, network.clean, words))
    return rows


def report(rows: Sequence[Row], figure: Seen, size: Size) -> Report:
    """All results, as tables."""
    shown = [row for row in rows if row.network == SHIPPED and row.way in WAYS] or list(rows[-2:])
    tables = (overview(rows, size), *breakdowns(shown, figure))
    return Report(
        title="domain gap: made-up photographs of garments, and of things that are none",
        method=(
            f"{size.garments:,} garment scenes of the test split and {size.bare:,} empty or cluttered ones, 320×240, "
            f"seed {SEED}, figure family; thresholds from {size.calibration:,} + {size.calibration_bare:,} scenes of "
            f"the training split, tuning family, for at most {rejection.TARGET:.1%} false words; int8 C; single "
            "frames; 95 % intervals (Wilson)"
        ),
        command=COMMAND,
        tables=tables,
        findings=tuple(findings(shown)),
        figures={"rows": [_plain(row) for row in rows], "garments": size.garments, "bare": size.bare},
    )


def overview(rows: Sequence[Row], size: Size) -> Table:
    """A row for every network and way."""
    lines = []
    for row in rows:
        found, said = row.rates, row.rates.accepted * size.garments
        lines.append((
            row.network, row.way, share(found.accuracy_found * found.found, size.garments),
            share(found.found, size.garments), share(found.accepted, size.garments),
            share(found.accuracy_accepted, said), share(found.false_words, size.bare), f"{100 * row.clean:.2f}",
        ))  # fmt: skip
    return Table(
        "All figures in %",
        ("network", "way", "right of all", "found", "accepted", "right of accepted", "false words", "clean test"),
        tuple(lines),
    )


def breakdowns(rows: Sequence[Row], figure: Seen) -> Iterable[Table]:
    """The shipped network by what varies between scenes."""
    garment, bare = figure.garment, ~figure.garment
    placed = [scene.placed for scene in figure.scenes]
    degrees = np.array([abs(place.degrees) if place else np.nan for place in placed])
    longest = np.array([place.longest if place else np.nan for place in placed])
    polarity = np.array([scene.polarity for scene in figure.scenes])
    ground = np.array([scene.background for scene in figure.scenes])
    parts = {
        "turned by less than 5°": degrees < 5, "turned by 5° to 10°": (degrees >= 5) & (degrees < 10),
        "turned by 10° to 15°": degrees >= 10, "darker than the ground": polarity < 0,
        "brighter than the ground": polarity > 0, "under half of the frame": longest < 0.5,
        "over two thirds of the frame": longest > 2 / 3,
        **{f"on {name}": garment & (ground == name) for name in sorted(set(ground[garment]))},
    }  # fmt: skip
    yield _part_table("Garments, %: accepted, and right of those accepted", parts, rows, figure, _accepted_right)
    things = [set(scene.things) for scene in figure.scenes]
    kinds = sorted(set().union(*things))
    empty = np.array([scene.content == "empty" for scene in figure.scenes])
    parts = {
        "nothing": empty,
        **{f"{kind}, alone": np.array([kind_s == {kind} for kind_s in things]) for kind in kinds},
    }
    parts["several things"] = bare & np.array([len(kind_s) > 1 for kind_s in things])
    yield _part_table("Scenes without a garment, %: false words", parts, rows, figure, _false)


def _part_table(
    title: str, parts: dict[str, np.ndarray], rows: Sequence[Row], figure: Seen,
    cell: Callable[[np.ndarray, np.ndarray, np.ndarray], str],
) -> Table:  # fmt: skip
    lines = [
        (name, str(int(part.sum())), *(cell(part, row.words, figure.labels) for row in rows))
        for name, part in parts.items()
        if part.any()
    ]
    return Table(title, ("scenes", "number", *(row.way for row in rows)), tuple(lines))


def _accepted_right(part: np.ndarray, words: np.ndarray, labels: np.ndarray) -> str:
    said = part & (words != REJECTED)
    right = said & (words == labels)
    return f"{_percent(said.sum(), part.sum())}, {_percent(right.sum(), said.sum())}"


def _false(part: np.ndarray, words: np.ndarray, labels: np.ndarray) -> str:
    return _percent((part & (words != REJECTED) & (labels == NONE)).sum(), part.sum())


def findings(rows: Sequence[Row]) -> Iterable[str]:
    """Whether the goals are met."""
    for row in rows:
        found = row.rates
        met = found.accuracy_accepted >= 0.8 and found.false_words <= 0.05
        yield (
            f"{row.network}, {row.way}: {100 * found.accuracy_accepted:.1f} % right of those accepted, "
            f"{100 * found.false_words:.1f} % false words: the goals (at least 80 %, at most 5 %) are "
            f"{'met' if met else 'NOT met'}"
        )


def share(value: float, of: float) -> str:
    """A fraction in percent with its 95 % interval (Wilson, 1927)."""
    if math.isnan(value) or of < 1:
        return "–"
    z = 1.959964
    middle = (value + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(value * (1 - value) / of + z * z / (4 * of * of))
    return f"{100 * value:.1f} ({100 * max(middle - half, 0):.1f}–{100 * min(middle + half, 1):.1f})"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "–"


def _plain(row: Row) -> dict[str, object]:
    numbers = {name: None if math.isnan(value) else value for name, value in asdict(row.rates).items()}
    return {"network": row.network, "way": row.way, "clean": row.clean, **row.rule._asdict(), **numbers}
