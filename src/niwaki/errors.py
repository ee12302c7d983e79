"""Every error that niwaki raises on purpose: one line that names the thing, the value and the way out.

Of errors that others raise it says the first line.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from niwaki.device.text import printable


class Setting(NamedTuple):
    """An argument that a text names, as in `data=` or `seeds=0`; `value` is as Python has it."""

    name: str
    value: str = ""

    def __str__(self) -> str:
        return f"`{self.name}={self.value}`"


class Wording(str):
    """A text that names settings: a string in the words of Python, whose `parts` say which of it is a setting.

    So the command line can name its options, and leaves alone what only looks like a setting. `str` of an error is
    one; an f-string around it is not, so that texts with one in them are put together here.

    >>> advice = Wording("name them with ", Setting("data"))
    >>> str(advice), Wording("no images: ", advice).parts
    ('name them with `data=`', ('no images: ', 'name them with ', Setting(name='data', value='')))
    """

    parts: tuple[str | Setting, ...]

    def __new__(cls, *pieces: object) -> Wording:
        """Of texts, settings, wordings, and errors, which say what `str` says."""
        parts = tuple(part for piece in pieces for part in _parts(piece))
        wording = super().__new__(cls, "".join(map(str, parts)))
        wording.parts = parts
        return wording

    def __str__(self) -> str:
        return self

    def join(self, texts: Iterable[str], /) -> Wording:
        """The texts with this one between them."""
        pieces = [piece for text in texts for piece in (self, text)]
        return Wording(*pieces[1:])


def _parts(piece: object) -> tuple[str | Setting, ...]:
    said = piece if isinstance(piece, Setting) else str(piece)
    return said.parts if isinstance(said, Wording) else (said,)


def _printable(part: str | Setting) -> str | Setting:
    return printable(part) if isinstance(part, str) else Setting(part.name, printable(part.value))


def first_line(error: BaseException | str) -> str:
    """The first line of what a library's error says; its kind if it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def kind_and_line(error: BaseException) -> str:
    r"""The kind of an error and the first line of what it says, if anything.

    >>> kind_and_line(ValueError("two\nlines")), kind_and_line(MemoryError())
    ('ValueError: two', 'MemoryError')
    """
    kind, said = type(error).__name__, first_line(error)
    return kind if said == kind else f"{kind}: {said}"


class NiwakiError(Exception):
    """A problem that the user can understand and mend. `exit_code` is what the command line returns.

    It is made of texts and of the settings that they name. As text it is one line of visible characters, whatever
    names and foreign messages are in it.

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
    """A factory that cannot be imported, trusted or called: the fault of this machine or command, not of a stage."""


class SpecError(NiwakiError):
    """A study, or a setting in it, that is not valid."""


class StoreError(NiwakiError):
    """A study's folder that cannot be used as it is."""


class StageFailed(NiwakiError):
    """A stage whose own computation failed (a loss that is not finite, a model that breaks when pruned).

    The failure is a result: with the same settings it happens again, so it is recorded.
    """

    exit_code = 1


class Stopped(NiwakiError):
    """The user pressed Ctrl-C, or a signal came; the message says what is stored."""

    exit_code = 130


class ToolMissing(NiwakiError):
    """A program that this machine has not (a compiler); the message says what installs it."""


class OutputError(NiwakiError):
    """Standard output that cannot be written, as on a full disk."""

    exit_code = 1


class WorkerLost(NiwakiError):
    """Worker processes that ended without a result (killed, out of memory). Not a result: never recorded."""

    exit_code = 1


class GuardMissing(NiwakiError):
    """A script that starts workers without `if __name__ == "__main__":`, so that no worker can start."""


def guess(given: str, known: Iterable[str]) -> str:
    """A question for a message about a name that is not known; empty if none of the known ones is near it.

    >>> guess("fashion_mnist", ["fashion-mnist", "synthetic"]), guess("cats", ["synthetic"])
    ("did you mean 'fashion-mnist'? ", '')
    """
    near = difflib.get_close_matches(given, list(known), n=1)
    return f"did you mean {near[0]!r}? " if near else ""


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Note on an error that nobody foresaw what was being done, as in `timing the networks`; errors of niwaki pass."""
    try:
        yield
    except NiwakiError:
        raise
    except Exception as error:
        error.add_note(what)
        raise
