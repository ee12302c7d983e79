import pytest
import torch
import torch.nn.functional as F
from torch import nn

from niwaki.errors import ModelError
from niwaki.measure.memory import peak_activation_bytes, plan
from niwaki.models.lenet5 import LeNet5


def lives(model, shape):
    """Name → (bytes, step that makes it, step that reads it last)."""
    planned = plan(model, shape)
    return {t.name: (t.bytes, planned.steps[t.first], planned.steps[t.last]) for t in planned.tensors}


def test_lenet5_by_hand():
    planned = plan(LeNet5(), (1, 32, 32))
    maps = 6 * 28 * 28 * 4
    # conv1: input 4096 + maps; ReLU: maps read + maps written; pooling: maps + a quarter; later layers are smaller
    assert (planned.peak_bytes, planned.at) == (2 * maps, "relu")
    assert planned.peak_bytes == 37_632
    sizes = [4 * n for n in (1024, 4704, 4704, 1176, 1600, 1600, 400, 120, 120, 84, 84, 10)]
    assert [tensor.bytes for tensor in planned.tensors] == sizes
    assert planned.tensors[-1].last == len(planned.steps) - 1


def test_lenet5_lifetimes():
    found = lives(LeNet5(), (1, 32, 32))
    assert found["input"] == (4_096, "input", "conv1.convolution")
    assert found["relu"] == (18_816, "relu", "pool1.max_pool2d_with_indices")
    assert found["pool2.max_pool2d_with_indices"][2] == "fc1.addmm"  # through the view that flattens it


@pytest.mark.parametrize(("widths", "peak"), [((3, 8, 60, 42), 18_816), ((2, 6, 48, 33), 12_544)])
def test_pruned_network_needs_less(widths, peak):
    assert peak == 2 * widths[0] * 28 * 28 * 4
    assert peak_activation_bytes(LeNet5(widths), (1, 32, 32)) == peak < 37_632


def test_bottleneck_moves_when_the_first_layer_is_pruned_to_one_channel():
    planned = plan(LeNet5((1, 1, 11, 8)), (1, 32, 32))
    assert (planned.peak_bytes, planned.at) == (4 * (1024 + 784), "conv1.convolution")


class Shortcut(nn.Module):
    def __init__(self, inplace=False):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.bn1, self.bn2 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace)

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(x + self.bn2(self.conv2(y)))


def test_shortcut_keeps_its_input_alive():
    planned = plan(Shortcut(), (4, 8, 8))
    maps = 4 * 8 * 8 * 4
    assert planned.peak_bytes == 3 * maps  # the shortcut, what is read, what is written
    assert planned.at.startswith("bn1.")
    shortcut = planned.tensors[0]
    assert (shortcut.name, planned.steps[shortcut.last]) == ("input", "add")
    assert [tensor.bytes for tensor in planned.tensors] == [maps] * 8


def test_in_place_relu_has_no_memory_of_its_own():
    names = set(lives(Shortcut(inplace=True), (4, 8, 8)))
    assert not any("relu" in name for name in names)
    assert len(names) == 6


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right, self.last = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 5, 1), nn.Conv2d(8, 1, 1)

    def forward(self, x):
        return self.last(torch.cat([self.left(x), self.right(x)], dim=1))


def test_concat_needs_its_parts_and_their_copy():
    # 4 × 4 floats are 64 bytes: x 128, left 192, right 320, cat 512, last 64
    planned = plan(Branches(), (2, 4, 4))
    assert (planned.peak_bytes, planned.at) == (192 + 320 + 512, "cat")
    assert lives(Branches(), (2, 4, 4))["input"] == (128, "input", "right.convolution")


@pytest.mark.parametrize(("keep", "peak"), [(False, 256 + 64), (True, 256 + 64 + 128)])
def test_indices_of_a_pooling_count_only_if_something_reads_them(keep, peak):
    pool = nn.MaxPool2d(2, return_indices=True)

    class Pool(nn.Module):
        def forward(self, x):
            values, indices = pool(x)
            return (values, indices) if keep else values

    assert peak_activation_bytes(Pool(), (1, 8, 8)) == peak


def test_every_output_stays_to_the_end():
    class Two(nn.Module):
        def forward(self, x):
            early = F.relu(x)
            return {"early": early, "late": x.exp().log()}

    # 4 floats each; at log: early, exp and log
    assert peak_activation_bytes(Two(), (1, 2, 2)) == 3 * 16


def test_tensor_that_the_model_keeps_is_no_activation():
    class Offset(nn.Module):
        def __init__(self):
            super().__init__()
            self.offset = torch.ones(1, 4)

        def forward(self, x):
            return x.flatten(1) + self.offset.view(1, 4)

    assert lives(Offset(), (1, 2, 2)) == {"input": (16, "input", "add"), "add": (16, "add", "add")}


def test_model_that_does_nothing_needs_its_input():
    planned = plan(nn.Identity(), (1, 2, 2))
    assert (planned.peak_bytes, planned.at, planned.steps) == (16, "input", ("input",))


def test_dropout_and_batch_norm_are_those_of_eval_mode():
    net = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout(0.5)).train()
    before = net[0].running_mean.clone()
    assert peak_activation_bytes(net, (2, 4, 4)) == 2 * 128
    assert net.training
    assert torch.equal(net[0].running_mean, before)


def test_plan_needs_no_data():
    assert peak_activation_bytes(LeNet5().to("meta"), (1, 32, 32)) == 37_632


def test_input_that_does_not_fit_is_named():
    with pytest.raises(ModelError, match=r"LeNet5: .*shape \(1, 64, 64\)"):
        plan(LeNet5(), (1, 64, 64))
