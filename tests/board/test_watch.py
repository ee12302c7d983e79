"""The runner on the desktop: a bundle for this machine, made once and kept."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time

import pytest

import niwaki
from niwaki.board import cache
from niwaki.board.compile import LIBRARY, PROGRAM, Binaries
from niwaki.board.options import BundleOptions
from niwaki.board.targets import target_of_this_machine
from niwaki.board.watch import bundle_here
from niwaki.cli.entry import run
from niwaki.errors import ModelError, SpecError

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="needs Linux on x86-64 or aarch64, where bundles run",
)
QUIET = BundleOptions(sound=False, scenes=0, vision="garment")


@pytest.fixture(scope="module")
def kept(small_export, bundle_for, tmp_path_factory):
    """A cache folder in which the bundle of `small_export` for this machine lies: built by the first test."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def here(kept, monkeypatch, bundle_for):
    """Binaries that were compiled before: compiling is tested elsewhere."""
    monkeypatch.setenv("NIWAKI_CACHE_DIR", str(kept))
    folder = bundle_for(target_of_this_machine().name)
    ready = Binaries((folder / LIBRARY).read_bytes(), (folder / PROGRAM).read_bytes())
    monkeypatch.setattr("niwaki.board.build.compile_binaries", lambda *_arguments: ready)


def test_a_bundle_is_made_once_and_found_again(small_export, here, kept, monkeypatch):
    lines = []
    first = bundle_here(small_export, QUIET, notify=lines.append)
    assert any(line.startswith("compiling for") for line in lines)
    assert cache.is_bundle(first)
    assert first.parent == kept / "bundles"
    monkeypatch.setattr("niwaki.board.build.bundle_file", None)  # would fail if it were called
    assert bundle_here(small_export, QUIET) == first


def test_another_model_niwaki_or_wish_is_another_bundle(small_export, small_model, here, tmp_path, monkeypatch):
    base = cache.cached_bundle(small_export, {"a": 1})[0]
    assert cache.cached_bundle(small_export, {"a": 1})[0] == base
    assert cache.cached_bundle(small_export, {"a": 2})[0] != base
    copy = shutil.copytree(small_export, tmp_path / "copy")
    assert cache.cached_bundle(copy, {"a": 1})[0] == base  # what counts is what is in it
    (copy / "model-int8.onnx").write_bytes(b"")
    assert cache.cached_bundle(copy, {"a": 1})[0] != base
    assert cache.cached_bundle(small_model, {"a": 1})[0] != base
    monkeypatch.setattr(cache, "_own", lambda: iter([b"another niwaki"]))
    assert cache.cached_bundle(small_export, {"a": 1})[0] != base


def test_the_oldest_bundles_go(tmp_path):
    for number in range(cache.KEPT + 3):
        place = tmp_path / f"{number:02}"
        place.mkdir()
        for name in ("bundle.json", "manifest.json"):
            (place / name).write_bytes(b"{}")
        os.utime(place, (number, number))
    (tmp_path / "something else").mkdir()
    cache.tidy(tmp_path / "00")
    left = sorted(file.name for file in tmp_path.iterdir())
    assert left == ["00", *(f"{number:02}" for number in range(4, cache.KEPT + 3)), "something else"]


def test_what_cannot_be_watched(here, tmp_path, monkeypatch):
    with pytest.raises(ModelError, match=r"gone\.safetensors: there is no such file"):
        bundle_here(tmp_path / "gone.safetensors", QUIET)
    (tmp_path / "m.onnx").write_bytes(b"")
    original = type(tmp_path).read_bytes

    def unreadable(self):
        if self.name == "m.onnx":
            raise PermissionError(13, "Permission denied", str(self))
        return original(self)

    monkeypatch.setattr(type(tmp_path), "read_bytes", unreadable)
    with pytest.raises(ModelError, match=r"m\.onnx: cannot be read: Permission denied"):
        bundle_here(tmp_path / "m.onnx", QUIET)
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(ModelError, match="Linux on riscv64: bundles run on Linux on"):
        bundle_here(tmp_path / "m.onnx", QUIET)


def test_a_bundle_from_elsewhere_is_run_only_when_trusted(bundle_for, tmp_path, capsys):
    """Its library is loaded into this very process: a manifest that fits says nothing of whose it is."""
    copy = shutil.copytree(bundle_for("linux-x86_64"), tmp_path / "copy")
    assert bundle_here(copy, QUIET) == copy  # built here, wherever it lies now
    manifest = copy / "manifest.json"
    manifest.write_text(manifest.read_text() + " ")
    with pytest.raises(ModelError, match=r"copy: was not built here, or was changed since: say `trust=True`"):
        bundle_here(copy, QUIET)
    assert run(["watch", str(copy), "--source", film(copy), "--quiet"]) == 2
    assert "say --trust to run the programs in it" in capsys.readouterr().err
    assert bundle_here(copy, QUIET, trust=True) == copy


def film(bundle):
    return f"file:{bundle / 'selftest' / 'frames.y4m'}"


def test_watch_runs_the_runner_with_its_options(bundle_for, here, capfd):
    """With a bundle, on its own film, of which the first frame is the empty scene; from Python the same."""
    bundle = bundle_for("linux-x86_64")
    options = ["--quiet", "--json", "--learn", "1", "--frames", "3", "--trust"]
    code = run(["watch", str(bundle), "--source", film(bundle), *options])
    out, err = capfd.readouterr()
    assert (code, err) == (0, "")
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["learned"]
    settings = {"source": film(bundle), "quiet": True, "json": True, "learn": 1, "frames": 3}
    assert niwaki.watch(bundle, trust=True, **settings) == 0
    assert capfd.readouterr() == (out, "")
    with pytest.raises(
        SpecError, match=r"no_lern is not an option of watch: did you mean 'no-learn'\? expected source"
    ):
        niwaki.watch(bundle, no_lern=True)


def test_watch_of_a_model_records_and_replays(small_export, here, tmp_path, capfd, bundle_for):
    common = ["watch", str(small_export), "--quiet", "--scenes", "0", "--vision", "garment"]
    source = film(bundle_for("linux-x86_64"))
    assert run([*common, "--source", source, "--no-learn", "--record", str(tmp_path / "kept")]) == 0
    assert run([*common, "--replay", str(tmp_path / "kept")]) == 0
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--source", "v4l2:/dev/no-camera", "--once"], 3, "niwaki watch: "),
        (["--source", "magic:0"], 2, "niwaki watch: source magic:0: kind 'magic' is unknown"),
        (["--speak", "de"], 2, "niwaki watch: --speak de: this bundle speaks en, ko"),
        (["--token", "x"], 2, "niwaki watch: --token without --serve"),
        (["--frames", "0"], 2, "niwaki watch: "),
    ],
)
def test_the_runners_errors_are_its_own(bundle_for, capsys, options, code, message):
    assert run(["watch", str(bundle_for("linux-x86_64")), "--quiet", *options]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err.splitlines()[-1]


def test_a_bundle_for_another_board(bundle_for, capsys):
    other = "jetson-nano" if platform.machine() == "x86_64" else "linux-x86_64"
    assert run(["watch", str(bundle_for(other)), "--quiet"]) == 5
    assert "libniwaki.so: is for " in capsys.readouterr().err


def test_ctrl_c_is_130(bundle_for):
    command = [
        sys.executable, "-m", "niwaki", "watch", str(bundle_for("linux-x86_64")), "--quiet",
        "--source", "v4l2:/dev/no-camera",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        first = child.stderr.readline()  # it waits for the camera
        time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        _, rest = child.communicate(timeout=60)
    assert "no-camera" in first
    assert child.returncode == 130
    assert "Traceback" not in rest
