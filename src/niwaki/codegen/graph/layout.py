"""Which kernel does a layer, and how its weights lie for it: numbers that the kernels in C know too."""

from __future__ import annotations

from collections.abc import Sequence

from niwaki.codegen.graph.program import Step

STRIP_BYTES = 24576  # NIWAKI_STRIP: what vector kernels copy of an image at a time, where more than a row fits
MOST_STRIP_BYTES = 49152  # and at most, on the stack
MOST_PATCH_BYTES = 1152  # what the plain kernel gathers of one place, on the stack
MORE_STACK = 1024  # beyond one place's bytes, for what the Cortex-M kernel widens of two
MOST_INPUTS = 256  # of a matrix product, that it widens beforehand
MAX_COLUMNS = 12  # NIWAKI_COLUMNS: the widest depthwise window
MAX_TAPS = 128  # NIWAKI_MOST_TAPS: its weights for each channel


def strip_bytes(fields: dict[str, int]) -> int:
    """What a vector kernel copies of the image for a strip of output rows: as kernels/niwaki_strip.h works it out."""
    around = (fields["kernel_w"] - 1) * fields["dilation_w"] + 1
    row = ((fields["out_w"] * fields["pool_w"] - 1) * fields["stride_w"] + around) * fields["in_c"]
    window = (fields["kernel_h"] - 1) * fields["dilation_h"] + 1
    step = row * fields["pool_h"] * fields["stride_h"]
    rows = min(max((STRIP_BYTES - row * window) // step, 1), fields["out_h"])
    return ((rows * fields["pool_h"] - 1) * fields["stride_h"] + window) * row


def stack_bytes(steps: Sequence[Step]) -> tuple[int, int]:
    """What the layers gather on the stack: in plain C (of one place), and in vector kernels (of a strip)."""
    patch, scratch = 4, 4
    for step in steps:
        if step.weights in ("blocks", "depthwise"):
            dense = step.kernel == "dense"
            scratch = max(scratch, step.fields["in"] if dense else strip_bytes(step.fields))
            if step.kernel == "conv" and step.weights == "blocks":
                places = step.fields["pool_h"] * step.fields["pool_w"]
                patch = max(patch, step.arrays["weights"][0].size * places)
    return patch, scratch


def pair_bytes(steps: Sequence[Step]) -> int:
    """What kernels/niwaki_dsp.h keeps on the stack: what two places see, widened, all of it or some kernel rows and two
    sums of every output channel. 0 if all convolutions are pooled: what plain C gathers for these is enough.
    """
    most, pooled = 16, any(step.fields.get("pool_h", 1) > 1 for step in steps)
    for step in steps:
        if step.kernel == "dense" and step.fields["in"] <= MOST_INPUTS:
            most = max(most, 8 * -(-step.fields["in"] // 4))
        if step.weights != "blocks" or step.kernel == "dense":
            continue
        f, size = step.fields, step.arrays["weights"][0].size
        row, sums, room = 4 * f["kernel_w"] * f["in_c"], 8 * (f["out_c"] + 1), size + MORE_STACK
        alone = f["pool_h"] * f["pool_w"] == 1
        pooled &= not alone
        if 16 * -(-size // 4) <= room:
            most = max(most, 16 * -(-size // 4))
        elif alone and row % 16 == 0 and row + sums <= room:
            most = max(most, (room - sums) // row * row + sums)
    return 0 if pooled else most


def weights_layout(fields: dict[str, int]) -> str:
    """How the weights of a convolution lie: in blocks or tiles for vector kernels if these can do it."""
    around = (fields["kernel_w"] - 1) * fields["dilation_w"] + 1
    if strip_bytes(fields) > MOST_STRIP_BYTES:
        return "rows"
    if fields["groups"] == fields["in_c"] == fields["out_c"] > 1:
        taps = fields["kernel_h"] * fields["kernel_w"]
        return "rows" if around > MAX_COLUMNS or taps > MAX_TAPS or fields["wide"] else "depthwise"
    return "rows" if fields["groups"] > 1 or fields["dilation_w"] > 1 else "blocks"


def over_pixels(fields: dict[str, int]) -> bool:
    """Whether vectors of 16 pixels do a convolution in fewer steps than vectors of its output channels."""
    step = fields["stride_w"] * fields["pool_w"] * fields["in_c"]
    places, rows = fields["pool_h"] * fields["pool_w"], (fields["pool_h"] - 1) * fields["stride_h"] + fields["kernel_h"]
    windows = rows * fields["pool_w"] * -(-fields["kernel_w"] * fields["in_c"] // 4)
    fits = step <= 4 and places in (1, 2, 4) and fields["out_c"] <= 8 and windows <= 96
    if not fits or fields["wide"] or fields["dilation_h"] > 1:
        return False
    return -(-fields["out_w"] // 16) * fields["out_c"] < fields["out_w"]
