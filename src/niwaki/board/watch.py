"""The runner on the desktop: the bundle of a model for this machine, with the same code that runs on a board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from niwaki.board import sounds
from niwaki.board.built import check_trusted
from niwaki.board.cache import cached_bundle, is_bundle, tidy
from niwaki.board.options import BundleOptions
from niwaki.board.targets import target_of_this_machine
from niwaki.errors import ModelError, SpecError, guess
from niwaki.notify import Notify, silent

OPTIONS = (
    "source", "speak", "audio-device", "quiet", "learn", "no-learn", "serve", "host", "port", "token", "record",
    "record-limit", "replay", "frames", "once", "json",
)  # fmt: skip
"""The options of the board's runner, except its bundle."""


def bundle_here(
    file: Path,
    options: BundleOptions,
    *,
    data: str | None = None,
    trust: bool = False,
    notify: Notify = silent,
) -> Path:
    """The bundle in `file`, or the bundle of a model for this machine: built now, or from niwaki's cache folder.

    A bundle from elsewhere runs only with `trust`. Raises NiwakiError as `bundle_file` does, and if this machine cannot
    run bundles.
    """
    if is_bundle(file):
        check_trusted(file, trust)
        return file
    target = target_of_this_machine().name
    if not file.exists():
        raise ModelError(f"{file}: there is no such file")
    words = options.names.read_bytes().hex() if options.names is not None and options.names.is_file() else None
    settings = {**asdict(replace(options, trust=False)), "names": words, "target": target, "data": data}
    settings["others"] = None if options.others is None else _contents(options.others)
    place, lock = cached_bundle(file, settings)
    with lock:
        if not is_bundle(place):
            from niwaki.board.build import bundle_file  # loads torch and ONNX, which takes seconds

            bundle_file(file, target, place, options=replace(options, trust=trust), data=data, notify=notify)
            tidy(place)
    return place


def _contents(folder: Path) -> list[tuple[str, int, int]]:
    """The files of a folder, as far as a change of them makes another bundle: path, bytes, time."""
    files = [(path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    return [(str(path.resolve()), about.st_size, about.st_mtime_ns) for path, about in files]


def bundle_to_watch(
    file: Path, passed: Mapping[str, object], options: BundleOptions, *, data: str | None, notify: Notify = silent
) -> Path:
    """`bundle_here`, with sound if the options by name in `passed` ask the runner to speak and this machine can."""
    if unknown := [name for name in passed if name not in OPTIONS]:
        name = unknown[0].replace("-", "_")
        raise SpecError(f"{name} is not an option of watch: {guess(unknown[0], OPTIONS)}expected {', '.join(OPTIONS)}")
    mute = bool(passed.get("quiet") or passed.get("replay"))
    options = replace(options, sound=not mute and sounds.has_voice())
    if not mute and not options.sound:
        notify(f"no {sounds.COMMAND}, so niwaki prints the words: apt-get install {sounds.PACKAGE}")
    return bundle_here(file, options, data=data, trust=options.trust, notify=notify)


def run(bundle: Path, passed: Mapping[str, object]) -> int:
    """The exit code of the runner with these options by name; its errors go to standard error, as on a board."""
    from niwaki.device.main import main

    return main([*arguments_of(passed), f"--bundle={bundle}"], prog="niwaki watch")


def arguments_of(passed: Mapping[str, object]) -> list[str]:
    """Options by name as the runner's command line: flags that are on, the others with their values."""
    arguments = []
    for name, value in passed.items():
        if value is True:
            arguments.append(f"--{name}")
        elif value is not None and value is not False:
            arguments.append(f"--{name}={value}")
    return arguments
