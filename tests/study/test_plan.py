from __future__ import annotations

import importlib.metadata
import json
import re

import pytest

import unusual
from niwaki.errors import FactoryError, ModelError, SpecError
from niwaki.study import dryrun
from niwaki.study.dryrun import dry_run
from niwaki.study.imports import Imports
from niwaki.study.plan import VERSIONS, Plan, make_plan
from niwaki.study.spec import load_spec, parse_spec
from niwaki.study.structure import Structures, check_structures

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


def test_an_option_that_came_later_is_no_part_of_a_key_where_it_is_off() -> None:
    """Stages that were stored before `rotate` and its like were there are found again."""
    (plain,), (off,), (turned,) = (
        [stage for stage in plan_of(TEXT + more).stages.values() if stage.kind == "train"]
        for more in ("", "[train]\nrotate = 0.0\nnoise = 0.0", "[train]\nrotate = 15.0")
    )
    first_options = {
        "epochs", "batch_size", "optimizer", "lr", "weight_decay", "momentum", "schedule", "flip", "shift",
        "clip_norm", "keep",
    }  # fmt: skip
    assert plain.settings.keys() == first_options | {"factory", "args", "source"}
    assert off == plain
    assert turned.settings == {**plain.settings, "rotate": 15.0}
    assert turned.key != plain.key
    finetuned = plan_of(TEXT + "[finetune]\nblur = 0.5")
    settings = [stage.settings for stage in finetuned.stages.values() if stage.kind == "finetune"]
    assert all(found.keys() == first_options | {"blur"} for found in settings)


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
    plan = make_plan(parse_spec(text, "x"), data="d", environment={}, imports=Imports("s"))
    kinds = [stage.kind for stage in plan.stages.values()]
    assert (kinds.count("import"), kinds.count("prune"), kinds.count("finetune")) == (1, 2, 4)
    drawn = make_plan(
        parse_spec(text.replace("steps = 1", "steps = 1\nimportance = 'random'"), "x"), data="d", environment={}
    )
    assert [stage.kind for stage in drawn.stages.values()].count("prune") == 4


INT8 = TEXT + "[quantize]\n"


def int8_of(plan: Plan) -> set[str]:
    return {key for key, stage in plan.stages.items() if stage.kind == "quantize"}


def test_quantization_comes_last_and_leaves_all_other_keys_as_they_were() -> None:
    plain, plan = plan_of(), plan_of(INT8)
    assert set(plain.stages) < set(plan.stages)
    assert len(int8_of(plan)) == 2
    for trial, before in zip(plan.trials, plain.trials, strict=True):
        assert (trial.stages[:-1], trial.rows[:-1]) == (before.stages, before.rows)
        stage = plan.stages[trial.rows[-1]]
        assert (stage.kind, stage.parent, stage.position, stage.epochs) == ("quantize", before.stages[-1], 3, 0)
        assert (before.quantized, trial.quantized) == (None, "static")
    assert "quantize 40 % static" in {stage.label for stage in plan.stages.values()}


@pytest.mark.parametrize(
    ("settings", "same"),
    [
        ("percentile = 99.0", True),  # minmax does not use it
        ('calibration = "percentile"', False),
        ("images = 999", False),
        ('kind = "dynamic"', False),
    ],
)
def test_what_a_kind_of_quantization_does_not_use_is_no_part_of_its_key(settings: str, same: bool) -> None:
    assert (int8_of(plan_of(INT8)) == int8_of(plan_of(INT8 + settings))) is same


def test_dynamic_quantization_draws_and_calibrates_nothing() -> None:
    dynamic = INT8 + 'kind = "dynamic"\n'
    calibrated = dynamic + "images = 5\ncalibration = 'entropy'\npercentile = 99.0\n"
    assert int8_of(plan_of(dynamic)) == int8_of(plan_of(calibrated))
    start = "seeds = 2\n[model]\nweights = 'w'\n"
    for text, seeds in ((dynamic, 1), (INT8, 2)):
        bare = start + text.replace("[prune]\nratio = 0.5\nsteps = 3\n", "").replace("prune.ratio", "train.lr")
        plan = make_plan(
            parse_spec(bare.replace("[0.4, 0.5]", "[1e-3]"), "x"), data="d", environment={}, imports=Imports("s")
        )
        assert len(int8_of(plan)) == seeds


def test_the_key_of_a_quantized_stage_changes_with_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    base, version = plan_of(INT8), importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9" if name == "onnxruntime" else version(name))
    changed = plan_of(INT8)
    assert set(base.stages) & set(changed.stages) == set(base.stages) - int8_of(base)


def test_arguments_must_be_json() -> None:
    with pytest.raises(ModelError, match="cannot be written as JSON"):
        plan_of(TEXT + "[model]\nargs = { when = 2020-01-01 }")


def test_a_sweep_that_repeats_itself_is_refused() -> None:
    text = TEXT.replace("'prune.ratio'", "x").replace(
        '{ "prune.ratio" = [0.4, 0.5] }', '{ "finetune.lr" = [1e-3, 1e-4] }'
    )
    with pytest.raises(SpecError, match=r"finetune.lr = 0.001 and 0.0001 give the same trial"):
        plan_of(text + 'set = { "finetune.epochs" = 0 }')


def test_the_source_study_has_the_structure_that_the_source_printed() -> None:
    """All 30 rows of its ratio tables: parameters and torch-pruning's MACs; widths at the end; channel counts."""
    spec, _ = load_spec("source")
    plan = dry_run(spec, trust=False).to_dict()
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
    kinds = {name: [trial["quantize"] for trial in found["trials"]] for name, found in experiments.items()}
    assert (kinds["quantization"], kinds["final"], kinds["ratio"]) == (["static", "dynamic"], ["static"], [None] * 5)
    scratch = experiments["from-scratch"]["trials"][0]
    assert [row["widths"] for row in scratch["structure"]] == [ends[0.5]]
    assert scratch["from_scratch"]


def test_the_unpruned_network_is_trained_on_for_as_many_epochs_as_the_pruned_ones_and_they_are_stated_apart() -> None:
    spec, _ = load_spec("source")
    plan = dry_run(spec, trust=False).to_dict()
    assert (plan["stages"], plan["epochs"]) == (
        {"unique": 130, "requested": 451}, {"unique": 445, "requested": 1325},
    )  # fmt: skip
    assert plan["longer"] == {"stages": 5, "epochs": 25}
    trials = {found["name"]: found["trials"] for found in plan["experiments"]}
    (longer,) = trials["longer"]
    assert longer["epochs"] == max(trial["epochs"] for trial in trials["ratio"]) == 30
    assert [(row["step"], row["params"]) for row in longer["structure"]] == [(0, 61_706)]


LONGER = TEXT + '[[experiment]]\nname = "more"\nlonger = true\n'


def test_training_on_is_fine_tuning_of_the_base_itself() -> None:
    plain, plan = plan_of(), plan_of(LONGER)
    assert list(plan.stages)[: len(plain.stages)] == list(plain.stages)
    assert (plan.unique, plan.requested, plan.longer) == (plain.unique, plain.requested, (3, 15))
    trial = plan.trials[-1]
    assert trial.rows == trial.stages
    base, *rounds = (plan.stages[key] for key in trial.stages)
    pruned = [stage for stage in plain.stages.values() if stage.kind == "finetune"]
    assert base.kind == "train"
    assert [(s.kind, s.position, s.epochs, s.settings) for s in rounds] == [
        (s.kind, s.position, s.epochs, s.settings) for s in pruned[:3]
    ]
    assert [stage.parent for stage in rounds] == [base.key, rounds[0].key, rounds[1].key]
    assert rounds[1].label == "train unpruned round 2/3"
    alone = plan_of(TEXT.replace('vary = { "prune.ratio" = [0.4, 0.5] }', "longer = true"))
    assert (alone.unique, alone.longer) == ((0, 0), (4, 20))


def test_structure_is_unknown_where_training_decides() -> None:
    spec = parse_spec(TEXT.replace("steps = 3", 'steps = 3\ndistribution = "global"'), "x")
    trials = dry_run(spec, trust=False).to_dict()["experiments"][0]["trials"]
    assert [trial["structure"] for trial in trials] == [None, None]
    folder = parse_spec('[data]\nname="npz"\npath="none.npz"\n[[experiment]]\nname="one"', "x")
    assert dry_run(folder, trust=False).to_dict()["experiments"][0]["trials"][0]["structure"] is None


def test_published_figures_are_the_sources() -> None:
    """Against typing errors in the preset: the sums of the source's columns."""
    spec, _ = load_spec("source")
    by_name = {experiment.name: experiment for experiment in spec.experiment}
    ratio = [entry for entry in by_name["ratio"].published if entry.step != 0]
    assert sum(entry.params for entry in ratio) == 574_928
    assert sum(entry.macs_tp for entry in ratio) == 4_212_190
    assert round(sum(entry.accuracy[0] for entry in ratio), 2) == 2138.35
    ends = [(e.step, e.quantized, e.accuracy[-1], e.params, e.size_kb) for e in by_name["final"].published]
    assert ends == [(0, False, 89.3, 61706, 245), (5, False, 86.27, 9563, 41), (None, True, 86.28, 9563, 16)]
    assert [entry.macs_tp for entry in by_name["quantization"].published] == [82_741, 82_741 - 9_205]
    assert [entry.channels for entry in by_name["channels"].published] == [472, 246, 189, 152, 106, 62]


def test_one_network_that_cannot_be_pruned_is_named_and_the_others_are_planned() -> None:
    """A dry run and a run's first look find it; only where no trial can run is it an error of the study."""
    text = """
[data]
name = "npz"
path = "x.npz"
preprocessing = { size = [16, 16] }
[prune]
ratio = 0.5
steps = 1
[[experiment]]
name = "kinds"
vary = { "model.factory" = ["unusual:divided_by_its_width", "unusual:flat_and_pooled"] }
"""
    plan = plan_of(text)
    told: list[str] = []
    check_structures(plan, unusual.SHAPE, told.append, trust=True)
    (said,) = told
    assert re.match(r"kinds, unusual:divided_by_its_width: will fail; the others run: pruning changes what the n", said)
    structures = Structures(unusual.SHAPE, trust=True)
    bad, good = plan.trials
    refused = structures.refusals(plan)
    assert list(refused) == ["kinds, unusual:divided_by_its_width"]
    shown = dryrun._trial(plan, bad, structures, refused)
    assert (shown.structure, shown.refused) == (None, str(refused["kinds, unusual:divided_by_its_width"]))
    last = dryrun._trial(plan, good, structures, refused).structure[-1]
    assert last.widths == {"c1": 4, "c2": 8}
    assert "never ends" in last.whole["c2"]
    alone = plan_of(text.replace(', "unusual:flat_and_pooled"', ""))
    with pytest.raises(ModelError, match="pruning changes what the network's output computes"):
        check_structures(alone, unusual.SHAPE, told.append, trust=True)
    with pytest.raises(FactoryError):
        check_structures(
            plan_of(text.replace("divided_by_its_width", "nothing_of_this_name")), unusual.SHAPE, print, trust=True
        )


@pytest.mark.parametrize(
    ("vary", "labels"),
    [
        ('"prune.ratio" = [0.4]', ["train", "prune 40 % step 1/3", "fine-tune 40 % step 1/3"]),
        ('"finetune.lr" = [1e-3]', ["train", "prune 50 % lr=0.001 step 1/3", "fine-tune 50 % lr=0.001 step 1/3"]),
        ('"train.batch_size" = [32]', ["train batch_size=32", "prune 50 % batch_size=32 step 1/3"]),
    ],
)
def test_stages_are_called_by_what_they_do_and_for_whom(vary: str, labels: list[str]) -> None:
    text = TEXT.replace('vary = { "prune.ratio" = [0.4, 0.5] }', f"vary = {{ {vary} }}")
    assert [stage.label for stage in plan_of(text).stages.values()][: len(labels)] == labels
    assert next(iter(plan_of("seeds = 2\n" + text).stages.values())).label == f"{labels[0]}, seed 0"
