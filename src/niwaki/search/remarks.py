"""What a search says about its answer: English text, with the key by which the report has it in other languages."""

from __future__ import annotations

from collections.abc import Mapping

from niwaki.errors import Wording


class Remark(Wording):
    """A sentence with its key and values.

    >>> gap = Remark("search.gap", "validation minus test: +0.20 points", gap="+0.20")
    >>> gap, gap.key, gap.values
    ('validation minus test: +0.20 points', 'search.gap', {'gap': '+0.20'})
    """

    key: str
    values: Mapping[str, object]

    def __new__(cls, key: str, *pieces: object, **values: object) -> Remark:
        """Join texts and settings, as a Wording does."""
        remark: Remark = super().__new__(cls, *pieces)  # type: ignore[assignment]
        remark.key, remark.values = key, values
        return remark
