"""The C through ctypes: the reference's bits, rows of any stride, errors."""

import collections
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niwaki.errors import NiwakiError
from niwaki.toolchain.compiler import find_compiler, run_compiler
from niwaki.vision.library import Vision, compile_vision
from niwaki.vision.reference import Reference

from .conftest import check_same, random_series


def test_equals_the_reference(library, every_series):
    for series, expected in every_series:
        check_same(series.run(Vision(library, *series.size, series.inner)), expected)


def test_the_frames_have_everything_in_them(every_series):
    """Each outcome, with and without the scene, both polarities."""
    seen = collections.Counter()
    for _, findings in every_series:
        seen.update((f.outcome, f.used_scene, f.polarity) for f in findings)
    for outcome in ("found", "too_small", "too_large"):
        for used_scene in (False, True):
            for polarity in (-1, 1):
                assert seen[outcome, used_scene, polarity], (outcome, used_scene, polarity)
    assert seen["nothing", False, 0]
    assert seen["nothing", True, 0]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_equals_the_reference_on_random_frames(library, seed):
    series = random_series(np.random.default_rng(seed), longest=100)
    found = series.run(Vision(library, *series.size, series.inner))
    check_same(found, series.run(Reference(*series.size, series.inner)))


@pytest.mark.soak
def test_equals_the_reference_on_many_random_frames(library):
    for seed in range(5000):
        series = random_series(np.random.default_rng((1, seed)), longest=300)
        found = series.run(Vision(library, *series.size, series.inner))
        check_same(found, series.run(Reference(*series.size, series.inner)))


@pytest.mark.soak
@pytest.mark.parametrize("size", [(4096, 4096), (4096, 16), (16, 4096), (4096, 31), (31, 4096), (4095, 3001)])
def test_equals_the_reference_on_the_largest_frames(library, size):
    rng = np.random.default_rng(2)
    width, height = size
    frame = np.clip(rng.normal(90, 6, (height, width)), 0, 255).astype(np.uint8)
    empty = frame.copy()
    frame[height // 4 : height // 2, width // 5 : width // 2] = 255
    one, other = Vision(library, width, height), Reference(width, height)
    check_same([one.find(frame)], [other.find(frame)])
    for vision in (one, other):
        vision.learn(empty)
    check_same([one.find(frame)], [other.find(frame)])


def test_as_many_frames_are_averaged_as_fit(library):
    one, other = Vision(library, 40, 40), Reference(40, 40)
    for k in range(260):
        frame = np.full((40, 40), 255 - k % 2, np.uint8)
        assert one.learn(frame) == other.learn(frame) == min(k + 1, 256)
    frame[5:35, 5:35] = 90
    check_same([one.find(frame)], [other.find(frame)])
    assert one.find(frame).used_scene
    assert one.find(frame).box == (5, 5, 30, 30)


def test_takes_a_part_of_a_larger_frame(library):
    """Rows farther apart than they are wide, upside down, and columns that are not together."""
    rng = np.random.default_rng(1)
    large = rng.integers(90, 110, (200, 300), dtype=np.uint8)
    large[60:140, 100:180] = rng.integers(180, 220, (80, 80))
    part = large[20:180, 40:260]
    expected = Reference(220, 160).find(part)
    assert expected.found
    vision = Vision(library, 220, 160)
    check_same([vision.find(part), vision.find(part.T.copy().T)], [expected] * 2)
    check_same([vision.find(part[::-1])], [Reference(220, 160).find(part[::-1])])


@pytest.mark.parametrize("make", [Vision, lambda _, *args: Reference(*args)])
@pytest.mark.parametrize("sizes", [(15, 16), (16, 4097), (17, 4600), (64, 64, (0, 28)), (64, 64, (28, 257))])
def test_sizes_out_of_range(library, make, sizes):
    with pytest.raises(NiwakiError, match=r"^frame \d+×\d+, picture \d+×\d+: frames have 16 to 4096 pixels"):
        make(library, *sizes)


@pytest.mark.parametrize("frame", [np.zeros((64, 65), np.uint8), np.zeros((64, 64)), np.zeros((64, 64, 1), np.uint8)])
def test_a_frame_of_another_kind(library, frame):
    vision = Vision(library, 64, 64)
    for call in (vision.find, vision.learn):
        with pytest.raises(NiwakiError, match=r"^frame is \w+ \(64, .*\): expected uint8 \(64, 64\)"):
            call(frame)


def test_a_file_that_is_no_such_library(tmp_path):
    empty, other = tmp_path / "empty.so", tmp_path / "other.so"
    empty.write_bytes(b"")
    source = Path(__file__).parent / "programs" / "memory.c"
    run_compiler([find_compiler(), "-shared", "-fPIC", "-o", str(other), str(source)], "memory.c")
    for library in (empty, other):
        with pytest.raises(NiwakiError, match=f"{library.name}: not a library with niwaki's vision in it"):
            Vision(library, 64, 64)


def test_compilers_that_fail(tmp_path, monkeypatch):
    with pytest.raises(NiwakiError, match="could not compile it: .*no-such-flag"):
        compile_vision(tmp_path / "v.so", flags=("--no-such-flag",))
    with pytest.raises(NiwakiError, match="no-such-compiler: cannot be run"):
        compile_vision(tmp_path / "v.so", cc="no-such-compiler")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("niwaki.toolchain.compiler.has_zig", lambda: False)
    with pytest.raises(NiwakiError, match="no C compiler on this machine: apt-get install"):
        compile_vision(tmp_path / "v.so")
    assert list(tmp_path.iterdir()) == []
