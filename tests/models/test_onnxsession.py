from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import emulated
from handmade_onnx import by_hand, node, pixels
from niwaki.codegen.graph import reference
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import ModelError
from niwaki.models import onnxsession
from niwaki.models.onnxfile import load_onnx
from niwaki.models.onnxsession import NO_INTEGERS, PRECISE, WAYS, exact_way, open_session, quiet, scores
from niwaki.training.quantize import quantize_static
from niwaki.training.settings import QuantizeSettings
from overflowing import FLOAT_TOP, TOP, overflowing, overflowing_dynamic, white


def test_scores_do_not_depend_on_how_many_images_go_at_once() -> None:
    data = by_hand([node("Flatten", "input", "flat"), node("Gemm", "flat w", "logits")], w=np.eye(4, 2))
    inputs = Preprocessing().scale(pixels(7))
    assert np.array_equal(scores(data, inputs, batch=3), inputs.reshape(7, 4)[:, :2])
    assert np.array_equal(scores(data, inputs), scores(data, inputs, batch=1))


def test_not_optimized_every_node_runs() -> None:
    data = by_hand([node("Neg", "input", "a"), node("Neg", "a", "logits")])
    inputs = Preprocessing().scale(pixels(2))
    assert np.array_equal(open_session(data, "plain").run(None, {"input": inputs})[0], inputs)


def test_bytes_that_are_no_onnx_are_refused_in_one_line() -> None:
    with pytest.raises(ModelError, match=r"^the ONNX: not an ONNX file, or truncated: .*") as caught:
        open_session(b"not an onnx")
    assert "\n" not in str(caught.value)


# Exact on every processor


def first_step(data: bytes, mode: onnxsession.Mode = "exact") -> float:
    """The output of the network in `overflowing` for a white image, in int8 steps of its output."""
    graph = read_qdq(load_onnx(data, "overflowing"), "overflowing")
    step = graph.tensors[graph.output].scale
    return float(scores(data, white(), mode=mode)[0, 0]) / step


@pytest.mark.parametrize("shared", [False, True])
def test_pairs_that_leave_16_bits_are_summed_exactly(shared: bool) -> None:
    """The integers of the contract, worked out by hand, in the first and in the second way."""
    data = overflowing(shared=shared)
    graph = read_qdq(load_onnx(data, "overflowing"), "overflowing")
    assert reference.run(graph, np.full((1, 64, 1, 1), 127, np.int8)).tolist() == [[TOP, -TOP]]
    assert exact_way(data) == WAYS[shared]
    assert first_step(data) == pytest.approx(TOP, abs=1e-3)
    assert open_session(data).get_session_options().get_session_config_entry((PRECISE, NO_INTEGERS)[shared]) == "1"


@pytest.mark.parametrize("shared", [False, True])
def test_dynamic_pairs_are_summed_exactly(shared: bool) -> None:
    """With one weight in two places no option makes ONNX Runtime exact, so the weights become unsigned."""
    data = overflowing_dynamic(shared=shared)
    assert exact_way(data) == (None if shared else WAYS[0])
    np.testing.assert_allclose(scores(data, white()), [[FLOAT_TOP, -FLOAT_TOP]], rtol=1e-6)


def gelu(x: str) -> list:
    """As exporters write it, from `x` to `x`g."""
    return [
        node("Div", f"{x} root", f"{x}d"), node("Erf", f"{x}d", f"{x}e"), node("Add", f"{x}e one", f"{x}f"),
        node("Mul", f"{x} {x}f", f"{x}h"), node("Mul", f"{x}h half", f"{x}g"),
    ]  # fmt: skip


def quantized(nodes: list, **weights: np.ndarray) -> tuple[bytes, np.ndarray]:
    constants = {"root": np.array(2**0.5), "one": np.array(1.0), "half": np.array(0.5)}
    data = by_hand(
        nodes, (1, 8, 8), **{n: v for n, v in constants.items() if any(n in m.input for m in nodes)}, **weights
    )
    images = np.random.default_rng(0).integers(200, 256, (40, 1, 8, 8), dtype=np.uint8)  # bright: sums are large
    return quantize_static(data, images, QuantizeSettings()).onnx, Preprocessing().scale(images)


def vit_network() -> tuple[bytes, np.ndarray]:
    """Patches, attention among them, a residual sum, a head."""
    rng = np.random.default_rng(2)
    nodes = [
        node("Conv", "input patch", "p", strides=[2, 2]), node("Reshape", "p tokens", "r"),
        node("Transpose", "r", "t", perm=[0, 2, 1]),
        *(node("MatMul", f"t w{name}", name) for name in "qkv"), node("Transpose", "k", "kt", perm=[0, 2, 1]),
        node("MatMul", "q kt", "qk"), node("Softmax", "qk", "s", axis=-1), node("MatMul", "s v", "a"),
        node("Add", "a t", "sum"), *gelu("sum"), node("MatMul", "sumg wq", "u"), *gelu("u"),
        node("ReduceMean", "ug", "m", axes=[1], keepdims=0),
        node("MatMul", "m head", "logits"),
    ]  # fmt: skip
    weights = {f"w{name}": rng.normal(size=(8, 8)) / 2 for name in "qkv"}
    return quantized(
        nodes, patch=rng.normal(size=(8, 1, 2, 2)), tokens=np.array([0, 8, 16]), head=rng.normal(size=(8, 3)), **weights
    )


def test_a_graph_that_the_first_way_refuses_gives_what_onnx_defines() -> None:
    data, inputs = vit_network()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry(PRECISE, "1")
    with pytest.raises(Exception, match="Attempt to replace the existing tensor"):
        onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    assert exact_way(data) == WAYS[1]
    found, expected = scores(data, inputs), scores(data, inputs, mode="plain")
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
    assert len(set(expected.argmax(1))) > 1 or expected.std(0).max() > 0.01


def test_where_no_optimization_is_taken_each_node_runs_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """No graph is known that only the last way takes: ONNX Runtime is made to refuse every optimized one."""
    make = onnxruntime.InferenceSession

    def refuse(data: bytes, options: onnxruntime.SessionOptions, **others: object) -> onnxruntime.InferenceSession:
        if options.graph_optimization_level != onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL:
            raise RuntimeError("no such kernel")
        return make(data, options, **others)

    monkeypatch.setattr(onnxsession.onnxruntime, "InferenceSession", refuse)
    for shared in (False, True):
        assert exact_way(overflowing(shared=shared)) == WAYS[2]
        assert first_step(overflowing(shared=shared)) == pytest.approx(TOP, abs=1e-3)
    np.testing.assert_allclose(scores(overflowing_dynamic(), white())[0], [FLOAT_TOP, -FLOAT_TOP], rtol=1e-6)
    with pytest.raises(ModelError, match="ONNX Runtime rejects the model: no such kernel"):
        open_session(overflowing(), "default")


EMULATED = """
import json, sys
from pathlib import Path
import numpy as np
from niwaki.models.onnxsession import scores
networks, image = [Path(name).read_bytes() for name in sys.argv[1:]], np.ones((1, 64, 1, 1), np.float32)
print(json.dumps([[float(scores(data, image, mode=mode)[0, 0]) for data in networks] for mode in ("exact", "default")]))
"""


@pytest.mark.soak  # minutes in the emulator on a busy machine
def test_on_a_processor_without_vnni_only_the_default_session_is_wrong(tmp_path: Path) -> None:
    run = emulated.python_without_vnni()
    networks = [make(shared=shared) for make in (overflowing, overflowing_dynamic) for shared in (False, True)]
    for number, data in enumerate(networks):
        (tmp_path / f"{number}.onnx").write_bytes(data)
    exact, default = json.loads(run(EMULATED, *sorted(tmp_path.iterdir())))
    assert exact == pytest.approx([8128, 16256, 8128, 8128], rel=1e-6)
    assert all(wrong < 0.8 * right for wrong, right in zip(default, exact, strict=True))


def test_quiet_is_over_when_it_ends(capsys, caplog) -> None:
    def speak() -> None:
        print("out")
        print("err", file=sys.stderr)
        logging.getLogger("exporter").error("logged")
        warnings.warn("warned", stacklevel=1)

    with quiet():
        speak()
    assert capsys.readouterr() == ("", "")
    assert not caplog.records
    with pytest.warns(UserWarning, match="warned"):
        speak()
    assert capsys.readouterr() == ("out\n", "err\n")
    assert [record.message for record in caplog.records] == ["logged"]
    with pytest.raises(RuntimeError), quiet():
        raise RuntimeError
    assert logging.root.manager.disable == logging.NOTSET
