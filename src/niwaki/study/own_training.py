"""A user's own training function in place of niwaki's: `package.module:callable`, as workers can import it."""

from __future__ import annotations

from torch import nn

from niwaki.data.dataset import Dataset
from niwaki.errors import FactoryError, NiwakiError, Setting, StageFailed, kind_and_line
from niwaki.models import factory as factories
from niwaki.models.examine import check_numbers
from niwaki.study.plan import Settings

TRAINER = ("trainer", "trainer_source")
"""The keys of a stage's settings that name the function and its code."""


def trained_by(name: str, *, trust: bool) -> Settings:
    """The settings of a stage that this function trains. Raises FactoryError if it is not trusted, or not there."""
    if not trust:
        raise FactoryError(
            f"the training function {name!r} is not niwaki's: it would be run; if you trust it, say ",
            Setting("trust", "True"),
        )
    return {"trainer": name, "trainer_source": factories.source_of(name, f"trainer {name!r}")}


def train_by(name: str, model: nn.Module, data: Dataset, epochs: int, seed: int) -> None:
    """Call it: it trains `model` in place for so many epochs on `data`, whose test images are not the true ones.

    Raises StageFailed if it raises, ModelError if it leaves a weight that is not a number.
    """
    train = factories.find_callable(name, f"trainer {name!r}")
    try:
        train(model, data, epochs, seed)
    except NiwakiError:
        raise
    except Exception as error:  # whatever a user's function raises
        raise StageFailed(f"the training function {name!r} failed: {kind_and_line(error)}") from error
    check_numbers(model)
