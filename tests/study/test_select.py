from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

from niwaki.measure.accuracy import Accuracy
from niwaki.study.plan import Plan, Trial
from niwaki.study.records import Record, Results
from niwaki.study.result_files import Time, Timings
from niwaki.study.select import WAY_OUT, choose, latencies
from niwaki.study.spec import SelectSpec, TrialSettings
from tests.study.conftest import Niwaki


def results(validation: int, params: int, test: int = 50, **more: object) -> Results:
    def right(count: int) -> dict:
        """Two classes of 500, the second of which goes first."""
        first, second = min(count, 500), max(count - 500, 0)
        return {"total": 1000, "correct": count, "confusion": [[first, 500 - first], [500 - second, second]]}

    return Results(
        validation=right(validation), test=right(test), params=params, macs=10 * params, macs_tp=None,
        bytes={"float32": 4 * params}, file_bytes=5 * params, activation_bytes=100, widths={}, structure=str(params),
        **more,
    )  # fmt: skip


def study(*candidates: tuple[float, int, Results | None]) -> tuple[Plan, dict[str, Record]]:
    """Candidates (value, seed, results), each over the one base of its seed: 900 of 1000 right, 100 parameters."""
    plan, records = Plan(), {}
    settings = TrialSettings.model_validate({"model": {}, "train": {}, "prune": None, "finetune": {}})

    def add(key: str, found: Results | None) -> str:
        records[key] = Record(
            key=key, kind="train", parent=None, seed=0, position=0, settings={}, data="", environment={},
            status="done" if found else "failed", reason=None if found else "broken", results=found,
        )  # fmt: skip
        return key

    for value, seed, found in candidates:
        base, final = add(f"base{seed}", results(900, 100)), add(f"{value}/{seed}", found)
        plan.trials.append(Trial("ratio", value, seed, settings, (base, final), (base, final)))
    return plan, records


def with_results(record: Record, **changed: object) -> Record:
    return record.model_copy(update={"results": record.results.model_copy(update=changed)})


RULE = SelectSpec(experiment="ratio", budget=("accuracy_drop<=2",))


def test_the_smallest_within_the_budget() -> None:
    chosen = choose(RULE, *study((0.5, 0, results(895, 50)), (0.6, 0, results(880, 40)), (0.9, 0, results(700, 10))))
    assert (chosen.value, chosen.key) == (0.6, "0.6/0")
    assert chosen.reason == (
        "Rule: fewest params within accuracy_drop<=2 on validation. Chosen: 0.6: 88.00 % (drop 2.00), 40 params. "
        "Beyond it: 0.9: 70.00 % (drop 20.00), 10 params."
    )


def test_of_two_of_one_size_the_better_is_chosen() -> None:
    for worse, better in ((0.5, 0.6), (0.6, 0.5)):
        chosen = choose(RULE, *study(*sorted(((worse, 0, results(885, 40)), (better, 0, results(895, 40))))))
        assert chosen.value == better


def test_the_test_set_plays_no_part() -> None:
    chosen = choose(RULE, *study((0.5, 0, results(895, 50, test=999)), (0.6, 0, results(890, 40, test=1))))
    assert chosen.value == 0.6


def test_seeds_are_averaged_and_the_best_gives_the_file() -> None:
    plan, records = study(
        (0.5, 0, results(895, 50)), (0.5, 1, results(897, 50)), (0.6, 0, results(900, 40)), (0.6, 1, results(850, 40))
    )
    chosen = choose(RULE, plan, records)  # 0.6 drops 2.5 on average, though one seed drops nothing
    assert (chosen.value, chosen.key) == (0.5, "0.5/1")


def test_several_limits_and_other_quantities() -> None:
    plan, records = study((0.5, 0, results(895, 50)), (0.6, 0, results(890, 40)))
    rule = SelectSpec(experiment="ratio", budget=("accuracy_drop<=2", "latency<=20us"), minimize="macs")
    assert choose(rule, plan, records, {"50": 10.0, "40": 30.0}).value == 0.5
    assert choose(rule, plan, records, {"50": 10.0, "40": 30.0}).reason.startswith(
        "Rule: fewest macs within accuracy_drop<=2 and latency<=20us on validation. Chosen: 0.5: 89.50 % (drop 0.50), "
        "500 macs. Beyond it: 0.6: "
    )
    assert choose(rule, plan, records).key is None  # a limit on what was not measured is not met


def test_bytes_are_those_of_all_number_types() -> None:
    plan, records = study((0.5, 0, results(895, 50)), (0.6, 0, results(890, 40)), (0.7, 0, results(889, 30)))
    records["0.7/0"] = with_results(records["0.7/0"], bytes={"float32": 100, "int8": 70})
    assert choose(SelectSpec(experiment="ratio", minimize="bytes"), plan, records).value == 0.6
    assert choose(SelectSpec(experiment="ratio", budget=("bytes<=0.15KB",)), plan, records).key is None  # 153.6
    assert choose(SelectSpec(experiment="ratio", budget=("bytes<=0.16KB",)), plan, records).value == 0.6  # 163.84


def test_the_base_is_the_first_row_and_what_is_chosen_the_last() -> None:
    plan, records = study((0.5, 0, results(895, 50)))
    records["step"] = records["0.5/0"].model_copy(update={"key": "step", "results": results(100, 70)})
    rows = ("base0", "step", "0.5/0")
    plan.trials[0] = replace(plan.trials[0], stages=rows, rows=rows)
    chosen = choose(RULE, plan, records)
    assert chosen.key == "0.5/0"
    assert "Chosen: 0.5: 89.50 % (drop 0.50), 50 params." in chosen.reason
    for lost in ("base0", "0.5/0"):
        left = {key: record for key, record in records.items() if key != lost}
        assert choose(RULE, plan, left).reason.endswith("(0.5: no result (lost)).")


def test_an_experiment_that_varies_nothing_has_one_candidate_without_a_name() -> None:
    plan, records = study((None, 0, results(895, 50)))
    assert choose(RULE, plan, records).reason.endswith(
        "Chosen: 89.50 % (drop 0.50), 50 params. Every candidate is within it."
    )
    assert choose(RULE, *study((None, 0, None))).reason.endswith("within the budget (no result (failed)).")
    assert choose(RULE, Plan(), {}).reason.endswith("within the budget (no trial finished).")


def test_times_are_those_of_one_image_in_pytorch_and_else_in_onnxruntime() -> None:
    def times(median: float) -> dict[str, Time]:
        return {batch: Time(median_us=median * int(batch), p95_us=9e9) for batch in ("1", "256")}

    measured = Timings(
        pinned=False,
        noise_floor={"1": 0.1, "256": 0.1},
        models={"a": times(5), "b": times(6)},
        onnxruntime={"b": times(2), "c": times(3)},
    )
    assert latencies(measured) == {"a": 5, "b": 6, "c": 3}
    assert latencies(None) == {}


def test_flash_and_ram_of_int8() -> None:
    plan, records = study(
        (0.5, 0, results(895, 50, flash=20_000, ram=2_000)), (0.6, 0, results(890, 40, flash=16_384, ram=9_000)),
        (0.7, 0, results(889, 30, flash=9_000, ram=1_500)), (0.8, 0, results(888, 20)),
    )  # fmt: skip
    rule = SelectSpec(experiment="ratio", budget=("accuracy_drop<=2", "flash<=16KB", "ram<=8KB"))
    chosen = choose(rule, plan, records)
    assert chosen.value == 0.7
    assert "Chosen: 0.7: 88.90 % (drop 1.10), 30 params, 9,000 flash, 1,500 ram." in chosen.reason
    assert "0.8: 88.80 % (drop 1.20), 20 params, unknown flash, unknown ram" in chosen.reason
    least = choose(rule.model_copy(update={"minimize": "flash", "budget": ("ram<=8KB",)}), plan, records)
    assert least.value == 0.7
    assert least.reason.startswith("Rule: least flash within ram<=8KB on validation. Chosen: 0.7: ")
    unknown = study((0.8, 0, results(888, 20)))
    assert choose(SelectSpec(experiment="ratio", minimize="flash"), *unknown).key is None


def test_activations_that_are_not_known_are_within_no_limit() -> None:
    plan, records = study((0.5, 0, results(895, 50)), (0.6, 0, results(890, 40)))
    records["0.6/0"] = with_results(records["0.6/0"], activation_bytes=None)
    assert choose(SelectSpec(experiment="ratio", budget=("activations<=1KB",)), plan, records).value == 0.5


def test_nothing_within_the_budget_is_said() -> None:
    chosen = choose(RULE, *study((0.9, 0, results(700, 10)), (0.95, 0, None)))
    assert chosen.key is None
    assert chosen.reason.startswith("Nothing chosen: no candidate of ratio is within the budget (0.9: 70.00 % (drop 20")
    assert chosen.reason.endswith("10 params; 0.95: no result (failed)).")
    assert choose(RULE, *study((0.9, 0, None))).reason.endswith("(0.9: no result (failed)).")


def test_a_candidate_without_a_result_is_named_with_the_reason() -> None:
    plan, records = study((0.5, 0, results(895, 50)), (0.6, 0, None), (0.7, 0, results(890, 40)))
    del records["0.7/0"]
    assert choose(RULE, plan, records).reason.endswith(
        "50 params. Every other candidate is within it. Not judged: 0.6: no result (failed); 0.7: no result (lost)."
    )
    dead, failing = classes((0.8, 0, NO_CRACK)), study((0.9, 0, None), (0.95, 0, None))
    dead[0].trials.extend(failing[0].trials)
    assert choose(HIDING, dead[0], failing[1] | dead[1]).reason.endswith(
        " Not judged: 0.9: no result (failed); 0.95: no result (failed)."
    )


def test_one_seed_that_failed_is_why_a_value_has_no_result() -> None:
    for lost in ("0.6/0", "0.6/1"):
        plan, records = study((0.5, 0, results(895, 50)), (0.6, 0, None), (0.6, 1, None))
        del records[lost]
        assert choose(RULE, plan, records).reason.endswith(" Not judged: 0.6: no result (failed).")


Rows = list[list[int]]
ALIVE = [[495, 0, 0], [0, 50, 0], [0, 1, 4]]  # 500 fine, 50 scratch, 5 crack
ONLY_FINE = [[495, 0, 0], [50, 0, 0], [5, 0, 0]]
NO_CRACK = [[495, 0, 0], [0, 50, 0], [3, 2, 0]]
LABELS = ("fine", "scratch", "crack")


def by_class(confusion: Rows, params: int) -> Results:
    right = sum(row[index] for index, row in enumerate(confusion))
    answers = Accuracy(sum(map(sum, confusion)), right, tuple(map(tuple, confusion)))
    return results(900, params).model_copy(update={"validation": answers})


def classes(*candidates: tuple[float, int, Rows], base: Rows = ALIVE) -> tuple[Plan, dict[str, Record]]:
    """Candidates (value, seed, confusion on validation) over a base; the higher the value, the smaller."""
    plan, records = study(
        *((value, seed, by_class(found, round(100 - 100 * value))) for value, seed, found in candidates)
    )
    for seed in {seed for _, seed, _ in candidates}:
        records[f"base{seed}"] = records[f"base{seed}"].model_copy(update={"results": by_class(base, 100)})
    return plan, records


HIDING = SelectSpec(experiment="ratio", budget=("accuracy_drop<=20",))  # both dead ones are within it


def test_a_network_that_lost_a_class_is_not_chosen_and_the_class_is_named() -> None:
    chosen = choose(HIDING, *classes((0.5, 0, ALIVE), (0.8, 0, NO_CRACK), (0.9, 0, ONLY_FINE)), labels=LABELS)
    assert (chosen.value, chosen.key) == (0.5, "0.5/0")
    assert chosen.reason == (
        "Rule: fewest params within accuracy_drop<=20 on validation. Chosen: 0.5: 99.82 % (drop 0.00), 50 params. "
        "Refused as dead (worst_class>=0 would allow it): 0.8: 99.09 % (drop 0.73), 20 params, lost 'crack'; "
        "0.9: 90.00 % (drop 9.82), 10 params, answers 'fine' for every image."
    )


def test_if_all_are_dead_nothing_is_chosen() -> None:
    worse = [[300, 195, 0], [0, 50, 0], [5, 0, 0]]
    chosen = choose(HIDING, *classes((0.8, 0, NO_CRACK), (0.9, 0, worse)), labels=LABELS)
    assert (chosen.key, chosen.value) == (None, None)
    assert chosen.reason == (
        "Nothing chosen: of ratio, what is within the budget is dead (0.8: 99.09 % (drop 0.73), 20 params, lost "
        "'crack'): change the recipe (a lower ratio, more steps or epochs), or allow it by worst_class>=0 in the "
        "budget. Beyond it: 0.9: 63.64 % (drop 36.18), 10 params, lost 'crack'."
    )
    assert choose(HIDING, *classes((0.8, 0, NO_CRACK))).reason.endswith("lost class 2): " + WAY_OUT + ".")


def test_a_worst_class_of_the_users_own_takes_the_place_of_that_rule() -> None:
    candidates = classes((0.5, 0, ALIVE), (0.8, 0, NO_CRACK), (0.9, 0, ONLY_FINE))
    allowed = HIDING.model_copy(update={"budget": ("worst_class>=0",)})
    chosen = choose(allowed, *candidates, labels=LABELS)
    assert chosen.value == 0.9
    assert "worst_class 0.00 %, answers 'fine' for every image" in chosen.reason
    strict = choose(allowed.model_copy(update={"budget": ("worst_class>=80",)}), *candidates, labels=LABELS)
    assert strict.value == 0.5
    assert "0.8: 99.09 % (drop 0.73), 20 params, worst_class 0.00 %, lost 'crack'" in strict.reason


def test_balanced_accuracy_is_the_mean_of_the_classes() -> None:
    candidates = classes((0.5, 0, ALIVE), (0.8, 0, [[495, 0, 0], [25, 25, 0], [0, 1, 4]]))
    for least, value in ((76.7, 0.5), (76.6, 0.8)):  # (100 + 50 + 80) / 3 is 76.67
        rule = SelectSpec(experiment="ratio", budget=(f"balanced_accuracy>={least}",))
        chosen = choose(rule, *candidates)
        assert chosen.value == value
    assert "balanced_accuracy 76.67 %" in chosen.reason


def test_of_several_seeds_a_living_one_is_taken() -> None:
    dead, alive = [[495, 0, 0], [0, 50, 0], [0, 5, 0]], [[480, 15, 0], [0, 50, 0], [0, 1, 4]]
    chosen = choose(HIDING, *classes((0.8, 0, dead), (0.8, 1, alive), (0.8, 2, dead)), labels=LABELS)
    assert (chosen.value, chosen.key) == (0.8, "0.8/1")  # though the others have more right answers
    assert "20 params, 2 of 3 seeds dead (lost 'crack')." in chosen.reason
    worse = choose(HIDING, *classes((0.8, 0, NO_CRACK), (0.8, 1, ONLY_FINE)), labels=LABELS)
    assert "2 of 2 seeds dead (lost 'crack'; answers 'fine' for every image))" in worse.reason
    both = choose(HIDING, *classes((0.5, 0, ALIVE), (0.5, 1, ALIVE), (0.8, 0, dead), (0.8, 1, dead)), labels=LABELS)
    assert both.value == 0.5


def test_of_few_images_it_is_said_that_nothing_follows() -> None:
    base, final = [[500, 0, 0], [0, 2, 0], [0, 0, 0]], [[500, 0, 0], [2, 0, 0], [0, 0, 0]]
    both = [[499, 1, 0], [2, 0, 0], [0, 0, 0]]
    chosen = choose(HIDING, *classes((0.8, 0, both), base=base), labels=LABELS)
    assert chosen.value == 0.8
    assert chosen.reason.endswith(
        "20 params. Note: of 2 validation images of 'scratch' it recognizes none (the base 2); there is no validation "
        "image of 'crack'. Every candidate is within it."
    )
    assert choose(HIDING, *classes((0.8, 0, final), base=base)).key is None  # one answer for all of several classes
    strict = SelectSpec(experiment="ratio", budget=("worst_class>=0",))
    assert (
        "worst_class unknown (a class has no validation image)"
        in choose(strict, *classes((0.8, 0, both), base=base)).reason
    )


def test_a_run_names_the_class_in_its_choice(finished: Path, tmp_path: Path, niwaki: Niwaki) -> None:
    """Random importance leaves a network that answers one class: 25 %, within a budget of 100 points."""
    shutil.copytree(finished, tmp_path / "copy")
    file = tmp_path / "copy" / "small.toml"
    file.write_text(file.read_text().replace('experiment = "ratio"', 'experiment = "importance"'))
    niwaki("study", "run", file, "--jobs", 1, "--out", tmp_path / "copy" / "out")
    choice = json.loads((tmp_path / "copy" / "out" / "choice.json").read_text())
    assert set(choice) == {"format", "key", "value", "reason", "checksum"}
    assert choice["value"] != "random"
    assert re.search(
        r"Refused as dead \(worst_class>=0 would allow it\): .*random: 25.00 % .*, answers '0' for every image",
        choice["reason"],
    )


def test_macs_that_are_not_whole_are_within_no_limit() -> None:
    missing = ("mix (Mixer): _fft_r2c", "norm (Norm): aten::foo")
    plan, records = study((0.5, 0, results(895, 50)), (0.6, 0, results(890, 40, uncounted=missing)))
    unknown = "unknown (mix (Mixer): _fft_r2c, norm (Norm): aten::foo is not counted) macs."
    rule = SelectSpec(experiment="ratio", budget=("accuracy_drop<=2", "macs<=1k"))
    chosen = choose(rule, plan, records)
    assert chosen.value == 0.5
    assert chosen.reason.endswith(f" Beyond it: 0.6: 89.00 % (drop 1.00), 40 params, {unknown}")
    fewest = rule.model_copy(update={"minimize": "macs"})
    assert choose(fewest, plan, records).reason.endswith(f" Beyond it: 0.6: 89.00 % (drop 1.00), {unknown}")
    without = choose(RULE, plan, records)
    assert without.value == 0.6
    assert "Chosen: 0.6: 89.00 % (drop 1.00), 40 params. " in without.reason
