"""The report in real Chromium: quiet, drawn, readable by pointer and keys, saved, on a phone, accessible."""

from __future__ import annotations

import csv
import http.server
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from niwaki.reporting.build import build_report
from stored import write_json


@pytest.fixture(scope="module")
def page_file(finished_study: Path) -> Path:
    return finished_study / "report.html"


def test_it_loads_without_errors_and_asks_nobody(page_file, open_page) -> None:
    opened = open_page(page_file)
    opened.page.wait_for_timeout(300)
    assert opened.problems == []
    assert page_file.stat().st_size < 2_000_000
    assert {url for url in opened.requests if not url.startswith(("data:", "blob:"))} == {page_file.as_uri()}


class Held(http.server.BaseHTTPRequestHandler):
    """Serves a page that counts as loaded only once `wait` seconds are over: Firefox takes its picture then."""

    page: bytes
    wait: float

    def do_GET(self) -> None:
        if late := self.path == "/late.svg":
            time.sleep(self.wait)
        self.send_response(200)
        self.send_header("Content-Type", "image/svg+xml" if late else "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(b'<svg xmlns="http://www.w3.org/2000/svg"/>' if late else self.page)

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture
def held_page(page_file: Path) -> Iterator[Callable[[float], str]]:
    """Gives the address of the report held back by so many seconds."""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page_file.read_text())
    Held.page = text.replace("</body>", '<img src="/late.svg" alt="" width="1" height="1"></body>').encode()

    def held(seconds: float) -> str:
        Held.wait = seconds
        return f"http://127.0.0.1:{server.server_port}/"

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Held) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield held
        server.shutdown()


def test_firefox_shows_the_page_as_chromium_does(page_file, held_page, open_page, tmp_path) -> None:
    firefox = shutil.which("firefox-esr") or pytest.skip("needs Firefox: apt-get install firefox-esr")
    size = (1280, 3000)
    page = open_page(page_file, width=size[0], height=size[1]).page
    page.locator("#live", has_text="median of").wait_for()  # the network has answered: the page keeps its height
    expected = _shades(page.screenshot())
    assert expected.std() > 5  # there is something to see
    for seconds in (1, 5, 25):  # until Firefox, too, has an answer
        picture = tmp_path / f"{seconds}.png"
        subprocess.run(
            [firefox, "--headless", "--no-remote", "--profile", tmp_path, "--screenshot", picture,
             f"--window-size={size[0]},{size[1]}", held_page(seconds)],
            check=True, capture_output=True, timeout=120, env={**os.environ, "HOME": str(tmp_path)},
        )  # fmt: skip
        difference = np.abs(_shades(picture.read_bytes()) - expected).mean()
        if difference < 4:
            return
    pytest.fail(f"the page differs by {difference:.1f} shades")


def _shades(picture: bytes) -> np.ndarray:
    """A picture of a page as 75 × 32 shades of grey."""
    return np.asarray(Image.open(io.BytesIO(picture)).convert("L").resize((32, 75)), np.int16)


def test_every_figure_is_drawn(page_file, open_page) -> None:
    page = open_page(page_file).page
    drawn = page.eval_on_selector_all(
        "figure.chart .plot:not(.for-narrow *)",
        "plots => plots.map(p => [p.id, p.getBoundingClientRect().width, p.querySelectorAll('.pt').length])",
    )
    assert len(drawn) > 12
    assert all(width > 150 and marks > 0 for _, width, marks in drawn), drawn
    assert len({name for name, _, _ in drawn}) == len(drawn)
    ids = page.eval_on_selector_all("[id]", "all => all.map(e => e.id)")
    assert len(ids) == len(set(ids)), sorted(name for name in ids if ids.count(name) > 1)
    assert page.eval_on_selector_all("img", "all => all.filter(i => !i.naturalWidth).length") == 0


def test_a_mark_says_its_values_to_pointer_finger_and_keys(page_file, open_page) -> None:
    page = open_page(page_file, touch=True).page
    plot = page.locator("#figure-ratio-accuracy-1")  # the panel of 50 %
    plot.scroll_into_view_if_needed()
    assert not page.locator("#tip").is_visible()
    mark = plot.locator('[data-tip*="step 2"][data-tip*="measured"]')
    box = mark.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tip = page.locator("#tip")
    assert "50 %, step 2" in tip.inner_text()
    assert "measured" in tip.inner_text()
    assert "±" in tip.inner_text()  # two seeds
    assert "published 97.00 %" in tip.inner_text()
    page.mouse.move(2, 2)
    assert not tip.is_visible()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert "50 %, step 2" in tip.inner_text()
    plot.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#spoken").inner_text().count(",") >= 1
    first = tip.inner_text()
    page.keyboard.press("ArrowRight")
    assert tip.is_visible()
    assert tip.inner_text() != first
    page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_figures_and_tables_are_saved(page_file, open_page, tmp_path) -> None:
    page = open_page(page_file, dark=True).page
    with page.expect_download() as download:
        page.locator('[data-save="svg"][data-of="figure-ratio-accuracy"]').click()
    assert download.value.suggested_filename == "figure-ratio-accuracy.svg"
    download.value.save_as(tmp_path / "f.svg")
    root = ElementTree.parse(tmp_path / "f.svg").getroot()
    whole = ElementTree.tostring(root, encoding="unicode")
    assert len(root.findall(".//{http://www.w3.org/2000/svg}svg")) == 3 + 2  # three panels, two keys of the legend
    assert "var(" not in whole  # readable by programs that know no style sheets
    assert "rgb(29, 107, 80)" in whole  # in the colours of paper, whatever the screen has
    assert page.evaluate("document.documentElement.dataset.theme") is None  # and the screen keeps its own
    with page.expect_download() as download:
        page.locator('[data-save="csv"][data-of="table-ratio"]').click()
    download.value.save_as(tmp_path / "t.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text(encoding="utf-8-sig"))))
    assert rows == list(csv.DictReader(io.StringIO(copied(page, "csv"))))
    assert [row["step"] for row in rows] == ["0", *["1", "2"] * 3]
    assert float(rows[0]["accuracy"]) <= 100
    assert float(rows[0]["accuracy_std"]) >= 0
    assert rows[0]["published_accuracy"] == "99.0 | 98.0"


def copied(page: Any, kind: str) -> str:
    """What the button of a table puts into the clipboard, pressed by key."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.locator(f'[data-copy="{kind}"][data-of="table-ratio"]')
    button.focus()
    page.keyboard.press("Enter")
    page.locator("#spoken", has_text="Copied").wait_for(state="attached")
    assert button.inner_text() == "Copied"
    assert button.evaluate("b => b === document.activeElement")
    return str(page.evaluate("navigator.clipboard.readText()"))


@pytest.mark.parametrize("clipboard", [True, False])
def test_a_table_is_copied_as_markdown(page_file, open_page, clipboard) -> None:
    opened = open_page(page_file)
    if not clipboard:  # a browser may refuse it to a page
        opened.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    lines = copied(opened.page, "markdown").splitlines()
    heads = opened.page.eval_on_selector_all("#table-ratio thead th", "all => all.map(e => e.textContent)")
    assert lines[0] == f"| {' | '.join(heads)} |"
    assert lines[1].startswith("| --- | ---: |")
    assert len(lines) == 2 + 7
    assert all(len(re.findall(r"(?<!\\)\|", line)) == len(heads) + 1 for line in lines)
    assert opened.problems == []


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_phone_never_scrolls_sideways(page_file, korean_page, open_page, language) -> None:
    page = open_page({"en": page_file, "ko": korean_page}[language], width=390, height=844, touch=True).page
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    wide = page.eval_on_selector_all(".scroll", "all => all.filter(s => s.scrollWidth > s.clientWidth).length")
    assert wide > 0  # wide tables scroll in a box of their own
    answer = page.eval_on_selector("#table-answer .scroll", "box => box.scrollWidth - box.clientWidth")
    assert answer == 0  # the answer is seen whole


def test_the_longest_names_leave_a_phone_its_width(study_copy, open_page) -> None:
    study = json.loads((study_copy / "study.json").read_bytes())
    long = "w" * 90
    study["spec"]["title"] = long
    study["data"] |= {"labels": [long + str(index) for index in range(4)], "name": long, "origin": long}
    study["environment"] |= {"machine": long, "system": long}
    study["spec"]["experiment"][0] |= {"title": long, "source": long}
    write_json(study_copy, "study.json", study)
    page = open_page(build_report(study_copy).html, width=390, height=844).page
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_phone_breaks_no_word_at_the_head_of_a_row(page_file, korean_page, open_page, language) -> None:
    page = open_page({"en": page_file, "ko": korean_page}[language], width=390, height=844).page
    whole, broken = page.evaluate("""() => {
        const words = [[], []];
        for (const cell of document.querySelectorAll("tbody th:first-child")) {
            const text = cell.firstChild, range = document.createRange();
            for (const word of text?.data?.matchAll(/[^\\s-]+/g) ?? []) {
                range.setStart(text, word.index);
                range.setEnd(text, word.index + word[0].length);
                words[Number(range.getClientRects().length > 1)].push(word[0]);
            }
        }
        return words;
    }""")
    assert len(whole) > 40
    assert broken == []


def test_light_and_dark(page_file, open_page) -> None:
    light, dark = open_page(page_file).page, open_page(page_file, dark=True).page
    ground = "getComputedStyle(document.body).backgroundColor"
    assert light.evaluate(ground) != dark.evaluate(ground)
    dark.locator("#theme").click()
    assert light.evaluate(ground) == dark.evaluate(ground)


@pytest.mark.parametrize("chosen", ["by the system", "by the reader"])
def test_dark_prints_as_light_does(page_file, open_page, chosen) -> None:
    seen = """() => [...document.querySelectorAll("body, h2, .note, .scroll, td, .plot text, .line, .m, .cell")]
        .map(e => getComputedStyle(e)).map(s => [s.color, s.backgroundColor, s.fill, s.stroke, s.borderColor].join())"""
    light, dark = open_page(page_file).page, open_page(page_file, dark=chosen == "by the system").page
    if chosen == "by the reader":
        dark.locator("#theme").click()
    assert light.evaluate(seen) != dark.evaluate(seen)
    for page in (light, dark):
        assert page.locator("#live").is_visible()
        page.emulate_media(media="print")
        assert page.locator("#live").is_hidden()  # on paper there is nothing to try
    assert light.evaluate(seen) == dark.evaluate(seen)
    body = "getComputedStyle(document.body)"
    assert dark.evaluate(f"[{body}.backgroundColor, {body}.color]") == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]


def test_paper_has_every_row_and_column(study_copy, open_page, monkeypatch) -> None:
    monkeypatch.setattr("niwaki.reporting.sections.tables.LONG", 3)
    study = json.loads((study_copy / "study.json").read_bytes())
    study["spec"]["experiment"][0]["columns"] += ["macs", "file", "bytes", "flash"]
    write_json(study_copy, "study.json", study)
    page = open_page(build_report(study_copy).html, width=703, dark=True).page  # as wide as A4 within the margins
    page.emulate_media(media="print")
    page.evaluate("""addEventListener("beforeprint", () => {
        const tables = [...document.querySelectorAll(".table")];
        window.onPaper = {
            folded: tables.filter(t => t.querySelector("details:not([open])")).map(t => t.id),
            over: tables.map(t => t.querySelector(".scroll")).filter(s => s.scrollWidth > s.clientWidth).length,
            columns: document.querySelectorAll("#table-ratio thead th").length,
        };
    })""")
    folded = "document.querySelectorAll('.table details:not([open])').length"
    before = page.evaluate(folded)
    assert before > 2
    page.pdf()
    assert page.evaluate("window.onPaper") == {"folded": [], "over": 0, "columns": 14}
    assert page.evaluate(folded) == before  # on the screen all is as it was


@pytest.mark.parametrize("width", [1280, 1440, 1600, 1920])
def test_a_desktop_shows_tables_whole(page_file, open_page, width) -> None:
    page = open_page(page_file, width=width).page
    sizes = page.eval_on_selector_all(
        ".table", "all => all.map(t => [t.id, t.querySelectorAll('thead th').length, "
        "(s => s.scrollWidth - s.clientWidth)(t.querySelector('.scroll'))])",
    )  # fmt: skip
    assert len(sizes) > 6
    assert [size for size in sizes if size[2] > 0] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_only_a_table_that_scrolls_has_a_shade_at_its_edge(page_file, open_page) -> None:
    for width, scrolls in ((1280, False), (390, True)):
        page = open_page(page_file, width=width).page
        box = page.locator("#table-ratio .scroll")
        assert box.evaluate("s => s.scrollWidth > s.clientWidth") is scrolls
        edge = Image.open(io.BytesIO(box.screenshot())).convert("RGB")
        ground = tuple(map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))))
        colours = {
            edge.getpixel((edge.width - 2, y)) for y in range(4, 12)
        }  # above the heads: nothing is written there
        assert (colours == {ground}) is not scrolls


def test_a_loss_does_not_look_like_a_gain(study_copy, open_page) -> None:
    """In the table of the answer as in the large figures above it, light and dark; its sign says so without colour."""
    evidence = json.loads((study_copy / "evidence.json").read_bytes())
    confusion = evidence["confusion"]["chosen_int8"]
    evidence["confusion"]["chosen_int8"] = [row[1:] + row[:1] for row in confusion]  # right becomes wrong
    write_json(study_copy, "evidence.json", evidence)
    page_file = build_report(study_copy).html
    found = "all => all.map(e => [e.textContent, getComputedStyle(e).color])"
    for dark in (False, True):
        page = open_page(page_file, dark=dark).page
        cells = dict(page.eval_on_selector_all("#table-answer td:last-child", found))
        losses = {colour for text, colour in cells.items() if text.startswith("−")}
        gains = {colour for text, colour in cells.items() if text[0].isdigit() and float(text.rstrip("×")) >= 1}
        large = dict(page.eval_on_selector_all(".headlines b", found))
        assert len(losses) == len(gains) == 1
        assert losses != gains
        assert losses == {colour for text, colour in large.items() if text.startswith("−")}


@pytest.mark.parametrize(("language", "dark"), [("en", False), ("ko", True)])
def test_axe_finds_no_serious_fault(page_file, korean_page, open_page, language, dark) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    page = open_page({"en": page_file, "ko": korean_page}[language], dark=dark).page
    page.add_style_tag(content="* { transition: none !important }")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    found = axe.Axe().run(page).response["violations"]
    grave = [
        (fault["id"], [node["target"] for node in fault["nodes"]][:3])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]
    assert grave == []
    levels = page.eval_on_selector_all("h1,h2,h3,h4", "all => all.map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
