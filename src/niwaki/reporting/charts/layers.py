"""Layer by layer: what is left of each, and how its numbers are spread over the int8 grid, before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from niwaki.drawing.chart import Axis, Chart, Panel, Point, Series, Unit
from niwaki.reporting.charts.measures import number
from niwaki.reporting.words import Words
from niwaki.study.layer_facts import LAYER_BINS, LayerCodes, LayerFacts

MEASURES: dict[str, Unit] = {"channels": "count", "params": "count", "macs": "count", "bytes": "bytes"}
MOST, MOST_CODES = 24, 12  # layers that a figure shows: the table has all of them
REMAINS, REMOVED = 0, 5  # looks


@dataclass(frozen=True)
class Pair:
    """A layer in the base and, unless it is gone or nothing was chosen, in the chosen model."""

    base: LayerFacts
    chosen: LayerFacts | None


def pairs_of(layers: Mapping[str, Sequence[LayerFacts]]) -> list[Pair]:
    """The layers of the base, each with the one of the same name in the chosen model."""
    chosen = {layer.name: layer for layer in layers.get("chosen", ())}
    return [Pair(layer, chosen.get(layer.name)) for layer in layers.get("base", ())]


def layers_chart(pairs: Sequence[Pair], words: Words) -> Chart:
    """A panel for each measure: the whole bar is the base, its first part the chosen model."""
    drawn = sorted(sorted(pairs, key=lambda pair: -pair.base.params)[:MOST], key=pairs.index)
    names = tuple(pair.base.name for pair in drawn)
    panels = tuple(_bars(drawn, names, measure, unit, words) for measure, unit in MEASURES.items())
    title = words("chart.layers")
    described = words("chart.described", title=title, panels=", ".join(panel.title for panel in panels))
    caption = words("layers.caption", most=MOST) if len(pairs) > len(drawn) else words("layers.caption.all")
    return Chart("figure-layers", "bars", title, caption, described, panels)


def _bars(pairs: Sequence[Pair], names: tuple[str, ...], measure: str, unit: Unit, words: Words) -> Panel:
    remains, removed = [], []
    for pair in pairs:
        before, after = getattr(pair.base, measure), getattr(pair.chosen or pair.base, measure)
        now = words("layers.tip", before=number(before, unit), after=number(after, unit))
        tip = f"{pair.base.name}\n{words.column(f'layer.{measure}')}: {now}"
        remains.append(Point(float(min(before, after)), pair.base.name, tip))
        if before > after:
            removed.append(Point(float(before - after), pair.base.name, tip))
    series = (
        Series(words("layers.remains"), tuple(remains), REMAINS, joined=False),
        Series(words("layers.removed"), tuple(removed), REMOVED, joined=False),
    )
    title = words.column(f"layer.{measure}")
    return Panel(Axis("", unit=unit, from_zero=True), Axis("", "category", categories=names), series, title)


def codes_charts(codes: Mapping[str, Sequence[LayerCodes]], words: Words) -> list[Chart]:
    """The codes of weights and of outputs, a panel for each layer: the base beside the chosen model, both in int8."""
    if not any(codes.values()):
        return []
    first = next(iter(codes.values()))
    largest = sorted(first, key=lambda layer: -sum(layer.weights))[:MOST_CODES]
    names = [layer.name for layer in first if layer in largest]
    return [_codes(codes, names, what, words) for what in ("weights", "activations")]


def _codes(codes: Mapping[str, Sequence[LayerCodes]], names: Sequence[str], what: str, words: Words) -> Chart:
    panels = []
    for name in names:
        found = [
            (network, layer) for network, layers in codes.items() for layer in layers if layer.name == name
        ]  # fmt: skip
        series = tuple(_shares(layer, what, words(network), look, words) for look, (network, layer) in enumerate(found))
        x = Axis("", unit="number", ticks=(-128.0, -64.0, 0.0, 64.0, 127.0))
        panels.append(Panel(x, Axis("", unit="percent", from_zero=True), series, layer_name(name)))
    title = words(f"chart.codes.{what}")
    described = words("chart.described.figure", title=title, panels=", ".join(panel.title for panel in panels))
    return Chart(f"figure-codes-{what}", "lines", title, words(f"layers.codes.{what}"), described, tuple(panels),
                 small=len(panels) > 4)  # fmt: skip


def _shares(layer: LayerCodes, what: str, network: str, look: int, words: Words) -> Series:
    counts = layer.weights if what == "weights" else layer.activations
    width = 256 // LAYER_BINS
    points = []
    for index, count in enumerate(counts):
        low = index * width - 128
        share = 100 * count / (sum(counts) or 1)
        points.append(Point(low + width / 2, share, _tip(layer, what, network, (low, low + width - 1), share, words)))
    return Series(network, tuple(points), look, thin=True)


def _tip(layer: LayerCodes, what: str, network: str, codes: tuple[int, int], share: float, words: Words) -> str:
    said = words("layers.codes.tip", low=codes[0], high=codes[1], share=share)
    if what == "activations":
        low, high = ((code - layer.zero_point) * layer.scale for code in codes)
        said += "\n" + words("layers.codes.numbers", low=f"{low:.3g}", high=f"{high:.3g}")
    return f"{network}\n{said}"


def layer_name(name: str) -> str:
    """The module of an ONNX node: `/features/conv1/Conv` is `features.conv1`.

    >>> layer_name("/features/conv1/Conv"), layer_name("fc1")
    ('features.conv1', 'fc1')
    """
    parts = [part for part in name.split("/") if part]
    return ".".join(parts[:-1]) if name.startswith("/") and len(parts) > 1 else name
