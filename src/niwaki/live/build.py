"""From a study's chosen model to the live part of its page."""

from __future__ import annotations

import base64
import json
from importlib import resources
from pathlib import Path
from typing import Any, TypedDict

from jinja2 import Environment, PackageLoader, StrictUndefined

from niwaki.compiled.library import Interface
from niwaki.data.class_names import name_classes
from niwaki.data.dataset import Dataset
from niwaki.data.datasets import GARMENTS, built_in
from niwaki.data.preprocessing import Preprocessing
from niwaki.deploy.exported import Export, open_export
from niwaki.deploy.formats import FILES, INT8, C
from niwaki.deploy.own import fresh_files, write_files
from niwaki.deploy.pictures import Pictures, find_pictures
from niwaki.errors import DataError, ModelError, NiwakiError, Wording
from niwaki.folders import temporary
from niwaki.live.part import LivePart
from niwaki.live.strip import choose_strip
from niwaki.live.texts import TEXTS, Language
from niwaki.live.wasm import compile_module
from niwaki.notify import Notify, silent
from niwaki.study.result_files import Verification
from niwaki.study.store import FORMS, Store

SCRIPTS = ("page", "engine", "picture", "readout", "speech", "steady", "strip", "file", "camera", "pad", "main")
VISION_SIDE = 256  # pixels of the largest picture that vision cuts out: NIWAKI_VISION_MAX_INNER
NOT_YET = "the study has not chosen and exported a model yet: run it to its end"
LARGEST = 4 << 20  # bytes of a module; a larger page is hard to mail


class Images(TypedDict):
    """Test images to click on, for the script: pixels as base64, classes, positions in the test split."""

    pixels: str
    labels: list[int]
    places: list[int]


class Input(TypedDict):
    """The size of the network's picture in pixels, without the border."""

    channels: int
    height: int
    width: int
    pad: int
    resize: str


class Facts(TypedDict):
    """The script's facts about the model."""

    lang: Language
    module: str
    prefix: str
    vision: bool
    scale: float
    zero_point: int
    input: Input
    classes: list[dict[str, str]]
    strip: Images | None
    finds: bool


def build(
    study: Path,
    *,
    lang: Language = "en",
    data: Dataset | None = None,
    notify: Notify = silent,
) -> LivePart:
    """The live part for the study in a folder: its chosen model as WebAssembly, test images, the user's own pictures.

    `data` is the data that the study was measured on; without it, niwaki looks for it as `niwaki verify` does. Never
    raises if a study has no model to show: `note` then says why, and what to do.
    """
    try:
        export = _open_chosen(study)
        files = fresh_files(export.folder / FILES[C], export.integer, FILES[INT8], read=export.code)
        with temporary("report") as name:
            module = compile_module(write_files(files, Path(name)), vision=_has_vision(export))
        if len(module) > LARGEST:
            raise ModelError(
                f"its WebAssembly has {len(module):,} bytes, more than the {LARGEST:,} that a page may hold"
            )
    except NiwakiError as error:
        return without(str(error), lang)
    strip, note = _strip(export, data, notify)
    known = built_in(export.note.provenance.data_name) if export.note else None
    garments = known is not None and known.labels == GARMENTS
    c = Interface(files["model.h"].decode(), "model.h")
    facts = _facts(export, module, c, lang, strip, garments)
    texts = _texts(lang, "garment" if garments else "object")
    html = _environment().get_template("live.html.j2").render(
        text=texts, lang=lang, vision=facts["vision"], strip=strip is not None, input=facts["input"], garments=garments,
        lead=_filled(texts["lead"], kilobytes=f"{len(module) / 1000:.0f}", classes=len(facts["classes"])),
    )  # fmt: skip
    return LivePart(html, _script(), _read("live.css"), embeddable({**facts, "text": texts}), note)


def embeddable(value: Any) -> str:
    """JSON that is safe between script tags: no character in it can end the element or start a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _open_chosen(study: Path) -> Export:
    """The export of the chosen model. Raises ModelError if there is none that can run in a page."""
    folder = study / FORMS
    if not folder.is_dir():
        found = Store(study).load(Verification)
        raise ModelError(f"{folder}: {(found and found.reason) or NOT_YET}")
    export = open_export(folder)
    if export.graph is None or not export.has_c:
        raise ModelError(export.no_graph or f"{folder}: no generated C in it: run the study again")
    return export


def _has_vision(export: Export) -> bool:
    """Whether vision can be used: the network must be grey, and its file must say where in the input the picture is."""
    channels, *sides = export.input_shape
    pad = export.preprocessing.pad if export.preprocessing else None
    return channels == 1 and pad is not None and max(sides) - 2 * pad <= VISION_SIDE


def _strip(export: Export, data: Dataset | None, notify: Notify) -> tuple[Images | None, str]:
    """Test images to click on; or None, and why they are not available."""
    try:
        pictures = find_pictures(export.needs, data, notify)
    except DataError as error:
        pictures = Pictures(error=error)
    data = pictures.data
    if data is None:
        unknown = "those of its training are not on this machine: put them back and run niwaki report again"
        return None, Wording("no test images to click on: ", pictures.error or unknown)
    strip = choose_strip(export.integer, data.test, data.preprocessing.pad, export.macs)
    return {
        "pixels": _base64(strip.pixels.tobytes()),
        "labels": strip.labels.tolist(),
        "places": strip.places.tolist(),
    }, ""


def _facts(export: Export, module: bytes, c: Interface, lang: Language, strip: Images | None, garments: bool) -> Facts:
    channels, height, width = c.input_shape
    preprocessing = export.preprocessing or Preprocessing()
    pad = preprocessing.pad
    labels = export.labels or tuple(f"class {index}" for index in range(c.output_bytes))
    return {
        "lang": lang,
        "module": _base64(module),
        "prefix": c.prefix,
        "vision": _has_vision(export),
        "scale": c.output_scale,
        "zero_point": c.output_zero_point,
        "input": {
            "channels": channels, "height": height - 2 * pad, "width": width - 2 * pad, "pad": pad,
            "resize": preprocessing.resize,
        },
        "classes": [
            {"shown": named.label if lang == "en" else named.names[lang], **named.names}
            for named in name_classes(labels, tuple(TEXTS))
        ],
        "strip": strip,
        "finds": garments,
    }  # fmt: skip


def _texts(lang: Language, thing: str) -> dict[str, str]:
    """The texts of one language, with the word for what the user shows."""
    texts = TEXTS[lang]
    return {key: text.replace("{thing}", texts[thing]) for key, text in texts.items()}


def _filled(text: str, **values: object) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


_NOTE = """<section id="live" aria-labelledby="live-title">
<h2 id="live-title">{{ title }}</h2>
<p class="warning">{{ note }}</p>
</section>"""


def without(reason: str, lang: Language, *, asked_for: bool = True) -> LivePart:
    """A note in place of the live part, under its heading; `asked_for` as in the part."""
    note = _filled(TEXTS[lang]["none"], reason=reason)
    html = _environment().from_string(_NOTE).render(note=note, title=TEXTS[lang]["heading"])
    return LivePart(html, "", "", "", note, asked_for)


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("niwaki.live", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def _script() -> str:
    """One classic script with its own namespace."""
    parts = "\n".join(_read(f"js/{name}.js") for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{parts}}})();\n'


def _read(name: str) -> str:
    return (resources.files("niwaki.live") / name).read_text(encoding="utf-8")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
