"""The best network within a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from niwaki.arguments import checked, text_of
from niwaki.errors import SpecError
from niwaki.search.request import Wanted, check_sampler
from niwaki.search.space import Space, checked_space, load_space
from niwaki.study.listener import Listener, Silent
from niwaki.study.request import Request

if TYPE_CHECKING:
    from niwaki.search.answer import Figures
    from niwaki.search.outcome import Answer


@dataclass(frozen=True)
class Compressed:
    """The result of a search: the chosen network, the runner-up, and the front of what was tried."""

    answer: Answer

    def __repr__(self) -> str:
        figures = self.answer.chosen
        return f"<Compressed {self.answer.folder}: {figures.validation.accuracy:.2f} % within {self.answer.fit}>"

    @property
    def chosen(self) -> Figures:
        """The most accurate network within the budget, or the least costly one that is accurate enough."""
        return self.answer.chosen

    @property
    def runner_up(self) -> Figures | None:
        """The second best network."""
        return self.answer.runner_up

    @property
    def front(self) -> Any:
        """The networks that none beats in constants and accuracy: a DataFrame if pandas is installed, else a list."""
        try:
            import pandas
        except ImportError:
            return list(self.answer.front)
        return pandas.DataFrame.from_records(list(self.answer.front))

    def report(self, *, language: Literal["en", "ko"] = "en") -> Path:
        """Write the report, `report.html` in the folder, and return its path."""
        from niwaki.search_report.page import build_search_report

        return build_search_report(self.answer, language)

    def to_dict(self) -> dict[str, object]:
        """As JSON values: what the command prints."""
        return self.answer.to_dict()


@checked
def compress(
    model: str | Path,
    data: str | Path | None = None,
    *,
    fit: str = "",
    target: str = "cortex-m4",
    maximize: str | None = None,
    minimize: str | None = None,
    drop: float | None = None,
    time: str | None = None,
    trials: int | None = None,
    seeds: int = 3,
    jobs: int | None = None,
    ray: str | None = None,
    space: str | Path | Mapping[str, Any] | None = None,
    train: str | Callable[..., object] | None = None,
    sampler: str = "tpe",
    device: str = "cpu",
    out: str | Path | None = None,
    trust: bool = False,
    listener: Listener | None = None,
) -> Compressed:
    """Search for the best network within a budget, as `niwaki compress` does; prints nothing by itself.

    `model` is a model file, a study's folder or a factory's name, `fit` the limits ("constants<=16KB, ram<=2KB"),
    `space` a TOML file or its contents, `minimize` a cost to minimize instead of maximizing accuracy. `train` is your
    own training function in place of niwaki's, or its name, package.module:callable; workers import and call it with
    `(model, data, epochs, seed)`, and it trains the model in place. It needs `trust`.

    Raises NiwakiError for bad input; StageFailed if nothing fits, before training if the smallest candidate does not.

    >>> found = niwaki.compress("lenet5", fit="constants<=16KB", trials=8, out="small")   # doctest: +SKIP
    """
    from niwaki.search.compress import compress as search
    from niwaki.search_report.page import build_search_report

    wanted = Wanted(
        str(model), fit, text_of(data), target, maximize, minimize, drop, time, trials, seeds, jobs, ray, device,
        None if out is None else Path(out), check_sampler(sampler), trust,
    )  # fmt: skip
    ways: Space = (
        checked_space(space) if isinstance(space, Mapping) else load_space(None if space is None else Path(space))
    )
    if train is not None:
        ways = ways.model_copy(update={"trainer": _name_of(train)})
    paths = (str(Path.cwd()),) if trust else ()
    return Compressed(
        search(
            wanted,
            ways,
            listener or Silent(),
            report=build_search_report,
            device=Request(device=device).torch_device,
            paths=paths,
        )
    )


def _name_of(train: str | Callable[..., object]) -> str:
    """The name by which workers import a function. Raises SpecError if they cannot."""
    if isinstance(train, str):
        return checked_space({"trainer": train}).trainer or ""
    module, name = getattr(train, "__module__", None), getattr(train, "__qualname__", "")
    if module in (None, "__main__") or "<" in name:
        raise SpecError(
            f"train: {name or train!r} of {module} cannot be imported by workers: put it into a module of its own"
        )
    return f"{module}:{name}"
