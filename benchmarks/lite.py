"""TensorFlow Lite files in LiteRT and as niwaki's C: time on this processor, instructions on an emulated Cortex-M4.

The C must give the bits of LiteRT's reference kernels before anything is timed. The files are the user's own; the
report of those of MLPerf Tiny names where they are from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from benchmarks.inference_race import AGAIN, OURS_INT8, time_in_turn
from benchmarks.microcontrollers import M4, peers
from benchmarks.pairs import Spread, ratios, spread
from benchmarks.peers import LOOPED, OURS, Contender, compiler_for, images_in_a_loop, predictor_call
from benchmarks.report import Report, Table
from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.compiled.library import CModel
from niwaki.compiled.on_target import measure_on_board
from niwaki.deploy.litert import fast_kernels, litert_version, reference_kernels
from niwaki.deploy.origin import Origin, open_origin
from niwaki.deploy.runners import in_layout
from niwaki.deploy.runtimes import onnxruntime_call
from niwaki.emit.generate import generate, write
from niwaki.errors import NiwakiError, ToolMissing
from niwaki.measure.onnxcost import count_onnx
from niwaki.models.onnxfile import load_onnx
from niwaki.toolchain.targets import find_target, missing_tools

COMMAND = "python -m benchmarks tflite --files FOLDER"
LITERT, ORT = "LiteRT int8", "ONNX Runtime int8"
IMAGES = 64
ROUNDS, SAMPLE_S = 40, 0.05
SAME_AS = {"resnet8": "ResNet-8", "kws": "DS-CNN", "ad01": "autoencoder"}
"""Networks of CMSIS-NN's figures, by a part of a file's name."""
METHOD = (
    "one image, one thread, each called from Python with a prepared image. LiteRT with its usual kernels (XNNPACK); "
    "ONNX Runtime with the QDQ ONNX that niwaki makes of the file, which rounds once. In turn; medians of the rounds, "
    "ratios of each round with quartiles. Before that, the C gives the bits of LiteRT's reference kernels for "
    f"{IMAGES} inputs of noise. Cortex-M4: int8 inputs to scores at -O2, counted by qemu; CMSIS-NN for the same "
    f"architecture, from benchmarks/{M4.peer.name}."
)


@dataclass(frozen=True)
class Found:
    """What was measured of one file. Seconds by contender and round; instructions None without the tools for them."""

    name: str
    sha256: str
    macs: int
    seconds: Mapping[str, Sequence[float]]
    instructions: int | None

    def ratio(self, label: str) -> Spread:
        """Time relative to niwaki's C."""
        return ratios(self.seconds[label], self.seconds[OURS_INT8])


def run(files: Sequence[Path], *, quick: bool) -> Report:
    """All files. Raises NiwakiError if there are none, or the C has other bits than the reference kernels."""
    if not files:
        raise NiwakiError("tflite: no .tflite file: name their folder with --files")
    missing: dict[str, None] = {}
    return report([measure(file, missing, quick=quick) for file in files], tuple(missing))


def measure(file: Path, missing: dict[str, None], *, quick: bool) -> Found:
    """Compare, then time in turn."""
    origin = open_origin(file)
    model = load_onnx(origin.data, file.name)
    graph = read_qdq(model, file.name)
    with TemporaryDirectory(prefix="niwaki-benchmark-tflite-") as work:
        folder = write(generate(graph), Path(work) / "c")
        contenders = [*_ours(folder, graph), *_theirs(origin, model, graph, missing)]
        _check(contenders, graph)
        rounds, sample_s = (2, 1e-3) if quick else (ROUNDS, SAMPLE_S)
        seconds = time_in_turn(contenders, rounds, sample_s)
        counted = _instructions(folder, graph)
    return Found(file.stem, hashlib.sha256(origin.tflite).hexdigest(), count_onnx(model).macs, seconds, counted)


def _ours(folder: Path, graph: Graph) -> list[Contender]:
    compiler_for(OURS)
    built = CModel(folder)
    one = built.prepare(inputs=True)
    images = images_in_a_loop(one)
    noise = np.repeat(one.image[None], images, axis=0)

    def scores(inputs: np.ndarray) -> np.ndarray:
        return built.run(np.ascontiguousarray(in_layout(graph, inputs)))

    many = predictor_call(built.run, noise)
    return [
        Contender(OURS, "int8", one, scores),
        Contender(OURS, "int8", many, scores, images, looped=True),
    ]


def _theirs(origin: Origin, model: onnx.ModelProto, graph: Graph, missing: dict[str, None]) -> list[Contender]:
    found = []
    try:
        litert_version()
        found.append(Contender("LiteRT", "int8", fast_kernels(origin.tflite), reference_kernels(origin.tflite, graph)))
    except ToolMissing as error:
        missing[str(error)] = None
    if len(model.graph.input[0].type.tensor_type.shape.dim) == 4:
        shape = graph.tensors[graph.input].shape
        call = onnxruntime_call(origin.data, np.zeros((1, *shape), np.float32))
        found.append(Contender("ONNX Runtime", "int8", call, lambda inputs: reference.run(graph, inputs)))
    return found


def _check(contenders: Sequence[Contender], graph: Graph) -> None:
    """All scores equal the reference's: the C's and those of LiteRT's reference kernels. ONNX Runtime rounds once."""
    shape = (IMAGES, *graph.tensors[graph.input].shape)
    inputs = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    expected = reference.run(graph, inputs).reshape(IMAGES, -1)
    for contender in contenders:
        if not np.array_equal(contender.scores(inputs).reshape(IMAGES, -1), expected):
            raise NiwakiError(f"{contender.label}: other scores than those of the reference: this is a bug")


def _instructions(folder: Path, graph: Graph) -> int | None:
    target = find_target(M4.target)
    if missing_tools(target):
        return None
    shape = (1, *graph.tensors[graph.input].shape)
    inputs = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    done = measure_on_board(folder, np.ascontiguousarray(in_layout(graph, inputs)), target, ("-O2",))
    if not np.array_equal(done.scores.reshape(1, -1), reference.run(graph, inputs).reshape(1, -1)):
        raise NiwakiError("Cortex-M4: other scores than those of the reference: this is a bug")
    return int(done.instructions[0])


def report(found: Sequence[Found], missing: Sequence[str]) -> Report:
    """A table of times and one of instructions, and the ratio of every contender with its spread."""
    times, counts, findings = [], [], []
    for one in found:
        for label, seconds in one.seconds.items():
            if label in (OURS_INT8, AGAIN) or label.endswith(LOOPED):
                told = str(one.ratio(label)) if label == AGAIN else ""
            else:
                told = str(one.ratio(label))
                findings.append(f"{one.name}: {label} takes {told} of the time of niwaki's C.")
            times.append((one.name, label, f"{1e6 * spread(seconds).median:.1f}", told))
        counts.append((one.name, f"{one.macs:,}", *_counted(one)))
    versions = [f"LiteRT {litert_version()}"] if not missing else []
    return Report(
        "TensorFlow Lite files",
        METHOD,
        COMMAND,
        (
            Table("Time of one image", ("file", "", "µs", "of niwaki's C"), tuple(times)),
            Table("Instructions on a Cortex-M4", ("file", "MACs", "instructions", "a MAC", "CMSIS-NN"), tuple(counts)),
        ),
        (*findings, *(f"{one.name}.tflite: SHA-256 {one.sha256[:16]}…" for one in found), *versions, *missing),
        {one.name: {label: list(seconds) for label, seconds in one.seconds.items()} for one in found},
    )


def _counted(found: Found) -> tuple[str, str, str]:
    same = next((name for part, name in SAME_AS.items() if part in found.name), None)
    peer = f"{peers()[same]:,}" if same else "–"
    if found.instructions is None:
        return "–", "–", peer
    return f"{found.instructions:,}", f"{found.instructions / found.macs:.2f}", peer
