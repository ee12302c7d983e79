"""What a study would do: its trials and their structure, without reading data or training anything."""

from __future__ import annotations

from typing import Any

from niwaki.errors import ModelError
from niwaki.files import sha256_of
from niwaki.study.plan import Plan, Trial, make_plan
from niwaki.study.run import adopt_weights
from niwaki.study.spec import StudySpec
from niwaki.study.structure import Structures, in_words


def dry_run(spec: StudySpec, *, trust: bool) -> dict[str, Any]:
    """Stages and epochs, unique and as requested; every trial with the structure it will have, as JSON values."""
    spec, weights = adopt_weights(spec)
    plan = make_plan(spec, data="", environment={}, weights_sha256=sha256_of(weights) if weights else None)
    structures = Structures(spec.data.known_input_shape(), trust=trust)
    refused = structures.refusals(plan)
    (unique_stages, unique_epochs), (asked_stages, asked_epochs) = plan.unique, plan.requested
    longer_stages, longer_epochs = plan.longer
    return {
        "stages": {"unique": unique_stages, "requested": asked_stages},
        "epochs": {"unique": unique_epochs, "requested": asked_epochs},
        "longer": {"stages": longer_stages, "epochs": longer_epochs},  # in none of the figures above
        "experiments": [
            {
                "name": experiment.name,
                "title": experiment.title or experiment.name,
                "varied": experiment.varied_key,
                "trials": [
                    _trial(plan, trial, structures, refused)
                    for trial in plan.trials
                    if trial.experiment == experiment.name
                ],
            }
            for experiment in spec.experiment
        ],
    }


def _trial(plan: Plan, trial: Trial, structures: Structures, refused: dict[str, ModelError]) -> dict[str, Any]:
    error = refused.get(in_words(trial))
    prune, finetune = trial.settings.prune, trial.settings.finetune
    return {
        "value": trial.value,
        "seed": trial.seed,
        "from_scratch": trial.settings.from_scratch,
        "longer": trial.settings.longer,
        "ratio": prune.ratio if prune else 0.0,
        "scope": prune.scope if prune else None,
        "steps": prune.steps if prune else 0,
        "importance": prune.importance if prune else None,
        "distribution": prune.distribution if prune else None,
        "finetune_lr": finetune.lr,
        "finetune_epochs": finetune.epochs,
        "quantize": trial.quantized,
        "stages": len(trial.stages),
        "epochs": sum(plan.stages[key].epochs for key in trial.stages),
        "structure": None if error else structures.of(trial),
        **({"refused": str(error)} if error else {}),
    }
