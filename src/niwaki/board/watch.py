"""The runner on the desk: the bundle of a model for this machine, and the very code that runs on a board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from niwaki.board.built import check_trusted
from niwaki.board.cache import cached_bundle, is_bundle, tidy
from niwaki.board.options import BundleOptions
from niwaki.board.targets import target_of_this_machine
from niwaki.errors import ModelError
from niwaki.notify import Notify, silent


def bundle_here(
    file: Path,
    options: BundleOptions,
    *,
    data: str | None = None,
    trust: bool = False,
    notify: Notify = silent,
) -> Path:
    """The bundle in `file`, or that of a model for this machine: made now, or taken from niwaki's cache folder.

    A bundle from elsewhere is run with `trust` only. Raises NiwakiError as `bundle_file` does, and where this machine
    runs no bundles.
    """
    if is_bundle(file):
        check_trusted(file, trust)
        return file
    target = target_of_this_machine().name
    if not file.exists():
        raise ModelError(f"{file}: there is no such file")
    words = options.names.read_bytes().hex() if options.names is not None and options.names.is_file() else None
    settings = {**asdict(replace(options, trust=False)), "names": words, "target": target, "data": data}
    place, lock = cached_bundle(file, settings)
    with lock:
        if not is_bundle(place):
            from niwaki.board.build import bundle_file  # loads torch and ONNX, which takes seconds

            bundle_file(file, target, place, options=replace(options, trust=trust), data=data, notify=notify)
            tidy(place)
    return place


def run(bundle: Path, arguments: Sequence[str]) -> int:
    """The runner's exit code; its errors go to standard error, as on a board."""
    from niwaki.device.main import main

    return main([*arguments, f"--bundle={bundle}"], prog="niwaki watch")
