"""What was run: the model, the data with a sample of each class, machine, versions, seeds and recipe."""

from __future__ import annotations

import json
from typing import Any

from niwaki.reporting.chosen import base_key
from niwaki.reporting.document import Block, Code, Facts, Picture, Pictures, Section, Text
from niwaki.reporting.reasons import budget_text
from niwaki.reporting.view import View
from niwaki.reporting.words import Words


def run_section(view: View, words: Words) -> Section:
    """Everything that can change a result."""
    blocks: list[Block] = [Text(words("run.lead"), "lead"), Facts(tuple(_facts(view, words)))]
    samples = view.evidence.classes if view.evidence else []
    items = tuple(
        Picture(png, words("run.sample", name=words.name(label)), (words.name(label),))
        for png, label in zip(samples, view.data.labels, strict=False)
        if png
    )
    if items:
        blocks.append(Pictures(words("run.samples"), items))
    blocks.append(Code(_settings(view), words("run.spec")))
    return Section("run", words("run.heading"), tuple(blocks))


def _settings(view: View) -> str:
    """The specification as JSON, without the published values, which are in the tables."""
    spec = view.spec.model_dump(mode="json", exclude_defaults=True)
    for experiment in spec["experiment"]:
        experiment.pop("published", None)
        experiment.pop("source", None)
    return json.dumps(spec, indent=1, ensure_ascii=False)


def _facts(view: View, words: Words) -> list[tuple[str, str]]:
    data, machine, spec = view.data, view.environment, view.spec
    images = {name: f"{getattr(data.images, name):,}" for name in ("train", "validation", "test")}
    done = len(view.records) - len(view.failures)
    return [
        (words("run.model"), _model(view, words)),
        (words("run.data"), words(
            "run.data.of", name=data.name, origin=data.origin, shape="×".join(map(str, data.input_shape)), **images,
        )),
        (words("run.fingerprint"), data.fingerprint),
        *_recipe(view, words),
        (words("run.seeds"), words("run.seeds.single") if spec.seeds == 1
         else words("run.seeds.of", seeds=", ".join(map(str, range(spec.seeds))))),
        (words("run.stages"), words("run.stages.of", done=done, planned=len(view.stages))),
        (words("run.machine"), f"{machine.machine}; {machine.system}"),
        (words("run.versions"), ", ".join(f"{k} {v}" for k, v in sorted(machine.versions.items()))),
    ]  # fmt: skip


def _model(view: View, words: Words) -> str:
    factory = view.spec.model.factory
    args = view.spec.model.args
    name = f"{factory}({', '.join(f'{k}={v}' for k, v in args.items())})" if args else factory
    key = base_key(view)
    results = view.results(key) if key else None
    if results is None:
        return name
    widths = ", ".join(f"{layer} {width}" for layer, width in results.widths.items())
    return words("run.model.of", factory=name, params=f"{results.params:,}", macs=f"{results.macs:,}", widths=widths)


def _recipe(view: View, words: Words) -> list[tuple[str, str]]:
    spec = view.spec
    sections: list[tuple[str, Any]] = [
        ("train", None if spec.model.weights else spec.train), ("prune", spec.prune), ("finetune", spec.finetune),
        ("quantize", spec.quantize), ("select", spec.select),
    ]  # fmt: skip
    found = []
    for name, settings in sections:
        if settings is None or (name == "finetune" and not settings.epochs):
            continue
        values = settings.model_dump()
        if name == "select":
            values |= {"budget": budget_text(settings, words), "minimize": words(f"minimize.{values['minimize']}")}
        if name == "prune":
            values["percent"] = 100 * values["ratio"]
        if "epochs" in values:
            values["epochs"] = words.count("epochs", values["epochs"])
        found.append((words(f"run.{name}"), words(f"run.recipe.{name}", **values)))
    return found
