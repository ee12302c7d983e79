"""Steps that run by stripes of rows, and what they keep: the passes of a loop, simulated as the C goes through them.

Each pass shows the steps some more rows of the tensors from outside, and every step makes the rows that it can. What
later rows still need is moved to the beginning of its buffer. So no row is made twice, unlike in patches, which make
their borders again (Lin et al., "MCUNetV2: Memory-Efficient Patch-based Inference for Tiny Deep Learning", 2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from niwaki.codegen.graph.passage import passage_of
from niwaki.codegen.graph.program import OUTPUT, Passage, Step, Stripes
from niwaki.emit.arena import may_be_in_place
from niwaki.emit.work import is_first


@dataclass(frozen=True, eq=False)
class Part:
    """Steps `start` to `end` of a program, each with its way through rows, and who writes and reads their tensors."""

    start: int
    steps: tuple[Step, ...]
    passages: tuple[Passage, ...]
    sources: Mapping[str, int]
    """Tensors from outside, with their heights."""
    whole: frozenset[str]
    """Tensors that something after the part reads."""

    @property
    def end(self) -> int:
        """The step after the last."""
        return self.start + len(self.steps)

    def writers(self, name: str) -> list[int]:
        """The steps that write a tensor: several if its parts are joined."""
        return [index for index, step in enumerate(self.steps) if step.output == name]

    def readers(self, name: str) -> list[int]:
        """The steps that read a tensor."""
        return [index for index, step in enumerate(self.steps) if name in step.inputs]


def parts_from(steps: Sequence[Step], start: int, heights: Mapping[str, int]) -> list[Part]:
    """The parts of a program that begin at a step and can run by stripes; `heights` are those of known tensors."""
    found: list[Part] = []
    known, sources, passages = dict(heights), dict[str, int](), list[Passage]()
    for end in range(start + 1, len(steps) + 1):
        step = steps[end - 1]
        passage = passage_of(step, next((known[name] for name in step.inputs if name in known), None))
        made = {other.output for other in steps[start : end - 1]}
        if passage is None or not _as_a_whole_too(step) or not _fits(step, passage, passages, steps[start:end]):
            break
        for name in step.inputs:
            if name not in made and sources.setdefault(name, passage.in_h) != passage.in_h:
                return found
        known[step.output] = passage.out_h
        passages.append(passage)
        inside = steps[start:end]
        outside = [*steps[:start], *steps[end:]]
        if any(other.output == one.output for other in outside for one in inside):
            continue  # a tensor that is joined within the part and outside
        read = {name for other in outside for name in other.inputs}
        whole = frozenset(one.output for one in inside if one.output in read or one.output == OUTPUT)
        found.append(Part(start, tuple(inside), tuple(passages), dict(sources), whole))
    return found


def _as_a_whole_too(step: Step) -> bool:
    """Whether the kernel for a first layer takes some rows of an image if it takes the whole, and no others."""
    if step.kernel not in ("conv", "large_conv"):
        return True
    f = step.fields
    some = (f["pool_h"] - 1) * f["stride_h"] + (f["kernel_h"] - 1) * f["dilation_h"] + 1
    return is_first(f) == is_first({**f, "out_h": 1, "in_h": some})


def _fits(step: Step, passage: Passage, before: Sequence[Passage], steps: Sequence[Step]) -> bool:
    """Whether the rows of a step's tensors are those that the steps before it have made."""
    rows = {other.output: (known.out_h, known.out_row) for other, known in zip(steps[:-1], before, strict=True)}
    seen = all(rows.get(name, (passage.in_h, passage.in_row)) == (passage.in_h, passage.in_row) for name in step.inputs)
    return seen and rows.get(step.output, (passage.out_h, passage.out_row)) == (passage.out_h, passage.out_row)


def stripes_of(part: Part, rows: int) -> Stripes:
    """The passes of a part that sees `rows` rows more of its sources in each."""
    run = _Run(part, rows)
    last = {step.output: index for index, step in enumerate(part.steps) if step.output in part.whole}
    while any(run.done[index] < part.passages[index].out_h for index in last.values()):
        run.one_pass()
    shared = run.shared()
    lags = run.lags(shared)
    windows = {name: count for name, count in run.windows.items() if name not in shared}
    return Stripes(
        part.start, part.end, rows, part.passages, tuple(run.most), dict(part.sources), windows, shared,
        frozenset(name for name in windows if name not in run.kept), run.passes, run.calls, run.moved, lags,
    )  # fmt: skip


@dataclass
class _Run:
    """The state of the loop. Bands of rows: of a window, those from `first` on are there."""

    part: Part
    rows: int
    done: list[int] = field(default_factory=list)
    most: list[int] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    windows: dict[str, int] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    apart: set[tuple[int, str]] = field(default_factory=set)  # steps that leave rows of an input for the next pass
    events: list[tuple[int, int, dict[str, int]]] = field(default_factory=list)
    """Of calls that write a whole tensor, or may: the step, its rows so far, and of every source the bytes that nothing
    needs any more."""
    passes: int = 0
    calls: int = 0
    moved: int = 0

    def __post_init__(self) -> None:
        self.done = [0] * len(self.part.steps)
        rates = dict.fromkeys(self.part.sources, self.rows)
        for step, passage in zip(self.part.steps, self.part.passages, strict=True):
            rate = -(-max(rates[name] for name in step.inputs) // passage.step)
            self.most.append(rate)
            rates[step.output] = max(rate, rates.get(step.output, 0))
        self.first = {step.output: 0 for step in self.part.steps if step.output not in self.part.whole}
        self.windows = dict.fromkeys(self.first, 0)
        self.writers = {name: self.part.writers(name) for name in self.first}
        self.readers = {name: self.part.readers(name) for name in self.first}
        self.kept_whole = set(self.part.whole)
        for step in reversed(self.part.steps):
            if step.output in self.kept_whole and may_be_in_place(step):
                self.kept_whole.update(step.inputs)
        self.reading = {name: self.part.readers(name) for name in self.part.sources}
        self.before = [self._inputs(index) for index in range(len(self.part.steps))]

    def _inputs(self, index: int) -> tuple[list[str], list[int], list[int]]:
        """Tensors from outside that a step reads, steps whose rows it reads, and the one that it writes beside."""
        step = self.part.steps[index]
        made = {name: self.part.writers(name) for name in step.inputs}
        beside = [other for other in self.part.writers(step.output) if other < index][-1:]
        return [name for name in made if not made[name]], [last[-1] for last in made.values() if last], beside

    def one_pass(self) -> None:
        """Every step once, and the rows that are needed no more leave their windows."""
        sources = self.part.sources
        self.ends = {name: min(self.ends.get(name, 0) + self.rows, height) for name, height in sources.items()}
        for index in range(len(self.part.steps)):
            self._step(index)
        self.passes += 1
        for name, first in self.first.items():
            self._leave(name, first)

    def _step(self, index: int) -> None:
        step, passage = self.part.steps[index], self.part.passages[index]
        outside, inside, beside = self.before[index]
        ends = [*(self.ends[name] for name in outside), *(self.done[other] for other in inside)]
        ready = min(passage.ready(end) for end in ends)
        ready = min([ready, self.done[index] + self.most[index], *(self.done[other] for other in beside)])
        if ready > self.done[index]:
            self.calls += 1
            if step.output in self.kept_whole:
                self.events.append((index, ready, {name: self._free(name) for name in self.part.sources}))
            self.done[index] = ready
        if step.output in self.windows:
            there = self.done[index] - self.first[step.output]
            self.windows[step.output] = max(self.windows[step.output], there)
        for name in step.inputs:
            if name in self.first and self.done[self.writers[name][-1]] != self.done[index]:
                self.apart.add((index, name))

    def _free(self, source: str) -> int:
        passages = self.part.passages
        return min(passages[i].needed(self.done[i]) * passages[i].in_row for i in self.reading[source])

    def _leave(self, name: str, first: int) -> None:
        writers, readers = self.writers[name], self.readers[name]
        needed = min(self.part.passages[index].needed(self.done[index]) for index in readers)
        keep = min([needed, *(self.done[index] for index in writers)])
        left = max(self.done[index] for index in writers) - keep
        if left > 0:
            self.kept.add(name)
            if keep > first:
                self.moved += left * self.part.passages[writers[0]].out_row
        self.first[name] = keep

    def lags(self, shared: Mapping[str, str]) -> dict[tuple[str, str], int]:
        """How far behind a whole tensor a source must lie so that only rows are overwritten that nothing needs."""
        found: dict[tuple[str, str], int] = {}
        for index, done, free in self.events:
            name = self.part.steps[index].output
            while name in shared:
                name = shared[name]
            if name in self.part.whole and name != OUTPUT:
                written = done * self.part.passages[index].out_row
                for source, before in free.items():
                    found[name, source] = max(found.get((name, source), 0), written - before)
        return found

    def shared(self) -> dict[str, str]:
        """Windows that the step which reads them overwrites in place, all of their rows in every pass."""
        found: dict[str, str] = {}
        for index, step in enumerate(self.part.steps):
            passage = self.part.passages[index]
            if step.output == OUTPUT or not may_be_in_place(step) or step.kernel == "max_pool" or self.before[index][2]:
                continue
            for name in dict.fromkeys(step.inputs):
                alone = name in self.first and self.readers[name] == [index] and len(self.writers[name]) == 1
                if alone and (index, name) not in self.apart and passage.in_row == passage.out_row:
                    found[name] = step.output
                    break
        return found
