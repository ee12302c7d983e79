"""The times in a study's tables: where they are stored, and which differences are noise."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from niwaki.reporting.view import View
from niwaki.reporting.words import Words
from niwaki.study.records import Results

# Columns of times: their place in `timings.json`, and the batch.
COLUMNS = {"latency_1": ("models", 1), "latency_256": ("models", 256), "latency_ort": ("onnxruntime", 1)}


def latency(
    view: View, results: Results, column: str, what: Literal["median_us", "p95_us"] = "median_us"
) -> float | None:
    """Microseconds per image: a call's time over its images. None if it was not measured."""
    runtime, batch = COLUMNS[column]
    if view.timings is None:
        return None
    networks = view.timings.models if runtime == "models" else view.timings.onnxruntime
    row = networks.get(results.structure, {}).get(str(batch))
    return None if row is None else (row.median_us if what == "median_us" else row.p95_us) / batch


def like_base(view: View, done: Sequence[Results], base: Sequence[Results]) -> tuple[str, ...]:
    """The columns in which a row's times differ from its base's by no more than the noise of the measurement."""
    like = []
    for column in COLUMNS:
        ours, theirs = _mean(view, done, column), _mean(view, base, column)
        if (
            ours is not None
            and theirs is not None
            and abs(ours - theirs) / ((ours + theirs) / 2) <= _noise(view, column)
        ):
            like.append(column)
    return tuple(like)


def slower_than(view: View, int8: Results, before: Results, words: Words) -> tuple[str, ...]:
    """A sentence if ONNX Runtime takes longer for an int8 network than for the float one, beyond the noise."""
    ours, theirs = (latency(view, results, "latency_ort") for results in (int8, before))
    if ours is None or theirs is None or (ours - theirs) / ((ours + theirs) / 2) <= _noise(view, "latency_ort"):
        return ()
    return (words("note.slower", ours=ours, theirs=theirs),)


def remarks(view: View, columns: Sequence[str], words: Words) -> tuple[str, ...]:
    """How the times in these columns were measured, and then how certain they are at each batch."""
    timed = [name for name in COLUMNS if name in columns]
    if not timed or not view.timings:
        return ()
    batches = sorted({COLUMNS[name][1] for name in timed})
    floors = [
        words("remark.times.floor", floor=100 * view.timings.noise_floor[str(batch)], batch=batch) for batch in batches
    ]
    pinned = words("remark.times.pinned") if view.timings.pinned else ""
    return (words("remark.times", pinned=pinned), *floors)


def _mean(view: View, results: Sequence[Results], column: str) -> float | None:
    known = [latency(view, r, column) for r in results]
    values = [value for value in known if value is not None]
    return fmean(values) if values and len(values) == len(known) else None


def _noise(view: View, column: str) -> float:
    return view.timings.noise_floor[str(COLUMNS[column][1])] if view.timings else 0.0
