"""A kind of layer: what it computes, the steps of C that do it, and their kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from niwaki.codegen.graph.graph import Tensor
from niwaki.codegen.graph.lowering import Lowering, Order


def _no_check(_layer: Any) -> None:
    """The check for a layer whose sums always fit."""


@dataclass(frozen=True)
class Operator:
    """One kind of layer."""

    run: Callable[[Any, Sequence[np.ndarray], Sequence[Tensor], Tensor], np.ndarray]
    """The contract: from the layer, int8 (n, *shape) for each input, and the tensors, to int8 (n, *target's shape)."""
    lower: Callable[[Any, Lowering], None]
    """Emits the steps that compute the layer in C."""
    kernels: tuple[str, ...]
    """The kernels of these steps: `niwaki_run_NAME` in kernels/ runs one."""
    check: Callable[[Any], None] = _no_check
    """Raises OverflowError if a sum could exceed 32 bits."""
    any_size: bool = False
    """Whether its kernel accepts dimensions beyond 16 bits."""
    order: Order = "rows"
    """What it asks of the order of bytes."""
