"""The catalogues: both languages have every text, and every text of the report is in them."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

import niwaki.reporting
import niwaki.search
import niwaki.search_report
from niwaki.data.class_names import name_classes
from niwaki.data.datasets import GARMENTS
from niwaki.errors import SpecError
from niwaki.reporting.words import LANGUAGES, words_in
from niwaki.study.spec import load_spec, presets

PACKAGES = [Path(package.__file__).parent for package in (niwaki.reporting, niwaki.search, niwaki.search_report)]
SOURCES = sorted(file for package in PACKAGES for end in ("py", "j2") for file in package.rglob(f"*.{end}"))


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_have_every_text_with_the_same_values() -> None:
    english, korean = (words_in(language).texts for language in LANGUAGES)
    assert list(english) == list(korean)
    for key, text in english.items():
        assert fields(text) == fields(korean[key]), key
    letters = {key: re.sub(r"{[^}]*}", "", text) for key, text in english.items() if text == korean[key]}
    spoken = {key for key, text in letters.items() if re.search(r"[a-z]{4}", text)}
    assert spoken <= {"form.torch.other", "form.onnx-int8.ort", "column.latency_ort"}  # proper names


def test_every_text_that_is_asked_for_is_there() -> None:
    asked = {key for file in SOURCES for key in re.findall(r'\bwords\("([^"{}]+)"', file.read_text(encoding="utf-8"))}
    assert len(asked) > 100
    assert asked <= set(words_in("en").texts)


def test_every_text_is_asked_for() -> None:
    source = "\n".join(file.read_text(encoding="utf-8") for file in SOURCES)
    families = re.compile(
        r"^(kicker|search|column|minimize|budget|form|forms|kind|int8|run|gaps|mistakes|headline|chart|answer|finding|status|value"
        r"|latency|epochs|experiments|learning|layers|sensitivity|compare)\."
    )
    unused = [key for key in words_in("en").texts if f'"{key}"' not in source and not families.match(key)]
    assert unused == []


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(SpecError, match="`language='fr'`: expected en or ko"):
        words_in("fr")


def test_garments_are_called_as_on_the_board() -> None:
    spoken = [named.names["ko"] for named in name_classes(GARMENTS, ["ko"])]
    assert [words_in("ko").name(label) for label in GARMENTS] == spoken
    assert words_in("ko").name("a class of mine") == "a class of mine"
    assert words_in("en").name("T-shirt/top") == "T-shirt/top"


def test_the_built_in_studies_have_korean_titles() -> None:
    korean = words_in("ko")
    for preset in presets():
        spec, _ = load_spec(preset)
        for title in (spec.title, *(experiment.title for experiment in spec.experiment)):
            assert korean.name(title) != title, title


def test_a_list_reads_as_a_part_of_a_sentence_in_its_language() -> None:
    english, korean = (words_in(language).listed for language in ("en", "ko"))
    assert [english(texts) for texts in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert korean(["a", "b", "c"]) == "a, b, c"
    assert (english(["a", "b", "c"], most=3), english(["a", "b", "c"], most=1)) == ("a, b and c", "a and 2 more")
    assert korean(["a", "b", "c"], most=1) == "a 외 2개"


def test_counts() -> None:
    assert words_in("en").count("epochs", 1) == "1 epoch"
    assert words_in("en").count("epochs", 5000) == "5,000 epochs"
    assert words_in("en").get("no.such.key", "else") == "else"
    with pytest.raises(KeyError):
        words_in("en")("no.such.key")
