"""Damage that knows a little about the format: bytes, JSON, zip archives, ONNX; the same generator, the same damage."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any

import onnx
from google.protobuf.message import Message

Mutate = Callable[[bytes, random.Random], bytes]

NUMBERS = (0, 1, -1, 2, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**63 - 1, 10**12, -5)
TEXTS = (
    "",
    "\0",
    "\n",
    "\x1b[2J",
    "\u202e",
    "../../x",
    "/etc/hostname",
    "-x",
    "%s{0}",
    "é" * 300,
    "\ud800",
    "nan",
    "1e999",
)
VALUES: tuple[Any, ...] = (*NUMBERS, *TEXTS[:-3], None, True, False, [], {}, 0.5, 1e308, float("nan"), [[]], {"": 0})
DEPTH = 20_000


def damaged(sample: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, taken away, doubled or put in; or the end cut off."""
    data = bytearray(sample)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(data) + 1)
        size = min(rng.choice((1, 1, 2, 4, 8, 64)), len(data) - at)
        match rng.randrange(6):
            case 0:
                data[at : at + size] = rng.randbytes(size)
            case 1:
                del data[at : at + size]
            case 2:
                data[at:at] = data[at : at + size] * rng.choice((1, 2, 50))
            case 3:
                order = rng.choice(("little", "big"))
                width = rng.choice((1, 2, 4, 8))
                data[at : at + width] = (rng.choice(NUMBERS) % 256**width).to_bytes(width, order)
            case 4 if size:
                data[at] ^= 1 << rng.randrange(8)
            case _ if rng.random() < 0.3:
                del data[at:]
    return bytes(data)


def damaged_json(sample: bytes, rng: random.Random) -> bytes:
    """One value or key changed, taken away or doubled; at times nested without end, or damaged as bytes."""
    kind = rng.random()
    if kind < 0.15:
        return damaged(sample, rng)
    value = json.loads(sample)
    for _ in range(rng.choice((1, 1, 2, 5))):
        value = _changed(value, rng)
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    if kind > 0.97:
        text = "[" * DEPTH + text
    elif kind > 0.94:
        text = text.replace(":", ":" + "[" * DEPTH, 1)
    return text.encode("utf-8", "surrogatepass")


def _changed(value: Any, rng: random.Random) -> Any:
    """A copy with one place in it changed."""
    if isinstance(value, dict | list) and value and rng.random() < 0.9:
        return _changed_mapping(value, rng) if isinstance(value, dict) else _changed_list(value, rng)
    return rng.choice(VALUES)


def _changed_mapping(value: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    key, kind = rng.choice(list(value)), rng.randrange(8)
    if kind == 0:
        return {k: v for k, v in value.items() if k != key}
    if kind == 1:
        return {rng.choice(TEXTS) if k == key else k: v for k, v in value.items()}
    return {k: _changed(v, rng) if k == key else v for k, v in value.items()}


def _changed_list(value: list[Any], rng: random.Random) -> list[Any]:
    at, kind = rng.randrange(len(value)), rng.randrange(6)
    if kind == 0:
        return value[:at] + value[at + 1 :]
    if kind == 1:
        return value[:at] + value[at : at + 1] * rng.choice((2, 100)) + value[at + 1 :]
    return [*value[:at], _changed(value[at], rng), *value[at + 1 :]]


def damaged_zip(sample: bytes, rng: random.Random) -> bytes:
    """A member's content damaged and packed again, or renamed, or packed in another way; or the archive as bytes."""
    if rng.random() < 0.4:
        return damaged(sample, rng)
    with zipfile.ZipFile(io.BytesIO(sample)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = rng.choice(list(members))
    packing = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as archive:
        for name, content in members.items():
            changed = name == chosen and rng.random() < 0.9
            head = rng.random() < 0.7  # where the shape and the type stand
            data = damaged(content[:128], rng) + content[128:] if changed and head else content
            data = damaged(data, rng) if changed and not head else data
            archive.writestr(rng.choice(("../x", name, name, name, "x.npy")) if name == chosen else name, data)
    return out.getvalue()


def damaged_onnx(sample: bytes, rng: random.Random) -> bytes:
    """A few fields of the graph changed, or elements of it taken away, doubled or moved; or the file as bytes."""
    if rng.random() < 0.25:
        return damaged(sample, rng)
    model = onnx.load_from_string(sample)
    for _ in range(rng.choice((1, 1, 2, 4))):
        _change_message(model, rng)
    return model.SerializeToString()


def _change_message(message: Message, rng: random.Random) -> None:
    fields = [
        (field, value) for field, value in message.ListFields() if field.name not in ("doc_string", "producer_name")
    ]
    if not fields:
        return
    field, value = rng.choice(fields)
    if field.is_repeated:
        _change_repeated(value, rng, of_messages=field.message_type is not None)
    elif field.message_type is not None:
        _change_message(value, rng) if rng.random() < 0.95 else message.ClearField(field.name)
    elif rng.random() < 0.15:
        message.ClearField(field.name)
    else:
        _set(lambda new: setattr(message, field.name, new), value, rng)


def _change_repeated(values: Any, rng: random.Random, *, of_messages: bool) -> None:
    at = rng.randrange(len(values))
    kind = rng.random()
    if kind < 0.12:
        del values[at]
    elif kind < 0.2:
        other = rng.randrange(len(values))
        values.append(values[other])
    elif kind < 0.25 and len(values) > 1:
        kept = [*values]
        rng.shuffle(kept)
        del values[:]
        values.extend(kept)
    elif of_messages:
        _change_message(values[at], rng)
    else:
        _set(lambda new: values.__setitem__(at, new), values[at], rng)


def _set(put: Callable[[Any], None], value: Any, rng: random.Random) -> None:
    """Put something else of the same type, if the field takes it."""
    try:
        if isinstance(value, bytes):
            put(damaged(value, rng))
        elif isinstance(value, str):
            put(rng.choice((*TEXTS, value + "x", value[:-1])))
        elif isinstance(value, float):
            put(rng.choice((0.0, -1.0, 1e-38, 1e38, float("nan"), float("inf"), value * 2)))
        else:
            put(rng.choice((*NUMBERS, int(value) + 1, int(value) - 1)))
    except (ValueError, TypeError, UnicodeError):  # out of the range of the field
        return
