"""The names of the classes that a module was trained on, kept on the module itself: its outputs stand for them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

ATTRIBUTE = "niwaki_labels"
LONGEST_LABEL = 255  # characters: as long as the name of a folder may be


def remember(model: nn.Module, labels: Sequence[str]) -> None:
    """Note the names of a module's classes, in the order of its outputs."""
    setattr(model, ATTRIBUTE, tuple(labels))


def remembered(model: nn.Module) -> tuple[str, ...] | None:
    """The names of a module's classes in the order of its outputs; None if nobody noted them."""
    found = getattr(model, ATTRIBUTE, None)
    return found if isinstance(found, tuple) else None
