"""The estimates of flash, stack and instructions, against the compiler and the emulator."""

from __future__ import annotations

import json
from collections import Counter
from importlib import resources

import numpy as np
import pytest

from estimates import Candidate, blueprint, candidates
from niwaki.emit.estimate import estimate, estimated_targets, instruction_counts, model_of
from niwaki.emit.generate import generate
from niwaki.emit.work import work_of
from niwaki.errors import ModelError
from niwaki.search import measured
from niwaki.search.limits import parse_fit
from niwaki.toolchain.targets import find_target, missing_tools

TARGET = "cortex-m4"
LEFT_OUT = 2  # the seed of candidates that nothing was fitted to


def needs_tools() -> None:
    if missing_tools(find_target(TARGET)):
        pytest.skip(f"needs {find_target(TARGET).packages}")


def ratios(found: list[Candidate]) -> dict[str, np.ndarray]:
    """What was measured, relative to the estimate."""
    model, all_of = model_of(TARGET), []
    for candidate in found:
        graph, limit = candidate.graph, candidate.ram_limit
        real = measured.measure(graph, TARGET, instructions=True, ram_limit=limit)
        guess = estimate(graph, model, limit)
        all_of.append([real["flash"] / guess.flash, real["stack"] / guess.stack,
                       real["instructions"] / guess.instructions])  # fmt: skip
    return dict(zip(("flash", "stack", "instructions"), np.array(all_of).T, strict=True))


def stated() -> dict[str, dict[str, float]]:
    """How far off the estimates were for candidates that were left out of the fit."""
    file = resources.files("niwaki.emit") / "estimates" / f"{TARGET}.json"
    return json.loads(file.read_text(encoding="utf-8"))["off"]


def test_candidates_are_estimated_no_worse_than_stated() -> None:
    needs_tools()
    found = list(candidates(LEFT_OUT, 3, ("lenet5",)))
    whole = np.array([not candidate.striped for candidate in found])
    assert list(whole) == [True, False, True, True]
    for name, each in ratios(found).items():
        off = np.abs(each - 1)
        assert off.max() <= stated()[name]["all"], name
        assert np.median(off[whole]) < 0.05, name


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_candidates_of_three_networks_keep_to_what_the_estimates_state() -> None:
    needs_tools()
    found = ratios(list(candidates(LEFT_OUT, 10, ("lenet5", "separable", "residual"))))
    for name, each in found.items():
        off = np.abs(each - 1)
        assert np.median(off) <= 0.05, name
        assert (off > stated()[name]["95 %"]).mean() <= 0.13, name  # with 0.05 expected


def test_what_a_kernel_does_is_counted_from_its_loops() -> None:
    """LeNet-5: the first layer by hand; products of the others are their MACs."""
    graph = blueprint("lenet5").graph({})
    works = work_of(graph, generate(graph).program, tuned=True)
    assert [work.way for work in works] == ["first", "patches 8", "dense 8", "dense 8", "dense 8"]
    first = works[0].counts
    assert (first["first: outputs"], first["first: products"], first["first: rows"]) == (
        14**2 * 6,
        14**2 * 6 * 5,
        14**2 * 6,
    )
    second = works[1].counts  # 10x10 places of 150 inputs, 16 channels: four fours, no rest of channels
    assert (second["8 bits, 4: words"], second["8 bits, 4: rest"], second["8 bits, 1"]) == (
        100 * 4 * 37,
        100 * 4 * 2,
        0,
    )
    assert instruction_counts(works)["layer dense 8"] == 3
    assert isinstance(first, Counter)


def test_without_tools_figures_are_estimated_with_a_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "missing_tools", lambda *_, **__: ("arm-none-eabi-gcc",))
    assert measured.estimated(TARGET) == ("flash", "stack", "instructions")
    assert measured.check_target(TARGET, parse_fit("flash<=16KB"), None) == TARGET
    graph, model = blueprint("lenet5").graph({}), model_of(TARGET)
    found, guess = measured.measure(graph, TARGET, instructions=True), estimate(graph, model)
    assert found["instructions"] == round(guess.instructions * (1 + model.margins["instructions"])) > guess.instructions
    assert found["flash"] > guess.flash
    assert found["stack"] > guess.stack
    assert "instructions" not in measured.measure(graph, TARGET, instructions=False)


def test_a_target_without_estimates_is_named() -> None:
    assert TARGET in estimated_targets()
    with pytest.raises(ModelError, match="cortex-m9: no estimates are known; they are for cortex-m4"):
        model_of("cortex-m9")
