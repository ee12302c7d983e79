"""Norms, other reductions and Einsum become operators that the integer form has: the same numbers in float."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, helper, numpy_helper

from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import ModelError
from niwaki.models.onnxfile import write_metadata
from niwaki.models.onnxsession import open_session
from niwaki.training.quantize import quantize_static
from niwaki.training.quantize_graph import prepared
from niwaki.training.settings import QuantizeSettings
from qdq_models import model_of

RNG = np.random.default_rng(0)


def drawn(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def run(model: ModelProto, x: np.ndarray) -> np.ndarray:
    found: np.ndarray = open_session(model.SerializeToString(), "plain").run(None, {"x": x})[0]
    return found


def same(model: ModelProto, x: np.ndarray) -> set[str]:
    """The operators of what is made of a model, which computes the same."""
    made = prepared(model)
    np.testing.assert_allclose(run(made, x), run(model, x), rtol=2e-5, atol=2e-5)
    return {node.op_type for node in made.graph.node}


# Einsum of an activation x, of another one that is made of it (y), or of constants (w)
EQUATIONS = [
    "xy nhid,nhjd->nhij", "xy nhij,nhjd->nhid", "xy nij,njk->nik", "xy nij,nkj->nik", "xw nchw,vw->nchv",
    "xw nchw,oc->nohw", "xw nchv,cho->nvo", "wx oc,nchw->nohw", "xw nkctv,kvw->nctw", "x nij->nji", "x nchw->nc",
    "x nchw->nwc", "x nchw->nchw", "xy nchw,nchw->nc", "xy ni,nj->nij", "xy nchw,nc->nchw", "xy nchw,nc->nhw",
    "xw nchw,c->nchw", "xw nchw,c->nhw", "xw nc,ck->nk", "xw aij,jk", "xy ...ij,...jk->...ik", "xw ...j,jk->...k",
    "xy nabc,nabd->ndc", "xy nab,ncd->nca", "xw nab,cd->nac", "xy nia,nja->nji",
]  # fmt: skip


def equation(case: str) -> tuple[ModelProto, np.ndarray]:
    """A network of one Einsum; a second activation is made of the first one's numbers by a matrix product."""
    kinds, text = case.split(" ", 1)
    terms = [term.replace("...", "AB") for term in text.partition("->")[0].split(",")]
    sizes = dict(zip("nhidjkvwcotabAB", (2, 3, 4, 5, 4, 6, 5, 5, 3, 2, 2, 3, 4, 2, 3), strict=True))
    shapes = [[sizes[letter] for letter in term] for term in terms]
    batch = terms[kinds.index("x")][0]
    sides = [letter for letter, term in zip(kinds, terms, strict=True) if term]
    constants, nodes = {}, []
    names = []
    for kind, shape in zip(sides, shapes, strict=True):
        if kind == "w":
            constants["w"] = drawn(*shape)
        if kind == "y":
            x = shapes[kinds.index("x")]
            constants |= {"flat": np.array([0, -1]), "m": drawn(int(np.prod(x[1:])), int(np.prod(shape[1:])))}
            constants["whole"] = np.array([0, *shape[1:]])
            nodes += [
                helper.make_node("Reshape", ["x", "flat"], ["x_flat"]),
                helper.make_node("MatMul", ["x_flat", "m"], ["y_flat"]),
                helper.make_node("Reshape", ["y_flat", "whole"], ["second"]),
            ]
        names.append({"x": "x", "y": "second", "w": "w"}[kind])
    nodes.append(helper.make_node("Einsum", names, ["y"], "sums", equation=text))
    shape = shapes[kinds.index("x")]
    assert batch in "naA"
    return model_of(nodes, constants, ["batch", *shape[1:]]), drawn(*shape)


@pytest.mark.parametrize("case", EQUATIONS)
def test_einsum_becomes_products_of_matrices(case: str) -> None:
    kinds = same(*equation(case))
    assert "Einsum" not in kinds
    assert kinds <= {"MatMul", "Mul", "ReduceSum", "Reshape", "Transpose", "Unsqueeze", "Identity"}


@pytest.mark.parametrize(
    "case", ["x ncii->nci", "xww nc,oc,o->no", "x nij->ijn", "xw nci,nio->nco", "x nc->", "xy nij,nji->ij"]
)
def test_an_einsum_that_is_no_product_image_by_image_stays(case: str) -> None:
    kinds, text = case.split(" ")
    shapes = [[{"n": 2}.get(letter, 3) for letter in term] for term in text.partition("->")[0].split(",")]
    names = [{"x": "x", "y": "x", "w": f"w{place}"}[kind] for place, kind in enumerate(kinds)]
    constants = {name: drawn(*shape) for name, shape in zip(names, shapes, strict=True) if name != "x"}
    model = model_of([helper.make_node("Einsum", names, ["y"], "sums", equation=text)], constants, shapes[0])
    assert [node.op_type for node in prepared(model).graph.node] == ["Einsum"]


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize(
    "kind", ["ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp", "ReduceMin"]
)
def test_reductions_become_sums_and_maxima(kind: str, keep: int, opset: int) -> None:
    constants, options = ({"axes": np.array([1, -1])}, {}) if opset == 18 else ({}, {"axes": [1, -1]})
    nodes = [helper.make_node(kind, ["x", *constants], ["y"], "it", keepdims=keep, **options)]
    kinds = same(model_of(nodes, constants, ["n", 3, 4, 5], opset=opset), abs(drawn(2, 3, 4, 5)))
    assert kinds <= {"Abs", "Add", "Exp", "Log", "Mul", "Neg", "ReduceMax", "ReduceSum", "Sqrt", "Squeeze", "Sub"}


def divided(guard: str, axis: int = 1, number: float = 1e-12) -> ModelProto:
    """x by its norm, guarded in different ways."""
    nodes = [helper.make_node("ReduceL2", ["x"], ["norm"], "norm", axes=[axis], keepdims=1)]
    if guard:
        nodes.append(helper.make_node(guard, ["norm", "least"], ["safe"], "guard"))
    nodes.append(helper.make_node("Div", ["x", "safe" if guard else "norm"], ["y"], "divide"))
    return model_of(nodes, {"least": np.float32(number)} if guard else {}, ["n", 4, 3, 3])


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("guard", ["", "Clip", "Max", "Add"])
def test_what_is_divided_by_its_norm_is_normalized_at_once(guard: str, axis: int) -> None:
    assert same(divided(guard, axis), drawn(2, 4, 3, 3)) == {"LpNormalization"}


def test_a_norm_with_a_large_guard_is_divided_by() -> None:
    assert same(divided("Add", number=0.5), drawn(2, 4, 3, 3)) == {"Mul", "ReduceSum", "Sqrt", "Add", "Div"}


def test_one_norm_normalization_is_a_quotient() -> None:
    nodes = [helper.make_node("LpNormalization", ["x"], ["y"], "unit", p=1, axis=1)]
    assert same(model_of(nodes, {}, ["n", 4, 3, 3]), drawn(2, 4, 3, 3)) == {"Abs", "ReduceSum", "Div"}


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        ("Einsum", {"equation": "bcii->bci"}, "Einsum 'it' is not supported: write it with torch.matmul"),
        ("ReduceProd", {"axes": [3], "keepdims": 0}, "ReduceProd 'it' is not supported: take the logarithm"),
    ],
)
def test_what_has_no_integer_form_is_named_with_the_way_out(kind: str, given: dict, told: str) -> None:
    nodes = [
        helper.make_node(kind, ["x"], ["z"], "it", **given),
        helper.make_node("Flatten", ["z"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"], "last"),
    ]
    model = model_of(nodes, {"w": drawn(16, 4)}, ["n", 1, 16, 16])
    write_metadata(model, tuple("abcd"), Preprocessing())
    quantized = quantize_static(
        model.SerializeToString(), RNG.integers(0, 256, (8, 1, 16, 16), np.uint8), QuantizeSettings()
    )
    assert any(note.startswith("computed in float: ") for note in quantized.notes)
    with pytest.raises(ModelError, match=told):
        read_qdq(ModelProto.FromString(quantized.onnx), "it")


def test_constants_are_turned_before() -> None:
    made = prepared(equation("xw nchw,oc->nohw")[0])
    shapes = {tensor.name: numpy_helper.to_array(tensor).shape for tensor in made.graph.initializer}
    (product,) = (node for node in made.graph.node if node.op_type == "MatMul")
    assert shapes[product.input[1]] == (3, 2)
