"""The device that torch computes on: given by name, checked before anything runs there."""

from __future__ import annotations

import torch

from niwaki.errors import SpecError, first_line


def check_device(name: str) -> None:
    """Raise SpecError unless torch can compute on the device `name` (cpu, cuda, cuda:1, mps) on this machine."""
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise SpecError(f"device {name!r}: torch knows no such device; expected cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SpecError(f"device {name!r}: torch finds no CUDA device here; use the device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SpecError(f"device {name!r}: this machine has {torch.cuda.device_count()} CUDA devices, counted from 0")
    try:
        torch.empty(1, device=device)
    except Exception as error:  # each kind of device fails in its own way
        first = first_line(error).partition(". ")[0]
        raise SpecError(f"device {name!r}: torch cannot compute on it here: {first}; use the device cpu") from error
