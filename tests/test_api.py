"""The same steps from Python, as the README shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import niwaki
from niwaki.api import steps as api
from niwaki.errors import DataError, ModelError, SpecError
from niwaki.models.class_names import remember
from niwaki.randomness import derive_seed
from niwaki.study.spec import load_spec
from niwaki.training.prune import Given
from tests.study.conftest import SMALL

ARGS = {"num_classes": 4, "image_size": 16, "widths": [3, 6, 16, 12]}


@pytest.fixture
def data(small_npz: Path) -> object:
    return niwaki.load_data(str(small_npz), validation=60, preprocessing={"size": [16, 16]})


@pytest.mark.parametrize("importance", ["l1", "taylor", "random"])
def test_train_prune_save_load(data, tmp_path: Path, importance: str) -> None:
    model = niwaki.LeNet5(**ARGS)
    epochs = niwaki.train(model, data, epochs=4, lr=1e-2, batch_size=20)
    assert epochs[-1].loss < epochs[0].loss
    seen = []
    reports = niwaki.prune(
        model, data, ratio=0.5, steps=2, importance=importance, finetune={"epochs": 1, "lr": 3e-3, "batch_size": 20},
        after_step=lambda report: seen.append(report.step),
    )  # fmt: skip
    assert seen == [1, 2]
    assert list(reports[-1].widths.values()) == [1, 3, 8, 6]
    path = niwaki.save(model, tmp_path / "m.safetensors", factory="lenet5", args=ARGS, data=data)
    again = niwaki.load(path)
    assert niwaki.evaluate(again, data).confusion == niwaki.evaluate(model, data).confusion
    info = niwaki.read_info(path)
    assert info.original_widths == {"conv1": 3, "conv2": 6, "fc1": 16, "fc2": 12, "fc3": 4}
    assert info.labels == data.labels
    assert niwaki.count(again, data.input_shape).params == niwaki.count(model, data.input_shape).params


def test_pruning_alone_leaves_the_weights_that_remain(data) -> None:
    model = niwaki.LeNet5(**ARGS)
    rows = {tuple(row) for row in model.fc2.weight[:, :1].tolist()}
    niwaki.prune(model, data, ratio=0.5, steps=1)
    assert model.fc2.out_features == 6
    assert niwaki.evaluate(model, data, "validation").total == 60
    assert rows


def test_every_step_of_pruning_draws_with_a_seed_of_its_own(data, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, prune_step = [], api.prune_step

    def noted(*args: object, given: Given, **kwargs: object) -> object:
        drawn.append(given.seed)
        return prune_step(*args, given=given, **kwargs)

    monkeypatch.setattr(api, "prune_step", noted)
    niwaki.prune(niwaki.LeNet5(**ARGS), data, ratio=0.5, steps=2, importance="random", seed=3)
    assert drawn == [derive_seed(3, "prune", 1), derive_seed(3, "prune", 2)]  # as a study draws
    assert drawn[0] != drawn[1]


def test_a_network_that_answers_at_random_is_not_pruned(data) -> None:
    model = niwaki.LeNet5(**ARGS)
    model.fc3.register_forward_hook(lambda _, __, scores: torch.nn.functional.dropout(scores, 0.5, True))
    with pytest.raises(ModelError, match="LeNet5 gives different outputs for the same images in eval mode"):
        niwaki.prune(model, data, ratio=0.5, steps=1)
    assert model.fc1.out_features == 16


def test_a_path_is_taken_wherever_a_text_is(small_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"validation": 60, "preprocessing": {"size": [16, 16]}}
    from_path, from_text = niwaki.load_data(small_npz, **settings), niwaki.load_data(str(small_npz), **settings)
    assert from_path.fingerprint == from_text.fingerprint
    taken: list[object] = []
    for module, name in (
        ("deploy.export", "export_file"),
        ("deploy.verify", "verify_file"),
        ("board.build", "bundle_file"),
    ):
        monkeypatch.setattr(f"niwaki.{module}.{name}", lambda *_, data, **__: taken.append(data))
    niwaki.export(small_npz, tmp_path, data=small_npz)
    niwaki.verify(small_npz, data=small_npz)
    niwaki.bundle(small_npz, tmp_path, target="jetson-nano", data=small_npz)
    assert taken == [str(small_npz)] * 3


def test_settings_are_checked(data) -> None:
    with pytest.raises(SpecError, match=r"epoch is not a known key; did you mean 'epochs'"):
        niwaki.train(niwaki.LeNet5(**ARGS), data, epoch=3)
    with pytest.raises(SpecError, match="`ratio=2`: "):
        niwaki.prune(niwaki.LeNet5(**ARGS), data, ratio=2)


def test_a_misspelled_dataset_gets_its_name() -> None:
    with pytest.raises(DataError, match=r"fasion-mnist: did you mean 'fashion-mnist'\? there is no such dataset"):
        niwaki.load_data("fasion-mnist")
    with pytest.raises(DataError, match=r"nowhere: there is no such folder"):
        niwaki.load_data("nowhere")


def test_run_study_does_what_the_command_does(small_npz: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(SMALL.split("[select]")[0].format(data=small_npz) + '[[experiment]]\nname = "one"\n')
    result = niwaki.run_study(file, out=tmp_path / "out", jobs=1, seeds=1)
    assert not result.failed
    assert len(result.records) == 5
    with pytest.raises(SpecError, match="`seeds=0`"):
        niwaki.run_study(str(file), out=tmp_path / "out", seeds=0)
    assert load_spec(str(file))[1] == "s"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, d: niwaki.train(niwaki.LeNet5, d), r"the class LeNet5, not a network: call it: LeNet5\(\)"),
        (lambda m, d: niwaki.prune(niwaki.LeNet5, d), r"call it: LeNet5\(\)"),
        (lambda m, d: niwaki.evaluate(7, d), r"the model is of type int: expected a network \(torch.nn.Module\)"),
        (lambda m, d: niwaki.count(niwaki.LeNet5, d.input_shape), r"call it: LeNet5\(\)"),
        (lambda m, d: niwaki.train(m, "d.npz"), r"type str, not a dataset: load it: niwaki.load_data\('d.npz'\)"),
        (lambda m, d: niwaki.prune(m, [1]), r"type list, not a dataset: load it: niwaki.load_data\(…\)"),
        (lambda m, d: niwaki.evaluate(d, m), "are swapped: the model comes first"),
        (lambda m, d: niwaki.evaluate(m, d, "tset"), "split = 'tset': expected train, validation or test"),
        (lambda m, d: niwaki.prune(m, d, finetune=[1]), r"finetune = \[1\]: expected a dictionary, as {'epochs'"),
        (lambda m, d: niwaki.count(m, 16), r"input shape is 16: expected \(channels, height, width\)"),
        (lambda m, d: niwaki.evaluate(m, d, device="mps"), "device 'mps': [^.]*.*; use the device cpu$"),
        (
            lambda m, d: niwaki.save(m, "m.safetensors", factory=niwaki.LeNet5, data=d),
            "factory is LeNet5 itself: expected its name, 'package.module:callable', as 'niwaki.models.lenet5:LeNet5'",
        ),
        (lambda m, d: niwaki.save(m, "m.safetensors", factory="lenet5", data="d"), "load it: niwaki.load_"),
    ],
)  # fmt: skip
def test_what_a_function_cannot_take_is_said_in_a_line(data, call, message: str) -> None:
    with pytest.raises(niwaki.NiwakiError, match=message) as caught:
        call(niwaki.LeNet5(**ARGS), data)
    assert "\n" not in str(caught.value)


def test_no_epochs_leave_a_network_as_it_is(data) -> None:
    model = niwaki.LeNet5(**ARGS)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert niwaki.train(model, data, epochs=0) == []
    assert all(bool((before[name] == value).all()) for name, value in model.state_dict().items())


def test_a_warning_names_the_line_of_the_caller(data) -> None:
    model = niwaki.LeNet5(**ARGS)
    remember(model, tuple(reversed(data.labels)))
    for call in (lambda: niwaki.evaluate(model, data), lambda: niwaki.train(model, data, epochs=0)):
        with pytest.warns(UserWarning, match="order") as told:
            call()
        assert told[0].filename == __file__
