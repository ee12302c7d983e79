import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from niwaki.data import fashion_mnist
from niwaki.data.dataset import open_dataset
from niwaki.data.download import RemoteFile
from niwaki.data.prepare import prepare
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.spec import DataSpec
from niwaki.errors import DataError

TRUE_FILES = Path(os.environ.get("NIWAKI_DATA_DIR", "")) / "fashion-mnist"
needs_true_files = pytest.mark.skipif(
    "NIWAKI_DATA_DIR" not in os.environ or not TRUE_FILES.is_dir(),
    reason="the true Fashion-MNIST: set NIWAKI_DATA_DIR to a folder that holds fashion-mnist/",
)


def test_folder_within(tmp_path):
    assert fashion_mnist.folder_within(tmp_path) is None
    (tmp_path / "fashion-mnist").mkdir()
    labels = tmp_path / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(b"of MNIST")
    assert fashion_mnist.folder_within(tmp_path) is None
    labels.write_bytes(bytes(5148))
    assert fashion_mnist.folder_within(tmp_path) == tmp_path / "fashion-mnist"
    assert fashion_mnist.folder_within(tmp_path / "fashion-mnist") == tmp_path / "fashion-mnist"


def test_a_missing_damaged_or_unreadable_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: missing: put the four files"):
        fashion_mnist.check(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(b"abc")
    with pytest.raises(
        DataError, match="MD5 is 900150983cd24fb0d6963f7d28e17f72, expected 25c81989df183df01b3e8a0aad5dffbe: delete"
    ):
        fashion_mnist.check_present(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    (tmp_path / "train-labels-idx1-ubyte.gz").mkdir()
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz: cannot be read: Is a directory"):
        fashion_mnist.check_present(tmp_path)


def test_images_and_labels_that_do_not_match(tmp_path, monkeypatch):
    images = struct.pack(">4B3I", 0, 0, 8, 3, 2, 1, 1) + b"ab"
    labels = struct.pack(">4BI", 0, 0, 8, 1, 3) + b"\0\1\2"
    files = []
    for file in fashion_mnist.FILES:
        data = gzip.compress(images if "images" in file.name else labels)
        (tmp_path / file.name).write_bytes(data)
        files.append(RemoteFile(file.name, len(data), hashlib.md5(data).hexdigest()))
    monkeypatch.setattr(fashion_mnist, "FILES", tuple(files))
    fashion_mnist.check(tmp_path)
    with pytest.raises(DataError, match="2 train images but 3 labels"):
        fashion_mnist.source(tmp_path).decode(Preprocessing())


@needs_true_files
def test_the_true_files(tmp_path):
    data = open_dataset(prepare(DataSpec(), cache=tmp_path))
    assert data.train.images.shape == (55_000, 1, 32, 32)
    assert data.labels[0] == "T-shirt/top"
    assert not data.synthetic
    for split, each in ((data.train, 5500), (data.validation, 500), (data.test, 1000)):
        assert np.bincount(split.labels).tolist() == [each] * 10
    # the figures that everybody normalises with, over all 60,000: 0.2860 and 0.3530
    inner = np.concatenate([data.train.images, data.validation.images])[:, :, 2:-2, 2:-2]
    histogram = np.bincount(inner.ravel(), minlength=256) / inner.size
    values = np.arange(256) / 255
    mean = (histogram * values).sum()
    assert round(mean, 4) == 0.2860
    assert round(((histogram * values**2).sum() - mean**2) ** 0.5, 4) == 0.3530
    assert data.test.labels[:6].tolist() == [9, 2, 1, 1, 6, 1]
    assert not data.train.images[:, :, [0, 1, -2, -1]].any()
