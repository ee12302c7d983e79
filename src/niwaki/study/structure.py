"""The structure of a study's trials, known before any training: for dry runs and early errors."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from niwaki.errors import FactoryError, ModelError, Wording
from niwaki.files import canonical_json
from niwaki.measure.cost import count
from niwaki.models import factory as factories
from niwaki.models import modelfile
from niwaki.models.modelfile import ModelInfo, PruningState
from niwaki.models.structure import sizes
from niwaki.study.plan import Plan, Trial
from niwaki.study.spec import ModelSpec
from niwaki.training.output_layers import find_heads
from niwaki.training.prune import Given, prune_step, widths
from niwaki.training.settings import PruneSettings

SHAPING = {"ratio", "steps", "scope", "keep", "ratios", "multiple"}
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Sizes:
    """The size of a network after a pruning step (0: before the first)."""

    step: int
    params: int
    macs: int
    macs_tp: int | None
    widths: dict[str, int]
    uncounted: tuple[str, ...] = ()
    """What `macs` leaves out."""
    whole: dict[str, str] = field(default_factory=dict)
    """Layers that cannot be cut, and why."""

    def to_dict(self) -> dict[str, object]:
        """As JSON; the last two only if there are any."""
        return {
            "step": self.step,
            "params": self.params,
            "macs": self.macs,
            "macs_tp": self.macs_tp,
            "widths": self.widths,
            **({"uncounted": list(self.uncounted)} if self.uncounted else {}),
            **({"whole": self.whole} if self.whole else {}),
        }


Rows = list[Sizes]


class Structures:
    """The sizes step by step, computed once for each model and way of pruning."""

    def __init__(self, input_shape: Shape | None, *, trust: bool) -> None:
        self.input_shape, self.trust = input_shape, trust
        self._known: dict[bytes, Rows | ModelError | None] = {}

    def of(self, trial: Trial) -> Rows | None:
        """The rows of a trial; None if they depend on trained weights, or on data that is not read yet.

        Raises ModelError if the network cannot be pruned.
        """
        rows = self._rows(trial.settings.model, None if trial.settings.longer else trial.settings.prune)
        if rows and trial.settings.from_scratch:
            return rows[-1:]
        return rows

    def _rows(self, model: ModelSpec, prune: PruneSettings | None) -> Rows | None:
        if prune is not None and prune.weights_decide:
            return None
        shape_of_pruning = prune.model_dump(include=SHAPING) if prune else None
        key = canonical_json([model.model_dump(mode="json"), shape_of_pruning])
        if key not in self._known:
            with one_thread():
                self._known[key] = self._work_out(model, prune)
        found = self._known[key]
        if isinstance(found, ModelError):
            raise found
        return found

    def refusals(self, plan: Plan) -> dict[str, ModelError]:
        """The trials whose networks cannot be pruned, by experiment and value (`in_words`); the others can run.

        Raises the first ModelError if no trial can run.
        """
        refused: dict[str, ModelError] = {}
        for trial in plan.trials:
            try:
                self.of(trial)
            except FactoryError:
                raise
            except ModelError as error:
                refused.setdefault(in_words(trial), error)
        if refused and all(in_words(trial) in refused for trial in plan.trials):
            raise next(iter(refused.values()))
        return refused

    def _work_out(self, model: ModelSpec, prune: PruneSettings | None) -> Rows | ModelError | None:
        module, shape = self._build(model)
        if shape is None:
            return None
        try:
            return list(_walk(module, prune, shape))
        except FactoryError:
            raise
        except ModelError as error:
            return error

    def _build(self, model: ModelSpec) -> tuple[nn.Module, Shape | None]:
        if model.weights is not None:
            module, info = modelfile.load_with_info(model.weights, trust=self.trust)
            return module, info.input_shape
        return factories.build_seeded(model.factory, model.args, 0, trust=self.trust), self.input_shape


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One thread: these networks are too small for torch's threads, which would only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def check_structures(plan: Plan, input_shape: Shape, notify: Callable[[str], None], *, trust: bool) -> None:
    """Prune each model of the plan untrained, to find one that cannot be pruned before hours of training.

    Reports which trials will fail. Raises ModelError naming the cause if all will.
    """
    for trial, error in Structures(input_shape, trust=trust).refusals(plan).items():
        notify(Wording(f"{trial}: will fail; the others run: ", error))


def in_words(trial: Trial) -> str:
    """A trial by its experiment and value."""
    return trial.experiment if trial.value is None else f"{trial.experiment}, {trial.value}"


def structure_id(model: nn.Module, info: ModelInfo) -> str:
    """A short hash of a network's builder and sizes: two models that share it differ only in weights."""
    shape = [info.factory, info.args, sizes(model), {k: list(v.shape) for k, v in model.state_dict().items()}]
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]


def _walk(module: nn.Module, prune: PruneSettings | None, shape: Shape) -> Iterator[Sizes]:
    heads = find_heads(module, shape)
    yield _row(module, 0, heads, shape)
    if prune is None or prune.ratio == 0:
        return
    uniform = prune.model_copy(update={"importance": "l1"})  # the widths do not depend on it
    state: PruningState | None = None
    for step in range(1, prune.steps + 1):
        report = prune_step(module, uniform, shape, step=step, given=Given(state))
        state = report.state
        yield replace(_row(module, step, heads, shape), whole=dict(report.whole))


def _row(module: nn.Module, step: int, heads: list[str], shape: Shape) -> Sizes:
    cost = count(module, shape)
    return Sizes(step, cost.params, cost.macs, cost.macs_tp, widths(module, heads), cost.uncounted)
