"""Whether a bundle suits a board: every check passes on a good one, and each can fail."""

import json
import re
import shutil
import subprocess
import types

import pytest

from bundled import need_tool
from niwaki.board.doctor import binaries, elf
from niwaki.board.doctor.elf import read_elf
from niwaki.board.doctor.examine import LIMIT, examine, examine_file
from niwaki.board.manifest import NAME, manifest_of
from niwaki.board.targets import TARGETS
from niwaki.errors import ModelError, NiwakiError

NANO = TARGETS["jetson-nano"]
ONLY_THERE = {"camera", "sound", "speed"}


@pytest.fixture
def copy(bundle_for, tmp_path):
    """A bundle for the Jetson Nano that may be damaged."""
    return shutil.copytree(bundle_for("jetson-nano"), tmp_path / "copy")


@pytest.fixture(autouse=True)
def no_emulator(monkeypatch, request):
    """Emulating takes time: only where a test asks for it."""
    if "emulated" not in request.fixturenames:
        monkeypatch.setattr(binaries, "shutil", types.SimpleNamespace(which=lambda _name: None))


@pytest.fixture
def emulated():
    need_tool("qemu-aarch64-static", "qemu-user-static")
    need_tool("qemu-arm-static", "qemu-user-static")


def seal(folder):
    """A manifest for the files as they are now: the change itself shall be found, not that there is one."""
    files = {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*") if file.is_file() and file.name != NAME
    }  # fmt: skip
    (folder / NAME).write_text(manifest_of(files).model_dump_json())


def failed(folder, target=NANO):
    """The checks that failed, by name, with what they say."""
    report = examine(folder, target, trust=True)
    assert report.ok == all(check.ok is not False for check in report.checks)
    return {check.name: check.found for check in report.checks if check.ok is False}


@pytest.mark.parametrize("target", ["jetson-nano", pytest.param("raspberry-pi-32", marks=pytest.mark.soak)])
def test_a_good_bundle(bundle_for, emulated, target):
    report = examine(bundle_for(target), TARGETS[target])
    assert report.ok
    unknown = {check.name for check in report.checks if check.ok is None}
    assert unknown == ONLY_THERE | ({"named"} if target == "raspberry-pi-32" else set())  # no scenes: not measured
    found = {check.name: check.found for check in report.checks}
    assert found["program: imports"] == "static: imports nothing"
    assert re.fullmatch(r"needs 2\.\d+, the oldest board has 2\.\d+", found["library: glibc"])
    for processor in TARGETS[target].processors:
        assert "images: 100 of 100 exact; frames: 4 of 4 exact" in found[f"instructions: {processor}"]
    assert "./start selftest --source " in found["camera"]


def test_without_an_emulator_the_instructions_are_not_checked(bundle_for):
    report = examine(bundle_for("jetson-nano"), NANO)
    check = next(check for check in report.checks if check.name == "instructions: cortex-a57")
    assert check.ok is None
    assert check.found == "no qemu-aarch64-static on this machine; Debian: apt-get install qemu-user-static"
    assert report.ok
    assert json.loads(json.dumps(report.to_dict()))["checks"]


def test_a_program_from_elsewhere_is_not_run_unasked(copy, emulated, tmp_path):
    """An emulator is no cage: what runs in it reads and writes this machine's files."""
    (copy / "niwaki").write_bytes((copy / "niwaki").read_bytes() + b" ")
    seal(copy)
    checks = [check for check in examine(copy, NANO).checks if check.name.startswith("instructions")]
    assert [(check.ok, check.found) for check in checks] == [
        (None, "was not built here, or was changed since: say `trust=True` to run the programs in it")
    ]
    checks = [check for check in examine(copy, NANO, trust=True).checks if check.name.startswith("instructions")]
    assert [check.ok for check in checks] == [True]


def test_a_bundle_that_hardly_ever_speaks(copy):
    def named(rate, least=5.0):
        about = json.loads((copy / "bundle.json").read_text())
        about["decision"]["calibration"] = {"accepted_true_rate": rate}
        about.pop("checksum", None)
        (copy / "bundle.json").write_text(json.dumps(about))
        checks = examine(copy, NANO, least_named=least).checks
        return next((check.ok, check.found) for check in checks if check.name == "named")

    silent = "would name 0.0 % of its own images, less than 5 % (`least_named=`)"
    assert named(0.0) == (False, silent)
    assert named(None) == (False, silent)
    assert named(0.049)[0] is False
    assert named(0.05) == (True, "5.0 % of the made-up scenes with a garment")
    assert named(0.0, least=0)[0] is True
    assert named("many")[0] is False


def test_links_out_of_a_bundle_are_not_followed(copy, tmp_path):
    (copy / "start").rename(tmp_path / "start")
    (copy / "start").symlink_to(tmp_path / "start")
    assert "start: is a link, which may lead out of the folder" in failed(copy)["files"]


def test_the_wrong_board(bundle_for, emulated):
    wrong = failed(bundle_for("jetson-nano"), TARGETS["raspberry-pi-32"])
    assert wrong["made for"] == "jetson-nano (aarch64): raspberry-pi-32 is armhf"
    assert wrong["library: processor"] == "AARCH64, 64 bit: the board is 32-bit ARM with hard float"
    assert "program: processor" in wrong
    assert "exit status" in wrong["instructions: cortex-a7"]


@pytest.mark.soak
def test_a_board_of_32_bits(bundle_for, emulated):
    wrong = failed(bundle_for("raspberry-pi-32"))
    assert wrong["library: processor"] == "ARM, 32 bit, hard float: the board is 64-bit ARM"


def test_one_bundle_for_every_board_of_a_kind(bundle_for):
    assert failed(bundle_for("jetson-nano"), TARGETS["raspberry-pi"]) == {}
    assert failed(bundle_for("jetson-nano"), TARGETS["jetson-orin"]) == {}
    (made,) = (
        check.found
        for check in examine(bundle_for("jetson-nano"), TARGETS["jetson-orin"]).checks if check.name == "made for"
    )  # fmt: skip
    assert made == (
        "jetson-nano (aarch64), which is also jetson-orin's; for its camera: niwaki bundle MODEL --target jetson-orin"
    )


def test_a_changed_byte(copy):
    library = copy / "libniwaki.so"
    data = bytearray(library.read_bytes())
    data[-1] ^= 1
    library.write_bytes(data)
    assert failed(copy)["files"] == "libniwaki.so: its bytes were changed"
    (copy / "start").unlink()
    assert failed(copy)["files"].endswith(" (and 1 more)")
    assert failed(copy)["permissions"] == "not executable: start: chmod +x"


def test_a_file_that_cannot_be_started(copy):
    (copy / "niwaki").chmod(0o644)
    assert failed(copy) == {"permissions": "not executable: niwaki: chmod +x"}


def cross(copy, name, source, *flags):
    """Put a binary of Debian's cross compiler in place of the bundle's."""
    need_tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross")
    (copy.parent / "code.c").write_text(source)
    command = ["aarch64-linux-gnu-gcc", "-o", copy / name, copy.parent / "code.c", *flags]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    seal(copy)


def test_a_library_that_needs_a_newer_glibc(copy):
    """pthread_create moved into libc with glibc 2.34: whoever links against that, or a newer one, needs it."""
    cross(copy, "libniwaki.so", "#include <pthread.h>\nint f(void) { return pthread_create(0, 0, 0, 0); }\n",
          "-shared", "-fPIC")  # fmt: skip
    wrong = failed(copy)
    assert re.fullmatch(r"needs 2\.3\d, the oldest board has 2\.27", wrong["library: glibc"])
    assert wrong["library: functions"].startswith("no niwaki_frame_bytes, niwaki_frame_init, ")
    assert set(wrong) == {"library: glibc", "library: functions"}


def test_a_library_that_needs_another(copy):
    cross(copy, "libniwaki.so", "#include <dlfcn.h>\nvoid *f(void) { return 0; }\n",
          "-shared", "-fPIC", "-Wl,--no-as-needed", "-lgcc_s")  # fmt: skip
    assert failed(copy)["library: glibc"] == "needs libgcc_s.so.1, which is not glibc's"


def test_a_program_that_needs_a_library(copy):
    cross(copy, "niwaki", '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n')
    wrong = failed(copy)
    assert set(wrong) == {"program: imports"}
    assert wrong["program: imports"].startswith("needs /lib/ld-linux-aarch64.so.1, libc.so.6, ")


def test_an_instruction_that_the_board_has_not(copy, emulated):
    """The whole program compiled for a newer processor: its self-test dies on a Cortex-A57."""
    cross(copy, "niwaki", '#include <stdio.h>\nint main(void) { __asm__ volatile(".arch armv8.2-a+dotprod\\n'
          'sdot v0.4s, v1.16b, v2.16b"); puts("kernels: all"); return 0; }\n', "-static")  # fmt: skip
    assert set(failed(copy)) == {"instructions: cortex-a57"}
    assert "exit status -4" in failed(copy)["instructions: cortex-a57"]  # SIGILL


def test_a_program_that_gives_other_numbers(copy, emulated):
    cross(
        copy, "niwaki", '#include <stdio.h>\nint main(void) { puts("images: 99 of 100 exact"); return 1; }\n', "-static"
    )
    assert failed(copy) == {"instructions: cortex-a57": "self-test in qemu: exit status 1: images: 99 of 100 exact"}


def test_an_emulator_that_never_ends(copy, emulated, monkeypatch):
    monkeypatch.setattr(binaries, "TIMEOUT_S", 0.5)
    cross(copy, "niwaki", "int main(void) { for (;;) {} }\n", "-static")
    assert "timed out after 0.5 seconds" in failed(copy)["instructions: cortex-a57"]


@pytest.mark.soak
def test_soft_float_is_another_calling_convention(bundle_for, tmp_path):
    folder = shutil.copytree(bundle_for("raspberry-pi-32"), tmp_path / "copy")
    data = bytearray((folder / "niwaki").read_bytes())
    data[36:40] = (0x05000200).to_bytes(4, "little")  # e_flags: EABI 5, soft float
    (folder / "niwaki").write_bytes(data)
    seal(folder)
    wrong = failed(folder, TARGETS["raspberry-pi-32"])
    assert wrong == {"program: processor": "ARM, 32 bit, soft float: the board is 32-bit ARM with hard float"}


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF", "cut"])
def test_binaries_that_are_none(copy, content):
    for name in ("niwaki", "libniwaki.so"):
        data = (copy / name).read_bytes()[:200] if content == "cut" else content
        (copy / name).write_bytes(data)
    seal(copy)
    wrong = failed(copy)
    assert {"library: processor", "program: processor"} <= set(wrong)
    assert "libniwaki.so: not an ELF file, or damaged" in wrong["library: processor"]


def test_binaries_that_are_gone(copy):
    (copy / "niwaki").unlink()
    (copy / "libniwaki.so").unlink()
    assert "niwaki: cannot be read: No such file or directory" in failed(copy)["program: processor"]
    with pytest.raises(ModelError, match=r"libniwaki\.so: cannot be read: No such file"):
        read_elf(copy / "libniwaki.so")


@pytest.mark.parametrize(
    ("code", "check", "message"),
    [
        ("if (n := 1): pass\n", "Python: syntax", "Assignment expressions are only supported in Python 3.8"),
        ("def f(a, /): pass\n", "Python: syntax", "3.8"),
        ("def f(:\n", "Python: syntax", "invalid syntax"),
        ("import numpy\n", "Python: imports", "niwaki_device/new.py imports numpy"),
        ("from PIL.Image import open\n", "Python: imports", "imports PIL.Image"),
        ("import dataclasses\n", "Python: imports", "imports dataclasses"),
        ("import importlib.metadata\n", "Python: imports", "imports importlib.metadata"),
        ("try:\n    import cv2\nexcept ValueError:\n    pass\n", "Python: imports", "imports cv2"),
    ],
)
def test_python_that_the_board_cannot_read(copy, code, check, message):
    (copy / "niwaki_device" / "new.py").write_text(code)
    seal(copy)
    wrong = failed(copy)
    assert set(wrong) == {check}
    assert message in wrong[check]


def test_imports_that_may_be_missing(copy):
    code = (
        "from . import a\nimport importlib.util, json\ntry:\n    import cv2\nexcept (OSError, ImportError):\n    pass\n"
    )
    (copy / "niwaki_device" / "new.py").write_text(code)
    seal(copy)
    assert failed(copy) == {}


def test_a_bundle_without_its_runner(copy):
    shutil.rmtree(copy / "niwaki_device")
    seal(copy)
    assert failed(copy) == {"Python: syntax": "no niwaki_device/*.py"}


def test_a_bundle_that_is_too_large(copy):
    (copy / "more.bin").write_bytes(bytes(LIMIT))
    seal(copy)
    assert set(failed(copy)) == {"size"}
    assert "more than 2,000,000 without words" in failed(copy)["size"]


def test_words(bundle_for, tmp_path):
    target = TARGETS["linux-x86_64"]
    folder = shutil.copytree(bundle_for("linux-x86_64"), tmp_path / "copy")
    about = json.loads((folder / "bundle.json").read_bytes())
    if not about["sound"]:
        pytest.skip("needs espeak-ng: apt-get install espeak-ng")
    assert failed(folder, target) == {}
    (folder / "sounds/ko/2.wav").write_bytes(b"RIFF")
    seal(folder)
    assert failed(folder, target) == {"words": "no sound in sounds/ko/2.wav"}
    (folder / "sounds/en/1.wav").unlink()
    seal(folder)
    assert failed(folder, target) == {"words": "no sound in sounds/en/1.wav"}


@pytest.mark.parametrize("content", [b"{", b"[]"])
def test_a_description_that_cannot_be_read(copy, content):
    (copy / "bundle.json").write_bytes(content)
    seal(copy)
    assert failed(copy)["made for"] == "bundle.json cannot be read"


def test_a_model_is_made_into_a_bundle_first(small_export, monkeypatch, tmp_path, bundle_for):
    """Into a temporary folder; the bundle itself is the one that niwaki bundle makes."""
    made = []

    def ready(file, target, out, **settings):
        made.append((file, target, settings["data"]))
        shutil.copytree(bundle_for(target), out)

    monkeypatch.setattr("niwaki.board.build.bundle_file", ready)
    report = examine_file(small_export, "jetson-nano", data="moon")
    assert report.ok
    assert report.subject == str(small_export)
    assert made == [(small_export, "jetson-nano", "moon")]


def test_what_cannot_be_examined(copy, monkeypatch, tmp_path):
    with pytest.raises(ModelError, match='`target="nano"`: expected jetson-nano'):
        examine_file(copy, "nano")
    (copy / NAME).unlink()
    with pytest.raises(ModelError, match=r"a bundle without manifest\.json: copy or build it again"):
        examine_file(copy, "jetson-nano")
    monkeypatch.setattr(elf.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(NiwakiError, match=r"checking binaries needs pyelftools: pip install pyelftools"):
        examine_file(copy, "jetson-nano")
