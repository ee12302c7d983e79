"""`niwaki --version`, and with --verbose everything that a bug report should contain."""

from __future__ import annotations

import importlib.metadata
import platform

import typer

from niwaki.study.environment import processor_features, processor_name

_PACKAGES = ("torch", "torch-pruning", "numpy", "onnx", "onnxruntime", "onnxscript", "ziglang", "ray")


def print_version(*, asked: bool, verbose: bool) -> None:
    """If asked, print the version and exit; `verbose` adds the libraries' versions and facts about this machine."""
    if not (asked or verbose):
        return
    print(f"niwaki {importlib.metadata.version('niwaki')}")
    if verbose:
        _print_machine()
    raise typer.Exit


def _print_machine() -> None:
    print(f"Python {platform.python_version()}, {platform.platform()}")
    print(f"{processor_name()}: {' '.join(filter(None, processor_features()))}")
    print(", ".join(f"{package} {_version(package)}" for package in _PACKAGES))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
