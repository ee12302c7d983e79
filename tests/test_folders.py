"""Folders that are whole: names stay inside, and a killed change leaves the old or the new."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from niwaki import folders
from niwaki.board.place import put_bundle
from niwaki.deploy.folder import FolderNote, FormNote, put, read_form, read_note
from niwaki.deploy.formats import Form
from niwaki.errors import ModelError
from niwaki.files import sha256_of
from niwaki.folders import check_names, exchange, inside, read_inside, staging, sweep

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod", "shutil.rmtree", "open"}


def killed_at(step: int, act: Callable[[], None]) -> bool:
    """Run `act` in a child that SIGKILL ends before its `step`-th call that changes a folder; whether it was ended."""
    child = os.fork()
    if child == 0:  # pragma: no cover (another process)
        left = step

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            reads = event == "open" and not int(arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)  # type: ignore[call-overload]
            if event in CHANGES and not reads:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        swap = folders.exchange

        def counted(one: Path, other: Path) -> bool:
            count("os.rename", ())
            return swap(one, other)

        folders.exchange = counted
        sys.addaudithook(count)
        try:
            act()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def export_of(model: str) -> tuple[dict[str, bytes], FolderNote]:
    """What an export of a model brings: C of two files that must fit, and an ONNX."""
    files = {name: f"{name} of {model}".encode() for name in ("c/model.c", "c/model.h", "model-int8.onnx")}
    if model == "A":
        files["c/main.c"] = b"an older layout"
    digests = {name: sha256_of(data) for name, data in files.items()}
    forms: dict[Form, FormNote] = {
        "c": FormNote(files={n: d for n, d in digests.items() if n.startswith("c/")}, made_of=model),
        "onnx-int8": FormNote(files={n: d for n, d in digests.items() if not n.startswith("c/")}, made_of=model),
    }
    return files, FolderNote(origin=model, origin_sha256=model, forms=forms)


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _fits(folder: Path, note: FolderNote) -> bool:
    """Whether all files are those that the note lists."""
    try:
        return all(read_form(folder, note, form) for form in note.forms)
    except ModelError:
        return False


@pytest.mark.parametrize("can_exchange", [True, False])
def test_an_export_that_is_killed_anywhere_is_old_or_new(
    can_exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_exchange:
        monkeypatch.setattr(folders, "_renameat2", lambda: None)
    seen, step = set(), 0
    while True:
        step += 1
        out = tmp_path / str(step)
        put(out, *export_of("A"), print)
        (out / "c" / "built").mkdir()
        (out / "c" / "built" / "own.o").write_bytes(b"somebody's")
        killed = killed_at(step, lambda out=out: put(out, *export_of("B"), print))
        c = {name: data.decode()[-1] for name, data in tree(out).items() if name in ("c/model.c", "c/model.h")}
        assert len(set(c.values())) <= 1  # never one of each
        assert c or not can_exchange  # nor none
        note = read_note(out)
        assert note is not None
        fits = _fits(out, note)
        whole = {*c.values(), (out / "model-int8.onnx").read_text()[-1]}
        assert fits <= (whole == {note.origin})  # a mixture is told
        seen.add((note.origin, fits))
        put(out, *export_of("B"), print)
        left = tree(out)
        note = read_note(out)
        assert note is not None
        assert _fits(out, note)
        assert sorted(left) == ["c/built/own.o", "c/model.c", "c/model.h", "export.json", "model-int8.onnx"]
        assert not list(tmp_path.glob(".niwaki-*"))
        if not killed:
            break
    assert step > 15
    assert seen == {("A", True), ("A", False), ("B", True)}


def test_a_bundle_that_is_killed_anywhere_is_old_or_new(tmp_path: Path) -> None:
    def bundle(model: str) -> dict[str, bytes]:
        return {"bundle.json": model.encode(), "libniwaki.so": f"library of {model}".encode(), "start": b"#!/bin/sh"}

    step, seen = 0, set()
    while True:
        step += 1
        out = tmp_path / str(step) / "bundle"
        put_bundle(out, bundle("A"))
        killed = killed_at(step, lambda out=out: put_bundle(out, bundle("B")))
        found = {name: data for name, data in tree(out).items() if name in bundle("A")}
        assert found in (bundle("A"), bundle("B"))
        seen.add(found["bundle.json"])
        put_bundle(out, bundle("B"))
        assert [path.name for path in out.parent.iterdir()] == ["bundle"]
        if not killed:
            break
    assert seen == {b"A", b"B"}


def test_an_error_in_the_middle_brings_everything_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for works in (True, False):
        out = tmp_path / str(works)
        put(out, *export_of("A"), print)
        before = tree(out)
        if not works:
            monkeypatch.setattr(folders, "_renameat2", lambda: None)
        whole = folders.Change.put

        def full(self: folders.Change, fresh: Path, place: Path, whole=whole) -> None:
            if place.name == "export.json":
                raise OSError(28, "No space left on device", str(place))
            whole(self, fresh, place)

        monkeypatch.setattr(folders.Change, "put", full)
        with pytest.raises(ModelError, match=r"export\.json: cannot be written: No space left on device"):
            put(out, *export_of("B"), print)
        monkeypatch.setattr(folders.Change, "put", whole)
        assert tree(out) == before
        assert not [path for path in out.iterdir() if path.name.startswith(".niwaki")]


def test_staging_of_the_living_stays(tmp_path: Path) -> None:
    (tmp_path / ".niwaki-dead").mkdir()
    (tmp_path / ".niwaki-dead" / "file").write_text("left")
    (tmp_path / ".niwaki-file").write_text("no folder")
    with staging(tmp_path) as place:
        (place / "file").write_text("under way")
        child = os.fork()
        if child == 0:  # pragma: no cover (another process)
            sweep(tmp_path)
            os._exit(0)
        os.waitpid(child, 0)
        assert (place / "file").exists()
        assert not (tmp_path / ".niwaki-dead").exists()
    assert [path.name for path in tmp_path.iterdir()] == [".niwaki-file"]


def test_two_names_change_places(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").mkdir()
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system cannot exchange names")
    assert (tmp_path / "a").is_dir()
    assert (tmp_path / "b").read_text() == "a"
    assert not exchange(tmp_path / "a", tmp_path / "none")


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "a/../../x", "a//x", "./x", "", "a/", "C:x", "a\\x", "x\0", "x\n", "aux", "c/NUL.onnx", "x.", "x "],
)
def test_a_name_stays_inside(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a plain name of a file inside the folder"):
        inside(tmp_path, name)


def test_names_that_are_one_where_case_does_not_count() -> None:
    check_names(["c/model.c", "c/model.h", "Model.onnx"])
    with pytest.raises(ValueError, match="'model.onnx' and 'Model.onnx' are the same file if case does not count"):
        check_names(["model.onnx", "Model.onnx"])


def test_links_are_not_followed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "c").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "x").write_text("secret")
    (home / "file").symlink_to(tmp_path / "secret" / "x")
    (home / "folder").symlink_to(Path("..") / "secret")
    (tmp_path / "way").symlink_to(home)
    for name in ("file", "folder/x"):
        with pytest.raises(ModelError, match=f"{name.split('/', 1)[0]}: is a link, which may lead out of the folder"):
            read_inside(home, name)
    (home / "c" / "x").write_text("own")
    assert read_inside(tmp_path / "way", "c/x") == b"own"
    os.mkfifo(home / "pipe")
    with pytest.raises(OSError, match="is not a file"):
        read_inside(home, "pipe")
