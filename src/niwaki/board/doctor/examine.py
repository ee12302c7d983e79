"""All checks of a bundle, one after another; a failed one does not stop the others."""

from __future__ import annotations

import io
import os
import wave
from collections.abc import Iterator
from pathlib import Path

from niwaki.board.built import is_built_here, why_not
from niwaki.board.cache import is_bundle
from niwaki.board.decide import too_silent
from niwaki.board.description import Description, read_description
from niwaki.board.doctor.binaries import check_instructions, check_library, check_program
from niwaki.board.doctor.elf import check_reader
from niwaki.board.doctor.report import Check, DoctorReport
from niwaki.board.doctor.runner import check_python
from niwaki.board.manifest import Manifest, differences, read_manifest
from niwaki.board.options import LEAST_NAMED, BundleOptions
from niwaki.board.place import EXECUTABLE
from niwaki.board.sounds import has_voice
from niwaki.board.targets import BundleTarget, find_target
from niwaki.board.visions import GARMENT
from niwaki.errors import ModelError
from niwaki.folders import temporary
from niwaki.notify import Notify, silent

UNREADABLE = "bundle.json cannot be read"
LIMIT = 2_000_000  # bytes without the words: a bundle that knows garments is small
LARGEST = 256_000_000  # of another, whose network may see photographs: the smallest board has 512 MB of memory
SHOWN = {True: "the made-up scenes with a garment", False: "its own images"}


def examine_file(
    path: Path,
    target: str,
    *,
    data: str | None = None,
    trust: bool = False,
    least_named: float = LEAST_NAMED,
    notify: Notify = silent,
) -> DoctorReport:
    """`examine` a bundle; for a model, the bundle that `niwaki bundle` would make, in a temporary folder.

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
    """Examine a bundle's folder as the board will; its program runs only if it was built here, or is trusted.

    Raises ModelError if its manifest cannot be read.
    """
    manifest, about = read_manifest(folder), _description(folder)
    runs = trust or is_built_here(folder)
    checks = [
        *_files(folder, manifest),
        *_made_for(about, target),
        *check_library(folder, target),
        *check_program(folder, target),
        *check_instructions(folder, target, "" if runs else why_not()),
        *check_python(folder, target),
        *_size(manifest, about),
        *_words(folder, about),
        *_named(about, least_named),
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


def _made_for(about: Description | None, target: BundleTarget) -> Iterator[Check]:
    if about is None:
        yield Check("made for", False, UNREADABLE)
        return
    right = about.machine == target.machine.name
    text = f"{about.target} ({about.machine})"
    if right and about.target != target.name:
        text += f", which is also {target.name}'s; for its camera: niwaki bundle MODEL --target {target.name}"
    yield Check("made for", right, text if right else f"{text}: {target.name} is {target.machine.name}")


def _size(manifest: Manifest, about: Description | None) -> Iterator[Check]:
    most = LIMIT if about is None or about.look.vision == GARMENT else LARGEST
    words = sum(entry.bytes for path, entry in manifest.files.items() if path.startswith("sounds/"))
    rest = sum(entry.bytes for entry in manifest.files.values()) - words
    text = f"{rest:,} bytes, and {words:,} of words"
    yield Check("size", rest <= most, text if rest <= most else f"{text}: more than {most:,} without words")


def _words(folder: Path, about: Description | None) -> Iterator[Check]:
    """Check that every class has a WAV file in every language, or the bundle says that it has no sound."""
    if about is None:
        yield Check("words", False, UNREADABLE)
        return
    languages = about.languages
    if not about.sound:
        yield Check("words", True, f"in {', '.join(languages)}, without sound")
        return
    bad = []
    for code in languages:
        for index in range(len(about.classes)):
            path = f"sounds/{code}/{index}.wav"
            if not _can_be_heard(folder / path):
                bad.append(path)
    text = f"no sound in {bad[0]}" if bad else f"{len(about.classes)} in each of {', '.join(languages)}"
    yield Check("words", not bad, text)


def _named(about: Description | None, least_named: float) -> Iterator[Check]:
    """Reject thresholds at which the network hardly ever speaks."""
    if about is None:
        yield Check("named", False, UNREADABLE)
        return
    calibration = about.decision.calibration
    if calibration is None:
        yield Check("named", None, "not calibrated: whatever is found gets a name")
        return
    why = too_silent(about.decision, least_named)
    text = why or f"{100 * (calibration.accepted_true_rate or 0):.1f} % of {SHOWN[about.look.vision == GARMENT]}"
    yield Check("named", not why, text)


def _can_be_heard(file: Path) -> bool:
    try:
        with wave.open(io.BytesIO(file.read_bytes())) as sound:
            return bool(sound.getnframes())
    except (OSError, EOFError, wave.Error):
        return False


def _only_there(target: BundleTarget) -> Iterator[Check]:
    """What no desktop can check."""
    command = f"on the board: ./start selftest --source {target.cameras[0]}"
    yield Check("camera", None, command)
    yield Check("sound", None, "on the board: ./start selftest")
    yield Check("speed", None, "on the board: ./niwaki bench")


def _description(folder: Path) -> Description | None:
    try:
        return read_description(folder)
    except ModelError:
        return None
