"""What to say, and when: scores averaged over about a second, rejected by their energy, spoken once.

Pure: no clock, no files. The same steps give the same decisions, so a recording can be replayed, and the thresholds of
a bundle are calibrated with this module.
"""

import math
from collections import deque
from typing import Any, Deque, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .errors import DeviceError

FOUND, NOTHING, TOO_SMALL, TOO_LARGE = "found", "nothing", "too_small", "too_large"
OUTCOMES = (FOUND, NOTHING, TOO_SMALL, TOO_LARGE)  # by the number that the C returns
EMPTY, UNCLEAR, SETTLING, NAMED = "empty", "unclear", "settling", "named"

_GAP = 2  # windows without a frame, after which earlier frames say nothing about the present
_ROUNDING_S = 1e-6  # of times: a frame on the edge of a time span is in it, however number / rate was rounded
_NUMBERS = ("temperature", "window_s", "stable_s", "empty_s")
_Seen = Tuple[float, Optional[Tuple[float, ...]], int]  # time, logits, best class; without a garment None and -1


class Rule(NamedTuple):
    """When a garment is named. Energies, temperature and margin are in the unit of the logits."""

    energy: Optional[float] = None
    """The highest energy of an accepted garment; None: every garment found is named."""
    temperature: float = 1.0
    margin: Optional[float] = None
    """The smallest lead of the best class over the second; None: any."""
    window_s: float = 1.0
    """Scores are averaged over the frames of the last this many seconds."""
    stable_s: float = 0.6
    """A class is spoken after it has been the answer for this long."""
    empty_s: float = 0.5
    """The scene counts as empty, so that a word may be repeated, after this long without a garment."""

    @classmethod
    def from_json(cls, value: Any) -> "Rule":
        """The rule in `bundle.json`; unknown keys are ignored. Raises DeviceError."""
        if not isinstance(value, Mapping):
            raise DeviceError("bundle.json: decision is {!r}: expected an object".format(value), 2)
        known = {name: value[name] for name in cls._fields if name in value}
        rule = cls(**known)
        for name in cls._fields:
            number = known.get(name, 0.0)
            if number is None and name in ("energy", "margin"):
                continue
            if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
                raise DeviceError("bundle.json: decision.{} is {!r}: expected a number".format(name, number), 2)
        for name in _NUMBERS:
            if getattr(rule, name) < 0 or (name in ("temperature", "window_s") and getattr(rule, name) == 0):
                raise DeviceError("bundle.json: decision.{} is {}: it is too small".format(name, known[name]), 2)
        return rule


class Verdict(NamedTuple):
    """The verdict of a rule on some logits."""

    class_index: Optional[int]
    """The class; None: rejected."""
    energy: float
    reason: str
    """Empty if accepted; otherwise the part of the rule that rejected it: energy, margin."""


class Decision(NamedTuple):
    """The state after a frame."""

    state: str
    """empty, unclear (something is there, but it has no name), settling (named soon), named."""
    class_index: Optional[int]
    """The class, if the state is settling or named."""
    energy: Optional[float]
    """The energy of the mean logits; None if there are none."""
    mean_logits: Optional[Tuple[float, ...]]
    speak: Optional[int]
    """The class to speak now: with this frame, and only once."""
    reason: str
    """nothing, too_small, too_large, energy, margin, mixed, settling, speak, spoken."""


def energy(logits: Sequence[float], temperature: float = 1.0) -> float:
    """-T log sum exp(logit / T): low if the network knows what it sees.

    Liu, Wang, Owens, Li, "Energy-based Out-of-distribution Detection" (2020).
    """
    top = max(logits)
    return -(top + temperature * math.log(math.fsum(math.exp((logit - top) / temperature) for logit in logits)))


def judge(logits: Sequence[float], rule: Rule) -> Verdict:
    """Name the logits of one frame, or the mean of several, or reject them. The first class wins a tie."""
    value = energy(logits, rule.temperature)
    best = best_of(logits)
    if rule.energy is not None and value > rule.energy:
        return Verdict(None, value, "energy")
    if rule.margin is not None:
        second = max((logit for index, logit in enumerate(logits) if index != best), default=-math.inf)
        if logits[best] - second < rule.margin:
            return Verdict(None, value, "margin")
    return Verdict(best, value, "")


def best_of(logits: Sequence[float]) -> int:
    """The number of the highest logit; the first in a tie."""
    return max(range(len(logits)), key=logits.__getitem__)


class Decider:
    """Follows one camera, frame by frame.

    A class is spoken when the mean of the window names it without a break for `stable_s`. The mean of two garments may
    look like a third, so most of the window's frames must also name that class by themselves, and if a garment was
    found in fewer than half of the frames (a flicker) nothing is named.

    It is not spoken again before another class was, or the scene was empty for `empty_s`. A garment that is rejected,
    too large or not seen at all (a lost camera) does not make an empty scene. If nothing is searched for (`finds` is
    False), every frame has logits, and a scene whose frames are rejected counts as empty.
    """

    def __init__(self, rule: Rule, classes: int, finds: bool = True) -> None:
        self.rule = rule
        self.finds = finds
        self.classes = classes
        self._spoken: Optional[int] = None
        self._last_s: Optional[float] = None
        self._empty_since: Optional[float] = None
        self.interrupt()

    def interrupt(self) -> None:
        """Forget what was seen, but not what was spoken: the camera was lost, or the empty scene learned again."""
        self._window: Deque[_Seen] = deque()
        self._named: Optional[int] = None
        self._since = 0.0
        self._empty_since = None
        self._last_s = None

    def save(self) -> Dict[str, Any]:
        """Its whole memory, for JSON: `restore` continues from there as if nothing had happened."""
        return {
            "window": [[time_s, logits] for time_s, logits, _ in self._window],
            "spoken": self._spoken,
            "last_s": self._last_s,
            "empty_since": self._empty_since,
            "named": self._named,
            "since": self._since,
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Restore the result of `save`."""
        self.interrupt()
        for time_s, logits in saved["window"]:
            self._window.append((time_s, tuple(logits), best_of(logits)) if logits else (time_s, None, -1))
        self._spoken, self._named, self._since = saved["spoken"], saved["named"], saved["since"]
        self._last_s, self._empty_since = saved["last_s"], saved["empty_since"]

    def step(self, time_s: float, outcome: str, logits: Optional[Sequence[float]] = None) -> Decision:
        """Take a frame: its time, whether a garment was found, and if so its logits. Raises ValueError."""
        if (logits is not None) != (outcome == FOUND) or (logits is not None and len(logits) != self.classes):
            raise ValueError("{} with logits {!r}: expected {} with a garment".format(outcome, logits, self.classes))
        if self._last_s is not None and not 0 <= time_s - self._last_s <= _GAP * self.rule.window_s:
            self.interrupt()
        self._last_s = time_s
        self._watch_for_empty(time_s, self._is_empty(outcome, logits))
        self._remember(time_s, logits)
        seen = [(scores, best) for _, scores, best in self._window if scores is not None]
        if not seen or 2 * len(seen) < len(self._window):
            self._named = None
            state = EMPTY if outcome in (NOTHING, TOO_SMALL) else UNCLEAR
            return Decision(state, None, None, None, None, "mixed" if outcome == FOUND else outcome)
        return self._name(time_s, outcome, seen)

    def _is_empty(self, outcome: str, logits: Optional[Sequence[float]]) -> bool:
        if self.finds or logits is None:
            return outcome in (NOTHING, TOO_SMALL)
        return judge(logits, self.rule).class_index is None

    def _watch_for_empty(self, time_s: float, empty: bool) -> None:
        if not empty:
            self._empty_since = None
            return
        if self._empty_since is None:
            self._empty_since = time_s
        if time_s - self._empty_since >= self.rule.empty_s - _ROUNDING_S:
            self._spoken = None
            self._window.clear()

    def _remember(self, time_s: float, logits: Optional[Sequence[float]]) -> None:
        """Add a frame to the window, which starts with a garment: the empty scene before it does not count."""
        window = self._window
        if logits is not None:
            window.append((time_s, tuple(logits), best_of(logits)))
        else:
            window.append((time_s, None, -1))
        oldest = time_s - self.rule.window_s - _ROUNDING_S
        while window and (window[0][0] < oldest or window[0][1] is None):
            window.popleft()

    def _name(self, time_s: float, outcome: str, seen: List[Tuple[Tuple[float, ...], int]]) -> Decision:
        count = len(seen)  # columns as lists: for tuples of many lengths Python keeps megabytes
        mean = tuple([math.fsum([logits[index] for logits, _ in seen]) / count for index in range(self.classes)])
        verdict = judge(mean, self.rule)
        index, reason = verdict.class_index, verdict.reason
        if index is not None and 2 * sum(best == index for _, best in seen) <= len(seen):
            index, reason = None, "mixed"
        if index is None:
            self._named = None
            return Decision(UNCLEAR, None, verdict.energy, mean, None, reason)
        if index != self._named:
            self._named, self._since = index, time_s
        if time_s - self._since < self.rule.stable_s - _ROUNDING_S:
            return Decision(SETTLING, index, verdict.energy, mean, None, "settling")
        speak = index if index != self._spoken and outcome == FOUND else None
        if speak is not None:
            self._spoken = index
        return Decision(NAMED, index, verdict.energy, mean, speak, "spoken" if speak is None else "speak")
