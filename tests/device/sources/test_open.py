"""Sources on the command line, and the answers to wrong ones."""

import pytest

from niwaki.device.errors import DeviceError
from niwaki.device.sources import SOURCES_HELP, open_source
from niwaki.device.sources.spec import Spec


def test_a_spec_taken_apart():
    spec = Spec("v4l2:/dev/video2?width=320&fps=15")
    assert (spec.kind, spec.place, spec.options) == ("v4l2", "/dev/video2", {"width": "320", "fps": "15"})
    assert (spec.number("width", None), spec.number("height", 480), spec.number("fps", 30)) == (320, 480, 15)
    assert (Spec("csi:").place, Spec("csi:?").options) == ("", {})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("film.y4m", "a source is written kind:place, such as v4l2:/dev/video0 or file:film.y4m"),
        (":0", "a source is written kind:place, such as v4l2:/dev/video0 or file:film.y4m"),
        ("usb:0", f"kind 'usb' is unknown: niwaki reads {SOURCES_HELP}"),
        ("v4l2:/dev/video0?width", "option 'width' has no value: write width=VALUE"),
        ("v4l2:/dev/video0?width=", "option 'width' has no value: write width=VALUE"),
        ("v4l2:/dev/video0?widht=640", "option 'widht' is unknown: it takes fps, height, width"),
        ("v4l2:/dev/video0?width=0", "width=0 is not a whole number from 1 to 4096"),
        ("v4l2:/dev/video0?height=-480", "height=-480 is not a whole number from 1 to 4096"),
        ("v4l2:/dev/video0?fps=29.97", "fps=29.97 is not a whole number from 1 to 1000"),
        ("v4l2:/dev/video0?fps=²", "fps=² is not a whole number from 1 to 1000"),
        ("file:none.y4m?fps=3", "option 'fps' is unknown: it takes none"),
        ("file:folder?rate=3", "option 'rate' is unknown: it takes fps"),
    ],
)
def test_wrong_words_are_answered(text, line):
    with pytest.raises(DeviceError) as caught:
        open_source(text)
    assert (str(caught.value), caught.value.exit_code) == (f"source {text}: {line}", 2)


def test_a_question_mark_in_a_name(tmp_path):
    film = tmp_path / "what?.y4m"
    film.write_bytes(b"YUV4MPEG2 W2 H2 Cmono\nFRAME\n" + bytes(4))
    assert Spec(f"file:{film}").place == str(film)
    with open_source(f"file:{film}") as opened:
        assert (opened.width, opened.height) == (2, 2)
    assert Spec(f"file:{tmp_path}?fps=3").options == {"fps": "3"}


def refusal(text):
    with pytest.raises(DeviceError) as caught:
        open_source(text)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_files_that_cannot_be_read(tmp_path, another_user):
    assert refusal(f"file:{'a' * 300}") == f"{'a' * 300}: File name too long"
    assert refusal("file:/proc/self/mem") == "/proc/self/mem: Input/output error"
    (tmp_path / "folder").mkdir()
    (tmp_path / "film").write_bytes(b"YUV4MPEG2 W2 H2 Cmono\n")
    for path in (tmp_path / "folder", tmp_path / "film"):
        path.chmod(0)
        with another_user():
            assert refusal(f"file:{path}") == f"{path}: Permission denied"
