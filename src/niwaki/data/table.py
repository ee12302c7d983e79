"""A table of images: a CSV file with a column of files and a column of labels, and perhaps one of splits."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from niwaki.data.folder import source_of
from niwaki.data.layout import PART_OF, Files, Layout, in_listed_order
from niwaki.data.limits import CLASSES
from niwaki.data.pictures import Problem
from niwaki.data.source import Places, Source
from niwaki.data.spec import DataSpec
from niwaki.errors import DataError
from niwaki.files import read_at_most

LIMIT = 256 << 20  # bytes of the table
FILE = ("file", "filename", "file_name", "filepath", "path", "image", "image_path")
LABEL = ("label", "class", "class_name", "category", "target")
PART = ("split", "part", "set", "subset")


@dataclass(frozen=True)
class Row:
    """A line of the table; `part` is empty if the table has no column for it."""

    line: int
    file: str
    label: str
    part: str


def find(spec: DataSpec, places: Places) -> Source:  # noqa: ARG001 (it is where the study says)
    """The dataset that a study names."""
    assert spec.path is not None  # DataSpec makes sure of it
    return source(spec.path, skip=spec.skip)


def source(path: Path, *, skip: bool = False) -> Source:
    """The images that a table lists. Files are relative to its folder; classes are in order of their numbers or names.

    Raises DataError, naming the line, for a table that cannot be read, and for lines without a label or a file unless
    `skip` leaves them out.
    """
    try:
        data = read_at_most(path, LIMIT)
        text = data.decode("utf-8-sig")
    except OSError as error:
        why = "there is no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise DataError(f"{path}: {why}") from error
    except ValueError as error:
        raise DataError(f"{path}: cannot be read: {error}: save it as CSV in UTF-8") from error
    found = source_of(_layout(path, list(_rows(text, path))), "csv", path.name, skip=skip)
    return replace(found, identity=hashlib.sha256(data + found.identity.encode()).hexdigest())


def _rows(text: str, path: Path) -> Iterator[Row]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    try:
        header = [cell.strip().casefold() for cell in next(reader, [])]
        at = {kind: next((header.index(name) for name in names if name in header), None) for kind, names in _COLUMNS}
        file, label, part = at["file"], at["label"], at["part"]
        if file is None or label is None:
            raise DataError(
                f"{path}: its columns are {', '.join(header) or 'none'}: the first line must name a column file "
                f"({', '.join(FILE[1:])}) and a column label ({', '.join(LABEL[1:])})"
            )
        for row in reader:
            if any(cell.strip() for cell in row):
                cells = [*(cell.strip() for cell in row), *[""] * len(header)]
                yield Row(reader.line_num, cells[file], cells[label], "" if part is None else cells[part])
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}") from error


_COLUMNS = (("file", FILE), ("label", LABEL), ("part", PART))


def _layout(path: Path, rows: Sequence[Row]) -> Layout:
    root = path.parent
    problems: list[Problem] = []
    parts: dict[str, Files] = {"train": {}, "validation": {}, "test": {}}
    for row in rows:
        where = Problem(root / row.file, f"line {row.line} of {path.name}: ")
        part = PART_OF.get(row.part.casefold(), "") if row.part else "train"
        if not row.file or not row.label:
            problems.append(replace(where, why=f"{where.why}it has no {'label' if row.file else 'file'}"))
        elif not part:
            problems.append(replace(where, why=f"{where.why}unknown split {row.part!r}: {', '.join(PART_OF)}"))
        else:
            parts[part].setdefault(row.label, []).append(root / row.file)
    names = sorted({label for files in parts.values() for label in files}, key=_place)
    CLASSES.check(len(names), str(path))
    untaught = [name for name in names if name not in parts["train"]]
    if len(names) < 2 or untaught:
        why = (
            f"no training image of class {untaught[0]!r}" if untaught else f"{len(names)} classes: at least two needed"
        )
        raise DataError(f"{path}: {why}")
    ordered = {name: {label: files[label] for label in names if label in files} for name, files in parts.items()}
    train = in_listed_order(root, ordered["train"])
    return Layout(root, train, ordered["validation"], ordered["test"], tuple(problems), _twice(parts))


def _place(name: str) -> tuple[bool, int, str]:
    """Numbers in order of their size, before other names."""
    number = int(name) if name.isascii() and name.isdigit() and len(name) < 10 else None
    return number is None, number or 0, name


def _twice(parts: Mapping[str, Files]) -> tuple[str, ...]:
    paths = [path for files in parts.values() for images in files.values() for path in images]
    again = len(paths) - len(set(paths))
    return (f"{again} lines name a file that another line names too",) if again else ()
