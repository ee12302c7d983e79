"""When the runner names what it sees, and how that was calibrated: the `decision` of `bundle.json`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from niwaki.device.decision import Rule


class Measured(BaseModel):
    """The rates of a rule on scenes, as fractions; None if there was nothing to measure."""

    model_config = ConfigDict(frozen=True)

    found_rate: float | None = None
    """Of the garments, those that vision finds."""
    accepted_true_rate: float | None = None
    """Of the garments, those that get a name."""
    accuracy_accepted: float | None = None
    """Of these, those that get the right one."""
    false_word_rate: float | None = None
    """Of the scenes without a garment, those that get a name anyway."""


class Calibration(BaseModel):
    """The scenes that a rule was chosen on, and its rates on them; the empty background not learned, or `learned`."""

    model_config = ConfigDict(frozen=True)

    scenes: int | None = None
    """Scenes with a garment."""
    empty: int | None = None
    """Scenes without one."""
    seed: int | None = None
    target: float | None = None
    found_rate: float | None = None
    accepted_true_rate: float | None = None
    accuracy_accepted: float | None = None
    false_word_rate: float | None = None
    learned: Measured | None = None
    source: str | None = None


class Decision(BaseModel):
    """The runner's rule; `calibration` is None if every garment found is named."""

    model_config = ConfigDict(frozen=True)

    energy: float | None = None
    temperature: float = 1.0
    margin: float | None = None
    window_s: float = 1.0
    stable_s: float = 0.6
    empty_s: float = 0.5
    calibration: Calibration | None = None

    @classmethod
    def of(cls, rule: Rule, calibration: Calibration | None = None) -> Decision:
        """The decision from a rule."""
        return cls(**rule._asdict(), calibration=calibration)

    @property
    def rule(self) -> Rule:
        """The rule alone."""
        return Rule(**self.model_dump(exclude={"calibration"}))
