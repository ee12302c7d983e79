"""The C as a callable: compiled, loaded, and its errors."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from niwaki.compiled.library import CModel, compile_library, interface
from niwaki.compiled.on_target import compile_program, compile_sources
from niwaki.emit.generate import generate, write
from niwaki.errors import ModelError, NiwakiError, ToolMissing
from niwaki.toolchain import compiler
from niwaki.toolchain.compiler import find_compiler
from niwaki.toolchain.targets import TARGETS
from random_graphs import Builder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    builder = Builder((1, 4, 4), 0)
    builder.dense(3)
    return write(generate(builder.graph(), prefix="tiny"), tmp_path_factory.mktemp("tiny"))


def test_the_header_says_what_the_model_is(folder: Path) -> None:
    found = interface(folder)
    assert (found.prefix, found.input_shape, found.input_bytes, found.output_bytes) == ("tiny", (1, 4, 4), 16, 3)
    assert found.output_scale > 0


def test_images_of_another_kind_are_refused(folder: Path) -> None:
    model = CModel(folder)
    with pytest.raises(ModelError, match=r"images are uint8 \(2, 1, 4, 4\): expected int8 \(n, 1, 4, 4\)"):
        model.run(np.zeros((2, 1, 4, 4), np.uint8))
    with pytest.raises(ModelError, match="images are of type list: expected a numpy array of int8"):
        model.run([1, 2])
    with pytest.raises(ModelError, match="expected int8"):
        model.run(np.zeros((2, 1, 5, 4), np.int8))
    assert model.run(np.zeros((0, 1, 4, 4), np.int8)).shape == (0, 3)


def test_a_strided_view_is_read_as_it_looks(folder: Path) -> None:
    model = CModel(folder)
    images = np.random.default_rng(0).integers(-128, 128, (6, 1, 4, 8)).astype(np.int8)
    np.testing.assert_array_equal(model.run(images[::2, :, :, ::2]), model.run(images[::2, :, :, ::2].copy()))


def test_a_prepared_call_gives_the_scores_of_what_its_image_holds(folder: Path) -> None:
    model = CModel(folder)
    images = np.random.default_rng(0).integers(-128, 128, (3, 1, 4, 4)).astype(np.int8)
    call = model.prepare(inputs=True)
    for image, scores in zip(images, model.run(images), strict=True):
        call.image[:] = image
        np.testing.assert_array_equal(call(), scores)
    with pytest.raises(AttributeError):
        call.images = images
    with pytest.raises(ModelError, match=r"had no preprocessing: prepare\(inputs=True\) takes int8 inputs"):
        model.prepare()


def test_nothing_of_a_compiled_model_stays_on_the_disk(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a process that is killed would leave it there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = CModel(folder)
    assert list(tmp_path.iterdir()) == []
    assert model.run(np.zeros((2, 1, 4, 4), np.int8)).shape == (2, 3)


def test_no_compiler(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(compiler, "has_zig", lambda: False)
    assert find_compiler() is None
    both = r"apt-get install gcc libc6-dev \(Debian\), or pip install ziglang; or set CC"
    with pytest.raises(ToolMissing, match=f"no C compiler on this machine: {both}"):
        compile_library(folder)


def test_zig_compiles_where_there_is_no_other(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = np.random.default_rng(0).integers(-128, 128, (9, 1, 4, 4)).astype(np.int8)
    expected = CModel(folder).run(inputs)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CC", raising=False)
    library = compile_library(folder, flags=("-O1", "-march=native"), out=tmp_path / "libtiny.so")
    np.testing.assert_array_equal(CModel(folder, library=library).run(inputs), expected)
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]
    bad = tmp_path / "bad.c"
    bad.write_text("int f(void) { return 1 }")
    with pytest.raises(NiwakiError, match=r"bad\.c: zig cc could not compile it: .*error: expected ';'"):
        compile_sources((bad,), TARGETS["native"], out=tmp_path / "bad")


def test_a_path_is_no_option_of_a_compiler(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither `-fplugin=…`, nor `@…`, which compilers take for a file of options."""
    monkeypatch.chdir(tmp_path)
    for name in ("-fplugin=evil", "@evil"):
        here = Path(shutil.copytree(folder, name))
        assert compile_library(here, flags=("-O0",)).is_file()
        main = here / "main.c"
        main.write_text("int main(void) { return 0; }")
        assert compile_program(here, main, TARGETS["native"], ("-O0",), out=here / "program").is_file()


def test_the_users_compiler_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "gcc -m64")
    assert find_compiler() == "gcc -m64"


def test_a_compiler_that_is_not_there(folder: Path) -> None:
    with pytest.raises(NiwakiError, match="/nonexistent/cc: cannot be run"):
        compile_library(folder, cc="/nonexistent/cc")


def test_a_compiler_s_complaint_is_passed_on(folder: Path) -> None:
    with pytest.raises(NiwakiError, match=r"model\.c: \S+ could not compile it: .*no-such-flag"):
        compile_library(folder, flags=("--no-such-flag",))
    assert not list(folder.glob("*.so"))


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(NiwakiError, match="no model.c in it"):
        compile_library(tmp_path)
    with pytest.raises(NiwakiError, match=r"no readable model\.h"):
        CModel(tmp_path)
    (tmp_path / "model.h").write_text("int x;")
    with pytest.raises(NiwakiError, match="not a model.h that niwaki wrote"):
        CModel(tmp_path)


def test_a_library_that_cannot_be_loaded(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "libtiny.so"
    broken.write_bytes(b"not a library")
    with pytest.raises(NiwakiError, match="cannot be loaded"):
        CModel(folder, library=broken)


def test_one_image_alone_is_what_it_is_among_others(folder: Path) -> None:
    model = CModel(folder)
    images = np.random.default_rng(1).integers(-128, 128, (5, 1, 4, 8)).astype(np.int8)[:, :, :, ::2]
    alone = [model.run(images[i : i + 1]) for i in range(5)]
    np.testing.assert_array_equal(np.concatenate(alone), model.run(images))
    assert len({scores.ctypes.data for scores in alone}) == 5  # the caller's own, not one that is written over
