"""What a network lost that its accuracy may hide: it predicts one class for every image, or no longer knows a class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from niwaki.measure.accuracy import Accuracy
from niwaki.study.records import Results

NAMED = 3  # classes named in a sentence; the rest are counted


@dataclass(frozen=True)
class Loss:
    """Why a network is dead: the one class that it predicts, or the classes that it lost compared with the base."""

    only: int | None
    classes: tuple[int, ...]

    def text(self, labels: Sequence[str]) -> str:
        """As the end of a sentence about the network, with the names of the classes."""
        if self.only is not None:
            return f"answers {named([self.only], labels)} for every image"
        return f"lost {named(self.classes, labels)}"


def loss_of(base: Results, final: Results, split: Literal["validation", "test"] = "validation") -> Loss | None:
    """What makes a network dead whatever its accuracy; None for one that is alive."""
    ours, theirs = final.answers(split), base.answers(split)
    only = ours.only_answer
    lost = ours.lost(theirs)
    return Loss(only, lost) if only is not None or lost else None


def unknown(base: Accuracy, final: Accuracy, labels: Sequence[str]) -> str:
    """Notes on an accepted network: classes that it does not recognize, too few to call it dead."""
    said = []
    for index, (ours, theirs) in enumerate(zip(final.confusion, base.confusion, strict=True)):
        name = named([index], labels)
        if not sum(ours):
            said.append(f"there is no validation image of {name}")
        elif not ours[index] and index not in final.lost(base):
            said.append(f"of {sum(ours)} validation images of {name} it recognizes none (the base {theirs[index]})")
    return "; ".join(said[:NAMED] + ([f"and {len(said) - NAMED} more such classes"] if len(said) > NAMED else []))


def quoted(classes: Iterable[int], labels: Sequence[str]) -> list[str]:
    """Each class by its label, in quotes; by number if there is no label."""
    return [repr(labels[index]) if index < len(labels) else f"class {index}" for index in classes]


def named(classes: Iterable[int], labels: Sequence[str]) -> str:
    """Classes as `quoted` has them, the first few of many.

    >>> named([1, 0], ["fine", "crack"])
    "'crack' and 'fine'"
    """
    found = quoted(classes, labels)
    if len(found) > NAMED:
        return f"{', '.join(found[:NAMED])} and {len(found) - NAMED} more"
    return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)
