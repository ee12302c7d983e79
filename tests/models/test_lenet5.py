import pytest
import torch

from niwaki.errors import ModelError
from niwaki.models.lenet5 import LeNet5


def test_parameters_by_hand():
    sizes = {name: parameter.numel() for name, parameter in LeNet5().named_parameters()}
    assert sizes == {
        "conv1.weight": 6 * 25,
        "conv1.bias": 6,
        "conv2.weight": 16 * 6 * 25,
        "conv2.bias": 16,
        "fc1.weight": 120 * 400,
        "fc1.bias": 120,
        "fc2.weight": 84 * 120,
        "fc2.bias": 84,
        "fc3.weight": 10 * 84,
        "fc3.bias": 10,
    }
    assert sum(sizes.values()) == 61_706


@pytest.mark.parametrize(("image_size", "side"), [(16, 1), (28, 4), (32, 5), (33, 5), (64, 13)])
def test_first_linear_layer_fits_every_image_size(image_size, side):
    net = LeNet5((3, 8, 60, 42), num_classes=7, in_channels=3, image_size=image_size)
    assert net.fc1.in_features == 8 * side * side
    assert net(torch.zeros(2, 3, image_size, image_size)).shape == (2, 7)


def test_forward_is_conv_relu_pool_twice_then_three_linear_layers():
    net = LeNet5((1, 1, 1, 1), num_classes=2, image_size=16)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1.0)
        image = torch.ones(1, 1, 16, 16)
        # conv1: 25 + 1 = 26 everywhere; conv2: 25·26 + 1 = 651; one pixel is left; each linear layer adds 1
        assert net(image).tolist() == [[654.0, 654.0]]
        net.conv2.bias.fill_(-1000.0)  # 650 − 1000 < 0: ReLU gives 0; then 1, 2, 3
        assert net(image).tolist() == [[3.0, 3.0]]
        net.conv2.bias.fill_(1.0)
        net.fc1.bias.fill_(-1000.0)
        assert net(image).tolist() == [[2.0, 2.0]]
        net.fc2.bias.fill_(-1.0)
        assert net(image).tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("widths", [(6, 16, 120), (6, 16, 120, 84, 10), (6, 0, 120, 84)])
def test_widths_must_be_four_positive_numbers(widths):
    with pytest.raises(ModelError, match=r"widths \(6, .*four positive numbers"):
        LeNet5(widths)


@pytest.mark.parametrize("wrong", [{"num_classes": 0}, {"in_channels": 0}])
def test_classes_and_channels_must_be_there(wrong):
    with pytest.raises(ModelError, match="at least 1 of each"):
        LeNet5(**wrong)


def test_image_of_which_nothing_would_be_left():
    with pytest.raises(ModelError, match="image size 15: it needs at least 16"):
        LeNet5(image_size=15)


@pytest.mark.parametrize("huge", [{"num_classes": 10**9}, {"in_channels": 10**9}, {"image_size": 10**6}])
def test_more_weights_than_memory(huge):
    with pytest.raises(ModelError, match=r"LeNet-5 of [\d,]+ weights needs \d.* of memory, but one file may use 1 GB"):
        LeNet5(**huge)
