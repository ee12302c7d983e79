"""Write the loop of steps that run by stripes of rows: kernels/niwaki_stripes.h says how it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from niwaki.codegen.graph.program import OUTPUT, Passage, Program, Step, Stripes
from niwaki.emit.constants import comment, kind

Place = Callable[[str], str]
"""The address of a tensor's buffer, in C."""
Kernel = Callable[[int], str]
"""The name of a step's kernel."""


def passages(stripes: Stripes) -> str:
    """How each layer goes through rows, as constants."""
    lines = [
        f"static const NIWAKI_FLASH niwaki_passage rows{index} = "
        f"{{{p.in_h}, {p.out_h}, {p.reach}, {p.step}, {p.pad}, {most}}};"
        for index, (p, most) in enumerate(zip(stripes.passages, stripes.most, strict=True), stripes.start)
    ]
    return "\n".join([*lines, ""])


def in_words(program: Program, stripes: Stripes) -> str:
    """Which layers, and how they go."""
    first, last = program.steps[stripes.start].name, program.steps[stripes.end - 1].name
    layers = first if first == last else f"{first} to {last}"
    rows = f"{stripes.rows} row{'s' if stripes.rows > 1 else ''}"
    return f"{layers}: {rows} more in each of {stripes.passes} passes"


def loop(program: Program, stripes: Stripes, place: Place, kernel: Kernel) -> str:
    """The loop, as the body of a function."""
    return "\n".join(_Loop(program, stripes, place, kernel).lines())


class _Loop:
    """Bands of rows are numbered: `seen` are those of tensors from outside, `made` of the steps."""

    def __init__(self, program: Program, stripes: Stripes, place: Place, kernel: Kernel) -> None:
        self.stripes, self.place, self.kernel, self.words = stripes, place, kernel, in_words(program, stripes)
        self.steps = program.steps[stripes.start : stripes.end]
        self.sources = list(stripes.sources)
        self.bands = {name: f"seen[{index}]" for index, name in enumerate(self.sources)}
        self.bands |= {step.output: f"made[{index}]" for index, step in enumerate(self.steps)}  # the last that writes

    def lines(self) -> Iterator[str]:
        """The block, line by line."""
        some = self.stripes
        yield f"  /* {comment(self.words)} */"
        yield f"  niwaki_band seen[{len(self.sources)}] = {{{{0, 0}}}}, made[{len(self.steps)}] = {{{{0, 0}}}};"
        yield "  niwaki_stripe s;"
        yield f"  while ({self._unfinished()}) {{"
        for name in self.sources:
            end = f"{self.bands[name]}.end"
            yield f"    {end} = (int16_t)niwaki_earlier({end} + {some.rows}, {some.sources[name]});"
        for index in range(len(self.steps)):
            yield from self._step(index)
        for name in some.windows:
            yield from self._keep(name)
        yield "  }"

    def _unfinished(self) -> str:
        heights = {step.output: p.out_h for step, p in zip(self.steps, self.stripes.passages, strict=True)}
        partly = {*self.stripes.windows, *self.stripes.shared}
        return " || ".join(f"{self.bands[name]}.end < {rows}" for name, rows in heights.items() if name not in partly)

    def _step(self, index: int) -> Iterator[str]:
        step, passage, number = self.steps[index], self.stripes.passages[index], self.stripes.start + index
        bands = [f"&{self.bands[name]}" for name in step.inputs]
        beside = [other for other in range(index) if self.steps[other].output == step.output]
        also = [*bands[1:], *(f"&made[{other}]" for other in beside[-1:]), "NULL"][0]
        structure = f"niwaki_{kind(step)}"
        yield f"    if (niwaki_next_stripe(&rows{number}, {bands[0]}, {also}, &made[{index}], &s)) {{"
        yield f"      {structure} d = layer{number}_{step.kernel};"
        yield f"      {_sizes(step, passage)};"
        rows = ("from", "also")
        places = [
            f"{self.place(name)} + s.{row} * {passage.in_row}" for name, row in zip(step.inputs, rows, strict=False)
        ]
        at = f" + {step.fields['at']}" if step.fields.get("at") else ""
        places.append(f"{self.place(step.output)}{at} + s.to * {passage.out_row}")
        yield f"      NIWAKI_RUN({self.kernel(number)}, {structure}, d, {', '.join(places)});"
        yield "    }"

    def _keep(self, name: str) -> Iterator[str]:
        """The rows that later ones need, to the beginning of their buffer."""
        start, passages = self.stripes.start, self.stripes.passages
        writers = [index for index, step in enumerate(self.steps) if step.output == name]
        needed = [
            f"niwaki_needed(&rows{start + index}, &made[{index}])"
            for index, step in enumerate(self.steps) if name in step.inputs
        ]  # fmt: skip
        needed += [f"made[{index}].end" for index in writers[1:]]
        least = needed[0]
        for one in needed[1:]:
            least = f"niwaki_earlier({least}, {one})"
        first = f"made[{writers[0]}]"
        yield f"    niwaki_keep({self.place(name)}, {passages[writers[0]].out_row}, &{first}, {least});"
        alike = writers[1:]
        alike += [i for i, step in enumerate(self.steps) if step.output != name and self._place_of(step) == name]
        for index in alike:
            yield f"    made[{index}].first = {first}.first;"

    def _place_of(self, step: Step) -> str:
        return step.output if step.output == OUTPUT else self.stripes.place_of(step.output)


def _sizes(step: Step, passage: Passage) -> str:
    """The sizes in a layer's description, of some rows."""
    if passage.scaled:
        each = step.fields[passage.scaled] // passage.in_h
        return f"d.{passage.scaled} = s.rows" + (f" * {each}" if each > 1 else "")
    if step.kernel == "pad":
        bottom = "d.bottom = (int16_t)(s.rows - d.top - s.in_h)"
        return f"d.in_h = s.in_h, d.top = (int16_t)niwaki_earlier(s.pad, s.rows), {bottom}"
    top = ", d.pad_top = s.pad" if step.fields["pad_top"] else ""  # else it stays a literal
    return f"d.in_h = s.in_h, d.out_h = s.rows{top}"
