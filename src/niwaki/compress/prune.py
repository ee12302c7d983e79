"""Structured pruning in steps that can be taken in different processes, with torch-pruning underneath."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from niwaki.compress.comparison import Comparison
from niwaki.compress.cuts import Cut, Scissors, Snapshot
from niwaki.compress.heads import check_still_runs, find_heads
from niwaki.compress.ranking import Candidate, Survey, Surveyor, choose, fails_on_it, in_scope, probes, ratio_at
from niwaki.compress.settings import PruneSettings
from niwaki.compress.tracing import BoundedGraph, trace
from niwaki.errors import ModelError, StageFailed
from niwaki.models.examine import check_bare, check_numbers
from niwaki.models.generators import generators_kept, reseed, seeded
from niwaki.models.modelfile import PruningState
from niwaki.models.structure import out_width, tie_again, ties, weighted_layers

COMPARED = 8  # images on which the pruned network and the unpruned one are compared, at most

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class PruneReport:
    """What one pruning step did. `widths` holds what remains in every layer but the classifier's output.

    `asked` and `reached` are the fractions of the channels in scope that should be gone by now, and that are (None
    where the original widths are not known); `whole` says why layers that should have lost channels have all of them.
    """

    step: int
    widths: dict[str, int]
    removed: dict[str, int]
    notes: tuple[str, ...]
    state: PruningState
    asked: float
    reached: float | None
    whole: dict[str, str]


@generators_kept()
def prune_step(
    model: nn.Module,
    settings: PruneSettings,
    input_shape: Shape,
    *,
    step: int,
    state: PruningState | None = None,
    gradients_from: tuple[torch.Tensor, torch.Tensor] | None = None,
    images: torch.Tensor | None = None,
    original: Mapping[str, int] | None = None,
    seed: int = 0,
) -> PruneReport:
    """Take step number `step` (1 … `settings.steps`) of iterative pruning, in place; the model ends in eval mode.

    After it, `ratio * step / steps` of the original channels are gone. `state` is what the report of the
    step before held; with it, steps taken in different processes give what one pruner gives
    (torch-pruning counts from the widths it meets first, so a fresh one would prune too much). The layers
    that make the classifier's output are found and kept. At least one channel of every layer remains.

    The pruned network is compared with the unpruned one whose removed channels count for nothing, on `images`
    (float32 (N, C, H, W); random ones if left out). Layers without which it would compute something else stay whole,
    and so do those that torch-pruning cannot cut; the report says why.

    `gradients_from` (images as above, labels (N,)) is needed for Taylor importance; `seed` is used by random
    importance; `original` are the widths before the first step.

    Raises ModelError or StageFailed if the model cannot be traced, cannot be pruned or breaks; it is then as before.
    """
    if (state.step if state else 0) != step - 1:
        raise ModelError(
            f"pruning step {step} follows step {step - 1}, but the model is at {state.step if state else 0}"
        )
    check_bare(model)
    check_numbers(model)
    model.eval()
    reseed(seed)
    heads = find_heads(model, input_shape)
    before = widths(model, heads)
    if images is None:
        images = torch.rand(COMPARED, *input_shape, generator=torch.Generator().manual_seed(0))
    with _all_trainable(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch-pruning's remarks on layers it does not know; checked below
        if settings.importance == "taylor":
            _accumulate_gradients(model, gradients_from)
        done = _Step(model, settings, input_shape, step, heads, images, seed, ties(model)).take(state)
        model.zero_grad(set_to_none=True)
    after = widths(model, heads)
    original = original or (before if step == 1 else {})
    whole = {name: why for name, why in done.whole.items() if name in after and after[name] == before[name]}
    whole = {name: why for name, why in whole.items() if original.get(name, after[name]) == after[name] > 1}
    removed = {name: before[name] - after[name] for name in before}
    asked, reached = ratio_at(settings, step), _reached(model, settings, original, after)
    return PruneReport(
        step, after, removed, (*_whole_notes(whole, asked, reached), *_notes(step, settings, removed), *done.notes),
        done.state, asked, reached, whole,
    )  # fmt: skip


def widths(model: nn.Module, heads: list[str]) -> dict[str, int]:
    """Output channels (features) of every layer with weights but the `heads`."""
    return {name: out_width(layer) for name, layer in weighted_layers(model) if name not in heads}


@dataclass
class _Done:
    """A step that was taken, or what is in its way: layers that are to stay whole next time."""

    state: PruningState
    whole: dict[str, str]
    notes: tuple[str, ...] = ()
    faults: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Step:
    """One pruning step of a network: tried, and tried again with the layers whole that were in the way."""

    model: nn.Module
    settings: PruneSettings
    input_shape: Shape
    step: int
    heads: list[str]
    images: torch.Tensor
    seed: int
    shared: list[tuple[str, ...]]

    def take(self, state: PruningState | None) -> _Done:
        before = Snapshot(self.model)
        whole = dict(state.whole) if state else {}
        try:
            while True:
                done = self._try(before, state, whole)
                if not done.faults:
                    return done
                before.restore()
                whole |= done.faults
        except BaseException:
            before.restore()
            raise

    def _try(self, before: Snapshot, state: PruningState | None, whole: dict[str, str]) -> _Done:
        graph = trace(self.model, self.input_shape)
        with torch.no_grad(), seeded(self.seed):
            surveyor = Surveyor(self.model, graph, self.settings, self.heads, whole)
            found = surveyor.survey()
        sizes = self._sizes(state, whole, found.sizes(self.settings), found.whole)
        done = _Done(PruningState(step=self.step, scopes=sizes, whole=whole), found.whole)
        comparison = Comparison(self.model, before, self.images)
        done.faults = self._misread(graph, surveyor, found, comparison)
        if done.faults:
            return done
        scissors = Scissors(graph)
        groups: list[list[str]] = []
        for candidate, indices in choose(found, self.settings, self.step, sizes):
            group = _group(graph, candidate, indices)
            if not graph.check_pruning_group(group):
                why = "what it feeds would lose all of its inputs with it"
                done.whole.update(dict.fromkeys(surveyor.named(group), why))
                continue
            groups.append(surveyor.named(group))
            try:
                scissors.cut(group)
            except Exception as error:  # any user's model may meet any of torch-pruning's limits
                done.faults = dict.fromkeys(groups[-1], fails_on_it(error))
                return done
        return self._compared(done, comparison, scissors.cuts, groups)

    def _misread(
        self, graph: BoundedGraph, surveyor: Surveyor, found: Survey, comparison: Comparison
    ) -> dict[str, str]:
        """Layers whose channels torch-pruning does not follow rightly through the network, whichever they are."""
        groups = [_group(graph, candidate, indices) for candidate, indices in probes(found)]
        faults = comparison.misplaced([Scissors(graph).plan(group) for group in groups])
        if not faults or not comparison.possible():
            return {}
        return {name: fault.reason for fault in faults for name in surveyor.named(groups[fault.cut])}

    def _compared(self, done: _Done, comparison: Comparison, cuts: list[Cut], groups: list[list[str]]) -> _Done:
        misplaced = comparison.misplaced(cuts)
        broken = self._broken()
        if broken and not misplaced:
            raise ModelError(broken)
        faults = misplaced or comparison.changed(cuts)
        if faults and not broken and not comparison.possible():
            done.notes = (_NOT_COMPARED,)
            return done
        done.faults = {name: broken or fault.reason for fault in faults for name in groups[fault.cut]}
        if not faults:
            done.faults = self._torn(cuts, groups)
        return done

    def _torn(self, cuts: list[Cut], groups: list[list[str]]) -> dict[str, str]:
        """Layers that cannot lose channels because two modules, cut each on its own, share a parameter."""
        try:
            tie_again(self.model, self.shared)
        except ModelError as error:
            sharing = {self.model.get_submodule(name.rpartition(".")[0]) for group in self.shared for name in group}
            touched = [bool(sharing & (set(cut.outputs) | set(cut.inputs))) for cut in cuts]
            return {name: str(error) for group, hit in zip(groups, touched, strict=True) if hit for name in group}
        return {}

    def _broken(self) -> str:
        """Why the network no longer runs; empty if it does."""
        try:
            check_still_runs(self.model, self.input_shape, f"after pruning step {self.step}")
        except ModelError as error:
            return str(error)
        return ""

    def _sizes(
        self, state: PruningState | None, whole: dict[str, str], now: dict[str, int], reasons: dict[str, str]
    ) -> dict[str, int]:
        """Channels before the first step in each ranking. What is whole from this step on no longer counts in one."""
        if state is None:
            if not now:
                raise ModelError(_nothing(reasons))
            return now
        if set(whole) == set(state.whole) or self.settings.distribution == "uniform":
            return state.scopes
        left = 1 - ratio_at(self.settings, self.step - 1)
        return {name: math.ceil(size / left) for name, size in now.items()}


def _group(graph: BoundedGraph, candidate: Candidate, indices: list[int]) -> Any:
    """The layers that lose channels if a candidate loses these."""
    start = candidate.group[0].dep
    return graph.get_pruning_group(start.target.module, start.handler, indices)


_NOT_COMPARED = (
    "not compared with the unpruned network, which does not answer twice the same, or not in finite numbers: whether "
    "the right channels went is not known"
)


def _nothing(reasons: Mapping[str, str]) -> str:
    said = "there is nothing to prune: no convolution or linear layer in scope but the classifier's output"
    return f"{said} can lose channels; {'; '.join(_sentences(reasons))}" if reasons else said


def _sentences(reasons: Mapping[str, str]) -> list[str]:
    """One for each reason, with the layers that it is of."""
    layers: dict[str, list[str]] = {}
    for name, why in reasons.items():
        layers.setdefault(why, []).append(name)
    return [f"{', '.join(names)} {'stay' if len(names) > 1 else 'stays'} whole: {why}" for why, names in layers.items()]


def _reached(
    model: nn.Module, settings: PruneSettings, original: Mapping[str, int], after: Mapping[str, int]
) -> float | None:
    layers = [name for name, layer in weighted_layers(model) if name in after and in_scope(layer, settings)]
    if not layers or any(name not in original for name in layers):
        return None
    return 1 - sum(after[name] for name in layers) / sum(original[name] for name in layers)


def _whole_notes(whole: Mapping[str, str], asked: float, reached: float | None) -> tuple[str, ...]:
    if not whole:
        return ()
    gone = "" if reached is None else f"; {100 * reached:.3g} % of the channels in scope are gone"
    return (f"{100 * asked:.3g} % of the channels asked for{gone}: {'; '.join(_sentences(whole))}",)


def _accumulate_gradients(model: nn.Module, images_and_labels: tuple[torch.Tensor, torch.Tensor] | None) -> None:
    if images_and_labels is None:
        raise ModelError("taylor importance needs training images: give the data to prune with")
    images, labels = images_and_labels
    model.zero_grad()
    with torch.enable_grad():
        for x, y in zip(torch.split(images, 256), torch.split(labels, 256), strict=True):
            loss = F.cross_entropy(model(x), y, reduction="sum") / len(labels)
            if not torch.isfinite(loss):
                raise StageFailed("taylor importance: the loss on the training images is not finite")
            loss.backward()  # type: ignore[no-untyped-call]


def _notes(step: int, settings: PruneSettings, removed: dict[str, int]) -> tuple[str, ...]:
    if any(removed.values()):
        return ()
    return (
        f"step {step} of {settings.steps} removed nothing: {settings.ratio * step / settings.steps:.0%} of these "
        "widths is less than a channel more than before; take fewer steps or a higher ratio",
    )


@contextmanager
def _all_trainable(model: nn.Module) -> Iterator[None]:
    """Tracing follows gradients, so frozen parameters are thawed meanwhile (by name: pruning replaces them)."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    model.requires_grad_(True)
    try:
        yield
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name not in frozen)
