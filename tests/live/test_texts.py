import re
from importlib import resources

from niwaki.live.texts import TEXTS

FOLDER = resources.files("niwaki.live")
PLACE = re.compile(r"\{\w+\}")


def test_both_languages_say_the_same_things():
    assert TEXTS["en"].keys() == TEXTS["ko"].keys()
    for key, english in TEXTS["en"].items():
        assert sorted(PLACE.findall(english)) == sorted(PLACE.findall(TEXTS["ko"][key])), key
        assert english.strip(), key
        assert TEXTS["ko"][key].strip(), key


def test_korean_is_korean():
    plain = {key for key, text in TEXTS["ko"].items() if not re.search("[가-힣]", text)}
    assert plain == {"microseconds"}


def test_every_text_is_used_and_every_text_used_is_there():
    scripts = " ".join(file.read_text("utf-8") for file in (FOLDER / "js").iterdir())
    template = (FOLDER / "live.html.j2").read_text("utf-8")
    named = set(re.findall(r'\btext\("(\w+)"', scripts)) | set(re.findall(r"\btext\.(\w+)", template))
    named |= set(re.findall(r'this\.(?:remark|stop)\("(\w+)"', scripts)) | {
        "heading",
        "lead",
        "none",
        "garment",
        "object",
    }
    assert named <= TEXTS["en"].keys()
    begun = ("mode_", "found_", "camera_", "language_")  # the rest of their names is put together
    assert {key for key in TEXTS["en"].keys() - named if not key.startswith(begun)} <= {"strip_image", "strip_wrong"}
