from __future__ import annotations

from niwaki.study.plan import Plan, Trial
from niwaki.study.records import Record, Results
from niwaki.study.select import choose
from niwaki.study.spec import SelectSpec, TrialSettings


def results(validation: int, params: int, test: int = 50, **more: int | None) -> Results:
    def right(count: int) -> dict:
        return {"total": 1000, "correct": count, "confusion": [[count, 1000 - count], [0, 0]]}

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


RULE = SelectSpec(experiment="ratio", budget=("accuracy_drop<=2",))


def test_the_smallest_within_the_budget() -> None:
    chosen = choose(RULE, *study((0.5, 0, results(895, 50)), (0.6, 0, results(880, 40)), (0.9, 0, results(700, 10))))
    assert (chosen.value, chosen.key) == (0.6, "0.6/0")
    assert chosen.reason == (
        "Rule: fewest params within accuracy_drop<=2 on validation. Chosen: 0.6: 88.00 % (drop 2.00), 40 params. "
        "Beyond it: 0.9: 70.00 % (drop 20.00), 10 params."
    )


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
    assert choose(rule, plan, records).key is None  # a limit on what was not measured is not met


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
    assert choose(rule.model_copy(update={"minimize": "flash", "budget": ()}), plan, records).value == 0.7
    unknown = study((0.8, 0, results(888, 20)))
    assert choose(SelectSpec(experiment="ratio", minimize="flash"), *unknown).key is None


def test_activations_that_are_not_known_are_within_no_limit() -> None:
    plan, records = study((0.5, 0, results(895, 50)), (0.6, 0, results(890, 40)))
    final = records["0.6/0"]
    unknown = final.results.model_copy(update={"activation_bytes": None})
    records["0.6/0"] = final.model_copy(update={"results": unknown})
    assert choose(SelectSpec(experiment="ratio", budget=("activations<=1KB",)), plan, records).value == 0.5


def test_nothing_within_the_budget_is_said() -> None:
    chosen = choose(RULE, *study((0.9, 0, results(700, 10)), (0.95, 0, None)))
    assert chosen.key is None
    assert chosen.reason.startswith("Nothing chosen: no candidate of ratio is within the budget (0.9: 70.00 % (drop 20")
    assert choose(RULE, *study((0.9, 0, None))).reason.endswith("(no trial finished).")
