"""The errors that niwaki raises on purpose: one line with the thing, the value and what to do.

For errors that other libraries raise, it gives their first line.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, get_origin

from niwaki.device.text import printable

if TYPE_CHECKING:  # errors are imported before everything else, pydantic only where it is used
    from pydantic import BaseModel, ValidationError


class Setting(NamedTuple):
    """An argument named in a text, such as `data=` or `seeds=0`; `value` is written as in Python."""

    name: str
    value: str = ""

    def __str__(self) -> str:
        return f"`{self.name}={self.value}`"


class Wording(str):
    """A text that names settings: a string as Python users read it, whose `parts` mark which pieces are settings.

    With it, the command line can show its own options and leave alone what only looks like a setting. `str` of an error
    is a Wording, but an f-string of one is not; use this class to combine texts that name settings.

    >>> advice = Wording("name them with ", Setting("data"))
    >>> str(advice), Wording("no images: ", advice).parts
    ('name them with `data=`', ('no images: ', 'name them with ', Setting(name='data', value='')))
    """

    parts: tuple[str | Setting, ...]

    def __new__(cls, *pieces: object) -> Wording:
        """Join texts, settings, wordings and errors; an error contributes its message."""
        parts = tuple(part for piece in pieces for part in _parts(piece))
        wording = super().__new__(cls, "".join(map(str, parts)))
        wording.parts = parts
        return wording

    def __str__(self) -> str:
        return self

    def join(self, texts: Iterable[str], /) -> Wording:
        """The texts, joined with this one between them."""
        pieces = [piece for text in texts for piece in (self, text)]
        return Wording(*pieces[1:])


def _parts(piece: object) -> tuple[str | Setting, ...]:
    said = piece if isinstance(piece, Setting) else str(piece)
    return said.parts if isinstance(said, Wording) else (said,)


def _printable(part: str | Setting) -> str | Setting:
    return printable(part) if isinstance(part, str) else Setting(part.name, printable(part.value))


def first_line(error: BaseException | str) -> str:
    """The first line of a library's error message, or the type of the error if it has none."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def kind_and_line(error: BaseException) -> str:
    r"""The type of an error and the first line of its message, if it has one.

    >>> kind_and_line(ValueError("two\nlines")), kind_and_line(MemoryError())
    ('ValueError: two', 'MemoryError')
    """
    kind, said = type(error).__name__, first_line(error)
    return kind if said == kind else f"{kind}: {said}"


def expectation(text: str) -> str:
    """What pydantic says about a value, in the words of other errors.

    >>> expectation("Input should be less than 1")
    'expected less than 1'
    >>> expectation("Input should be a valid integer, unable to parse string as an integer")
    'expected a valid integer'
    """
    said = text.removeprefix("Value error, ").replace("Input should be", "expected").replace("a valid tuple", "a list")
    return said.partition(", unable to parse")[0]


class NiwakiError(Exception):
    """A problem that the user can understand and fix. `exit_code` is the exit code of the command line.

    It is built from texts and from the settings that they name. As text it is one line of printable characters, even if
    names or messages from elsewhere contain others.

    >>> str(NiwakiError("small.onnx: say ", Setting("trust", "True"), " to run it"))
    'small.onnx: say `trust=True` to run it'
    """

    exit_code = 2

    def __str__(self) -> str:
        return Wording(*map(_printable, Wording(*self.args).parts))


class DataError(NiwakiError):
    """A dataset that cannot be found, read or trusted."""


class ModelError(NiwakiError):
    """A model, factory or model file that cannot be used."""


class FactoryError(ModelError):
    """A factory that cannot be imported, trusted or called: the cause is this machine or command, not the stage."""


class SpecError(NiwakiError):
    """A study, or a setting in it, that is invalid."""


class StoreError(NiwakiError):
    """A study's folder that cannot be used in its present state."""


class StageFailed(NiwakiError):
    """A stage whose own computation failed (a loss that is not finite, a model that pruning breaks).

    The failure is a result: the same settings fail again, so it is recorded.
    """

    exit_code = 1


class Stopped(NiwakiError):
    """The user pressed Ctrl-C, or a signal arrived; the message says what is stored."""

    exit_code = 130


class ToolMissing(NiwakiError):
    """A program that this machine lacks, such as a compiler; the message says how to install it."""


class OutputError(NiwakiError):
    """Standard output that cannot be written, for example because the disk is full."""

    exit_code = 1


class WorkerLost(NiwakiError):
    """Worker processes that ended without a result (killed, out of memory). Not a result, so never recorded."""

    exit_code = 1


class GuardMissing(NiwakiError):
    """A script that starts workers without `if __name__ == "__main__":`, so no worker can start."""


def guess(given: str, known: Iterable[str]) -> str:
    """A question about an unknown name, for a message; empty if no known name is similar.

    >>> guess("fashion_mnist", ["fashion-mnist", "synthetic"]), guess("cats", ["synthetic"])
    ("did you mean 'fashion-mnist'? ", '')
    """
    near = difflib.get_close_matches(given, list(known), n=1)
    return f"did you mean {near[0]!r}? " if near else ""


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Add to an unexpected error what was being done, as in `timing the networks`; niwaki's own stay unchanged."""
    try:
        yield
    except NiwakiError:
        raise
    except Exception as error:
        error.add_note(what)
        raise


def explain(error: ValidationError, kind: type[BaseModel], *, arguments: bool = False) -> str:
    """One line for the first error: the key, its value, what is allowed, and how many more errors there are.

    If the keys were `arguments` of a function, the line names them as settings.
    """
    found = error.errors()
    inside = {other["loc"][:end] for other in found for end in range(len(other["loc"]))}
    errors = [e for e in found if not (e["type"] == "too_short" and e["loc"] in inside)]  # it only lacks what is wrong
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])  # it explains the others
    where = (_indexed(first["loc"]) if arguments else ".".join(map(str, first["loc"]))) or "the file"
    if first["type"] == "extra_forbidden":
        allowed = _keys_beside(kind, first["loc"])
        near = guess(str(first["loc"][-1]), allowed)
        text = f"{where} is not a known key; {near}allowed: {', '.join(allowed)}"
    elif first["type"] == "missing":
        text = f"{where} is missing"
    else:
        message = expectation(first["msg"])
        given = repr(first["input"])
        text = f"{where} = {given}: {message}"
        if arguments and first["loc"]:
            text = Wording(Setting(where, _in_double_quotes(given)), f": {message}")
        if first["type"] == "value_error" and isinstance(first["input"], dict):  # a table: its message names the key
            text = f"{where}: {message}" if first["loc"] else message
    return text if len(errors) == 1 else Wording(text, f" (and {len(errors) - 1} more)")


def _indexed(loc: tuple[int | str, ...]) -> str:
    """The place of a value as in Python: `mean[0]`, `train.lr`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def _in_double_quotes(written: str) -> str:
    return f'"{written[1:-1]}"' if written[0] == "'" and '"' not in written else written


def _keys_beside(kind: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    current: Any = kind
    named = False  # whether the next part is a name in a table of tables
    for part in loc[:-1]:
        if isinstance(part, int) or named:
            named = False
            continue
        annotation = current.model_fields[part].annotation
        named = get_origin(annotation) is dict
        current = _model_inside(annotation)
    return list(current.model_fields)


def _model_inside(annotation: Any) -> Any:
    """The pydantic model in `Model`, `Model | None` or `tuple[Model, ...]`."""
    if hasattr(annotation, "model_fields"):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _model_inside(part)
        if found is not None:
            return found
    return None
