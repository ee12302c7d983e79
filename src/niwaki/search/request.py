"""What a user asks of a search, checked before anything runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from niwaki.errors import Setting, SpecError, guess
from niwaki.files import file_in_the_way
from niwaki.search.limits import MINIMIZED, Limits, parse_fit
from niwaki.search.sampling import Sampler
from niwaki.search.space import Space

TRIALS = 32
_TIME = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*(s|m|min|h)?\s*$")
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, None: 60.0}


def check_sampler(name: str) -> Sampler:
    """The sampler of that name. Raises SpecError for another."""
    if name not in ("tpe", "random"):
        raise SpecError(Setting("sampler", repr(name)), ": expected tpe or random")
    return "tpe" if name == "tpe" else "random"


@dataclass(frozen=True)
class Wanted:
    """The options of `niwaki compress`; None if the user did not set them."""

    model: str
    fit: str = ""
    data: str | None = None
    target: str = "cortex-m4"
    maximize: str | None = None
    minimize: str | None = None
    drop: float | None = None
    time: str | None = None
    trials: int | None = None
    seeds: int = 3
    jobs: int | None = None
    ray: str | None = None
    device: str = "cpu"
    out: Path | None = None
    sampler: Sampler = "tpe"
    trust: bool = False

    @property
    def folder(self) -> Path:
        """The folder of the search."""
        return self.out or Path("compressed") / re.sub(r"[^A-Za-z0-9._-]+", "-", Path(self.model).stem)

    @property
    def limits(self) -> Limits:
        """The budget, parsed. Raises SpecError."""
        return parse_fit(self.fit, self.drop)

    @property
    def minimized(self) -> str | None:
        """What is minimized among what fits; None if accuracy is maximized. Raises SpecError."""
        if self.maximize is not None and self.minimize is not None:
            raise SpecError(Setting("maximize"), " and ", Setting("minimize"), " exclude each other: give one goal")
        if self.maximize not in (None, "accuracy"):
            raise SpecError(Setting("maximize", str(self.maximize)), ": expected accuracy")
        if self.minimize is not None and self.minimize not in MINIMIZED:
            near = guess(self.minimize, MINIMIZED)
            raise SpecError(Setting("minimize", self.minimize), f": {near}expected one of {', '.join(MINIMIZED)}")
        return self.minimize

    @property
    def seconds(self) -> float | None:
        """The time that is allowed, in seconds; None if it is not limited. Raises SpecError."""
        if self.time is None:
            return None
        match = _TIME.match(self.time)
        if match is None or float(match[1]) <= 0:
            raise SpecError(Setting("time", self.time), ": expected a time such as 60m, 90s or 2h")
        return float(match[1]) * _SECONDS[match[2]]

    def check(self, space: Space) -> None:
        """Refuse what cannot work. Raises SpecError."""
        if self.seconds is not None and self.trials is not None:
            raise SpecError(Setting("time"), " and ", Setting("trials"), " exclude each other: give one")
        if self.trials is not None and not 1 <= self.trials <= 100_000:
            raise SpecError(Setting("trials", str(self.trials)), ": expected 1 to 100,000")
        if not 1 <= self.seeds <= 100:
            raise SpecError(Setting("seeds", str(self.seeds)), ": expected 1 to 100")
        if self.jobs is not None and self.ray is not None:
            why = " exclude each other: a cluster has as many workers as processors"
            raise SpecError(Setting("jobs"), " and ", Setting("ray"), why)
        if self.jobs is not None and self.jobs < 1:
            raise SpecError(Setting("jobs", str(self.jobs)), ": at least one worker is needed")
        if place := file_in_the_way(self.folder):
            raise SpecError(f"{place} is a file: give a folder with ", Setting("out"))
        limits, minimized = self.limits, self.minimized
        if minimized is not None and not limits.of(("accuracy", "accuracy_drop", "balanced_accuracy", "worst_class")):
            raise SpecError(
                Setting("minimize", minimized),
                ": say how good the network must be, as in accuracy_drop<=1 or accuracy>=90",
            )
        space.members()
