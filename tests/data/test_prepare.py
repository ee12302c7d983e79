import gzip
import hashlib
import multiprocessing
import os
import signal
import struct
import time

import numpy as np
import pytest
from PIL import Image

from niwaki.data import fashion_mnist, synthetic
from niwaki.data import prepare as module
from niwaki.data.dataset import open_dataset
from niwaki.data.download import RemoteFile
from niwaki.data.prepare import prepare
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.source import Source
from niwaki.data.spec import DataSpec
from niwaki.errors import DataError
from niwaki.files import cache_folder

SMALL = {"name": "synthetic", "train_samples": 60, "test_samples": 20, "validation": 10}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("NIWAKI_DATA_DIR", raising=False)
    monkeypatch.setenv("NIWAKI_CACHE_DIR", str(tmp_path / "default-cache"))


@pytest.fixture
def four_files(tmp_path, monkeypatch):
    """A small Fashion-MNIST whose four files are known by their MD5."""
    folder, files = tmp_path / "place" / "fashion-mnist", []
    folder.mkdir(parents=True)
    for file, count in zip(fashion_mnist.FILES, (40, 40, 20, 20), strict=True):
        if "images" in file.name:
            body = struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28) + bytes(i % 251 for i in range(count * 784))
        else:
            body = struct.pack(">4BI", 0, 0, 8, 1, count) + bytes(i % 10 for i in range(count))
        data = gzip.compress(body, mtime=0)
        (folder / file.name).write_bytes(data)
        files.append(RemoteFile(file.name, len(data), hashlib.md5(data).hexdigest()))
    monkeypatch.setattr(fashion_mnist, "FILES", tuple(files))
    return folder


@pytest.fixture
def few_drawn(monkeypatch):
    """Synthetic data of 60 and 20 images, whatever was asked for."""
    real = synthetic.source
    monkeypatch.setattr(synthetic, "source", lambda _train, _test, seed: real(60, 20, seed))


def fashion(**settings):
    return DataSpec(validation=10, **settings)


def test_synthetic_is_split_and_kept(tmp_path):
    told: list[str] = []
    folder = prepare(DataSpec(**SMALL), cache=tmp_path / "c", notify=told.append)
    assert told == [f"drawing synthetic images into {folder}"]
    data = open_dataset(folder)
    assert folder.parent == tmp_path / "c" / "decoded"
    assert (len(data.train), len(data.validation), len(data.test)) == (50, 10, 20)
    assert np.bincount(data.validation.labels).tolist() == [1] * 10
    assert data.synthetic
    together = np.concatenate([data.train.images, data.validation.images])
    drawn = Preprocessing(pad=2).arrange(synthetic.draw(np.arange(60), seed=0, split=0)[0])
    assert sorted(map(bytes, together)) == sorted(map(bytes, drawn))


def test_the_second_time_nothing_is_decoded(tmp_path, monkeypatch):
    first = prepare(DataSpec(**SMALL), cache=tmp_path)
    monkeypatch.setattr(module, "write_dataset", None)
    assert prepare(DataSpec(**SMALL), cache=tmp_path) == first


@pytest.mark.parametrize(
    "change",
    [
        {"validation": 20}, {"split_seed": 1}, {"limit": 20}, {"test_limit": 10}, {"synthetic_seed": 1},
        {"train_samples": 70}, {"preprocessing": Preprocessing(pad=1)},
        {"preprocessing": Preprocessing(pad=2, std=(2.0,))},
    ],
)  # fmt: skip
def test_other_settings_are_other_data(tmp_path, change):
    folders = [prepare(DataSpec(**settings), cache=tmp_path) for settings in (SMALL, {**SMALL, **change})]
    assert folders[0] != folders[1]
    assert open_dataset(folders[0]).fingerprint != open_dataset(folders[1]).fingerprint


def test_limits(tmp_path):
    data = open_dataset(prepare(DataSpec(**SMALL, limit=20, test_limit=10), cache=tmp_path))
    assert np.bincount(data.train.labels).tolist() == [2] * 10
    assert np.bincount(data.test.labels).tolist() == [1] * 10
    assert len(data.validation) == 10


def test_too_much_held_out(tmp_path):
    with pytest.raises(DataError, match="60 images to hold out of 60"):
        prepare(DataSpec(**{**SMALL, "validation": 60}), cache=tmp_path)
    assert [path.suffix for path in (tmp_path / "decoded").iterdir()] == [".lock"]


def test_cache_folder(tmp_path, monkeypatch):
    assert cache_folder() == tmp_path / "default-cache"
    assert prepare(DataSpec(**SMALL)).parent.parent == tmp_path / "default-cache"
    monkeypatch.delenv("NIWAKI_CACHE_DIR")
    assert "niwaki" in str(cache_folder())


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"decoded data cannot be stored there; set NIWAKI_CACHE_DIR"):
        prepare(DataSpec(**SMALL), cache=tmp_path / "file")


@pytest.mark.parametrize("name", ["dataset.json", "train_images.npy", "test_labels.npy"])
def test_damage_is_decoded_again_and_said(tmp_path, name):
    folder = prepare(DataSpec(**SMALL), cache=tmp_path)
    before = (folder / name).read_bytes()
    (folder / name).write_bytes(before[:-3] + b"???")
    lines = []
    assert prepare(DataSpec(**SMALL), cache=tmp_path, notify=lines.append) == folder
    assert (folder / name).read_bytes() == before
    assert "it is decoded again" in lines[0]


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(folder, *_args, **_kwargs):
        (folder / "train_images.npy").write_bytes(b"part")
        raise OSError(28, "No space left on device", str(folder))

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_dataset", full)
        with pytest.raises(DataError, match="No space left on device: decoded data cannot be stored there"):
            prepare(DataSpec(**SMALL), cache=tmp_path)
    assert [path.suffix for path in (tmp_path / "decoded").iterdir()] == [".lock"]


def _write_for_ever(cache, started):
    real = module.write_dataset

    def slow(folder, *args, **kwargs):
        real(folder, *args, **kwargs)
        started.set()
        time.sleep(60)

    module.write_dataset = slow
    prepare(DataSpec(**SMALL), cache=cache)


def test_a_killed_process_leaves_nothing_taken_for_whole(tmp_path):
    context = multiprocessing.get_context("fork")
    started = context.Event()
    process = context.Process(target=_write_for_ever, args=(tmp_path, started))
    process.start()
    assert started.wait(20)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    left = [path for path in (tmp_path / "decoded").iterdir() if path.is_dir()]
    assert len(left) == 1
    assert left[0].name.startswith(".")
    folder = prepare(DataSpec(**SMALL), cache=tmp_path)
    assert [path for path in (tmp_path / "decoded").iterdir() if path.is_dir()] == [folder]


def _prepare_counting(cache, writes, barrier, folders):
    real = module.write_dataset

    def counted(*args, **kwargs):
        with writes.get_lock():
            writes.value += 1
        time.sleep(0.2)
        real(*args, **kwargs)

    module.write_dataset = counted
    barrier.wait(20)
    folders.put(str(prepare(DataSpec(**SMALL), cache=cache)))


def test_two_processes_decode_once(tmp_path):
    context = multiprocessing.get_context("fork")
    writes, barrier, folders = context.Value("i", 0), context.Barrier(2), context.Queue()
    both = [context.Process(target=_prepare_counting, args=(tmp_path, writes, barrier, folders)) for _ in range(2)]
    for process in both:
        process.start()
    found = {folders.get(timeout=20) for _ in both}
    for process in both:
        process.join(20)
        assert process.exitcode == 0
    assert writes.value == 1
    assert len(found) == 1


def test_fashion_mnist_wherever_it_is_named(four_files, tmp_path, monkeypatch):
    ways = [
        prepare(fashion(), data=str(four_files), cache=tmp_path / "1", mirrors=()),
        prepare(fashion(), data=str(four_files.parent), cache=tmp_path / "2", mirrors=()),
        prepare(fashion(path=four_files.parent), cache=tmp_path / "3", mirrors=()),
    ]
    monkeypatch.setenv("NIWAKI_DATA_DIR", str(four_files.parent))
    ways.append(prepare(fashion(), cache=tmp_path / "4", mirrors=()))
    monkeypatch.setenv("NIWAKI_DATA_DIR", str(four_files))
    ways.append(prepare(fashion(), cache=tmp_path / "6", mirrors=()))
    monkeypatch.delenv("NIWAKI_DATA_DIR")
    (tmp_path / "5").mkdir()
    four_files.rename(tmp_path / "5" / "fashion-mnist")
    ways.append(prepare(fashion(), cache=tmp_path / "5", mirrors=()))
    assert len({way.name for way in ways}) == 1
    data = open_dataset(ways[0])
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 10, 20)
    assert data.name == "fashion-mnist"


def test_a_named_place_is_never_completed_by_a_download(four_files, tmp_path, monkeypatch):
    (four_files / "t10k-labels-idx1-ubyte.gz").unlink()
    for settings, data in (({"fallback": True}, str(four_files)), ({"path": four_files}, None)):
        with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz: missing"):
            prepare(fashion(**settings), data=data, cache=tmp_path, mirrors=("http://127.0.0.1:9",))
    monkeypatch.setenv("NIWAKI_DATA_DIR", str(four_files.parent))
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz: missing"):
        prepare(fashion(fallback=True), cache=tmp_path, mirrors=("http://127.0.0.1:9",))


def test_damaged_files_never_fall_back(four_files, tmp_path, monkeypatch):
    (four_files / "t10k-labels-idx1-ubyte.gz").write_bytes(b"abc")
    (four_files / "train-labels-idx1-ubyte.gz").unlink()
    (tmp_path / "cache").mkdir()
    four_files.rename(tmp_path / "cache" / "fashion-mnist")
    with pytest.raises(DataError, match="MD5 is 900150983cd24fb0d6963f7d28e17f72, expected"):
        prepare(fashion(fallback=True), cache=tmp_path / "cache", mirrors=())


def test_fashion_mnist_that_is_nowhere(tmp_path, monkeypatch):
    place, mirrors = tmp_path / "fashion-mnist", ("http://127.0.0.1:9", "http://127.0.0.1:9/other")
    download = f"train-images-idx3-ubyte.gz cannot be downloaded ({', '.join(mirrors)}: Connection refused)"
    way_out = f"put its four files into {place}, or set NIWAKI_DATA_DIR or `data=` to their folder"
    with pytest.raises(DataError) as caught:
        prepare(fashion(), cache=tmp_path, mirrors=mirrors)
    assert str(caught.value) == f"Fashion-MNIST is not in {place}, and {download}: {way_out}"
    monkeypatch.setenv("NIWAKI_DATA_DIR", "elsewhere")
    with pytest.raises(DataError, match=f"^Fashion-MNIST is neither in NIWAKI_DATA_DIR=elsewhere nor in {place}, and "):
        prepare(fashion(), cache=tmp_path, mirrors=mirrors)


def test_the_built_in_study_falls_back_and_says_so(tmp_path, few_drawn):
    lines = []
    folder = prepare(fashion(fallback=True), cache=tmp_path, mirrors=(), notify=lines.append)
    data = open_dataset(folder)
    assert data.synthetic
    assert data.name == "synthetic"
    assert data.input_shape == (1, 32, 32)
    assert lines[0].startswith("Fashion-MNIST is not available, so this study uses 'synthetic'")
    with pytest.raises(DataError, match="Fashion-MNIST is not in"):
        prepare(fashion(fallback=True), data="fashion-mnist", cache=tmp_path, mirrors=())


def test_data_option_names_another_dataset(tmp_path, few_drawn):
    data = open_dataset(prepare(fashion(limit=20), data="synthetic", cache=tmp_path))
    assert data.synthetic
    assert len(data.train) == 20


def test_data_option_names_a_folder_of_classes(tmp_path):
    for name in "ab":
        (tmp_path / "leaves" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("L", (9, 5 + number), 50).save(tmp_path / "leaves" / name / f"{number}.png")
    spec = DataSpec(validation=4)
    data = open_dataset(prepare(spec, data=str(tmp_path / "leaves"), cache=tmp_path))
    assert data.name == "folder"
    assert data.origin == "folder leaves"
    assert data.input_shape == spec.known_input_shape() == (1, 32, 32)
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 4, 4)
    own = DataSpec(
        name="folder", path=tmp_path / "leaves", validation=4, preprocessing=Preprocessing(size=(6, 6)), test=0.1
    )
    data = open_dataset(prepare(own, cache=tmp_path))
    assert data.input_shape == (1, 6, 6)
    assert len(data.test) == 2


def test_data_option_names_an_npz_file(tmp_path):
    np.savez(tmp_path / "d.npz", x_train=np.zeros((20, 28, 28), np.uint8), y_train=np.arange(20) % 2)
    data = open_dataset(prepare(DataSpec(validation=4), data=str(tmp_path / "d.npz"), cache=tmp_path))
    assert (data.name, data.origin, data.input_shape) == ("npz", "d.npz", (1, 32, 32))
    again = open_dataset(prepare(DataSpec(name="npz", path=tmp_path / "d.npz", validation=4), cache=tmp_path))
    assert again.input_shape == (1, 28, 28)


def test_data_option_that_is_nothing(tmp_path):
    with pytest.raises(
        DataError, match=r'`data="nowhere"`: not fashion-mnist, not synthetic, not a folder, not a \.csv'
    ):
        prepare(fashion(), data="nowhere", cache=tmp_path)
    with pytest.raises(DataError, match=r"""`data="fasion-mnist"`: did you mean 'fashion-mnist'\? not fashion-mnist"""):
        prepare(fashion(), data="fasion-mnist", cache=tmp_path)


def test_a_part_for_validation_is_used_as_it_is(tmp_path):
    for part, count in (("train", 4), ("val", 2), ("test", 1)):
        for name in "ab":
            (tmp_path / "d" / part / name).mkdir(parents=True)
            for number in range(count):
                Image.new("L", (3, 3), 50).save(tmp_path / "d" / part / name / f"{number}.png")
    data = open_dataset(prepare(DataSpec(name="folder", path=tmp_path / "d"), cache=tmp_path))
    assert (len(data.train), len(data.validation), len(data.test)) == (8, 4, 2)


def test_other_contents_have_another_key():
    def never(_preprocessing):
        raise AssertionError

    keys = {module._key(Source("folder", text, "o", never), DataSpec(**SMALL)) for text in ("one", "two")}
    assert len(keys) == 2


def test_data_option_keeps_the_size_that_the_study_gives(tmp_path):
    np.savez(tmp_path / "d.npz", x_train=np.zeros((20, 9, 5), np.uint8), y_train=np.arange(20) % 2)
    spec = DataSpec(validation=4, preprocessing=Preprocessing(size=(12, 10), pad=1))
    data = open_dataset(prepare(spec, data=str(tmp_path / "d.npz"), cache=tmp_path))
    assert data.input_shape == spec.known_input_shape() == (1, 14, 12)
