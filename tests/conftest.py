"""Shared fixtures: a small dataset on disk, the true one where it is, Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: several workers' threads would only wait for each other

from niwaki import api
from niwaki.data.dataset import Dataset, open_dataset
from niwaki.data.prepare import prepare
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.spec import DataSpec
from niwaki.models.factory import build_seeded
from niwaki.training.settings import QuantizeSettings

sys.path.insert(0, str(Path(__file__).parent))  # for `networks`
from once import PLACE, once

# No test fails because the machine is busy: a drawn example may take as long as it takes.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
if "settled" not in sys.modules:  # the profile of tests/mutation, which is loaded before
    hypothesis.settings.load_profile("busy")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.pop("COLUMNS", None)  # what is printed into a pipe is not wrapped, unless a test says how wide it is
SOAK_LIMIT_S = 3600


def pytest_configure(config: pytest.Config) -> None:
    """Signals as a terminal has them: what starts the tests may ignore some, and children inherit that."""
    if not hasattr(config, "workerinput"):
        os.environ[PLACE] = tempfile.mkdtemp(prefix="niwaki-once-")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what was made once for all workers, which have ended."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(PLACE), ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long forms of tests have a time limit of their own."""
    for item in items:
        if item.get_closest_marker("soak") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SOAK_LIMIT_S))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's cache."""
    cache = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("NIWAKI_CACHE_DIR", str(cache))


@pytest.fixture(scope="session")
def small_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 training and 100 test images of 16×16 in four classes that a small network can tell apart."""
    rng = np.random.default_rng(0)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count) % 4
        images = rng.integers(0, 60, (count, 16, 16), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            row, column = divmod(int(label), 2)
            image[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += np.uint8(90)
        return images, labels.astype(np.int64)

    path = tmp_path_factory.mktemp("data") / "small.npz"
    (x_train, y_train), (x_test, y_test) = draw(400), draw(100)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


@pytest.fixture(scope="session")
def small_folder(small_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, decoded into the cache that tests use."""
    spec = DataSpec(name="npz", path=small_npz, validation=60, preprocessing=Preprocessing(size=(16, 16)))
    return prepare(spec, cache=tmp_path_factory.getbasetemp() / "cache")


@pytest.fixture(scope="session")
def small_data(small_folder: Path) -> Dataset:
    """The same as a dataset."""
    return open_dataset(small_folder)


@pytest.fixture(scope="session")
def small_model(small_data: Dataset) -> Path:
    """A model file: a LeNet-5 for those images, trained well enough to tell them apart."""
    args = {"num_classes": 4, "image_size": 16, "widths": [3, 6, 16, 12]}

    def make(folder: Path) -> None:
        model = build_seeded("lenet5", args, 0)
        api.train(model, small_data, epochs=5, lr=1e-2, batch_size=20)
        api.save(model, folder / "small.safetensors", factory="lenet5", args=args, data=small_data)

    return once("small model", make) / "small.safetensors"


@pytest.fixture(scope="session")
def small_export(small_model: Path, small_data: Dataset) -> Path:
    """Its float ONNX, int8 ONNX and C in one folder; not to be written to."""
    from niwaki.deploy.export import export_all
    from niwaki.deploy.forms import ExportOptions

    options = ExportOptions(settings=QuantizeSettings(images=100))
    return (
        once("exported", lambda folder: export_all(small_model, folder / "small", data=small_data, options=options))
        / "small"
    )


@pytest.fixture(scope="session")
def zig(pytestconfig: pytest.Config) -> None:
    """The C libraries of the boards take zig long to compile: they are kept from one run of the tests to the next."""
    pytest.importorskip("ziglang", reason="needs zig: pip install ziglang")
    if (cache := getattr(pytestconfig, "cache", None)) is not None:  # -p no:cacheprovider has none
        os.environ.setdefault("ZIG_GLOBAL_CACHE_DIR", str(cache.mkdir("zig")))


@pytest.fixture(scope="session")
def bundle_for(small_export: Path, tmp_path_factory: pytest.TempPathFactory, zig: None) -> Callable[[str], Path]:
    """The bundle of `small_export` for a target; made once, not to be written to.

    linux-x86_64 has sound where espeak-ng is; jetson-nano has calibrated thresholds.
    """
    from niwaki.board.build import bundle_file
    from niwaki.board.options import BundleOptions

    def make(target: str, out: Path) -> None:
        sound = target == "linux-x86_64" and shutil.which("espeak-ng") is not None
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NIWAKI_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))
            options = BundleOptions(sound=sound, scenes=30 if target == "jetson-nano" else 0, vision="garment")
            bundle_file(small_export, target, out, options=options)

    return lambda target: once(f"bundle {target}", lambda folder: make(target, folder / target)) / target


@pytest.fixture(scope="session")
def launch() -> Iterator[Callable[..., Any]]:
    """Starts the system's Chromium with arguments; a process may have one driver of it.

    Skipped by name where Chromium or the driver is missing.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as driver:
        yield lambda *arguments: driver.chromium.launch(executable_path=program, args=list(arguments))


@pytest.fixture(scope="session")
def true_data() -> Path:
    """The folder of the true Fashion-MNIST files; skipped by name where they are not."""
    folder = Path(os.environ.get("NIWAKI_DATA_DIR", "")) / "fashion-mnist"
    if not os.environ.get("NIWAKI_DATA_DIR") or not folder.is_dir():
        pytest.skip("needs the true Fashion-MNIST: set NIWAKI_DATA_DIR to the folder that holds fashion-mnist/")
    return folder
