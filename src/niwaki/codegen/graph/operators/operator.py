"""What is known of a kind of layer: what it computes, the steps of C that do it, and their kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from niwaki.codegen.graph.graph import Tensor
from niwaki.codegen.graph.lowering import Lowering


def _no_check(_layer: Any) -> None:
    """Of a layer whose sums fit always."""


@dataclass(frozen=True)
class Operator:
    """One kind of layer."""

    run: Callable[[Any, Sequence[np.ndarray], Sequence[Tensor], Tensor], np.ndarray]
    """The contract: from the layer, int8 (n, *shape) for each input, and the tensors, to int8 (n, *target's shape)."""
    lower: Callable[[Any, Lowering], None]
    """Emits the steps that do the layer in C."""
    kernels: tuple[str, ...]
    """Of these steps: `niwaki_run_NAME` in kernels/ does one."""
    check: Callable[[Any], None] = _no_check
    """Raises OverflowError if a sum could leave 32 bits."""
    any_size: bool = False
    """Its kernel takes sides beyond 16 bits."""
