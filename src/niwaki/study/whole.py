"""Whether the model files of a study are the ones that its records describe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from niwaki.errors import ModelError
from niwaki.files import sha256_of
from niwaki.folders import read_inside
from niwaki.study.records import Record
from niwaki.study.result_files import Verification
from niwaki.study.store import CHOSEN, FORMS, VERIFY, DamagedStage, Store


def damaged_models(
    store: Store, records: Mapping[str, Record], chosen: str | None, verification: Verification | None
) -> tuple[str, ...]:
    """What is wrong with the models of the stages, the chosen one and its exported forms: a line for each file.

    `chosen` is the SHA-256 of the chosen model, `verification` the content of `verify.json`; each is None if it does
    not exist yet.
    """
    return (*_stages(store, records), *_chosen(store.folder, chosen), *_forms(store.folder, verification))


def _stages(store: Store, records: Mapping[str, Record]) -> Iterator[str]:
    for key, record in records.items():
        if record.status == "done":
            try:
                store.weights(key, record)
            except DamagedStage as error:
                yield str(error)


def _chosen(folder: Path, expected: str | None) -> Iterator[str]:
    if expected is not None:
        yield from _compared(folder, CHOSEN, expected, "that of the chosen model")


def _forms(folder: Path, verification: Verification | None) -> Iterator[str]:
    files = verification.files if verification else {}
    if files and not (folder / FORMS).exists():
        yield f"{FORMS}: the folder is missing"
        return
    for name, expected in sorted(files.items()):
        yield from _compared(folder, f"{FORMS}/{name}", expected, f"the one in {VERIFY}")


def _compared(folder: Path, name: str, expected: str, whose: str) -> Iterator[str]:
    try:
        found = sha256_of(read_inside(folder, name))
    except FileNotFoundError:
        yield f"{name} is missing"
    except OSError as error:
        yield f"{name} cannot be read: {error.strerror}"
    except ModelError as error:
        yield str(error)
    else:
        if found != expected:
            yield f"{name} is damaged: its SHA-256 is not {whose}"
