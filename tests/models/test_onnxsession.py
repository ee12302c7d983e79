from __future__ import annotations

import logging
import sys
import warnings

import numpy as np
import pytest

from handmade_onnx import by_hand, node, pixels
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import ModelError
from niwaki.models.onnxsession import open_session, quiet, scores


def test_scores_do_not_depend_on_how_many_images_go_at_once() -> None:
    data = by_hand([node("Flatten", "input", "flat"), node("Gemm", "flat w", "logits")], w=np.eye(4, 2))
    inputs = Preprocessing().scale(pixels(7))
    assert np.array_equal(scores(data, inputs, batch=3), inputs.reshape(7, 4)[:, :2])
    assert np.array_equal(scores(data, inputs), scores(data, inputs, batch=1))


def test_not_optimized_every_node_runs() -> None:
    data = by_hand([node("Neg", "input", "a"), node("Neg", "a", "logits")])
    inputs = Preprocessing().scale(pixels(2))
    assert np.array_equal(open_session(data, optimized=False).run(None, {"input": inputs})[0], inputs)


def test_bytes_that_are_no_onnx_are_refused_in_one_line() -> None:
    with pytest.raises(ModelError, match=r"^the ONNX: no ONNX, or truncated: .*") as caught:
        open_session(b"not an onnx")
    assert "\n" not in str(caught.value)


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
