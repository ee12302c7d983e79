"""The properties of a binary: processor, calling convention, imports and exports."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from niwaki.errors import ModelError, NiwakiError

_HARD_FLOAT = 0x400  # EF_ARM_ABI_FLOAT_HARD


@dataclass(frozen=True)
class Binary:
    """An ELF file."""

    machine: str
    """e_machine, as in EM_AARCH64."""
    bits: int
    hard_float: bool
    """For 32-bit ARM: floating-point arguments in registers."""
    interpreter: str | None
    """Its dynamic loader; None for a static program or a library."""
    needed: tuple[str, ...]
    """Libraries that it is linked with."""
    versions: Mapping[str, tuple[str, ...]]
    """Symbol versions by library, such as GLIBC_2.17."""
    exported: frozenset[str]
    imported: frozenset[str]


def check_reader() -> None:
    """Raise NiwakiError, with how to install it, if the reader of ELF files is missing."""
    if importlib.util.find_spec("elftools") is None:
        raise NiwakiError("checking binaries needs pyelftools: pip install pyelftools")


def read_elf(path: Path) -> Binary:
    """Read a library or a program. Raises ModelError if it cannot be read, is not an ELF file, or is damaged."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with path.open("rb") as stream:
            return _binary(ELFFile(stream))
    except OSError as error:
        raise ModelError(f"{path.name}: cannot be read: {error.strerror}") from error
    except (ELFError, UnicodeDecodeError, ValueError, KeyError, AssertionError, AttributeError, TypeError) as error:
        raise ModelError(f"{path.name}: not an ELF file, or damaged: {error}") from error


def _binary(file: Any) -> Binary:
    from elftools.elf.dynamic import DynamicSegment
    from elftools.elf.gnuversions import GNUVerNeedSection
    from elftools.elf.segments import InterpSegment

    segments = list(file.iter_segments())
    dynamic = next((segment for segment in segments if isinstance(segment, DynamicSegment)), None)
    tags: list[Any] = list(dynamic.iter_tags()) if dynamic else []
    table = file.get_section_by_name(".dynsym")
    symbols = [symbol for symbol in table.iter_symbols() if symbol.name] if table else []
    needs = [part for part in file.iter_sections() if isinstance(part, GNUVerNeedSection)]
    header = file.header
    return Binary(
        machine=str(header["e_machine"]),
        bits=int(file.elfclass),
        hard_float=bool(header["e_flags"] & _HARD_FLOAT),
        interpreter=next((part.get_interp_name() for part in segments if isinstance(part, InterpSegment)), None),
        needed=tuple(str(tag.needed) for tag in tags if tag.entry.d_tag == "DT_NEEDED"),
        versions={
            str(version.name): tuple(str(entry.name) for entry in entries)
            for need in needs
            for version, entries in need.iter_versions()
        },
        exported=frozenset(s.name for s in symbols if s["st_shndx"] != "SHN_UNDEF"),
        imported=frozenset(s.name for s in symbols if s["st_shndx"] == "SHN_UNDEF"),
    )
