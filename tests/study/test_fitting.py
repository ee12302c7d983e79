"""Data and networks that do not match are an error before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import niwaki as api
from niwaki.data.dataset import Dataset
from niwaki.errors import DataError, ModelError, SpecError
from niwaki.models.modelfile import info_of
from niwaki.study.environment import fingerprint
from niwaki.study.fitting import check_networks
from niwaki.study.imports import Imports, adopt_files
from niwaki.study.plan import make_plan
from niwaki.study.spec import Experiment, ModelSpec, StudySpec
from niwaki.study.stages import Task, run_stage
from tests.study.conftest import Niwaki

ARGS = {"num_classes": 4, "image_size": 16, "widths": [3, 6, 16, 12]}

STUDY = """
[model]
args = {{ image_size = 16 }}
[data]
name = "npz"
path = "{data}"
validation = 60
[[experiment]]
name = "one"
"""


def spec_of(args: dict[str, object], factory: str = "lenet5") -> StudySpec:
    return StudySpec(model=ModelSpec(factory=factory, args=args), experiment=(Experiment(name="one"),))


def test_stages_match_classes_by_name(small_model: Path, small_data: Dataset, other_order: Path) -> None:
    other = api.load_data(str(other_order), validation=60, preprocessing={"size": [16, 16]})
    right = api.evaluate(api.load(small_model), small_data).correct
    spec, files = adopt_files(StudySpec(model=ModelSpec(weights=small_model), experiment=(Experiment(name="one"),)))
    facts = fingerprint("cpu")
    plain, named = (
        make_plan(spec, data="d", environment=facts, imports=Imports("w"), classes=classes)
        for classes in (None, "0123")
    )
    assert plain.stages.keys() != named.stages.keys()  # the same file and images, but another result
    (stage,) = named.stages.values()
    done = run_stage(Task(stage, files.weights, "d", facts), other)
    assert done.record.results is not None
    assert done.record.results.test.correct == right > 50
    assert done.weights is not None
    assert info_of(done.weights).labels == ("0", "1", "2", "3")


def test_python_matches_classes_by_name(small_model: Path, small_data: Dataset, other_order: Path) -> None:
    other = api.load_data(str(other_order), validation=60, preprocessing={"size": [16, 16]})
    model = api.load(small_model)
    before = api.evaluate(model, small_data)
    with pytest.warns(UserWarning, match="another order than those of the model"):
        found = api.evaluate(model, other)
    assert found.correct == before.correct
    assert found.confusion[0][0] == before.confusion[3][3]  # in the order of the data that was given
    with pytest.warns(UserWarning, match="another order"):
        api.train(model, other, epochs=1, lr=1e-6)
    assert api.evaluate(model, small_data).correct >= before.correct - 1
    fresh = api.LeNet5(**ARGS)
    fresh.load_state_dict(model.state_dict())
    assert api.evaluate(fresh, other).correct < 50  # nobody knows what its outputs mean
    with pytest.warns(UserWarning, match="another order"):
        assert api.evaluate(fresh, other, labels=list("0123")).correct >= before.correct - 1
    with pytest.raises(DataError, match=r"4 classes \(3, 1, 0, 2\), but the model has 4 classes \(a, b, c, d\)"):
        api.evaluate(fresh, other, labels=list("abcd"))


def test_a_model_is_saved_with_its_own_order(small_model: Path, other_order: Path, tmp_path: Path) -> None:
    other = api.load_data(str(other_order), validation=60, preprocessing={"size": [16, 16]})
    with pytest.warns(UserWarning, match="another order"):
        path = api.save(api.load(small_model), tmp_path / "m.safetensors", factory="lenet5", args=ARGS, data=other)
    assert api.read_info(path).labels == ("0", "1", "2", "3")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({**ARGS, "num_classes": 7}, r"gives 7 scores .*4 classes \(0, 1, 2, 3\): set model\.args\.num_classes = 4$"),
        ({**ARGS, "image_size": 32}, r"takes 1×32×32, not the images of .*1×16×16: set model\.args\.image_size = 16 or "
                                     r"data\.preprocessing\.size = \[32, 32\]$"),
        ({**ARGS, "in_channels": 3}, r'takes 3×16×16, .*: set model\.args\.in_channels = 1 or '
                                     r'data\.preprocessing\.color = "rgb"$'),
        ({**ARGS, "in_channels": 3, "image_size": 28},
         r'takes 3×28×28, .*: set model\.args\.in_channels = 1 and model\.args\.image_size = 16 or '
         r'data\.preprocessing\.color = "rgb" and data\.preprocessing\.size = \[28, 28\]$'),
        ({**ARGS, "in_channels": 5}, r"does not take the images of .*1×16×16 \(.*5 channels.*\): set model\.args"),
    ],
)  # fmt: skip
def test_a_network_that_does_not_fit_the_data(small_data: Dataset, args: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check_networks(spec_of(args), small_data, trust=False)


class Scorer(nn.Module):
    """A network of one's own, whose argument has a name of one's own."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self.layer = nn.Linear(256, answers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.flatten(1))


def test_a_factory_of_ones_own_that_does_not_fit(small_data: Dataset) -> None:
    check_networks(spec_of({"answers": 4}, f"{__name__}:Scorer"), small_data, trust=True)
    with pytest.raises(SpecError, match=r"gives 9 scores .*: set model\.args\.answers = 4$"):
        check_networks(spec_of({"answers": 9}, f"{__name__}:Scorer"), small_data, trust=True)
    with pytest.raises(SpecError, match=r"gives \(2, 1, 16, 4\) for 2 images, but .*: expected \(2, 4\)"):
        check_networks(spec_of({"in_features": 16, "out_features": 4}, "torch.nn:Linear"), small_data, trust=True)


def test_python_trains_no_network_of_other_classes(small_data: Dataset) -> None:
    for count in (3, 5):
        model = api.LeNet5(**{**ARGS, "num_classes": count}).train()
        with pytest.raises(
            ModelError, match=rf"LeNet5 gives {count} scores for an image, but .*4 classes \(0, 1, 2, 3\)"
        ):
            api.train(model, small_data, epochs=1)
        assert model.training


def test_nothing_is_trained_for_nothing(niwaki: Niwaki, small_npz: Path, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(STUDY.format(data=small_npz))
    refused = niwaki("study", "run", tmp_path / "s.toml", "--out", tmp_path / "out", check=2)
    assert "set model.args.num_classes = 4" in refused.stderr
    assert not (tmp_path / "out").exists()
    refused = niwaki("study", "run", "quick", "--data", small_npz, "--out", tmp_path / "out", check=2)
    assert "set model.args.num_classes = 4, in the study's file (niwaki study copy writes" in refused.stderr


def test_a_network_that_answers_at_random_is_told_before_anything_is_trained(small_data: Dataset) -> None:
    spec = spec_of({"num_classes": 4, "size": 16, "always": True}, "networks:RandomDepth")
    with pytest.raises(ModelError, match=r"RandomDepth gives different outputs .*training=self\.training"):
        check_networks(spec, small_data, trust=True)
