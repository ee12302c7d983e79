"""Does what a page of the documentation says: runs its commands and Python, and compares what they print.

A fence says what is in it. ```console has commands behind `$` and what they print; ```python is run in one namespace
for the page, and ```output after it is what it prints. A block that begins with a comment of a file's name alone
(`# mine.toml`) is written to that file. In what is printed, … stands for anything, and lines that are not shown may
come between; a figure may differ by a tenth.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bundled import need_tool
from niwaki.cli.entry import run

NUMBER = r"[\d,]*\.?\d+"
TOLERANCE = 0.1


@dataclass(frozen=True)
class Block:
    """What stands in a fence, and where."""

    kind: str
    text: str
    line: int


@dataclass
class Reader:
    """Follows pages in one folder. A short reading changes texts by `instead` and heeds no figure."""

    folder: Path
    short: bool = False
    instead: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    commands: int = 0

    def follow(self, page: Path) -> None:
        """Do all that a page says, in its order."""
        found = blocks(page.read_text(encoding="utf-8"))
        need_tools(found)
        names: dict[str, Any] = {"__name__": "__main__"}
        printed = ""
        with contextlib.chdir(self.folder), modules_of(self.folder):
            for block in found:
                where = f"{page.name}, line {block.line}"
                text = self.changed(block.text)
                if name := re.match(r"(?:#|/\*) ([\w.]+\.\w+)(?: \*/)?\n", text):
                    Path(name[1]).write_text(text, encoding="utf-8")
                elif block.kind == "python":
                    printed = stdout_of(lambda code=text, where=where: exec(compile(code, where, "exec"), names))
                elif block.kind == "output":
                    self.compare(block.text, printed, where)
                elif block.kind == "console":
                    self.converse(block.text, where)

    def converse(self, text: str, where: str) -> None:
        """Run the commands of a block, one after the other."""
        for command, expected in exchanges(text):
            if any(command.startswith(start) for start in self.left_out):
                continue
            self.commands += 1
            self.compare(expected, done(self.changed(command)), f"{where}: {command}")

    def changed(self, text: str) -> str:
        """A text as a short reading has it."""
        for old, new in self.instead.items() if self.short else ():
            text = text.replace(old, new)
        return text

    def compare(self, expected: str, printed: str, where: str) -> None:
        """Every line that a page shows is printed, in this order."""
        rest = " ".join(printed.split())
        for line in filter(None, (line.strip() for line in expected.splitlines())):
            if line == "…" or (self.short and (line[0].isdigit() or "is called" in line)):
                continue
            end = place(self.changed(line), rest, heed_figures=not self.short)
            assert end is not None, f"{where}: not printed: {line}\n{printed}"
            rest = rest[end:]


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page; those in a list are moved to the margin."""
    found = re.finditer(r"^( *)```(\w+)\n(.*?)^\1```$", text, re.DOTALL | re.MULTILINE)
    return [
        Block(kind, re.sub(f"^{indent}", "", body, flags=re.MULTILINE), text.count("\n", 0, match.start()) + 1)
        for match in found
        for indent, kind, body in [match.groups()]
    ]


def exchanges(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block with what it prints."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, printed = part.replace("\\\n", " ").partition("\n")
        yield command.strip(), printed


def place(line: str, text: str, *, heed_figures: bool) -> int | None:
    """Where a line ends in a text whose white space is single, or None."""
    pieces = [re.escape(piece) for piece in re.split(f"(…|{NUMBER})", " ".join(line.split())) if piece]
    figures = [float(number.replace(",", "")) for number in re.findall(NUMBER, line)]
    pattern = "".join(
        ".*?" if piece == "…" else f"({NUMBER})" if re.fullmatch(NUMBER, re.sub(r"\\", "", piece)) else piece
        for piece in pieces
    )
    for match in re.finditer(pattern.replace(r"\ ", " *"), text):
        given = [float(number.replace(",", "")) for number in match.groups()]
        if not heed_figures or all(
            abs(one - other) <= TOLERANCE * abs(other) for one, other in zip(given, figures, strict=True)
        ):
            return match.end()
    return None


def done(command: str) -> str:
    """What a command prints; it must succeed."""
    command = re.sub(r"^make study(?: ARGS=(.*))?$", lambda found: f"niwaki study run source {found[1] or ''}", command)
    words = shlex.split(command)
    if words[0] == "source":  # the environment is this one
        return ""
    if words[0] == "niwaki":
        codes: list[int] = []
        printed = stdout_of(lambda: codes.append(run(words[1:])))
        assert codes == [0], f"{command}: exit code {codes}"
        return printed
    if words[0] == "python":
        return stdout_of(lambda: runpy.run_path(words[1], run_name="__main__"))
    ended = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "CC": "cc"})
    assert ended.returncode == 0, f"{command}: {ended.stderr}"
    return ended.stdout


def stdout_of(work: Any) -> str:
    """What a piece of work prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        work()
    return printed.getvalue()


@contextlib.contextmanager
def modules_of(folder: Path) -> Iterator[None]:
    """A user's modules are found in his folder, and forgotten after."""
    sys.path.insert(0, str(folder))
    before = set(sys.modules)
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def need_tools(found: list[Block]) -> None:
    """Skip, by name, where a program that a page calls is missing."""
    called = {command.split()[0] for block in found if block.kind == "console" for command, _ in exchanges(block.text)}
    for program in sorted(called - {"niwaki", "python", "source", "small/c/classify"}):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    if "small/c/classify" in called:
        need_tool("cc", "gcc libc6-dev")
