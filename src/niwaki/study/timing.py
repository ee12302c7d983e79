"""How long the networks of a study take in torch: measured after all stages, alone, in one interleaved run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from niwaki.data.dataset import Dataset
from niwaki.measure.latency import alone_on_one_cpu, measure_latency
from niwaki.models import modelfile
from niwaki.study import environment
from niwaki.study.plan import Plan
from niwaki.study.records import Record
from niwaki.study.store import Store

BATCHES = (1, 256)
ROUNDS = {1: 200, 256: 12}
BUDGET_S = {1: 30.0, 256: 45.0}


def measure_timings(
    store: Store,
    records: Mapping[str, Record],
    plan: Plan,
    data: Dataset,
    known: Mapping[str, Any] | None,
    notify: Callable[[str], None],
    trust: bool,
) -> Mapping[str, Any] | None:
    """Latencies by structure, at batch 1 and 256; `known` if it has them all, from this machine.

    Networks of one structure take the same time whatever their weights, so each structure is measured once;
    and since times are compared with one another, they come from one run: if one is missing, all are
    measured. On one pinned CPU with one thread, the network alone on float images that lie ready.
    """
    wanted = _structures(records, plan)
    if not wanted:
        return None
    machine = {"processor": environment.processor_name(), "torch": torch.__version__}
    if known and known.get("machine") == machine and set(wanted) <= set(known.get("models", {})):
        return known
    notify(f"timing {len(wanted)} networks, alone on one processor")
    with alone_on_one_cpu() as pinned, torch.inference_mode():
        models = {name: _load(store, records[key], trust) for name, key in wanted.items()}
        tables = {batch: _measure(models, data, batch) for batch in BATCHES}
    return {
        "machine": machine,
        "pinned": pinned,
        "threads": 1,
        "noise_floor": {str(batch): table.noise_floor for batch, table in tables.items()},
        "models": {
            name: {str(batch): vars(table.rows[name]).copy() for batch, table in tables.items()} for name in wanted
        },
    }


def _structures(records: Mapping[str, Record], plan: Plan) -> dict[str, str]:
    """For each structure in a table of the study, the key of one stage that has it."""
    found: dict[str, str] = {}
    for trial in plan.trials:
        for key in trial.rows:
            record = records.get(key)
            if record is not None and record.results is not None:
                found.setdefault(record.results.structure, key)
    return found


def _load(store: Store, record: Record, trust: bool) -> nn.Module:
    return modelfile.loads(store.weights(record.key, record), trust=trust)[0]


def _measure(models: Mapping[str, nn.Module], data: Dataset, batch: int) -> Any:
    images = torch.rand(batch, *data.input_shape, generator=torch.Generator().manual_seed(0))
    calls = {name: lambda model=model: model(images) for name, model in models.items()}
    return measure_latency(calls, batch=batch, rounds=ROUNDS[batch], budget_s=BUDGET_S[batch])
