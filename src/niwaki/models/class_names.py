"""The class names that a module was trained with, stored on the module itself: its outputs stand for them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

ATTRIBUTE = "niwaki_labels"
LONGEST_LABEL = 255  # characters: as long as a folder's name may be


def remember(model: nn.Module, labels: Sequence[str]) -> None:
    """Store the names of a module's classes, in the order of its outputs."""
    setattr(model, ATTRIBUTE, tuple(labels))


def remembered(model: nn.Module) -> tuple[str, ...] | None:
    """The names of a module's classes in the order of its outputs; None if none are stored."""
    found = getattr(model, ATTRIBUTE, None)
    return found if isinstance(found, tuple) else None
