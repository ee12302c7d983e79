from __future__ import annotations

import copy

import pytest
import torch
import torch_pruning
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import networks
from niwaki.errors import ModelError, StageFailed
from niwaki.measure.cost import count
from niwaki.models import modelfile
from niwaki.models.lenet5 import LeNet5
from niwaki.models.structure import tie_again, ties
from niwaki.training.output_layers import check_still_runs, find_heads
from niwaki.training.prune import Given, prune_step
from niwaki.training.settings import PruneSettings

SHAPE = (1, 32, 32)

# Parameters and torch-pruning's MACs at the end of five steps, as the source study printed them, and the widths.
SOURCE = {
    0.5: ([3, 8, 60, 42], 15738, 140156),
    0.6: ([2, 6, 48, 33], 9563, 82741),
    0.7: ([1, 4, 36, 25], 4951, 36789),
    0.8: ([1, 3, 23, 16], 2406, 31570),
    0.9: ([1, 1, 11, 8], 524, 24340),
}


def pruned(model: nn.Module, settings: PruneSettings, seed: int = 0, **more) -> list:
    reports = []
    for step in range(1, settings.steps + 1):
        state = reports[-1].state if reports else None
        reports.append(prune_step(model, settings, SHAPE, step=step, given=Given(state, seed=seed + step, **more)))
    return reports


@pytest.mark.parametrize("ratio", SOURCE)
def test_five_steps_give_the_structure_of_the_source(ratio: float) -> None:
    model = LeNet5()
    report = pruned(model, PruneSettings(ratio=ratio))[-1]
    widths, params, macs_tp = SOURCE[ratio]
    assert list(report.widths.values()) == widths
    cost = count(model, SHAPE)
    assert (cost.params, cost.macs_tp) == (params, macs_tp)


def networks_to_prune() -> list[nn.Module]:
    torch.manual_seed(3)
    return [LeNet5(), networks.ResidualNet(), networks.MobileNet()]


@pytest.mark.parametrize("importance", ["l1", "l2", "random"])
@pytest.mark.parametrize("distribution", ["uniform", "global"])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_steps_in_fresh_processes_equal_one_pruner(index: int, distribution: str, importance: str) -> None:
    """Each step here starts from a model file, as a worker does; the other side is torch-pruning's own loop."""
    model = networks_to_prune()[index]
    settings_ = PruneSettings(ratio=0.5, steps=4, distribution=distribution, importance=importance)
    other = copy.deepcopy(model)
    info = modelfile.ModelInfo(
        factory=["lenet5", "networks:ResidualNet", "networks:MobileNet"][index],
        input_shape=SHAPE,
        labels=tuple("0123456789"),
    )
    state = None
    for step in range(1, 5):
        model, _ = modelfile.loads(modelfile.dumps(model, info, trust=True), trust=True)
        state = prune_step(model, settings_, SHAPE, step=step, given=Given(state, seed=step)).state

    heads = [dict(other.named_modules())[name] for name in find_heads(other, SHAPE)]
    kind = {
        "l1": lambda: torch_pruning.importance.GroupMagnitudeImportance(p=1),
        "l2": lambda: torch_pruning.importance.GroupMagnitudeImportance(p=2),
        "random": torch_pruning.importance.RandomImportance,
    }[importance]
    pruner = torch_pruning.pruner.MagnitudePruner(
        other.eval(), torch.rand(1, *SHAPE), importance=kind(), global_pruning=distribution == "global",
        pruning_ratio=0.5, iterative_steps=4, ignored_layers=heads, in_channel_groups={}, out_channel_groups={},
        num_heads={},
    )  # fmt: skip
    for step in range(1, 5):
        torch.manual_seed(step)
        pruner.step()

    expected = other.state_dict()
    assert {name: tuple(t.shape) for name, t in model.state_dict().items()} == {
        name: tuple(t.shape) for name, t in expected.items()
    }
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("model", "heads"),
    [
        (LeNet5(), ["fc3"]),
        (networks.ResidualNet(), ["classify"]),
        (networks.MobileNet(), ["classify"]),
        (nn.Sequential(nn.Conv2d(1, 10, 3), nn.BatchNorm2d(10), nn.AdaptiveAvgPool2d(1), nn.Flatten()), ["0"]),
    ],
)
def test_the_output_layer_is_found_and_kept(model: nn.Module, heads: list[str]) -> None:
    assert find_heads(model, SHAPE) == heads


def test_two_heads_that_are_added_are_both_kept() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 6, 5)
            self.a, self.b = nn.Linear(6, 10), nn.Linear(6, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x).mean((2, 3))
            return self.a(x) + self.b(x)

    model = Two()
    assert find_heads(model, SHAPE) == ["a", "b"]
    report = prune_step(model, PruneSettings(ratio=0.5, steps=1), SHAPE, step=1)
    assert report.widths == {"conv": 3}
    assert model(torch.rand(2, *SHAPE)).shape == (2, 10)


@pytest.mark.parametrize(("scope", "widths"), [("conv", [3, 8, 120, 84]), ("linear", [6, 16, 60, 42])])
def test_scope(scope: str, widths: list[int]) -> None:
    report = pruned(LeNet5(), PruneSettings(ratio=0.5, scope=scope))[-1]
    assert list(report.widths.values()) == widths


def test_one_step_at_a_high_ratio_leaves_one_channel() -> None:
    """torch-pruning alone would leave conv1 whole here: it refuses to take all six channels."""
    report = prune_step(LeNet5(), PruneSettings(ratio=0.9, steps=1), SHAPE, step=1)
    assert report.widths == {"conv1": 1, "conv2": 1, "fc1": 11, "fc2": 8}


def test_global_pruning_never_removes_a_layer() -> None:
    model = LeNet5()
    with torch.no_grad():
        model.conv2.weight.mul_(1e-6)
    report = prune_step(model, PruneSettings(ratio=0.9, steps=1, distribution="global"), SHAPE, step=1)
    assert report.widths["conv2"] == 1
    assert min(report.widths.values()) >= 1


def test_a_step_that_removes_nothing_is_reported() -> None:
    model = LeNet5(widths=(2, 3, 4, 5))
    report = prune_step(model, PruneSettings(ratio=0.01, steps=1), SHAPE, step=1)
    # int(n · 0.99) rounds down, so each of these loses one; the next step of the same kind has nothing to take
    again = prune_step(model, PruneSettings(ratio=0.02, steps=2), SHAPE, step=2, given=Given(report.state))
    assert sum(again.removed.values()) == 0
    assert len(again.notes) == 1
    assert "step 2 of 2 removed nothing" in again.notes[0]


def test_random_importance_follows_its_seed() -> None:
    def kept(seed: int) -> torch.Tensor:
        torch.manual_seed(0)
        model = LeNet5()
        prune_step(model, PruneSettings(ratio=0.5, steps=1, importance="random"), SHAPE, step=1, given=Given(seed=seed))
        return model.conv2.weight

    assert torch.equal(kept(1), kept(1))
    assert not torch.equal(kept(1), kept(2))


def test_taylor_keeps_the_channels_that_matter() -> None:
    torch.manual_seed(0)
    model = LeNet5()
    with torch.no_grad():
        model.fc3.weight[:, 42:] = 0  # the second half of fc2 changes nothing, though its weights are as large
    images, labels = torch.rand(64, *SHAPE), torch.arange(64) % 10
    before = model.fc2.weight.clone()
    settings_ = PruneSettings(ratio=0.5, steps=1, importance="taylor", scope="linear")
    prune_step(model, settings_, SHAPE, step=1, given=Given(gradients_from=(images, labels)))
    rows = {tuple(row.tolist()) for row in before[:42, :2]}
    assert model.fc2.out_features == 42
    assert before[:42].norm(dim=1).shape == (42,)
    kept = model.fc3.weight.abs().sum(0)
    assert (kept > 0).all(), rows


def test_taylor_without_data_or_with_a_broken_network() -> None:
    settings_ = PruneSettings(ratio=0.5, steps=1, importance="taylor")
    with pytest.raises(ModelError, match="needs training images"):
        prune_step(LeNet5(), settings_, SHAPE, step=1)
    model = LeNet5()
    with torch.no_grad():
        model.fc3.weight.fill_(3e38)
        model.fc2.bias.fill_(3e38)  # their product is beyond float32
    given = Given(gradients_from=(torch.rand(4, *SHAPE), torch.zeros(4).long()))
    with pytest.raises(StageFailed, match="not finite"):
        prune_step(model, settings_, SHAPE, step=1, given=given)


def test_sizes_written_into_forward_name_the_module() -> None:
    with pytest.raises(ModelError, match=r"module head \(Head\) .*contains fixed sizes"):
        prune_step(networks.HardCodedView(), PruneSettings(ratio=0.5, steps=1), SHAPE, step=1)


def test_what_is_split_by_number_stays_whole() -> None:
    report = prune_step(networks.HardCodedSplit(), PruneSettings(ratio=0.5, steps=1), SHAPE, step=1)
    assert report.widths == {"conv": 16, "left": 4}
    assert "select them by number" in report.whole["conv"]


def test_steps_must_follow_one_another() -> None:
    with pytest.raises(ModelError, match="pruning step 2 follows step 1, but the model is at 0"):
        prune_step(LeNet5(), PruneSettings(), SHAPE, step=2)


def test_nothing_to_prune() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(1024, 10))
    with pytest.raises(ModelError, match="nothing to prune"):
        prune_step(model, PruneSettings(ratio=0.5, steps=1), SHAPE, step=1)


def test_no_classifier() -> None:
    class Means(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :10]

    with pytest.raises(ModelError, match="no classifier to keep"):
        find_heads(Means(), SHAPE)


def test_the_output_must_be_scores() -> None:
    with pytest.raises(ModelError, match=r"must return a tensor \(images, classes\), not a tensor \(1, 3, 30, 30\)"):
        find_heads(nn.Conv2d(1, 3, 3), SHAPE)


def test_a_batch_that_is_mixed_up_without_an_error_is_noticed() -> None:
    class Merging(LeNet5):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).view(-1, 20)

    with pytest.raises(ModelError, match="2 images came out as 1"):
        check_still_runs(Merging(), SHAPE, "after pruning step 1")


def test_a_model_that_cannot_be_traced() -> None:
    class Once(LeNet5):
        """Runs once: the walk to the classifier; torch-pruning's own tracing comes second."""

        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            if self.calls > 1:
                raise RuntimeError("not again")
            return super().forward(x)

    with pytest.raises(ModelError, match="torch-pruning cannot trace this model: RuntimeError: not again"):
        prune_step(Once(), PruneSettings(ratio=0.5, steps=1), SHAPE, step=1)


def test_frozen_parameters_stay_frozen() -> None:
    model = LeNet5()
    model.conv1.weight.requires_grad_(False)
    prune_step(model, PruneSettings(ratio=0.5, steps=1), SHAPE, step=1)
    assert not model.conv1.weight.requires_grad
    assert model.conv2.weight.requires_grad


@settings(max_examples=15, deadline=None)
@given(ratio=st.floats(0.05, 0.95), steps=st.integers(1, 6))
def test_targets_count_from_the_original_widths(ratio: float, steps: int) -> None:
    for report in pruned(LeNet5(), PruneSettings(ratio=ratio, steps=steps)):
        left = 1 - report.step / steps * ratio
        for name, original in {"conv1": 6, "conv2": 16, "fc1": 120, "fc2": 84}.items():
            assert report.widths[name] == max(1, int(original * left))


def test_layers_that_share_a_weight_stay_so_or_are_refused() -> None:
    """Each is cut on its own: alike, they become one again; in two ways, neither is the other's any more."""
    model = networks.SharedWeight()
    shared = ties(model)
    assert shared == [("c2.weight", "c3.weight")]
    model.c3.weight = nn.Parameter(model.c2.weight.detach().clone())
    tie_again(model, shared)
    assert model.c2.weight is model.c3.weight
    torch.manual_seed(0)
    with pytest.raises(ModelError, match=r"'c2\.weight' and 'c3\.weight' are one shared tensor.*a weight of its own"):
        prune_step(networks.SharedWeight(), PruneSettings(ratio=0.13, steps=1), SHAPE, step=1)
