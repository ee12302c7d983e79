"""`niwaki study new`: from a user's images to a study that runs as it was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import niwaki
from niwaki.study.spec import load_spec

NETWORK = """
from torch import nn

def build(labels_count=2, n_classes=5, channels=7, width=4):
    return nn.Sequential(nn.Conv2d(channels, width, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(width, n_classes))
"""


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for kind, tint in enumerate((60, 120, 180)):
        folder = tmp_path / "내 photos" / "abc"[kind]
        folder.mkdir(parents=True)
        for number in range(30):
            pixels = generator.integers(0, 60, (40 + number, 50, 3)) + np.array([tint, 0, 200 - tint])
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "내 photos"


def test_a_study_of_photographs_runs_as_it_was_written(photos: Path, call) -> None:
    (photos / "a" / "broken.jpg").write_bytes(b"no image")
    code, out, err = call("study", "new", photos)
    assert code == 0, err
    assert (
        "3 classes; 65 images for training, 7 images for validation, 18 images for test; colour, 40×50 to 69×50" in out
    )
    assert "the network sees 3×48×48" in out
    assert "Wrote 내 photos.toml; read it, then run it with: niwaki study run '내 photos.toml'" in out
    assert "skipped 1 file: a/broken.jpg: not a readable image" in err
    text = Path("내 photos.toml").read_text(encoding="utf-8")
    assert "# skipped 1 file: a/broken.jpg" in text
    spec, _ = load_spec("내 photos.toml")
    assert spec.data.skip
    assert (spec.data.preprocessing.color, spec.data.preprocessing.size) == ("rgb", (48, 48))
    assert spec.model.args == {"num_classes": 3, "in_channels": 3, "image_size": 48}
    quick = (
        text.replace("epochs = 20", "epochs = 1").replace("steps = 3", "steps = 1").replace("epochs = 3", "epochs = 0")
    )
    quick = quick.replace("[0.3, 0.5, 0.7]", "[0.5]").replace("accuracy_drop<=2", "accuracy_drop<=100")
    quick = quick.replace('minimize = "flash"', 'minimize = "flash"\nexport = false').replace(
        "from_scratch = true\n", ""
    )
    Path("quick.toml").write_text(quick, encoding="utf-8")
    result = niwaki.run_study("quick.toml", jobs=1)
    assert not result.failed
    facts = niwaki.open_study("studies/quick")
    assert '"skipped 1 file: a/broken.jpg' in (Path(facts.folder) / "study.json").read_text(encoding="utf-8")


def test_the_factory_s_own_names_and_arguments(photos: Path, call) -> None:
    Path("mynet_of_new.py").write_text(NETWORK, encoding="utf-8")
    asked = ("study", "new", photos, "--factory", "mynet_of_new:build", "--args", "width = 6", "--out", "a/mine.toml")
    code, out, _ = call(*asked, "--trust")
    assert code == 0
    assert out.endswith("niwaki study run a/mine.toml --trust\n")
    spec, _ = load_spec("a/mine.toml")
    assert spec.model.args == {"width": 6, "n_classes": 3, "channels": 3}
    assert spec.data.path is not None
    assert spec.data.path.resolve() == photos.resolve()
    assert not spec.data.skip
    code, out, _ = call("study", "run", "a/mine.toml", "--trust", "--dry-run")
    assert (code, "parameters" in out) == (0, True)
    code, _, err = call(*asked)
    assert (code, "a/mine.toml exists: give another name" in err) == (2, True)
    written = niwaki.new_study(photos, "untrusted.toml", factory="mynet_of_new:build")
    assert load_spec(str(written))[0].model.args == {"num_classes": 3, "in_channels": 3}
    timm = niwaki.new_study(photos, "timm.toml", factory="timm:create_model", args={"model_name": "resnet10t"})
    assert load_spec(str(timm))[0].model.args == {"model_name": "resnet10t", "in_chans": 3, "num_classes": 3}


def test_what_the_network_states_of_its_images(photos: Path, call) -> None:
    stated = "{'input_size': (3, 64, 64), 'interpolation': 'bicubic', 'mean': (0.5, 0.4, 0.3), 'std': (0.2, 0.2, 0.1)}"
    source = NETWORK.replace("    return", "    net =") + f"    net.pretrained_cfg = {stated}\n    return net\n"
    Path("mynet_that_states.py").write_text(source, encoding="utf-8")
    asked = ("study", "new", photos, "--factory", "mynet_that_states:build")
    assert call(*asked, "--trust", "--out", "mine.toml")[0] == 0
    how = load_spec("mine.toml")[0].data.preprocessing
    assert (how.interpolation, how.mean, how.std) == ("bicubic", (0.5, 0.4, 0.3), (0.2, 0.2, 0.1))
    assert (how.size, how.resize) == ((48, 48), "fit")
    assert call(*asked, "--out", "untrusted.toml")[0] == 0
    assert load_spec("untrusted.toml")[0].data.preprocessing.mean == (0.0,)
    Path("mynet_that_states.py").write_text("def build(**_):\n    raise ValueError('no weights')\n", encoding="utf-8")
    assert call(*asked, "--trust", "--out", "failing.toml")[0] == 0


def test_classes_of_unlike_size_get_weights(photos: Path, call) -> None:
    assert call("study", "new", photos, "--out", "alike.toml")[0] == 0
    assert load_spec("alike.toml")[0].train.class_weights == "none"
    for number in range(3, 30):
        (photos / "a" / f"{number}.png").unlink()
    assert call("study", "new", photos, "--out", "unlike.toml")[0] == 0
    assert load_spec("unlike.toml")[0].train.class_weights == "balanced"
    assert "# 2 to 22 training images a class" in Path("unlike.toml").read_text(encoding="utf-8")


def test_small_square_images_are_padded_and_not_mirrored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images, labels = np.random.default_rng(0).integers(0, 256, (60, 28, 28), dtype=np.uint8), np.arange(60) % 3
    np.savez("digits.npz", x_train=images, y_train=labels)
    spec, _ = load_spec(str(niwaki.new_study("digits.npz")))
    assert (spec.data.name, spec.data.preprocessing.pad, spec.data.preprocessing.size) == ("npz", 2, None)
    assert (spec.data.preprocessing.color, spec.train.flip) == ("grey", True)
    assert spec.model.args == {"num_classes": 3, "in_channels": 1, "image_size": 32}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: there is no such folder"),
        (["."], "at least two are needed, one folder of images per class"),
        (["내 photos", "--out", "x.yaml"], "x.yaml: a study's file ends in .toml"),
        (["내 photos", "--args", "width 3"], "--args width 3: "),
        (
            ["내 photos", "--factory", "nowhere:build", "--trust"],
            "factory 'nowhere:build': there is no module 'nowhere'",
        ),
        (["내 photos", "--factory", "lenet6"], "factory 'lenet6': did you mean 'lenet5'? expected one of lenet5"),
    ],
)
def test_bad_input(photos: Path, call, arguments: list[str], message: str) -> None:
    for entry in list(photos.parent.iterdir()) if arguments == ["."] else ():
        entry.rename(photos.parent / f".{entry.name}")
    code, _, err = call("study", "new", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1 or "decoding" in err
