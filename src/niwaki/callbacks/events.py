"""The events that callbacks receive: an epoch ended, a stage is done, the run is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from niwaki.errors import SpecError


@dataclass(frozen=True)
class EpochEnd:
    """An epoch of training or fine-tuning that has ended.

    `name` is what is being trained, `step` the pruning step that it belongs to (0 before the first), `epoch` counts
    from 1 to `epochs`, `loss` is the mean over the training images. `validation_accuracy`, in percent, is None if it
    was not measured after this epoch.
    """

    name: str
    step: int
    epoch: int
    epochs: int
    loss: float
    validation_accuracy: float | None = None


@dataclass(frozen=True)
class StageEnd:
    """A stage of a study, or a pruning step, that is done or has failed; `reason` says why it failed.

    `metrics` maps names to the values that are known: `validation_accuracy` and `test_accuracy` in percent, `params`,
    `macs`, `bytes`, `removed` channels. The stage is number `done` of `total`.
    """

    name: str
    step: int
    done: int
    total: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.reason is None


@dataclass(frozen=True)
class Done:
    """The run is done. `folder` is the study's, or None if only a model was trained or pruned.

    `metrics` describes the model that was chosen or made, as far as it is known.
    """

    ok: bool
    folder: Path | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


class Callback:
    """Base class: override the methods that you need; the others do nothing.

    Any object with one or more of these methods works. They are called in the process that called niwaki, one at a
    time, in the order of events. An error raised by one ends the run; what is stored is kept.

    >>> class Print(Callback):
    ...     def on_epoch(self, event):
    ...         print(f"{event.name}: epoch {event.epoch} of {event.epochs}")
    >>> Print().on_epoch(EpochEnd("train", 0, 1, 5, loss=0.7))
    train: epoch 1 of 5
    """

    def on_epoch(self, event: EpochEnd) -> None:
        """An epoch has ended."""

    def on_stage(self, event: StageEnd) -> None:
        """A stage of a study, or a pruning step, is done or has failed."""

    def on_done(self, event: Done) -> None:
        """The run is done; not called if it was stopped or ended with an error."""


class Callbacks(Callback):
    """Combine several callbacks. Raises SpecError for an object that has none of the methods."""

    def __init__(self, callbacks: Sequence[object] = ()) -> None:
        if not isinstance(callbacks, Iterable) or isinstance(callbacks, str | Callback):
            raise SpecError(
                f"callbacks = {callbacks!r}: expected a list, as callbacks=[niwaki.callbacks.ProgressBar()]"
            )
        self._all = tuple(callbacks)
        for callback in self._all:
            if isinstance(callback, type) or not any(hasattr(callback, name) for name in _METHODS):
                raise SpecError(
                    f"callbacks: {callback!r} has none of the methods {', '.join(_METHODS)}: "
                    "give an instance of a class that has one"
                )

    def on_epoch(self, event: EpochEnd) -> None:
        """Pass the event to each callback."""
        self._tell("on_epoch", event)

    def on_stage(self, event: StageEnd) -> None:
        """Pass the event to each callback."""
        self._tell("on_stage", event)

    def on_done(self, event: Done) -> None:
        """Pass the event to each callback."""
        self._tell("on_done", event)

    def _tell(self, method: str, event: object) -> None:
        for callback in self._all:
            hears = getattr(callback, method, None)
            if hears is not None:
                hears(event)


_METHODS = ("on_epoch", "on_stage", "on_done")
