"""A source as written on the command line: `kind:place?option=value&option=value`."""

import os
from typing import Dict, Iterable, Optional

from ..errors import DeviceError

LARGEST_SIDE = 4096  # pixels; the most that the search for a garment accepts
FASTEST = 1000  # frames per second


class Spec:
    """`text` taken apart into `kind`, `place` and `options`; `number` reads an option.

    A file may have a question mark in its name: if the whole text names an existing one, it has no options.
    """

    def __init__(self, text: str) -> None:
        kind, colon, rest = text.partition(":")
        if not colon or not kind:
            raise self.error(text, "a source is written kind:place, such as v4l2:/dev/video0 or file:film.y4m")
        whole = kind == "file" and os.path.exists(rest)  # noqa: PTH110 - Path's raises where a name is too long
        place, _, options = (rest, "", "") if whole else rest.partition("?")
        self.text, self.kind, self.place = text, kind, place
        self.options: Dict[str, str] = {}
        for option in filter(None, options.split("&")):
            name, equals, value = option.partition("=")
            if not equals or not value:
                raise self.error(text, "option {!r} has no value: write {}=VALUE".format(name, name))
            self.options[name] = value

    @staticmethod
    def error(text: str, what: str) -> DeviceError:
        """An error about the source `text`."""
        return DeviceError("source {}: {}".format(text, what))

    def allow(self, names: Iterable[str]) -> None:
        """Refuse every option except `names`."""
        allowed = sorted(names)
        for name in self.options:
            if name not in allowed:
                known = "it takes " + ", ".join(allowed) if allowed else "it takes none"
                raise self.error(self.text, "option {!r} is unknown: {}".format(name, known))

    def number(self, name: str, default: Optional[int], largest: int = LARGEST_SIDE) -> int:
        """Option `name`, a whole number from 1 to `largest`; with `default` None it is required."""
        text = self.options.get(name)
        if text is None:
            if default is None:
                raise self.error(self.text, "needs option {}".format(name))
            return default
        if not (text.isdecimal() and 1 <= int(text) <= largest):
            raise self.error(self.text, "{}={} is not a whole number from 1 to {}".format(name, text, largest))
        return int(text)
