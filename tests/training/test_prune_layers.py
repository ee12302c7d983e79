"""Pruning with a say for each layer: kept by name, ratios by pattern, widths in multiples."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from niwaki.errors import ModelError
from niwaki.models.lenet5 import LeNet5
from niwaki.training.prune import Given, prune_step
from niwaki.training.settings import PruneSettings

SHAPE = (1, 32, 32)


def pruned(model: nn.Module, **how):
    settings = PruneSettings(**{"ratio": 0.5, "steps": 1, **how})
    reports, state, original = [], None, None
    for step in range(1, settings.steps + 1):
        report = prune_step(model, settings, SHAPE, step=step, given=Given(state, original))
        original = original or {name: report.widths[name] + gone for name, gone in report.removed.items()}
        state = report.state
        reports.append(report)
    return reports


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body, self.head = nn.Conv2d(1, 12, 3), nn.Conv2d(12, 12, 3, padding=1), nn.Linear(12, 4)
        self.inner = nn.Conv2d(12, 12, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head((x + self.inner(self.body(x).relu())).mean((2, 3)))


def test_layers_that_keep_names_stay_whole_and_count_for_nothing() -> None:
    [report] = pruned(LeNet5(), keep=["conv*"])
    assert report.widths == {"conv1": 6, "conv2": 16, "fc1": 60, "fc2": 42}
    assert report.reached == pytest.approx(0.5)
    assert report.notes == ()


def test_what_is_tied_to_a_kept_layer_stays_whole_and_says_why() -> None:
    [report] = pruned(Residual(), keep=["stem"])
    assert report.widths == {"stem": 12, "body": 6, "inner": 12}
    assert report.whole == {"inner": "its channels are tied to those of stem, which `keep` names"}
    with pytest.raises(ModelError, match="there is nothing to prune"):
        pruned(LeNet5(), keep=["*"])


def test_ratios_by_pattern_in_steps() -> None:
    reports = pruned(LeNet5(), steps=2, ratios={"fc1": 0.9, "fc*": 0.25, "none": 0.1})
    assert [report.widths for report in reports] == [
        {"conv1": 4, "conv2": 12, "fc1": 66, "fc2": 73},
        {"conv1": 3, "conv2": 8, "fc1": 11, "fc2": 63},  # 120·(1 − 0.9) is a little less than 12 in floats
    ]
    asked = (3 + 8 + 0.9 * 120 + 0.25 * 84) / 226
    assert reports[-1].asked == pytest.approx(asked)
    assert reports[-1].reached == pytest.approx(asked, abs=0.005)
    assert reports[-1].notes == ()
    [tied] = pruned(Residual(), ratios={"inner": 0.75})
    assert tied.widths == {"stem": 3, "body": 6, "inner": 3}


def test_widths_in_multiples() -> None:
    [report] = pruned(LeNet5(), ratio=0.6, multiple=8)
    assert report.widths == {"conv1": 6, "conv2": 8, "fc1": 48, "fc2": 40}
    reports = pruned(LeNet5(), ratio=0.6, steps=3, multiple=4)
    assert [one.widths["fc1"] for one in reports] == [96, 72, 48]
    assert reports[-1].widths == {"conv1": 4, "conv2": 8, "fc1": 48, "fc2": 36}
    assert all(width % 4 == 0 for one in reports for name, width in one.widths.items() if name != "conv1")


def test_settings_that_are_not_used_change_no_key() -> None:
    assert set(PruneSettings().identity()) == {"ratio", "steps", "scope", "importance", "distribution", "taylor_images"}
    used = PruneSettings(keep=["a"], ratios={"b": 0.1}, multiple=4)
    assert PruneSettings.model_validate(used.identity()) == used


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"distribution": "global", "multiple": 4}, "ratios and multiple are for the uniform distribution"),
        ({"ratios": {"a": 1.0}}, "less than 1"),
        ({"multiple": 0}, "greater than or equal to 1"),
        ({"keep": "a"}, "keep"),
    ],
)
def test_settings_that_make_no_sense(settings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PruneSettings(**settings)
