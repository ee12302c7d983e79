"""From a model to the folder to copy to a board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from niwaki.board.built import remember
from niwaki.board.compile import LIBRARY, PROGRAM, compile_binaries
from niwaki.board.decide import decide
from niwaki.board.decision import Decision
from niwaki.board.description import DESCRIPTION, describe
from niwaki.board.instructions import instructions
from niwaki.board.known import write_known
from niwaki.board.manifest import NAME
from niwaki.board.network import Network, open_network
from niwaki.board.options import BundleOptions
from niwaki.board.place import check_free, put_bundle
from niwaki.board.selftest import make_selftest
from niwaki.board.sounds import check_voice, speak_names
from niwaki.board.targets import BundleTarget, find_target
from niwaki.board.visions import GARMENT
from niwaki.data.class_names import name_classes
from niwaki.notify import Notify, silent
from niwaki.tabular import Column, Tabular
from niwaki.toolchain.zig import check_zig

RUNNER = "niwaki_device"


@dataclass(frozen=True)
class BundleReport:
    """What was written."""

    folder: Path
    target: BundleTarget
    sizes: Mapping[str, int]
    """Bytes of every file."""
    decided: Decision
    """The rule by which the runner names what it sees."""
    vision: str = GARMENT
    """What a frame becomes: one of `look.VISIONS`."""
    notes: tuple[str, ...] = ()

    @property
    def decision(self) -> dict[str, Any]:
        """The same as JSON values, as in `bundle.json`."""
        return self.decided.model_dump()

    def __repr__(self) -> str:
        return f"<BundleReport {self.folder}: for {self.target.title}, {self.bytes:,} bytes>"

    def _repr_html_(self) -> str:
        columns: tuple[Column, ...] = (("file", "left"), ("bytes", "right"))
        rows = tuple((name, f"{size:,}") for name, size in self.sizes.items())
        return Tabular(columns, rows, f"{self!r}"[1:-1], self.notes).to_html()

    @property
    def sound_bytes(self) -> int:
        """Bytes of the WAV files."""
        return sum(size for path, size in self.sizes.items() if path.startswith("sounds/"))

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(self.sizes.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "folder": str(self.folder),
            "target": self.target.name,
            "machine": self.target.machine.name,
            "bytes": self.bytes,
            "sound_bytes": self.sound_bytes,
            "files": dict(self.sizes),
            "vision": self.vision,
            "decision": self.decision,
            "notes": list(self.notes),
        }


def bundle_file(
    file: Path,
    target: str,
    out: Path,
    *,
    options: BundleOptions | None = None,
    data: str | None = None,
    notify: Notify = silent,
) -> BundleReport:
    """Write the bundle of a model file, an ONNX file or an exported folder for a board into the folder `out`.

    `data` names the images for calibration and self-test if the file names none. The folder appears whole or not at
    all; an older bundle in it is replaced. Raises ModelError, DataError or SpecError if an input cannot be used,
    NiwakiError if zig or espeak-ng are missing.
    """
    options, board = options or BundleOptions(), find_target(target)
    name_classes((), options.languages)  # report a wrong language before anything takes time
    check_zig()
    check_free(out)
    if options.sound:
        check_voice()
    network = open_network(file, options, data=data, notify=notify)
    decision, remarks = decide(network, options.scenes, notify, options.least_named, options.others)
    files = bundle_files(network, board, options, decision, notify)
    put_bundle(out, files)
    remember(out)
    sizes = {path: len(content) for path, content in files.items()}
    sizes[NAME] = (out / NAME).stat().st_size
    return BundleReport(out, board, sizes, decision, network.look.vision, (*network.notes, *remarks))


def bundle_files(
    network: Network, target: BundleTarget, options: BundleOptions, decision: Decision, notify: Notify
) -> dict[str, bytes]:
    """Every file of a bundle except its manifest, by path; the same inputs give the same bytes on every desktop."""
    classes = name_classes(network.labels, options.languages, options.names)
    selftest = make_selftest(network.graph, network.data, network.pad, network.look)
    notify(f"compiling for {target.machine.spoken_of}")
    known = write_known(selftest, network.labels, decision, network.pad, network.look)
    binaries = compile_binaries(network.source, known, target.machine)
    sounds = {}
    if options.sound:
        notify(f"speaking {len(classes) * len(options.languages)} words")
        sounds = speak_names(classes, options.languages)
    return {
        DESCRIPTION: describe(network, target, classes, decision, options).to_json(),
        LIBRARY: binaries.library,
        PROGRAM: binaries.program,
        **runner_files(),
        **selftest.files(),
        **sounds,
        **instructions(target, network.name, options.languages, network.look.vision),
    }


def runner_files() -> dict[str, bytes]:
    """The runner: a copy of niwaki.device under its name on the board."""
    return {f"{RUNNER}/{path}": data for path, data in _walk(resources.files("niwaki.device"))}


def _walk(folder: Any, prefix: str = "") -> Sequence[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: str(entry.name)):
        if entry.is_dir() and entry.name != "__pycache__":
            found += _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith((".py", ".html", ".js", ".css")):
            found.append((prefix + entry.name, entry.read_bytes()))
    return found
