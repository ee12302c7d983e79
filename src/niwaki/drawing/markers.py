"""The looks of series: seven markers, dashes and colours that can be distinguished without colour."""

from __future__ import annotations

from markupsafe import Markup

from niwaki.drawing.chart import Series
from niwaki.drawing.svg import tag

# Each of about the same area, around (0, 0).
MARKERS = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0",
    "M-3.6,-3.6h7.2v7.2h-7.2z",
    "M0,-4.9L4.6,3.4H-4.6z",
    "M0,-5.2L4.4,0L0,5.2L-4.4,0z",
    "M0,4.9L4.6,-3.4H-4.6z",
    "M-1.5,-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
    "M0,-4.6L4.4,-1.4L2.7,3.8H-2.7L-4.4,-1.4z",
)
DASHES = (None, "7 3", "2 2.5", "8 3 2 3", "12 4", "4 2 1 2", "1 3")
LOOKS = len(MARKERS)
SOURCE_DASH = "3 3"


def marker(look: int, x: float, y: float, *, source: bool = False, scale: float = 1.0) -> Markup:
    """The marker of a look at a place; hollow for published values."""
    classes = " ".join(part for part in ("m", "src" if source else "") if part)
    factor = 1.3 * scale if source else scale  # larger, to be visible around a mark of ours at the same place
    larger = "" if factor == 1 else f" scale({factor:g})"
    return tag("path", class_=classes, d=MARKERS[look % LOOKS], transform=f"translate({x:.1f} {y:.1f}){larger}")


def dash(series: Series) -> str | None:
    """The dashes of a series' line."""
    return SOURCE_DASH if series.source else DASHES[series.look % LOOKS]


def look_class(series: Series) -> str:
    """The class that gives a series its colour."""
    return f"s{series.look % LOOKS}"


def key_symbol(series: Series, *, kind: str) -> Markup:
    """A small picture of a series for the legend."""
    if kind == "bars":
        parts = [tag("rect", class_="bar", x=3, y=2, width=20, height=10)]
    else:
        parts = [marker(series.look, 13, 7, source=series.source)]
        if series.joined:
            parts.insert(0, tag("path", class_="line", d="M1,7H25", stroke_dasharray=dash(series)))
    return tag(
        "svg", tag("g", *parts, class_=look_class(series)), class_="key", viewBox="0 0 26 14", width=26, height=14,
        aria_hidden="true", focusable="false",
    )  # fmt: skip
