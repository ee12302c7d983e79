from __future__ import annotations

import json
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save as safetensors_save
from torch import nn

import networks
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import ModelError
from niwaki.models import modelfile
from niwaki.models.lenet5 import LeNet5
from niwaki.models.modelfile import ModelInfo, dumps, load, load_with_info, loads, save
from niwaki.training.prune import prune_step
from niwaki.training.settings import PruneSettings

SHAPE = (1, 32, 32)
LABELS = tuple("0123456789")


def info(factory: str = "lenet5", **more) -> ModelInfo:
    return ModelInfo(factory=factory, input_shape=SHAPE, labels=LABELS, preprocessing=Preprocessing(pad=2), **more)


def test_one_class_is_not_several() -> None:
    assert repr(info()) == "<ModelInfo lenet5: 1×32×32 to 10 classes>"
    assert repr(ModelInfo(factory="lenet5", input_shape=SHAPE, labels=("one",))).endswith("to 1 class>")


def trained(model: nn.Module) -> nn.Module:
    """Batch norm's statistics as after some training."""
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(8, *SHAPE))
    return model.eval()


@pytest.mark.parametrize(
    ("factory", "make"),
    [("lenet5", LeNet5), ("networks:ResidualNet", networks.ResidualNet), ("networks:MobileNet", networks.MobileNet)],
)
def test_a_pruned_network_survives_save_and_load_in_a_fresh_process(factory: str, make, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = trained(make())
    prune_step(model, PruneSettings(ratio=0.5, steps=1), SHAPE, step=1)
    trained(model)
    (tmp_path / "model.safetensors").write_bytes(dumps(model, info(factory), trust=True))
    images = torch.rand(4, *SHAPE)
    np.save(tmp_path / "images.npy", images.numpy())
    script = (
        "import niwaki, numpy, sys, torch\n"
        "model = niwaki.load('model.safetensors', trust=True)\n"
        "assert not model.training\n"
        "with torch.no_grad(): out = model(torch.from_numpy(numpy.load('images.npy')))\n"
        "numpy.save('out.npy', out.numpy())\n"
    )
    path = str(Path(networks.__file__).parent)
    subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r})\n{script}"], cwd=tmp_path, check=True
    )
    with torch.no_grad():
        expected = model(images).numpy()
    assert np.array_equal(np.load(tmp_path / "out.npy"), expected)


def test_the_same_model_gives_the_same_bytes() -> None:
    model = LeNet5()
    first = dumps(model, info(args={"widths": [6, 16, 120, 84], "num_classes": 10}))
    assert all(dumps(model, info(args={"num_classes": 10, "widths": [6, 16, 120, 84]})) == first for _ in range(5))


def test_everything_said_comes_back(tmp_path: Path) -> None:
    said = info(original_widths={"conv1": 6}, provenance={"why": "ümlaut"})
    path = tmp_path / "model.safetensors"
    path.write_bytes(dumps(LeNet5(), said))
    _, heard = load_with_info(path)
    assert heard == said
    assert modelfile.read_info(path) == said


def test_shared_parameters_stay_shared() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(16, 16, bias=False), nn.Linear(16, 16, bias=False)
            self.b.weight = self.a.weight
            self.out = nn.Linear(16, 10)

    networks.Tied = Tied  # type: ignore[attr-defined]
    again, _ = loads(dumps(Tied(), info("networks:Tied"), trust=True), trust=True)
    assert again.a.weight is again.b.weight


def test_shared_parameters_that_became_two_are_refused() -> None:
    model = networks.SharedWeight()
    model.c3.weight = nn.Parameter(model.c2.weight.detach().clone())
    again, _ = loads(dumps(model, info("networks:SharedWeight"), trust=True), trust=True)
    assert again.c2.weight is again.c3.weight  # of equal values, nothing is lost
    model.c3.weight.data[0] += 1
    with pytest.raises(ModelError, match=r"'c2\.weight' and 'c3\.weight' are one shared tensor"):
        dumps(model, info("networks:SharedWeight"), trust=True)


def test_sizes_that_are_properties_follow_and_are_not_set() -> None:
    model = networks.Blocks()
    prune_step(model, PruneSettings(ratio=0.5, steps=1), SHAPE, step=1)
    assert (model.block.in_channels, model.block.conv.in_channels) == (4, 4)
    again, _ = loads(dumps(model, info("networks:Blocks"), trust=True), trust=True)
    assert (again.block.in_channels, again.block.out_channels) == (4, 4)
    images = torch.rand(2, *SHAPE)
    with torch.no_grad():
        assert torch.equal(again(images), model(images))


def test_a_module_under_two_names_gets_its_own_weights() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(16, 16, bias=False)
            self.again = self.a
            self.others = nn.ModuleList(nn.Linear(16, 16, bias=False) for _ in range(6))

    networks.Twice = Twice  # type: ignore[attr-defined]
    for seed in range(10):
        torch.manual_seed(seed)
        model = Twice()
        again, _ = loads(dumps(model, info("networks:Twice"), trust=True), trust=True)
        assert all(torch.equal(t, again.state_dict()[name]) for name, t in model.state_dict().items())
        assert again.a is again.again


def test_random_state_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    loads(dumps(LeNet5(), info()))
    torch.manual_seed(5)
    LeNet5()
    after = torch.get_rng_state()
    torch.manual_seed(5)
    model = LeNet5()
    loads(dumps(model, info()))
    assert torch.equal(torch.get_rng_state(), after)
    assert not torch.equal(before, after)


LENET = ModelInfo(factory="lenet5", input_shape=SHAPE, labels=LABELS)


class TestSave:
    def test_it_can_be_had_back(self, tmp_path: Path) -> None:
        model = trained(networks.ResidualNet(width=4))
        mine = ModelInfo(factory="networks:ResidualNet", args={"width": 4}, input_shape=SHAPE, labels=LABELS)
        path = save(model, tmp_path / "mine.safetensors", mine)
        images = torch.rand(3, *SHAPE)
        with torch.no_grad():
            assert torch.equal(load(path, trust=True)(images), model(images))

    def test_arguments_that_build_something_else(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"its weight is|do not match|gives other outputs"):
            save(networks.ResidualNet(4), tmp_path / "m.safetensors", LENET)

    def test_scores_that_are_no_numbers(self, tmp_path: Path) -> None:
        class Undefined(LeNet5):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                scores = super().forward(x)
                return scores / (scores - scores)

        with pytest.raises(ModelError, match="Undefined gives NaN or infinity as a score for random images"):
            save(Undefined(), tmp_path / "m.safetensors", LENET)

    def test_a_module_that_computes_something_else(self, tmp_path: Path) -> None:
        class Doubled(LeNet5):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return 2 * super().forward(x)

        with pytest.raises(ModelError, match="gives other outputs"):
            save(Doubled(), tmp_path / "m.safetensors", LENET)
        assert not list(tmp_path.iterdir())

    def test_wrong_input_or_labels(self, tmp_path: Path) -> None:
        path = tmp_path / "m.safetensors"
        with pytest.raises(ModelError, match="does not take an input of 1×28×28"):
            save(LeNet5(), path, ModelInfo(factory="lenet5", input_shape=(1, 28, 28), labels=LABELS))
        with pytest.raises(ModelError, match="there are 2 labels"):
            save(LeNet5(), path, ModelInfo(factory="lenet5", input_shape=SHAPE, labels=("a", "b")))


def with_header(data: bytes, change) -> bytes:
    """The same file with its niwaki description changed."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = change(header["__metadata__"])
    if header["__metadata__"] is None:
        del header["__metadata__"]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def described(change) -> bytes:
    def on_entry(metadata):
        entry = json.loads(metadata["niwaki"])
        change(entry)
        return {"niwaki": json.dumps(entry)}

    return with_header(dumps(LeNet5(), info()), on_entry)


class TestDamage:
    def test_every_truncation_is_one_clear_error(self) -> None:
        data = dumps(LeNet5(widths=(1, 1, 2, 2)), info(args={"widths": [1, 1, 2, 2]}))
        for length in [*range(0, 64), *range(64, len(data), 97), len(data) - 1]:
            with pytest.raises(ModelError, match="damaged, truncated or not"):
                loads(data[:length])

    def test_a_pickle_is_not_opened(self, tmp_path: Path) -> None:
        class Bomb:
            def __reduce__(self):
                return (Path(tmp_path / "exploded").touch, ())

        for data in (pickle.dumps(Bomb()), b"PK\x03\x04" + bytes(100), b"", b"hello"):
            with pytest.raises(ModelError, match="damaged, truncated or not"):
                loads(data, trust=True)
        assert not (tmp_path / "exploded").exists()

    def test_tensors_without_description(self) -> None:
        with pytest.raises(ModelError, match="no niwaki description"):
            loads(safetensors_save({"w": torch.zeros(1)}))
        with pytest.raises(ModelError, match="no niwaki description"):
            loads(with_header(dumps(LeNet5(), info()), lambda _: None))

    def test_a_description_that_is_not_one(self) -> None:
        with pytest.raises(ModelError, match="description is not JSON"):
            loads(with_header(dumps(LeNet5(), info()), lambda _: {"niwaki": "{"}))
        with pytest.raises(ModelError, match="not a model file of this version"):
            loads(described(lambda entry: entry.update(format="other")))
        with pytest.raises(ModelError, match="damaged at 'input_shape"):
            loads(described(lambda entry: entry.update(input_shape=[1, 32])))

    def test_a_header_that_claims_more_than_there_is(self) -> None:
        data = dumps(LeNet5(), info())
        length = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + length])
        for shape, end in ([10**15, 1], 10**15), ([10**15], 100):
            name = next(name for name in header if name != "__metadata__")
            changed = {**header, name: {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}
            text = json.dumps(changed).encode()
            with pytest.raises(ModelError, match="damaged, truncated or not"):
                loads(struct.pack("<Q", len(text)) + text + data[8 + length :])
        with pytest.raises(ModelError, match="damaged, truncated or not"):
            loads(struct.pack("<Q", 10**15) + data[8:])

    def test_a_description_that_asks_for_more_than_memory(self) -> None:
        with pytest.raises(ModelError, match=r"LeNet-5 of 8,400,060,\d+ weights needs 33.7 GB of memory"):
            loads(described(lambda entry: entry.update(args={"num_classes": 10**8})))
        shape = [1, 10**6, 10**6]
        with pytest.raises(
            ModelError, match="an input of 1×1000000×1000000 needs 4 TB of memory, but one file may use"
        ):
            loads(described(lambda entry: entry.update(input_shape=shape)))
        with pytest.raises(ModelError, match=r"damaged at 'input_shape\.0'"):
            loads(described(lambda entry: entry.update(input_shape=[0, 32, 32])))

    @pytest.mark.parametrize("label", ["a\0b", "x" * 300, ""])
    def test_labels_that_no_program_could_show(self, label: str) -> None:
        with pytest.raises(ModelError, match=r"damaged at 'labels\.0'"):
            modelfile.info_of(described(lambda entry: entry.update(labels=[label] * 10)))

    @pytest.mark.parametrize(
        "sizes",
        [{"conv1": 5}, {"conv1": {"groups": 0}}, {"conv1": {"in_channels": "x"}}, {"conv1": {"groups": True}}, 3],
    )
    def test_sizes_that_are_none(self, sizes: object) -> None:
        data = described(lambda entry: entry.update(sizes=sizes))
        with pytest.raises(ModelError, match="description is damaged at|not a model file of this version"):
            loads(data)
        with pytest.raises(ModelError, match="description is damaged at|not a model file of this version"):
            modelfile.info_of(data)

    def test_sizes_that_do_not_fit(self) -> None:
        with pytest.raises(ModelError, match="'conv1': its weight is"):
            loads(described(lambda entry: entry["sizes"].update(conv1={"out_channels": 4})))
        with pytest.raises(ModelError, match="has no 'conv9'"):
            loads(described(lambda entry: entry["sizes"].update(conv9={"out_channels": 4})))
        with pytest.raises(ModelError, match="'forward' is not a size"):
            loads(described(lambda entry: entry["sizes"].update(conv1={"forward": 4})))

    def test_tensors_of_another_network(self) -> None:
        data = dumps(LeNet5(), info())

        def other(entry: dict) -> None:
            entry.update(factory="networks:ResidualNet")

        with pytest.raises(ModelError, match="do not match"):
            loads(
                with_header(
                    data, lambda m: {"niwaki": json.dumps({**json.loads(m["niwaki"]), "factory": "networks:MobileNet"})}
                ),
                trust=True,
            )
        with pytest.raises(ModelError, match="not niwaki's"):
            loads(described(other))

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"none\.safetensors: cannot be read"):
            load(tmp_path / "none.safetensors")
