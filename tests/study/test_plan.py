from __future__ import annotations

import json

import pytest

from niwaki.errors import ModelError, SpecError
from niwaki.study.dryrun import dry_run
from niwaki.study.plan import VERSIONS, Plan, make_plan
from niwaki.study.spec import load_spec, parse_spec

TEXT = """
[data]
name = "synthetic"
[prune]
ratio = 0.5
steps = 3
[[experiment]]
name = "one"
vary = { "prune.ratio" = [0.4, 0.5] }
"""


def plan_of(text: str = TEXT, data: str = "d", **environment) -> Plan:
    return make_plan(parse_spec(text, "x"), data=data, environment={"torch": "2", **environment})


def test_trials_that_share_a_prefix_share_its_stages() -> None:
    plan = plan_of()
    first, second = plan.trials
    assert first.stages[0] == second.stages[0]
    assert set(first.stages) & set(second.stages) == {first.stages[0]}
    assert plan.requested == (14, 40)  # (1 + 3·2) stages, 5 + 3·5 epochs, twice
    assert plan.unique == (13, 35)
    assert len(first.rows) == 4
    positions = {key: index for index, key in enumerate(plan.stages)}
    assert all(stage.parent is None or positions[stage.parent] < positions[key] for key, stage in plan.stages.items())


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        (TEXT.replace("ratio = 0.5", "ratio = 0.45"), 7 + 6),  # not used: both trials vary it
        (TEXT + "[train]\nlr = 2e-3", 0),
        (TEXT + "[finetune]\nlr = 2e-3", 1 + 2),  # the base, and the first step of each trial
        (TEXT.replace("steps = 3", "steps = 2"), 1),
        (TEXT.replace("steps = 3", 'steps = 3\nimportance = "l2"'), 1),
        (TEXT.replace("steps = 3", 'steps = 3\nscope = "conv"'), 1),
        ("seeds = 2\n" + TEXT, 13),
        (TEXT + "[model]\nargs = { num_classes = 11 }", 0),
    ],
)
def test_keys_change_with_what_can_change_the_result_and_with_nothing_else(changed: str, kept: int) -> None:
    assert len(set(plan_of().stages) & set(plan_of(changed).stages)) == kept


def test_keys_change_with_data_machine_and_source() -> None:
    base = set(plan_of().stages)
    assert not base & set(plan_of(data="e").stages)
    assert not base & set(plan_of(torch="3").stages)
    spec = parse_spec(TEXT, "x")
    other = make_plan(spec, data="d", environment={"torch": "2"}, sources={"lenet5": "changed"})
    assert not base & set(other.stages)


def test_keys_change_with_an_algorithms_version(monkeypatch: pytest.MonkeyPatch) -> None:
    base = plan_of()
    monkeypatch.setitem(VERSIONS, "finetune", 99)
    changed = plan_of()
    kept = set(base.stages) & set(changed.stages)
    assert {base.stages[key].kind for key in kept} == {"train", "prune"}


def test_seeds_matter_only_where_something_is_drawn() -> None:
    text = "seeds = 2\n[model]\nweights = 'w'\n" + TEXT.replace("steps = 3", "steps = 1")
    plan = make_plan(parse_spec(text, "x"), data="d", environment={}, weights_sha256="s")
    kinds = [stage.kind for stage in plan.stages.values()]
    assert (kinds.count("import"), kinds.count("prune"), kinds.count("finetune")) == (1, 2, 4)
    drawn = make_plan(
        parse_spec(text.replace("steps = 1", "steps = 1\nimportance = 'random'"), "x"), data="d", environment={}
    )
    assert [stage.kind for stage in drawn.stages.values()].count("prune") == 4


def test_arguments_must_be_json() -> None:
    with pytest.raises(ModelError, match="cannot be written as JSON"):
        plan_of(TEXT + "[model]\nargs = { when = 2020-01-01 }")


def test_a_sweep_that_repeats_itself_is_refused() -> None:
    text = TEXT.replace("'prune.ratio'", "x").replace(
        '{ "prune.ratio" = [0.4, 0.5] }', '{ "finetune.lr" = [1e-3, 1e-4] }'
    )
    with pytest.raises(SpecError, match=r"finetune.lr = 0.001 and 0.0001 come to the same trial"):
        plan_of(text + 'set = { "finetune.epochs" = 0 }')


def test_the_source_study_has_the_structure_that_the_source_printed() -> None:
    """All 30 rows of its ratio tables: parameters and torch-pruning's MACs; widths at the end; channel counts."""
    spec, _ = load_spec("source")
    plan = dry_run(spec, trust=False)
    experiments = {experiment["name"]: experiment for experiment in plan["experiments"]}
    published = {
        (entry.value, entry.step): entry
        for experiment in spec.experiment
        if experiment.name == "ratio"
        for entry in experiment.published
    }
    rows = 0
    for trial in experiments["ratio"]["trials"]:
        for row in trial["structure"]:
            entry = published[None if row["step"] == 0 else trial["ratio"], row["step"]]
            assert (row["params"], row["macs_tp"]) == (entry.params, entry.macs_tp)
            rows += 1
    assert rows == 30
    ends = {trial["ratio"]: trial["structure"][-1]["widths"] for trial in experiments["ratio"]["trials"]}
    assert {ratio: list(widths.values()) for ratio, widths in ends.items()} == {
        0.5: [3, 8, 60, 42], 0.6: [2, 6, 48, 33], 0.7: [1, 4, 36, 25], 0.8: [1, 3, 23, 16], 0.9: [1, 1, 11, 8],
    }  # fmt: skip
    assert plan["epochs"]["unique"] < plan["epochs"]["requested"]
    assert json.loads(json.dumps(plan)) == plan
    scratch = experiments["from-scratch"]["trials"][0]
    assert [row["widths"] for row in scratch["structure"]] == [ends[0.5]]
    assert scratch["from_scratch"]


def test_structure_is_unknown_where_training_decides() -> None:
    spec = parse_spec(TEXT.replace("steps = 3", 'steps = 3\ndistribution = "global"'), "x")
    trials = dry_run(spec, trust=False)["experiments"][0]["trials"]
    assert [trial["structure"] for trial in trials] == [None, None]
    folder = parse_spec('[data]\nname="npz"\npath="none.npz"\n[[experiment]]\nname="one"', "x")
    assert dry_run(folder, trust=False)["experiments"][0]["trials"][0]["structure"] is None


def test_published_figures_are_the_sources() -> None:
    """Against typing errors in the preset: the sums of the source's columns."""
    spec, _ = load_spec("source")
    by_name = {experiment.name: experiment for experiment in spec.experiment}
    ratio = [entry for entry in by_name["ratio"].published if entry.step != 0]
    assert sum(entry.params for entry in ratio) == 574_928
    assert sum(entry.macs_tp for entry in ratio) == 4_212_190
    assert round(sum(entry.accuracy[0] for entry in ratio), 2) == 2138.35
    assert [entry.channels for entry in by_name["channels"].published] == [472, 246, 189, 152, 106, 62]
