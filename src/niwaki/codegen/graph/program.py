"""What the C does, step by step: kernel calls with their constants, on buffers in one arena."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

INPUT, OUTPUT = "input", "output"  # the image (in the arena, or where the caller has it) and the caller's output


@dataclass(frozen=True, eq=False)
class Step:
    """One call of a kernel. `fields` are the numbers of its structure in kernels/niwaki_kernels.h."""

    kernel: str
    name: str
    inputs: tuple[str, ...]
    output: str
    fields: dict[str, int]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    weights: str = ""  # how its weights lie: rows, blocks, depthwise; empty: it has none


@dataclass(frozen=True, eq=False)
class Program:
    """Steps in order, the place of every buffer, and the layout of what goes in and comes out."""

    steps: tuple[Step, ...]
    offsets: dict[str, int]  # of every buffer but OUTPUT; INPUT's is where the image may lie
    sizes: dict[str, int]
    arena_bytes: int
    arena_without_input: int  # enough where the caller's image lies elsewhere
    lifetimes_bytes: int  # what a plan without fusion and sharing would need: the plain lifetimes plan
    arrange_input: bool  # the image has channels: it is copied to rows of pixels first
