"""What every project has: the generated C, the class for C++, names, stored images, the serial line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from string import Template

import numpy as np

from niwaki.codegen.graph import reference
from niwaki.codegen.graph.graph import Graph
from niwaki.data.class_names import name_classes
from niwaki.deploy.runners import inputs_of, takes_pixels
from niwaki.emit.constants import comment
from niwaki.emit.generate import Generated
from niwaki.emit.source import c_string
from niwaki.errors import ModelError, Setting
from niwaki.files import sha256_of
from niwaki.vision.library import SOURCE as VISION
from niwaki.vision.library import source_files

VERSION = "1.0.0"
MANY, FEWEST = 20, 8
"""Stored images: where flash allows, and on an Uno."""
NANO_FLASH, UNO_CODE, UNO_KERNEL = 30_720, 8_200, 1_500
"""Bytes of an Arduino Nano's flash without its boot loader (an Uno has more: 32,256); what the code of SelfTest takes
there with convolutions and dense layers, Arduino's core included (7,500, and a reserve); and what each further kernel
takes, at most."""
LARGEST_ARRAY = 32_767
"""Bytes of an array that avr-gcc takes."""
_HEADERS_OF_C = (
    "assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic "
    "stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype"
)
_OF_ARDUINO = "arduino camera client print printable serial server spi stream wire"
_COMMON_KERNELS = {b"niwaki_run_conv", b"niwaki_run_large_conv", b"niwaki_run_dense"}
_NAME_BYTES = 32
_LARGEST_PICTURE = 256  # pixels of a side, of what vision makes


@dataclass(frozen=True)
class Content:
    """A network and what its projects say of it."""

    graph: Graph
    generated: Generated
    title: str
    images: np.ndarray
    """uint8 (n, C, H, W): raw pixels, or the bytes of int8 inputs."""
    scores: np.ndarray
    """int8 (n, classes): the reference's."""
    of: str
    """The images in words."""
    hash: str
    """SHA-256 of the int8 ONNX."""

    @property
    def prefix(self) -> str:
        """The prefix of all names."""
        return self.generated.prefix

    @property
    def takes_pixels(self) -> bool:
        """Whether raw pixels go in, and not int8 values."""
        return takes_pixels(self.graph)

    @property
    def pad(self) -> int:
        """Pixels of border around the picture in an image."""
        return self.graph.preprocessing.pad if self.graph.preprocessing and self.takes_pixels else 0

    @property
    def for_camera(self) -> bool:
        """Whether vision can make its images: grey pixels, at most 256 on a side."""
        channels, *sides = self.graph.tensors[self.graph.input].shape
        return self.takes_pixels and channels == 1 and max(sides) - 2 * self.pad <= _LARGEST_PICTURE

    @property
    def parts(self) -> tuple[str, ...]:
        """What there is beside the network, each a header and a C file."""
        return ("names", "serial", "test", *(("camera",) if self.for_camera else ()))

    @property
    def values(self) -> dict[str, object]:
        """What templates name."""
        report, shape = self.generated.report, self.graph.tensors[self.graph.input].shape
        channels, height, width = (1, 1, *shape)[-3:] if len(shape) < 3 else shape
        kind = "raw 8-bit pixels" if self.takes_pixels else "int8 values"
        colour = "" if channels == 1 else f", the {channels} channels of a pixel side by side"
        return {
            "prefix": self.prefix, "macro": self.prefix.upper(), "class_name": class_name(self.prefix),
            "title": comment(self.title).replace('"', "'").replace("$", "_"),  # stands in JSON, YAML and Kconfig too
            "version": VERSION, "classes": report.output_bytes,
            "run": f"{self.prefix}_run_pixels" if self.takes_pixels else f"{self.prefix}_run",
            "input_bytes": report.input_bytes, "constant_bytes": f"{report.constant_bytes:,}",
            "ram_bytes": f"{report.ram_bytes:,}", "pad": self.pad,
            "sources": " ".join(f"src/{name}.c" for name in ("model", *(f"{self.prefix}_{one}" for one in self.parts))),
            "scores": f"{report.output_bytes} score{'' if report.output_bytes == 1 else 's'}",
            "image_in_words": f"{height} x {width} {kind}{colour}",
        }  # fmt: skip


def content_of(
    graph: Graph, images: np.ndarray, of: str, *, int8: bytes, generated: Generated, title: str
) -> Content:  # fmt: skip
    """The content of the projects of a graph, whose int8 ONNX is `int8`; `images` are raw pixels, uint8 (n, C, H, W).

    Raises ModelError if the network takes no image, a file of that prefix would take the place of another, or C or
    Arduino has its name.
    """
    shape = graph.tensors[graph.input].shape
    if len(shape) != 3:
        raise ModelError(f"{title}: takes {'×'.join(map(str, shape))} values: projects are for networks of images")
    inputs = inputs_of(graph, images)
    scores = reference.run(graph, inputs).reshape(len(images), -1)
    stored = images if takes_pixels(graph) else inputs.view(np.uint8)
    prefix = generated.prefix
    if f"{prefix}.h" in generated.files or f"{prefix}.h" in _vision():
        raise ModelError(Setting("prefix", f'"{prefix}"'), f": {prefix}.h is a file of the C already: give another")
    if prefix.lower() in f"{_HEADERS_OF_C} {_OF_ARDUINO}".split():
        raise ModelError(Setting("prefix", f'"{prefix}"'), ": C or Arduino has that name already: give another")
    return Content(graph, generated, title, stored, scores, of, sha256_of(int8))


def class_name(prefix: str) -> str:
    """The C++ class of a prefix: NiwakiModel of niwaki_model."""
    return "".join(part[:1].upper() + part[1:] for part in prefix.split("_"))


def fill(template: str, values: Mapping[str, object]) -> bytes:
    """A template of this package with its names filled in."""
    text = (resources.files("niwaki.firmware") / "templates" / f"{template}.in").read_text(encoding="utf-8")
    return Template(text).substitute(values).encode()


def headers_of(content: Content) -> dict[str, bytes]:
    """The headers that programs include, by name."""
    values = content.values | _names(content) | _counts(content)
    prefix, made = content.prefix, content.generated.files
    common = {f"{prefix}_{name}.h": fill(_template(name, "h"), values) for name in content.parts}
    return {"model.h": made["model.h"], f"{prefix}.h": fill("common/class.h", values), **common}


def sources_of(content: Content) -> dict[str, bytes]:
    """The C files, and the headers that only they include."""
    prefix = content.prefix
    digest = ", ".join(f"0x{content.hash[place : place + 2]}" for place in range(0, 16, 2))
    vision = _vision()
    more = {"hash": digest, "vision": vision.pop(VISION).decode()}
    values = content.values | _names(content) | _stored(content) | more
    kernels = {name: data for name, data in content.generated.compiled.items() if name != "model.h"}
    common = {f"{prefix}_{name}.c": fill(_template(name, "c"), values) for name in content.parts}
    seen = vision if content.for_camera else {}
    return {**kernels, f"{prefix}_flash.h": fill("common/flash.h", values), **common, **seen}


def _template(part: str, ending: str) -> str:
    return f"{'camera' if part == 'camera' else 'common'}/{part}.{ending}"


def _vision() -> dict[str, bytes]:
    """The C that finds a garment, by name."""
    with source_files() as folder:
        return {file.name: file.read_bytes() for file in sorted(folder.glob("niwaki_vision*.[ch]"))}


def _names(content: Content) -> dict[str, object]:
    labels = content.graph.labels or tuple(f"class {index}" for index in range(content.generated.report.output_bytes))
    named = name_classes(labels, ("en", "ko"))
    words = {code: [_short(one.names[code]) for one in named] for code in ("en", "ko")}
    longest = max(len(word.encode()) for group in words.values() for word in group)
    lines = {code: "\n".join(f"        {c_string(word)}," for word in group) for code, group in words.items()}
    return {"name_bytes": longest + 1, "english": lines["en"], "korean": lines["ko"]}


def _short(word: str) -> str:
    """As much of a name as has room, in whole letters."""
    return word.encode()[: _NAME_BYTES - 1].decode(errors="ignore")


def _pad(content: Content) -> int:
    """The border of the images, if it is black in all of them, so that it need not be stored."""
    pad = content.pad
    inner = content.images[:, :, pad : content.images.shape[2] - pad, pad : content.images.shape[3] - pad]
    return pad if int(content.images.sum(dtype=np.int64)) == int(inner.sum(dtype=np.int64)) else 0


def _counts(content: Content) -> dict[str, object]:
    many, pad = len(content.images), _pad(content)
    _, channels, height, width = content.images.shape
    each = channels * (height - 2 * pad) * (width - 2 * pad) + content.scores.shape[1]
    further = set(re.findall(rb"NIWAKI_RUN\((\w+)", content.generated.files["model.c"])) - _COMMON_KERNELS
    code = UNO_CODE + UNO_KERNEL * len(further)
    used = code + content.generated.report.constant_bytes
    few = min(many, max(FEWEST, (NANO_FLASH - used) // each), max(1, LARGEST_ARRAY // each))
    return {"many": many, "few": few, "of": comment(content.of), "flash": used + few * each}


def on_a_nano(content: Content) -> str:
    """What a README says if SelfTest has no room on an Arduino Nano; else nothing."""
    flash = int(str(_counts(content)["flash"]))
    if flash <= NANO_FLASH:
        return ""
    return f"On an AVR, `SelfTest` needs about {flash:,} bytes of flash; an Arduino Nano has {NANO_FLASH:,}.\n\n"


def _stored(content: Content) -> dict[str, object]:
    """The images and their scores as C; an AVR has the first few."""
    counts, pad = _counts(content), _pad(content)
    inner = content.images[:, :, pad : content.images.shape[2] - pad, pad : content.images.shape[3] - pad]
    rows = inner.transpose(0, 2, 3, 1)  # channels side by side
    rows = rows.reshape(*rows.shape[:2], -1)
    few = int(str(counts["few"]))
    images = ["    {" + ",\n     ".join(_braced(row) for row in image) + "}," for image in rows]
    scores = [f"    {_braced(row)}," for row in content.scores]
    return {"border": pad, "images": _split(images, few), "scores": _split(scores, few)}


def _braced(numbers: Iterable[int]) -> str:
    return "{" + ", ".join(str(int(number)) for number in numbers) + "}"


def _split(items: list[str], few: int) -> str:
    if few >= len(items):
        return "\n".join(items)
    return "\n".join([*items[:few], "#if !defined(__AVR__)", *items[few:], "#endif"])
