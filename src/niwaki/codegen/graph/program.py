"""What the C does, step by step: kernel calls with their constants, on buffers in one arena."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

INPUT, OUTPUT = "input", "output"  # the image (in the arena, or in the caller's memory) and the caller's output


@dataclass(frozen=True, eq=False)
class Step:
    """One call of a kernel. `fields` are the members of its structure in kernels/niwaki_kernels.h."""

    kernel: str
    name: str
    inputs: tuple[str, ...]
    output: str
    fields: dict[str, int]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    weights: str = ""  # the layout of its weights: rows, blocks, depthwise; empty: it has none


@dataclass(frozen=True, eq=False)
class Program:
    """Steps in order, the address of every buffer, and the layout of input and output."""

    steps: tuple[Step, ...]
    offsets: dict[str, int]  # of every buffer except OUTPUT; INPUT's is where the image may be
    sizes: dict[str, int]
    arena_bytes: int
    arena_without_input: int  # enough if the caller's image is elsewhere
    lifetimes_bytes: int  # what a plan from lifetimes alone would need, without fusion and sharing
    arrange_input: bool  # the image has channels: it is copied to rows of pixels first
