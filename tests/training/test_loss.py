"""Why int8 predicts other classes than float, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from niwaki.training.loss import cause_of_loss, logits_of, output_step
from qdq_models import start

FLOAT = np.array([[1.0, 0.9], [1.0, 0.7], [1.0, 0.1], [1.0, 0.0]])


def test_scores_that_float_has_near_each_other_change_places_by_rounding() -> None:
    found = FLOAT[:, ::-1].copy()
    found[2:] = FLOAT[2:]  # the first two rows have another class
    told = "rounding: for 2 of these 2 images, float has the classes within 3 int8 steps"
    assert cause_of_loss(FLOAT, found, 0.11) == told
    assert cause_of_loss(FLOAT, found, 0.05).startswith(
        "calibration: for 1 of these 2 images, int8 moves a score by mo"
    )
    assert cause_of_loss(FLOAT, found, None).startswith("calibration: for 2 of these 2")
    assert cause_of_loss(FLOAT, FLOAT, 0.1) == ""


@pytest.mark.parametrize("softmax", ["", "Softmax", "LogSoftmax"])
def test_a_step_of_the_scores_is_found_behind_a_softmax(softmax: str) -> None:
    model, x = start(2, 1, 1, scale=0.5)
    y = model.qdq(model.node("Flatten", [x]), 0.25)
    built = model.build(model.node(softmax, [y], axis=1) if softmax else y)
    assert output_step(built) == (0.25, softmax)


def test_logits_come_back_from_probabilities() -> None:
    logits = np.array([[3.0, -1.0, 0.5]])
    powers = np.exp(logits) / np.exp(logits).sum()
    back = logits_of(powers, "Softmax")
    np.testing.assert_allclose(back - back[0, 0], logits - logits[0, 0])
    assert np.isfinite(logits_of(np.zeros((1, 2)), "Softmax")).all()


def test_float_scores_have_no_step() -> None:
    model, x = start(2, 1, 1)
    assert output_step(model.build(model.node("Relu", [x]))) == (None, "")
