"""Structured pruning in steps, which different processes may take, based on torch-pruning."""

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

from niwaki.errors import ModelError, StageFailed
from niwaki.models.examine import check_bare, check_numbers
from niwaki.models.generators import generators_kept, reseed, seeded
from niwaki.models.modelfile import PruningState
from niwaki.models.structure import out_width, tie_again, ties, weighted_layers
from niwaki.tabular import Column, Tabular
from niwaki.training.comparison import Comparison
from niwaki.training.cuts import Cut, Scissors, Snapshot
from niwaki.training.output_layers import check_still_runs, find_heads
from niwaki.training.ranking import Candidate, Survey, Surveyor, choose, fails_on_it, keeping, probes, ratio_at
from niwaki.training.ratios import nothing_removed, nothing_to_prune, widths_in_scope
from niwaki.training.settings import PruneSettings
from niwaki.training.tracing import BoundedGraph, trace

COMPARED = 8  # images to compare the pruned and the unpruned network on, at most

Shape = tuple[int, int, int]
_COLUMNS: tuple[Column, ...] = (("layer", "left"), ("channels", "right"), ("removed", "right"), ("", "left"))


@dataclass(frozen=True)
class PruneReport:
    """What one pruning step did. `widths` holds what remains in every layer except the classifier's output.

    `asked` and `reached` are the fractions of the channels in scope that should be removed by now, and that are (None
    if the original widths are unknown); `whole` says why layers that should have lost channels kept all of them.
    """

    step: int
    widths: dict[str, int]
    removed: dict[str, int]
    notes: tuple[str, ...]
    state: PruningState
    asked: float
    reached: float | None
    whole: dict[str, str]

    def __repr__(self) -> str:
        reached = "" if self.reached is None else f", {100 * self.reached:.1f} % of all gone"
        return f"<PruneReport step {self.step}: {sum(self.removed.values()):,} channels removed{reached}>"

    def _repr_html_(self) -> str:
        return self.table().to_html()

    def table(self) -> Tabular:
        """What remains of each layer, what was removed, and why a layer kept all of its channels."""
        rows = tuple(
            (layer, str(width), str(self.removed.get(layer, 0)), self.whole.get(layer, ""))
            for layer, width in self.widths.items()
        )
        return Tabular(_COLUMNS, rows, f"{self!r}"[1:-1], self.notes)


@dataclass(frozen=True, eq=False)
class Given:
    """The inputs of a pruning step besides the network and the settings."""

    state: PruningState | None = None
    """The state in the report of the previous step."""
    original: Mapping[str, int] | None = None
    """The widths before the first step."""
    images: torch.Tensor | None = None
    """float32 (N, C, H, W), to compare the network on before and after; random ones by default."""
    gradients_from: tuple[torch.Tensor, torch.Tensor] | None = None
    """Images as above and labels (N,), for Taylor importance."""
    seed: int = 0
    """Seed of random importance."""
    keep: Mapping[str, int] | None = None
    """How many channels each group keeps, by the name of its first layer, in place of the settings' ratio."""


_NOTHING = Given()


@generators_kept()
def prune_step(
    model: nn.Module, settings: PruneSettings, input_shape: Shape, *, step: int, given: Given = _NOTHING
) -> PruneReport:
    """Take step number `step` (1 … `settings.steps`) of iterative pruning, in place; the model ends in eval mode.

    After it, `ratio * step / steps` of the original channels are removed. With the `state` of the previous step, steps
    taken in different processes equal those of one pruner (torch-pruning counts from the widths that it meets first, so
    a fresh one would prune too much). The layers that make the classifier's output are found and kept. At least one
    channel of every layer remains.

    The pruned network is compared with the unpruned one whose removed channels are ignored. Layers that would change
    the rest of the network stay whole, and so do those that torch-pruning cannot cut; the report says why.

    Raises ModelError or StageFailed if the model cannot be traced, cannot be pruned or breaks; it is then unchanged.
    """
    taken = given.state.step if given.state else 0
    if taken != step - 1:
        raise ModelError(f"pruning step {step} follows step {step - 1}, but the model is at {taken}")
    check_bare(model)
    check_numbers(model)
    model.eval()
    reseed(given.seed)
    heads = find_heads(model, input_shape)
    before = widths(model, heads)
    images = given.images
    if images is None:
        images = torch.rand(COMPARED, *input_shape, generator=torch.Generator().manual_seed(0))
    with _all_trainable(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch-pruning's remarks on layers that it does not know; checked below
        if settings.importance == "taylor":
            _accumulate_gradients(model, given.gradients_from)
        original = given.original or (before if step == 1 else {})
        todo = _Step(model, settings, input_shape, step, heads, images, given.seed, ties(model), original, given.keep)
        done = todo.take(given.state)
        model.zero_grad(set_to_none=True)
    after = widths(model, heads)
    wide = {name: width for name, width in after.items() if original.get(name, before[name]) == width > 1}
    whole = {name: why for name, why in done.whole.items() if name in wide}
    removed = {name: before[name] - after[name] for name in before}
    scope = widths_in_scope(model, settings, step, original, after)
    notes = (*scope.notes(whole), *nothing_removed(step, settings, removed), *done.notes)
    return PruneReport(step, after, removed, notes, done.state, scope.asked, scope.reached, whole)


def widths(model: nn.Module, heads: list[str]) -> dict[str, int]:
    """Output channels (features) of every layer with weights except the `heads`."""
    return {name: out_width(layer) for name, layer in weighted_layers(model) if name not in heads}


@dataclass
class _Done:
    """A step that was taken, or what prevents it: layers that must stay whole in the next attempt."""

    state: PruningState
    whole: dict[str, str]
    notes: tuple[str, ...] = ()
    faults: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Step:
    """One pruning step of a network: tried, and repeated with the obstructing layers left whole."""

    model: nn.Module
    settings: PruneSettings
    input_shape: Shape
    step: int
    heads: list[str]
    images: torch.Tensor
    seed: int
    shared: list[tuple[str, ...]]
    original: Mapping[str, int]
    keep: Mapping[str, int] | None = None

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
        sizes = self._sizes(state, whole, found)
        # Layers that are whole at first stay whole: the original width of a group is known only for those that were
        # cut.
        kept = whole if state else {name: why for name, why in found.whole.items() if name not in self.heads}
        done = _Done(PruningState(step=self.step, scopes=sizes, whole=kept), found.whole)
        comparison = Comparison(self.model, before, self.images)
        done.faults = self._misread(graph, surveyor, found, comparison)
        if done.faults:
            return done
        scissors = Scissors(graph)
        groups: list[list[str]] = []
        made: list[tuple[Candidate, list[int]]] = []
        asked = choose(found, self.settings, self.step, sizes) if self.keep is None else keeping(found, self.keep)
        for candidate, indices in asked:
            group = _group(graph, candidate, indices)
            if not graph.check_pruning_group(group):
                why = "what it feeds would lose all of its inputs with it"
                done.whole.update(dict.fromkeys(surveyor.named(group), why))
                continue
            groups.append(surveyor.named(group))
            made.append((candidate, indices))
            try:
                scissors.cut(group)
            except Exception as error:  # any user's model may hit any of torch-pruning's limits
                done.faults = dict.fromkeys(groups[-1], fails_on_it(error))
                return done
        done.whole |= dict(_undivided(found))
        misplaced = comparison.misplaced(scissors.cuts)
        broken = self._broken(f"after pruning step {self.step}")
        if broken and not misplaced:
            done.faults = self._in_the_way(before, made, broken)
            return done
        faults = misplaced or comparison.changed(scissors.cuts)
        if faults and not broken and not comparison.possible():
            done.notes = (_NOT_COMPARED,)
            return done
        done.faults = {name: broken or fault.reason for fault in faults for name in groups[fault.cut]}
        if not faults:
            done.notes = tuple(_over_what_is_left(names) for names in [comparison.normalized] if names)
            done.faults = self._torn(scissors.cuts, groups)
        return done

    def _in_the_way(self, before: Snapshot, made: list[tuple[Candidate, list[int]]], broken: str) -> dict[str, str]:
        """Layers that the network cannot run without channels of, even alone; what is left is cut in part.

        Raises ModelError if it runs without channels of any single group.
        """
        found: dict[str, str] = {}
        for candidate, indices in made:
            before.restore()
            _group(trace(self.model, self.input_shape), candidate, indices).prune()
            if why := self._broken("without some of these channels"):
                found |= dict.fromkeys(candidate.widths, why)
        if not found:
            names = ", ".join(name for candidate, _ in made for name in candidate.widths)
            raise ModelError(f"{broken}; without channels of any one of these layers it runs: {names}")
        return found

    def _misread(
        self, graph: BoundedGraph, surveyor: Surveyor, found: Survey, comparison: Comparison
    ) -> dict[str, str]:
        """Layers whose channels torch-pruning does not follow correctly through the network, whichever they are."""
        groups = [_group(graph, candidate, indices) for candidate, indices in probes(found)]
        faults = comparison.misplaced([Scissors(graph).plan(group) for group in groups])
        if not faults or not comparison.possible():
            return {}
        return {name: fault.reason for fault in faults for name in surveyor.named(groups[fault.cut])}

    def _torn(self, cuts: list[Cut], groups: list[list[str]]) -> dict[str, str]:
        """Layers that cannot lose channels because two modules, each cut on its own, share a parameter."""
        try:
            tie_again(self.model, self.shared)
        except ModelError as error:
            sharing = {self.model.get_submodule(name.rpartition(".")[0]) for group in self.shared for name in group}
            touched = [bool(sharing & (set(cut.outputs) | set(cut.inputs))) for cut in cuts]
            return {name: str(error) for group, hit in zip(groups, touched, strict=True) if hit for name in group}
        return {}

    def _broken(self, when: str) -> str:
        """Why the network no longer runs; empty if it does."""
        try:
            check_still_runs(self.model, self.input_shape, when)
        except ModelError as error:
            return str(error)
        return ""

    def _sizes(self, state: PruningState | None, whole: dict[str, str], found: Survey) -> dict[str, int]:
        """Channels before the first step in each ranking. Layers that stay whole from this step on no longer count."""
        now = found.sizes(self.settings)
        if state is None:
            if not now:
                raise ModelError(nothing_to_prune(found.whole))
            return now
        if self.settings.distribution == "uniform":
            return state.scopes | self._original_sizes(found)
        if set(whole) == set(state.whole):
            return state.scopes
        left = 1 - ratio_at(self.settings, self.step - 1)
        return {name: math.ceil(size / left) for name, size in now.items()}

    def _original_sizes(self, found: Survey) -> dict[str, int]:
        """By candidate, if the widths before the first step are known: layers may now be grouped differently."""
        known = {}
        for candidate in found.candidates:
            same = [
                name for name, width in candidate.widths.items() if width == candidate.parts * len(candidate.scores)
            ]
            sizes = [self.original[name] // candidate.parts for name in same if name in self.original]
            if sizes:
                known[candidate.name] = max(sizes)
        return known


def _undivided(found: Survey) -> Iterator[tuple[str, str]]:
    """Layers with nothing to lose, since each of their parts must keep a channel."""
    for candidate in found.candidates:
        if candidate.parts > 1 and len(candidate.scores) == 1:
            why = f"its {candidate.parts} groups have one channel each, and each keeps at least one"
            yield from dict.fromkeys(candidate.widths, why).items()


def _group(graph: BoundedGraph, candidate: Candidate, indices: list[int]) -> Any:
    """The layers that lose channels if a candidate loses these."""
    start = candidate.group[0].dep
    return graph.get_pruning_group(start.target.module, start.handler, indices)


def _over_what_is_left(names: tuple[str, ...]) -> str:
    """Zeroing the removed channels would change the statistics."""
    return f"the normalization over channels ({', '.join(names)}) would be computed over the remaining channels only"


_NOT_COMPARED = (
    "not compared with the unpruned network, whose outputs vary from call to call or are not finite: niwaki does not "
    "know whether the right channels were removed"
)


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


@contextmanager
def _all_trainable(model: nn.Module) -> Iterator[None]:
    """Tracing follows gradients, so frozen parameters require them meanwhile (by name: pruning replaces parameters)."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    model.requires_grad_(True)
    try:
        yield
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name not in frozen)
