"""`niwaki verify --serial` and `niwaki bench --serial`: a board computes images, and says how long it takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from niwaki.codegen.graph.graph import Graph
from niwaki.data.dataset import Dataset
from niwaki.deploy.bench import BenchReport, BenchRow
from niwaki.deploy.compare_forms import Progress
from niwaki.deploy.exported import Export, open_export
from niwaki.deploy.folder import export_within
from niwaki.deploy.formats import FILES, INT8, C
from niwaki.deploy.pictures import find_pictures
from niwaki.deploy.runners import Subject, inputs_of, takes_pixels
from niwaki.deploy.sample import choose_sample
from niwaki.deploy.verify import VerifyOptions, VerifyReport, verify_folder
from niwaki.errors import ModelError
from niwaki.files import sha256_of
from niwaki.firmware.line import Board, Greeting, check_model, open_port
from niwaki.notify import Notify, silent

IMAGES = 500
"""Images that a board gets unless the user says how many: a kilobyte takes a third of a second at 115,200 baud."""
TIMED = 10
STOPPED = "its clock does not run, as in an emulator: there is no time"


def verify_on_board(
    path: Path, where: str, *, data: Dataset | str | None, options: VerifyOptions, notify: Notify = silent,
    progress: Progress = silent,
) -> VerifyReport:  # fmt: skip
    """`verify_folder` with one more form: the board at `where` (PORT or PORT:BAUD), which must give the reference's
    bits.

    Raises NiwakiError if the port cannot be opened or no board answers, ModelError if it runs another model.
    """
    options.check()
    folder = _folder(path)
    with open_port(where) as (board, port):
        greeting = board.greet()

        def more(export: Export) -> Subject:
            check_board(greeting, export, port)
            graph = export.integer
            return Subject(
                C, f"board at {port}", run=lambda pixels: run_on_board(board, greeting, graph, pixels)[0],
                images=IMAGES if options.images is None else None,
            )  # fmt: skip

        return verify_folder(folder, data=data, options=options, notify=notify, progress=progress, more=more)


def bench_on_board(path: Path, where: str, *, data: str | None = None, notify: Notify = silent) -> BenchReport:
    """The board's own time for one image: of its cycle counter if the sketch has one, else of micros().

    Raises as `verify_on_board`.
    """
    folder = _folder(path)
    export = open_export(folder)
    sample = choose_sample(export, find_pictures(export.needs, data, notify), TIMED)
    with open_port(where) as (board, port):
        greeting = board.greet()
        check_board(greeting, export, port)
        notify(f"timing {len(sample.images)} images on the board at {port}")
        _, ticks = run_on_board(board, greeting, export.integer, sample.images)
    times = ticks * (1e6 / greeting.ticks_per_second)
    median, p95 = float(np.median(times)), float(np.percentile(times, 95))
    row = BenchRow(str(path), C, f"board at {port}", 1, median, p95, len(times), 1, None, False)
    spread = (p95 - median) / median if median else 0.0
    return BenchReport((row,), spread, True, (), () if median else (f"board at {port}: {STOPPED}",))


def run_on_board(board: Board, greeting: Greeting, graph: Graph, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The scores of raw images, int8 (n, classes), and the ticks that each took, int64 (n,)."""
    done = [board.run(image.tobytes(), greeting.output_bytes) for image in for_board(graph, pixels)]
    scores, ticks = zip(*done, strict=True)
    return np.stack(scores), np.array(ticks, np.int64)


def for_board(graph: Graph, pixels: np.ndarray) -> np.ndarray:
    """Images as they lie in the board's memory, one byte a value (n, H, W, C): raw pixels, or int8 inputs."""
    values = pixels if takes_pixels(graph) else inputs_of(graph, pixels).view(np.uint8)
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1) if values.ndim == 4 else values)


def check_board(greeting: Greeting, export: Export, port: str) -> None:
    """Raise ModelError if the board runs another model than the export's."""
    graph = export.integer
    sizes = (graph.tensors[graph.input].size, graph.tensors[graph.output].size)
    check_model(greeting, sha256_of(export.files[INT8]), sizes, port, str(export.folder))


def _folder(path: Path) -> Path:
    folder = export_within(path, FILES[INT8])
    if not (folder / FILES[INT8]).is_file():
        raise ModelError(
            f"{path}: no {FILES[INT8]} in it: give the folder that niwaki export --to arduino (or another) wrote"
        )
    return folder
