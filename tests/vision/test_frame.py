"""The whole frame as a picture: C, NumPy and Pillow agree, for every rule, filter, size and layout of samples."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from niwaki.data.preprocessing import Preprocessing
from niwaki.toolchain.compiler import compile_shared
from niwaki.vision.frame import FILTERS, RESIZES, How, box_of, plan, shrink, to_grey, to_rgb
from niwaki.vision.library import source_files

WIDTH, HEIGHT = 17, 11
# Weights of red, green and blue in luminance: Rec. ITU-R BT.601 and BT.709.
LUMA = {1: (0.299, 0.114), 2: (0.2126, 0.0722)}


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    out = tmp_path_factory.mktemp("frame") / "frame.so"
    with source_files() as files:
        compile_shared(
            files / "niwaki_frame.c", out, flags=("-O2", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")
        )
    loaded = ctypes.CDLL(str(out))
    loaded.niwaki_frame_bytes.restype = ctypes.c_size_t
    loaded.niwaki_frame_pixels.argtypes = [
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p,
    ]  # fmt: skip
    return loaded


def in_c(code: ctypes.CDLL, frame: np.ndarray, how: How) -> tuple[np.ndarray, tuple[int, ...]]:
    height, width, channels = frame.shape
    numbers = (ctypes.c_int32 * 8)(width, height, channels, *how.numbers)
    size = code.niwaki_frame_bytes(numbers)
    memory, box = ctypes.create_string_buffer(b"\xa5" * (size + 16), size + 16), (ctypes.c_int32 * 4)()
    assert size > 0
    assert code.niwaki_frame_init(memory, numbers, box) == 0
    picture = np.full((channels, how.height, how.width), 77, np.uint8)
    code.niwaki_frame_shrink(
        memory, np.ascontiguousarray(frame).ctypes.data_as(ctypes.c_void_p), picture.ctypes.data_as(ctypes.c_void_p)
    )
    assert memory.raw[size:] == b"\xa5" * 16
    return picture, tuple(box)


SIDES = st.integers(1, 70)


@settings(max_examples=150, deadline=None)
@given(
    SIDES, SIDES, SIDES, SIDES, st.sampled_from(RESIZES), st.sampled_from(FILTERS), st.booleans(), st.integers(0, 99)
)
def test_c_numpy_and_pillow_make_the_same_picture(
    code: ctypes.CDLL, height: int, width: int, rows: int, columns: int, resize: str, name: str, colour: bool, seed: int
) -> None:
    """C and NumPy to the bit; Pillow, which begins with the direction that costs less, within one level."""
    rng = np.random.default_rng(seed)
    frame = rng.integers(0, 256, (height, width, 3 if colour else 1), np.uint8)
    shorter = max(rows, columns) + seed % 30 if resize == "crop" and seed % 2 else 0
    how = How(rows, columns, resize, shorter, name)
    picture, box = in_c(code, frame, how)
    assert np.array_equal(picture, shrink(frame, how))
    assert box == box_of(height, width, how)
    assert box[0] + box[2] <= width
    assert box[1] + box[3] <= height
    told = Preprocessing(
        color="rgb" if colour else "grey",
        size=(rows, columns),
        resize=resize,
        shorter=shorter or None,
        interpolation=name,
    )
    pillows = told.decode(Image.fromarray(frame if colour else frame[..., 0]))
    if name != "bicubic":  # which overshoots, is cut off, and so depends more on the order
        assert abs(picture.astype(int) - pillows).max() <= 1


@pytest.mark.parametrize("name", FILTERS)
def test_across_and_then_down_it_is_pillow_to_the_bit(name: str) -> None:
    frame = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    how = Image.Resampling[name.upper()]
    in_steps = Image.fromarray(frame).resize((20, 48), how).resize((20, 15), how)
    assert np.array_equal(shrink(frame, How(15, 20, "stretch", 0, name)), np.asarray(in_steps).transpose(2, 0, 1))


def test_256_for_224_shows_the_centre() -> None:
    how = How(224, 224, "crop", 256)
    assert [axis.whole for axis in plan(480, 640, how)] == [256, 341]
    assert box_of(480, 640, how) == (108, 30, 420, 420)
    assert box_of(480, 640, How(32, 32, "crop")) == (74, 0, 476, 480)  # 43 columns of it, 32 are left
    assert box_of(480, 640, How(32, 32, "fit")) == (0, 0, 640, 480)


@pytest.mark.parametrize(
    "wrong",
    [
        (0, 480, 3, 32, 32, 0, 0, 2), (640, 4097, 3, 32, 32, 0, 0, 2), (640, 480, 2, 32, 32, 0, 0, 2),
        (640, 480, 3, 1025, 32, 0, 0, 2), (640, 480, 3, 32, 0, 0, 0, 2), (640, 480, 3, 32, 32, 3, 0, 2),
        (640, 480, 3, 32, 32, 2, 31, 2), (640, 480, 3, 32, 32, 0, 0, 4), (640, 480, 3, 32, 32, 2, 1 << 20, 2),
    ],
)  # fmt: skip
def test_what_is_out_of_range_is_refused(code: ctypes.CDLL, wrong: tuple[int, ...]) -> None:
    numbers = (ctypes.c_int32 * 8)(*wrong)
    assert code.niwaki_frame_bytes(numbers) == 0
    memory = ctypes.create_string_buffer(100)
    assert code.niwaki_frame_init(memory, numbers, None) == -1


def planes(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y, u, v = rng.integers(0, 256, (3, HEIGHT, WIDTH), np.uint8)
    return y, u, v


def converted(code: ctypes.CDLL, data: bytes, layout: tuple[int, ...], channels: int) -> np.ndarray | None:
    pixels = np.zeros((HEIGHT, WIDTH, channels), np.uint8)
    numbers = (ctypes.c_int32 * 15)(*layout)
    done = code.niwaki_frame_pixels(data, len(data), numbers, channels, pixels.ctypes.data_as(ctypes.c_void_p))
    return pixels if done == 0 else None


@pytest.mark.parametrize("matrix", [1, 2])
@pytest.mark.parametrize("full", [0, 1])
def test_colours_are_those_of_the_recommendations(code: ctypes.CDLL, matrix: int, full: int) -> None:
    """Within half a level and a rounding of the formulas in real numbers."""
    y, u, v = planes()
    size = WIDTH * HEIGHT
    layout = (WIDTH, HEIGHT, 0, WIDTH, 1, size, WIDTH, 1, 2 * size, WIDTH, 1, 1, 1, matrix, full)
    data = y.tobytes() + u.tobytes() + v.tobytes()
    red, blue = LUMA[matrix]
    luma = y.astype(float) if full else (y - 16.0) * 255 / 219
    cb, cr = ((plane - 128.0) * (1 if full else 255 / 224) for plane in (u, v))
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    expected = np.stack([r, g, b], -1).clip(0, 255)
    colour = converted(code, data, layout, 3)
    assert colour is not None
    assert abs(colour - expected).max() < 0.51
    grey = converted(code, data, layout, 1)
    assert grey is not None
    assert abs(grey[..., 0] - luma.clip(0, 255)).max() < 0.51
    if matrix == 1 and not full:
        assert np.array_equal(colour, to_rgb(y, u, v))
        assert np.array_equal(grey, to_grey(y))
    elif matrix == 1:
        pillows = np.asarray(Image.merge("YCbCr", [Image.fromarray(plane) for plane in (y, u, v)]).convert("RGB"))
        assert abs(colour.astype(int) - pillows).max() <= 1


def test_a_layout_that_leaves_the_data_is_refused(code: ctypes.CDLL) -> None:
    size = WIDTH * HEIGHT
    layout = [WIDTH, HEIGHT, 0, WIDTH, 1, size, WIDTH, 1, 2 * size, WIDTH, 1, 1, 1, 1, 0]
    data = bytes(3 * size)
    assert converted(code, data, tuple(layout), 3) is not None
    assert converted(code, data[:-1], tuple(layout), 3) is None
    assert converted(code, data[:size], tuple(layout), 1) is not None  # grey reads luminance alone
    for place, value in ((2, -1), (3, -1), (0, 4097), (1, 0), (11, 0), (5, 2 * size + 1)):
        assert converted(code, data, (*layout[:place], value, *layout[place + 1 :]), 3) is None
    assert converted(code, data, tuple(layout), 2) is None
