"""When the runner names a garment: thresholds calibrated for this network."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from niwaki.board.decision import Decision
from niwaki.board.network import Network
from niwaki.board.options import LEAST_NAMED
from niwaki.board.rejection import Scenes, calibrate
from niwaki.codegen.graph import reference
from niwaki.device.decision import Rule
from niwaki.errors import ModelError, Setting, Wording
from niwaki.folders import temporary
from niwaki.notify import Notify
from niwaki.scenes.scene import QVGA
from niwaki.scenes.seen import Eye
from niwaki.toolchain.compiler import find_compiler
from niwaki.vision.library import Vision, compile_vision
from niwaki.vision.reference import Reference


def decide(
    network: Network, scenes: int, notify: Notify, least_named: float = LEAST_NAMED
) -> tuple[Decision, tuple[str, ...]]:
    """The `decision` of `bundle.json`, and notes on it.

    Calibrated on made-up scenes with training images, and on as many without; with no images, or 0 scenes, every
    garment found is named. Raises ModelError if fewer than `least_named` percent of the network's own images would get
    a name: thresholds that silence the network on scenes without a garment may silence it on all.
    """
    if network.data is None or scenes == 0:
        unknown = Wording("no training images are known (name them with ", Setting("data"), ")")
        why = "as asked for" if scenes == 0 else unknown
        return Decision.of(Rule()), (Wording("not calibrated, ", why, ": every garment found is named"),)
    train, height, width = network.data.train, QVGA[0], QVGA[1]
    scenes = min(scenes, len(train))
    notify(f"calibrating on {scenes:,} scenes with a garment and {scenes:,} without")
    with ExitStack() as tidy:
        eye = _eye(width, height, network.inner_size, tidy)
        found = calibrate(
            lambda images: logits(network, images), eye, train, Scenes(scenes, bare=scenes), pad=network.pad
        )
    if why := too_silent(found, least_named):
        raise ModelError(
            f"{network.name}: ", why, ": it gives garments and empty scenes similar scores; train it for the camera "
                "(niwaki study run camera), name whatever is found (", Setting("scenes", "0"), "), or lower ",
            Setting("least_named"),
        )  # fmt: skip
    return found, ()


def too_silent(decision: Decision, least_named: float) -> str:
    """How often a calibrated decision names the scenes with a garment, if less than required; otherwise empty."""
    if decision.calibration is None:
        return ""
    named = 100 * (decision.calibration.accepted_true_rate or 0.0)
    if named >= least_named:
        return ""
    what = f"would name {named:.1f} % of its own images on made-up scenes, less than {least_named:g} %"
    return Wording(what, " (", Setting("least_named"), ")")


def logits(network: Network, images: np.ndarray) -> np.ndarray:
    """The network's logits, float64 (n, classes), for raw pixels, uint8 (n, 1, H, W): as the board computes them."""
    graph = network.graph
    output = graph.tensors[graph.output]
    scores = reference.run(graph, reference.quantize_pixels(graph, images)).reshape(len(images), -1)
    return (scores.astype(np.float64) - output.zero_point) * float(output.scale)


def _eye(width: int, height: int, inner: tuple[int, int], tidy: ExitStack) -> Eye:
    """The vision: compiled if this machine has a compiler, otherwise in NumPy, which is slower but gives the same."""
    if find_compiler() is None:
        return Reference(width, height, inner=inner)
    folder = tidy.enter_context(temporary("vision"))
    return Vision(compile_vision(Path(folder) / "libvision.so"), width, height, inner=inner)
