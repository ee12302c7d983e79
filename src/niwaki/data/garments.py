"""Ten garments as implicit shapes: functions of the plane that are positive inside, drawn for many images at once.

Coordinates are x to the right and y down, both from −1 to 1 over the image. Every array is float32 (N, 784) or, for
what is drawn at random once per image, (N, 1). Pixels use only operations that IEEE 754 rounds exactly, so every
processor draws the same images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from niwaki.data.datasets import GARMENTS

Detail = tuple[np.ndarray, np.ndarray]  # a shape, and its brightness relative to the cloth (1: the same)


class Lots(Protocol):
    """The source of random numbers."""

    def between(self, low: float, high: float) -> np.ndarray:
        """Uniform numbers, float32 (N, 1)."""

    def chance(self, probability: float) -> np.ndarray:
        """True with that probability, bool (N, 1)."""


@dataclass(frozen=True)
class Plane:
    """The coordinates of each pixel in a garment's own frame, float32 (N, 784) each."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Garment:
    """The outline and, painted over it in order, the details."""

    outline: np.ndarray
    details: tuple[Detail, ...] = ()


def profile(
    along: np.ndarray, across: np.ndarray, knots: list[tuple[np.ndarray | float, np.ndarray | float]]
) -> np.ndarray:
    """Inside if |across| is below a half width that is linear between knots (position, half width) along."""
    (first, width), last = knots[0], knots[-1][0]
    half = width + np.zeros_like(along)
    for (start, before), (end, after) in pairwise(knots):
        half += (after - before) / (end - start) * np.clip(along - start, 0, end - start)
    inside: np.ndarray = np.minimum(half - np.abs(across), np.minimum(along - first, last - along))
    return inside


def limb(
    plane: Plane,
    start: tuple[np.ndarray | float, np.ndarray | float],
    end: tuple[np.ndarray | float, np.ndarray | float],
    thick: np.ndarray | float,
    thin: np.ndarray | float,
) -> np.ndarray:
    """Inside a tube from start (radius `thick`) to end (radius `thin`), and its mirror image left of x = 0."""
    x, y = np.abs(plane.x) - start[0], plane.y - start[1]
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = np.clip((x * dx + y * dy) / (dx * dx + dy * dy), 0, 1)
    away_x, away_y = x - along * dx, y - along * dy
    inside: np.ndarray = thick + (thin - thick) * along - np.sqrt(away_x * away_x + away_y * away_y)
    return inside


def oval(
    plane: Plane, x: np.ndarray | float, y: np.ndarray | float, a: np.ndarray | float, b: np.ndarray | float
) -> np.ndarray:
    """Inside an ellipse centred on (x, y) with the half axes a and b (a distance only near its edge)."""
    u, v = (plane.x - x) / a, (plane.y - y) / b
    inside: np.ndarray = (1 - np.sqrt(u * u + v * v)) * np.minimum(a, b)
    return inside


def line(distance: np.ndarray, half: np.ndarray | float) -> np.ndarray:
    """Inside a stroke of half width `half` where `distance` is 0."""
    inside: np.ndarray = half - np.abs(distance)
    return inside


def _top(p: Plane, lots: Lots, *, hem: tuple[float, float], wide: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """A torso from shoulders to hem with its neck cut out, and its half width at the chest."""
    chest, bottom = lots.between(*wide), lots.between(*hem)
    flare = lots.between(-0.06, 0.08)
    torso = profile(p.y, p.x, [(-0.8, 0.22), (-0.62, chest), (0.0, chest - 0.02), (bottom, chest + flare)])
    neck = oval(p, 0, -0.85, lots.between(0.13, 0.25), lots.between(0.1, 0.3))
    return np.minimum(torso, -neck), chest


def _short_sleeves(p: Plane, lots: Lots, chest: np.ndarray) -> np.ndarray:
    reach, drop, thick = lots.between(0.2, 0.36), lots.between(-0.42, -0.12), lots.between(0.15, 0.2)
    return limb(p, (chest - 0.1, -0.56), (chest + reach, drop), thick, thick - 0.03)


def _long_sleeves(p: Plane, lots: Lots, chest: np.ndarray) -> np.ndarray:
    reach, drop, thick = lots.between(0.12, 0.3), lots.between(0.45, 0.78), lots.between(0.13, 0.18)
    return limb(p, (chest - 0.06, -0.58), (chest + reach, drop), thick, thick - 0.04)


def _seams(p: Plane, lots: Lots, chest: np.ndarray) -> Detail:
    """The dark lines between the body and the sleeves."""
    return np.minimum(line(np.abs(p.x) - chest, 0.03), p.y + 0.45), lots.between(0.6, 0.95)


def t_shirt(p: Plane, lots: Lots) -> Garment:
    """Short sleeves, a round neck, sometimes a print on the chest."""
    torso, chest = _top(p, lots, hem=(0.7, 0.92), wide=(0.36, 0.5))
    printed = np.where(lots.chance(0.4), lots.between(0.5, 1.5), 1)
    chest_print = oval(p, 0, lots.between(-0.25, 0.1), lots.between(0.12, 0.26), lots.between(0.1, 0.28))
    return Garment(np.maximum(torso, _short_sleeves(p, lots, chest)), ((chest_print, printed),))


def trouser(p: Plane, lots: Lots) -> Garment:
    """A waist band and two legs that part below the crotch."""
    waist, crotch, bottom = lots.between(0.2, 0.34), lots.between(-0.5, -0.2), lots.between(0.75, 0.95)
    apart, slim = lots.between(0.0, 0.16), lots.between(0.11, 0.2)
    hips = profile(p.y, p.x, [(-0.92, waist), (crotch, waist + 0.06), (crotch + 0.12, waist + 0.05)])
    centre = profile(p.y, p.x, [(-0.7, waist * 0.5), (bottom, apart + slim)])
    leg_axis = np.abs(p.x) - (waist * 0.5 + (apart + slim - waist * 0.5) * (p.y + 0.7) / (bottom + 0.7))
    legs = np.minimum(slim - np.abs(leg_axis), np.minimum(p.y + 0.7, bottom - p.y))
    band = line(p.y + 0.84, 0.05), lots.between(0.6, 1.2)
    return Garment(np.maximum(hips, np.maximum(legs, np.minimum(centre, crotch - p.y))), (band,))


def pullover(p: Plane, lots: Lots) -> Garment:
    """Long sleeves, a small neck, ribs at the hem."""
    torso, chest = _top(p, lots, hem=(0.68, 0.9), wide=(0.36, 0.5))
    ribs = line(p.y - lots.between(0.66, 0.8), 0.06), lots.between(0.65, 1.1)
    return Garment(np.maximum(torso, _long_sleeves(p, lots, chest)), (_seams(p, lots, chest), ribs))


def dress(p: Plane, lots: Lots) -> Garment:
    """Narrow at the top, a waist, a skirt that widens; sleeves are short or missing."""
    shoulder, waist, skirt = lots.between(0.17, 0.32), lots.between(0.15, 0.28), lots.between(0.26, 0.6)
    height = lots.between(-0.3, 0.1)
    body = profile(p.y, p.x, [(-0.92, shoulder * 0.7), (-0.65, shoulder), (height, waist), (0.94, skirt)])
    neck = oval(p, 0, -0.95, lots.between(0.08, 0.18), lots.between(0.12, 0.35))
    sleeves = _short_sleeves(p, lots, shoulder) - np.where(lots.chance(0.7), 1, 0).astype(np.float32)
    belt = line(p.y - height, 0.04), lots.between(0.5, 1.1)
    return Garment(np.maximum(np.minimum(body, -neck), sleeves), (belt,))


def coat(p: Plane, lots: Lots) -> Garment:
    """Long sleeves, long hem, open at the front below V-shaped lapels."""
    torso, chest = _top(p, lots, hem=(0.82, 0.97), wide=(0.36, 0.5))
    depth = lots.between(-0.3, 0.1)
    lapels = np.minimum(line(np.abs(p.x) - 0.3 * (depth - p.y), 0.05), depth - p.y), lots.between(0.4, 0.9)
    opening = np.minimum(line(p.x, lots.between(0.02, 0.06)), p.y - depth), lots.between(0.1, 0.65)
    pockets = np.minimum(line(np.abs(p.x) - 0.25, 0.1), line(p.y - 0.35, 0.035)), lots.between(0.5, 1.0)
    return Garment(np.maximum(torso, _long_sleeves(p, lots, chest)), (_seams(p, lots, chest), lapels, opening, pockets))


def sandal(p: Plane, lots: Lots) -> Garment:
    """A thin sole, often on a heel, with straps and air between them."""
    heel, sole = lots.between(0.0, 0.5) * lots.chance(0.7), lots.between(0.05, 0.1)
    rise = heel * np.clip((p.x + 0.1) / 0.8, 0, 1)
    under = np.minimum(line(p.y - 0.5 + rise, sole), 0.88 - np.abs(p.x))
    post = np.minimum(line(p.x - 0.78, lots.between(0.05, 0.13)), np.minimum(p.y - 0.5 + heel, 0.55 - p.y))
    arch = oval(p, lots.between(-0.55, -0.3), 0.45, 0.32, lots.between(0.22, 0.42))
    toe_strap = np.minimum(line(arch - 0.05, lots.between(0.04, 0.08)), 0.5 - rise - p.y)
    ankle = oval(p, 0.55, 0.3 - heel, lots.between(0.22, 0.34), lots.between(0.3, 0.5))
    ankle_strap = np.minimum(line(ankle - 0.05, lots.between(0.03, 0.08)), 0.5 - rise - p.y)
    return Garment(np.maximum(np.maximum(under, post), np.maximum(toe_strap, ankle_strap)))


def shirt(p: Plane, lots: Lots) -> Garment:
    """A collar and a row of buttons; sleeves long or short."""
    torso, chest = _top(p, lots, hem=(0.72, 0.88), wide=(0.34, 0.48))
    long = lots.chance(0.6)
    sleeves = np.where(long, _long_sleeves(p, lots, chest), _short_sleeves(p, lots, chest))
    collar = np.minimum(line(np.abs(p.x) + p.y + 0.5, 0.06), 0.26 - np.abs(p.x)), lots.between(0.5, 1.3)
    placket = np.minimum(line(p.x, 0.035), p.y + 0.5), lots.between(0.6, 1.15)
    every = lots.between(0.2, 0.3)
    height = p.y / every
    dots = np.minimum(line(p.x, 0.05), line((height - np.floor(height) - 0.5) * every, 0.045))
    buttons = np.minimum(dots, p.y + 0.45), lots.between(0.3, 0.9)
    return Garment(np.maximum(torso, sleeves), (collar, placket, buttons))


def _shoe(p: Plane, lots: Lots, shaft: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A shoe with its toe to the left and an upper that rises by `shaft`; and the height of its sole's top edge."""
    toe, ground = lots.between(0.12, 0.26), lots.between(0.42, 0.56)
    bend = lots.between(-0.35, 0.0)
    instep = ground - toe - 0.12
    top = instep - (shaft - toe) * np.clip((p.x - bend) / lots.between(0.25, 0.55), 0, 1)
    top = top + np.clip(-p.x - 0.5, 0, 1) * toe
    upper = np.minimum(np.minimum(p.y - top, ground - p.y), np.minimum(0.9 + p.x, lots.between(0.7, 0.88) - p.x))
    return upper, ground


def sneaker(p: Plane, lots: Lots) -> Garment:
    """Low, with a thick bright sole and laces."""
    upper, ground = _shoe(p, lots, lots.between(0.3, 0.55))
    sole = line(p.y - ground, lots.between(0.06, 0.12)), lots.between(0.8, 1.6)
    slant = (p.x * 0.8 + p.y + 0.1) / 0.16
    marks = (
        np.minimum(line((slant - np.floor(slant) - 0.5) * 0.16, 0.03), line(p.x + 0.15, 0.25)),
        lots.between(0.5, 1.4),
    )
    outline = np.maximum(upper, np.minimum(sole[0], 0.9 - np.abs(p.x)))
    return Garment(outline, (marks, sole))


def bag(p: Plane, lots: Lots) -> Garment:
    """A box, wider or narrower at the top, with a handle."""
    top, bottom = lots.between(-0.4, 0.0), lots.between(0.55, 0.85)
    body = profile(p.y, p.x, [(top, lots.between(0.45, 0.85)), (bottom, lots.between(0.55, 0.88))])
    arc = oval(p, 0, top, lots.between(0.25, 0.5), lots.between(0.3, 0.55))
    handle = np.minimum(line(arc - 0.04, lots.between(0.04, 0.08)), top - p.y)
    flap = line(p.y - top - lots.between(0.15, 0.4), 0.03), lots.between(0.5, 1.0)
    clasp = oval(p, 0, top + 0.3, 0.09, 0.09), lots.between(0.5, 1.5)
    return Garment(np.maximum(body, handle), (flap, clasp))


def ankle_boot(p: Plane, lots: Lots) -> Garment:
    """A shoe whose shaft rises above the ankle, often with a heel."""
    upper, ground = _shoe(p, lots, lots.between(0.6, 1.15))
    heel = lots.between(0.0, 0.25)
    post = np.minimum(np.minimum(p.x - 0.35, 0.75 - p.x), np.minimum(p.y - ground + 0.05, ground + heel - p.y))
    sole = line(p.y - ground, 0.05), lots.between(0.5, 1.2)
    return Garment(np.maximum(upper, post), (sole,))


DRAWN: dict[str, Callable[[Plane, Lots], Garment]] = dict(
    zip(
        GARMENTS,
        (t_shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle_boot),
        strict=True,
    )
)
