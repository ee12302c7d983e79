"""The network of a bundle: an int8 network that takes grey or colour pixels, from any kind of file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from niwaki.board.look import SEARCHING, Look, check_vision, choose_look
from niwaki.board.options import BundleOptions
from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data.dataset import Dataset
from niwaki.deploy.exported import open_export
from niwaki.deploy.folder import export_within
from niwaki.deploy.formats import FILES, INT8, C
from niwaki.deploy.forms import ExportOptions, Making, Material
from niwaki.deploy.origin import Origin, described, open_origin
from niwaki.deploy.pictures import ImageNeeds, find_pictures
from niwaki.errors import ModelError, Setting, Wording
from niwaki.models.onnxfile import load_onnx
from niwaki.notify import Notify
from niwaki.vision import frame

LARGEST = 256  # pixels of a side of the picture that the search for a garment makes


@dataclass(frozen=True, eq=False)
class Network:
    """An int8 network, its C, and the images that it was trained on, if they are available."""

    name: str
    int8: bytes
    """The int8 ONNX, as `niwaki export` writes it."""
    graph: Graph
    source: Mapping[str, bytes]
    """`model.c`, `model.h` and the kernels."""
    labels: tuple[str, ...]
    pad: int
    data: Dataset | None
    notes: tuple[str, ...] = ()
    look: Look = SEARCHING
    """How a frame becomes its picture."""

    @property
    def channels(self) -> int:
        """1 for grey pixels, 3 for colour."""
        return self.graph.tensors[self.graph.input].shape[0]

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input, including the border."""
        _, height, width = self.graph.tensors[self.graph.input].shape
        return height, width

    @property
    def inner_size(self) -> tuple[int, int]:
        """Height and width of the picture in it."""
        height, width = self.input_size
        return height - 2 * self.pad, width - 2 * self.pad


def open_network(file: Path, options: BundleOptions, *, data: str | None, notify: Notify) -> Network:
    """Make the int8 network of a model file, an ONNX or a .tflite file, or an exported folder (a study's folder stands
    for its export).

    Raises ModelError if it cannot run behind a camera: no preprocessing, not a classifier; DataError if images
    are needed, or named, and are not available.
    """
    check_vision(options.vision)
    origin, needs = _origin(file)
    if options.preprocessing is not None or options.labels:
        origin = described(origin, options.preprocessing, options.labels)
        needs = replace(origin.needs, data=needs.data)
    if origin.kind == "dynamic":
        raise ModelError(
            f"{origin.name}: is quantized dynamically, which runs in ONNX Runtime only: give the model file"
        )
    _check_preprocessing(origin)
    pictures = find_pictures(needs, data, notify)
    if pictures.error is not None:
        if origin.kind != "int8":
            raise pictures.error
        notify(Wording("the self-test uses made-up images: ", pictures.error))
    making = Making(Material(origin, pictures), ExportOptions(trust=options.trust), notify)
    making.make(C)
    int8 = making.int8 or b""
    graph = read_qdq(load_onnx(int8, origin.name), origin.name)
    classes = _check_graph(graph, origin.name)
    prefix = f"{FILES[C]}/"
    source = {path.removeprefix(prefix): content for path, content in making.files[C].items()}
    labels = graph.labels or tuple(f"class {index}" for index in range(classes))
    told = origin.preprocessing
    assert told is not None  # checked above
    network = Network(
        origin.title or "model", int8, graph, source, labels, told.pad, pictures.data, tuple(making.remarks)
    )
    look = choose_look(told, labels, network.inner_size, pictures.data, options.vision)
    network = replace(network, look=look, notes=(*network.notes, *look.notes))
    _check_size(network, origin.name)
    return network


def _origin(file: Path) -> tuple[Origin, ImageNeeds]:
    """The model, and what its images must be: for an export, according to its note."""
    if not file.is_dir():
        origin = open_origin(file)
        return origin, origin.needs
    folder = export_within(file, FILES[INT8])
    if not (folder / FILES[INT8]).is_file():
        raise ModelError(
            f"{file}: no {FILES[INT8]} in it: give a folder that niwaki export --to c wrote, or a model file"
        )
    export = open_export(folder)
    origin, note = export.origin(INT8), export.note
    if note is None:
        return replace(origin, title=folder.resolve().name), origin.needs
    origin = replace(origin, title=Path(note.origin).stem, provenance=note.provenance)
    return origin, replace(origin.needs, data=note.data)


def _check_preprocessing(origin: Origin) -> None:
    if origin.preprocessing is None:
        raise ModelError(
            f"{origin.name}: does not say how pixels become its input, so no camera can feed it: tell niwaki "
            "bundle with ",
            Setting("preprocessing"), ", or give a model file (niwaki.save)",
        )  # fmt: skip


def _check_graph(graph: Graph, name: str) -> int:
    """The number of classes. Raises ModelError if the network is not an image classifier."""
    shape, output = graph.tensors[graph.input].shape, graph.tensors[graph.output]
    if (
        graph.table is None
        or len(shape) != 3
        or shape[0] not in (1, 3)
        or output.size < 2
        or max(output.shape) != output.size
    ):
        raise ModelError(
            f"{name}: takes {'×'.join(map(str, shape))} and gives {'×'.join(map(str, output.shape))}: a bundle needs a "
            "classifier of images: 1×height×width (grey) or 3×height×width (colour) to two classes or more"
        )
    return output.size


def _check_size(network: Network, name: str) -> None:
    largest = LARGEST if network.look.finds else frame.LARGEST
    if not all(1 <= side <= largest for side in network.inner_size):
        height, width = network.inner_size
        raise ModelError(f"{name}: takes pictures of {height}×{width}: a bundle feeds it 1×1 to {largest}×{largest}")
