"""Every text of a report, in English and Korean; text from data, files and records stays unchanged.

May import: errors.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal

from niwaki.errors import Setting, SpecError

Language = Literal["en", "ko"]
LANGUAGES: tuple[Language, ...] = ("en", "ko")
NAMES = "names"  # the catalogue's table with names of known classes and titles


@dataclass(frozen=True)
class Words:
    """The texts of one language.

    >>> words_in("en")("answer.heading")
    'The answer'
    """

    language: Language
    texts: Mapping[str, str]
    names: Mapping[str, str]

    def __call__(self, key: str, /, **values: Any) -> str:
        """The text of a key with its values filled in. Raises KeyError for a key that no catalogue has."""
        return self.texts[key].format(**values)

    def get(self, key: str, default: str, /, **values: Any) -> str:
        """The text of a key, or `default` if there is none: names of the user's own settings."""
        return self(key, **values) if key in self.texts else default

    def count(self, key: str, number: int, /) -> str:
        """A number of things: `key.one` or `key.many`."""
        return self(f"{key}.one" if number == 1 else f"{key}.many", count=f"{number:,}")

    def listed(self, texts: Sequence[str], most: int | None = None) -> str:
        """Texts as part of a sentence; if they are more than `most`, these and how many are left.

        >>> words_in("en").listed(["a", "b", "c", "d"], most=2), words_in("en").listed(["a", "b", "c"])
        ('a, b and 2 more', 'a, b and c')
        """
        if most is not None and len(texts) > most:
            return self("and.more", texts=", ".join(texts[:most]), count=len(texts) - most)
        return self("and").join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)

    def name(self, text: str) -> str:
        """The name of a class or the title of a built-in experiment in this language; others stay unchanged."""
        return self.names.get(text, text)

    def column(self, name: str) -> str:
        """The heading of a column or the title of an axis; an unknown one is its own heading."""
        return self.texts.get(f"column.{name}", name)


@cache
def words_in(language: str) -> Words:
    """The texts of `language`. Raises SpecError if there are none."""
    known = next((code for code in LANGUAGES if code == language), None)
    if known is None:
        raise SpecError(Setting("language", repr(language)), f": expected {' or '.join(LANGUAGES)}")
    file = resources.files("niwaki.reporting.words") / f"{known}.toml"
    texts = tomllib.loads(file.read_text(encoding="utf-8"))
    names = texts.pop(NAMES, {})
    return Words(known, MappingProxyType(texts), MappingProxyType(names))
