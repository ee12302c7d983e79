"""Phrases that the rules of CONTRIBUTING.md rule out are in no page, no text and no comment."""

from __future__ import annotations

import ast
import re
import tokenize
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
    r"\bheld against\b": "compared with",
    r"\bhad back\b": "restored",
    r"\bswept away\b": "removed",
    r"\bthe way out\b": "what to do",
    r"\bas \w+ has it\b": "according to",
    r"\bif need be\b": "if needed",
    r"\b(?:is|are) to (?:be|have)\b": "must, or should",
    r"\bsays of\b": "says about",
    r"\bbut for\b": "except",
    r"\bhears? of\b": "receives",
    r"\bif asked for\b": "on request",
}
"""For texts of the program, its docstrings and comments, which may say where something is."""
RULED_OUT = re.compile("|".join(f"(?:{pattern})" for pattern in IN_TEXTS))
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
    """Every text in a module with its line: messages, help, docstrings, comments; an f-string without its values."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    with module.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def docstrings_of(module: Path) -> Iterator[tuple[int, str]]:
    """Every docstring in a module with its line; texts of tests and what they compare may hold anything."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield getattr(node, "lineno", 1), text


def found_in(texts: Iterator[tuple[int, str]], module: Path) -> list[str]:
    name = module.relative_to(ROOT)
    return [f"{name}:{line}: {match[0]!r}" for line, text in texts for match in RULED_OUT.finditer(text)]


def test_no_text_of_the_program_has_a_phrase_that_the_rules_rule_out() -> None:
    found = [found for module in sorted((ROOT / "src").rglob("*.py")) for found in found_in(texts_of(module), module)]
    words = (ROOT / "src/niwaki/reporting/words/en.toml").read_text(encoding="utf-8")
    assert not found + [match[0] for match in RULED_OUT.finditer(words)]


@pytest.mark.parametrize("folder", ["tests", "benchmarks", "docs"])
def test_no_docstring_beside_the_program_has_one_either(folder: str) -> None:
    modules = sorted((ROOT / folder).rglob("*.py"))
    assert modules
    assert not [found for module in modules for found in found_in(docstrings_of(module), module)]


def test_a_phrase_is_found_in_texts_docstrings_and_comments(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('"""It is held against the other."""\n\nTEXT = f"{1} is no file"  # gone, if need be\n', "utf-8")
    assert [match[0] for _, text in texts_of(module) for match in RULED_OUT.finditer(text)] == [
        "held against", "is no file", "if need be",
    ]  # fmt: skip
    assert [text for _, text in docstrings_of(module)] == ["It is held against the other."]
