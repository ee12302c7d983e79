"""From a study's `[data]` to a folder that workers open: find, check, decode once, hold out, store."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock

from niwaki.data.dataset import FORMAT, MANIFEST, About, Dataset, Split, check_contents, open_dataset, write_dataset
from niwaki.data.datasets import BUILT_IN, DATASETS, MEANT_FOR, built_in, kind_of
from niwaki.data.preprocessing import Preprocessing
from niwaki.data.repeats import absent, repeats
from niwaki.data.source import Places, Raw, Source
from niwaki.data.spec import DataSpec
from niwaki.data.split import USUAL, first_of_each, hold_out, usual_validation
from niwaki.device.text import printable
from niwaki.errors import DataError, Setting, guess, step
from niwaki.files import CACHE_VARIABLE, cache_folder, canonical_json, flush_folder, sha256_of
from niwaki.notify import Notify, silent


@step("reading the data")
def prepare(
    spec: DataSpec,
    *,
    data: str | None = None,
    cache: Path | None = None,
    notify: Notify | None = None,
    mirrors: Sequence[str] | None = None,
) -> Path:
    """The folder of the decoded dataset, for `open_dataset`; decodes it if no earlier run did.

    `data` overrides where the images come from: a built-in dataset by its name, an .npz file, or a folder (with the
    four files of Fashion-MNIST, or with a folder of images per class). `mirrors` overrides where files are downloaded
    from. `cache` is where decoded and downloaded data are stored, by default $NIWAKI_CACHE_DIR or the user's cache
    folder. `notify` receives a line for each step that takes long or differs from what was asked for.

    Raises DataError if the data is missing, damaged, or too small for the split.
    """
    tell = _in_visible_characters(notify)
    cache = cache or cache_folder()
    if data is not None:
        spec = _redirected(spec, data)
    return keep(DATASETS[spec.name].find(spec, Places(cache, tell, mirrors)), spec, cache=cache, notify=notify)


def keep(found: Source, spec: DataSpec, *, cache: Path | None = None, notify: Notify | None = None) -> Path:
    """The folder of a dataset that was found, split and preprocessed as `spec` says. Raises DataError as `prepare`."""
    tell, cache = _in_visible_characters(notify), cache or cache_folder()
    spec = _with_validation(spec, found)
    try:
        target = _decoded(found, spec, cache / "decoded", tell)
    except OSError as error:
        raise DataError(
            f"{error.filename or cache}: {error.strerror or error}: decoded data cannot be stored there; "
            f"set {CACHE_VARIABLE} to a folder with room"
        ) from error
    for note in open_dataset(target).notes:
        tell(f"{found.origin}: {note}")
    return target


def find_decoded(fingerprint: str, *, cache: Path | None = None) -> Dataset | None:
    """The decoded dataset with that fingerprint, if `prepare` left it intact in the cache; otherwise None."""
    for manifest in sorted(((cache or cache_folder()) / "decoded").glob(f"*/{MANIFEST}")):
        with contextlib.suppress(DataError):
            data = open_dataset(manifest.parent)
            if data.fingerprint == fingerprint:
                check_contents(data, manifest.parent)
                return data
    return None


def _redirected(spec: DataSpec, data: str) -> DataSpec:
    """The study's data section with images from elsewhere; split, limits and preprocessing stay."""
    keep = ("validation", "split_seed", "limit", "test_limit")
    settings = {key: getattr(spec, key) for key in keep}
    path, known = Path(data), built_in(data)
    if known is not None:
        if data == spec.name:
            return spec.model_copy(update={"fallback": False})
        return DataSpec(name=data, preprocessing=_sized(spec, known.size), **settings)
    if path.is_dir():
        within = next((kind.name for kind in DATASETS.values() if kind.built_in and kind.is_in(path)), None)
        if within is not None:
            return DataSpec(name=within, path=path, preprocessing=spec.preprocessing, **settings)
    elif not (path.is_file() and kind_of(path) != "folder"):
        own = (kind.given_as for kind in DATASETS.values() if kind.given_as)
        near = guess(str(data), BUILT_IN)
        raise DataError(Setting("data", f'"{data}"'), f": {near}not {', not '.join((*BUILT_IN, *own))}")
    name = kind_of(path)
    settings |= {"skip": spec.skip} if name in MEANT_FOR["skip"] else {}
    return DataSpec(name=name, path=path, preprocessing=_sized(spec), test=spec.test, **settings)


def _sized(spec: DataSpec, other: tuple[int, int] | None = None) -> Preprocessing:
    """The preprocessing with the built-in size, if the study relied on it and the `other` images have a different one.

    So the network still fits.
    """
    known = built_in(spec.name)
    if known is None or known.size == other or spec.preprocessing.size is not None:
        return spec.preprocessing
    return spec.preprocessing.model_copy(update={"size": known.size})


def _decoded(found: Source, spec: DataSpec, store: Path, tell: Notify) -> Path:
    """The folder of the decoded dataset under its key; written by the process that holds the lock, used by all."""
    key = _key(found, spec)
    target = store / key
    store.mkdir(parents=True, exist_ok=True)
    with FileLock(store / f"{key}.lock"):
        if target.exists():
            try:
                check_contents(open_dataset(target), target)
                return target
            except DataError as error:
                tell(f"{error} (done: it is decoded again)")
                shutil.rmtree(target)
        for left in store.glob(f".{key}.*"):  # left by a killed process: only the process with the lock writes
            shutil.rmtree(left)
        _write(found, spec, target, tell)
    return target


def _in_visible_characters(notify: Notify | None) -> Notify:
    """Pass on lines, made safe if names from outside are in them; drop them if nobody listens."""
    if notify is None:
        return silent
    return lambda line: notify(printable(line))


def _with_validation(spec: DataSpec, found: Source) -> DataSpec:
    """The spec with the number of images held out for validation, if it leaves that to the data."""
    if spec.validation is not None:
        return spec
    count = USUAL  # has no effect if the data has its own part, but is in the key
    if not found.has_validation:
        for_test = 0 if found.has_test else _for_test(spec, found.train_images)
        count = usual_validation(found.train_images - for_test)
    return spec.model_copy(update={"validation": count})


def _for_test(spec: DataSpec, images: int) -> int:
    return max(1, round(spec.test * images))


def _key(found: Source, spec: DataSpec) -> str:
    settings = spec.model_dump(
        mode="json", include={"validation", "test", "split_seed", "limit", "test_limit", "preprocessing"}
    )
    identity = {"format": FORMAT, "name": found.name, "identity": found.identity, "origin": found.origin, **settings}
    identity |= {"skip": True} if spec.skip else {}
    return sha256_of(canonical_json(identity))[:32]


def _write(found: Source, spec: DataSpec, target: Path, tell: Notify) -> None:
    decoding = f"decoding {found.name if built_in(found.name) else found.origin}"
    tell(f"{'drawing synthetic images' if found.synthetic else decoding} into {target}")
    raw = found.decode(spec.preprocessing)
    splits = _divide(raw, spec)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        notes = (*raw.notes, *absent(raw), *repeats(raw)) if raw.names else raw.notes
        preprocessing = raw.preprocessing or spec.preprocessing
        about = About(found.name, raw.labels, preprocessing, found.origin, found.synthetic, notes)
        write_dataset(temporary, splits, about)
        temporary.chmod(0o755)
        temporary.rename(target)
        flush_folder(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _divide(raw: Raw, spec: DataSpec) -> dict[str, Split]:
    """Hold out what the data does not bring itself: first the test set, then validation; limits come last."""
    train, validation, test = raw.train, raw.validation, raw.test
    if test is None:
        train, test = _held_out(train, raw.labels, _for_test(spec, len(train)), spec.split_seed, "data.test")
    if validation is None:
        count = spec.validation or usual_validation(len(train))
        before = (spec.test,) if raw.test is None else ()
        train, validation = _held_out(train, raw.labels, count, spec.split_seed, "data.validation", before)
    if spec.limit is not None:
        train = _part(train, first_of_each(train.labels, raw.labels, spec.limit))
    if spec.test_limit is not None:
        test = _part(test, first_of_each(test.labels, raw.labels, spec.test_limit))
    return {"train": train, "validation": validation, "test": test}


def _held_out(
    split: Split, labels: tuple[str, ...], count: int, seed: int, key: str, before: Sequence[float] = ()
) -> tuple[Split, Split]:
    stays, held = hold_out(split.labels, labels, count, seed, key, before)
    return _part(split, stays), _part(split, held)


def _part(split: Split, indices: np.ndarray) -> Split:
    return Split(split.images[indices], split.labels[indices])
