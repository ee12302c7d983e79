import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pydantic import ValidationError

from niwaki.data.preprocessing import Preprocessing
from niwaki.errors import DataError


def test_luma_by_hand():
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]], dtype=np.uint8)
    grey = Preprocessing().decode(Image.fromarray(pixels))
    # 0.299 · 255 = 76.2, 0.587 · 255 = 149.7, 0.114 · 255 = 29.1; 2.99 + 11.74 + 3.42 = 18.15
    assert grey.tolist() == [[[76, 150, 29, 18]]]


def test_pad_adds_raw_zeros_on_each_side():
    out = Preprocessing(pad=1).arrange(np.array([[[7]]], dtype=np.uint8))
    assert out.tolist() == [[[[0, 0, 0], [0, 7, 0], [0, 0, 0]]]]


def test_fit_keeps_all_of_the_image_between_borders():
    wide = Image.new("L", (8, 4), 200)
    out = Preprocessing(size=(4, 4)).decode(wide)[0]
    assert out.tolist() == [[0] * 4, [200] * 4, [200] * 4, [0] * 4]


def test_crop_takes_the_centre():
    wide = np.zeros((4, 8), dtype=np.uint8)
    wide[:, 2:6] = 100
    out = Preprocessing(size=(4, 4), resize="crop").decode(Image.fromarray(wide))[0]
    assert (out == 100).all()


def test_stretch_fills_both_sides():
    halves = np.zeros((2, 8), dtype=np.uint8)
    halves[:, 4:] = 255
    out = Preprocessing(size=(4, 2), resize="stretch").decode(Image.fromarray(halves))[0]
    assert out.shape == (4, 2)
    assert (out[:, 0] < 64).all()
    assert (out[:, 1] > 191).all()


def test_resize_comes_before_pad():
    assert Preprocessing(size=(4, 6), pad=3).decode(Image.new("L", (9, 9))).shape == (1, 10, 12)


@pytest.mark.parametrize("resize", ["fit", "crop", "stretch"])
def test_a_very_long_image_still_has_the_size(resize):
    assert Preprocessing(size=(5, 7), resize=resize).decode(Image.new("RGB", (1000, 1))).shape == (1, 5, 7)


def test_transparent_pixels_are_black():
    image = Image.new("RGBA", (2, 1), (255, 255, 255, 0))
    image.putpixel((1, 0), (255, 255, 255, 255))
    assert Preprocessing().decode(image).tolist() == [[[0, 255]]]
    assert Preprocessing(color="rgb").decode(image).tolist() == [[[0, 255]]] * 3


def test_exif_orientation_is_obeyed(tmp_path):
    image = Image.fromarray(np.array([[10, 250]], dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        assert Preprocessing().decode(opened).tolist() == [[[10], [250]]]


def test_deep_pixels_are_refused():
    with pytest.raises(DataError, match="mode F are not 8 or 16 bits"):
        Preprocessing().decode(Image.new("F", (2, 2)))


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_grey_of_16_bits_becomes_8(tmp_path, ending):
    deep = np.array([[0, 128, 129, 385, 386, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / f"x.{ending}")
    by_hand = [0, 0, 1, 1, 2, 128, 255]  # v / 257, rounded: 32768 / 257 = 127.502
    with Image.open(tmp_path / f"x.{ending}") as image:
        assert Preprocessing().decode(image)[0, 0].tolist() == by_hand


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.just(3))),
    st.sampled_from(["grey", "rgb"]),
    st.sampled_from([None, (5, 4)]),
    st.sampled_from(["fit", "crop", "stretch"]),
    st.integers(0, 2),
)
def test_a_stack_is_its_images_decoded_one_by_one(images, color, size, resize, pad):
    how = Preprocessing(color=color, size=size, resize=resize, pad=pad)
    out = how.arrange(images)
    assert out.dtype == np.uint8
    assert out.shape == (len(images), *how.input_shape(images.shape[1:3]))
    for image, arranged in zip(images, out, strict=True):
        np.testing.assert_array_equal(how.decode(Image.fromarray(image)), arranged)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))))
def test_grey_stacks_become_three_equal_channels(images):
    out = Preprocessing(color="rgb").arrange(images)
    for channel in range(3):
        np.testing.assert_array_equal(out[:, channel], images)
    np.testing.assert_array_equal(Preprocessing().arrange(images[..., None])[:, 0], images)


def test_table_by_hand():
    table = Preprocessing(mean=(0.5,), std=(0.25,)).table()
    assert table.shape == (1, 256)
    assert table.dtype == np.float32
    assert table[0, [0, 255]].tolist() == [-2.0, 2.0]
    np.testing.assert_array_equal(Preprocessing().table()[0], (np.arange(256) / 255).astype(np.float32))


def test_scale_looks_up_each_channel():
    how = Preprocessing(color="rgb", mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25))
    pixels = np.zeros((2, 3, 1, 1), dtype=np.uint8)
    pixels[1] = 255
    assert how.scale(pixels)[:, :, 0, 0].tolist() == [[0.0, -1.0, -4.0], [1.0, 1.0, 0.0]]


@given(st.floats(-2, 2), st.floats(0.01, 10))
def test_one_mean_serves_all_channels(mean, std):
    table = Preprocessing(color="rgb", mean=(mean,), std=(std,)).table()
    assert (table == table[0]).all()
    assert np.isclose(table[0, 51], (0.2 - mean) / std, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 3, 3), dtype=np.float32), r"float32 \(2, 3, 3\): expected uint8"),
        (np.zeros((3, 3), dtype=np.uint8), r"uint8 \(3, 3\): expected"),
        (np.zeros((1, 3, 3, 4), dtype=np.uint8), r"\(1, 3, 3, 4\): expected"),
        (np.zeros((0, 3, 3), dtype=np.uint8), "they are empty"),
    ],
)
def test_other_stacks_are_refused(images, message):
    with pytest.raises(DataError, match=message):
        Preprocessing().arrange(images)


def test_scale_refuses_another_number_of_channels():
    with pytest.raises(DataError, match=r"uint8 \(1, 3, 2, 2\): expected uint8 \(N, 1, H, W\)"):
        Preprocessing().scale(np.zeros((1, 3, 2, 2), dtype=np.uint8))


def test_input_shape():
    assert Preprocessing(color="rgb", size=(8, 6), pad=1).input_shape() == (3, 10, 8)
    assert Preprocessing(pad=2).input_shape((28, 28)) == (1, 32, 32)
    with pytest.raises(DataError, match="set size"):
        Preprocessing().input_shape()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"std": [0]}, "above 0"),
        ({"mean": [float("nan")]}, "finite"),
        ({"mean": [0, 0, 0]}, "mean has 3 values, but color 'grey' takes 1"),
        ({"color": "rgb", "std": [1, 1]}, "std has 2 values, but color 'rgb' takes 1 or 3"),
        ({"mean": []}, "mean has 0 values"),
        ({"size": [0, 3]}, "greater than or equal to 1"),
        ({"pad": -1}, "greater than or equal to 0"),
        ({"scale": 2}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValidationError, match=message):
        Preprocessing.model_validate(settings)


def test_json_gives_the_same_back():
    how = Preprocessing(color="rgb", size=(3, 4), mean=(0.1, 0.2, 0.3), std=(0.5,))
    assert Preprocessing.model_validate_json(how.model_dump_json()) == how


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [(300, 400), (401, 333), (256, 256), (57, 1000)])
@pytest.mark.parametrize("name", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
def test_resized_then_cropped_as_torchvision_does(name, size):
    """Resize(256) and CenterCrop(224), written out: their rules for the sides, Pillow for the pixels."""
    image = picture(*size)
    width, height = image.size
    wide, tall = (256, int(256 * height / width)) if width <= height else (int(256 * width / height), 256)
    resized = image.resize((wide, tall), Image.Resampling[name.upper()])
    left, top = round((wide - 224) / 2.0), round((tall - 224) / 2.0)
    expected = np.asarray(resized.crop((left, top, left + 224, top + 224))).transpose(2, 0, 1)
    how = Preprocessing(color="rgb", size=(224, 224), resize="crop", shorter=256, interpolation=name)
    np.testing.assert_array_equal(how.decode(image), expected)


def test_without_antialias_only_the_nearest_pixels_count():
    stripes = np.zeros((4, 64), np.uint8)
    stripes[:, ::2] = 200
    image = Image.fromarray(stripes)
    plain = Preprocessing(size=(4, 16), resize="stretch", antialias=False).decode(image)
    by_hand = (stripes[:, 1::4].astype(int) + stripes[:, 2::4]) // 2  # the centre lies between two pixels
    np.testing.assert_array_equal(plain[0], by_hand)
    smooth = Preprocessing(size=(4, 15), resize="stretch").decode(image)
    assert np.ptp(smooth[0, :, 2:-2]) < np.ptp(
        Preprocessing(size=(4, 15), resize="stretch", antialias=False).decode(image)
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shorter": 256}, 'shorter applies to resize = "crop" with a size: set both'),
        ({"shorter": 200, "size": (224, 224), "resize": "crop"}, "shorter = 200 is less than size"),
        (
            {"antialias": False, "interpolation": "lanczos"},
            "antialias = false applies to nearest, bil",
        ),
        ({"interpolation": "cubic"}, "interpolation"),
    ],
)
def test_resizing_that_makes_no_sense(settings, message):
    with pytest.raises(DataError, match=message):
        Preprocessing(**settings)


def test_newer_settings_are_written_only_if_used():
    assert set(Preprocessing().model_dump()) == {"color", "size", "resize", "pad", "mean", "std"}
    how = Preprocessing(size=(8, 8), resize="crop", shorter=9, interpolation="box")
    assert how.model_dump(mode="json") | {"shorter": 9, "interpolation": "box"} == how.model_dump(mode="json")
    assert Preprocessing.model_validate_json(how.model_dump_json()) == how
