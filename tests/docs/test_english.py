"""Phrases that the rules of CONTRIBUTING.md rule out are in no page and no text of the program."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
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
IN_TEXTS = {
    **{pattern: better for pattern, better in BANNED.items() if "where" not in pattern and "just" not in pattern},
    r"\bwhere (?:there is|the file does|none)\b": "if",
    r"\bNone where\b": "None if",
    r"\b(?:Nothing|nothing) speaks\b": "all checks passed",
    r"\bmends? it\b": "repairs it",
    r"\bGo on with\b": "To resume",
    r"\bis no (?:file|JSON|UTF-8|ELF|number|bundle|class of)\b": "is not a",
}
"""Also of docstrings, in which a place may be where something is."""
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


def texts_of(module: Path) -> Iterator[tuple[int, str]]:
    """Every text in a module with its line: messages, help, docstrings; an f-string without its values."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_no_text_of_the_program_has_a_phrase_that_the_rules_rule_out() -> None:
    pattern = re.compile("|".join(f"(?:{pattern})" for pattern in IN_TEXTS))
    found = [
        f"{module.relative_to(ROOT)}:{line}: {match[0]!r}"
        for module in sorted((ROOT / "src").rglob("*.py"))
        for line, text in texts_of(module)
        for match in pattern.finditer(text)
    ]
    words = (ROOT / "src/niwaki/reporting/words/en.toml").read_text(encoding="utf-8")
    assert not found + [match[0] for match in pattern.finditer(words)]
