"""The boards that costs are worked out for: niwaki's in `boards.toml`, and the user's in a file like it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from niwaki.errors import Setting, SpecError, explain
from niwaki.files import parse_toml


class Core(BaseModel):
    """A kind of processor, and what the C takes on it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cycles_per_mac: float = Field(gt=0)
    instructions_per_mac: float | None = Field(default=None, gt=0)
    """None: as many as cycles."""
    code: int = Field(default=4000, ge=0)
    stack: int = Field(default=500, ge=0)
    """Beside the patch."""
    kernels: str = ""
    """The target of `emit/estimates` that code, stack and instructions are taken from; empty: the figures above."""
    patch: bool = True
    """Whether convolutions gather on the stack what they see at a place; its bytes are the network's own."""


class KnownBoard(BaseModel):
    """A board: its memories in bytes, its clock in Hz, and what is taken before a network comes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    title: str
    core: str
    flash: int = Field(gt=0)
    ram: int = Field(gt=0)
    clock: int = Field(gt=0)
    taken_flash: int = Field(default=0, ge=0)
    taken_ram: int = Field(default=0, ge=0)


class Table(BaseModel):
    """The content of such a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cores: dict[str, Core] = {}
    boards: tuple[KnownBoard, ...] = ()


def known_boards(file: Path | None = None) -> tuple[dict[str, Core], tuple[KnownBoard, ...]]:
    """The cores by name and the boards; those of the user's `file` come first, and take the place of ours of one name.

    Raises SpecError for a file that cannot be read, or that has a board of an unknown core.
    """
    text = (resources.files("niwaki.firmware") / "boards.toml").read_text(encoding="utf-8")
    ours = Table.model_validate(parse_toml(text))
    if file is None:
        return dict(ours.cores), ours.boards
    given = _read(file)
    cores = {**ours.cores, **given.cores}
    for board in given.boards:
        if board.core not in cores:
            raise SpecError(
                Setting("boards", f'"{file}"'), f": {board.name}: core {board.core!r} is not known: expected one of "
                f"{', '.join(cores)}, or describe it under [cores.{board.core}]",
            )  # fmt: skip
    names = {board.name for board in given.boards}
    return cores, (*given.boards, *(board for board in ours.boards if board.name not in names))


def _read(file: Path) -> Table:
    given = Setting("boards", f'"{file}"')
    try:
        return Table.model_validate(parse_toml(file.read_bytes()))
    except OSError as error:
        raise SpecError(given, f": cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise SpecError(given, ": ", explain(error, Table)) from error
    except ValueError as error:
        raise SpecError(given, f": not TOML: {error}") from error
