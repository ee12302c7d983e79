"""A study's folder with a model for garments, and pages with its live part in real Chromium."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from niwaki import api
from niwaki.compiled.library import CModel
from niwaki.data.dataset import Dataset, open_dataset
from niwaki.data.prepare import prepare
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.spec import DataSpec
from niwaki.live.build import build
from niwaki.live.part import DATA_ID, LivePart
from niwaki.models.factory import build_seeded
from niwaki.study.structure import one_thread
from niwaki.vision.library import Vision, compile_vision
from once import once

CHROMIUM = "chromium"
FILM = (320, 240)  # width and height
EMPTY, SHOWN, RATE = 30, 45, 15  # frames of the film without and with the garment, frames per second


@dataclass(frozen=True)
class Study:
    """A folder as a study leaves it, as far as the live part reads it."""

    folder: Path
    data: Dataset
    c: CModel
    vision: Path
    """Vision as a library for this machine."""

    def scores(self, pictures: np.ndarray) -> np.ndarray:
        """int8 (n, classes) of the C on this machine for pictures without padding, uint8 (n, H, W)."""
        pad = self.data.preprocessing.pad
        return self.c(np.pad(pictures, ((0, 0), (pad, pad), (pad, pad)))[:, None])

    def find(self, frame: np.ndarray) -> np.ndarray:
        """The picture that vision on this machine cuts out of a grey frame."""
        found = Vision(self.vision, frame.shape[1], frame.shape[0]).find(frame)
        assert found.found
        return found.picture


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A small LeNet-5 for the garments that niwaki draws, exported to C."""
    spec = DataSpec(
        name="synthetic", train_samples=1500, test_samples=1000, validation=100, preprocessing=Preprocessing(pad=2)
    )
    cache = tmp_path_factory.getbasetemp() / "cache"
    data = open_dataset(prepare(spec, cache=cache))
    args = {"widths": [3, 6, 30, 20]}

    def make(folder: Path) -> None:
        model = build_seeded("lenet5", args, 0)
        with one_thread():  # a network as small as that only loses by more
            api.train(model, data, epochs=2, lr=5e-3, batch_size=32)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NIWAKI_CACHE_DIR", str(cache))
            file = api.save(model, folder / "chosen.safetensors", factory="lenet5", args=args, data=data)
            api.export(file, folder / "chosen", to="c", images=100)
        compile_vision(folder / "vision.so")

    folder = once("live study", make)
    return Study(folder, data, CModel(folder / "chosen/c"), folder / "vision.so")


@pytest.fixture(scope="session")
def part(study: Study) -> LivePart:
    """Its live part in English."""
    return build(study.folder, data=study.data)


@pytest.fixture(scope="session")
def photograph(study: Study) -> np.ndarray:
    """A grey photograph, uint8 (240, 320), of the first test image that the model gets right: enlarged, on a wall."""
    images = study.data.test.images[:, 0, 2:-2, 2:-2]
    right = np.flatnonzero(study.scores(images).argmax(1) == study.data.test.labels)
    garment = np.kron(images[right[0]], np.ones((5, 5), np.uint8))
    frame = np.full(FILM[::-1], 40, np.uint8)
    inside = frame[50:190, 90:230]
    inside[:] = np.where(garment > 20, 70 + garment.astype(int) * 7 // 10, inside).astype(np.uint8)
    return frame


@pytest.fixture(scope="session")
def film(photograph: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Y4M film: the empty wall for two seconds, then the garment for three. Chromium plays it again and again."""
    path = tmp_path_factory.mktemp("film") / "garment.y4m"
    empty = np.full_like(photograph, 40)
    colour = bytes([128]) * (FILM[0] * FILM[1] // 2)
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{FILM[0]} H{FILM[1]} F{RATE}:1 Ip A1:1 C420mpeg2\n".encode())
        for number in range(EMPTY + SHOWN):
            grey = empty if number < EMPTY else photograph
            file.write(b"FRAME\n" + (16 + grey.astype(int) * 219 // 255).astype(np.uint8).tobytes() + colour)
    return path


@pytest.fixture(scope="session")
def browser(launch: Callable[..., Any], film: Path) -> Iterator[Any]:
    """Chromium whose camera is the film."""
    fake = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
    started = launch(*fake, f"--use-file-for-fake-video-capture={film}")
    yield started
    started.close()


def page_of(part: LivePart, lang: str = "en") -> str:
    """A page with nothing but the live part, under the policy that a report has."""
    allowed = base64.b64encode(hashlib.sha256(part.script.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{allowed}' 'wasm-unsafe-eval'; style-src 'unsafe-inline'"
    return f"""<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>Live</title>
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{part.style}</style></head>
<body><main><h1>Live</h1>{part.html}</main><script type="application/json" id="{DATA_ID}">{part.data}</script>
<script>{part.script}</script></body></html>"""


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens the page of a live part from a file. In the end nothing may have failed in it, nor been asked for."""
    contexts, faults, requests = [], [], []

    def open_page(
        part: LivePart, *, lang: str = "en", before: str = "", started_with: Any = browser, **how: Any
    ) -> Any:
        file = tmp_path / f"page{len(contexts)}.html"
        file.write_text(page_of(part, lang), encoding="utf-8")
        contexts.append(started_with.new_context(**how))
        if before:
            contexts[-1].add_init_script(before)
        page = contexts[-1].new_page()
        page.on(
            "console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: requests.append(request.url) if request.url != file.as_uri() else None)
        page.goto(file.as_uri())
        page.evaluate("niwakiLive.ready")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults
    assert not requests
