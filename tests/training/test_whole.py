"""Pruning removes what it reports; what it cannot remove stays whole, and is named with the reason."""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import unusual
from niwaki.errors import ModelError
from niwaki.models.lenet5 import LeNet5
from niwaki.models.modelfile import PruningState
from niwaki.models.structure import out_width, weighted_layers
from niwaki.training import prune
from niwaki.training.cuts import Snapshot
from niwaki.training.output_layers import find_heads
from niwaki.training.prune import Given, prune_step
from niwaki.training.ratios import Widths
from niwaki.training.settings import PruneSettings
from unusual import SHAPE, between, conv
from zoo import blocks
from zoo.mobile import Shuffle

HALF = PruneSettings(ratio=0.5, steps=1)
ORDER_OF_C2 = (
    "its channels do not reach exactly the inputs of c2 that pruning would remove with them: does the forward reorder "
    "them, view them in another shape or select them by number?"
)
ENDLESS = r"following its channels through the network never ends"
LOST = "torch-pruning cannot determine what depends on its channels: are they split"


def silenced(before: nn.Module, after: nn.Module) -> nn.Module:
    """The unpruned network with the channels at zero that the pruned one lacks: those whose bias is not there."""
    found = copy.deepcopy(before)
    left = dict(weighted_layers(after))
    with torch.no_grad():
        for name, layer in weighted_layers(found):
            if getattr(layer, "bias", None) is None or isinstance(layer, nn.RNNBase):
                continue
            gone = ~torch.isin(layer.bias, left[name].bias)
            (layer.weight.transpose(0, 1) if getattr(layer, "transposed", False) else layer.weight)[gone] = 0
            layer.bias[gone] = 0
    return found


def pruned(net: nn.Module, settings: PruneSettings = HALF) -> prune.PruneReport:
    """The report of a step, after which the network computes what the unpruned one does without those channels."""
    before = copy.deepcopy(net).eval()
    report = prune_step(net, settings, SHAPE, step=1)
    images = torch.rand(8, *SHAPE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert net(images).allclose(silenced(before, net)(images), atol=1e-5)
    return report


@pytest.mark.parametrize(
    ("net", "widths"),
    [
        (unusual.flattened(channels_last=False), [4, 4]),
        (between(lambda x: torch.cat([x, -x], 1), second=16), [4, 4]),
        (between(lambda x: x * x.mean((2, 3), keepdim=True)), [4, 4]),
        (between(lambda x: F.max_pool2d(x, 2)), [4, 4]),
        (unusual.every_kind(), [6, 5, 3, 4]),
        (unusual.pad_shortcut(), [8, 8, 16]),
        (between(nn.Identity(), second=8), [4, 4]),
    ],
    ids=["flatten", "concatenation", "gate", "pooling", "every kind of convolution", "shortcut", "plain"],
)
def test_the_pruned_network_is_the_unpruned_one_without_some_channels(net: nn.Module, widths: list[int]) -> None:
    net = copy.deepcopy(net)  # a parameter is there for every run
    report = pruned(net)
    assert list(report.widths.values()) == widths
    assert report.widths == {name: out_width(layer) for name, layer in weighted_layers(net) if name != "fc"}
    originals = sum(report.widths.values()) + sum(report.removed.values())
    assert report.reached == pytest.approx(1 - sum(widths) / originals)


@pytest.mark.parametrize(
    ("net", "widths", "whole", "reason"),
    [
        (unusual.flattened(channels_last=True), [4, 8], ["c2"], re.escape(ORDER_OF_C2.replace("c2", "fc"))),
        (between(unusual.shuffled), [8, 4], ["c1"], re.escape(ORDER_OF_C2)),
        (between(lambda x: x.flip(1)), [8, 4], ["c1"], re.escape(ORDER_OF_C2)),
        (between(lambda x: x.roll(1, 1)), [8, 4], ["c1"], re.escape(ORDER_OF_C2)),
        (between(lambda x: F.pixel_shuffle(x, 2), second=2), [8, 4], ["c1"], LOST),
        (between(lambda x: F.glu(x, 1), first=16), [16, 4], ["c1"], LOST),
        (unusual.pad_shortcut(), [8, 8, 16], ["c1", "c3"], LOST),
        (unusual.layer_norm_over_a_map(), [8, 4], ["c1"], r"torch-pruning cannot .* \(RuntimeError: .*\)"),
        (between(lambda x: torch.max(*x.chunk(2, 1)), first=16), [16, 4], ["c1"], "it feeds would lose all"),
        (unusual.lstm(), [24, 8], ["r"], "niwaki does not prune LSTM layers"),
        (between(lambda x: x, c1=unusual.normed(conv(1, 8, 2))), [8, 4], ["c1"], r"of c1 is parametrized .*remove_par"),
        (unusual.linear_then_conv(), [128, 4], ["f1"], "its channels do not reach exactly the inputs of fc"),
        (unusual.flat_and_pooled(), [4, 8], ["c2"], ENDLESS),
        (unusual.bilinear_pooling(), [4, 8], ["c2"], ENDLESS),
        (unusual.transformer(), [8, 8, 8, 8], ["c1", "b"], "to mixed, and niwaki does not prune MultiheadAttention"),
        (between(lambda x: F.local_response_norm(x, 3)), [8, 4], ["c1"], re.escape(ORDER_OF_C2)),
        (between(lambda x: x, spare=nn.Linear(8, 4)), [4, 4, 4], ["spare"], "output does not depend on it"),
        (unusual.without_a_call(), [8, 8, 4], ["by"], "forward uses its weight without calling it"),
        (unusual.attention_by_hand(), [8, 24, 8, 4], ["p", "o"], r"without some of these .*: shape '\["),
        (unusual.Positions(), [8, 4], ["c1"], "without some of these channels: RuntimeError: The size of tensor a"),
    ],
    ids=[
        "channels last", "shuffle", "flip", "roll", "pixel shuffle", "GLU", "shortcut", "LayerNorm over a map",
        "maxout", "LSTM", "weight norm", "linear then convolution", "flat and pooled", "bilinear pooling", "attention",
        "LRN", "unused", "functional", "attention by hand", "positions",
    ],
)  # fmt: skip
def test_what_cannot_be_cut_stays_whole_and_is_named(
    net: nn.Module, widths: list[int], whole: list[str], reason: str
) -> None:
    net = copy.deepcopy(net)
    alone = net.get_submodule("mixed") if hasattr(net, "mixed") else None  # its weights are no layer's own
    started = time.process_time()
    report = pruned(net) if alone is None else prune_step(net, HALF, SHAPE, step=1)
    assert time.process_time() - started < 5
    assert list(report.widths.values()) == widths
    assert set(whole) <= set(report.whole)
    assert all(re.search(reason, report.whole[name]) for name in whole), report.whole
    assert report.asked == 0.5
    assert report.reached < 0.5
    assert report.notes[0].startswith(f"50 % of the channels asked for; {100 * report.reached:.3g} % of the channels")
    assert all(f"{name} stay" in report.notes[0] or f"{name}, " in report.notes[0] for name in whole)


def test_nothing_left_to_prune_says_why() -> None:
    net = between(lambda x: x, c2=unusual.normed(conv(8, 8)))
    with pytest.raises(ModelError, match=r"nothing to prune: .*; c2, c1 stay whole: the weight of c2 is parametrized"):
        prune_step(net, HALF, SHAPE, step=1)


def test_a_step_that_is_refused_leaves_the_network_as_it_was() -> None:
    net = unusual.divided_by_its_width()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(
        ModelError, match="pruning changes what the network's output computes from the remaining channels"
    ):
        prune_step(net, HALF, SHAPE, step=1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert (net.c1.out_channels, net.fc.in_features) == (8, 8)


def test_a_network_that_fails_only_without_channels_of_several_layers_is_refused_with_their_names() -> None:
    def forward(net: unusual.Net, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(net.c1(x))
        y = F.relu(net.c2(x))
        return net.fc((y if x.shape[1] + y.shape[1] > 8 else y[0]).mean((2, 3)))

    net = unusual.Net(forward, c1=conv(1, 8, 2), c2=conv(8, 8), fc=nn.Linear(8, 4))
    with pytest.raises(ModelError, match=r"fails after pruning step 1: .*any one of these layers it runs: c2, c1$"):
        prune_step(net, HALF, SHAPE, step=1)
    assert (net.c1.out_channels, net.c2.out_channels) == (8, 8)


@pytest.mark.parametrize("distribution", ["uniform", "global"])
def test_later_steps_know_what_is_whole(distribution: str) -> None:
    """From the state alone, as another process has it; a network without such layers is written as ever."""
    settings = PruneSettings(ratio=0.5, steps=2, distribution=distribution)
    net = between(unusual.shuffled)
    first = prune_step(net, settings, SHAPE, step=1)
    state = PruningState.model_validate_json(first.state.model_dump_json())
    assert state.whole == {"c1": ORDER_OF_C2}
    second = prune_step(net, settings, SHAPE, step=2, given=Given(state, {"c1": 8, "c2": 8}))
    assert [first.widths, second.widths] == [{"c1": 8, "c2": 6}, {"c1": 8, "c2": 4}]
    assert [first.asked, second.asked] == [0.25, 0.5]
    assert [first.reached, second.reached] == [0.125, 0.25]
    assert "c1 stays whole" in second.notes[0]
    assert prune_step(LeNet5(), HALF, (1, 32, 32), step=1).state.model_dump() == {
        "step": 1, "scopes": {"conv1": 6, "conv2": 16, "fc1": 120, "fc2": 84},
    }  # fmt: skip


def test_what_turns_out_to_be_whole_later_no_longer_counts_in_the_ranking() -> None:
    settings = PruneSettings(ratio=0.5, steps=2, distribution="global")
    net = between(unusual.shuffled)
    state = PruningState(step=1, scopes={"DEFAULT_SCOPE": 16})  # as if the first step had found nothing amiss
    report = prune_step(net, settings, SHAPE, step=2, given=Given(state))
    assert report.state.scopes == {"DEFAULT_SCOPE": 11}  # 8 of c2 are three quarters of what was there
    assert report.widths == {"c1": 8, "c2": 5}


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_widths_do_not_depend_on_the_number_of_steps(steps: int) -> None:
    """The first step makes a depthwise convolution of one with a multiplier: its groups are others from then on."""
    net = between(lambda x: x, c1=conv(1, 8, 2), c2=nn.Conv2d(8, 16, 3, 1, 1, groups=8), fc=nn.Linear(16, 4))
    settings, state = PruneSettings(ratio=0.5, steps=steps), None
    for step in range(1, steps + 1):
        report = prune_step(net, settings, SHAPE, step=step, given=Given(state, {"c1": 8, "c2": 16}))
        state = report.state
        assert report.widths == {"c1": 8, "c2": 8}
        more = "c2 lost more than that" in report.notes[0]
        assert more == (step * 0.5 / steps < 7 / 16)
    assert re.search("50 % of the channels asked for; 33.3 % .* are gone: c1 stays whole: " + LOST, report.notes[0])


def test_a_layer_tied_to_one_that_has_one_channel_is_named() -> None:
    """Attention over places: what multiplies the channels comes from a layer with one output."""
    gate = conv(2, 1)
    net = between(lambda x: x * gate(torch.cat([x.mean(1, True), x.amax(1, True)], 1)).sigmoid(), gate=gate)
    report = prune_step(net, HALF, SHAPE, step=1)
    assert report.whole == {
        "c1": "its channels are tied to gate, which has one channel, and layers keep at least one",
    }  # fmt: skip
    assert report.notes[0].startswith("50 % of the channels asked for; 23.5 % of the channels in scope are gone: c1 ")


def test_groups_of_one_channel_are_named() -> None:
    norm = nn.GroupNorm(8, 8)
    report = prune_step(between(norm, norm=norm), HALF, SHAPE, step=1)
    assert report.whole == {"c1": "its 8 groups have one channel each, and each keeps at least one"}


def normed(norm: nn.Module) -> unusual.Net:
    return between(norm, norm=norm)


class ChannelsFirstNorm(nn.Module):
    """Written by hand, over the channels of each place."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x - x.mean(1, keepdim=True)
        return x / (x.pow(2).mean(1, keepdim=True) + 1e-5).sqrt()


@pytest.mark.parametrize(
    ("net", "name"),
    [
        (lambda: normed(nn.GroupNorm(2, 8)), "norm"),
        (lambda: normed(ChannelsFirstNorm()), "norm"),
        (lambda: between(lambda x: F.softmax(x, 1)), "softmax in the forward of the network"),
        (lambda: normed(nn.BatchNorm2d(8)), ""),
        (lambda: normed(nn.InstanceNorm2d(8, affine=True)), ""),
        (lambda: between(lambda x: F.softmax(x, 3)), ""),
        (lambda: between(lambda x: x * x.mean(1, keepdim=True)), ""),
    ],
    ids=["GroupNorm", "by hand", "softmax", "BatchNorm", "InstanceNorm", "softmax over places", "mean"],
)
def test_a_normalization_over_channels_is_over_those_that_are_left(net: Callable[[], nn.Module], name: str) -> None:
    notes = prune_step(net(), HALF, SHAPE, step=1).notes
    assert notes == (
        (f"the normalization over channels ({name}) would be computed over the remaining channels only",) * (name != "")
    )


def test_an_output_that_is_random_is_not_compared() -> None:
    net = between(lambda x: x)
    net.fc.register_forward_hook(lambda _, __, y: y + torch.rand_like(y))
    assert prune_step(net, HALF, SHAPE, step=1).notes == (prune._NOT_COMPARED,)


def test_one_channel_left_is_why_less_is_reached() -> None:
    widths = {"a": 4, "b": 4}
    left = Widths(dict.fromkeys("ab", 0.9), widths, {"a": 1, "b": 1}, ranked_together=False)
    assert left.notes({}) == ()  # a channel of rounding each
    left = Widths(dict.fromkeys("ab", 0.95), {"a": 30, "b": 2}, {"a": 9, "b": 1}, ranked_together=False)
    assert left.notes({}) == (
        "95 % of the channels asked for; 68.8 % of the channels in scope are gone: b has one channel left, the minimum",
    )  # fmt: skip
    together = Widths(dict.fromkeys("ab", 0.5), {"a": 30, "b": 30}, {"a": 5, "b": 20}, ranked_together=True)
    assert together.notes({})[0].endswith(
        "in the global ranking, channels that several layers lose together count once"
    )


def test_a_layer_that_computes_something_else_is_found_by_its_values() -> None:
    """It multiplies by the number of channels: all of them arrive where they should, and yet."""
    net = between(lambda x: x * x.shape[1])
    report = prune_step(net, HALF, SHAPE, step=1)
    assert report.whole == {"c1": "without some of its channels, c2 would compute different outputs from the others"}


def test_a_network_that_answers_differently_each_time_is_pruned_and_said_not_to_be_compared() -> None:
    net = between(lambda x: F.dropout(x, 0.5, True))
    report = prune_step(net, HALF, SHAPE, step=1)
    assert report.widths == {"c1": 4, "c2": 4}
    assert report.notes == (prune._NOT_COMPARED,)


def test_a_network_that_computes_in_float32_whatever_comes_is_compared_in_float32() -> None:
    def forward(net: unusual.Net, x: torch.Tensor) -> torch.Tensor:
        half = F.relu(net.c1(x)).float() if net.c1.weight.dtype == torch.float32 else None
        return net.fc(F.relu(net.c2(half.flip(1) if net.turned else half)).mean((2, 3)))

    for turned, widths in ((False, {"c1": 4, "c2": 4}), (True, {"c1": 8, "c2": 4})):
        net = unusual.Net(forward, c1=conv(1, 8, 2), c2=conv(8, 8), fc=nn.Linear(8, 4))
        net.turned = turned
        assert prune_step(net, HALF, SHAPE, step=1).widths == widths


def test_scope_covers_every_kind_of_convolution() -> None:
    net = unusual.every_kind()
    assert prune_step(net, PruneSettings(ratio=0.5, steps=1, scope="conv"), SHAPE, step=1).widths["line"] == 4
    net = unusual.every_kind()
    with pytest.raises(ModelError, match="nothing to prune"):
        prune_step(net, PruneSettings(ratio=0.5, steps=1, scope="linear"), SHAPE, step=1)


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.weight_norm, nn.utils.weight_norm, nn.utils.spectral_norm])
def test_the_classifier_is_found_where_its_weight_is_computed(norm: Callable[[nn.Module], nn.Module]) -> None:
    net = between(lambda x: x)
    net.fc, net.c2 = norm(net.fc), norm(net.c2)
    assert find_heads(net, SHAPE) == ["fc"]


def test_a_snapshot_brings_back_what_lists_and_tensors_held() -> None:
    net = nn.LSTM(3, 4)
    before = Snapshot(net)
    weights = list(net._flat_weights)
    net.weight_ih_l0 = nn.Parameter(torch.zeros(1, 1))
    net.hidden_size = 7
    before.restore()
    assert net.hidden_size == 4
    assert all(one is other for one, other in zip(net._flat_weights, weights, strict=True))
    assert net.weight_ih_l0 is weights[0]


def test_units_that_shuffle_one_after_another_lose_channels_within() -> None:
    """torch-pruning counts no channels between them; what it takes from the joined map stays whole."""
    units = [Shuffle(8, 16, 2), Shuffle(16, 16, 1), Shuffle(16, 16, 1)]
    net = nn.Sequential(blocks.normed(1, 8, 3, 2), *units, blocks.pooled(16, 4)).eval()
    report = prune_step(net, PruneSettings(ratio=0.3, steps=1), SHAPE, step=1, given=Given())
    assert sum(report.removed.values()) == 24
    assert min(report.removed[f"{unit}.branch.0.0"] for unit in (2, 3)) > 0
    assert {"2.branch.2.0", "3.branch.2.0"} <= set(report.whole)
    assert net(torch.rand(2, *SHAPE)).shape == (2, 4)
