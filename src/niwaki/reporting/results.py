"""The table of an experiment for Python: as records, CSV, a DataFrame, or a table in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from niwaki.errors import SpecError, StoreError
from niwaki.files import write_whole
from niwaki.reporting.tables import Row, Table
from niwaki.reporting.text import as_tabular
from niwaki.tabular import to_csv

if TYPE_CHECKING:
    import pandas

Record = dict[str, object]


@dataclass(frozen=True)
class ResultTable:
    """The table of one experiment."""

    table: Table

    def __repr__(self) -> str:
        return f"<ResultTable {self.name}: {len(self.rows)} rows>"

    def _repr_html_(self) -> str:
        return as_tabular(self.table).to_html()

    @property
    def name(self) -> str:
        """The experiment's name in its study."""
        return self.table.name

    @property
    def title(self) -> str:
        """The heading of the table."""
        return self.table.title

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows with all their values, notes and published values."""
        return self.table.rows

    def to_records(self) -> list[Record]:
        """A dictionary for each row.

        Values are means over the seeds, with the standard deviation beside them if there are several seeds (`accuracy`,
        `accuracy_std`); `channels_conv1` are the channels of a layer, `bytes_int8` the bytes of weights of a type,
        `recall_3` the percent of class 3 that is recognized; `published_` marks published values.
        """
        return [{"experiment": self.name, "varied": self.table.key, **_record(row)} for row in self.rows]

    def to_dataframe(self) -> pandas.DataFrame:
        """`to_records` as a pandas DataFrame. Raises SpecError if pandas is not installed."""
        return dataframe(self.to_records())

    def to_csv(self, file: str | Path) -> Path:
        """Write `to_records` as a CSV file and return its path. Raises StoreError if it cannot be written."""
        return write_csv(file, self.to_records())


def dataframe(records: list[Record]) -> pandas.DataFrame:
    """Records as a pandas DataFrame. Raises SpecError if pandas is not installed."""
    try:
        import pandas
    except ImportError as error:
        raise SpecError("to_dataframe needs pandas: pip install pandas; to_csv and to_records do without") from error
    return pandas.DataFrame.from_records(records)


def write_csv(file: str | Path, records: list[Record]) -> Path:
    """Write records as a CSV file, whole, and return its path. Raises StoreError if it cannot be written."""
    path = Path(file)
    try:
        write_whole(path, to_csv(records).encode())
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}; give another name") from error
    return path


def _record(row: Row) -> Record:
    figures: Record = {}
    for name, figure in row.figures.items():
        figures[name] = figure.mean
        if figure.std is not None:
            figures[f"{name}_std"] = figure.std
    seeds = max((figure.n for figure in row.figures.values()), default=0)
    head = {"value": row.value, "step": row.step, "base": row.base, "quantized": row.quantized, "status": row.status}
    return {
        **head,
        "seeds": seeds,
        **figures,
        **{f"channels_{layer}": width for layer, width in (row.widths or {}).items()},
        **{f"bytes_{kind}": count for kind, count in (row.bytes_by_type or {}).items()},
        **{f"recall_{index}": recall for index, recall in enumerate(row.per_class or ())},
        **_published(row),
        "notes": "; ".join(row.notes),
    }


def _published(row: Row) -> Record:
    """The published values, one to a column: `published_accuracy`, and `published_accuracy_2` if there are two."""
    if row.published is None:
        return {}
    stated = row.published.model_dump(exclude_defaults=True, exclude={"value", "step", "quantized"})
    found: Record = {}
    for name, value in stated.items():
        for index, one in enumerate(value if isinstance(value, list | tuple) else [value], 1):
            found[f"published_{name}" + (f"_{index}" if index > 1 else "")] = one
    return found
