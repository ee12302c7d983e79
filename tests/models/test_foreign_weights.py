"""Weights of other tools in a network of a factory, and what does not fit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import niwaki
from niwaki.cli.entry import run
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import NiwakiError
from niwaki.models.own_preprocessing import completed, stated_preprocessing

ARGS = {"num_classes": 3, "image_size": 16, "widths": [2, 3, 8, 8]}
SIXTEEN = Preprocessing(size=(16, 16))


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(3)
    return niwaki.LeNet5(**ARGS)


def bring(file: Path, **more):
    settings = {"factory": "lenet5", "args": ARGS, "labels": ["a", "b", "c"], "preprocessing": SIXTEEN, **more}
    return niwaki.import_model(file, file.with_name("out.safetensors"), **settings)


@pytest.mark.parametrize("kind", ["plain", "checkpoint", "parallel", "half", "early", "safetensors", "compiled"])
def test_weights_as_people_have_them(model: nn.Module, tmp_path: Path, kind: str) -> None:
    state = model.state_dict()
    prefixed = {"parallel": "module.", "compiled": "_orig_mod."}.get(kind, "")
    state = {prefixed + name: value.half() if kind == "half" else value for name, value in state.items()}
    file = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "safetensors":
        save_file(state, file)
    elif kind == "early":
        torch.save(state, file, _use_new_zipfile_serialization=False)
    else:
        torch.save(
            {"epoch": 7, "optimizer": {"lr": 0.1}, "model_state_dict": state} if kind == "checkpoint" else state, file
        )
    report = bring(file)
    assert (report.taken, report.fresh) == (10, ())
    images = torch.rand(2, 1, 16, 16)
    again = niwaki.load(report.file)
    with torch.no_grad():
        np.testing.assert_allclose(again(images), model.eval()(images), atol=1e-2 if kind == "half" else 0)
    assert ("names are read without" in str(report.remarks)) == bool(prefixed)
    assert ("the weights are its 'model_state_dict'" in str(report.remarks)) == (kind == "checkpoint")


def test_what_does_not_fit_is_named_and_left_if_asked(model: nn.Module, tmp_path: Path) -> None:
    state = {**model.state_dict(), "aux.weight": torch.zeros(2)}
    del state["conv2.bias"]
    torch.save(state, tmp_path / "w.pt")
    other = {**ARGS, "num_classes": 4}
    with pytest.raises(NiwakiError) as refused:
        bring(tmp_path / "w.pt", args=other, labels=list("abcd"))
    told = str(refused.value)
    assert (
        "missing: conv2.bias; not in the network: aux.weight; another shape: fc3.weight (3, 8), the network's (4, 8)"
        in told
    )
    assert "`partial=True` to take what fits" in told
    report = bring(tmp_path / "w.pt", args=other, labels=list("abcd"), partial=True)
    assert (report.taken, report.fresh) == (7, ("conv2.bias", "fc3.weight", "fc3.bias"))
    assert torch.equal(niwaki.load(report.file).conv1.weight, model.conv1.weight)
    torch.save({"x": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(NiwakiError, match="none of its 1 tensors fits"):
        bring(tmp_path / "w.pt", partial=True)


class Evil:
    """Loading it would make a file."""

    def __reduce__(self):
        return os.mkdir, (os.environ["NIWAKI_TEST_EVIL"],)


def test_no_code_of_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIWAKI_TEST_EVIL", str(tmp_path / "made"))
    torch.save({"state_dict": Evil()}, tmp_path / "w.pth")
    with pytest.raises(NiwakiError, match="loading runs code; where it was made, save torch.save"):
        bring(tmp_path / "w.pth", trust=True)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.pth", b"no weights", "cannot be read as weights alone"),
        ("w.safetensors", b"no weights", "damaged, truncated or not a safetensors file"),
        ("w.onnx", b"", "expected weights: a file that ends in .pth"),
        ("w.pth", None, "cannot be read: No such file"),
        ("w.pth", [1, 2], "holds a list, not a state dict"),
        ("w.pth", {"epoch": 1}, "holds a dict of epoch, not a state dict"),
        ("w.pth", nn.Linear(1, 1), "cannot be read as weights alone: it is damaged, or holds Python objects"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, content: object, message: str) -> None:
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    elif content is not None:
        torch.save(content, tmp_path / name)
    with pytest.raises(NiwakiError, match=message):
        bring(tmp_path / name)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"labels": None}, "the network has 3 outputs: name them with `labels=` or `data=`"),
        ({"labels": ["a"]}, "3 outputs, but there are 1 labels"),
        ({"preprocessing": None}, "states no preprocessing: give `preprocessing=`"),
        ({"preprocessing": {}}, "size is missing"),
        ({"preprocessing": {"size": [9, 9]}}, "does not take an input of 1×9×9"),
        ({"preprocessing": {"sized": [9, 9]}}, "sized"),
        ({"factory": "nowhere:build"}, "say `trust=True`"),
    ],
)
def test_what_is_missing_is_said(model: nn.Module, tmp_path: Path, more, message: str) -> None:
    torch.save(model.state_dict(), tmp_path / "w.pth")
    with pytest.raises(NiwakiError, match=message):
        bring(tmp_path / "w.pth", **more)


def test_the_command_measures_on_images_and_names_their_classes(model: nn.Module, tmp_path: Path, capsys) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 16, 16), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x_train=images, y_train=np.arange(60) % 3)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    (tmp_path / "names.txt").write_text("0\n1\n2\n")
    args = ["import", str(tmp_path / "w.pth"), "--factory", "lenet5", "--out", str(tmp_path / "m.safetensors")]
    args += ["--args", "num_classes = 3, image_size = 16, widths = [2, 3, 8, 8]", "--preprocessing", "size = [16, 16]"]
    assert run([*args, "--data", str(tmp_path / "x.npz"), "--labels", str(tmp_path / "names.txt")]) == 0
    out = capsys.readouterr().out
    assert f"10 tensors of {tmp_path}/w.pth; 1×16×16 to 3 classes; " in out
    assert "% of 12 test images" in out
    assert niwaki.read_info(tmp_path / "m.safetensors").labels == ("0", "1", "2")
    assert run(args) == 2
    assert "name them with --labels or --data" in capsys.readouterr().err
    assert run([*args, "--labels", str(tmp_path / "none.txt")]) == 2
    assert "none.txt: cannot be read" in capsys.readouterr().err


def test_a_network_that_states_its_preprocessing() -> None:
    model = nn.Linear(1, 1)
    assert stated_preprocessing(model, 3) is None
    model.pretrained_cfg = {
        "input_size": (3, 176, 176), "crop_pct": 0.875, "interpolation": "bicubic", "mean": (0.4, 0.5, 0.6),
        "std": (0.1, 0.2, 0.3),
    }  # fmt: skip
    assert stated_preprocessing(model, 3) == Preprocessing(
        color="rgb", size=(176, 176), resize="crop", shorter=201, interpolation="bicubic", mean=(0.4, 0.5, 0.6),
        std=(0.1, 0.2, 0.3),
    )  # fmt: skip
    assert stated_preprocessing(model, 1, (64, 64)).mean == (0.0,)
    given, own = completed(model, {"size": (64, 64), "std": [0.2]})
    assert Preprocessing(**given) == Preprocessing(
        color="rgb", size=(64, 64), resize="crop", shorter=73, interpolation="bicubic", mean=(0.4, 0.5, 0.6),
        std=(0.2,),
    )  # fmt: skip
    assert set(own) == {"color", "resize", "shorter", "interpolation", "mean"}
    assert Preprocessing(**completed(model, {"color": "grey", "resize": "fit"})[0]).shorter is None
    assert completed(nn.Sequential(nn.Conv2d(3, 1, 1)), {"size": (8, 8)})[0] == {"color": "rgb", "size": (8, 8)}
    model.pretrained_cfg["interpolation"] = "random"
    assert stated_preprocessing(model, 3) is None


def test_what_is_left_out_is_as_the_network_states_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokens_first.py").write_text(
        "import torch\n\n\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.token = torch.nn.Parameter(torch.zeros(1, 1, 2))\n        self.body = torch.nn.Conv2d(3, 2, 4)\n"
        "        self.pretrained_cfg = {'input_size': (3, 32, 32), 'mean': (0.4, 0.5, 0.6)}\n\n"
        "    def forward(self, x):\n        return self.body(x).mean((2, 3))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    weights = {"token": torch.zeros(1, 1, 2), "body.weight": torch.zeros(2, 3, 4, 4), "body.bias": torch.zeros(2)}
    torch.save(weights, tmp_path / "w.pth")
    asked = {"factory": "tokens_first:Net", "args": {}, "labels": ["a", "b"], "trust": True}
    assert bring(tmp_path / "w.pth", preprocessing=None, **asked).info.input_shape == (3, 32, 32)
    said: list[str] = []
    report = bring(tmp_path / "w.pth", preprocessing={"size": [8, 12]}, notify=said.append, **asked)
    assert (report.info.input_shape, report.info.preprocessing.mean) == ((3, 8, 12), (0.4, 0.5, 0.6))
    assert "color, resize, mean, std: as the network states them" in said
    for size, message in (([8], r"size\[1\] is missing"), ("8", "expected a list")):
        with pytest.raises(NiwakiError, match=f"`preprocessing=`: .*{message}"):
            bring(tmp_path / "w.pth", preprocessing={"size": size}, **asked)
