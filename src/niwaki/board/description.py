"""`bundle.json`: what the runner must know about the network, the words, and when to speak them."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from niwaki.board.decision import Decision
from niwaki.board.look import Look
from niwaki.board.network import Network
from niwaki.board.options import BundleOptions
from niwaki.board.targets import BundleTarget
from niwaki.board.visions import GARMENT
from niwaki.data.class_names import Named
from niwaki.errors import ModelError
from niwaki.files import json_with_checksum, load_checked, sha256_of

DESCRIPTION = "bundle.json"


class Input(BaseModel):
    """Sizes of the network's input, and of the picture in it, in pixels."""

    model_config = ConfigDict(frozen=True)

    height: int
    width: int
    pad: int
    inner_height: int
    inner_width: int
    channels: int = 1


class FrameLook(BaseModel):
    """How a frame becomes the picture; resize, shorter and filter do not apply to a garment."""

    model_config = ConfigDict(frozen=True)

    vision: str = GARMENT
    resize: str = "fit"
    shorter: int = 0
    filter: str = "bilinear"

    @classmethod
    def of(cls, look: Look) -> FrameLook:
        """The same for the runner."""
        if look.how is None:
            return cls()
        return cls(vision=look.vision, resize=look.how.resize, shorter=look.how.shorter, filter=look.how.filter)


class Word(BaseModel):
    """A class: its label in the model, and its name in each language."""

    model_config = ConfigDict(frozen=True)

    id: str
    names: dict[str, str]


class Description(BaseModel):
    """The content of `bundle.json`."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    format: Literal[1] = 1
    niwaki: str = ""
    """The version that built it."""
    target: str
    machine: str
    name: str
    model_sha256: str
    """SHA-256 of the int8 ONNX."""
    input: Input
    look: FrameLook = FrameLook()
    scale: float
    zero_point: int
    classes: tuple[Word, ...]
    languages: tuple[str, ...]
    sound: bool
    decision: Decision

    def to_json(self) -> bytes:
        """The file's content, with its own checksum."""
        values = self.model_dump(mode="json")
        if self.look == FrameLook():  # as it was written before there was another
            del values["look"], values["input"]["channels"]
        return json_with_checksum(values)


def read_description(folder: Path) -> Description:
    """The content of `bundle.json` in a bundle's folder. Raises ModelError if it cannot be read, or is damaged."""
    file = folder / DESCRIPTION
    try:
        return Description.model_validate(load_checked(file))
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # pydantic's error is one
        raise ModelError(f"{file}: damaged or of another version: build the bundle again") from error


def describe(
    network: Network, target: BundleTarget, classes: Sequence[Named], decision: Decision, options: BundleOptions
) -> Description:
    """The description of a bundle."""
    output = network.graph.tensors[network.graph.output]
    (height, width), (inner_height, inner_width) = network.input_size, network.inner_size
    return Description(
        niwaki=importlib.metadata.version("niwaki"),
        target=target.name,
        machine=target.machine.name,
        name=network.name,
        model_sha256=sha256_of(network.int8),
        input=Input(
            height=height,
            width=width,
            pad=network.pad,
            inner_height=inner_height,
            inner_width=inner_width,
            channels=network.channels,
        ),
        look=FrameLook.of(network.look),
        scale=float(output.scale),
        zero_point=int(output.zero_point),
        classes=tuple(Word(id=named.label, names=dict(named.names)) for named in classes),
        languages=options.languages,
        sound=options.sound,
        decision=decision,
    )
