from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.utils.prune
from torch import nn

import networks
from niwaki import api
from niwaki.data.dataset import Dataset
from niwaki.errors import ModelError, NiwakiError, SpecError
from niwaki.models.accelerator import check_device
from niwaki.models.examine import check_answers, check_numbers, check_same, evaluating, not_scores


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2, self.fc = nn.Conv2d(1, 4, 3, 2), nn.Conv2d(4, 4, 3), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.c2(torch.relu(self.c1(x)))).mean((2, 3)))


class TwoOutputs(Small):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        return (y, y) if self.training else y  # type: ignore[return-value]


networks.Small = Small  # type: ignore[attr-defined]


def counted() -> nn.Module:
    model = Small()
    for module in model.modules():
        module.register_buffer("total_ops", torch.zeros(1))
    return model


def masked() -> nn.Module:
    model = Small()
    torch.nn.utils.prune.l1_unstructured(model.c2, "weight", 0.5)
    return model


def with_nan() -> nn.Module:
    model = Small()
    model.fc.weight.data[0, 0] = float("nan")
    return model


def compiled_inside() -> nn.Module:
    model = Small()
    model.c1 = torch.compile(model.c1, backend="eager")  # type: ignore[assignment]
    return model


def save(model: nn.Module, data: Dataset) -> None:
    api.save(model, "never-written.safetensors", factory="networks:Small", data=data)


def train(model: nn.Module, data: Dataset) -> None:
    api.train(model, data, epochs=1)


def prune(model: nn.Module, data: Dataset) -> None:
    api.prune(model, data, ratio=0.5, steps=1)


def evaluate(model: nn.Module, data: Dataset) -> None:
    api.evaluate(model, data)


@pytest.mark.parametrize(
    ("make", "does", "message"),
    [
        (counted, save, r"4 buffers that its factory does not make: 'c1.total_ops'.*`del model\.c1\.total_ops`"),
        (lambda: torch.compile(Small(), backend="eager"), save, r"made by torch\.compile: .* model\._orig_mod$"),
        (lambda: torch.compile(Small(), backend="eager"), prune, r"made by torch\.compile: .* model\._orig_mod$"),
        (compiled_inside, save, r"module 'c1' was made by torch\.compile: .* model\.c1\._orig_mod$"),
        (lambda: nn.DataParallel(Small()), save, r"a DataParallel around the network: .* model\.module$"),
        (masked, save, r"module 'c2' has a mask .*prune\.remove\(model\.c2, 'weight'\)"),
        (masked, prune, r"module 'c2' has a mask .*prune\.remove\(model\.c2, 'weight'\)"),
        (with_nan, save, "'fc.weight' holds 1 of 16 numbers"),
        (with_nan, train, "'fc.weight' holds 1 of 16 numbers"),
        (with_nan, prune, "'fc.weight' holds 1 of 16 numbers"),
        (with_nan, evaluate, "'fc.weight' holds 1 of 16 numbers"),
        (TwoOutputs, train, "in training the network returns a tuple of 2, not one tensor"),
        (lambda: Small().requires_grad_(False), train, r"every parameter of Small is frozen.*requires_grad_\(True\)"),
        (lambda: Small().double(), train, r"'c1.weight' is float64, .* model\.float\(\)"),
        (lambda: Small().bfloat16(), evaluate, r"'c1.weight' is bfloat16, .* model\.float\(\)"),
        (lambda: Small().double(), save, r"'c1.weight' is float64, .* model\.float\(\)"),
        (lambda: torch.jit.script(Small()), save, r"the model was made by torch\.jit, .* network that it was made of"),
        (lambda: torch.jit.script(Small()), prune, r"the model was made by torch\.jit, .* network that it was made of"),
        (lambda: Small().to("meta"), train, r"'c1.weight' is on the device meta, .*to_empty\(device='cpu'\)"),
        (lambda: Small().to("meta"), save, r"'c1.weight' is on the device meta, .*to_empty\(device='cpu'\)"),
        (nn.Flatten, prune, "Flatten has no parameters"),
        (lambda: nn.Conv2d(1, 1, 3), train, r"must return a tensor \(images, classes\), not a tensor \(2, 1, 14, 14\)"),
        (lambda: networks.RandomDepth(4, 16, always=True), train, r"gives different outputs .*training=self\.training"),
        (lambda: networks.RandomDepth(4, 16, always=True), evaluate, r"different outputs .*training=self\.training"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_says_the_way_out(make, does, message: str, small_data: Dataset) -> None:
    with pytest.raises(NiwakiError, match=message) as caught:
        does(make(), small_data)
    assert len(str(caught.value).splitlines()) == 1


def test_masks_and_wrappers_may_be_evaluated(small_data: Dataset) -> None:
    for model in (masked(), nn.DataParallel(Small())):
        assert api.evaluate(model, small_data).total == 100


def test_a_mask_in_a_buffer_may_hold_infinities() -> None:
    model = Small()
    model.register_buffer("mask", torch.tensor([0.0, float("-inf")]))
    check_numbers(model)
    model.mask[0] = float("nan")
    with pytest.raises(ModelError, match="'mask' holds 1 of 2"):
        check_numbers(model)


def test_answers_leave_the_network_and_the_generators_alone() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2), nn.BatchNorm1d(2), nn.Dropout())
    model[2].eval()
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    check_answers(model, torch.ones(2, 1, 4, 4))
    assert torch.equal(torch.rand(3), expected)
    assert [module.training for module in model] == [True, True, False, True]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_another_network_than_the_stored_one() -> None:
    model, other, larger = nn.Linear(4, 2), nn.Linear(4, 2), nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 2))
    check_same(model, model, torch.ones(1, 4))
    with pytest.raises(ModelError, match="another network: a score changes by"):
        check_same(model, other, torch.ones(1, 4))
    with pytest.raises(ModelError, match="10 parameters became 16"):
        check_same(model, larger, torch.ones(1, 4))


def test_modes_come_back_one_by_one() -> None:
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2))
    model[1].eval()
    with evaluating(model):
        assert not model[0].training
    assert [model.training, model[0].training, model[1].training] == [True, True, False]


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda", "device 'cuda': torch finds no CUDA device here; use the device cpu"),
        ("cuda:7", "device 'cuda:7': torch finds no CUDA device here"),
        ("gpu", "device 'gpu': torch knows no such device"),
        ("mps", "device 'mps': torch cannot compute on it here"),
    ],
)
def test_a_device_that_is_not_here_is_refused_before_anything(
    device: str, message: str, small_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    model = Small()
    before = model.fc.weight.clone()
    for call in (
        lambda: api.train(model, small_data, epochs=1, device=device),
        lambda: api.prune(model, small_data, ratio=0.5, steps=1, device=device),
        lambda: api.evaluate(model, small_data, device=device),
    ):
        with pytest.raises(SpecError, match=message):
            call()
    assert torch.equal(model.fc.weight, before)
    check_device("cpu")


def test_a_gpu_beyond_the_last_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(SpecError, match="device 'cuda:2': this machine has 2 CUDA devices, counted from 0"):
        check_device("cuda:2")


def test_nothing_was_written() -> None:
    assert not Path("never-written.safetensors").exists()


@pytest.mark.parametrize(
    ("output", "way"),
    [
        ({"scores": 1, "features": 2}, r"a dict of 2 \('scores', 'features'\): .* output\['scores'\]"),
        ((1, 2), r"a tuple of 2: .* output\[0\]"),
        (SimpleNamespace(logits=1), r"a SimpleNamespace: let forward return its \.logits"),
        (torch.zeros(2, 3, 1, 1), r"a tensor \(2, 3, 1, 1\): .*flatten\(1\)"),
        (torch.zeros(2, 3, 4, 4), r"a tensor \(2, 3, 4, 4\)$"),
        (1, "an int$"),
    ],
)
def test_outputs_that_are_no_scores_and_the_way_out(output: object, way: str) -> None:
    assert re.search(rf"^the network must return a tensor \(images, classes\), not {way}", not_scores(output))
