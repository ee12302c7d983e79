"""The library through ctypes gives the integer references' results; a wrong one is refused in one line."""

import subprocess

import numpy as np
import pytest

from device.film import HEIGHT, WIDTH, Table
from device.small_bundle import redescribe, rewrite
from niwaki.codegen.graph import reference
from niwaki.device import elf
from niwaki.device.bundle import Bundle
from niwaki.device.errors import DeviceError
from niwaki.device.network import Network
from niwaki.vision.reference import Reference


def test_scores_are_the_references(network, garments):
    images = np.pad(garments.images[:20], ((0, 0), (2, 2), (2, 2)))
    expected = reference.run(garments.network.graph, reference.quantize_pixels(garments.network.graph, images[:, None]))
    assert [network.scores(image.tobytes()) for image in images] == expected.reshape(20, -1).tolist()
    for size in (1023, 1025):
        with pytest.raises(ValueError, match=f"{size} pixels: the network takes 1024"):
            network.scores(bytes(size))


def test_findings_are_the_references(network, garments):
    table = Table()
    vision, expected = network.vision(WIDTH, HEIGHT), Reference(WIDTH, HEIGHT)
    coat = table.shows(garments.image("Coat"), 1)[0]
    for learned in (False, True, False):
        if learned:
            for number, frame in enumerate(table.empty(3), 1):
                assert vision.learn(frame.tobytes()) == expected.learn(frame) == number
        for frame in [coat, *table.near(1), *table.empty(1)]:
            found, right = vision.find(frame.tobytes()), expected.find(frame)
            assert (found.outcome, tuple(found[1:5])) == (right.outcome, tuple(right.box))
            assert (found.polarity, found.contrast, found.used_scene) == (
                right.polarity, right.contrast, right.used_scene,
            )  # fmt: skip
            assert found.picture == right.picture.tobytes()
        assert vision.find(coat.tobytes()).used_scene == learned
        vision.forget()
        expected.forget()


def test_frames_of_other_sizes_are_refused(network):
    for size in ((15, 100), (100, 4097)):
        with pytest.raises(DeviceError, match=f"frames of {size[0]} x {size[1]}: niwaki takes 16 to 4096"):
            network.vision(*size)
    vision = network.vision(20, 16)
    for call in (vision.learn, vision.find):
        with pytest.raises(ValueError, match="a frame of 319 bytes: expected 20 x 16"):
            call(bytes(319))


def refusal(folder):
    with pytest.raises(DeviceError) as caught:
        Network(Bundle.open(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value), caught.value.exit_code


@pytest.mark.parametrize("classes", [9, 11])
def test_a_library_with_another_number_of_classes(changed_bundle, classes):
    def change(description):
        description["classes"] = (2 * description["classes"])[:classes]

    redescribe(changed_bundle, change)
    message, code = refusal(changed_bundle)
    assert f"libniwaki.so: gives 10 scores, but bundle.json names {classes} classes: build the bundle" in message
    assert code == 2


def test_a_library_for_another_processor(changed_bundle):
    data = bytearray((changed_bundle / "libniwaki.so").read_bytes())
    data[18:20] = (183).to_bytes(2, "little")  # e_machine: EM_AARCH64
    rewrite(changed_bundle, "libniwaki.so", bytes(data))
    message, code = refusal(changed_bundle)
    assert "libniwaki.so: is for aarch64, this Python is for x86-64: build the bundle with another --target" in message
    assert code == 5


def test_a_library_that_is_none(changed_bundle):
    rewrite(changed_bundle, "libniwaki.so", b"MZ no library of this system")
    message, code = refusal(changed_bundle)
    assert "libniwaki.so: cannot be loaded: " in message
    assert message.endswith(": build the bundle with the --target of this board")
    assert code == 5


def test_a_library_of_something_else(changed_bundle, tmp_path):
    source = tmp_path / "other.c"
    source.write_text("int niwaki_other(void) { return 0; }\n")
    library = tmp_path / "other.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    rewrite(changed_bundle, "libniwaki.so", library.read_bytes())
    message, code = refusal(changed_bundle)
    assert "has no niwaki_model_run_pixels: it is not of this niwaki: build the bundle again" in message
    assert code == 5


def test_a_changed_byte_in_the_library(changed_bundle):
    path = changed_bundle / "libniwaki.so"
    data = bytearray(path.read_bytes())
    data[-100] ^= 0x10
    path.write_bytes(data)
    message, code = refusal(changed_bundle)
    assert "libniwaki.so: is not as it was built (SHA-256)" in message
    assert code == 2


def test_processors_by_their_numbers(tmp_path):
    file = tmp_path / "some.so"
    for head, name in ((b"\x7fELF\x01\x01" + bytes(12) + b"\x28\x00", "arm (32 bit)"),
                       (b"\x7fELF\x02\x02" + bytes(12) + b"\x00\x16", "processor 22"),
                       (b"MZ" + bytes(40), None), (b"\x7fELF", None)):  # fmt: skip
        file.write_bytes(head)
        assert elf.processor_of(file) == name
    assert elf.processor_of(tmp_path / "none.so") is None
    assert elf.processor_here() == elf.processor_of(elf.Path("/bin/sh"))
