"""All checks of a bundle, one after another; none stops the others."""

from __future__ import annotations

import io
import os
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from niwaki.board.built import is_built_here, why_not
from niwaki.board.cache import is_bundle
from niwaki.board.decide import too_silent
from niwaki.board.doctor.binaries import check_instructions, check_library, check_program
from niwaki.board.doctor.elf import check_reader
from niwaki.board.doctor.report import Check, DoctorReport
from niwaki.board.doctor.runner import check_python
from niwaki.board.manifest import Manifest, differences, read_manifest
from niwaki.board.options import LEAST_NAMED, BundleOptions
from niwaki.board.place import EXECUTABLE
from niwaki.board.sounds import has_voice
from niwaki.board.targets import BundleTarget, find_target
from niwaki.deploy.images import Notify
from niwaki.errors import ModelError
from niwaki.files import load_json
from niwaki.folders import temporary

LIMIT = 2_000_000  # bytes without the words: a bundle is small


def examine_file(
    path: Path,
    target: str,
    *,
    data: str | None = None,
    trust: bool = False,
    least_named: float = LEAST_NAMED,
    notify: Notify = lambda _line: None,
) -> DoctorReport:
    """`examine` a bundle; of a model, the bundle that `niwaki bundle` makes, in a temporary folder.

    Raises NiwakiError for an unknown board, and as `bundle_file` does.
    """
    board = find_target(target)
    check_reader()
    if is_bundle(path):
        return examine(path, board, trust=trust, least_named=least_named)
    if path.is_dir() and (path / "bundle.json").exists():
        raise ModelError(f"{path}: a bundle without manifest.json: copy or build it again")
    from niwaki.board.build import bundle_file

    with temporary("doctor") as name:
        options = BundleOptions(sound=has_voice(), least_named=0, trust=trust)  # what it names is one of the checks
        bundle_file(path, target, Path(name) / "bundle", options=options, data=data, notify=notify)
        return examine(Path(name) / "bundle", board, str(path), trust=True, least_named=least_named)


def examine(
    folder: Path,
    target: BundleTarget,
    subject: str | None = None,
    *,
    trust: bool = False,
    least_named: float = LEAST_NAMED,
) -> DoctorReport:
    """Look at a bundle's folder as the board will; its program is run if it was built here, or is trusted.

    Raises ModelError where its manifest cannot be read.
    """
    manifest = read_manifest(folder)
    runs = trust or is_built_here(folder)
    checks = [
        *_files(folder, manifest),
        *_made_for(folder, target),
        *check_library(folder, target),
        *check_program(folder, target),
        *check_instructions(folder, target, "" if runs else why_not()),
        *check_python(folder, target),
        *_size(manifest),
        *_words(folder),
        *_named(folder, least_named),
        *_only_there(target),
    ]
    return DoctorReport(subject or str(folder), target, tuple(checks))


def _files(folder: Path, manifest: Manifest) -> Iterator[Check]:
    found = list(differences(folder, manifest))
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    text = found[0] + more if found else f"{len(manifest.files)} files, as they were built"
    yield Check("files", not found, text)
    stiff = [name for name in EXECUTABLE if not os.access(folder / name, os.X_OK)]
    text = f"not executable: {', '.join(stiff)}: chmod +x" if stiff else f"{', '.join(EXECUTABLE)} are executable"
    yield Check("permissions", not stiff, text)


def _made_for(folder: Path, target: BundleTarget) -> Iterator[Check]:
    about = _description(folder)
    if about is None:
        yield Check("made for", False, "bundle.json cannot be read")
        return
    machine, name = about.get("machine"), about.get("target")
    right = machine == target.machine.name
    text = f"{name} ({machine})"
    yield Check("made for", right, text if right else f"{text}: {target.name} is {target.machine.name}")


def _size(manifest: Manifest) -> Iterator[Check]:
    words = sum(entry.bytes for path, entry in manifest.files.items() if path.startswith("sounds/"))
    rest = sum(entry.bytes for entry in manifest.files.values()) - words
    text = f"{rest:,} bytes, and {words:,} of words"
    yield Check("size", rest <= LIMIT, text if rest <= LIMIT else f"{text}: more than {LIMIT:,} without words")


def _words(folder: Path) -> Iterator[Check]:
    """Every class has a WAV in every language, or the bundle says that it has none."""
    about = _description(folder) or {}
    languages, classes = about.get("languages") or [], about.get("classes") or []
    if not about.get("sound"):
        yield Check("words", True, f"in {', '.join(languages)}, without sound")
        return
    bad = []
    for code in languages:
        for index in range(len(classes)):
            path = f"sounds/{code}/{index}.wav"
            if not _can_be_heard(folder / path):
                bad.append(path)
    text = f"no sound in {bad[0]}" if bad else f"{len(classes)} in each of {', '.join(languages)}"
    yield Check("words", not bad, text)


def _named(folder: Path, least_named: float) -> Iterator[Check]:
    """Thresholds at which the network hardly ever speaks are none to ship."""
    decision = (_description(folder) or {}).get("decision")
    about = decision.get("calibration") if isinstance(decision, dict) else None
    if not isinstance(decision, dict) or not isinstance(about, dict):
        yield Check("named", None, "not calibrated: whatever is found gets a name")
        return
    rate = about.get("accepted_true_rate")
    if not isinstance(rate, int | float | None):
        yield Check("named", False, "bundle.json does not say how many garments get a name")
        return
    why = too_silent(decision, least_named)
    text = why or f"{100 * (rate or 0):.1f} % of the made-up scenes with a garment"
    yield Check("named", not why, text)


def _can_be_heard(file: Path) -> bool:
    try:
        with wave.open(io.BytesIO(file.read_bytes())) as sound:
            return bool(sound.getnframes())
    except (OSError, EOFError, wave.Error):
        return False


def _only_there(target: BundleTarget) -> Iterator[Check]:
    """What no desk can know."""
    command = f"on the board: ./start selftest --source {target.cameras[0]}"
    yield Check("camera", None, command)
    yield Check("sound", None, "on the board: ./start selftest")
    yield Check("speed", None, "on the board: ./niwaki bench")


def _description(folder: Path) -> dict[str, Any] | None:
    try:
        found = load_json(folder / "bundle.json")
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
