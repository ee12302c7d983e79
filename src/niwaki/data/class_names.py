"""The names of classes in each language of a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from niwaki.data.datasets import GARMENTS
from niwaki.errors import Setting, SpecError
from niwaki.files import load_json

LANGUAGES = ("en", "ko")
_ENGLISH = (
    "T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
_KOREAN = ("티셔츠", "바지", "스웨터", "원피스", "코트", "샌들", "셔츠", "운동화", "가방", "앵클 부츠")
_WORDS = {
    label: {"en": english, "ko": korean} for label, english, korean in zip(GARMENTS, _ENGLISH, _KOREAN, strict=True)
}


@dataclass(frozen=True)
class Named:
    """A class: its label in the model, and its name in every language of the bundle."""

    label: str
    names: Mapping[str, str]


def name_classes(labels: Sequence[str], languages: Sequence[str], file: Path | None = None) -> tuple[Named, ...]:
    """The names of `labels`: from `file`, or niwaki's own for the garments of Fashion-MNIST, or the labels themselves.

    `file` is JSON: `{"Bag": {"en": "bag", "ko": "가방"}, …}`. Raises SpecError for languages without voices or without
    names, and for a file that cannot be read or names classes that the model does not have.
    """
    _check(languages)
    given = {} if file is None else _read(file, labels)
    known = {label: {**_WORDS.get(label, {}), **given.get(label, {})} for label in labels}
    return tuple(Named(label, {code: known[label].get(code, label) for code in languages}) for label in labels)


def _check(languages: Sequence[str]) -> None:
    wrong = next((code for code in languages if code not in LANGUAGES), None)
    if wrong is not None or not languages or len(set(languages)) < len(languages):
        asked = Setting("languages", f'"{",".join(languages)}"')
        raise SpecError(asked, f": expected one or more of {', '.join(LANGUAGES)}, as in en,ko")


def _read(file: Path, labels: Sequence[str]) -> dict[str, dict[str, str]]:
    given = Setting("names", f'"{file}"')
    try:
        found = load_json(file)
    except OSError as error:
        raise SpecError(given, f": cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SpecError(given, f": not JSON in UTF-8: {error}") from error
    if not isinstance(found, dict):
        raise SpecError(given, ': expected {"label": {"en": "word"}, …}')
    for label, words in found.items():
        if label not in labels:
            raise SpecError(given, f": {label!r} is not a class of the model, which has {', '.join(labels)}")
        if not isinstance(words, dict) or not all(_is_word(code, word) for code, word in words.items()):
            raise SpecError(
                given, f": {label!r}: expected words by language ({', '.join(LANGUAGES)}), of 1 to 60 letters"
            )
    return found


def _is_word(code: str, word: object) -> bool:
    return code in LANGUAGES and isinstance(word, str) and 0 < len(word.strip()) <= 60 and word.isprintable()
