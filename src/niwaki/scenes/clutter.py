"""Things that are not garments: hands, cables, cups, boxes, writing, the edge of a table; drawn one after the other.

Each kind belongs to one family only, as backgrounds do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from niwaki.scenes.backgrounds import Family
from niwaki.scenes.fields import Field, Size, grid, layered

FINER = 2  # things are drawn this many times finer, then averaged: soft edges

Point = tuple[float, float]  # across, down, in units of the frame's height


@dataclass(frozen=True)
class Thing:
    """Its mask, 0 to 1, and how much light it reflects: float32 (height, width) both."""

    mask: Field
    reflectance: Field


Draw = Callable[[np.random.Generator, Size], list[Thing]]


class _Sheet:
    """A mask to paint shapes on, in units of the frame's height."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.image = Image.new("L", (size[1] * FINER, size[0] * FINER))
        self.draw = ImageDraw.Draw(self.image)

    def _at(self, points: Sequence[Point]) -> list[Point]:
        unit = self.size[0] * FINER
        return [(x * unit, y * unit) for x, y in points]

    def polygon(self, points: Sequence[Point], ink: int = 255) -> None:
        self.draw.polygon(self._at(points), fill=ink)

    def disc(self, centre: Point, a: float, b: float, ink: int = 255) -> None:
        (left, top), (right, bottom) = self._at([(centre[0] - a, centre[1] - b), (centre[0] + a, centre[1] + b)])
        self.draw.ellipse([left, top, right, bottom], fill=ink)

    def stroke(self, points: Sequence[Point], width: float, ink: int = 255) -> None:
        """A line with round ends and joints."""
        self.draw.line(self._at(points), fill=ink, width=max(1, round(width * self.size[0] * FINER)))
        for point in points:
            self.disc(point, width / 2, width / 2, ink)

    def mask(self) -> Field:
        small = self.image.resize((self.size[1], self.size[0]), Image.Resampling.BOX)
        return np.asarray(small, dtype=np.float32) / np.float32(255)


def _aspect(size: Size) -> float:
    return size[1] / size[0]


def _cloth(rng: np.random.Generator, size: Size, level: float, rough: float = 0.02) -> Field:
    """A surface of that reflectance, lit from one side."""
    rows, columns = grid(size)
    turn = rng.uniform(0, 2 * np.pi)
    side = np.float32(rng.uniform(0, 0.3)) * (np.float32(np.cos(turn)) * columns + np.float32(np.sin(turn)) * rows)
    patches = layered(rng, size, [size[0] / 8, size[0] / 100], 0.8)
    return np.float32(level) * (1 + side + np.float32(rough) * patches)


def _thing(rng: np.random.Generator, sheet: _Sheet, level: float, rough: float = 0.02) -> Thing:
    return Thing(sheet.mask(), _cloth(rng, sheet.size, level, rough))


def _turned(points: Sequence[Point], centre: Point, turn: float) -> list[Point]:
    cos, sin = np.cos(turn), np.sin(turn)
    return [(centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y) for x, y in points]


def _somewhere(rng: np.random.Generator, size: Size, margin: float) -> Point:
    return rng.uniform(margin, _aspect(size) - margin), rng.uniform(margin, 1 - margin)


def _box(centre: Point, a: float, b: float, turn: float) -> list[Point]:
    return _turned([(-a, -b), (a, -b), (a, b), (-a, b)], centre, turn)


def _border(rng: np.random.Generator, size: Size) -> tuple[Point, float]:
    """A place outside the frame, and the direction inwards."""
    wide, side = _aspect(size), rng.integers(4)
    share = rng.uniform(0.2, 0.8)
    where = [(share * wide, -0.1), (wide + 0.1, share), (share * wide, 1.1), (-0.1, share)][side]
    return where, float(np.pi / 2 * (1 + side) + rng.uniform(-0.5, 0.5))


def hand(rng: np.random.Generator, size: Size) -> list[Thing]:
    """An arm that reaches into the frame, with an open hand."""
    start, turn = _border(rng, size)
    long, thick = rng.uniform(0.3, 0.75), rng.uniform(0.09, 0.16)
    palm = (start[0] + long * np.cos(turn), start[1] + long * np.sin(turn))
    sheet = _Sheet(size)
    sheet.stroke([start, palm], thick)
    sheet.disc(palm, thick * 0.75, thick * 0.75)
    for finger in range(5):
        angle = turn + (finger - 2) * rng.uniform(0.18, 0.4)
        reach = thick * rng.uniform(1.3, 2.0)
        tip = (palm[0] + reach * np.cos(angle), palm[1] + reach * np.sin(angle))
        sheet.stroke([palm, tip], thick * 0.28)
    return [_thing(rng, sheet, rng.uniform(0.25, 0.7))]


def fist(rng: np.random.Generator, size: Size) -> list[Thing]:
    """A sleeve and a closed hand."""
    start, turn = _border(rng, size)
    long, thick = rng.uniform(0.35, 0.8), rng.uniform(0.12, 0.2)
    wrist = (start[0] + 0.7 * long * np.cos(turn), start[1] + 0.7 * long * np.sin(turn))
    end = (start[0] + long * np.cos(turn), start[1] + long * np.sin(turn))
    sleeve, skin = _Sheet(size), _Sheet(size)
    skin.stroke([wrist, end], thick * 0.7)
    skin.disc(end, thick * 0.65, thick * 0.55)
    sleeve.stroke([start, wrist], thick)
    return [_thing(rng, skin, rng.uniform(0.25, 0.7)), _thing(rng, sleeve, rng.uniform(0.05, 0.9))]


def cable(rng: np.random.Generator, size: Size) -> list[Thing]:
    """One or two cables that wind through the frame."""
    sheet = _Sheet(size)
    for _ in range(rng.integers(1, 3)):
        (x, y), turn = _border(rng, size)
        points, bend = [(x, y)], 0.0
        for _ in range(60):
            bend = 0.9 * bend + rng.normal(0, 0.09)
            turn += bend
            x, y = x + 0.03 * np.cos(turn), y + 0.03 * np.sin(turn)
            points.append((x, y))
        sheet.stroke(points, rng.uniform(0.012, 0.03))
    return [_thing(rng, sheet, rng.choice([rng.uniform(0.03, 0.2), rng.uniform(0.6, 0.95)]))]


def cup(rng: np.random.Generator, size: Size) -> list[Thing]:
    """A cup from above or from the side, with its handle."""
    centre, radius = _somewhere(rng, size, 0.3), rng.uniform(0.1, 0.25)
    body, inside = _Sheet(size), _Sheet(size)
    turn = rng.uniform(0, 2 * np.pi)
    grip = (centre[0] + radius * np.cos(turn), centre[1] + radius * np.sin(turn))
    body.disc(grip, radius * 0.4, radius * 0.4)
    body.disc(grip, radius * 0.25, radius * 0.25, 0)
    level = rng.uniform(0.1, 0.9)
    if rng.random() < 0.5:
        body.disc(centre, radius, radius)
        inside.disc(centre, radius * 0.88, radius * 0.88)
    else:
        tall = radius * rng.uniform(1.0, 1.6)
        body.polygon(
            _turned([(-radius, -tall), (radius, -tall), (0.8 * radius, tall), (-0.8 * radius, tall)], centre, 0)
        )
        inside.disc((centre[0], centre[1] - tall), radius, radius * 0.2)
    return [_thing(rng, body, level), _thing(rng, inside, level * rng.uniform(0.3, 0.8))]


def box(rng: np.random.Generator, size: Size) -> list[Thing]:
    """A box with a side in the shade, and sometimes a label."""
    centre, turn = _somewhere(rng, size, 0.3), rng.uniform(0, np.pi)
    a, b, deep = rng.uniform(0.08, 0.35), rng.uniform(0.08, 0.3), rng.uniform(0.02, 0.12)
    level = rng.uniform(0.08, 0.9)
    side, top, label = _Sheet(size), _Sheet(size), _Sheet(size)
    side.polygon(_box((centre[0], centre[1] + deep), a, b, turn))
    top.polygon(_box(centre, a, b, turn))
    label.polygon(_box(centre, a * rng.uniform(0.2, 0.7), b * rng.uniform(0.2, 0.7), turn))
    things = [_thing(rng, side, level * rng.uniform(0.3, 0.8)), _thing(rng, top, level)]
    return [*things, _thing(rng, label, rng.uniform(0.1, 0.95))] if rng.random() < 0.5 else things


def writing(rng: np.random.Generator, size: Size) -> list[Thing]:
    """A written or printed sheet: lines of short marks."""
    centre, turn = _somewhere(rng, size, 0.4), rng.uniform(-0.5, 0.5)
    a, b = rng.uniform(0.15, 0.35), rng.uniform(0.15, 0.4)
    sheet, ink = _Sheet(size), _Sheet(size)
    sheet.polygon(_box(centre, a, b, turn))
    pitch = rng.uniform(0.03, 0.07)
    for line in np.arange(-b + pitch, b - pitch / 2, pitch):
        x = -a * 0.85
        while x < a * 0.85:
            long = rng.uniform(0.01, 0.07)
            ink.stroke(_turned([(x, line), (min(x + long, a * 0.85), line)], centre, turn), pitch * 0.35)
            x += long + rng.uniform(0.015, 0.03)
    paper = rng.uniform(0.6, 0.95)
    return [_thing(rng, sheet, paper, 0.01), _thing(rng, ink, rng.uniform(0.02, 0.3))]


def table_edge(rng: np.random.Generator, size: Size) -> list[Thing]:
    """The edge of the table, and the floor beyond."""
    wide, turn = _aspect(size), rng.uniform(0, 2 * np.pi)
    away = rng.uniform(0.1, 0.4)
    centre = (wide / 2 + (2 + away) * np.cos(turn), 0.5 + (2 + away) * np.sin(turn))
    floor, rim = _Sheet(size), _Sheet(size)
    floor.polygon(_box(centre, 2, 3, turn))
    rim.polygon(_box((centre[0] - 2 * np.cos(turn), centre[1] - 2 * np.sin(turn)), 0.015, 3, turn))
    return [_thing(rng, floor, rng.uniform(0.05, 0.9), 0.08), _thing(rng, rim, rng.uniform(0.05, 0.9))]


def pens(rng: np.random.Generator, size: Size) -> list[Thing]:
    """A few pens, each with its cap."""
    things: list[Thing] = []
    for _ in range(rng.integers(1, 5)):
        body, cap = _Sheet(size), _Sheet(size)
        (x, y), turn, long = _somewhere(rng, size, 0.2), rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 0.6)
        thick = rng.uniform(0.02, 0.05)
        end = (x + long * np.cos(turn), y + long * np.sin(turn))
        body.stroke([(x, y), end], thick)
        cap.stroke([(x, y), (x + 0.3 * (end[0] - x), y + 0.3 * (end[1] - y))], thick)
        things += [_thing(rng, body, rng.uniform(0.05, 0.9)), _thing(rng, cap, rng.uniform(0.05, 0.9))]
    return things


def bottle(rng: np.random.Generator, size: Size) -> list[Thing]:
    """A bottle, lying or standing, with a label and a highlight."""
    centre, turn = _somewhere(rng, size, 0.35), rng.choice([0.0, np.pi / 2]) + rng.uniform(-0.3, 0.3)
    a, b = rng.uniform(0.07, 0.15), rng.uniform(0.2, 0.38)
    neck, level = a * rng.uniform(0.25, 0.5), rng.uniform(0.08, 0.8)
    body, label, shine = _Sheet(size), _Sheet(size), _Sheet(size)
    half = [(-a, b), (-a, -b * 0.2), (-neck, -b * 0.55), (-neck, -b)]
    body.polygon(_turned([*half, *((-x, y) for x, y in reversed(half))], centre, turn))
    label.polygon(_turned([(-a, 0), (a, 0), (a, b * 0.6), (-a, b * 0.6)], centre, turn))
    shine.stroke(_turned([(-a * 0.6, b * 0.9), (-a * 0.6, -b * 0.1)], centre, turn), a * 0.15)
    return [
        _thing(rng, body, level), _thing(rng, label, rng.uniform(0.1, 0.95)), _thing(rng, shine, min(1, level + 0.3)),
    ]  # fmt: skip


def plate(rng: np.random.Generator, size: Size) -> list[Thing]:
    """A plate with its rim, and a fork beside it."""
    centre, radius, turn = _somewhere(rng, size, 0.35), rng.uniform(0.18, 0.38), rng.uniform(0, 2 * np.pi)
    level = rng.uniform(0.3, 0.95)
    outer, inner, fork = _Sheet(size), _Sheet(size), _Sheet(size)
    outer.disc(centre, radius, radius)
    inner.disc(centre, radius * 0.7, radius * 0.7)
    aside = (centre[0] + radius * 1.25 * np.cos(turn), centre[1] + radius * 1.25 * np.sin(turn))
    fork.stroke(_turned([(0, -radius), (0, radius)], aside, turn), 0.02)
    for tine in (-0.02, 0.0, 0.02):
        fork.stroke(_turned([(tine, -radius), (tine, -radius * 0.6)], aside, turn), 0.01)
    things = [_thing(rng, outer, level), _thing(rng, inner, level * rng.uniform(0.8, 1.05))]
    return [*things, _thing(rng, fork, rng.uniform(0.3, 0.9))] if rng.random() < 0.6 else things


def keyboard(rng: np.random.Generator, size: Size) -> list[Thing]:
    """A keyboard or a remote control: keys in rows on a dark or light case."""
    centre, turn = _somewhere(rng, size, 0.4), rng.uniform(-0.7, 0.7)
    columns, rows, pitch = int(rng.integers(3, 13)), int(rng.integers(4, 7)), rng.uniform(0.04, 0.07)
    case, keys = _Sheet(size), _Sheet(size)
    case.polygon(_box(centre, (columns / 2 + 0.5) * pitch, (rows / 2 + 0.5) * pitch, turn))
    for row in range(rows):
        for column in range(columns):
            x, y = (column - columns / 2 + 0.5) * pitch, (row - rows / 2 + 0.5) * pitch
            keys.polygon(_turned(_box((x, y), pitch * 0.38, pitch * 0.38, 0), centre, turn))
    level = rng.uniform(0.05, 0.9)
    return [_thing(rng, case, level), _thing(rng, keys, float(np.clip(level + rng.choice([-0.25, 0.25]), 0.03, 0.95)))]


def coins(rng: np.random.Generator, size: Size) -> list[Thing]:
    """Keys, coins, clips: small things scattered about."""
    things: list[Thing] = []
    for _ in range(rng.integers(3, 9)):
        sheet, centre, radius = _Sheet(size), _somewhere(rng, size, 0.12), rng.uniform(0.02, 0.06)
        if rng.random() < 0.6:
            sheet.disc(centre, radius, radius)
        else:
            turn = rng.uniform(0, np.pi)
            sheet.stroke(_turned([(-2 * radius, 0), (2 * radius, 0)], centre, turn), radius * 0.5)
            sheet.disc(centre, radius * 0.8, radius * 0.8)
        things.append(_thing(rng, sheet, rng.uniform(0.1, 0.9)))
    return things


def corner(rng: np.random.Generator, size: Size) -> list[Thing]:
    """The corner of a mat or a tray that lies partly outside the frame."""
    wide, turn = _aspect(size), rng.uniform(-0.4, 0.4) + np.pi / 2 * rng.integers(4)
    spread = rng.uniform(0.2, 0.6)
    tip = (wide * rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7))
    mat, rim = _Sheet(size), _Sheet(size)
    mat.polygon(_turned([(0, 0), (3, 0), (3, 3), (0, 3)], tip, turn))
    rim.stroke(_turned([(3, 0.04), (0.04, 0.04), (0.04, 3)], tip, turn), 0.02 * spread)
    return [_thing(rng, mat, rng.uniform(0.05, 0.9)), _thing(rng, rim, rng.uniform(0.05, 0.9))]


KINDS: dict[Family, dict[str, Draw]] = {
    "tuning": {"hand": hand, "cable": cable, "cup": cup, "box": box, "writing": writing, "table edge": table_edge},
    "figure": {
        "fist": fist, "pens": pens, "bottle": bottle, "plate": plate, "keyboard": keyboard, "coins": coins,
        "corner": corner,
    },
}  # fmt: skip
