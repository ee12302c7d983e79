"""A study's file for a user's own images and network: commented, ready to run."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from niwaki.data.preprocessing import Preprocessing
from niwaki.data.survey import Survey, survey
from niwaki.errors import FactoryError, Setting, SpecError
from niwaki.files import parse_toml, read_at_most, write_whole
from niwaki.models import factory as factories
from niwaki.models.own_preprocessing import stated_preprocessing
from niwaki.notify import Notify, silent
from niwaki.study.fitting import ARGUMENTS
from niwaki.study.spec import parse_spec

STATED = ("interpolation", "mean", "std")  # of the preprocessing: what a network may state itself
UNBALANCED = 2.0  # training images of the largest class for one of the smallest
TRUSTED, PLAN_ONLY = (f" --{option}" for option in ("trust", "dry-run"))  # in the commands that the file names


@dataclass(frozen=True)
class NewStudy:
    """A study that was written, and what its images are."""

    file: Path
    found: Survey
    needs_trust: bool


def arguments(text: str, option: str = "args") -> dict[str, Any]:
    """The settings in a text, as in an inline table. Raises SpecError, naming the option, if it is not TOML."""
    try:
        found: dict[str, Any] = parse_toml(f"args = {{ {text} }}")["args"]
    except ValueError as error:
        asked = Setting("preprocessing", text) if option == "preprocessing" else Setting("args", text)
        raise SpecError(asked, f': {error}: expected TOML, as in width = 16, name = "a"') from error
    return found


def listed_labels(file: Path) -> list[str]:
    """The names in a file, one a line. Raises SpecError if it cannot be read, or has none."""
    try:
        text = read_at_most(file, 1 << 20).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise SpecError(Setting("labels", str(file)), f": cannot be read: {why}") from error
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise SpecError(Setting("labels", str(file)), ": has no names: write one a line")
    return names


def new_study(
    place: Path, file: Path | None = None, *, model: Mapping[str, Any], trust: bool = False, notify: Notify = silent
) -> NewStudy:
    """Write a study of the images in `place` to `file` (NAME.toml by default).

    `model` has `factory` and `args`; arguments for classes, channels and size are added. Raises SpecError if the file
    exists or is not a .toml file, DataError if the images cannot be used, FactoryError for a factory that is not there.
    """
    file = file or Path(f"{place.resolve().stem}.toml")
    if file.suffix != ".toml":
        raise SpecError(f"{file}: a study's file ends in .toml")
    if file.exists():
        raise SpecError(f"{file} exists: give another name")
    factories.check_name(str(model["factory"]))
    found = survey(place, notify)
    args = _arguments(found, model, trust)
    text = _text(_as_stated(found, str(model["factory"]), args, trust), file, str(model["factory"]), args)
    parse_spec(text, str(file), file.parent)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, text.encode())
    return NewStudy(file, found, factories.is_foreign(str(model["factory"])))


def _arguments(found: Survey, model: Mapping[str, Any], trust: bool) -> dict[str, Any]:
    """The arguments that the user gives, and those that follow from the images."""
    factory, given = str(model["factory"]), dict(model["args"])
    channels, height, _ = found.data.input_shape
    values = {"classes": found.data.num_classes, "channels": channels, "size": height}
    if factory == "timm:create_model":
        return {**given, "in_chans": channels, "num_classes": found.data.num_classes}
    taken: set[str] | None = None
    if trust or not factories.is_foreign(factory):
        factories.check_trust(factory, trust)
        taken = set(factories.parameters(factory))
    if taken is None:
        return {**given, "num_classes": found.data.num_classes, "in_channels": channels}
    for kind, names in ARGUMENTS.items():
        name = next((name for name in names if name in taken), None)
        if name is not None and name not in given:
            given[name] = values[kind]
    return given


def _as_stated(found: Survey, factory: str, args: Mapping[str, object], trust: bool) -> Survey:
    """With the mean, deviation and interpolation that a trusted network of the user's states for its images, if any."""
    how = found.spec.preprocessing
    if not trust or not factories.is_foreign(factory):
        return found
    with contextlib.suppress(FactoryError):  # the study's plan tells it
        module = factories.build_seeded(factory, args, 0, trust=True)
        if stated := stated_preprocessing(module, how.channels):
            own = {name: getattr(stated, name) for name in STATED}
            own |= {} if how.size else {"interpolation": how.interpolation}
            spec = found.spec.model_copy(update={"preprocessing": how.model_copy(update=own)})
            return replace(found, spec=spec)
    return found


def _text(found: Survey, file: Path, factory: str, args: Mapping[str, Any]) -> str:
    data, foreign = found.data, factories.is_foreign(factory)
    run = f"niwaki study run {file}" + (TRUSTED if foreign else "")
    images = " + ".join(f"{len(split):,}" for split in (data.train, data.validation, data.test))
    return "\n".join([
        f"# A study of {data.origin}: {images} images for training, validation and test.",
        f"# Look at the plan: {run}{PLAN_ONLY}",
        f"# Run it:           {run}",
        f"title = {_quoted(f'{data.origin}, pruned and quantized')}",
        "",
        "[model]",
        f"factory = {_quoted(factory)}" + (
            "" if foreign else '          # or your own: "package.module:callable"'
        ),
        f"args = {_inline(args)}",
        "",
        *_data(found, file),
        "",
        *_RECIPE[0],
        *_augmentation(found),
        *_RECIPE[1],
    ])  # fmt: skip


def _data(found: Survey, file: Path) -> list[str]:
    data, spec = found.data, found.spec
    how = spec.preprocessing
    assert spec.path is not None  # it is the user's own data
    labels = ", ".join(data.labels[:8]) + (", …" if data.num_classes > 8 else "")
    lines = ["[data]", f"# {data.num_classes} classes: {_one_line(labels)}", f"name = {_quoted(spec.name)}"]
    lines.append(f"path = {_quoted(_relative(spec.path, file))}")
    lines += [f"# {_one_line(note)}" for note in data.notes]
    lines += ["skip = true               # leave out files that cannot be read"] if spec.skip else []
    if not found.own_test:
        lines.append(f"test = {spec.test}                # share held out as test images, here {len(data.test):,}")
    if not found.own_validation:
        held = len(data.validation)
        lines.append(f"validation = {held}          # images held out to choose on; the test images stay unseen")
    kind = "in colour" if found.coloured else "grey"
    lines += ["", "[data.preprocessing]", f"# the images are {kind}, of {found.sizes} pixels (height × width)"]
    lines.append(f"color = {_quoted(how.color)}             # grey or rgb")
    if how.size is not None:
        lines.append(f"size = [{how.size[0]}, {how.size[1]}]           # larger sees more, and costs more RAM and time")
        lines.append(f"resize = {_quoted(how.resize)}            # fit: whole image; crop: its centre; stretch")
    if how.pad:
        lines.append(f"pad = {how.pad}                   # black pixels on each side")
    stated = {name: getattr(how, name) for name in STATED if getattr(how, name) != getattr(Preprocessing(), name)}
    lines += ["# as the network states it:"] if stated else []
    lines += [f"{name} = {_value(value)}" for name, value in stated.items()]
    return lines


def _augmentation(found: Survey) -> list[str]:
    glyphs = found.spec.name == "idx"
    flip = "false              # letters and digits are not mirrored" if glyphs else "true               # mirror half"
    lines = [f"flip = {flip}", "shift = 2                 # move images by up to so many pixels"]
    if found.imbalance >= UNBALANCED:
        counts = np.bincount(found.data.train.labels, minlength=found.data.num_classes)
        lines.append(f"# {counts.min():,} to {counts.max():,} training images a class: all count the same in the loss")
        lines.append('class_weights = "balanced"')
    return lines


_RECIPE = (
    (
        "[train]",
        "epochs = 20",
        "batch_size = 64",
        "lr = 3e-3",
        'schedule = "one-cycle"',
    ),
    (
        'keep = "best"             # the epoch with the best validation accuracy',
        "",
        "[prune]",
        "steps = 3",
        "",
        "[finetune]                # after each pruning step",
        "epochs = 3",
        "lr = 1e-3",
        "",
        "[quantize]                # int8, which the C needs",
        "",
        "[select]                  # what to ship: the smallest within these limits",
        'experiment = "ratio"',
        'budget = ["accuracy_drop<=2"] # others: "flash<=64KB", "ram<=32KB", "macs<=1m", "worst_class>=60"',
        'minimize = "flash"',
        "",
        "[[experiment]]",
        'name = "ratio"',
        'title = "How small it gets"',
        'vary = { "prune.ratio" = [0.3, 0.5, 0.7] }',
        'columns = ["validation", "accuracy", "params", "macs", "flash", "ram"]',
        "",
        "[[experiment]]            # a control: is pruning worth it?",
        'name = "from-scratch"',
        'title = "The same widths trained from scratch"',
        'vary = { "prune.ratio" = [0.3, 0.5, 0.7] }',
        "from_scratch = true",
        'columns = ["validation", "accuracy", "params", "macs", "flash", "ram"]',
        "",
    ),
)


def _relative(path: Path, file: Path) -> str:
    """A path as the study's file names it: relative to itself."""
    try:
        return Path(os.path.relpath(path.resolve(), file.resolve().parent)).as_posix()
    except ValueError:  # on another drive
        return path.resolve().as_posix()


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _inline(args: Mapping[str, Any]) -> str:
    return "{ " + ", ".join(f"{name} = {_value(value)}" for name, value in args.items()) + " }" if args else "{}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return _inline(value)
    return json.dumps(value, ensure_ascii=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())
