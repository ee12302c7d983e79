"""SVG elements as text: attributes in the given order, short numbers, everything escaped; always the same bytes."""

from __future__ import annotations

from markupsafe import Markup, escape

WIDE = 0.62  # of a letter of a typical sans-serif at size 1
WIDE_CJK = 1.0


def tag(name: str, *content: str | Markup, **attributes: str | float | None) -> Markup:
    """An element. `class_` is `class`, underscores are hyphens; an attribute that is None is left out.

    >>> tag("text", "a < b", class_="tick", x=1.0)
    Markup('<text class="tick" x="1">a &lt; b</text>')
    """
    stated = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(short(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if not content:
        return Markup(f"<{name}{stated}/>")
    inner = Markup("").join(content)
    return Markup(f"<{name}{stated}>{inner}</{name}>")


def short(value: str | float) -> str:
    """A number with at most two decimals; text as it is."""
    if isinstance(value, str):
        return value
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def text_width(text: str, size: float) -> float:
    """The approximate width of a text in pixels: enough to leave room for it."""
    return size * sum(WIDE_CJK if ord(letter) > 0x2E80 else WIDE for letter in text)


def fitted(text: str, size: float, room: float) -> str:
    """The text, shortened with an ellipsis if it is wider than `room`."""
    if text_width(text, size) <= room + 0.5:
        return text
    while text and text_width(text + "…", size) > room + 0.5:
        text = text[:-1]
    return text.rstrip() + "…"
