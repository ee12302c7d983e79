"""Memory formats: the same network and the same result up to rounding, and the usual strides afterwards."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
import torch

from niwaki.data.dataset import Dataset
from niwaki.models.modelfile import ModelInfo
from niwaki.models.onnx_export import to_onnx
from niwaki.models.separable import Separable
from niwaki.training.memory import in_format_of, keep_freed_memory, laid_out, stored_as
from niwaki.training.qat import quantize_aware
from niwaki.training.settings import QatSettings, QuantizeSettings, TrainSettings
from niwaki.training.train import Training, fit

ONCE = {"epochs": 1, "batch_size": 50, "lr": 1e-3}


def _network(data: Dataset) -> Separable:
    torch.manual_seed(0)
    channels, side, _ = data.input_shape
    return Separable(
        widths=(4, 6, 8), depth=2, num_classes=data.num_classes, in_channels=channels, image_size=side,
        resolution=side // 2,
    )  # fmt: skip


def _strides(model: torch.nn.Module) -> list[tuple[int, ...]]:
    return [parameter.stride() for parameter in model.parameters()]


def test_channels_last_trains_the_same_network_and_leaves_the_usual_strides(small_data: Dataset) -> None:
    found = {}
    for memory_format in ("contiguous", "channels_last"):
        model = _network(small_data)
        before = _strides(model)
        settings = TrainSettings.model_validate({**ONCE, "memory_format": memory_format})
        history = fit(model, small_data.train, small_data.preprocessing, settings)
        assert _strides(model) == before
        found[memory_format] = history[-1].loss
    assert found["channels_last"] == pytest.approx(found["contiguous"], rel=1e-3)


def test_training_with_rounding_runs_with_channels_last(small_data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weights pass through roundings, in which torch forgets the format of those with one channel."""
    info = ModelInfo(
        factory="separable", input_shape=small_data.input_shape, labels=small_data.labels,
        preprocessing=small_data.preprocessing,
    )  # fmt: skip
    float_onnx = to_onnx(_network(small_data).eval(), info)
    inputs: list[torch.Tensor] = []
    conv2d = torch.nn.functional.conv2d

    def seen(x: torch.Tensor, *others: Any, **named: Any) -> torch.Tensor:
        if len(x) == ONCE["batch_size"] and torch.is_grad_enabled():  # in training
            inputs.append(x)
        return conv2d(x, *others, **named)

    monkeypatch.setattr(torch.nn.functional, "conv2d", seen)
    losses = {}
    for memory_format in ("contiguous", "channels_last"):
        inputs.clear()
        train = QatSettings.model_validate({**ONCE, "memory_format": memory_format})
        settings = QuantizeSettings.model_validate({"kind": "qat", "bits": 4, "train": train})
        images = small_data.train.images[:50]
        _, history = quantize_aware(float_onnx, np.asarray(images), small_data.train, settings, Training())
        last = [x.is_contiguous(memory_format=torch.channels_last) for x in inputs if x.shape[1] > 1]
        assert last
        assert set(last) == {memory_format == "channels_last"}
        losses[memory_format] = history[-1].loss
    assert losses["channels_last"] == pytest.approx(losses["contiguous"], rel=1e-2)


def test_strides_come_back_after_an_error() -> None:
    model = torch.nn.Conv2d(1, 4, 3)
    before = _strides(model)
    inside = []

    def fail() -> None:
        with stored_as("channels_last", model):
            inside.extend([model.weight.stride(), in_format_of(model.weight, model.weight * 2).stride()])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert inside == [(9, 1, 3, 1)] * 2
    assert _strides(model) == before
    assert in_format_of(model.weight, model.weight * 2).stride() == before[0]
    point = torch.nn.Conv2d(8, 4, 1)  # contiguous, although the channels of a pixel lie side by side
    assert in_format_of(point.weight, point.weight * 2).stride() == (8, 1, 1, 1)


def test_images_of_one_channel_change_too() -> None:
    images = torch.zeros(2, 1, 4, 4)
    assert laid_out(images, "contiguous") is images
    assert laid_out(images, "channels_last").stride() == (16, 1, 4, 1)


def test_only_a_used_format_is_in_the_key() -> None:
    assert "memory_format" not in TrainSettings().identity()
    assert TrainSettings(memory_format="channels_last").identity()["memory_format"] == "channels_last"


def test_a_c_library_without_mallopt_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    class Library:
        def mallopt(self, option: int, size: int) -> None:
            asked.append((option, size))

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library())
    keep_freed_memory()
    assert [option for option, _ in asked] == [-3, -1, -2]
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    keep_freed_memory()
    assert len(asked) == 3
