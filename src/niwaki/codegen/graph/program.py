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


@dataclass(frozen=True)
class Passage:
    """How a step goes through the rows of its tensors.

    Row y of the output needs rows `y * step - pad` to `y * step - pad + reach - 1` of each input.
    """

    in_h: int
    out_h: int
    reach: int
    step: int
    pad: int
    in_row: int
    """Bytes of a row of the input."""
    out_row: int
    scaled: str = ""
    """The field of a kernel of elements that grows with the rows; empty: a kernel that counts rows itself."""

    def ready(self, end: int) -> int:
        """The rows of the output that can be made once the rows of the input below `end` are there."""
        if end >= self.in_h:
            return self.out_h
        room = end + self.pad - self.reach
        return 0 if room < 0 else min(room // self.step + 1, self.out_h)

    def needed(self, done: int) -> int:
        """The first row of the input that is needed after `done` rows of the output."""
        return self.in_h if done >= self.out_h else max(done * self.step - self.pad, 0)


@dataclass(frozen=True, eq=False)
class Stripes:
    """Steps that run together, some rows at a time, and keep of each tensor between them only rows that are needed.

    In every pass the tensors from outside are seen `rows` rows further down, and each step makes what it can, at most
    `most` rows. No row is made twice.
    """

    start: int
    end: int  # the step after the last
    rows: int
    passages: tuple[Passage, ...]  # of the steps, in order
    most: tuple[int, ...]
    sources: dict[str, int]  # tensors from outside, with their heights
    windows: dict[str, int]  # tensors of which only some rows exist at a time: how many
    shared: dict[str, str]  # windows whose rows lie in the place of the next step's: whose
    transient: frozenset[str]  # windows of which nothing is kept from pass to pass
    passes: int
    calls: int  # of kernels, in all passes
    moved: int  # bytes of rows that are kept from pass to pass
    lags: dict[tuple[str, str], int] = field(default_factory=dict)
    """Of whole tensors that it makes and of sources: how many bytes the source must lie behind to be overwritten."""

    def place_of(self, name: str) -> str:
        """The tensor in whose place a tensor's rows lie, its own if they have one."""
        while name in self.shared:
            name = self.shared[name]
        return name


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
    stripes: tuple[Stripes, ...] = ()
