"""The networks of the domain-gap benchmark: the study `camera` and the same recipe for clean images, as int8 C."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from niwaki.board.rejection import Logits, logits_of
from niwaki.compiled.library import CModel
from niwaki.data.dataset import Dataset
from niwaki.deploy.export import export_all
from niwaki.deploy.forms import ExportOptions
from niwaki.errors import NiwakiError
from niwaki.study.listener import Silent
from niwaki.study.run import RunOptions, run_study
from niwaki.study.spec import StudySpec, load_spec
from niwaki.study.store import Store
from niwaki.training.settings import TrainSettings

SHIPPED = "camera, 60 %, int8"  # what the preset is for
AUGMENTATION = ("flip", "rotate", "zoom", "shift", "blur", "contrast", "noise", "outliers")


@dataclass(frozen=True)
class Network:
    """A network in its integer form: the function to its logits, and its accuracy on the clean test images."""

    name: str
    logits: Logits
    clean: float  # a fraction


def specs(*, quick: bool) -> dict[str, StudySpec]:
    """The preset, and the same without augmentation; `quick`: far too short to learn much."""
    camera, _ = load_spec("camera")
    if quick:
        short = {"epochs": 1}
        camera = camera.model_copy(
            update={
                "data": camera.data.model_copy(update={"limit": 2000}),
                "train": camera.train.model_copy(update=short),
                "finetune": camera.finetune.model_copy(update=short),
                "prune": camera.prune and camera.prune.model_copy(update={"steps": 1}),
            }
        )
    plain = {name: TrainSettings.model_fields[name].default for name in AUGMENTATION}
    clean = camera.model_copy(
        update={
            "title": "The recipe of the camera study, trained on clean images",
            "train": camera.train.model_copy(update=plain),
            "finetune": camera.finetune.model_copy(update=plain),
        }
    )
    return {"clean": clean, "camera": camera}


@contextmanager
def trained_networks(
    data: Dataset, studies: Path, quick: bool, say: Callable[[str], None] = print
) -> Iterator[list[Network]]:
    """The unpruned and the 60 % network of both recipes; studies that are not finished in `studies` run first."""
    with ExitStack() as stack:
        found: list[Network] = []
        for name, spec in specs(quick=quick).items():
            say(f"the study {name!r} in {studies / name} is run, or taken if it is there")
            for kind, model, int8 in _models(spec, studies / name):
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="niwaki-gap-")))
                export_all(model, folder / "out", data=data, options=ExportOptions(), int8=int8)
                found.append(as_network(f"{name}, {kind}, int8", CModel(folder / "out" / "c"), data))
        yield found


def as_network(name: str, model: CModel, data: Dataset) -> Network:
    """A generated C with its accuracy on all test images."""
    right = model(data.test.images).argmax(1) == data.test.labels
    return Network(name, logits_of(model), float(right.mean()))


def _models(spec: StudySpec, folder: Path) -> Iterator[tuple[str, bytes, bytes | None]]:
    """Model files of a study: the base, and the pruned one with the int8 ONNX that the study made from it."""
    result = run_study(spec, RunOptions(folder), Silent())
    if result.failed:
        raise NiwakiError(f"{folder}: the study failed: see niwaki study show {folder}")
    store, rows = Store(folder), result.plan.trials[0].rows

    def weights(row: int) -> bytes:
        return store.weights(rows[row], result.records[rows[row]])

    yield "whole", weights(0), None
    yield "60 %", weights(-2), weights(-1)
