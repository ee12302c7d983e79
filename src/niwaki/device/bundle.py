"""The folder of a bundle: its description, and its files, each exactly as built on the desktop."""

import errno
import hashlib
import os
import re
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

from .decision import Rule
from .errors import DeviceError
from .outside import parse_json, without_checksum

FORMAT = 1
LIBRARY = "libniwaki.so"
LANGUAGES = ("en", "ko")  # languages that niwaki has words for
_CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{1,8})*\Z")  # of a language: it becomes part of paths and commands
_STRANGE = re.compile(r"[\x00-\x1f\x7f\\:]")
_AGAIN = "copy the bundle here again, or build it again with niwaki bundle"


GARMENT, WHOLE, CENTRE = "garment", "whole frame", "centre square"
RESIZES, FILTERS = ("stretch", "fit", "crop"), ("nearest", "box", "bilinear", "bicubic")  # niwaki_resize, niwaki_filter


class Input(NamedTuple):
    """The network's picture in pixels: what the vision makes fills the inner part, `pad` zeros surround it."""

    height: int
    width: int
    pad: int
    inner_height: int
    inner_width: int
    channels: int = 1  # 3: red, green, blue, one after the other

    @property
    def pixels(self) -> int:
        """Bytes of the whole input."""
        return self.height * self.width * self.channels

    @property
    def inner_pixels(self) -> int:
        """Bytes of the picture without its border."""
        return self.inner_height * self.inner_width * self.channels


class Look(NamedTuple):
    """How a frame becomes the network's picture."""

    vision: str = GARMENT
    resize: str = "fit"
    shorter: int = 0
    filter: str = "bilinear"

    @property
    def finds(self) -> bool:
        """Whether it searches for a garment, instead of taking the frame as it is."""
        return self.vision == GARMENT

    @property
    def numbers(self) -> Tuple[int, int, int]:
        """Rule, shorter side, filter, as the C takes them."""
        return RESIZES.index(self.resize), self.shorter, FILTERS.index(self.filter)


class Label(NamedTuple):
    """A class: its label in the dataset, and its word in each language."""

    id: str
    names: Dict[str, str]


class Bundle:
    """A bundle that was read and is intact. Every file is checked against the manifest when it is used."""

    def __init__(self, folder: Path, description: Any, files: Dict[str, Dict[str, Any]]) -> None:
        get = _Reader(str(folder / "bundle.json"), description)
        self.folder = folder
        self.files = files
        self.niwaki, self.target, self.machine = get.text("niwaki"), get.text("target"), get.text("machine")
        self.name, self.model_sha256 = get.text("name"), get.text("model_sha256")
        self.scale, self.zero_point = get.positive("scale"), get.whole("zero_point", -128)
        self.input = get.input()
        self.look = get.look()
        self.languages = get.languages()
        self.classes = get.classes(self.languages)
        self.sound = get.flag("sound")
        self.rule = get.rule()

    @classmethod
    def open(cls, folder: Union[str, Path]) -> "Bundle":
        """Read a bundle. Raises DeviceError if it is not one, has another format, or was changed."""
        folder = _resolved(Path(str(folder)))
        manifest = _json(folder, "manifest.json", _text(folder, "manifest.json"))
        if not isinstance(manifest, dict):
            raise _other_format(str(folder / "manifest.json"), manifest)
        files = manifest.get("files")
        if not isinstance(files, dict) or not all(isinstance(entry, dict) for entry in files.values()):
            raise DeviceError("{}: lists no files: {}".format(folder / "manifest.json", _AGAIN))
        for name in files:
            _inside(folder, name)
        description = _json(folder, "bundle.json", _checked(folder, files, "bundle.json"))
        return cls(folder, description, files)

    def read(self, name: str) -> bytes:
        """A file of the bundle, as built. Raises DeviceError if it is missing or has changed."""
        return _checked(self.folder, self.files, name)

    def path(self, name: str) -> Path:
        """The path of a file, after checking it, for others to open. Raises DeviceError as `read` does."""
        self.read(name)
        return self.folder / name

    def check_all(self) -> int:
        """Check every file of the manifest and return their number. Raises DeviceError for the first bad one."""
        for name in sorted(self.files):
            self.read(name)
        return len(self.files)

    def word(self, index: int, language: str) -> str:
        """The name of a class in a language of the bundle."""
        return self.classes[index].names[language]

    def check_sounds(self) -> None:
        """Check the WAV files of all languages. Raises DeviceError as `read` does; a bundle without sound has none."""
        for language in self.languages if self.sound else ():
            for index in range(len(self.classes)):
                self.read(_sound(index, language))

    def sound_file(self, index: int, language: str) -> Optional[Path]:
        """The WAV file of a class; None if there is none."""
        path = _inside(self.folder, _sound(index, language))
        return path if self.sound and path.is_file() else None

    def logits(self, scores: List[int]) -> Tuple[float, ...]:
        """int8 scores as logits."""
        return tuple((score - self.zero_point) * self.scale for score in scores)

    def padded(self, picture: bytes) -> bytes:
        """A picture of the inner size, channel after channel, with the border of zeros that the network expects."""
        shape = self.input
        if not shape.pad:
            return picture
        size = shape.inner_width * shape.inner_height
        return b"".join(self._padded(picture[at : at + size]) for at in range(0, len(picture), size))

    def _padded(self, picture: bytes) -> bytes:
        shape = self.input
        side = bytes(shape.pad)
        rows = (picture[at : at + shape.inner_width] for at in range(0, len(picture), shape.inner_width))
        edge = bytes(shape.pad * shape.width)
        return edge + b"".join(side + row + side for row in rows) + edge


class _Reader:
    """Parses `bundle.json`; names whatever is wrong."""

    def __init__(self, name: str, description: Any) -> None:
        self._name = name
        if not isinstance(description, dict):
            raise DeviceError("{}: is not the description of a bundle: {}".format(name, _AGAIN))
        self._values = description

    def _error(self, key: str, expected: str) -> DeviceError:
        found = repr(self._values.get(key))[:60]
        return DeviceError("{}: {} is {}: expected {}: {}".format(self._name, key, found, expected, _AGAIN))

    def rule(self) -> Rule:
        try:
            return Rule.from_json(self._values.get("decision"))
        except DeviceError as error:  # it knows the file's name, but not its folder
            what = str(error).partition(": ")[2]
            raise DeviceError("{}: {}: {}".format(self._name, what, _AGAIN)) from error

    def text(self, key: str) -> str:
        value: Any = self._values.get(key)
        if not isinstance(value, str):
            raise self._error(key, "a text")
        return value

    def flag(self, key: str) -> bool:
        value: Any = self._values.get(key)
        if not isinstance(value, bool):
            raise self._error(key, "true or false")
        return value

    def whole(self, key: str, least: int) -> int:
        value: Any = self._values.get(key)
        if not _is_whole(value, least):
            raise self._error(key, "a whole number")
        return int(value)

    def positive(self, key: str) -> float:
        value: Any = self._values.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
            raise self._error(key, "a number above 0")
        return float(value)

    def input(self) -> Input:
        value: Any = self._values.get("input")
        sizes = Input._fields[:-1]
        sides = [value.get(field) for field in sizes] if isinstance(value, dict) else [None]
        if not all(_is_whole(side, 0) for side in sides):
            raise self._error("input", "the sizes {}".format(", ".join(sizes)))
        channels = value.get("channels", 1)
        if channels not in (1, 3) or isinstance(channels, bool):
            raise self._error("input", "1 or 3 channels")
        shape = Input(*sides)._replace(channels=channels)
        inner = (shape.height - 2 * shape.pad, shape.width - 2 * shape.pad)
        if inner != (shape.inner_height, shape.inner_width) or min(inner) < 1:
            raise self._error("input", "sizes that fit: inner size and a pad on each side")
        return shape

    def look(self) -> Look:
        value: Any = self._values.get("look", {})
        known = {name: value[name] for name in Look._fields if name in value} if isinstance(value, dict) else {}
        look = Look(**known)
        wrong = not isinstance(value, dict) or look.vision not in (GARMENT, WHOLE, CENTRE)
        if wrong or look.resize not in RESIZES or look.filter not in FILTERS or not _is_whole(look.shorter, 0):
            raise self._error("look", "how a frame becomes a picture: vision, resize, shorter, filter")
        if look.finds and self.input().channels != 1:
            raise self._error("look", "grey input for the search for a garment")
        return look

    def languages(self) -> Tuple[str, ...]:
        value: Any = self._values.get("languages")
        if not isinstance(value, list) or not value or not all(map(_is_code, value)):
            raise self._error("languages", "a list of codes, such as en")
        return tuple(value)

    def classes(self, languages: Tuple[str, ...]) -> Tuple[Label, ...]:
        value: Any = self._values.get("classes")
        if not isinstance(value, list) or not value or not all(_is_label(entry, languages) for entry in value):
            raise self._error("classes", "a list of classes with their names in {}".format(", ".join(languages)))
        return tuple(Label(entry["id"], entry["names"]) for entry in value)


def _sound(index: int, language: str) -> str:
    return "sounds/{}/{}.wav".format(language, index)


def _is_code(value: Any) -> bool:
    return isinstance(value, str) and bool(_CODE.match(value))


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_label(entry: Any, languages: Tuple[str, ...]) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or not isinstance(entry.get("names"), dict):
        return False
    return all(isinstance(entry["names"].get(code), str) for code in languages)


def _other_format(name: str, value: Any) -> DeviceError:
    found = value.get("format") if isinstance(value, dict) else None
    return DeviceError("{}: format {!r}: this runner reads {}: start it with the bundle's own start script".format(
        name, found, FORMAT
    ))  # fmt: skip


def _resolved(folder: Path) -> Path:
    try:
        return folder.resolve()
    except (OSError, RuntimeError) as error:  # a link to itself: which error it is depends on Python's version
        raise DeviceError("{}: leads nowhere: give the folder of a bundle with --bundle".format(folder)) from error


def _inside(folder: Path, name: str) -> Path:
    """The path of a file in the folder. Raises DeviceError if it leads out of it, by its name or through a link."""
    parts = name.split("/")
    if _STRANGE.search(name) or not all(part.strip(". ") for part in parts):
        raise DeviceError("{}: names {!r}, outside the bundle: {}".format(folder / "manifest.json", name, _AGAIN))
    place = folder
    for part in parts:
        place = place / part
        if os.path.islink(str(place)):  # noqa: PTH114 - Path's raises where it may not look
            raise DeviceError("{}: is a link, which may lead out of the bundle: {}".format(place, _AGAIN))
    return place


def _text(folder: Path, name: str) -> bytes:
    place = _inside(folder, name)
    try:
        if place.exists() and not (place.is_file() or place.is_dir()):  # reading a pipe would block
            raise OSError(errno.EINVAL, "is not a file")
        return place.read_bytes()
    except PermissionError as error:
        way = "let this user read it: sudo chmod -R a+rX {}".format(folder)
        raise DeviceError("{}: {}: {}".format(folder / name, error.strerror, way)) from error
    except OSError as error:
        raise DeviceError("{}: {}: not a whole bundle: {}".format(folder / name, error.strerror, _AGAIN)) from error


def _json(folder: Path, name: str, content: bytes) -> Any:
    try:
        value = parse_json(content)
        if isinstance(value, dict) and value.get("format") != FORMAT:
            raise _other_format(str(folder / name), value)
        return without_checksum(value)
    except ValueError as error:
        raise DeviceError("{}: is damaged: {}: {}".format(folder / name, error, _AGAIN)) from error


def _checked(folder: Path, files: Dict[str, Dict[str, Any]], name: str) -> bytes:
    if name not in files:
        raise DeviceError("{}: the manifest does not list it: {}".format(folder / name, _AGAIN))
    content = _text(folder, name)
    if hashlib.sha256(content).hexdigest() != files[name].get("sha256"):
        raise DeviceError("{}: is not as it was built (SHA-256): {}".format(folder / name, _AGAIN))
    return content
