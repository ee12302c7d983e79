"""Phrases that the rules of CONTRIBUTING.md rule out are not in the pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BANNED = {
    r"can(?:not)? be had": "you get",
    r"\bis (?:said|told)\b": "it says",
    r"\bgoes on with the same bits\b": "resumes and gives bit-identical results",
    r"\b(?:a|the|every) desk\b(?!top)": "the desktop",
    r"\bspeaks against\b": "all checks passed",
    r"\bas it stands there\b": "as it is",
    r"\bfor want of\b": "without",
    r"\bholds? with\b": "agrees with",
    r"\bwhere (?:there is|it is|one is|the file does|none)\b": "if",
    r"\b(?:simply|easily|obviously|of course|just)\b": "nothing",
}
RULES = ROOT / "CONTRIBUTING.md"  # quotes some of them
FROM_THE_CODE = {ROOT / "docs" / "reference" / name for name in ("commands.md", "python.md", "study-keys.md")}
PAGES = sorted({ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").rglob("*.md")} - FROM_THE_CODE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_has_no_phrase_that_the_rules_rule_out(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = [
        f"{match[0]!r}: say {better!r}" for pattern, better in BANNED.items() for match in re.finditer(pattern, text)
    ]
    assert not found


def test_the_rules_name_the_phrases() -> None:
    text = RULES.read_text(encoding="utf-8")
    assert '"can be had"' in text
    assert '"is said"' in text
