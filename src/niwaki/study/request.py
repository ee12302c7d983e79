"""The user's request, from the command line or Python, as a specification and options."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from niwaki.errors import Setting, SpecError, guess
from niwaki.files import write_whole
from niwaki.study.spec import StudySpec, load_spec, presets


def copy_preset(name: str, file: Path) -> Path:
    """Write a built-in study to a new file, to edit and run, and return its path.

    Raises SpecError if there is no such study, if the file exists, or if its name does not end in .toml.
    """
    if name not in presets():
        raise SpecError(f"unknown study {name!r}: {guess(name, presets())}built-in are {', '.join(presets())}")
    if file.exists():
        raise SpecError(f"{file} exists: give another name")
    if file.suffix != ".toml":
        raise SpecError(f"{file}: a study's file ends in .toml")
    write_whole(file, (resources.files("niwaki.study") / "presets" / f"{name}.toml").read_bytes())
    return file


@dataclass(frozen=True)
class Request:
    """The options of `niwaki study run`; None if the user did not set them."""

    study: str = "source"
    data: str | None = None
    seeds: int | None = None
    jobs: int | None = None
    ray: str | None = None
    device: str = "cpu"
    out: Path | None = None
    trust: bool = False

    def spec(self) -> StudySpec:
        """The study with the options that change it. Raises SpecError if one is out of range."""
        spec, _ = load_spec(self.study)
        if self.seeds is not None:
            if not 1 <= self.seeds <= 1000:
                raise SpecError(Setting("seeds", str(self.seeds)), ": expected 1 to 1000")
            spec = spec.model_copy(update={"seeds": self.seeds})
        if self.data is not None:  # a study that names its data never falls back to other data
            spec = spec.model_copy(update={"data": spec.data.model_copy(update={"fallback": False})})
        return spec

    @property
    def folder(self) -> Path:
        """The folder of the study."""
        return self.out or Path("studies") / Path(self.study).stem

    @property
    def paths(self) -> tuple[str, ...]:
        """Where to look for the user's modules, once trusted: beside the study's file, then the working directory."""
        if not self.trust:
            return ()
        file = Path(self.study)
        beside = [str(file.resolve().parent)] if file.suffix == ".toml" else []
        return (*beside, str(Path.cwd()))

    @property
    def torch_device(self) -> str:
        """The torch device for `device`. Raises SpecError if it does not exist."""
        if self.device not in ("cpu", "cuda", "auto"):
            raise SpecError(Setting("device", repr(self.device)), ": expected cpu, cuda or auto")
        if self.device == "cpu":
            return "cpu"
        import torch

        if torch.cuda.is_available():
            return "cuda"
        if self.device == "cuda":
            why = "device cuda: torch finds no CUDA device here; use the device cpu ("
            raise SpecError(why, Setting("device", '"cpu"'), ")")
        return "cpu"
