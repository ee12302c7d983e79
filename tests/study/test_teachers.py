"""Studies with teachers and with quantization-aware training: plans, keys, runs, bad input."""

from __future__ import annotations

from pathlib import Path

import pytest

import niwaki
from niwaki.errors import ModelError, SpecError
from niwaki.study.imports import adopt_files
from niwaki.study.plan import Plan, make_plan
from niwaki.study.spec import load_spec, parse_spec
from tests.small_study import HEAD
from tests.study.conftest import records

TEXT = """
[prune]
ratio = 0.5
steps = 2
[[experiment]]
name = "one"
vary = { "prune.ratio" = [0.4, 0.5] }
"""
TAUGHT = '[finetune]\nteacher = "base"\n'


def plan_of(text: str) -> Plan:
    spec, files = adopt_files(parse_spec(text, "x"))
    return make_plan(spec, data="d", environment={"torch": "2"}, imports=files.imports)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory, small_npz: Path) -> Path:
    """A model file for the data of the small study."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIWAKI_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        data = niwaki.load_data(str(small_npz), validation=60, preprocessing={"size": [16, 16]})
    args = {"num_classes": 4, "image_size": 16}
    model = niwaki.LeNet5(**args)
    return niwaki.save(
        model, tmp_path_factory.mktemp("big") / "big.safetensors", factory="lenet5", args=args, data=data
    )


def test_the_base_of_a_trial_teaches_its_pruned_networks() -> None:
    plan = plan_of(TEXT + TAUGHT)
    for trial in plan.trials:
        base, first, second = (key for key in trial.stages if plan.stages[key].kind != "prune")
        assert [plan.stages[key].teachers for key in (base, first, second)] == [(), (base,), (base,)]
        assert plan.stages[first].settings["teacher"] == (base,)
    plain = plan_of(TEXT)
    assert set(plain.stages) & set(plan.stages) == {
        key for key, stage in plain.stages.items() if stage.kind == "train" or (stage.position == 1 != stage.epochs
        and stage.kind == "prune")
    }  # fmt: skip


def test_the_base_does_not_teach_itself_but_the_control_from_scratch() -> None:
    text = TEXT.replace('"one"', '"one"\nfrom_scratch = true') + '[train]\nteacher = "base"\n'
    plan = plan_of(text)
    for trial in plan.trials:
        assert plan.stages[trial.stages[0]].teachers == ()
        assert plan.stages[trial.stages[-1]].teachers == (trial.stages[0],)


def test_the_study_teaches_networks_of_other_widths_but_not_itself() -> None:
    """`study` is the network of [model] and [train], with the trial's seed, whatever the trial sets."""
    plan = plan_of(
        """
seeds = 2
[model]
args = { widths = [6, 16, 120, 84] }
[[experiment]]
name = "one"
vary = { "model.args.widths" = [[6, 16, 120, 84], [2, 3, 4, 5]] }
[experiment.set]
"train.epochs" = 7
"train.teacher" = "study"
"quantize.kind" = "qat"
"quantize.train" = { teacher = "study" }
"""
    )
    for trial in plan.trials:
        base, last = plan.stages[trial.stages[0]], plan.stages[trial.stages[-1]]
        (own,) = (stage for stage in plan.stages.values() if stage.epochs == 5 and stage.seed == trial.seed)
        assert own.settings["args"] == {"widths": [6, 16, 120, 84]}
        assert base.teachers == (() if trial.value[0] == 6 else (own.key,))
        assert last.kind == "quantize"
        assert last.teachers == (own.key,)


def test_a_file_is_imported_once_and_known_by_its_content(big: Path, tmp_path: Path) -> None:
    other = tmp_path / "renamed.safetensors"
    other.write_bytes(big.read_bytes())
    plans = [plan_of(TEXT + f"[finetune]\nteacher = ['{file}', 'base']\n") for file in (big, other)]
    assert set(plans[0].stages) == set(plans[1].stages)
    imported = [stage for stage in plans[0].stages.values() if stage.kind == "import"]
    assert len(imported) == 1
    tuned = next(stage for stage in plans[0].stages.values() if stage.kind == "finetune")
    assert tuned.teachers == (imported[0].key, plans[0].trials[0].stages[0])
    assert tuned.needs == (tuned.parent, *tuned.teachers)


def test_paths_are_beside_the_file_of_the_study(big: Path, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    file = tmp_path / "inside" / "study.toml"
    file.write_text(
        TEXT.replace("vary = ", 'set = { "train.teacher" = "c" }\nvary = ')
        + "[finetune]\nteacher = ['a', 'base']\n[quantize]\nkind = 'qat'\n[quantize.train]\nteacher = 'b'\n",
        encoding="utf-8",
    )
    spec, _ = load_spec(str(file))
    beside = str(tmp_path / "inside")
    assert spec.finetune.teacher == (f"{beside}/a", "base")
    assert spec.quantize is not None
    assert spec.quantize.train.teacher == (f"{beside}/b",)
    assert spec.experiment[0].set == {"train.teacher": f"{beside}/c"}


def test_a_missing_file_is_named_with_its_key() -> None:
    for section, key in (("finetune", "finetune.teacher"), ("train", "train.teacher")):
        with pytest.raises(SpecError, match=rf"{key} = 'none.safetensors': cannot be read: No such file"):
            plan_of(TEXT + f"[{section}]\nteacher = 'none.safetensors'\n")


def test_what_is_no_model_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "teacher.safetensors"
    file.write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"teacher\.safetensors"):
        plan_of(TEXT + f"[finetune]\nteacher = '{file}'\n")


def test_the_training_of_qat_is_in_its_key_and_in_no_other() -> None:
    static, qat = plan_of(TEXT + "[quantize]\n"), plan_of(TEXT + "[quantize]\nkind = 'qat'\n")
    only = {key for key in qat.stages if key not in static.stages}
    assert {qat.stages[key].kind for key in only} == {"quantize"}
    longer = plan_of(TEXT + "[quantize]\nkind = 'qat'\ntrain = { epochs = 3 }\n")
    assert not only & set(longer.stages)
    assert {longer.stages[key].epochs for key in longer.stages if longer.stages[key].kind == "quantize"} == {3}
    unused = plan_of(TEXT + "[quantize]\ntrain = { epochs = 3 }\n")
    assert set(unused.stages) == set(static.stages)


RUN = (
    HEAD
    + """
[finetune_]
[quantize]
kind = "qat"
images = 40
bits = 4
layer_bits = {{ fc3 = 8 }}

[quantize.train]
epochs = 2
batch_size = 20
teacher = "base"

[select]
experiment = "taught"
budget = ["accuracy_drop<=100"]
minimize = "flash"

[[experiment]]
name = "taught"
vary = {{ "prune.ratio" = [0.5] }}
columns = ["validation", "accuracy", "flash"]
"""
)


def test_a_study_with_teachers_and_qat_runs_and_its_chosen_network_is_the_trained_one(
    tmp_path: Path, small_npz: Path, big: Path
) -> None:
    text = RUN.replace("[finetune_]\n", "").replace("lr = 3e-3", f"lr = 3e-3\nteacher = ['base', '{big}']")
    file = tmp_path / "taught.toml"
    file.write_text(text.format(data=small_npz), encoding="utf-8")
    result = niwaki.run_study(file, out=tmp_path / "out", jobs=1)
    assert not result.failed
    kept = {record["kind"]: record for record in records(tmp_path / "out")}
    assert len(kept["quantize"]["results"]["epochs"]) == 2
    assert kept["quantize"]["results"]["flash"] > 0
    assert set(kept) == {"train", "import", "prune", "finetune", "quantize"}
    chosen = (tmp_path / "out" / "chosen" / "model-int8.onnx").read_bytes()
    (stage,) = (tmp_path / "out" / "stages").glob(f"{kept['quantize']['key']}*")
    assert chosen in [path.read_bytes() for path in stage.iterdir()]
    assert result.verification is not None
    assert result.verification.ok


def test_what_a_plan_needs_comes_first() -> None:
    plan = plan_of(TEXT + TAUGHT)
    order = {key: place for place, key in enumerate(plan.stages)}
    assert all(order[need] < order[key] for key, stage in plan.stages.items() for need in stage.needs)


def test_a_plan_counts_teachers_as_work_of_its_trials(big: Path) -> None:
    plan = plan_of(TEXT + f"[finetune]\nteacher = '{big}'\n")
    assert plan.longer == (0, 0)
    assert plan.unique[0] == len(plan.stages)


def test_a_teacher_for_other_images_is_refused_before_anything_runs(tmp_path: Path, small_npz: Path) -> None:
    file = tmp_path / "wide.safetensors"
    info = {"input_shape": (1, 32, 32), "labels": tuple("abcd"), "preprocessing": niwaki.Preprocessing()}
    niwaki.save(niwaki.LeNet5(num_classes=4), file, factory="lenet5", args={"num_classes": 4}, **info)
    study = tmp_path / "study.toml"
    text = HEAD + TEXT.replace("{", "{{").replace("}", "}}").replace("[prune]\nratio = 0.5\nsteps = 2\n", "")
    study.write_text(text.format(data=small_npz).replace("lr = 3e-3", f"lr = 3e-3\nteacher = '{file}'"), "utf-8")
    with pytest.raises(ModelError, match=r"teacher .*wide\.safetensors: the imported model takes \(1, 32, 32\)"):
        niwaki.run_study(study, out=tmp_path / "out", jobs=1)
    assert not (tmp_path / "out").exists()
