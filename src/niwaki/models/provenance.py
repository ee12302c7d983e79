"""Where a model comes from: what its file, and the `export.json` beside its forms, say about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from niwaki.data.dataset import Dataset


@dataclass(frozen=True, eq=False)
class Provenance(Mapping[str, Any]):
    """What the file says, unchanged, as JSON values by name; what niwaki itself uses has a property.

    >>> Provenance({"data_name": "npz", "by": "a friend"}).data_name
    'npz'
    """

    said: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Dataset) -> Provenance:
        """The provenance of a model that was trained on `data`, or else calibrated on it."""
        return cls({"data": data.fingerprint, "data_name": data.name, "synthetic": data.synthetic})

    @property
    def data(self) -> str | None:
        """The fingerprint of the dataset; None if unknown."""
        return self._text("data")

    @property
    def data_name(self) -> str | None:
        """The dataset's name; None if unknown."""
        return self._text("data_name")

    def _text(self, name: str) -> str | None:
        value = self.said.get(name)
        return value if isinstance(value, str) else None

    def __getitem__(self, name: str) -> Any:
        return self.said[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.said)

    def __len__(self) -> int:
        return len(self.said)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """In a file it is an object with those names, in their original order."""
        read = core_schema.no_info_after_validator_function(
            cls, core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema())
        )
        return core_schema.json_or_python_schema(
            json_schema=read,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), read]),
            serialization=core_schema.plain_serializer_function_ser_schema(
                dict, return_schema=core_schema.dict_schema()
            ),
        )
