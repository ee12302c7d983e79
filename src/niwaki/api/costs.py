"""What a network costs on boards, before it is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from niwaki.arguments import checked
from niwaki.notify import Notify, logged

if TYPE_CHECKING:  # ONNX Runtime is loaded only when it is needed
    from niwaki.firmware.cost import CostReport


@checked
def cost(
    model: str | Path,
    *,
    args: Mapping[str, object] | None = None,
    shape: Sequence[int] | None = None,
    boards: str | Path | None = None,
    ram_limit: int | None = None,
    trust: bool = False,
    notify: Notify | None = None,
) -> CostReport:
    """What a network needs on every known board: bytes of flash, RAM and stack; instructions, cycles and ms an image.

    `model` is a model, ONNX or .tflite file, or a factory (`lenet5`, `package.module:callable`), called with `args` for
    images of `shape` (C, H, W), by default (1, 32, 32): nothing need be trained. Constants and working memory are
    exact; code, stack, instructions, time, and what a board takes itself are estimates. `boards` is a TOML file with
    boards of your own. `ram_limit` is in bytes, as in `export`: if the C needs more, layers run by stripes of rows.
    Raises NiwakiError if no C can be made of it, or none within the limit.

    >>> report = niwaki.cost("lenet5", args={"widths": [2, 6, 48, 33]})
    >>> report.constants, report.ram, report.boards[0].fits
    (10355, 1426, True)
    """
    from niwaki.firmware.cost import Called, cost_of

    called = Called(args, None if shape is None else tuple(shape))
    own = None if boards is None else Path(boards)
    return cost_of(str(model), called, boards=own, ram_limit=ram_limit, trust=trust, notify=notify or logged)
