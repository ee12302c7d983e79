"""From a chart to the SVG of its panels: small ones if there are several, so that each is readable on a phone."""

from __future__ import annotations

from markupsafe import Markup

from niwaki.drawing.chart import Chart
from niwaki.drawing.dots import draw_bars, draw_dots
from niwaki.drawing.lines import draw_lines
from niwaki.drawing.matrix import draw_matrix

SIZES = {1: (440.0, 285.0), 2: (400.0, 280.0), 3: (320.0, 250.0), 4: (400.0, 260.0)}  # by the number of panels
SMALL = (300.0, 230.0)
TINY = (190.0, 130.0)
WIDE = (880.0, 320.0)  # a single panel over the full width of a desktop


def draw_wide(chart: Chart) -> Markup | None:
    """A single panel again, for wide screens and paper, with `-wide` at the end of its id; None for others."""
    if chart.kind == "matrix" or chart.small or len(chart.panels) != 1:
        return None
    return _panel(chart, 0, f"{chart.id}-0-wide", *WIDE)


def draw(chart: Chart) -> list[Markup]:
    """The panels of a chart, each as its own SVG; ids start with the chart's."""
    if chart.kind == "matrix":
        return [
            draw_matrix(f"{chart.id}-{index}", matrix, f"{chart.title}: {matrix.title}", chart.description)
            for index, matrix in enumerate(chart.matrices)
        ]
    width, height = TINY if chart.small else SIZES.get(len(chart.panels), SMALL)
    return [_panel(chart, index, f"{chart.id}-{index}", width, height) for index in range(len(chart.panels))]


def _panel(chart: Chart, index: int, name: str, width: float, height: float) -> Markup:
    panel = chart.panels[index]
    title = f"{chart.title}: {panel.title or panel.y.title or panel.x.title}"
    if chart.kind == "lines":
        return draw_lines(name, panel, title, chart.description, width, height)
    make = draw_bars if chart.kind == "bars" else draw_dots
    return make(name, panel, title, chart.description, max(width, 360.0))
