"""What the base loses if one layer alone loses channels or has weights of fewer bits."""

from __future__ import annotations

from niwaki.drawing.chart import Axis, Chart, Panel, Point, Rule, Series
from niwaki.reporting.words import Words
from niwaki.study.layer_facts import Sensitivity

MOST = 24  # layers that the figure shows: those that lose most


def sensitivity_chart(found: Sensitivity, words: Words) -> Chart:
    """A panel for channels and one for bits: points lost by each layer, with the limit of chance as its error bar."""
    losing = sorted(found.layers, key=lambda layer: -_worst(found, layer.name))[:MOST]
    shown = found.model_copy(update={"layers": tuple(layer for layer in found.layers if layer in losing)})
    panels = tuple(_panel(shown, what, words) for what in ("pruned", "rounded"))
    title = words("chart.sensitivity")
    described = words("chart.described.figure", title=title, panels=", ".join(panel.title for panel in panels))
    caption = words("sensitivity.caption", images=found.images, accuracy=found.accuracy)
    if len(losing) < len(found.layers):
        caption += " " + words("sensitivity.caption.most", most=MOST)
    return Chart("figure-sensitivity", "dots", title, caption, described, panels)


def _worst(found: Sensitivity, name: str) -> float:
    (layer,) = (layer for layer in found.layers if layer.name == name)
    changes = (*layer.pruned.values(), *layer.rounded.values())
    return max((change.loss for change in changes if change is not None), default=0.0)


def _panel(found: Sensitivity, what: str, words: Words) -> Panel:
    degrees = sorted(getattr(found.layers[0], what), key=int, reverse=what == "rounded") if found.layers else []
    series = []
    for look, degree in enumerate(degrees):
        name = words(f"sensitivity.{what}", degree=degree)
        points = []
        for layer in found.layers:
            change = getattr(layer, what).get(degree)
            if change is not None:
                low, high = change.loss - change.noise, change.loss + change.noise
                tip = words("sensitivity.tip", loss=change.loss, noise=change.noise)
                points.append(Point(change.loss, layer.name, f"{layer.name}, {name}\n{tip}", low, high))
        series.append(Series(name, tuple(points), look if what == "pruned" else look + len(degrees), joined=False))
    layers = Axis("", "category", categories=tuple(layer.name for layer in found.layers))
    return Panel(Axis(words("axis.lost")), layers, tuple(series), words(f"sensitivity.{what}.title"), (Rule(0.0, ""),))
