"""One pruning step from outside: what it reports, and what it leaves unchanged."""

from __future__ import annotations

import copy
import random
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import unusual
from niwaki.errors import ModelError, StageFailed
from niwaki.models.lenet5 import LeNet5
from niwaki.models.modelfile import PruningState
from niwaki.training.cuts import Scissors
from niwaki.training.prune import (
    _NOT_COMPARED,
    Given,
    PruneReport,
    _accumulate_gradients,
    _Step,
    _undivided,
    prune_step,
    widths,
)
from niwaki.training.ranking import Candidate, Survey
from niwaki.training.settings import PruneSettings
from unusual import SHAPE, between, conv

HALF = PruneSettings(ratio=0.5, steps=1)
TAYLOR = PruneSettings(ratio=0.5, steps=1, importance="taylor")


def test_a_report_in_one_line() -> None:
    settings, net = PruneSettings(ratio=0.5, steps=2), between(nn.Identity())
    first = prune_step(net, settings, SHAPE, step=1)
    assert repr(first) == "<PruneReport step 1: 4 channels removed, 25.0 % of all gone>"
    assert (first.removed, first.asked, first.reached) == ({"c1": 2, "c2": 2}, 0.25, 0.25)
    second = prune_step(
        net, settings, SHAPE, step=2, given=Given(state=first.state)
    )  # the widths before step 1 are not told
    assert repr(second) == "<PruneReport step 2: 4 channels removed>"


def test_a_report_as_a_table() -> None:
    widths_left, state = {"c1": 2, "c2": 8, "fc": 4}, PruningState(step=1, scopes={})
    report = PruneReport(1, widths_left, {"c1": 2}, ("a <note>",), state, 0.5, None, {"c2": "it is the output"})
    table = report.table()
    assert [heading for heading, _ in table.columns] == ["layer", "channels", "removed", ""]
    assert table.rows == (("c1", "2", "2", ""), ("c2", "8", "0", "it is the output"), ("fc", "4", "0", ""))
    assert (table.caption, table.notes) == ("PruneReport step 1: 2 channels removed", ("a <note>",))
    assert report._repr_html_() == table.to_html()


def test_widths_are_those_of_all_layers_but_the_heads() -> None:
    assert widths(LeNet5(), ["fc3", "conv1"]) == {"conv2": 16, "fc1": 120, "fc2": 84}


def test_a_step_that_does_not_follow_says_where_the_model_is() -> None:
    settings, net = PruneSettings(ratio=0.5, steps=3), between(nn.Identity())
    state = prune_step(net, settings, SHAPE, step=1).state
    with pytest.raises(ModelError, match="^pruning step 3 follows step 2, but the model is at 1$"):
        prune_step(net, settings, SHAPE, step=3, given=Given(state=state))
    with pytest.raises(ModelError, match="^pruning step 1 follows step 0, but the model is at 1$"):
        prune_step(net, settings, SHAPE, step=1, given=Given(state=state))


def test_what_a_step_leaves_behind() -> None:
    """The mode for inference, no gradients, the generators as they were, and no warnings of other libraries."""
    net, images, labels = unusual.Positions().train(), torch.rand(4, *SHAPE), torch.arange(4)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prune_step(net, TAYLOR, SHAPE, step=1, given=Given(gradients_from=(images, labels)))
    assert not net.training
    assert all(parameter.grad is None for parameter in net.parameters())
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


def test_without_a_seed_random_importance_draws_with_seed_0() -> None:
    settings, net = PruneSettings(ratio=0.5, steps=1, importance="random"), between(nn.Identity())
    same, zero, one = (copy.deepcopy(net) for _ in range(3))
    prune_step(same, settings, SHAPE, step=1)
    prune_step(zero, settings, SHAPE, step=1, given=Given(seed=0))
    prune_step(one, settings, SHAPE, step=1, given=Given(seed=1))
    assert torch.equal(same.c1.weight, zero.c1.weight)
    assert not torch.equal(same.c1.weight, one.c1.weight)


def test_gradients_are_of_the_mean_loss_however_many_batches_it_takes() -> None:
    torch.manual_seed(0)
    net, images, labels = between(nn.Identity()), torch.rand(300, *SHAPE), torch.arange(300) % 4
    F.cross_entropy(net(images), labels).backward()
    expected = [parameter.grad.clone() for parameter in net.parameters()]
    _accumulate_gradients(net, (images, labels))  # what was there counts for nothing
    for parameter, gradient in zip(net.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_images_without_labels_have_no_loss() -> None:
    with pytest.raises(ValueError, match="shorter"):
        _accumulate_gradients(between(nn.Identity()), (torch.rand(300, *SHAPE), torch.zeros(256).long()))


def test_taylor_without_images_and_with_a_loss_that_is_no_number() -> None:
    with pytest.raises(ModelError, match="^taylor importance needs training images: give the data to prune with$"):
        prune_step(between(nn.Identity()), TAYLOR, SHAPE, step=1)
    net = between(nn.Identity())
    with torch.no_grad():
        net.fc.weight.fill_(3e38)
        net.c2.bias.fill_(3e38)
    with pytest.raises(StageFailed, match="^taylor importance: the loss on the training images is not finite$"):
        prune_step(net, TAYLOR, SHAPE, step=1, given=Given(gradients_from=(torch.rand(4, *SHAPE), torch.arange(4))))


def test_normalizations_are_named_together() -> None:
    norms = {"one": nn.GroupNorm(2, 8), "two": nn.GroupNorm(2, 8)}
    net = between(lambda x: norms["two"](norms["one"](x)), **norms)
    assert prune_step(net, HALF, SHAPE, step=1).notes == (
        "the normalization over channels (one, two) would be computed over the remaining channels only",
    )


def test_layers_that_share_a_weight_stay_whole_with_those_that_touch_them_and_no_others() -> None:
    """a and d reach neither of the two, b ends at the first of them; they are modules within a module."""

    def forward(net: unusual.Net, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(net.b(F.relu(net.a(x))))
        x = F.relu(net.body[1](F.relu(net.body[0](x))))
        return net.fc(F.relu(net.d(x)).mean((2, 3)))

    torch.manual_seed(0)
    body = nn.Sequential(conv(8, 8), conv(8, 8))
    body[1].weight = body[0].weight
    net = unusual.Net(forward, a=conv(1, 8, 2), b=conv(8, 8), body=body, d=conv(8, 8), fc=nn.Linear(8, 4))
    report = prune_step(net, HALF, SHAPE, step=1)
    assert report.widths == {"a": 4, "b": 8, "body.0": 8, "body.1": 8, "d": 4}
    assert set(report.whole) == {"b", "body.0", "body.1"}
    assert "'body.0.weight' and 'body.1.weight' are one shared tensor" in report.whole["b"]
    assert net.body[0].weight is net.body[1].weight


def step_of(settings: PruneSettings, original: dict[str, int]) -> _Step:
    return _Step(nn.Identity(), settings, SHAPE, 2, [], torch.rand(1), 0, [], original)


def survey(*candidates: tuple[str, int, int, dict[str, int]], **whole: str) -> Survey:
    """Candidates as (name, parts, channels of a part, widths)."""
    found = [Candidate(name, None, parts, torch.zeros(channels), names) for name, parts, channels, names in candidates]
    return Survey(found, whole)


def test_the_channels_of_a_ranking_before_the_first_step() -> None:
    """Of layers as wide as the group is now, the widest before counts; a group has equal parts."""
    found = survey(("a", 2, 4, {"a": 8, "b": 16, "c": 8}), ("d", 1, 5, {"d": 5}), ("e", 1, 6, {"e": 7}))
    uniform = PruneSettings(ratio=0.5, steps=4)
    step = step_of(uniform, {"a": 20, "b": 99, "c": 25, "e": 50})
    assert step._original_sizes(found) == {"a": 12}
    state = PruningState(step=1, scopes={"a": 10, "d": 5})
    assert step._sizes(state, {}, found) == {"a": 12, "d": 5}
    assert step._sizes(None, {}, found) == {"a": 4, "d": 5, "e": 6}


def test_one_ranking_is_counted_again_once_more_layers_stay_whole() -> None:
    """A quarter of 40 channels should be gone by now: 21 of those that still count are three quarters of 28."""
    found = survey(("a", 1, 10, {"a": 10}), ("b", 1, 11, {"b": 11}))
    settings = PruneSettings(ratio=0.5, steps=2, distribution="global")
    state = PruningState(step=1, scopes={"DEFAULT_SCOPE": 40}, whole={"c": "why"})
    step = step_of(settings, {})
    assert step._sizes(state, {"c": "why"}, found) == {"DEFAULT_SCOPE": 40}
    assert step._sizes(state, {"c": "why", "d": "why"}, found) == {"DEFAULT_SCOPE": 28}
    assert step._sizes(None, {}, found) == {"DEFAULT_SCOPE": 21}


def test_nothing_that_can_be_pruned_says_why() -> None:
    with pytest.raises(ModelError, match="there is nothing to prune: .*; a stays whole: it is told so$"):
        step_of(HALF, {})._sizes(None, {}, survey(a="it is told so"))


def test_parts_of_one_channel_have_nothing_to_lose() -> None:
    found = survey(("a", 2, 1, {"a": 2, "b": 2}), ("c", 1, 1, {"c": 1}), ("d", 2, 3, {"d": 6}), ("e", 1, 6, {"e": 6}))
    why = "its 2 groups have one channel each, and each keeps at least one"
    assert list(_undivided(found)) == [("a", why), ("b", why)]


def test_where_nothing_can_be_compared_no_layer_is_kept_for_what_it_computes() -> None:
    """Its channels are put into another order, but it answers at random."""
    report = prune_step(between(lambda x: F.dropout(unusual.shuffled(x), 0.5, True)), HALF, SHAPE, step=1)
    assert (report.widths, report.whole, report.notes) == ({"c1": 4, "c2": 4}, {}, (_NOT_COMPARED,))


def test_an_order_that_shows_only_with_the_channels_that_go_keeps_its_layer_whole() -> None:
    """The first look at c1 takes half of its channels, both of those that change places among them."""
    net = between(lambda x: x[:, [{4: 5, 5: 4}.get(channel, channel) for channel in range(x.shape[1])]])
    with torch.no_grad():
        net.c1.weight[[0, 2, 3, 4]] = 0.1
        net.c1.weight[[1, 5, 6, 7]] = 1
    report = prune_step(net, HALF, SHAPE, step=1)
    assert report.widths == {"c1": 8, "c2": 4}
    assert "do not reach exactly the inputs of c2" in report.whole["c1"]


def test_a_layer_is_said_to_be_whole_unless_it_was_wider_before_the_first_step() -> None:
    state = PruningState(step=1, scopes={"c1": 8, "c2": 8}, whole={"c1": "it is told so"})
    for original, whole in ((None, ["c1"]), ({"c1": 8, "c2": 8}, ["c1"]), ({"c1": 10, "c2": 8}, [])):
        settings, net = PruneSettings(ratio=0.5, steps=2), between(nn.Identity())
        report = prune_step(net, settings, SHAPE, step=2, given=Given(state=state, original=original))
        assert report.widths == {"c1": 8, "c2": 4}
        assert list(report.whole) == whole


def test_what_an_earlier_step_left_whole_stays_so_when_more_turns_out_to_be() -> None:
    state = PruningState(step=1, scopes={"c1": 8, "c2": 8}, whole={"c2": "it is told so"})
    report = prune_step(between(unusual.shuffled), PruneSettings(ratio=0.5, steps=2), SHAPE, step=2, given=Given(state))
    assert report.widths == {"c1": 8, "c2": 8}
    assert list(report.state.whole) == ["c2", "c1"]


def test_the_state_holds_what_is_whole_at_first_and_what_got_into_the_way_since() -> None:
    """A gate of one channel keeps c1 whole; at a second step that is found again, and need not be held."""

    def gated() -> unusual.Net:
        gate = conv(2, 1)
        return between(lambda x: x * gate(torch.cat([x.mean(1, True), x.amax(1, True)], 1)).sigmoid(), gate=gate)

    settings, state = PruneSettings(ratio=0.5, steps=2), PruningState(step=1, scopes={"c2": 8})
    second = prune_step(gated(), settings, SHAPE, step=2, given=Given(state))
    assert (list(second.whole), second.state.whole) == (["c1"], {})
    assert list(prune_step(gated(), settings, SHAPE, step=1).state.whole) == ["gate", "c1"]


def test_a_layer_that_torch_pruning_fails_to_cut_stays_whole_and_the_others_are_cut(monkeypatch) -> None:
    def forward(net: unusual.Net, x: torch.Tensor) -> torch.Tensor:
        return net.fc(F.relu(net.c3(F.relu(net.c2(F.relu(net.c1(x)))))).mean((2, 3)))

    net = unusual.Net(forward, c1=conv(1, 8, 2), c2=conv(8, 8), c3=conv(8, 8), fc=nn.Linear(8, 4))
    names, cut, tried = {layer: name for name, layer in net.named_children()}, Scissors.cut, []

    def failing(self: Scissors, group) -> None:
        tried.append(names[group[0].dep.target.module])
        if len(tried) == 3:
            raise RuntimeError("not this one")
        cut(self, group)

    monkeypatch.setattr(Scissors, "cut", failing)
    report = prune_step(net, HALF, SHAPE, step=1)
    reason = "torch-pruning cannot determine what depends on its channels (RuntimeError: not this one)"
    assert report.whole == {tried[2]: reason}
    assert report.widths == {name: 8 if name == tried[2] else 4 for name in ("c1", "c2", "c3")}


def test_a_layer_whose_loss_would_empty_the_next_stays_whole_and_the_others_are_cut() -> None:
    """Of both halves of b's channels, the larger goes on to c: as torch-pruning has it, c may lose all of them."""

    def forward(net: unusual.Net, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(net.b(F.relu(net.a(x))))
        x = F.relu(net.d(F.relu(net.c(torch.max(*x.chunk(2, 1))))))
        return net.fc(x.mean((2, 3)))

    net = unusual.Net(forward, a=conv(1, 8, 2), b=conv(8, 16), c=conv(8, 8), d=conv(8, 8), fc=nn.Linear(8, 4))
    report = prune_step(net, HALF, SHAPE, step=1)
    assert report.widths == {"a": 4, "b": 16, "c": 4, "d": 4}
    assert report.whole == {"b": "what it feeds would lose all of its inputs with it"}


def test_the_network_is_compared_on_the_images_that_are_given() -> None:
    """It turns the order of its channels around for bright images only."""

    def forward(net: unusual.Net, x: torch.Tensor) -> torch.Tensor:
        half = F.relu(net.c1(x))
        return net.fc(F.relu(net.c2(half.flip(1) if x.max() > 2 else half)).mean((2, 3)))

    for images, first in ((torch.rand(8, *SHAPE), 4), (5 * torch.rand(8, *SHAPE), 8), (None, 4)):
        net = unusual.Net(forward, c1=conv(1, 8, 2), c2=conv(8, 8), fc=nn.Linear(8, 4))
        assert prune_step(net, HALF, SHAPE, step=1, given=Given(images=images)).widths == {"c1": first, "c2": 4}


@pytest.mark.parametrize(("width", "whole"), [(2, ["c1"]), (1, [])])
def test_a_layer_of_one_channel_is_not_said_to_stay_whole(width: int, whole: list[str]) -> None:
    """It has none to lose; without their order, one of two channels might have been removed."""
    net = between(lambda x: x.flip(1), first=width, second=width)
    report = prune_step(net, HALF, SHAPE, step=1)
    assert (report.widths, list(report.whole)) == ({"c1": width, "c2": 4}, whole)
