"""Raw frames on standard input, in the oldest and newest Python; a real pipe."""

import subprocess

import pytest

from device.foreign import NATIVE, foreign_python
from niwaki.device.errors import DeviceError
from niwaki.device.sources import open_source

READ = """
import sys
from niwaki_device.errors import DeviceError
from niwaki_device.sources import open_source
source = open_source(sys.argv[1])
try:
    for frame in iter(lambda: source.read(0.001), None):
        print(frame.number, frame.time_s, frame.grey.decode())
    print("end", source.live)
except DeviceError as error:
    print(error.exit_code, error)
"""


def said(package, name, parts, query="?width=3&height=2&fps=4"):
    python = foreign_python(name)
    process = python.start(
        "-c", READ, "pipe:-" + query, packages=[package], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    for part in parts:
        process.stdin.write(part)
    return process.communicate(timeout=60)[0].decode().splitlines()


@pytest.mark.parametrize("name", NATIVE)
def test_every_frame_until_the_writer_ends(package, name):
    """However the bytes are cut, and however long they take."""
    assert said(package, name, [b"abc", b"defABCD", b"EF"]) == ["0 0.0 abcdef", "1 0.25 ABCDEF", "end False"]
    assert said(package, name, []) == ["end False"]
    assert said(package, name, [b"abcdef", b"ABCD"])[1:] == ["2 pipe:-: frame 1 is cut off: 4 of 6 bytes"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("pipe:-", "needs option width"),
        ("pipe:-?width=4", "needs option height"),
        ("pipe:/dev/stdin?width=4&height=4", "only standard input is read: write pipe:-"),
    ],
)
def test_what_it_must_be_told(text, line):
    with pytest.raises(DeviceError) as caught:
        open_source(text)
    assert str(caught.value) == f"source {text}: {line}"
