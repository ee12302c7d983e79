"""The page of what each network needed on its journey: docs/networks.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from zoo.full import Full
from zoo.journey import Row
from zoo.networks import ALL

HEAD = """# Networks that were tried

Forty architectures, each small enough for a microcontroller, make the whole journey:

1. a short training on made-up images, and a model file of it;
2. in a fresh process: the file gives the same scores again; two steps of pruning, to 30 % fewer channels, each
   fine-tuned;
3. in another fresh process: the same scores again; float ONNX, int8 ONNX in which no operator stays float, and C;
4. `niwaki verify`: all forms agree, and the C gives the bits of the integer reference, compiled for this machine and as
   plain C, and for emulated processors where their compilers were at hand.

{held} of the {all} come through. The networks are written after their papers, with widths for small devices, in
`tests/zoo/`. They are trained too little to say anything about accuracy. `python -m tests.zoo --write` makes the
journeys and this page.

*Whole* are the layers that pruning left as they were, and *flash* the constants of the C without its code.

| network | images | parameters | after pruning | whole | flash, bytes | RAM, bytes | result |
|---|---|---:|---:|---:|---:|---:|---|
"""
FULL = """
## At full size

ResNet-18 as published, with {parameters:,} parameters, ten classes and images of 3×224×224, was exported in
{export_seconds:.0f} s and its C compiled (`-O3`) in {compile_seconds:.0f} s, on two busy cores; the process held
{gigabytes:.1f} GB at most. The C stores {flash:,} bytes, needs {ram:,} bytes of RAM and gives the bits of the
integer reference.
"""
REASONS = """
## What pruning leaves whole

| network | layers | why |
|---|---:|---|
"""


def page(rows: Sequence[Row], full: Full | None = None) -> str:
    """The table, the measurements at full size, and the reasons of all layers that stayed whole."""
    held = sum(not row.failed for row in rows)
    lines = [line_of(row) for row in rows]
    reasons = [
        f"| {row.name} | {count} | {why} |" for row in rows for why, count in row.reasons.items()
    ]  # fmt: skip
    large = FULL.format(gigabytes=full.memory / 1e9, **asdict(full)) if full else ""
    return HEAD.format(held=held, all=len(rows)) + "\n".join(lines) + "\n" + large + REASONS + "\n".join(reasons) + "\n"


def line_of(row: Row) -> str:
    images = "×".join(str(side) for side in ALL[row.name].shape)
    figures = (row.params, row.pruned, row.whole, row.flash, row.ram)
    result = f"ends at {row.failed}: {row.why}" if row.failed else "verified"
    return f"| {row.name} | {images} | {' | '.join(f'{figure:,}' for figure in figures)} | {result} |"
