"""From a chart to the SVG of its panels: small ones where there are several, so that each is readable on a phone."""

from __future__ import annotations

from markupsafe import Markup

from niwaki.drawing.chart import Chart
from niwaki.drawing.dots import draw_bars, draw_dots
from niwaki.drawing.lines import draw_lines
from niwaki.drawing.matrix import draw_matrix

SIZES = {1: (440.0, 285.0), 2: (400.0, 280.0), 3: (320.0, 250.0), 4: (400.0, 260.0)}  # by the number of panels
SMALL = (300.0, 230.0)
TINY = (190.0, 130.0)


def draw(chart: Chart) -> list[Markup]:
    """The panels of a chart, each an SVG of its own; ids begin with the chart's."""
    if chart.kind == "matrix":
        return [
            draw_matrix(f"{chart.id}-{index}", matrix, f"{chart.title}: {matrix.title}", chart.description)
            for index, matrix in enumerate(chart.matrices)
        ]
    width, height = TINY if chart.small else SIZES.get(len(chart.panels), SMALL)
    drawn = []
    for index, panel in enumerate(chart.panels):
        name = f"{chart.id}-{index}"
        title = f"{chart.title}: {panel.title or panel.y.title or panel.x.title}"
        if chart.kind == "lines":
            drawn.append(draw_lines(name, panel, title, chart.description, width, height))
        else:
            make = draw_bars if chart.kind == "bars" else draw_dots
            drawn.append(make(name, panel, title, chart.description, max(width, 360.0)))
    return drawn
