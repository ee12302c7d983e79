"""The sensitivity of a model file's layers, on the validation images of its dataset."""

from __future__ import annotations

from pathlib import Path

from niwaki.data.dataset import Dataset
from niwaki.deploy.origin import open_origin
from niwaki.deploy.pictures import find_pictures
from niwaki.errors import DataError, ModelError, Setting
from niwaki.models import modelfile
from niwaki.notify import Notify, silent
from niwaki.training.sensitivity import SensitivityReport, sensitivity


def file_sensitivity(
    file: Path, data: Dataset | str | None, images: int | None = None, *, trust: bool = False, notify: Notify = silent
) -> SensitivityReport:
    """What the network in a model file loses through each of its layers; `data` as `niwaki export` finds it.

    Raises ModelError for an ONNX file, whose layers cannot be pruned; DataError if there are no images.
    """
    origin = open_origin(file)
    if origin.kind != "model":
        raise ModelError(f"{file}: sensitivity needs a model file (.safetensors): niwaki does not prune ONNX files")
    pictures = find_pictures(origin.needs, data, notify)
    if pictures.data is None:
        raise pictures.error or DataError(
            f"{file}: the file names no dataset to measure on: name one with ", Setting("data")
        )
    used = len(pictures.data.validation) if images is None else min(images, len(pictures.data.validation))
    notify(f"measuring on {used:,} validation images of {pictures.data.name}")
    model, _ = modelfile.loads(origin.data, trust=trust, name=origin.name)
    return sensitivity(model, pictures.data, images)
