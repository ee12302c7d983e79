"""How a step goes through the rows of its tensors: which rows of its input some rows of its output need."""

from __future__ import annotations

from collections.abc import Mapping

from niwaki.codegen.graph.program import Passage, Step

_WINDOWS = ("conv", "large_conv", "max_pool", "average_pool")


def passage_of(step: Step, height: int | None) -> Passage | None:
    """How a step goes through rows; None if it does not go row by row.

    `height` is that of its inputs, if it is known: kernels of elements do not say.
    """
    f = step.fields
    if step.kernel in _WINDOWS:
        return _windows(f)
    if height is None:
        return None
    if step.kernel == "pad" and f["in_h"] == height and min(f["top"], f["bottom"]) >= 0:
        row, sides = f["in_w"] * f["channels"], (f["left"] + f["right"]) * f["channels"]
        return Passage(height, f["top"] + height + f["bottom"], 1, 1, f["top"], row, row + sides)
    field = _scaled(step)
    if not field or f[field] % height:
        return None
    size, out_size = _sizes(step)
    return Passage(height, height, 1, 1, 0, size // height, out_size // height, field)


def _windows(f: Mapping[str, int]) -> Passage | None:
    pool, dilation, channels = f.get("pool_h", 1), f.get("dilation_h", 1), f.get("channels", 0)
    reach = (pool - 1) * f["stride_h"] + (f["kernel_h"] - 1) * dilation + 1
    found = Passage(
        f["in_h"], f["out_h"], reach, pool * f["stride_h"], f["pad_top"], f["in_w"] * f.get("in_c", channels),
        f["out_w"] * f.get("out_c", channels),
    )  # fmt: skip
    seen = (found.out_h - 1) * found.step - found.pad < found.in_h and found.pad < found.reach
    return found if seen else None  # a window that sees nothing but padding


def _scaled(step: Step) -> str:
    """The field that counts the elements of a kernel of elements, or pieces of them."""
    f = step.fields
    match step.kernel:
        case "add" | "fine_add":
            return "size"
        case "requantize":
            return "size" if f["rows"] == 1 else "rows"
        case "lookup" | "lines" if f["tables"] == 1:
            return "inner"
        case "lookup" | "lines" if f["inner"] == 1:
            return "outer"
    return ""


def _sizes(step: Step) -> tuple[int, int]:
    """Bytes of an input and of the output."""
    f = step.fields
    if step.kernel == "requantize":
        return f["rows"] * f["size"], f["rows"] * f["out_step"]
    size = f["outer"] * f["tables"] * f["inner"] if "tables" in f else f["size"]
    return size, size
