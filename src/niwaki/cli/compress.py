"""`niwaki compress`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import mode
from typing import TYPE_CHECKING

from niwaki.cli.deploy import allow
from niwaki.cli.output import beside, output, print_json, print_tabular
from niwaki.cli.searching import Searching
from niwaki.device.text import printable
from niwaki.errors import Stopped
from niwaki.tabular import Column, Tabular

if TYPE_CHECKING:
    from niwaki.search.answer import Figures
    from niwaki.search.outcome import Answer
    from niwaki.search.request import Wanted
    from niwaki.search.space import Space

_COLUMNS: tuple[Column, ...] = (("", "left"), ("chosen", "right"), ("runner-up", "right"))


def compress(wanted: Wanted, space: Path | None, *, language: str, dry_run: bool, as_json: bool) -> int:
    """Search, print the answer and write its report; returns 1 if the forms of the chosen network disagree."""
    from niwaki.reporting.words import words_in
    from niwaki.search.compress import compress as search
    from niwaki.search.outcome import REPORT
    from niwaki.search.space import load_space
    from niwaki.search_report.page import build_search_report
    from niwaki.study.request import Request

    ways, code = load_space(space), words_in(language).language
    allow(wanted.trust)
    paths = (str(Path.cwd()),) if wanted.trust else ()
    device = Request(device=wanted.device).torch_device
    progress = Searching(beside())
    try:
        if dry_run:
            return _dry_run(wanted, ways, progress, as_json=as_json)
        report = partial(build_search_report, language=code)
        found = search(wanted, ways, progress, report=report, device=device, paths=paths)
    except KeyboardInterrupt:
        progress.stop()
        raise Stopped(f"the best so far, if there is one, is in {wanted.folder}; what is trained is kept") from None
    finally:
        progress.stop()
    if as_json:
        print_json(found.to_dict())
    else:
        print_tabular(output(), table(found))
        print(printable(f"Report: {found.folder / REPORT}"))
    return 0 if found.verified else 1


def table(found: Answer) -> Tabular:
    """The chosen network and the runner-up side by side; below, what binds."""
    both = [found.chosen, found.runner_up]
    rows = [
        ("validation %", *(_percent(one.validation.accuracy if one else None) for one in both)),
        ("test %", *(_percent(one.test.accuracy if one and one.test else None) for one in both)),
    ]
    costs = [_costs(one) for one in both]
    rows += [(name, *(cost.get(name, "") for cost in costs)) for name in costs[0]]
    notes = [f"fit: {line}" for line in found.binding] + list(found.notes)
    return Tabular(_COLUMNS, tuple(rows), f"{found.folder}: the best for {found.fit}", tuple(notes))


def _costs(one: Figures | None) -> dict[str, str]:
    if one is None:
        return {}
    found: dict[str, str] = {
        "constants": f"{one.footprint.constant_bytes:,}",
        **{
            f"{name}, estimated" if name in one.estimated else name: f"{one.target[name]:,.0f}"
            for name in ("flash", "stack", "instructions")
            if name in one.target
        },
        "ram": f"{one.footprint.ram_bytes:,}",
        "macs": f"{one.tried.figures['macs']:,.0f}",
    }
    if one.latency is not None:
        found["latency here, µs"] = f"{one.latency:,.1f}"
    found["channels"] = ", ".join(f"{name} {width}" for name, width in one.tried.shape.widths.items())
    found["bits"] = bits_in_words(one.tried.shape.bits)
    return found


def bits_in_words(bits: Mapping[str, int]) -> str:
    """What most layers have, and then the others by name.

    >>> bits_in_words({"conv1": 8, "conv2": 4, "fc1": 4})
    '4 (conv1 8)'
    """
    usual = mode(bits.values())
    others = ", ".join(f"{name} {count}" for name, count in bits.items() if count != usual)
    return f"{usual} ({others})" if others else str(usual)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _dry_run(wanted: Wanted, space: Space, progress: Searching, *, as_json: bool) -> int:
    from niwaki.search.dryrun import dry_run

    found = dry_run(wanted, space, progress.message)
    if as_json:
        print_json(found.to_dict())
    else:
        print_tabular(output(), found.table())
    return 0 if found.infeasible is None else 1
