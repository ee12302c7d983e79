"""An optimizer made before pruning: carried along, it moves every tensor; else its next step warns."""

from __future__ import annotations

import warnings

import pytest
import torch

import niwaki
from niwaki.errors import NiwakiError


@pytest.fixture(scope="module")
def data():
    return niwaki.load_data("synthetic", train_samples=200, validation=40, test_samples=40)


def step(model: torch.nn.Module, optimizer: torch.optim.Optimizer, data) -> int:
    """How many of the network's tensors one step moves."""
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    images = torch.from_numpy(data.train.images[:32].copy()) / 255
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(images), torch.from_numpy(data.train.labels[:32].copy())).backward()
    optimizer.step()
    return sum(not torch.equal(before[name], parameter) for name, parameter in model.named_parameters())


@pytest.mark.parametrize("make", [torch.optim.Adam, lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9)])
def test_an_optimizer_that_is_carried_along_moves_every_tensor(make, data) -> None:
    model = niwaki.LeNet5()
    convolutions = [p for name, p in model.named_parameters() if name.startswith("conv")]
    rest = [p for name, p in model.named_parameters() if not name.startswith("conv")]
    optimizer = make([{"params": convolutions, "lr": 1e-2}, {"params": rest}], lr=1e-3)
    assert step(model, optimizer, data) == 10
    kept = optimizer.state[model.fc3.bias]
    moved: list[int] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        niwaki.prune(
            model, data, ratio=0.5, steps=2, optimizer=optimizer,
            after_step=lambda _: moved.append(step(model, optimizer, data)),
        )  # fmt: skip
    assert moved == [10, 10]
    assert [len(group["params"]) for group in optimizer.param_groups] == [4, 6]
    assert optimizer.param_groups[0]["params"][0] is model.conv1.weight
    assert optimizer.state[model.fc3.bias] is kept
    assert len(optimizer.state) == 10


def test_an_optimizer_that_is_left_behind_warns_once(data) -> None:
    model, other = niwaki.LeNet5(), niwaki.LeNet5()
    optimizer, apart = torch.optim.Adam(model.parameters()), torch.optim.Adam(other.parameters())
    niwaki.prune(model, data, ratio=0.5, steps=1)
    with pytest.warns(UserWarning, match=r"9 of its 10 tensors are no longer the network's.*optimizer=opt") as told:
        step(model, optimizer, data)
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert step(model, optimizer, data) == 1
        assert step(other, apart, data) == 10
        assert step(model, torch.optim.Adam(model.parameters()), data) == 10


@pytest.mark.parametrize("kind", ["nothing", "stranger"])
def test_an_optimizer_that_is_none_of_the_network(kind: str, data) -> None:
    given = torch.optim.SGD(niwaki.LeNet5().parameters(), lr=1.0) if kind == "stranger" else 7
    message = (
        "10 of its 10 tensors are not of this network" if kind == "stranger" else "is of type int: expected a torch"
    )
    with pytest.raises(NiwakiError, match=message):
        niwaki.prune(niwaki.LeNet5(), data, optimizer=given)
