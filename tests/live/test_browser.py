"""The live part in real Chromium, opened from a file under a report's policy."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from niwaki import api
from niwaki.compiled.library import CModel
from niwaki.data.class_names import name_classes
from niwaki.data.dataset import open_dataset
from niwaki.data.prepare import prepare
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.spec import DataSpec
from niwaki.deploy.images import random_images
from niwaki.live.build import build
from niwaki.live.part import LivePart
from niwaki.models.factory import build_seeded
from niwaki.vision.library import Vision
from niwaki.vision.reference import Reference

expect = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright").expect
BYTES = "text => Uint8Array.from(atob(text), c => c.charCodeAt(0))"
PHONE = {"viewport": {"width": 390, "height": 844}}


def encoded(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array)).decode()


def scores_on(page) -> list[int]:
    """The numbers that the page shows."""
    return [int(text.replace("−", "-")) for text in page.locator("#live-scores td:last-child").all_inner_texts()]


def word_on(page) -> str:
    return page.inner_text("#live-word")


def seen_on(page) -> np.ndarray:
    """What the page shows as seen by the network, uint8 (H, W, 4)."""
    return pixels_of(page, "#live-seen")


def pixels_of(page, canvas: str) -> np.ndarray:
    url = page.eval_on_selector(canvas, "canvas => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def drop(page, name: str, content: bytes) -> None:
    """Drop a file onto the instrument, as a hand would."""
    transfer = page.evaluate_handle(
        f"""([name, text]) => {{
          const transfer = new DataTransfer();
          transfer.items.add(new File([({BYTES})(text)], name, {{ type: "image/png" }}));
          return transfer;
        }}""",
        [name, base64.b64encode(content).decode()],
    )
    for kind in ("dragenter", "dragover", "drop"):
        page.dispatch_event("#live-instrument", kind, {"dataTransfer": transfer})


def wait_for_class(page) -> None:
    expect(page.locator(".live-first")).to_have_count(1)


def choose(page, name: str, content: bytes) -> None:
    page.set_input_files("#live-file", {"name": name, "mimeType": "image/png", "buffer": content})
    expect(page.locator("#live-picture-remark")).to_contain_text(name)  # decoded: no class is of what was shown before


def test_every_image_of_the_strip_has_the_scores_of_native_c(show, part, study):
    page = show(part)
    told = json.loads(part.data)["strip"]
    pictures = np.frombuffer(base64.b64decode(told["pixels"]), np.uint8).reshape(-1, 28, 28)
    expected = study.scores(pictures)
    shown = page.evaluate("""() => [...document.querySelectorAll("#live-strip button")].map((button) => {
      button.click();
      const text = (id) => document.getElementById(`live-${id}`).innerText;
      const scores = [...document.querySelectorAll("#live-scores td:last-child")].map((cell) => cell.innerText);
      return [text("word"), text("truth"), button.getAttribute("aria-label"), scores];
    })""")
    assert len(shown) == len(pictures)
    for (word, truth, name, numbers), scores, label in zip(shown, expected, told["labels"], strict=True):
        assert [int(number.replace("−", "-")) for number in numbers] == scores.tolist()
        best = int(scores.argmax())
        assert word == study.data.labels[best]
        assert truth.endswith("right" if best == label else "wrong")
        assert ("gets it wrong" in name) == (best != label)
    np.testing.assert_array_equal(seen_on(page)[..., 0], pictures[-1])
    assert re.fullmatch(r"[\d.,]+ µs", page.inner_text("#live-time"))
    share = page.inner_text(".live-first td:nth-child(3)")
    assert page.inner_text("#live-said") == f"{word_on(page)}, {share.removesuffix('%')}percent"


def scores_in(page, images: np.ndarray) -> np.ndarray:
    """int8 scores of images, uint8 (n, 1, 32, 32), by the page's own module."""
    found = page.evaluate(
        f"""async ([text, count]) => {{
          const bytes = ({BYTES})(text);
          const size = bytes.length / count;
          const images = Array.from({{ length: count }}, (_, i) => bytes.subarray(size * i, size * (i + 1)));
          return Promise.all(images.map(async (image) => [...await niwakiLive.scores(image)]));
        }}""",
        [encoded(images), len(images)],
    )
    return np.array(found)


def test_a_thousand_images_have_the_scores_of_native_c(show, part, study):
    images = study.data.test.images[:1000]
    np.testing.assert_array_equal(scores_in(show(part), images), study.c(np.ascontiguousarray(images)))


@pytest.mark.soak
def test_all_images_of_fashion_mnist_have_the_scores_of_native_c(show, part, study, true_data):
    spec = DataSpec(name="fashion-mnist", path=true_data, preprocessing=Preprocessing(pad=2))
    images = np.ascontiguousarray(open_dataset(prepare(spec)).test.images)
    np.testing.assert_array_equal(scores_in(show(part), images), study.c(images))


def test_vision_finds_what_it_finds_natively(show, part, study, photograph):
    page = show(part)
    rng = np.random.default_rng(0)
    noisy = np.clip(photograph + rng.normal(0, 6, photograph.shape), 0, 255).astype(np.uint8)
    scene = np.clip(rng.normal(90, 4, (2, 150, 200)), 0, 255).astype(np.uint8)
    with_scene = scene[0].copy()
    with_scene[30:110, 60:120] -= 60
    empty: list[np.ndarray] = []
    for frame, scenes in ((photograph, empty), (255 - noisy, empty), (with_scene, list(scene)), (scene[0], empty)):
        height, width = frame.shape
        found = page.evaluate(
            f"""async ([frame, scenes, width, height]) => {{
              const found = await niwakiLive.find(({BYTES})(frame), width, height, scenes.map({BYTES}));
              return {{ ...found, picture: [...found.picture] }};
            }}""",
            [encoded(frame), [encoded(one) for one in scenes], width, height],
        )
        for eye in (Vision(study.vision, width, height), Reference(width, height)):
            for one in scenes:
                eye.learn(one)
            expected = eye.find(frame)
            assert [found[name] for name in ("x", "y", "width", "height")] == list(expected.box)
            assert (found["outcome"] == 0) == expected.found
            assert (found["polarity"], found["contrast"]) == (expected.polarity, expected.contrast)
            assert bool(found["usedScene"]) == expected.used_scene
            assert found["picture"] == expected.picture.reshape(-1).tolist()


def test_a_photograph_is_dropped_or_chosen(show, part, study, photograph):
    page = show(part)
    expected = study.scores(study.find(photograph)[None])[0]
    for bring, name in ((drop, "<i>coat</i>.png"), (choose, "coat.png")):
        page.click("#live-tab-pad")
        bring(page, name, png(photograph))
        page.wait_for_selector("#live-picture:visible")
        wait_for_class(page)
        assert page.inner_text("#live-picture-remark") == name
        assert scores_on(page) == expected.tolist()
        assert word_on(page) == study.data.labels[int(expected.argmax())]
        np.testing.assert_array_equal(seen_on(page)[..., 0], study.find(photograph))
    page.uncheck("#live-find")  # then it is only made smaller, by the preprocessing's rule
    fitted = Preprocessing(size=(28, 28)).decode(Image.fromarray(photograph))
    np.testing.assert_array_equal(seen_on(page)[..., 0], fitted[0])
    assert scores_on(page) == study.scores(fitted)[0].tolist()


def test_what_is_found_nowhere_and_what_is_no_picture(show, part):
    page = show(part)
    choose(page, "wall.png", png(np.full((100, 100), 90, np.uint8)))
    expect(page.locator("#live-word")).to_have_text(re.compile("^Nothing stands out"), timeout=20_000)
    assert page.locator(".live-first").count() == 0
    choose(page, "letter.png", b"no picture")
    expect(page.locator("#live-picture-remark")).to_have_text(re.compile("^letter.png: "))
    choose(page, "line.png", png(np.full((2, 300), 90, np.uint8)))  # too low for vision
    wait_for_class(page)


@pytest.mark.parametrize("pad", [0, 2])
def test_a_picture_of_the_networks_own_size_is_taken_as_it_is(show, part, study, pad):
    page = show(part)
    picture = study.data.test.images[7, 0, 2:-2, 2:-2]
    choose(page, "own.png", png(np.pad(picture, pad)))
    expect(page.locator("#live-picture-remark")).to_have_text(re.compile("used unchanged$"))
    assert scores_on(page) == study.scores(picture[None])[0].tolist()


def test_a_drawing(show, part, study):
    page = show(part)
    page.click("#live-tab-pad")
    assert word_on(page) == "Nothing shown yet"
    box = page.locator("#live-pad").bounding_box()

    def at(x: float, y: float) -> tuple[float, float]:
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    page.mouse.move(*at(0.6, 0.2))
    page.mouse.down()
    for x, y in ((0.8, 0.2), (0.8, 0.6), (0.2, 0.6), (0.2, 0.5), (0.6, 0.4), (0.6, 0.2)):
        page.mouse.move(*at(x, y), steps=4)
    page.mouse.up()
    wait_for_class(page)
    drawn = pixels_of(page, "#live-pad")[..., 0]
    assert drawn[140, 200] == 255  # inside of the outline, over which no pen went
    expected = study.find(np.pad(drawn, 40))
    np.testing.assert_array_equal(seen_on(page)[..., 0], expected)
    assert scores_on(page) == study.scores(expected[None])[0].tolist()
    page.click("#live-tab-strip")
    page.click("#live-tab-pad")  # it is still there
    np.testing.assert_array_equal(seen_on(page)[..., 0], expected)
    page.click("#live-clear")
    assert word_on(page) == "Nothing shown yet"
    assert not pixels_of(page, "#live-pad")[..., 0].any()


def test_a_drawing_by_keys(show, part):
    page = show(part)
    page.click("#live-tab-pad")
    page.focus("#live-pad")
    for key in ["Space", *["ArrowDown"] * 8, *["ArrowLeft"] * 4, "Space"]:
        page.keyboard.press(key)
    wait_for_class(page)
    assert page.inner_text("#live-said").startswith(word_on(page))


def test_the_camera_names_a_garment_and_learns_the_empty_scene(show, part, study, photograph):
    page = show(part)
    page.click("#live-tab-camera")
    page.click("#live-camera-switch")
    said = page.locator("#live-said")
    label = study.data.labels[int(study.scores(study.find(photograph)[None])[0].argmax())]
    expect(said).to_have_text(re.compile(f"^{label}, "), timeout=20_000)
    assert word_on(page) == label
    expect(page.locator("#live-word")).to_have_text(re.compile("^Nothing stands out"), timeout=20_000)
    page.click("#live-learn")
    page.wait_for_selector("#live-forget:visible")
    expect(said).to_have_text(re.compile(f"^{label}, "), timeout=20_000)
    assert "pictures per second" in page.inner_text("#live-rate")
    page.click("#live-tab-strip")  # the camera is let go
    assert page.evaluate("document.getElementById('live-video').srcObject") is None


def test_a_camera_that_is_granted_too_late_is_let_go(show, part):
    page = show(part)
    page.click("#live-tab-camera")
    page.evaluate("""() => {
      document.getElementById("live-camera-switch").click();
      document.getElementById("live-camera-switch").click();
      document.getElementById("live-tab-strip").click();
    }""")
    word = word_on(page)
    page.wait_for_timeout(500)
    assert page.evaluate("document.getElementById('live-video').srcObject") is None
    assert word_on(page) == word
    page.click("#live-tab-camera")
    page.click("#live-camera-switch")
    expect(page.locator("#live-camera-switch")).to_have_text("Stop the camera")


def test_a_camera_that_is_refused_or_missing(show, launch, part):
    for arguments, said in (
        (("--deny-permission-prompts", "--use-fake-device-for-media-stream"), "The browser refused the camera"),
        (
            ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream=device-count=0"),
            "No camera was found",
        ),
    ):
        other = launch(*arguments)
        try:
            page = show(part, started_with=other)
            page.click("#live-tab-camera")
            page.click("#live-camera-switch")
            expect(page.locator("#live-camera-remark")).to_have_text(re.compile(f"^{said}"))
        finally:
            other.close()


VOICES = """
  window.spoken = [];
  const voices = VOICES.map(([name, lang, localService]) => ({ name, lang, localService, default: false }));
  window.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
  Object.defineProperty(window, "speechSynthesis", { value: {
    getVoices: () => voices, addEventListener() {}, cancel() {},
    speak: (one) => window.spoken.push([one.text, one.voice.name, one.lang]),
  } });
"""
REMOTE, ENGLISH, KOREAN = ["cloud", "en-US", False], ["here", "en_GB", True], ["yuna", "ko-KR", True]


def test_only_voices_of_the_device_speak(show, part, study):
    page = show(part, before=VOICES.replace("VOICES", json.dumps([REMOTE, ENGLISH, KOREAN])))
    page.click("#live-speak")
    named = name_classes(study.data.labels, ("en", "ko"))
    shown = [study.data.labels.index(word_on(page))]
    assert page.evaluate("spoken") == [[named[shown[0]].names["en"], "here", "en_GB"]]
    page.select_option("#live-voice", "ko")
    page.locator("#live-strip button").nth(1).click()
    shown.append(study.data.labels.index(word_on(page)))
    assert page.evaluate("spoken")[1:] == [[named[index].names["ko"], "yuna", "ko-KR"] for index in shown]
    page.click("#live-speak")
    page.locator("#live-strip button").nth(2).click()
    assert len(page.evaluate("spoken")) == 3


def test_without_a_voice_of_the_device_nothing_speaks(show, part):
    page = show(part, before=VOICES.replace("VOICES", json.dumps([REMOTE, ["elsewhere", "de-DE", True]])))
    assert page.is_disabled("#live-speak")
    assert "no English or Korean voice of its own" in page.inner_text("#live-no-voice")


def test_markup_in_a_label_stays_text(show, small_export, small_data, tmp_path):
    labels = ["<script>document.title = 'run'</script>", "</script>", '"><img src=x>', "&amp;"]
    model = onnx.load(str(small_export / "model-int8.onnx"))
    entry = next(entry for entry in model.metadata_props if entry.key == "niwaki.labels")
    entry.value = json.dumps(labels)
    onnx.save(model, str(tmp_path / "labelled.onnx"))
    api.export(tmp_path / "labelled.onnx", tmp_path / "chosen")
    part = build(tmp_path, data=replace(small_data, labels=tuple(labels)))
    page = show(part)
    assert page.locator("#live-scores th").all_inner_texts() == labels
    first = json.loads(part.data)["strip"]["places"][0]
    scores = CModel(tmp_path / "chosen/c")(small_data.test.images[first : first + 1])
    assert word_on(page) == labels[int(scores.argmax())]
    assert page.title() == "Live"


@pytest.fixture(scope="module")
def coloured(tmp_path_factory) -> tuple[Path, LivePart]:
    """A study's folder with a network for colour images of 20 × 16 within 24 × 20, with random weights."""
    folder = tmp_path_factory.mktemp("coloured")
    args = {"num_classes": 3, "image_size": 20, "in_channels": 3, "widths": [3, 4, 8, 6]}
    model = build_seeded("lenet5", args, 0)
    file = api.save(
        model, folder / "chosen.safetensors", factory="lenet5", args=args, input_shape=(3, 20, 20),
        labels=["red", "green", "blue"], preprocessing=Preprocessing(color="rgb", size=(16, 16), pad=2),
    )  # fmt: skip
    images = np.ascontiguousarray(random_images((3, 16, 16), 60).transpose(0, 2, 3, 1))
    labels = np.arange(60) % 3
    names = np.array(["red", "green", "blue"])
    np.savez(folder / "noise.npz", x_train=images, y_train=labels, x_test=images, y_test=labels, labels=names)
    api.export(file, folder / "chosen", to="c", data=str(folder / "noise.npz"), images=20)
    return folder, build(folder)


@pytest.mark.parametrize("rule", ["fit", "crop", "stretch"])
def test_a_network_for_colours_has_no_vision_and_sees_what_the_preprocessing_makes(show, coloured, rule):
    folder, part = coloured
    part = LivePart(part.html, part.script, part.style, part.data.replace('"fit"', f'"{rule}"'), part.note)
    page = show(part)
    assert page.locator("#live-find").count() == 0
    picture = np.random.default_rng(1).integers(0, 256, (37, 61, 3), dtype=np.uint8)
    choose(page, "noise.png", png(picture))
    wait_for_class(page)
    pixels = Preprocessing(color="rgb", size=(16, 16), pad=2, resize=rule).decode(Image.fromarray(picture))
    np.testing.assert_array_equal(seen_on(page)[..., :3], pixels[:, 2:-2, 2:-2].transpose(1, 2, 0))
    assert scores_on(page) == CModel(folder / "chosen/c")(pixels[None])[0].tolist()


def test_a_browser_that_cannot_run_it_says_so(show, part):
    told = json.loads(part.data)
    told["module"] = base64.b64encode(base64.b64decode(told["module"])[:100]).decode()
    page = show(LivePart(part.html, part.script, part.style, json.dumps(told), ""))
    assert "since March 2023" in page.inner_text("#live-fault")
    assert not page.is_visible("#live-instrument")


def test_tabs_by_keys_and_no_sideways_scrolling_on_a_phone(show, study):
    page = show(build(study.folder, lang="ko", data=study.data), lang="ko", color_scheme="dark", **PHONE)
    page.focus("#live-tab-strip")
    for mode in ("picture", "camera", "pad", "strip"):
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.id") == f"live-tab-{mode}"
        assert page.locator("[role=tabpanel]:visible").get_attribute("id") == f"live-panel-{mode}"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.focus("#live-strip button")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator("#live-strip button").nth(1).get_attribute("aria-pressed") == "true"


def test_no_serious_accessibility_fault(show, part):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="needs axe: pip install axe-playwright-python"
    )
    page = show(part)
    for mode in ("strip", "picture", "camera", "pad"):
        page.click(f"#live-tab-{mode}")
        found = axe.Axe().run(page).response["violations"]
        assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
