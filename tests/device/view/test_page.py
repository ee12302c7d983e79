"""The page in a real browser: Chromium, driven by Playwright."""

import base64
import re
from pathlib import Path

import numpy as np
import pytest

from live_view import BOX, CLASSES, COAT, LABELS, LOGITS, NAMES, NOTHING, TOKEN, eventually, frame_of, serving, snapshot
from niwaki.device.view.page import load_page, policy_for

CHROMIUM = Path("/usr/bin/chromium")
PHONE = {"width": 390, "height": 844}
UNCLEAR = COAT._replace(state="unclear", class_index=None, energy=-4.1, reason="energy")
EMPTY = COAT._replace(state="empty", class_index=None, energy=None, mean_logits=None, reason="nothing")
LEVELS = """(id) => {
  const canvas = document.getElementById(id), { width, height } = canvas;
  const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  let text = "";
  for (const level of pixels) text += String.fromCharCode(level);
  return [width, height, btoa(text)];
}"""


@pytest.fixture(scope="module")
def chromium():
    """One browser for all tests."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if not CHROMIUM.exists():
        pytest.skip("needs chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM))
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium):
    """Opens pages; afterwards none of them has complained."""
    contexts, complaints = [], []

    def open_page(url, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.complaints = complaints
        page.set_default_timeout(20_000)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def view():
    class Buttons:
        """As the loop does: the next frame is in the language that was asked for."""

        def __init__(self):
            self.pressed = []
            self.code = "en"

        def learn(self):
            self.pressed.append("learn")
            view.publish(snapshot(source_state="learning", language=self.code))

        def forget(self):
            self.pressed.append("forget")

        def language(self, code):
            self.pressed.append(code)
            self.code = code
            view.publish(snapshot(language=code))

    with serving(controls=Buttons()) as view:
        view.buttons = view._server.answer.__self__._controls
        yield view


def shows(page, selector, text):
    """Wait until an element says just that."""
    page.locator(selector).and_(page.get_by_text(text, exact=True)).wait_for(state="attached")


def levels(page, canvas):
    """The grey levels that a canvas shows; grey and opaque they must be."""
    width, height, data = page.evaluate(LEVELS, canvas)
    pixels = np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)
    assert (pixels[..., 3] == 255).all()
    assert (pixels[..., 0] == pixels[..., 1]).all()
    assert (pixels[..., 0] == pixels[..., 2]).all()
    return pixels[..., 0]


def test_pictures_are_drawn_as_they_were_published(view, opened):
    page = opened(view.url)
    view.publish(snapshot(number=1))
    shows(page, "#number", "1")
    np.testing.assert_array_equal(levels(page, "picture"), frame_of(64, 48))
    np.testing.assert_array_equal(levels(page, "inner"), frame_of(28, 28, 1))
    assert page.eval_on_selector("#inner", "e => getComputedStyle(e).imageRendering") == "pixelated"
    view.publish(snapshot(number=2, frame=frame_of(640, 480)))
    shows(page, "#number", "2")
    np.testing.assert_array_equal(levels(page, "picture"), frame_of(640, 480)[::2, ::2])


def test_the_box_lies_over_the_garment(view, opened):
    page = opened(view.url)
    view.publish(snapshot(finding=BOX._replace(x=16, y=12, width=32, height=24)))
    shows(page, "#place", "Garment: 32 × 24 pixels")
    box, well = page.locator("#box").bounding_box(), page.locator("#picture").bounding_box()
    assert box["x"] - well["x"] == pytest.approx(well["width"] / 4, abs=1)
    assert box["y"] - well["y"] == pytest.approx(well["height"] / 4, abs=1)
    assert box["width"] == pytest.approx(well["width"] / 2, abs=1)
    assert box["height"] == pytest.approx(well["height"] / 2, abs=1)
    view.publish(snapshot(finding=NOTHING, decision=EMPTY, logits=None))
    page.wait_for_selector("#box", state="hidden")


def test_scores_names_and_figures(view, opened):
    page = opened(view.url)
    view.publish(snapshot(number=1234))
    shows(page, "#word", "coat")
    weights = np.exp(np.array(LOGITS) - max(LOGITS))
    expected = [f"{100 * share:.0f} %" for share in weights / weights.sum()]
    assert page.locator("#scores .name").all_text_contents() == list(NAMES)
    assert page.locator("#scores .share").all_text_contents() == expected
    assert page.locator("#scores .top .name").all_text_contents() == ["coat"]
    width = page.eval_on_selector("#scores li:nth-child(5) .fill", "e => e.style.width")
    assert float(width.rstrip("%")) == pytest.approx(100 * weights[4] / weights.sum(), abs=0.05)
    figures = page.locator("dd").all_text_contents()
    assert figures == ["30.0", "412 µs", "1.83 ms", "learned", "1234"]
    assert page.locator("#energy").text_content() == "energy −9.1, limit −6.0"
    assert page.title() == "niwaki · lenet5"


@pytest.mark.parametrize(
    ("changes", "word", "hint"),
    [
        ({"decision": COAT._replace(state="settling", reason="settling")}, "coat", "Looks like it: keep it still"),
        ({"decision": UNCLEAR}, "Not sure", "This looks like nothing that it knows"),
        ({"decision": UNCLEAR._replace(reason="margin")}, "Not sure", "Two names are equally likely"),
        ({"decision": UNCLEAR._replace(reason="mixed")}, "Not sure", "The frames of the last second do not agree"),
        ({"finding": NOTHING, "decision": EMPTY}, "Nothing there", "Hold a garment in front of the camera"),
        ({"finding": NOTHING._replace(outcome="too_small"), "decision": EMPTY._replace(reason="too_small")},
         "Too small", "Bring it closer to the camera"),
        ({"finding": BOX._replace(outcome="too_large"), "decision": UNCLEAR._replace(reason="too_large")},
         "Too large", "Move it away from the camera, until all of it is seen"),
    ],
)  # fmt: skip
def test_states_in_words(view, word_page, changes, word, hint):
    word_page.view.publish(snapshot(**changes))
    shows(word_page, "#word", word)
    shows(word_page, "#hint", hint)


@pytest.fixture(scope="module")
def word_page(chromium):
    """One page for many states."""
    with serving() as view:
        page = chromium.new_page()
        page.view = view
        page.goto(view.url)
        yield page
        page.close()


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("running", "Camera running"),
        ("waiting", "Camera lost: waiting for it"),
        ("learning", "Learning the empty scene"),
    ],
)
def test_the_camera_in_words(word_page, state, text):
    word_page.view.publish(snapshot(source_state=state))
    shows(word_page, "#source", text)


def test_a_lost_camera_has_no_answer(word_page):
    word_page.view.publish(snapshot(source_state="waiting"))
    shows(word_page, "#source", "Camera lost: waiting for it")
    assert word_page.locator("#word").text_content() == "–"
    assert float(word_page.eval_on_selector("#picture", "e => getComputedStyle(e).opacity")) < 0.5


def test_what_was_spoken(view, opened):
    page = opened(view.url)
    view.publish(snapshot(decision=COAT._replace(speak=9), language="ko"))
    view.publish(snapshot(decision=COAT._replace(speak=4)))
    shows(page, "#words li:first-child span", "coat")
    assert page.locator("#words li span").all_text_contents() == ["coat", "앵클 부츠"]
    assert page.locator("#words li span").last.get_attribute("lang") == "ko"
    shows(page, "#announce", "coat")  # read aloud by a screen reader


def test_the_buttons_by_keyboard(view, opened):
    page = opened(view.url)
    view.publish(snapshot())
    shows(page, "#word", "coat")
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent"))
        page.keyboard.press("Enter")
        assert eventually(lambda: len(view.buttons.pressed) == len(reached))
        page.locator("html[lang={}]".format("en" if len(reached) == 1 else "ko")).wait_for()
    assert reached == ["English", "한국어", "빈 배경 익히기", "지우기"]
    assert view.buttons.pressed == ["en", "ko", "learn", "forget"]


def test_in_korean(view, opened):
    page = opened(view.url, viewport=PHONE)
    view.publish(snapshot())
    shows(page, "#word", "coat")
    page.get_by_role("button", name="한국어").click()
    shows(page, "#word", "코트")
    assert eventually(lambda: view.buttons.pressed == ["ko"])
    assert page.locator("html").get_attribute("lang") == "ko"
    assert page.locator("#scores .name").all_text_contents() == list(NAMES.values())
    assert page.get_by_role("button", name="한국어").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="빈 배경 익히기").click()
    shows(page, "#source", "빈 배경을 익히는 중")
    shows(page, "#note", "요청함: 잠시 화면을 비워 두세요")
    latin = re.findall(r"[A-Za-z]{2,}", page.locator("main").inner_text())
    assert set(latin) == {"ms"}


@pytest.mark.parametrize("width", [320, 390, 844, 1280])
@pytest.mark.parametrize("code", ["en", "ko"])
def test_nothing_scrolls_sideways(word_page, width, code):
    word_page.set_viewport_size({"width": width, "height": 844})
    decision = COAT._replace(speak=9)
    word_page.view.publish(snapshot(language=code, decision=decision, frame=frame_of(640, 480), number=10_000_000))
    shows(word_page, "#word", CLASSES[4]["names"][code])
    assert word_page.evaluate("document.documentElement.scrollWidth") <= width
    buttons = word_page.locator("button").all()
    assert all(button.bounding_box()["height"] >= 36 for button in buttons)


def test_accessible_by_the_rules_of_axe(view, opened):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    page = opened(view.url)
    view.publish(snapshot(decision=UNCLEAR._replace(speak=9)))
    shows(page, "#word", "Not sure")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = axe.Axe().run(page).response["violations"]
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []


def test_by_the_link_with_the_token(opened):
    with serving(TOKEN) as view:
        page = opened(view.url)
        view.publish(snapshot())
        shows(page, "#word", "coat")
        assert TOKEN not in page.url
        page.reload()
        shows(page, "#word", "coat")
        page.get_by_role("button", name="Learn empty scene").click()
        assert eventually(lambda: view.buttons.pressed == ["learn"])
        assert TOKEN not in page.evaluate("document.cookie")
        page.close()


def test_only_this_server_is_asked(view, opened):
    asked = []
    page = opened("about:blank")
    page.on("request", lambda request: asked.append(request.url))
    page.goto(view.url)
    view.publish(snapshot())
    shows(page, "#word", "coat")
    assert {url for url in asked if not url.startswith("data:")} >= {view.url, view.url + "about"}
    assert all(url.startswith((view.url, "data:")) for url in asked)


def test_a_foreign_script_in_the_page_does_not_run(view, opened):
    page = opened("about:blank")
    foreign = "<script>document.title = 'foreign'</script><p id=foreign onclick=\"document.title = 'foreign'\">x</p>"

    def inject(route):
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("<body>", "<body>" + foreign))

    page.route(view.url, inject)
    page.goto(view.url)
    view.publish(snapshot())
    shows(page, "#word", "coat")  # its own script does
    page.click("#foreign")
    assert page.title() == "niwaki · lenet5"
    refused = [text for text in page.complaints if "Content Security Policy" in text]
    assert len(refused) == 2
    page.complaints.clear()


def test_a_server_that_ends_and_comes_back(view, opened):
    page = opened(view.url)
    view.publish(snapshot())
    shows(page, "#word", "coat")
    view.stop()
    shows(page, "#source", "No connection to niwaki: trying again")
    with serving(port=view.port, labels=LABELS._replace(classes=CLASSES[4:6])) as again:  # of another network
        decision = COAT._replace(class_index=1, mean_logits=(0.0, 5.0))
        again.publish(snapshot(number=77, logits=(0.0, 5.0), decision=decision))
        shows(page, "#number", "77")
        shows(page, "#source", "Camera running")
        assert page.locator("#scores .name").all_text_contents() == ["coat", "sandal"]
        page.close()  # before nobody answers again
    page.complaints.clear()  # of requests that met nobody


def test_one_language_leaves_nothing_to_choose(opened):
    with serving(labels=LABELS._replace(languages=("ko",), rule=LABELS.rule._replace(energy=None))) as view:
        page = opened(view.url)
        shows(page, "#word", "–")
        page.locator("html[lang=ko]").wait_for()
        view.publish(snapshot(language="ko", decision=EMPTY, finding=NOTHING))
        shows(page, "#word", "아무것도 없음")
        assert not page.locator("#languages").is_visible()
        assert not page.locator("#gauge").is_visible()
        page.close()


def test_the_policy_follows_the_page():
    html, policy = load_page()
    assert html.count(b"<script>") == html.count(b"<style>") == 1
    assert policy_for(html) == policy
    assert policy_for(html.replace(b'"use strict";', b'"use strict"; ')) != policy
    assert policy_for(b"<script>1</script>").startswith(  # openssl dgst -sha256 -binary | base64
        "default-src 'none'; script-src 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s='; style-src ; "
    )
