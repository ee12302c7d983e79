"""Whose C is in an export's folder: niwaki compiles only its own C unless the user trusts the folder.

A hash in `export.json` proves nothing: whoever hands over a folder can write it too. So niwaki generates the C again
from the int8 ONNX, which holds only numbers, and compares; it compiles the fresh copy, without anything else in the
folder. It never runs a Makefile from there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from niwaki.codegen.graph.graph import Graph
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.compiled.library import Interface
from niwaki.deploy.formats import FILES, INT8
from niwaki.emit.generate import generate
from niwaki.errors import ModelError, NiwakiError, Setting, Wording
from niwaki.files import sha256_of
from niwaki.folders import inside, read_inside
from niwaki.models.onnxfile import load_onnx

HEADER_BYTES = 1 << 20  # of a model.h: niwaki's have a few thousand
MODEL = ("model.c", "model.h")
_LATER = re.compile(rb"^#define NIWAKI_PAIRS \d+\n", re.MULTILINE)
_ROOMY = re.compile(rb",\n  \.roomy = 1$", re.MULTILINE)
_HALVES = re.compile(rb"^#elif NIWAKI_HALVES\n(?:(?!#).*\n)*|,\n  \.halves = 1$", re.MULTILINE)
_TAPS = re.compile(rb"^#define NIWAKI_LOWEST 1 .*\n|^#elif NIWAKI_BLOCKS\n(?:(?!#).*\n)*", re.MULTILINE)
_CALL = re.compile(rb"NIWAKI_RUN\((\w+), \w+, ")
_TITLE = re.compile(r"/\* (.*)\n")


def own_files(folder: Path, graph: Graph, onnx: str, *, read: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """The C in a generated folder, `model.c` and all that it includes, if it equals what niwaki generates from `graph`.

    The kernels may be an earlier niwaki's, known by their SHA-256: then those are returned. `read` holds the files of
    the folder if they were read before. Raises ModelError, with the first file that differs and what to do, if it is
    not niwaki's; `onnx` is the graph's file.
    """
    fresh = fresh_files(folder, graph, onnx, read=read)
    forms = {name: _form(folder, name, content, read) for name, content in sorted(fresh.items())}
    other = [name for name, form in forms.items() if form is None]
    model = {name: form for name in MODEL if (form := forms[name]) is not None}
    if other and len(model) == len(MODEL) and (kernels := _earlier_kernels(folder, fresh, read)):
        return model | kernels
    if other:
        strange = next((name for name in other if not _is_earlier(folder, name, read)), other[0])
        raise ModelError(f"{folder / strange}: differs from what this niwaki generates from {onnx}; {_way_out(onnx)}")
    return fresh


def _form(folder: Path, name: str, content: bytes, read: Mapping[str, bytes] | None) -> bytes | None:
    """A file of the folder if it is `content`, or what an earlier niwaki wrote in its place; else None."""
    forms = (content, *_earlier_models(content)) if name == "model.c" else (content,)
    return next((form for form in forms if _content(folder, name, read, len(form)) == form), None)


def _earlier_models(model: bytes) -> tuple[bytes, ...]:
    """Earlier forms of a `model.c`: it did not say which sums have room, had no weights in halves, then no depthwise
    weights by taps for vector units, did not say where constants lie on an AVR, nor what its kernels did not ask.
    """
    close = _ROOMY.sub(b"", model).replace(b"bit_twos, ", b"bit, ")
    whole = _HALVES.sub(b"", close)
    plain = _TAPS.sub(b"", whole)
    in_ram = _CALL.sub(rb"\1(&", plain).replace(b" NIWAKI_FLASH", b"")
    in_ram = in_ram.replace(b" arrange = {\n        .in_h", b" arrange = {.in_h")
    in_ram = in_ram.replace(b"\n        .out_h", b"\n" + b" " * 43 + b".out_h")
    return close, whole, plain, in_ram, _LATER.sub(b"", in_ram)


def _content(folder: Path, name: str, read: Mapping[str, bytes] | None, size: int) -> bytes | None:
    """A file of the folder; None if it is missing, or of another size."""
    if read and name in read:
        return read[name]
    return read_inside(folder, name) if _size(folder, name) == size else None


def _known() -> set[tuple[str, str]]:
    """SHA-256 and name of each kernel file that an earlier niwaki wrote."""
    lines = (resources.files("niwaki.codegen") / "earlier_kernels.txt").read_text(encoding="ascii").splitlines()
    return {(sha256, name) for sha256, name in map(str.split, lines)}


def _is_earlier(folder: Path, name: str, read: Mapping[str, bytes] | None) -> bool:
    """Whether a file of the folder is a kernel that an earlier niwaki wrote."""
    size = _size(folder, name)
    content = _content(folder, name, read, size) if size <= HEADER_BYTES else None
    return content is not None and (sha256_of(content), name) in _known()


def _earlier_kernels(folder: Path, fresh: Mapping[str, bytes], read: Mapping[str, bytes] | None) -> dict[str, bytes]:
    """The kernels in a folder that an earlier niwaki exported; none if one of them is not niwaki's."""
    known, names = _known(), sorted(path.name for path in folder.glob("niwaki_*.h"))
    if any(_size(folder, name) > HEADER_BYTES for name in names):
        return {}
    found = {name: read[name] if read and name in read else read_inside(folder, name) for name in names}
    ours = all(data == fresh.get(name) or (sha256_of(data), name) in known for name, data in found.items())
    return found if ours else {}


def fresh_files(folder: Path, graph: Graph, onnx: str, *, read: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """What this niwaki generates from `graph` with the names in a generated folder, whose C may be from an older one.

    Raises ModelError if its `model.h` gives no names.
    """
    header = _header(folder, read)
    title = _TITLE.match(header)
    try:
        known = Interface(header, str(folder / "model.h"))
        limit = known.arena_bytes + known.output_bytes  # what fits best into a limit does so into its own RAM too
        return generate(graph, prefix=known.prefix, ram_limit=limit, title=title[1] if title else "").compiled
    except NiwakiError as error:
        raise ModelError(error, "; ", _way_out(onnx)) from error


def own_files_beside(folder: Path) -> dict[str, bytes]:
    """`own_files` of a generated folder whose int8 ONNX is beside or in it, as `niwaki export` writes them.

    Raises ModelError if there is none: then nobody can tell whose C it is.
    """
    for home in (folder.absolute().parent, folder):
        onnx = inside(home, FILES[INT8])
        if onnx.is_file():
            return own_files(folder, read_qdq(load_onnx(onnx), str(onnx)), onnx.name)
    _header(folder)
    raise ModelError(
        f"{folder}: C without the {FILES[INT8]} that it was generated from, so niwaki cannot tell who wrote it: "
        "to compile and run it anyway, say ", Setting("trust", "True"),
    )  # fmt: skip


def write_files(files: Mapping[str, bytes], folder: Path) -> Path:
    """Write files for temporary use."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def _way_out(onnx: str) -> str:
    why = f"it was changed, or another version of niwaki wrote it: export {onnx} again, or say "
    return Wording(why, Setting("trust", "True"), " to compile and run it")


def _size(folder: Path, name: str) -> int:
    place = inside(folder, name)
    return place.stat().st_size if place.is_file() else -1


def _header(folder: Path, read: Mapping[str, bytes] | None = None) -> str:
    known = read.get("model.h") if read else None
    size = _size(folder, "model.h") if known is None else len(known)
    if not 0 <= size <= HEADER_BYTES:
        raise ModelError(f"{folder}: no model.h of niwaki in it: make the folder with niwaki export FILE --to c")
    try:
        return (read_inside(folder, "model.h") if known is None else known).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{folder / 'model.h'}: not a model.h that niwaki wrote") from error
