import warnings

import numpy as np
import pytest
import torch
from torch import nn

from niwaki.errors import DataError, ModelError
from niwaki.measure.accuracy import evaluate
from niwaki.measure.predict import torch_predictor

PLAIN = (np.arange(256, dtype=np.float64) / 255).astype(np.float32)[None, :]


def test_pixels_go_through_the_table_of_their_channel():
    table = np.stack([np.arange(256), -2.0 * np.arange(256)]).astype(np.float32)
    predict = torch_predictor(nn.Flatten(), table)
    images = np.array([[[[1, 255]], [[3, 0]]]], dtype=np.uint8)
    found = predict(images)
    assert found.dtype == np.float32
    assert found.tolist() == [[1.0, 255.0, -6.0, 0.0]]


def test_plain_scale_is_the_table_bit_for_bit():
    images = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    assert np.array_equal(torch_predictor(nn.Flatten(), PLAIN)(images)[0], PLAIN[0])


def test_runs_in_eval_mode_without_gradients_and_restores_every_mode():
    class Probe(nn.Module):
        def __init__(self):
            super().__init__()
            self.bn = nn.BatchNorm2d(1)

        def forward(self, x):
            assert not self.training
            assert not torch.is_grad_enabled()
            return self.bn(x).flatten(1)

    net = Probe().train()
    net.bn.eval()
    torch_predictor(net, PLAIN)(np.ones((2, 1, 2, 2), np.uint8))
    assert (net.training, net.bn.training) == (True, False)
    assert net.bn.num_batches_tracked == 0


def test_modes_are_restored_after_an_error():
    net = nn.Sequential(nn.Linear(7, 1)).train()
    with pytest.raises(RuntimeError):
        torch_predictor(net, PLAIN)(np.ones((1, 1, 2, 2), np.uint8))
    assert net.training


def test_read_only_images_as_from_a_memory_map():
    images = np.zeros((3, 1, 1, 2), np.uint8)
    images.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate(torch_predictor(nn.Flatten(), PLAIN), images, np.zeros(3, np.uint8), 2)
    assert found.accuracy == 100.0


def test_half_precision_model_gives_float32():
    class Half(nn.Module):
        def forward(self, x):
            return x.half().flatten(1)

    assert torch_predictor(Half(), PLAIN)(np.zeros((1, 1, 1, 2), np.uint8)).dtype == np.float32


@pytest.mark.parametrize("shape", [(256,), (1, 255), (1, 1, 256)])
def test_table_of_another_shape(shape):
    with pytest.raises(DataError, match="preprocessing table: shape"):
        torch_predictor(nn.Flatten(), np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    "images", [np.zeros((1, 3, 2, 2), np.uint8), np.zeros((1, 1, 2, 2), np.float32), np.zeros((1, 2, 2), np.uint8)]
)
def test_images_of_another_kind(images):
    with pytest.raises(DataError, match=r"expected uint8 \(n, 1, height, width\)"):
        torch_predictor(nn.Flatten(), PLAIN)(images)


def test_model_on_another_device():
    with pytest.raises(ModelError, match="Linear is on meta, not on cpu: move it there first"):
        torch_predictor(nn.Linear(2, 2, device="meta"), PLAIN)
