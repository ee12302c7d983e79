"""A small finished study with everything that a report shows, its report, and pages in real Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from niwaki.cli.entry import run as run_command
from niwaki.reporting.build import build_report
from once import once
from small_study import HEAD

STUDY = (
    'title = "small <b>study</b>"\nseeds = 2\n'
    + HEAD
    + """
[select]
experiment = "ratio"
budget = ["accuracy_drop<=100"]

[[experiment]]
name = "ratio"
title = "By ratio & step"
vary = {{ "prune.ratio" = [0.3, 0.5, 0.6] }}
rows = "steps"
columns = ["validation", "accuracy", "params", "macs_tp", "latency_1"]
source = "a paper <i>of</i> 2023"
published = [
  {{ step = 0, accuracy = [99.0, 98.0], params = 1 }},
  {{ value = 0.5, step = 2, accuracy = 97.0 }},
]

[[experiment]]
name = "batch"
title = "An experiment that niwaki does not know"
vary = {{ "train.batch_size" = [10, 20] }}
columns = ["accuracy", "per_class", "widths", "channels", "bytes"]

[[experiment]]
name = "scope"
vary = {{ "prune.scope" = ["both", "conv"] }}

[[experiment]]
name = "from-scratch"
vary = {{ "prune.ratio" = [0.3, 0.5] }}
from_scratch = true

[[experiment]]
name = "longer"
title = "The unpruned network, trained on"
longer = true
rows = "steps"

[[experiment]]
name = "int8"
vary = {{ "prune.ratio" = [0.3, 0.5] }}
set = {{ "quantize.kind" = "static", "quantize.images" = 40 }}
columns = ["accuracy", "agreement", "bytes_by_type", "flash", "ram", "file"]
"""
)


@pytest.fixture(scope="session")
def finished_study(small_npz: Path) -> Path:
    """The folder of the study, run to its end; not to be written to."""

    def make(folder: Path) -> None:
        (folder / "s.toml").write_text(STUDY.format(data=small_npz))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NIWAKI_CACHE_DIR", str(folder / "cache"))
            options = ["--jobs", "1", "--out", str(folder / "out")]
            assert run_command(["study", "run", str(folder / "s.toml"), *options]) == 0

    return once("finished study", make) / "out"


@pytest.fixture
def study_copy(finished_study: Path, tmp_path: Path) -> Path:
    """A copy of the finished study without its exported forms, which a report can do without."""
    return Path(shutil.copytree(finished_study, tmp_path / "study", ignore=shutil.ignore_patterns("chosen")))


@pytest.fixture(scope="session")
def korean_page(finished_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the study in Korean."""
    copy = tmp_path_factory.mktemp("korean") / "study"
    shutil.copytree(finished_study, copy, ignore=shutil.ignore_patterns("chosen"))
    return build_report(copy, language="ko").html


@dataclass
class Opened:
    """A page in a browser, and what it said."""

    page: Any
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def chromium(launch: Callable[..., Any]) -> Iterator[Any]:
    """The system's Chromium."""
    browser = launch("--no-sandbox")
    yield browser
    browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Any]:
    """Open a page: `open_page(file, width=…, dark=…)` gives an `Opened`."""
    contexts = []

    def open_it(file: Path, *, width: int = 1280, height: int = 900, dark: bool = False, touch: bool = False) -> Opened:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", has_touch=touch,
            accept_downloads=True,
        )  # fmt: skip
        contexts.append(context)
        opened = Opened(context.new_page())
        opened.page.on("console", lambda message: opened.problems.append(message.text))
        opened.page.on("pageerror", lambda error: opened.problems.append(str(error)))
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.goto(file.resolve().as_uri())
        return opened

    yield open_it
    for context in contexts:
        context.close()
