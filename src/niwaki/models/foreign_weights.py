"""Weights of other tools: a state dict in a `.pth`, `.pt`, `.bin` or `.safetensors` file, put into a fresh network.

PyTorch files are read with `weights_only`, which builds tensors and nothing else: no code of a file is ever run.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from niwaki.errors import ModelError, Setting, first_line, kind_and_line

ENDINGS = (".pth", ".pt", ".bin", ".ckpt", ".tar", ".safetensors")
HOLDERS = ("state_dict", "model_state_dict", "model", "net", "weights", "module")  # where checkpoints keep the weights
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")  # of wrappers
COUNTER = "num_batches_tracked"  # batch norm's, which files before PyTorch 0.4.1 lack
NAMED = 6  # entries in a line

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Fitting:
    """How a file's entries became a network's: `remarks` say it in lines, `fresh` names what kept its first values."""

    taken: int
    fresh: tuple[str, ...]
    remarks: tuple[str, ...]


def read_weights(path: Path) -> tuple[Tensors, tuple[str, ...]]:
    """The tensors of a file by name, and where in it they were, in lines. Raises ModelError if it cannot be used."""
    if path.suffix.lower() not in ENDINGS:
        raise ModelError(f"{path}: expected weights: a file that ends in {', '.join(ENDINGS)}")
    try:
        if path.suffix.lower() == ".safetensors":
            return dict(load_file(path)), ()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's remarks on files of its early formats
            found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise ModelError(f"{path}: damaged, truncated or not a safetensors file: {first_line(error)}") from error
    except Exception as error:  # PyTorch's reader fails in many ways on damaged bytes and on other objects
        said = kind_and_line(error)
        why = "" if "Weights only" in said else f" ({said[:120]})"  # PyTorch advises to read it all the same
        raise ModelError(
            f"{path}: cannot be read as weights alone{why}: it is damaged, or holds Python objects whose loading runs "
            "code; where it was made, save torch.save(model.state_dict(), 'weights.pth')"
        ) from error
    return _inside(found, path)


def put(
    model: nn.Module, tensors: Mapping[str, torch.Tensor], *, partial: bool = False, name: str = "weights"
) -> Fitting:
    """Put the weights of a file into a network of this factory, in place.

    Names are compared without a wrapper's prefix, if more of them fit then. Raises ModelError, naming them, if entries
    are missing, left over or of another shape; with `partial` only if none fits: the rest keeps its first values.
    """
    own = model.state_dict()
    prefix = max(("", *PREFIXES), key=lambda one: len(set(own) & set(_without(tensors, one))))
    given = _without(tensors, prefix)
    unlike = [key for key in own if key in given and given[key].shape != own[key].shape]
    missing = [key for key in own if key not in given and not key.endswith(COUNTER)]
    extra = [key for key in given if key not in own]
    fitting = {key: given[key] for key in own if key in given and key not in unlike}
    lines = [f"{name}: names are read without {prefix!r}"] if prefix else []
    lines += [f"missing: {_list(missing)}"] if missing else []
    lines += [f"not in the network: {_list(extra)}"] if extra else []
    lines += [f"another shape: {_shapes(unlike, given, own)}"] if unlike else []
    if (missing or extra or unlike) and not partial:
        raise ModelError(
            f"{name} does not fit the network of this factory: {'; '.join(lines)}; check factory and args, or say ",
            Setting("partial", "True"), " to take what fits",
        )  # fmt: skip
    if not any(key in fitting for key, _ in model.named_parameters()):
        raise ModelError(f"{name}: none of its {len(given):,} tensors fits the network: {'; '.join(lines)}")
    model.load_state_dict(fitting, strict=False)
    fresh = (*missing, *unlike)
    return Fitting(len(fitting), fresh, tuple(lines))


def _inside(found: object, path: Path) -> tuple[Tensors, tuple[str, ...]]:
    """The state dict in what a checkpoint holds, at most two levels down."""
    told: list[str] = []
    for _ in range(3):
        if not isinstance(found, Mapping):
            break
        tensors = {str(key): value for key, value in found.items() if isinstance(value, torch.Tensor)}
        holder = next((name for name in HOLDERS if isinstance(found.get(name), Mapping)), None)
        if tensors and holder is None:
            others = [str(key) for key in found if str(key) not in tensors and not str(key).startswith("_")]
            told += [f"{path}: not weights, left out: {_list(others)}"] if others else []
            return tensors, tuple(told)
        if holder is None:
            break
        told.append(f"{path}: the weights are its {holder!r}")
        found = found[holder]
    held = f"a {type(found).__name__}" + (
        f" of {_list([str(key) for key in found])}" if isinstance(found, Mapping) else ""
    )
    raise ModelError(f"{path}: holds {held}, not a state dict (names and tensors)")


def _without(tensors: Mapping[str, torch.Tensor], prefix: str) -> Tensors:
    return {key.removeprefix(prefix): value for key, value in tensors.items()}


def _list(names: Sequence[str]) -> str:
    more = f", … ({len(names)})" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _shapes(names: Sequence[str], given: Tensors, own: Mapping[str, torch.Tensor]) -> str:
    said = [f"{name} {tuple(given[name].shape)}, the network's {tuple(own[name].shape)}" for name in names]
    return _list(said)
