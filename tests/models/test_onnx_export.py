from __future__ import annotations

import functools
import logging
import re
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from typer.main import get_command

import tiny_networks
from exported import NETWORKS, about, exported
from niwaki.cli.main import app
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import DataError, ModelError
from niwaki.models import opset as opsets
from niwaki.models.onnx_export import check_against_torch, to_onnx
from niwaki.models.onnxfile import load_onnx, metadata
from niwaki.models.opset import check_opset, lower


class Pixels(nn.Module):
    """No weights: the score of a class is the sum of one row."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum((1, 3))


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_are_torchs_in_a_file_for_old_boards(name) -> None:
    """Opset 13: what torch exports at 18 is rewritten where it must be."""
    network = exported(name)
    check_against_torch(network.onnx, network.model, network.images(20, seed=1), network.info.preprocessing)
    model = onnx.load_from_string(network.onnx)
    assert ([(entry.domain, entry.version) for entry in model.opset_import], model.ir_version) == ([("", 13)], 7)
    assert not {"BatchNormalization", "Identity", "Constant"} & {node.op_type for node in model.graph.node}
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)


@functools.cache
def lenet5() -> bytes:
    """At the opset that is the default, with a scale of its own."""
    info = about((1, 32, 32), 10).model_copy(update={"preprocessing": Preprocessing(mean=(0.4,), std=(0.3,))})
    return to_onnx(exported("LeNet-5").model, info)


def test_lenet5_in_full() -> None:
    data, labels, scaled = lenet5(), about((1, 32, 32), 10).labels, Preprocessing(mean=(0.4,), std=(0.3,))
    check_against_torch(data, exported("LeNet-5").model, exported("LeNet-5").images(5), scaled)
    model = onnx.load_from_string(data)
    assert (model.ir_version, [(entry.domain, entry.version) for entry in model.opset_import]) == (8, [("", 17)])
    assert [(node.name, node.op_type) for node in model.graph.node] == [
        ("conv1", "Conv"), ("relu", "Relu"), ("pool1", "MaxPool"), ("conv2", "Conv"), ("relu_1", "Relu"),
        ("pool2", "MaxPool"), ("reshape", "Reshape"), ("fc1", "Gemm"), ("relu_2", "Relu"), ("fc2", "Gemm"),
        ("relu_3", "Relu"), ("fc3", "Gemm"),
    ]  # fmt: skip
    ends = [(end[0].name, [d.dim_param or d.dim_value for d in end[0].type.tensor_type.shape.dim])
            for end in (model.graph.input, model.graph.output)]  # fmt: skip
    assert ends == [("input", ["batch", 1, 32, 32]), ("logits", ["batch", 10])]
    assert (metadata(model).labels, metadata(model).preprocessing) == (labels, scaled)
    assert (model.producer_name, model.producer_version, model.graph.name) == ("niwaki", "", "niwaki")
    # nothing of the machine that wrote it: no source lines, no paths
    assert not re.search(rb"\.py|stack_trace|torch", data)
    assert len(data) < 4 * 61_706 + 3_000


class Smooth(Pixels):
    """Mish came with opset 18."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.mish(x))


def test_the_opset_rises_where_a_network_needs_it() -> None:
    """As the help of --opset says; nobody asked for one."""
    info = about((1, 3, 4), 3)
    found = [load_onnx(to_onnx(model, info)).opset_import[0].version for model in (Pixels(), Smooth())]
    assert found == [17, 18]
    (option,) = (option for option in get_command(app).commands["export"].params if option.name == "opset")
    assert option.help == "ONNX operator set, 13 to 18; default: {}, or {} if the network needs it.".format(*found)


def test_any_number_of_images_at_once() -> None:
    network = exported("depthwise and grouped")
    for count in (1, 3):
        check_against_torch(network.onnx, network.model, network.images(count), network.info.preprocessing)


class Restless(nn.Module):
    """Changes what it can as it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.linear = nn.Linear(16, 3)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.linear(nn.functional.dropout(self.norm(x), training=self.training).flatten(1))


def test_the_module_is_left_alone_and_nothing_is_said(capfd, caplog) -> None:
    model = Restless().train()
    model.linear.eval()
    model(torch.rand(2, 1, 4, 4)).sum().backward()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state, calls = torch.get_rng_state(), model.calls
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.INFO):
        warnings.simplefilter("always")
        to_onnx(model, about((1, 4, 4), 3))
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]
    assert not warned
    assert model.calls == calls
    assert [module.training for module in (model, model.norm, model.linear)] == [True, True, False]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.linear.weight.grad is not None
    assert torch.equal(torch.get_rng_state(), state)
    assert logging.root.manager.disable == logging.NOTSET


class Branching(Pixels):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x if x.sum() > 0 else -x)


class OneBatch(Pixels):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.reshape(2, 1, 3, 4))


class Twice(Pixels):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return super().forward(x), x


class Broken(Pixels):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(f"out of paper\nand of ink after {len(x)} images")


@pytest.mark.parametrize(
    ("model", "opset", "message"),
    [
        (Pixels(), 12, "opset 12: expected 13 to 18; old boards take 13"),
        (Pixels(), 19, "opset 19: expected 13 to 18"),
        (Broken(), 17, "Broken: cannot be exported to ONNX: RuntimeError: out of paper; forward must take a batch of"),
        (Branching(), 17, "Branching: cannot be exported to ONNX: GuardOnDataDependentSymNode"),
        (OneBatch(), 17, "OneBatch: returns 2 × 3 scores; expected batch × 3, one for each label"),
        (Twice(), 17, "Twice: returns 2 tensors; a classifier returns its scores only"),
        (nn.Flatten(), 17, "Flatten: returns batch × 12 scores; expected batch × 3"),
        (
            nn.Sequential(Pixels(), nn.Hardswish()), 13,
            "node '1': the operator HardSwish, as this network uses it, needs opset 14, not 13: ask for opset 14",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_named(model, opset, message, capfd) -> None:
    with pytest.raises(ModelError, match=f"^{re.escape(message)}") as caught:
        to_onnx(model, about((1, 3, 4), 3), opset=opset)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def moved(by: tuple[float, float]) -> nn.Module:
    """A module whose two scores differ only by what is added; the ONNX comes from the module with nothing added."""
    linear = nn.Linear(3, 2)
    nn.init.zeros_(linear.weight)
    linear.bias = nn.Parameter(torch.tensor(by))
    return nn.Sequential(Pixels(), linear)


def test_a_weight_that_is_nan_is_named() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    model[1].bias.data[1] = float("nan")
    with pytest.raises(ModelError, match="^'1.bias' holds 1 of 3 numbers that are NaN"):
        to_onnx(model, about((1, 3, 4), 3))


def test_an_onnx_that_is_not_its_module_is_refused() -> None:
    images, plain = tiny_networks.pictures((1, 3, 4), 6), Preprocessing()
    info = about((1, 3, 4), 2)
    data = to_onnx(moved((0.0, 0.0)), info)
    assert check_against_torch(data, moved((0.5e-4, 0.0)), images, plain) == pytest.approx(0.5e-4)
    with pytest.raises(ModelError, match=r"differs from its module by 0\.01 in a score, allowed is 0\.0001"):
        check_against_torch(data, moved((0.01, 0.0)), images, plain)
    with pytest.raises(ModelError, match="differs from its module by nan"):
        check_against_torch(data, moved((np.nan, 0.0)), images, plain)
    # scores within tolerance, and still another answer: class 0 for class 1
    with pytest.raises(ModelError, match="another class than its module on 6 of 6 images"):
        check_against_torch(data, moved((-0.8e-4, 0.8e-4)), images, plain)
    with pytest.raises(ModelError, match=r"scores of shape \(6, 2\), its module of \(6, 3\)"):
        check_against_torch(data, Pixels(), images, plain)
    with pytest.raises(DataError, match="no images to compare"):
        check_against_torch(data, Pixels(), images[:0], plain)


def changed(**fields: object) -> bytes:
    model = onnx.load_from_string(lenet5())
    for name, value in fields.items():
        if name == "ir_version":
            model.ir_version = value
        else:
            getattr(model, name).extend(value if isinstance(value, list) else [value])
    return model.SerializeToString()


def with_node(**fields: object) -> bytes:
    model = onnx.load_from_string(lenet5())
    for name, value in fields.items():
        setattr(model.graph.node[1], name, value)
    return model.SerializeToString()


def with_outside_weights() -> bytes:
    model = onnx.load_from_string(lenet5())
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: changed(opset_import=helper.make_opsetid("ml", 3)), "imports ai.onnx 17, ml 3; expected ai.onnx 17"),
        (lambda: changed(ir_version=9), "has ir_version 9; expected at most 8"),
        (lambda: changed(functions=onnx.FunctionProto(name="mine", domain="mine")), "calls functions of its own"),
        (lambda: with_node(domain="mine"), "calls functions of its own"),
        (lambda: with_node(op_type="Gelu"), "is not valid at opset 17: No Op registered for Gelu"),
        (with_outside_weights, "keeps weights in a second file"),
    ],
)  # fmt: skip
def test_the_written_bytes_are_checked(data, message) -> None:
    with pytest.raises(ModelError, match=f"^the written ONNX {re.escape(message)}"):
        check_opset(data(), 17, 8)


def test_another_opset_than_the_one_asked_for_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^the written ONNX imports ai.onnx 17; expected ai.onnx 16 only"):
        check_opset(lenet5(), 16, 8)


def alone(node: onnx.NodeProto, **constants: list[float] | list[int]) -> onnx.ModelProto:
    """A model of one node at opset 18."""
    graph = onnx.GraphProto(name="alone", node=[node])
    for name, values in constants.items():
        dtype = np.float32 if isinstance(values[0], float) else np.int64
        graph.initializer.append(numpy_helper.from_array(np.array(values, dtype), name))
    return onnx.ModelProto(graph=graph, opset_import=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize(
    ("node", "constants"),
    [
        (helper.make_node("Reshape", ["x", "shape"], ["y"], "it", allowzero=1), {"shape": [0, 4]}),
        (helper.make_node("Reshape", ["x", "unknown"], ["y"], "it", allowzero=1), {}),
        (helper.make_node("ReduceMean", ["x", "unknown"], ["y"], "it"), {}),
        (helper.make_node("ReduceMean", ["x"], ["y"], "it", noop_with_empty_axes=1), {}),
        (helper.make_node("Pad", ["x", "pads", "", "axes"], ["y"], "it"), {"pads": [1, 1], "axes": [2]}),
        (helper.make_node("Split", ["x"], ["y", "z"], "it", num_outputs=2), {}),
        (helper.make_node("Resize", ["x", "", "s"], ["y"], "it", antialias=1), {"s": [1.0, 1.0, 2.0, 2.0]}),
        (helper.make_node("LayerNormalization", ["x", "w"], ["y"], "it"), {"w": [1.0]}),
        (helper.make_node("RoiAlign", ["x", "rois", "b"], ["y"], "it"), {}),
    ],
)  # fmt: skip
def test_what_an_older_opset_cannot_say_is_refused(node, constants) -> None:
    with pytest.raises(ModelError, match=rf"^node 'it': the operator {node.op_type}, .* needs opset 1\d, not 13"):
        lower(alone(node, **constants), 13)


@pytest.mark.parametrize(
    ("node", "constants", "attributes"),
    [
        (helper.make_node("Reshape", ["x", "shape"], ["y"], allowzero=1), {"shape": [-1, 4]}, {}),
        (helper.make_node("Reshape", ["x", "unknown"], ["y"], allowzero=0), {}, {}),
        (helper.make_node("ReduceMean", ["x", "axes"], ["y"]), {"axes": [2, 3]}, {"axes": [2, 3]}),
        (helper.make_node("Shape", ["x"], ["y"], start=0), {}, {}),
        (helper.make_node("Split", ["x", "sizes"], ["y", "z"], axis=1), {"sizes": [3, 5]}, {"axis": 1}),
    ],
)  # fmt: skip
def test_what_an_older_opset_says_otherwise_is_rewritten(node, constants, attributes) -> None:
    model = alone(node, **constants)
    lower(model, 13)
    assert {entry.name: helper.get_attribute_value(entry) for entry in model.graph.node[0].attribute} == attributes
    assert {tensor.name for tensor in model.graph.initializer} == set(model.graph.node[0].input) & set(constants)
    assert (model.ir_version, model.opset_import[0].version) == (7, 13)


def test_the_file_version_is_the_oldest_that_has_the_opset() -> None:
    assert {opset: opsets.ir_version_of(opset) for opset in opsets.OPSETS} == {13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8}


def test_pooling_after_rows_of_pixels_is_one_mean() -> None:
    """A layer norm over channels leaves strides that torch would restore after pooling, by a Gather."""

    class Normed(nn.LayerNorm):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    layers = [nn.Conv2d(3, 4, 1), Normed(4), nn.Conv2d(4, 4, 2, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Linear(4, 4))
    data = to_onnx(network, about((3, 4, 4), 4))
    kinds = [node.op_type for node in onnx.load_from_string(data).graph.node]
    assert (kinds.count("ReduceMean") + kinds.count("GlobalAveragePool"), kinds.count("Gather")) == (1, 0)
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 4), np.uint8)
    check_against_torch(data, network, images, Preprocessing(color="rgb"))
