"""The shapes that a study's trials will have, known before any training: for dry runs and early errors."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from niwaki.compress.heads import find_heads
from niwaki.compress.prune import prune_step, widths
from niwaki.compress.settings import PruneSettings
from niwaki.files import canonical_json
from niwaki.measure.cost import count
from niwaki.models import factory as factories
from niwaki.models import modelfile
from niwaki.models.modelfile import ModelInfo, PruningState
from niwaki.models.structure import sizes
from niwaki.study.plan import Plan, Trial
from niwaki.study.spec import ModelSpec

Rows = list[dict[str, Any]]
Shape = tuple[int, int, int]


class Structures:
    """Rows of (step, params, macs, macs_tp, widths), worked out once for each model and way of pruning."""

    def __init__(self, input_shape: Shape | None, *, trust: bool) -> None:
        self.input_shape, self.trust = input_shape, trust
        self._known: dict[bytes, Rows | None] = {}

    def of(self, trial: Trial) -> Rows | None:
        """The rows of a trial; None where they depend on trained weights, or on data that must be read first."""
        rows = self._rows(trial.settings.model, None if trial.settings.longer else trial.settings.prune)
        if rows and trial.settings.from_scratch:
            return rows[-1:]
        return rows

    def _rows(self, model: ModelSpec, prune: PruneSettings | None) -> Rows | None:
        if prune is not None and prune.weights_decide:
            return None
        shape_of_pruning = prune.model_dump(include={"ratio", "steps", "scope"}) if prune else None
        key = canonical_json([model.model_dump(mode="json"), shape_of_pruning])
        if key not in self._known:
            with one_thread():
                self._known[key] = self._work_out(model, prune)
        return self._known[key]

    def _work_out(self, model: ModelSpec, prune: PruneSettings | None) -> Rows | None:
        module, shape = self._build(model)
        if shape is None:
            return None
        return list(_walk(module, prune, shape))

    def _build(self, model: ModelSpec) -> tuple[nn.Module, Shape | None]:
        if model.weights is not None:
            module, info = modelfile.load_with_info(model.weights, trust=self.trust)
            return module, info.input_shape
        return factories.build_seeded(model.factory, model.args, 0, trust=self.trust), self.input_shape


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """These networks are too small for torch's threads: they only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def check_structures(plan: Plan, input_shape: Shape, *, trust: bool) -> None:
    """Prune each model of the plan untrained, so that one that cannot be pruned is found before hours of training.

    Raises ModelError naming the module at fault.
    """
    structures = Structures(input_shape, trust=trust)
    for trial in plan.trials:
        structures.of(trial)


def structure_id(model: nn.Module, info: ModelInfo) -> str:
    """A short hash of what builds the network and of its sizes: two models that share it differ in weights only."""
    shape = [info.factory, info.args, sizes(model), {k: list(v.shape) for k, v in model.state_dict().items()}]
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]


def _walk(module: nn.Module, prune: PruneSettings | None, shape: Shape) -> Iterator[dict[str, Any]]:
    heads = find_heads(module, shape)
    yield _row(module, 0, heads, shape)
    if prune is None or prune.ratio == 0:
        return
    uniform = prune.model_copy(update={"importance": "l1"})  # the widths do not depend on it
    state: PruningState | None = None
    for step in range(1, prune.steps + 1):
        state = prune_step(module, uniform, shape, step=step, state=state).state
        yield _row(module, step, heads, shape)


def _row(module: nn.Module, step: int, heads: list[str], shape: Shape) -> dict[str, Any]:
    cost = count(module, shape)
    return {
        "step": step,
        "params": cost.params,
        "macs": cost.macs,
        "macs_tp": cost.macs_tp,
        "widths": widths(module, heads),
        **({"uncounted": list(cost.uncounted)} if cost.uncounted else {}),
    }
