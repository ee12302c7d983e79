"""Structured pruning in steps that can be taken in different processes, with torch-pruning underneath."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning
from torch import nn
from torch.nn import functional as F

from niwaki.compress.heads import check_still_runs, find_heads
from niwaki.compress.settings import PruneSettings
from niwaki.errors import ModelError, StageFailed
from niwaki.models.examine import check_bare, check_numbers
from niwaki.models.generators import generators_kept, reseed, seeded
from niwaki.models.modelfile import PruningState
from niwaki.models.structure import out_width, tie_again, ties, weighted_layers

_GLOBAL_SCOPE = "DEFAULT_SCOPE"  # torch-pruning's name for the one ranking of global pruning


@dataclass(frozen=True)
class PruneReport:
    """What one pruning step did. `widths` holds what remains in every layer but the classifier's output."""

    step: int
    widths: dict[str, int]
    removed: dict[str, int]
    notes: tuple[str, ...]
    state: PruningState


@generators_kept()
def prune_step(
    model: nn.Module,
    settings: PruneSettings,
    input_shape: tuple[int, int, int],
    *,
    step: int,
    state: PruningState | None = None,
    gradients_from: tuple[torch.Tensor, torch.Tensor] | None = None,
    seed: int = 0,
) -> PruneReport:
    """Take step number `step` (1 … `settings.steps`) of iterative pruning, in place; the model ends in eval mode.

    After it, `ratio * step / steps` of the original channels are gone. `state` is what the report of the
    step before held; with it, steps taken in different processes give what one pruner gives
    (torch-pruning counts from the widths it meets first, so a fresh one would prune too much). The layers
    that make the classifier's output are found and kept. At least one channel of every layer remains.

    `gradients_from` (images float32 (N, C, H, W), labels (N,)) is needed for Taylor importance; `seed` is
    used by random importance.

    Raises ModelError or StageFailed if the model cannot be traced or breaks.
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
    before, shared = widths(model, heads), ties(model)
    with _all_trainable(model):
        pruner = _pruner(model, settings, input_shape, heads)
        scopes = state.scopes if state else _scopes(pruner)
        pruner._scope_initial_channels = _leaving_one(scopes, pruner.per_step_pruning_ratio[step])
        pruner.current_step = step - 1
        if settings.importance == "taylor":
            _accumulate_gradients(model, gradients_from)
        with seeded(seed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch-pruning's remarks on layers it does not know; checked below
            pruner.step()
        model.zero_grad(set_to_none=True)
    tie_again(model, shared)
    check_still_runs(model, input_shape, f"after pruning step {step}")
    after = widths(model, heads)
    removed = {name: before[name] - after[name] for name in before}
    return PruneReport(step, after, removed, _notes(step, settings, removed), PruningState(step=step, scopes=scopes))


def widths(model: nn.Module, heads: list[str]) -> dict[str, int]:
    """Output channels (features) of every convolution and linear layer but the `heads`."""
    return {name: out_width(layer) for name, layer in weighted_layers(model) if name not in heads}


class _KeepBest(torch_pruning.importance.Importance):  # type: ignore[misc]
    """Makes the most important channel of each layer untouchable, so that no ranking removes a whole layer."""

    def __init__(self, inner: Any, channel_groups: Any) -> None:
        self.inner, self.channel_groups = inner, channel_groups

    def __call__(self, group: Any) -> torch.Tensor | None:
        scores: torch.Tensor | None = self.inner(group)
        if scores is None:
            return None
        parts = self.channel_groups(group)
        scores = scores.clone().view(parts, -1)
        scores[:, scores.mean(0).argmax()] = math.inf
        return scores.view(-1)


def _pruner(
    model: nn.Module, settings: PruneSettings, input_shape: tuple[int, int, int], heads: list[str]
) -> torch_pruning.BasePruner:
    modules = dict(model.named_modules())
    kept: type[nn.Module] | tuple[()] = {"conv": nn.Linear, "linear": nn.Conv2d, "both": ()}[settings.scope]  # type: ignore[assignment]
    ignored = [modules[name] for name in heads]
    ignored += [layer for _, layer in weighted_layers(model) if isinstance(layer, kept)]
    device = next(model.parameters()).device
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pruner = torch_pruning.pruner.MagnitudePruner(
                model,
                torch.rand(1, *input_shape, device=device),
                importance=_importance(settings),
                global_pruning=settings.distribution == "global",
                pruning_ratio=settings.ratio,
                iterative_steps=settings.steps,
                ignored_layers=ignored,
                # Given because torch-pruning's defaults are shared between all pruners of a process.
                in_channel_groups={},
                out_channel_groups={},
                num_heads={},
            )
    except Exception as error:  # any user's model may meet any of its limits
        first = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(f"torch-pruning cannot trace this model: {type(error).__name__}: {first}") from error
    if settings.distribution == "global":
        pruner.importance = _KeepBest(pruner.importance, pruner._get_channel_groups)
    return pruner


def _importance(settings: PruneSettings) -> Any:
    return {
        "l1": lambda: torch_pruning.importance.GroupMagnitudeImportance(p=1),
        "l2": lambda: torch_pruning.importance.GroupMagnitudeImportance(p=2),
        "taylor": torch_pruning.importance.GroupTaylorImportance,
        "random": torch_pruning.importance.RandomImportance,
    }[settings.importance]()


def _scopes(pruner: torch_pruning.BasePruner) -> dict[str, int]:
    """Channels per ranking scope before the first step, by the names that torch-pruning gives the scopes."""
    found: dict[str, int] = {}
    for group in pruner.DG.get_all_groups(
        ignored_layers=pruner.ignored_layers, root_module_types=pruner.root_module_types
    ):
        if not pruner._check_pruning_ratio(group):
            continue
        layer = group[0][0].source.module
        size = pruner.DG.get_out_channels(layer) // pruner._get_channel_groups(group)
        name = _GLOBAL_SCOPE if pruner.global_pruning else pruner.DG._module2name[layer]
        found[name] = found.get(name, 0) + size
    if not found:
        raise ModelError(
            "there is nothing to prune: no convolution or linear layer in scope but the classifier's output"
        )
    return found


def _leaving_one(scopes: dict[str, int], ratio: float) -> dict[str, int]:
    """The scopes, with those that the ratio would empty enlarged so that one channel is left.

    torch-pruning refuses to empty a layer and then leaves it whole without a word.
    """
    least = math.ceil(1 / (1 - ratio))
    while int(least * (1 - ratio)) < 1:
        least += 1
    return {name: size if int(size * (1 - ratio)) >= 1 else least for name, size in scopes.items()}


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
