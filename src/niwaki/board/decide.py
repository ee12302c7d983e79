"""When the runner names what it sees: thresholds calibrated for this network."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from niwaki.board.decision import Decision
from niwaki.board.frame_rejection import FEWEST, calibrate_frames, drawn_none, own_images, users_none
from niwaki.board.network import Network
from niwaki.board.options import LEAST_NAMED
from niwaki.board.rejection import Logits, Scenes, calibrate, logits_of
from niwaki.codegen.graph import reference
from niwaki.compiled.library import CModel
from niwaki.data.dataset import Dataset
from niwaki.device.decision import Rule
from niwaki.errors import ModelError, Setting, Wording
from niwaki.files import write_whole
from niwaki.folders import temporary
from niwaki.notify import Notify
from niwaki.scenes.scene import QVGA
from niwaki.scenes.seen import Eye
from niwaki.toolchain.compiler import find_compiler
from niwaki.vision.library import Vision, compile_vision
from niwaki.vision.reference import Reference

DRAWN = 200  # scenes of none of the classes, at least: 2.5 % of them is a number
MOST_PIXELS = 20_000_000  # of the images to calibrate on: of large ones there are fewer


def decide(
    network: Network, scenes: int, notify: Notify, least_named: float = LEAST_NAMED, others: Path | None = None
) -> tuple[Decision, tuple[str, ...]]:
    """The `decision` of `bundle.json`, and notes on it.

    Calibrated on made-up scenes with training images, and on as many without; a network that looks at whole frames, on
    images of its own and on pictures of none of its classes: `others`, or drawn ones. With no images, or 0 scenes,
    everything found is named. Raises ModelError if fewer than `least_named` percent of the network's own images would
    get a name: thresholds that silence the network on what it does not know may silence it on all.
    """
    if others is not None and network.look.finds:
        raise ModelError(Setting("others"), ": applies to whole frames, but this bundle searches for a garment")
    if network.data is None or scenes == 0:
        unknown = Wording("no training images are known (name them with ", Setting("data"), ")")
        why = "as asked for" if scenes == 0 else unknown
        found = "every garment found" if network.look.finds else "whatever the camera shows"
        return Decision.of(Rule()), (Wording("not calibrated, ", why, f": {found} is named"),)
    calibrated = _on_scenes if network.look.how is None else _on_frames
    decision = calibrated(network, network.data, scenes, notify, others)
    if why := too_silent(decision, least_named):
        reason = "it gives what it knows and what it does not know similar scores"
        way = "train it for the camera (niwaki study run camera)" if network.look.finds else "train it on more images"
        raise ModelError(
            f"{network.name}: ", why, f": {reason}; {way}, name whatever is found (", Setting("scenes", "0"),
            "), or lower ", Setting("least_named"),
        )  # fmt: skip
    return decision, ()


def _on_scenes(network: Network, data: Dataset, scenes: int, notify: Notify, _others: Path | None) -> Decision:
    width, height = QVGA[1], QVGA[0]
    scenes = min(scenes, len(data.train))
    notify(f"calibrating on {scenes:,} scenes with a garment and {scenes:,} without")
    with ExitStack() as tidy:
        eye = _eye(height, width, network.inner_size, tidy)
        return calibrate(
            lambda images: logits(network, images), eye, data.train, Scenes(scenes, bare=scenes), pad=network.pad
        )


def _on_frames(network: Network, data: Dataset, scenes: int, notify: Notify, others: Path | None) -> Decision:
    assert network.look.how is not None
    count = max(FEWEST, min(scenes, MOST_PIXELS // int(np.prod(data.input_shape))))
    own, name = own_images(data, count)
    notify(f"calibrating on {len(own):,} {name} images and on pictures of none of the classes")
    if others is None:
        none, said = (
            drawn_none(data, network.look.how, max(len(own), min(count, DRAWN)), network.pad),
            "drawn scenes of none of the classes",
        )
    else:
        none = users_none(others, data.preprocessing, network.look.how, count)
        said = f"pictures of {others.name}"
    with ExitStack() as tidy:
        return calibrate_frames(_logits_in_c(network, tidy), data, none, count, said)


def _logits_in_c(network: Network, tidy: ExitStack) -> Logits:
    """The network compiled for this machine; without a compiler the reference, which is slower but gives the same."""
    if find_compiler() is None:
        return lambda images: logits(network, images)
    folder = Path(tidy.enter_context(temporary("network")))
    for name, content in network.source.items():
        write_whole(folder / name, content)
    return logits_of(CModel(folder))


def too_silent(decision: Decision, least_named: float) -> str:
    """How often a calibrated decision names the scenes with a garment, if less than required; otherwise empty."""
    if decision.calibration is None:
        return ""
    named = 100 * (decision.calibration.accepted_true_rate or 0.0)
    if named >= least_named:
        return ""
    what = f"would name {named:.1f} % of its own images, less than {least_named:g} %"
    return Wording(what, " (", Setting("least_named"), ")")


def logits(network: Network, images: np.ndarray) -> np.ndarray:
    """The network's logits, float64 (n, classes), for raw pixels, uint8 (n, C, H, W): as the board computes them."""
    graph = network.graph
    output = graph.tensors[graph.output]
    scores = reference.run(graph, reference.quantize_pixels(graph, images)).reshape(len(images), -1)
    return (scores.astype(np.float64) - output.zero_point) * float(output.scale)


def _eye(height: int, width: int, inner: tuple[int, int], tidy: ExitStack) -> Eye:
    """The vision: compiled if this machine has a compiler, otherwise in NumPy, which is slower but gives the same."""
    if find_compiler() is None:
        return Reference(width, height, inner=inner)
    folder = tidy.enter_context(temporary("vision"))
    return Vision(compile_vision(Path(folder) / "libvision.so"), width, height, inner=inner)
