"""What `evidence.json` says about each layer."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from niwaki.study.checked_json import Letters, Part

LAYER_BINS = 32  # equal parts of the int8 range


class LayerFacts(Part):
    """The size and work of a layer of a float network, for one image. `channels` are those of its output."""

    name: Letters
    kind: Letters
    channels: int
    params: int
    macs: int
    bytes: int


class ChangeFacts(Part):
    """Points of validation accuracy that one change costs, and the 95 % limit of chance in them."""

    loss: float
    noise: float = Field(ge=0)


class LayerLosses(Part):
    """What the network loses if this layer alone loses a percentage of its channels, or has weights of fewer bits."""

    name: Letters
    pruned: dict[Letters, ChangeFacts | None]
    rounded: dict[Letters, ChangeFacts | None]


class Sensitivity(Part):
    """The losses of every layer, measured on so many validation images without training."""

    images: int
    accuracy: float
    layers: tuple[LayerLosses, ...]


Counts = Annotated[tuple[int, ...], Field(min_length=LAYER_BINS, max_length=LAYER_BINS)]


class LayerCodes(Part):
    """Histograms over 32 equal parts of the int8 range: an int8 layer's weights, and its output for some images.

    A code `q` of the output stands for the number `(q - zero_point) * scale`.
    """

    name: Letters
    weights: Counts
    activations: Counts
    images: int
    scale: float
    zero_point: int
