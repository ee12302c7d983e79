"""Which test images a reader can click on: as many of each class, including some that the network gets wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.data.dataset import Split
from niwaki.deploy.runners import inputs_of

CLASSES = 10  # classes shown at most; of more, this many, evenly spread
PER_CLASS = 100  # images of each class that are searched
WORK = 1_000_000_000  # MACs that the search may use: a second or two
ROUNDS = (True, False, True)  # for each class one right image, one wrong image, one more right one


@dataclass(frozen=True)
class Strip:
    """Test images in the order of the split."""

    pixels: np.ndarray
    """uint8 (n, C, H, W), raw, without the padding."""
    labels: np.ndarray
    """int64 (n,)."""
    places: np.ndarray
    """Their positions in the test split, int64 (n,)."""


def choose_strip(graph: Graph, test: Split, pad: int, macs: int) -> Strip:
    """For every class two images that the int8 network gets right and one that it gets wrong, if the search
        finds them; at most CLASSES classes. The choice is always the same.

    `pad` is the preprocessing's; `macs` those of one image, which bound how many are looked through.
    """
    present = np.unique(test.labels)
    classes = present[np.unique(np.linspace(0, len(present) - 1, CLASSES).astype(int))]
    count = max(len(ROUNDS), min(PER_CLASS, WORK // (macs * len(classes))))
    places = np.sort(np.concatenate([np.flatnonzero(test.labels == label)[:count] for label in classes]))
    scores = reference.run(graph, inputs_of(graph, np.ascontiguousarray(test.images[places])))
    right = scores.reshape(len(places), -1).argmax(1) == test.labels[places]
    chosen = _rounds(places, test.labels[places], right)
    images = np.asarray(test.images[chosen])
    height, width = images.shape[2] - pad, images.shape[3] - pad
    return Strip(images[:, :, pad:height, pad:width], np.asarray(test.labels[chosen]), chosen)


def _rounds(places: np.ndarray, labels: np.ndarray, right: np.ndarray) -> np.ndarray:
    chosen: list[int] = []
    for label in np.unique(labels):
        mine = {wanted: list(places[(labels == label) & (right == wanted)]) for wanted in (True, False)}
        chosen += [int(mine[wanted].pop(0)) for wanted in ROUNDS if mine[wanted]]
    return np.sort(np.array(chosen, np.int64))
