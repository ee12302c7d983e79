"""Whole frames in colour: every format of a camera, film or picture comes to the network as Pillow would give it."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundled import run_program
from device.small_bundle import build, redescribe
from device.small_colours import PAD, SIDE, THINGS, photograph, train_things
from niwaki.board.compile import sources
from niwaki.board.decide import decide
from niwaki.board.decision import Decision
from niwaki.board.known import write_known
from niwaki.board.network import Network as Made
from niwaki.board.selftest import make_selftest
from niwaki.codegen.graph import reference
from niwaki.device import main
from niwaki.device.bundle import Bundle
from niwaki.device.decision import Rule, judge
from niwaki.device.errors import DeviceError
from niwaki.device.network import Network
from niwaki.device.sources import GREY, open_source
from niwaki.device.sources.jpeg import find_decoder
from niwaki.device.sources.pixels import BT601, BT709, COLOURED, COLOURLESS, layout_of
from niwaki.device.sources.v4l2 import V4l2Camera
from niwaki.device.sources.v4l2_device import Picture, _meaning
from niwaki.device.sources.v4l2_layout import COLOURS
from once import once

HEIGHT, WIDTH, GAP = 12, 16, 6  # bytes after each row


@pytest.fixture(scope="module")
def made() -> Made:
    return train_things()


@pytest.fixture(scope="module")
def folder(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    class Plain:
        """As `small_bundle.build` takes it."""

        network, rule = made, decide(made, 40, lambda _line: None)[0].rule

    work = tmp_path_factory.mktemp("c")
    return once("colour bundle", lambda out: build(Plain, out / "things", work)) / "things"


@pytest.fixture(scope="module")
def network(folder: Path) -> Network:
    return Network(Bundle.open(folder))


def ycc(rgb: np.ndarray, *, red: float = 0.299, blue: float = 0.114) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Luminance and colour in limited range, rounded, as a camera's chip makes them."""
    r, g, b = (rgb[..., channel].astype(float) for channel in range(3))
    luma = red * r + (1 - red - blue) * g + blue * b
    cb, cr = 128 + (b - luma) * 112 / 255 / (1 - blue), 128 + (r - luma) * 112 / 255 / (1 - red)
    return tuple(np.round(plane).astype(np.uint8) for plane in (16 + luma * 219 / 255, cb, cr))


def with_gap(rows: np.ndarray, stride: int) -> bytes:
    """Rows of bytes, each filled up to the stride with what no picture has in it."""
    flat = rows.reshape(len(rows), -1)
    return np.pad(flat, ((0, 0), (0, stride - flat.shape[1])), constant_values=0xEE).tobytes()


def stored(fourcc: str, rgb: np.ndarray) -> tuple[bytes, int]:
    """A picture in a format of V4L2, by the kernel's description of each, and its stride."""
    y, cb, cr = ycc(rgb)
    wide, high = (slice(None), slice(None, None, 2)), (slice(None, None, 2), slice(None, None, 2))
    if fourcc in ("YUYV", "UYVY", "YVYU", "VYUY"):
        places = {"Y": y[:, ::2], "y": y[:, 1::2], "U": cb[wide], "V": cr[wide]}
        order = {"YUYV": "YUyV", "UYVY": "UYVy", "YVYU": "YVyU", "VYUY": "VYUy"}[fourcc]
        return with_gap(np.stack([places[one] for one in order], -1), 2 * WIDTH + GAP), 2 * WIDTH + GAP
    stride = WIDTH + GAP
    if fourcc in ("NV12", "NV21", "NV16"):
        part = wide if fourcc == "NV16" else high
        pair = (cr[part], cb[part]) if fourcc == "NV21" else (cb[part], cr[part])
        return with_gap(y, stride) + with_gap(np.stack(pair, -1), stride), stride
    if fourcc in ("YU12", "YV12", "422P"):
        part = wide if fourcc == "422P" else high
        first, second = (cr, cb) if fourcc == "YV12" else (cb, cr)
        return with_gap(y, stride) + with_gap(first[part], stride // 2) + with_gap(second[part], stride // 2), stride
    order = {
        "RGB3": "RGB", "BGR3": "BGR", "XR24": "BGRx", "AR24": "BGRx", "BGR4": "BGRx", "XB24": "RGBx", "AB24": "RGBx",
        "BX24": "xRGB", "BA24": "xRGB", "RGB4": "xRGB", "RX24": "xBGR", "RA24": "xBGR",
    }[fourcc]  # fmt: skip
    blank = np.full(rgb.shape[:2], 0x55, np.uint8)
    planes = {"R": rgb[..., 0], "G": rgb[..., 1], "B": rgb[..., 2], "x": blank}
    stride = len(order) * WIDTH + GAP
    return with_gap(np.stack([planes[one] for one in order], -1), stride), stride


def blocks(seed: int = 0) -> np.ndarray:
    """Colours that are the same for each four pixels, so that sharing colour loses nothing."""
    few = np.random.default_rng(seed).integers(0, 256, (HEIGHT // 2, WIDTH // 2, 3), np.uint8)
    return few.repeat(2, 0).repeat(2, 1)


@pytest.mark.parametrize("fourcc", COLOURED)
def test_every_format_of_a_camera_gives_its_colours(network: Network, fourcc: str) -> None:
    """Within the rounding of 8 bits: exactly from RGB, within two levels from luminance and colour."""
    rgb = blocks()
    data, stride = stored(fourcc, rgb)
    layout = layout_of(fourcc, (WIDTH, HEIGHT), stride)
    pixels = network.wants.convert(data, layout)
    found = np.frombuffer(pixels, np.uint8).reshape(HEIGHT, WIDTH, 3).astype(int)
    assert abs(found - rgb).max() <= (0 if layout.matrix == 0 else 2)
    camera = V4l2Camera.__new__(V4l2Camera)  # as it reads a buffer
    camera._picture, camera._memory = Picture(fourcc, WIDTH, HEIGHT, stride, len(data)), [data]
    camera._want, camera._decoder = network.wants, None
    assert camera._pixels(0, len(data)) == pixels
    assert camera._picture.least_bytes(network.wants) <= len(data)
    with pytest.raises(ValueError, match="expected"):
        network.wants.convert(data[: layout.bytes - 1], layout)


@pytest.mark.parametrize("fourcc", COLOURLESS)
def test_a_grey_camera_gives_grey_colours(network: Network, fourcc: str) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    rows = grey if fourcc != "Y16 " else np.stack([np.zeros_like(grey), grey], -1)
    stride = rows[0].size
    found = network.wants.convert(rows.tobytes(), layout_of(fourcc, (WIDTH, HEIGHT), stride))
    assert found == grey.repeat(3).tobytes()


def test_the_matrix_of_high_definition(network: Network) -> None:
    rgb = blocks(1)
    planes = b"".join(plane.tobytes() for plane in ycc(rgb, red=0.2126, blue=0.0722))
    full = layout_of("YU12", (WIDTH, HEIGHT), WIDTH, BT709)
    area = WIDTH * HEIGHT
    layout = full._replace(
        b=full.b._replace(row=WIDTH, first=area), c=full.c._replace(row=WIDTH, first=2 * area), across=1, down=1
    )
    found = np.frombuffer(network.wants.convert(planes, layout), np.uint8).reshape(rgb.shape).astype(int)
    assert abs(found - rgb).max() <= 2


@pytest.mark.parametrize(
    ("space", "encoding", "quantization", "meaning"),
    [
        (8, 0, 0, (BT601, False)), (3, 0, 0, (BT709, False)), (7, 0, 0, (BT601, True)), (7, 0, 2, (BT601, False)),
        (8, 2, 1, (BT709, True)), (3, 1, 0, (BT601, False)),
    ],
)  # fmt: skip
def test_what_the_driver_says_of_its_colours(
    space: int, encoding: int, quantization: int, meaning: tuple[int, bool]
) -> None:
    assert _meaning(COLOURS.pack(space, 0, 0, encoding, quantization)) == meaning


def test_mjpeg_gives_its_colours(network: Network) -> None:
    """As the camera's buffer holds it: a JPEG picture, decoded by Pillow."""
    rgb = photograph("tomato", 1)
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=95, subsampling=0)
    camera = V4l2Camera.__new__(V4l2Camera)
    camera._picture, camera._memory = Picture("MJPG", 160, 120, 0, 9999), [file.getvalue()]
    camera._want, camera._decoder = network.wants, find_decoder(3)
    found = np.frombuffer(camera._pixels(0, len(file.getvalue())), np.uint8).reshape(rgb.shape)
    assert np.array_equal(found, np.asarray(Image.open(file).convert("RGB")))
    assert abs(found.astype(int) - rgb).mean() < 3


@pytest.mark.parametrize("kind", ["420jpeg", "444", "422", "mono"])
def test_films_and_pictures_give_their_colours(network: Network, tmp_path: Path, kind: str) -> None:
    rgb = blocks(2)
    y, cb, cr = ycc(rgb)
    part = {"420jpeg": np.s_[::2, ::2], "444": np.s_[:, :], "422": np.s_[:, ::2]}.get(kind)
    colour = b"" if part is None else cb[part].tobytes() + cr[part].tobytes()
    head = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 C{kind}\nFRAME\n".encode()
    (tmp_path / "film.y4m").write_bytes(head + y.tobytes() + colour)
    with open_source(f"file:{tmp_path}/film.y4m", network.wants) as film:
        found = np.frombuffer(film.read(1.0).pixels, np.uint8).reshape(rgb.shape).astype(int)
    grey = ((y.astype(float) - 16) * 255 / 219).clip(0, 255)
    expected = rgb if part is not None else grey[..., None].repeat(3, -1)
    assert abs(found - expected).max() <= 2


@pytest.mark.parametrize("ending", ["png", "ppm", "palette", "alpha", "grey"])
def test_pictures_give_their_colours(network: Network, tmp_path: Path, ending: str) -> None:
    picture = Image.fromarray(photograph("lime", 3))
    converted = {
        "palette": picture.quantize(16), "alpha": picture.convert("RGBA"), "grey": picture.convert("L"),
    }.get(ending, picture)  # fmt: skip
    file = tmp_path / f"photo.{'ppm' if ending == 'ppm' else 'png'}"
    converted.save(file)
    with open_source(f"file:{file}", network.wants) as source:
        assert source.read(1.0).pixels == converted.convert("RGB").tobytes()


def test_the_network_gets_what_pillow_makes_of_a_frame(network: Network, made: Made) -> None:
    rgb = photograph("plum", 5, 90, 150)
    finding = network.vision(150, 90).find(rgb.tobytes())
    expected = made.data.preprocessing.decode(Image.fromarray(rgb))
    padded = np.frombuffer(network.bundle.padded(finding.picture), np.uint8).reshape(3, SIDE + 2 * PAD, SIDE + 2 * PAD)
    assert abs(padded.astype(int) - expected).max() <= 1
    assert (finding.outcome, finding.x, finding.y, finding.width, finding.height) == ("found", 0, 0, 150, 90)
    scores = reference.run(made.graph, reference.quantize_pixels(made.graph, padded[None])).reshape(-1)
    assert network.scores(padded.tobytes()) == scores.tolist()
    with pytest.raises(ValueError, match="a frame of 5 bytes"):
        network.vision(150, 90).find(b"12345")
    with pytest.raises(DeviceError, match="frames of 5000 x 90"):
        network.vision(5000, 90)


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-S", "-s", "-B", "-m", "niwaki_device", *map(str, arguments)]
    return subprocess.run(command, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False)


def test_the_bundle_tests_itself_and_names_what_it_sees(folder: Path, tmp_path: Path) -> None:
    """A film of each thing gets its name, once; a recording of it replays the same."""
    done = run(folder, "selftest", "--source", "none", "--quiet", "--json")
    checks = json.loads(done.stdout)["checks"]
    assert checks["images"]["equal"] == checks["images"]["images"] == 48
    assert checks["vision"]["equal"] == checks["vision"]["frames"] == 4
    for name in THINGS:
        shown = tmp_path / name
        shown.mkdir()
        for number in range(10):
            Image.fromarray(photograph(name, 1000 + number)).save(shown / f"{number}.png")
        done = run(folder, "--source", f"file:{shown}?fps=8", "--once", "--quiet", "--record", tmp_path / "kept" / name)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{name}\n", "")
        again = run(folder, "--replay", tmp_path / "kept" / name)
        assert (again.returncode, again.stdout) == (0, f"{name}\n")


def test_a_scene_that_is_rejected_counts_as_empty(folder: Path, tmp_path: Path) -> None:
    """The same name comes again after a while of nothing that it knows."""
    frames = [photograph("lime", 2000 + n) for n in range(10)]
    nothing = np.full((120, 160, 3), 128, np.uint8)
    for number, frame in enumerate([*frames, *[nothing] * 14, *frames]):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    bundle = Bundle.open(folder)
    finding = Network(bundle).vision(160, 120).find(nothing.tobytes())
    scores = Network(bundle).scores(bundle.padded(finding.picture))
    if judge(bundle.logits(scores), bundle.rule).class_index is not None:
        pytest.fail("the test needs a frame that is rejected")
    done = run(folder, "--source", f"file:{tmp_path}?fps=8", "--once", "--quiet")
    assert done.stdout.splitlines() == ["lime", "lime"]


def test_the_program_names_what_it_sees(made: Made, tmp_path: Path) -> None:
    """Colours from PPM, a grey picture too; its own test is exact, and fails where a stored picture differs."""
    selftest = make_selftest(made.graph, made.data, PAD, made.look)
    known = write_known(selftest, made.labels, Decision.of(Rule()), PAD, made.look)
    files = {**sources(made.source), "known.c": known}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    code = [name for name in files if name.endswith(".c")]
    strict = [
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-O1",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
    ]
    subprocess.run(["gcc", *strict, "-o", "niwaki", *code, "-lm"], cwd=tmp_path, check=True)
    for name in THINGS:
        Image.fromarray(photograph(name, 7)).save(tmp_path / f"{name}.ppm")
        done = run_program(tmp_path / "niwaki", "classify", f"{name}.ppm", folder=tmp_path)
        assert done.stdout.startswith(f"{name}.ppm: {name} ("), done
    Image.fromarray(photograph("plum", 7)).convert("L").save(tmp_path / "grey.pgm")
    done = run_program(tmp_path / "niwaki", "classify", "grey.pgm", "known.c", folder=tmp_path)
    assert done.stdout.startswith("grey.pgm: ")
    assert "no PPM or PGM (P2, P3, P5 or P6)" in done.stderr
    done = run_program(tmp_path / "niwaki", "selftest", folder=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[1:]) == (0, ["images: 48 of 48 exact", "frames: 4 of 4 exact"])
    selftest.pictures[2, 1, 5, 5] ^= 1
    selftest.findings[2].picture[1, 5, 5] ^= 1
    (tmp_path / "known.c").write_bytes(write_known(selftest, made.labels, Decision.of(Rule()), PAD, made.look))
    subprocess.run(["gcc", *strict, "-o", "niwaki", *code, "-lm"], cwd=tmp_path, check=True)
    done = run_program(tmp_path / "niwaki", "selftest", folder=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "frames: 3 of 4 exact")


def test_options_and_descriptions_that_do_not_fit_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for flag in ("--learn=3", "--no-learn"):
        assert main.main([f"--bundle={folder}", "--source=none", flag]) == 2
        said = capsys.readouterr().err
        assert "this bundle looks at the whole frame: it learns no empty scene: leave it out" in said
    for number, (change, what) in enumerate(
        (
            (lambda it: it["look"].update(vision="eye"), "how a frame becomes a picture"),
            (lambda it: it["look"].update(vision="garment"), "grey input for the search"),
            (lambda it: it["input"].update(channels=2), "1 or 3 channels"),
        )
    ):
        changed = Path(shutil.copytree(folder, tmp_path / str(number)))
        redescribe(changed, change)
        with pytest.raises(DeviceError, match=what):
            Bundle.open(changed)


def test_luminance_stays_as_it_is_for_the_search(tmp_path: Path) -> None:
    y, cb, cr = ycc(blocks())
    head = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 C444\nFRAME\n".encode()
    (tmp_path / "film.y4m").write_bytes(head + y.tobytes() + cb.tobytes() + cr.tobytes())
    with open_source(f"file:{tmp_path}/film.y4m", GREY) as film:
        assert film.read(1.0).pixels == y.tobytes()
