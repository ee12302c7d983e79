"""From what people have to a model file: a factory, weights of another tool, labels and preprocessing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from niwaki.api.data import load_data
from niwaki.api.forms import stated
from niwaki.arguments import check_factory, checked
from niwaki.data.classes import in_order
from niwaki.data.dataset import Dataset
from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import ModelError, Setting, SpecError
from niwaki.measure.accuracy import Accuracy
from niwaki.measure.accuracy import evaluate as measure_accuracy
from niwaki.measure.predict import torch_predictor
from niwaki.models import factory as factories
from niwaki.models import modelfile
from niwaki.models.examine import not_scores
from niwaki.models.foreign_weights import put, read_weights
from niwaki.models.generators import generators_kept
from niwaki.models.modelfile import ModelInfo
from niwaki.models.own_preprocessing import completed
from niwaki.models.provenance import Provenance
from niwaki.notify import Notify, logged


@dataclass(frozen=True)
class ImportReport:
    """A model file that was made of foreign weights, and how their entries became the network's."""

    file: Path
    info: ModelInfo
    taken: int
    """Entries of the weights that the network took."""
    fresh: tuple[str, ...]
    """Entries of the network that the weights lack, which have random first values."""
    remarks: tuple[str, ...]
    accuracy: Accuracy | None = None
    """On the test images, if data were given and nothing is fresh."""

    def __repr__(self) -> str:
        said = f", {self.accuracy.accuracy:.2f} %" if self.accuracy else ""
        return f"<ImportReport {self.file}: {self.taken} entries, {len(self.fresh)} fresh{said}>"

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {
            "file": str(self.file), "taken": self.taken, "fresh": list(self.fresh), "remarks": list(self.remarks),
            "input_shape": list(self.info.input_shape), "labels": list(self.info.labels),
            "accuracy": self.accuracy.accuracy if self.accuracy else None,
        }  # fmt: skip


@checked
def import_model(
    weights: str | Path,
    out: str | Path,
    *,
    factory: str,
    args: Mapping[str, Any] | None = None,
    labels: tuple[str, ...] | list[str] | None = None,
    data: str | Path | Dataset | None = None,
    preprocessing: Preprocessing | Mapping[str, Any] | None = None,
    partial: bool = False,
    trust: bool = False,
    notify: Notify | None = None,
) -> ImportReport:
    """Make a model file of a factory and weights of another tool: a `.pth`, `.pt` or `.safetensors` file.

    Files of PyTorch are read with `weights_only`: nothing in them is run. `labels` are the names of the outputs, in
    their order; `data`, a dataset or its place, gives them too, and is measured. `preprocessing` comes from you,
    from a dataset, or from the network itself (timm's `pretrained_cfg`), which also states what you leave out. With
    `partial`, entries that do not fit keep random first values: a classifier of other classes, to be trained.

    Raises ModelError if weights and network do not fit, SpecError if labels or preprocessing are unknown.

    >>> weights = torch.save(niwaki.load("small.safetensors").state_dict(), "weights.pth")
    >>> niwaki.import_model("weights.pth", "again.safetensors", factory="lenet5", data=data)  # doctest: +ELLIPSIS
    <ImportReport again.safetensors: 10 entries, 0 fresh, ... %>
    """
    check_factory(factory)
    tell, given = notify or logged, dict(args or {})
    tensors, where = read_weights(Path(weights))
    model = factories.build_seeded(factory, given, 0, trust=trust).eval()
    fitted = put(model, tensors, partial=partial, name=str(weights))
    how = _preprocessing(preprocessing, data, model, tell)
    if data is not None and not isinstance(data, Dataset):
        data = load_data(data, preprocessing=how.model_dump())
    shape = _shape_of(how) if data is None else data.input_shape
    names = data.labels if labels is None and data is not None else tuple(labels or ())
    outputs = _outputs(model, shape)
    has = f"the network has {outputs} output{'' if outputs == 1 else 's'}"
    if not names:
        asked = (Setting("labels"), " or ", Setting("data"))
        raise SpecError(f"{has}: name {'it' if outputs == 1 else 'them'} with ", *asked)
    if len(names) != outputs:
        raise ModelError(f"{has}, but there are {len(names)} labels: give as many")
    source = Provenance({} if data is None else {**Provenance.of(data)})
    info = ModelInfo(
        factory=factory, args=given, input_shape=shape, labels=names, preprocessing=how,
        provenance=Provenance({**source, "imported": Path(weights).name}),
    )  # fmt: skip
    remarks = (*where, *fitted.remarks)
    for line in remarks:
        tell(line)
    file = modelfile.save(model, out, info)
    accuracy = None if data is None or fitted.fresh else _measured(model, in_order(data, names))
    return ImportReport(file, info, fitted.taken, fitted.fresh, remarks, accuracy)


def _preprocessing(given: object, data: object, model: nn.Module, tell: Notify) -> Preprocessing:
    known = data.preprocessing if isinstance(data, Dataset) else None
    if known is None and (given is None or (isinstance(given, Mapping) and not isinstance(given, Preprocessing))):
        values, own = completed(model, given)
        found = stated(values or given)
        if given and own:
            tell(f"{', '.join(own)}: as the network states them")
    else:
        found = known if given is None else stated(given)
    if found is None:
        raise SpecError("the network states no preprocessing: give ", Setting("preprocessing"))
    if known is not None and found != known:
        raise SpecError(Setting("preprocessing"), " differs from that of the data: load the data with it")
    return found


def _shape_of(how: Preprocessing) -> tuple[int, int, int]:
    if how.size is None:
        raise SpecError(Setting("preprocessing"), ": size is missing: set size = [height, width]")
    return how.input_shape()


def _outputs(model: nn.Module, shape: tuple[int, int, int]) -> int:
    with generators_kept(), torch.no_grad():
        try:
            scores = model(torch.zeros(1, *shape))
        except Exception as error:  # whatever a user's forward raises
            raise ModelError(f"the network does not take an input of {'×'.join(map(str, shape))}: {error}") from error
    if not isinstance(scores, torch.Tensor) or scores.dim() != 2:
        raise ModelError(not_scores(scores))
    return int(scores.shape[1])


def _measured(model: nn.Module, data: Dataset) -> Accuracy:
    predict = torch_predictor(model, data.preprocessing.table(), "cpu")
    return measure_accuracy(predict, data.test.images, data.test.labels, data.num_classes)
