"""Every reader of bytes from outside: whole samples of what it reads, how to damage them, and how niwaki reads that."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import random
import shutil
import socket
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from foreign_habits import HABITS
from fuzz.mutate import Mutate, damaged, damaged_json, damaged_onnx, damaged_zip
from fuzz.tflite_damage import damaged_tflite
from niwaki.board.manifest import differences, read_manifest
from niwaki.codegen.readers.qdq import read_qdq
from niwaki.data import folder, idx, npz
from niwaki.data.class_names import name_classes
from niwaki.data.dataset import MANIFEST, check_contents, open_dataset
from niwaki.data.prepare import prepare
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.spec import DataSpec
from niwaki.deploy.folder import NOTE, read_note
from niwaki.deploy.origin import open_origin
from niwaki.device.bundle import Bundle
from niwaki.device.errors import DeviceError
from niwaki.device.record import sealed
from niwaki.device.replay import _Reader
from niwaki.device.sources.pictures import read_picture
from niwaki.device.sources.y4m import Y4mFilm
from niwaki.device.view.limits import Limits
from niwaki.device.view.protocol import Refused, RequestReader
from niwaki.emit.generate import generate
from niwaki.errors import NiwakiError
from niwaki.files import load_checked
from niwaki.measure.cost import count
from niwaki.measure.onnxcost import count_onnx
from niwaki.models import modelfile
from niwaki.models.onnxfile import load_onnx, metadata
from niwaki.reporting.text import print_study
from niwaki.reporting.view import load_view
from niwaki.study.records import from_bytes
from niwaki.study.spec import load_spec, presets
from tflite_cases import CASES
from tflite_files import small_file

ALLOWED = (NiwakiError, DeviceError, Refused)
"""What a reader may raise."""


@dataclass(frozen=True)
class Samples:
    """Files that niwaki wrote, to begin with; `study` is None in the short form."""

    npz: Path
    model: Path
    export: Path
    study: Path | None = None


@dataclass(frozen=True)
class Reader:
    """`samples` are whole files; `read` has a folder of its own to write what it needs into."""

    samples: Callable[[Samples], Sequence[bytes]]
    mutate: Mutate
    read: Callable[[bytes, Path, Samples], object]


def _file(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _model(data: bytes, place: Path, _: Samples) -> None:
    origin = open_origin(_file(place, "m.safetensors", data))
    model, info = modelfile.loads(origin.data)
    count(model, info.input_shape)


def _model_samples(samples: Samples) -> Sequence[bytes]:
    """The header twice: damage there is read by niwaki, damage of the weights is only numbers."""
    whole = samples.model.read_bytes()
    return [whole, whole]


def _damaged_model(sample: bytes, rng: random.Random) -> bytes:
    (length,) = struct.unpack("<Q", sample[:8])
    if rng.random() < 0.3:
        return damaged(sample[: 8 + length], rng) + sample[8 + length :]
    header = json.loads(sample[8 : 8 + length])
    if rng.random() < 0.7:
        header["__metadata__"]["niwaki"] = damaged_json(header["__metadata__"]["niwaki"].encode(), rng).decode(
            "utf-8", "replace"
        )
        text = json.dumps(header).encode()
    else:
        text = damaged_json(json.dumps(header).encode(), rng)
    return struct.pack("<Q", len(text)) + text + sample[8 + length :]


def _onnx(data: bytes, place: Path, _: Samples) -> None:
    """As `niwaki inspect` and `export --to c` read one."""
    path = _file(place, "m.onnx", data)
    model = load_onnx(path)
    metadata(model)
    count_onnx(model)
    origin = open_origin(path)
    if origin.kind == "int8":
        generate(read_qdq(model, "m.onnx"))


def _foreign(data: bytes, place: Path, _: Samples) -> None:
    """As `niwaki export` reads what another tool wrote."""
    origin = open_origin(_file(place, "theirs.onnx", data))
    generate(read_qdq(load_onnx(origin.data), "theirs.onnx"))


def _foreign_samples(_: Samples) -> Sequence[bytes]:
    """One of each habit."""
    return [habit.build().SerializeToString() for habit in HABITS.values()]


def _onnx_samples(samples: Samples) -> Sequence[bytes]:
    return [(samples.export / name).read_bytes() for name in ("model.onnx", "model-int8.onnx", "model-int8.onnx")]


def _tflite(data: bytes, place: Path, _: Samples) -> None:
    origin = open_origin(_file(place, "m.tflite", data))
    generate(read_qdq(load_onnx(origin.data), "m.tflite"))


def _tflite_samples() -> Sequence[bytes]:
    operators = ("gated", "uint8, network", "transposed conv, odd", "split in sizes", "prelu", "slice, masks")
    return [*(small_file(seed).build() for seed in range(3)), *(CASES[name]().build() for name in operators)]


def _npz(data: bytes, place: Path, _: Samples) -> None:
    npz.source(_file(place, "d.npz", data)).decode(Preprocessing(size=(16, 16)))


def _idx(data: bytes, place: Path, _: Samples) -> None:
    path = _file(place, "d", data)
    with contextlib.suppress(*ALLOWED):
        idx.read_labels(path, 10)
        return
    idx.read_images(path)


def _idx_samples(_: Samples) -> Sequence[bytes]:
    images = struct.pack(">4i", 0x0803, 3, 4, 5) + bytes(range(60))
    labels = struct.pack(">2i", 0x0801, 6) + bytes(range(6))
    return [images, labels, gzip.compress(images), gzip.compress(labels)]


KINDS = (
    ("PNG", "L"), ("PNG", "P"), ("PNG", "RGBA"), ("JPEG", "RGB"), ("GIF", "P"), ("BMP", "RGB"), ("TIFF", "L"),
    ("WEBP", "RGB"), ("PPM", "L"),
)  # fmt: skip


def _pictures() -> list[bytes]:
    grey = Image.fromarray(np.arange(144, dtype=np.uint8).reshape(12, 12))
    made = []
    for kind, mode in KINDS:
        out = io.BytesIO()
        grey.convert(mode).save(out, kind)
        made.append(out.getvalue())
    return made


def _damaged_picture(sample: bytes, rng: random.Random) -> bytes:
    """Of a PNG, mostly with checksums that fit: else nothing behind them would be reached."""
    if not sample.startswith(b"\x89PNG") or rng.random() < 0.3:
        return damaged(sample, rng)
    out, at, chosen = [sample[:8]], 8, rng.randrange(4)
    while at + 8 <= len(sample):
        (length,) = struct.unpack(">I", sample[at : at + 4])
        kind, content = sample[at + 4 : at + 8], sample[at + 8 : at + 8 + length]
        if chosen == 0 and content:
            content = damaged(content, rng)
        chosen -= 1
        out.append(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content)))
        at += 12 + length
    return b"".join(out)


def _folder(data: bytes, place: Path, _: Samples) -> None:
    whole = _pictures()[0]
    for name, content in (("a/0.png", whole), ("a/1.png", data), ("b/2.png", whole)):
        _file(place, f"d/{name}", content)
    folder.source(place / "d").decode(Preprocessing(size=(8, 8)))


def _decoded(data: bytes, place: Path, samples: Samples) -> None:
    whole = prepare(DataSpec(name="npz", path=samples.npz, validation=60), cache=place / "cache")
    copy = place / "copy"
    shutil.copytree(whole, copy)
    (copy / MANIFEST).write_bytes(data)
    check_contents(open_dataset(copy), copy)


def _decoded_samples(samples: Samples) -> Sequence[bytes]:
    cache = samples.model.parent / "decoded-for-fuzz"
    return [(prepare(DataSpec(name="npz", path=samples.npz, validation=60), cache=cache) / MANIFEST).read_bytes()]


def _device_picture(data: bytes, place: Path, _: Samples) -> None:
    read_picture(_file(place, "p", data))


def _film(data: bytes, place: Path, _: Samples) -> None:
    with contextlib.closing(Y4mFilm(str(_file(place, "f.y4m", data)))) as film:
        for _number in range(50):
            if film.read(1.0) is None:
                return


def _film_samples(_: Samples) -> Sequence[bytes]:
    return [
        b"YUV4MPEG2 W4 H2 F25:1 Cmono\n" + b"FRAME\nabcdefgh" * 3,
        b"YUV4MPEG2 W4 H2 F30:1 Ip A1:1 C420jpeg XYSCSS=420\nFRAME Ip\n" + bytes(12),
    ]


def _recording(data: bytes, place: Path, _: Samples) -> None:
    """The lines; their frames lie beside them and are whole."""
    path = _file(place, "part-000001.jsonl", data)
    _file(place, "part-000001.frames", zlib.compress(bytes(8), 1))
    with _Reader(path) as reader:
        for _line, _frames in reader:
            pass


def _recording_samples(_: Samples) -> Sequence[bytes]:
    blob = zlib.compress(bytes(8), 1)
    place = [0, len(blob), zlib.crc32(blob)]
    head = {
        "niwaki_recording": 1,
        "width": 4,
        "height": 2,
        "model_sha256": "0",
        "name": "m",
        "decider": {},
        "frames": [place],
    }
    look = {"do": "look", "number": 0, "time_s": 0.0, "scores": [1, 2], "frames": [place]}
    return [sealed(head) + sealed(look) + sealed({"do": "forget", "frames": []})]


def _damaged_recording(sample: bytes, rng: random.Random) -> bytes:
    """Mostly with checksums that fit."""
    if rng.random() < 0.3:
        return damaged(sample, rng)
    lines = [json.loads(line) for line in sample.splitlines()]
    for line in lines:
        del line["crc"]
    at = rng.randrange(len(lines))
    text = damaged_json(json.dumps(lines[at]).encode(), rng)
    body = text[:-1] if text.endswith(b"}") else text
    return b"".join(
        body + b',"crc":%d}\n' % zlib.crc32(body) if k == at else sealed(line) for k, line in enumerate(lines)
    )


def _export_note(data: bytes, place: Path, _: Samples) -> None:
    _file(place, NOTE, data)
    read_note(place)


def _export_note_samples(samples: Samples) -> Sequence[bytes]:
    return [json.dumps(load_checked(samples.export / NOTE)).encode()]  # a checksum would tell of every damage first


def _manifest(data: bytes, place: Path, samples: Samples) -> None:
    _file(place, "manifest.json", data)
    _file(place, "bundle.json", _bundle_samples(samples)[0])
    with contextlib.suppress(*ALLOWED):
        list(differences(place, read_manifest(place)))
    Bundle.open(place).check_all()


def _manifest_samples(samples: Samples) -> Sequence[bytes]:
    content = _bundle_samples(samples)[0]
    files = {"bundle.json": {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}}
    return [json.dumps({"format": 1, "files": files}).encode()]


def _bundle(data: bytes, place: Path, _: Samples) -> None:
    _file(place, "bundle.json", data)
    files = {"bundle.json": {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}}
    _file(place, "manifest.json", json.dumps({"format": 1, "files": files}).encode())
    bundle = Bundle.open(place)
    bundle.logits([1, 2])
    bundle.word(0, bundle.languages[0])


def _bundle_samples(_: Samples) -> Sequence[bytes]:
    description = {
        "format": 1, "niwaki": "0.1.0", "target": "linux-x86_64", "machine": "x86-64", "name": "m", "model_sha256": "0",
        "input": {"height": 28, "width": 28, "pad": 2, "inner_height": 24, "inner_width": 24}, "scale": 0.1,
        "zero_point": 3, "classes": [{"id": "a", "names": {"en": "a"}}, {"id": "b", "names": {"en": "b"}}],
        "languages": ["en"], "sound": False, "decision": {"energy": None, "margin": 0.5, "window_s": 1.0},
    }  # fmt: skip
    return [json.dumps(description).encode()]


def _names(data: bytes, place: Path, _: Samples) -> None:
    name_classes(["a", "b"], ["en", "ko"], _file(place, "names.json", data))


def _spec(data: bytes, place: Path, _: Samples) -> None:
    load_spec(str(_file(place, "study.toml", data)))


def _spec_samples(_: Samples) -> Sequence[bytes]:
    from importlib import resources

    return [(resources.files("niwaki.study") / "presets" / f"{name}.toml").read_bytes() for name in presets()]


def _damaged_toml(sample: bytes, rng: random.Random) -> bytes:
    """A line of it changed."""
    if rng.random() < 0.4:
        return damaged(sample, rng)
    lines = sample.decode().splitlines()
    at = rng.randrange(len(lines))
    name = lines[at].partition("=")[0]
    value = rng.choice(("-1", "1e400", "[]", "{}", "''", "true", "[" * 20_000, '"\\u001b"', "9" * 400, "inf", "nan"))
    lines[at] = rng.choice((f"{name}= {value}", "", lines[at] + lines[at - 1], lines[rng.randrange(len(lines))]))
    return "\n".join(lines).encode()


def _request(data: bytes, _place: Path, _: Samples) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as there:
        here, _ = server.accept()
        there.sendall(data[:60_000])
        there.shutdown(socket.SHUT_WR)
    with here:
        reader = RequestReader(here, Limits(request_s=1.0))
        while reader.read() is not None:
            pass


def _request_samples(_: Samples) -> Sequence[bytes]:
    return [
        b"GET /frame?after=3 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: */*\r\n\r\n",
        b"POST /learn HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nConnection: close\r\n\r\nanew!",
    ]


def _record(data: bytes, _place: Path, _: Samples) -> None:
    try:
        from_bytes(data)
    except ValueError as error:  # what the store expects of it
        if isinstance(error, UnicodeError):
            raise


def _record_samples(samples: Samples) -> Sequence[bytes]:
    return [path.read_bytes() for path in sorted((samples.study or Path()).glob("stages/*/record.json"))][:3]


def _study_reader(name: str) -> Reader:
    """The tables of a study of which one file is damaged."""

    def read(data: bytes, place: Path, samples: Samples) -> None:
        assert samples.study is not None
        copy = place / "study"
        shutil.copytree(samples.study, copy)
        next(copy.glob(name)).write_bytes(data)
        from rich.console import Console

        print_study(Console(file=io.StringIO(), width=200), load_view(copy))

    return Reader(lambda samples: [next((samples.study or Path()).glob(name)).read_bytes()], damaged_json, read)


READERS: dict[str, Reader] = {
    "model file": Reader(_model_samples, _damaged_model, _model),
    "onnx": Reader(_onnx_samples, damaged_onnx, _onnx),
    "another tool's onnx": Reader(_foreign_samples, damaged_onnx, _foreign),
    "tflite": Reader(lambda _: _tflite_samples(), damaged_tflite, _tflite),
    "npz": Reader(lambda samples: [samples.npz.read_bytes()], damaged_zip, _npz),
    "idx": Reader(_idx_samples, damaged, _idx),
    "folder of images": Reader(lambda _: _pictures(), _damaged_picture, _folder),
    "decoded data": Reader(_decoded_samples, damaged_json, _decoded),
    "picture on the board": Reader(
        lambda _: [p for p in _pictures() if p[:2] in (b"\x89P", b"P5", b"\xff\xd8")], _damaged_picture, _device_picture
    ),
    "film": Reader(_film_samples, damaged, _film),
    "recording": Reader(_recording_samples, _damaged_recording, _recording),
    "export.json": Reader(_export_note_samples, damaged_json, _export_note),
    "manifest.json": Reader(_manifest_samples, damaged_json, _manifest),
    "bundle.json": Reader(_bundle_samples, damaged_json, _bundle),
    "names": Reader(lambda _: [b'{"a": {"en": "x", "ko": "y"}, "b": {"en": "z"}}'], damaged_json, _names),
    "study's TOML": Reader(_spec_samples, _damaged_toml, _spec),
    "request": Reader(_request_samples, damaged, _request),
}
OF_A_STUDY: dict[str, Reader] = {
    "record.json": Reader(_record_samples, damaged_json, _record),
    **{
        name: _study_reader(name)
        for name in ("study.json", "timings.json", "choice.json", "verify.json", "evidence.json", "bench.json")
    },
    "a record of the study": _study_reader("stages/*/record.json"),
}
"""Those that need a finished study."""
