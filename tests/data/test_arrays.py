"""Datasets from Python: arrays, torch's datasets and loaders, dictionaries of images and labels."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import niwaki
from niwaki.data import folder
from niwaki.errors import NiwakiError

COUNT = 60
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 3, 10, 12), dtype=np.uint8)
LABELS = np.arange(COUNT) % 3


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIWAKI_CACHE_DIR", str(tmp_path))


class Photographs(Dataset):
    """As a user's own: PIL images and names of classes."""

    classes = ("ant", "bee", "cat")

    def __init__(self, transform=None, images=IMAGES) -> None:
        self.transform, self.images = transform, images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int):
        image = Image.fromarray(self.images[number].transpose(1, 2, 0))
        return self.transform(image) if self.transform else image, int(LABELS[number])


class Stream(IterableDataset):
    def __iter__(self):
        return iter(Photographs()[number] for number in range(COUNT))


class Named:
    """As Hugging Face's datasets: dictionaries, and the names of classes among its features."""

    features: ClassVar = {"image": None, "label": type("ClassLabel", (), {"names": ["ant", "bee", "cat"]})}

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, number: int):
        image, label = Photographs()[number]
        return {"image": image, "label": label}


def as_floats(image: Image.Image) -> torch.Tensor:
    """What torchvision's ToTensor gives."""
    return torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy()).float().div(255)


@pytest.mark.parametrize(
    "given",
    [
        (IMAGES, LABELS),
        (IMAGES.transpose(0, 2, 3, 1), LABELS[:, None]),
        (torch.from_numpy(IMAGES), torch.from_numpy(LABELS)),
        (torch.from_numpy(IMAGES).float() / 255, LABELS.tolist()),
        TensorDataset(torch.from_numpy(IMAGES), torch.from_numpy(LABELS)),
        DataLoader(Photographs(as_floats), batch_size=7, shuffle=True),
        Photographs(),
        Stream(),
        Named(),
        list(zip(IMAGES, LABELS, strict=True)),
    ],
)
def test_every_way_gives_the_same_images(given) -> None:
    data = niwaki.dataset(given, validation_images=6, test_share=0.2, labels=("ant", "bee", "cat"))
    assert (len(data.train), len(data.validation), len(data.test)) == (42, 6, 12)
    assert data.preprocessing.color == "rgb"
    assert data.input_shape == (3, 10, 12)
    every = np.concatenate([split.images for split in (data.train, data.validation, data.test)])
    assert sorted(image.tobytes() for image in every) == sorted(image.tobytes() for image in IMAGES)
    same = niwaki.dataset((IMAGES, LABELS), validation_images=6, labels=("ant", "bee", "cat"))
    assert data.fingerprint == same.fingerprint


def test_splits_names_and_sizes_of_its_own() -> None:
    data = niwaki.dataset(Photographs(), validation=(IMAGES[:6], LABELS[:6]), test=Named())
    assert data.labels == ("ant", "bee", "cat")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [COUNT, 6, COUNT]
    unlike = [(Image.new("L", (40 + number, 50), number), number % 2) for number in range(20)]
    with pytest.warns(UserWarning, match="images of 50×40 to 50×59, grey, resized to 48×48"):
        data = niwaki.dataset(unlike)
    assert (data.labels, data.input_shape) == (("0", "1"), (1, 48, 48))


def test_exports_find_its_images_by_their_contents(tmp_path: Path) -> None:
    data = niwaki.dataset((IMAGES, LABELS), preprocessing=niwaki.Preprocessing(color="grey", size=(16, 16)))
    model = niwaki.LeNet5(num_classes=3, image_size=16, widths=[2, 3, 8, 8])
    niwaki.train(model, data, epochs=1)
    file = niwaki.save(
        model, tmp_path / "m.safetensors", factory="lenet5", data=data,
        args={"num_classes": 3, "image_size": 16, "widths": [2, 3, 8, 8]},
    )  # fmt: skip
    assert niwaki.export(file, tmp_path / "out", to="onnx-int8").ok


def test_the_user_s_own_transform_sees_every_training_image_and_nothing_else() -> None:
    seen: list[tuple[int, ...]] = []

    def mirror(image: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(image.shape))
        assert image.dtype == torch.uint8
        return image.flip(-1) if torch.rand(()) < 0.5 else image

    def trained(transform) -> list[float]:
        torch.manual_seed(0)
        how = niwaki.Preprocessing(color="rgb", size=(16, 16))
        data = niwaki.dataset((IMAGES, LABELS), preprocessing=how, transform=transform)
        model = niwaki.LeNet5(num_classes=3, in_channels=3, image_size=16, widths=[2, 3, 8, 8])
        return [epoch.loss for epoch in niwaki.train(model, data, epochs=2, lr=1e-2)]

    losses = trained(mirror)
    assert seen == [(3, 16, 16)] * 2 * 44  # 60 images without 12 for test and 4 for validation
    assert losses == trained(mirror)
    assert losses != trained(None)
    with pytest.raises(
        NiwakiError, match=r"transform gave a tensor \(3, 16, 16\): expected bytes \(uint8\) of the same"
    ):
        trained(lambda image: image / 255)
    with pytest.raises(NiwakiError, match=r"transform failed on an image of \(3, 16, 16\): ZeroDivisionError"):
        trained(lambda image: 1 / 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (7, "train is of type int: expected"),
        ([], "train is empty"),
        ([1, 2], r"train\[0\] is of type int: expected \(image, label\)"),
        ([{"picture": 1}], r"train\[0\] has the keys picture: expected image and label"),
        ([(IMAGES[0], 0.5)], r"train\[0\] has the label 0.5: expected a whole number"),
        ([(IMAGES[0, 0, 0], 0)], r"train\[0\] is uint8 \(12,\): expected an image with 1 or 3 channels"),
        ([("x.png", 0)], r"train\[0\] is <U5 \(\): expected an image"),
        ((IMAGES, LABELS[:9]), "train: 60 images, but 9 labels"),
        ((IMAGES, LABELS / 2), r"train: labels are float64 \(60,\): expected integers"),
        ((IMAGES[:, :2], LABELS), r"train: images are uint8 \(60, 2, 10, 12\): expected"),
        ((IMAGES, LABELS * 2), r"train has no image of class '1' \(label 1\)"),
        ((IMAGES, LABELS - 1), r"train\[0\] has the label -1: expected 0 to 1"),
        (
            Photographs(lambda image: as_floats(image) - 0.5),
            r"train\[0\] is float32 from -0.5 to 0.5: .*; leave out Normalize",
        ),
        (Photographs(lambda image: image.rotate(float(np.random.rand()) * 360)), "is another image each time"),
        (Photographs(lambda image: 1 / 0), "train cannot be read: ZeroDivisionError: division by zero"),
        ([(IMAGES[0], 0), (IMAGES[1, :, :4], 1)] * 9, None),
    ],
)
def test_what_is_none_is_said(given, message: str | None) -> None:
    if message is None:
        with pytest.raises(NiwakiError, match=r"train\[1\] is \(4, 12\), but train\[0\] is \(10, 12\)"):
            niwaki.dataset(given, preprocessing=niwaki.Preprocessing())
        return
    with pytest.raises(NiwakiError, match=message):
        niwaki.dataset(given)


@pytest.mark.parametrize(("labels", "message"), [(["a"], "at least two names"), (["a", "b"], "has the label 2")])
def test_names_that_do_not_fit(labels: list[str], message: str) -> None:
    with pytest.raises(NiwakiError, match=message):
        niwaki.dataset((IMAGES, LABELS), labels=labels)


@pytest.mark.parametrize(
    ("name", "message"),
    [("data_batch_1", "pickles, as CIFAR's, which can run code"), ("dataset_dict.json", "datasets.load_from_disk")],
)
def test_folders_of_other_tools_say_the_way(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / name).write_bytes(b"x")
    with pytest.raises(NiwakiError, match=message):
        folder.source(tmp_path / "x")
