"""From a model to a bundle: the same int8 network as an export, everything that the runner reads, what is refused."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest

import niwaki
from niwaki.board import build, network
from niwaki.board.decide import logits
from niwaki.board.network import open_network
from niwaki.board.options import BundleOptions
from niwaki.board.selftest import HEIGHT, WIDTH
from niwaki.data.preprocessing import Preprocessing
from niwaki.device.bundle import Bundle
from niwaki.device.decision import Rule
from niwaki.errors import DataError, ModelError
from niwaki.files import sha256_of
from niwaki.models.onnxfile import load_onnx, write_metadata
from tflite_cases import weighted
from tflite_files import Tensor

ROOT = Path(__file__).parents[2]


def said(_line):
    """Tell nobody."""


def opened(file, data=None, trust=False, **told):
    told.setdefault("vision", "garment")
    return open_network(Path(file), BundleOptions(trust=trust, **told), data=data, notify=said)


def test_model_file_float_onnx_export_and_int8_give_the_same_network(small_model, small_export, small_npz):
    """From the folder it is the very file; from the float ONNX and the model file it is made as export makes it."""
    exported = sha256_of((small_export / "model-int8.onnx").read_bytes())
    assert sha256_of(opened(small_export).int8) == exported
    assert sha256_of(opened(small_export / "model-int8.onnx", str(small_npz)).int8) == exported
    network = opened(small_model)
    made = small_export.parent / "again"
    niwaki.export(small_model, made, to="c")
    assert network.int8 == (made / "model-int8.onnx").read_bytes()
    assert network.source["model.c"] == (made / "c" / "model.c").read_bytes()
    assert network.labels == ("0", "1", "2", "3")
    assert (network.name, network.pad, network.input_size, network.inner_size) == ("small", 0, (16, 16), (16, 16))


def test_a_folder_without_a_note_is_named_after_itself(small_export, tmp_path):
    shutil.copy(small_export / "model-int8.onnx", tmp_path / "model-int8.onnx")
    assert opened(tmp_path).name == tmp_path.name
    study = tmp_path / "study"
    shutil.copytree(small_export, study / "chosen")
    assert opened(study).name == opened(small_export).name


def test_the_bundle_holds_what_the_runner_reads(bundle_for, small_export, small_data):
    folder = bundle_for("jetson-nano")
    bundle = Bundle.open(folder)
    assert bundle.check_all() == len(json.loads((folder / "manifest.json").read_bytes())["files"])
    assert (bundle.target, bundle.machine, bundle.sound) == ("jetson-nano", "aarch64", False)
    assert bundle.model_sha256 == sha256_of((small_export / "model-int8.onnx").read_bytes())
    assert (bundle.input.height, bundle.input.pad, bundle.input.inner_width) == (16, 0, 16)
    assert bundle.languages == ("en", "ko")
    assert [bundle.word(index, "ko") for index in range(4)] == ["0", "1", "2", "3"]
    assert bundle.rule.energy is not None
    about = json.loads((folder / "bundle.json").read_bytes())["decision"]["calibration"]
    assert about["scenes"] == about["empty"] == 30
    pixels = np.frombuffer(bundle.read("selftest/images.bin"), np.uint8).reshape(100, 1, 16, 16)
    assert {image.tobytes() for image in pixels} <= {image.tobytes() for image in np.asarray(small_data.test.images)}


def test_the_film_begins_empty_and_shows_every_kind_of_frame(bundle_for):
    folder = bundle_for("jetson-nano") / "selftest"
    facts = json.loads((folder / "findings.json").read_bytes())
    assert (facts["width"], facts["height"], facts["learn"]) == (WIDTH, HEIGHT, 2)
    assert [found["outcome"] for found in facts["findings"]] == [0, 0, 1, 3]  # found twice, nothing, too large
    assert [found["polarity"] for found in facts["findings"][:2]] == [1, -1]
    assert all(found["used_scene"] == 1 for found in facts["findings"][:3])
    pictures = (folder / "pictures.bin").read_bytes()
    assert len(pictures) == 4 * 16 * 16
    assert not any(pictures[2 * 256 :])
    assert all(any(pictures[at : at + 256]) for at in (0, 256))
    assert (folder / "frames.y4m").read_bytes().startswith(b"YUV4MPEG2 W160 H120 ")


@pytest.mark.parametrize(
    ("target", "camera"),
    [
        ("jetson-nano", "csi:0"),
        # its C library takes zig a minute in a fresh clone
        pytest.param("raspberry-pi-32", "rpicam:0", marks=pytest.mark.soak),
        ("linux-x86_64", "v4l2:/dev/video0"),
    ],
)
def test_readmes_name_the_board_and_the_camera(bundle_for, target, camera):
    english, korean = (bundle_for(target) / name for name in ("README.md", "README.ko.md"))
    for readme in (english, korean):
        text = readme.read_text(encoding="utf-8")
        assert f"./start --source {camera} --speak" in text
        assert f"`{target}`" in text
        assert not re.search(r"\$\{?[a-z]", text), "a name that was not filled in"
        assert "usermod -aG video $USER" in text
    codes = [re.findall(r"\d+", line) for line in english.read_text().splitlines() if line.startswith("| exit code")]
    assert codes[:5] == [["1"], ["2"], ["3"], ["4"], ["5"]]


def test_readmes_quote_what_is_really_said(bundle_for):
    folder = bundle_for("jetson-nano")
    said = (folder / "start").read_text().replace("$python", "python3")
    said += "".join(file.read_text(encoding="utf-8") for file in sorted((folder / "niwaki_device").rglob("*.*")))
    quoted = []
    for readme, button in (("README.md", r"press \*(.+?)\*"), ("README.ko.md", r"\*(.+?)\*를 누르")):
        text = (folder / readme).read_text(encoding="utf-8")
        table = text[text.index("`--replay`:") :].split("\n\n")[0]
        quoted.append(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE))
        label = re.search(button, text)
        assert label
        assert f'"{label[1]}"' in said
    assert quoted[0] == quoted[1]
    assert len(quoted[0]) == 3
    for message in quoted[0]:
        assert message in said, message


def test_the_licence_is_niwakis(bundle_for):
    assert (bundle_for("jetson-nano") / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_a_bundle_starts_and_tests_itself(bundle_for, tmp_path):
    """Moved, through a link, from elsewhere, with another name of Python."""
    here = Path(shutil.copytree(bundle_for("linux-x86_64"), tmp_path / "my bundle"))
    (tmp_path / "link").symlink_to(here / "start")
    command = [tmp_path / "link", "selftest", "--source", "none", "--quiet", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads(done.stdout)
    outcomes = {name: check["outcome"] for name, check in facts["checks"].items()}
    assert {outcomes[name] for name in ("files", "library", "images", "vision")} == {"ok"}
    assert not list(here.rglob("__pycache__"))
    environment = {**os.environ, "PYTHON": "python-of-1991"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("start: no python-of-1991 on this board: apt-get install python3")


@pytest.mark.parametrize("name", ["a:b c", "what? 100 %", '옷 \'n "x"; $HOME \\'])
def test_a_bundle_runs_its_own_code_only(bundle_for, tmp_path, name):
    """Whatever lies where it is started, wherever PYTHONPATH leads, however its folder is called."""
    here = Path(shutil.copytree(bundle_for("linux-x86_64"), tmp_path / name))
    trap = tmp_path / "trap"
    for file in ("json.py", "runpy.py", "sitecustomize.py", "niwaki_device/__init__.py", "niwaki_device/__main__.py"):
        (trap / file).parent.mkdir(parents=True, exist_ok=True)
        (trap / file).write_text("raise SystemExit('code of the current folder')\n")
    command = [here / "start", "selftest", "--source", "none", "--quiet", "--json"]
    pythons = ["python3", *filter(os.path.exists, [Path.home() / ".pyenv/versions/3.6.15/bin/python"])]
    for python in pythons:
        environment = {**os.environ, "PYTHON": str(python), "PYTHONPATH": str(trap), "LC_ALL": "C"}
        done = subprocess.run(command, cwd=trap, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout.decode("utf-8"))["ok"] is True
    assert not list(tmp_path.rglob("__pycache__"))


def test_an_old_python_is_told_so(bundle_for):
    old = Path.home() / ".pyenv/versions/2.7.18/bin/python"
    if not old.exists():
        pytest.skip("needs Python 2.7: pyenv install 2.7.18")
    command = [bundle_for("linux-x86_64") / "start", "selftest"]
    environment = {**os.environ, "PYTHON": str(old)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "niwaki: Python 2.7 is too old: start it with 3.6 or newer: PYTHON=python3.6 ./start\n"


def test_words_lie_in_the_bundle(bundle_for):
    folder = bundle_for("linux-x86_64")
    bundle = Bundle.open(folder)
    if not bundle.sound:
        pytest.skip("needs espeak-ng: apt-get install espeak-ng")
    assert len(list(folder.glob("sounds/*/*.wav"))) == 8
    assert bundle.sound_file(3, "ko") == folder.resolve() / "sounds" / "ko" / "3.wav"


def relabelled(source, target, preprocessing):
    model = load_onnx(source)
    if preprocessing is None:
        del model.metadata_props[:]
    else:
        write_metadata(model, ["a", "b", "c", "d"], preprocessing)
    onnx.save(model, target)
    return target


def test_models_that_no_camera_can_feed_are_refused(small_export, small_model, tmp_path):
    int8 = small_export / "model-int8.onnx"
    with pytest.raises(ModelError, match="does not say how pixels become its input, so no camera can feed it: tell"):
        opened(relabelled(int8, tmp_path / "plain.onnx", None))
    colour = relabelled(int8, tmp_path / "colour.onnx", Preprocessing(color="rgb"))
    with pytest.raises(ModelError, match="the preprocessing gives 3 channels, but the input has 1"):
        opened(colour)
    with pytest.raises(ModelError, match=r"takes pictures of 0×0: a bundle feeds it 1×1 to 256×256"):
        opened(relabelled(int8, tmp_path / "padded.onnx", Preprocessing(pad=8)))
    niwaki.export(small_model, tmp_path / "dynamic", to="onnx-dynamic")
    with pytest.raises(ModelError, match="is quantized dynamically, which runs in ONNX Runtime only: give the model"):
        opened(tmp_path / "dynamic" / "model-dynamic.onnx")
    with pytest.raises(ModelError, match=r"no model-int8.onnx in it: give a folder that niwaki export --to c wrote"):
        opened(tmp_path)
    with pytest.raises(ModelError, match=r"model\.pt: there is no such file"):
        opened(tmp_path / "model.pt")
    (tmp_path / "model.pt").write_bytes(b"")
    with pytest.raises(ModelError, match="expected a model file"):
        opened(tmp_path / "model.pt")


def test_what_a_file_does_not_say_is_said_to_bundle(small_export, tmp_path):
    """Of an ONNX without metadata, and of a .tflite; names of all classes, or none."""
    plain = relabelled(small_export / "model-int8.onnx", tmp_path / "plain.onnx", None)
    how, names = Preprocessing(mean=(0.25,), std=(0.5,)), ("a", "b", "c", "d")
    told = opened(plain, preprocessing=how, labels=names)
    assert (told.graph.preprocessing, told.labels) == (how, names)
    theirs = tmp_path / "theirs.tflite"
    theirs.write_bytes(weighted("FULLY_CONNECTED", (1, 16, 16, 1), (4, 256), Tensor((1, 4), 0.3, -5)).build())
    with pytest.raises(
        ModelError, match=r"theirs\.tflite: does not say how .*: tell niwaki bundle with `preprocessing="
    ):
        opened(theirs)
    read = opened(theirs, preprocessing=how)
    assert read.graph.rounds_twice
    assert read.graph.table is not None
    assert read.graph.table[0, [0, 255]].tolist() == [3 - 10, 3 + 30]  # (0 - 0.25) / 0.5 and 1.5, in steps of 0.05
    assert read.labels == ("class 0", "class 1", "class 2", "class 3")
    with pytest.raises(ModelError, match="3 names for 4 outputs: give one for each with `labels="):
        opened(theirs, preprocessing=how, labels=names[:3])


def test_no_classifier_is_refused(small_graph):
    one = small_graph.tensors[small_graph.output]
    graph = type(small_graph)(
        {**small_graph.tensors, one.name: type(one)(one.name, (1, 2, 2), one.scale, one.zero_point)},
        small_graph.layers, small_graph.input, small_graph.output, table=small_graph.table,
    )  # fmt: skip
    with pytest.raises(ModelError, match="m: takes 1×16×16 and gives 1×2×2: a bundle needs a classifier of images"):
        network._check_graph(graph, "m")


def test_images_that_cannot_be_had(small_export, small_model, small_npz, tmp_path):
    """An int8 network does without; what the user names must be there, and fit."""
    lines = []
    alone = shutil.copy(small_export / "model-int8.onnx", tmp_path / "alone.onnx")
    assert open_network(Path(alone), BundleOptions(), data=None, notify=lines.append).data is None
    with pytest.raises(DataError, match='`data="moon"`: not fashion-mnist'):
        opened(alone, "moon")
    other, labels = tmp_path / "other.npz", np.arange(30) % 3
    images = np.zeros((30, 16, 16), np.uint8)
    np.savez(other, x_train=images, y_train=labels, x_test=images, y_test=labels)
    with pytest.raises(
        DataError, match=r"3 classes \(0, 1, 2\), but the model has 4 classes \(0, 1, 2, 3\): give the data"
    ):
        opened(alone, str(other))


def test_a_network_without_images_is_tried_on_made_up_ones(small_export, tmp_path):
    alone = opened(shutil.copy(small_export / "model-int8.onnx", tmp_path / "alone.onnx"))
    decision, notes = build.decide(alone, 1000, said)
    assert decision.rule == Rule()
    assert notes == (
        "not calibrated, no training images are known (name them with `data=`): every garment found is named",
    )
    selftest = build.make_selftest(alone.graph, alone.data, alone.pad)
    assert selftest.images.shape == (100, 16, 16)
    assert len({image.tobytes() for image in selftest.images}) == 100
    values = logits(alone, selftest.images[:, None])
    output = alone.graph.tensors[alone.graph.output]
    np.testing.assert_allclose(values / output.scale + output.zero_point, selftest.scores, atol=1e-9)


def test_a_bundle_that_would_hardly_ever_speak_is_refused(small_export, monkeypatch):
    """Thresholds that are met by nothing: a network whose answers to everything are alike."""
    network = opened(small_export)
    monkeypatch.setattr("niwaki.board.decide.logits", lambda _network, images: np.ones((len(images), 4)))
    with pytest.raises(ModelError, match=r"would name 0\.0 % of its own images, less than 5 %"):
        build.decide(network, 40, said)
    decision, _ = build.decide(network, 40, said, 0.0)
    assert decision.calibration.accepted_true_rate == 0.0


def test_without_a_compiler_the_calibration_is_the_same(small_export, monkeypatch):
    network = opened(small_export)
    compiled = build.decide(network, 4, said)
    monkeypatch.setattr("niwaki.board.decide.find_compiler", lambda: None)
    assert build.decide(network, 4, said) == compiled


def test_an_error_leaves_nothing(small_export, tmp_path, monkeypatch):
    def fails(*_arguments):
        raise ModelError("no")

    monkeypatch.setattr(build, "compile_binaries", fails)
    with pytest.raises(ModelError, match="no"):
        niwaki.bundle(small_export, tmp_path / "b", target="jetson-nano", sound=False, scenes=0)
    assert not list(tmp_path.iterdir())
