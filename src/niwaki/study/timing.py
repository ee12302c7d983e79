"""The times of a study's networks: measured after all stages, alone, in one interleaved run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from torch import nn

from niwaki.errors import step
from niwaki.measure.latency import Call, LatencyTable, alone_on_one_cpu, measure_latency
from niwaki.models import modelfile
from niwaki.models.modelfile import ModelInfo
from niwaki.study import environment
from niwaki.study.plan import Plan
from niwaki.study.records import Record
from niwaki.study.result_files import Time, Timings
from niwaki.study.store import Store

BATCHES = (1, 256)
ROUNDS = {1: 200, 256: 12}
BUDGET_S = {1: 30.0, 256: 45.0}


@dataclass(frozen=True)
class Networks:
    """The networks of a study: its finished stages by key, and where their weights are."""

    store: Store
    records: Mapping[str, Record]
    plan: Plan
    in_onnxruntime: Collection[str]
    """The experiments that are also timed in ONNX Runtime."""
    input_shape: tuple[int, ...]
    trust: bool
    """Whether to call factories that are not niwaki's."""


@step("timing the networks")
def measure_timings(networks: Networks, known: Timings | None, notify: Callable[[str], None]) -> Timings | None:
    """Latencies by structure, at batch 1 and 256; `known` if it has all of them, from this machine.

    `models` are timed in torch; in ONNX Runtime, at batch 1 and for the experiments named in `in_onnxruntime`, the
    quantized networks and the float ones to compare them with: their parents and the bases. Networks of one structure
    take the same time whatever their weights, so each structure is measured once; and since times are compared with one
    another, they come from one run: if one is missing, all are measured. One pinned CPU, one thread, only the network,
    on prepared float images.
    """
    wanted = _wanted(networks)
    if not wanted.torch:
        return None
    machine = _machine(wanted)
    if known and known.machine == machine and wanted.are_in(known):
        return known
    notify(f"timing {len(wanted.torch) + len(wanted.onnxruntime)} networks, one at a time on one processor")
    models = {name: _load(networks, key)[0] for name, key in wanted.torch.items()}
    onnx = {name: _onnx(networks, key) for name, key in wanted.onnxruntime.items()}
    one, many = (np.random.default_rng(0).random((batch, *networks.input_shape), np.float32) for batch in BATCHES)
    with alone_on_one_cpu() as pinned, torch.inference_mode():
        tables = {
            1: _measure(_torch(models, one) | _onnxruntime(onnx, one), 1),
            256: _measure(_torch(models, many), 256),
        }
    return Timings(
        machine=machine,
        pinned=pinned,
        threads=1,
        noise_floor={str(batch): table.noise_floor for batch, table in tables.items()},
        models={name: {str(batch): _row(table, "torch", name) for batch, table in tables.items()} for name in models},
        onnxruntime={name: {"1": _row(tables[1], "onnxruntime", name)} for name in wanted.onnxruntime},
    )


@dataclass
class _Wanted:
    """For each structure, the key of one stage that has it."""

    torch: dict[str, str] = field(default_factory=dict)
    onnxruntime: dict[str, str] = field(default_factory=dict)

    def are_in(self, known: Timings) -> bool:
        return set(self.torch) <= set(known.models) and set(self.onnxruntime) <= set(known.onnxruntime)


def _wanted(networks: Networks) -> _Wanted:
    """The structures in the tables of the study."""
    found, records = _Wanted(), networks.records
    for trial in networks.plan.trials:
        done = {key: records[key].results for key in trial.rows if key in records}
        asked = trial.experiment in networks.in_onnxruntime and trial.quantized and done.get(trial.rows[-1])
        compared = {trial.rows[0], *trial.rows[-2:]} if asked else set()
        for key, results in done.items():
            if results is None:
                continue
            if records[key].kind != "quantize":
                found.torch.setdefault(results.structure, key)
            if key in compared:
                found.onnxruntime.setdefault(results.structure, key)
    return found


def _machine(wanted: _Wanted) -> dict[str, str]:
    machine = {"processor": environment.processor_name(), "torch": torch.__version__}
    if wanted.onnxruntime:
        import onnxruntime

        machine["onnxruntime"] = onnxruntime.__version__
    return machine


Calls = dict[tuple[str, str], Call]  # by runtime and structure


def _torch(models: Mapping[str, nn.Module], images: np.ndarray) -> Calls:
    inputs = torch.from_numpy(images)
    return {("torch", name): lambda model=model: model(inputs) for name, model in models.items()}  # type: ignore[misc]


def _onnxruntime(models: Mapping[str, bytes], images: np.ndarray) -> Calls:
    if not models:
        return {}
    from niwaki.deploy.runtimes import onnxruntime_call

    return {("onnxruntime", name): onnxruntime_call(model, images) for name, model in models.items()}


def _load(networks: Networks, key: str) -> tuple[nn.Module, ModelInfo]:
    return modelfile.loads(_weights(networks, key), trust=networks.trust)


def _onnx(networks: Networks, key: str) -> bytes:
    if networks.records[key].kind == "quantize":
        return _weights(networks, key)
    from niwaki.models.onnx_export import to_onnx

    return to_onnx(*_load(networks, key))


def _weights(networks: Networks, key: str) -> bytes:
    return networks.store.weights(key, networks.records[key])


def _measure(calls: Calls, batch: int) -> LatencyTable:
    named = {"/".join(name): call for name, call in calls.items()}
    return measure_latency(named, batch=batch, rounds=ROUNDS[batch], budget_s=BUDGET_S[batch])


def _row(table: LatencyTable, runtime: str, structure: str) -> Time:
    return Time(**asdict(table.rows[f"{runtime}/{structure}"]))
