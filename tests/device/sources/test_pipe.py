"""Raw frames on standard input, in the oldest and newest Python; a real pipe."""

import os
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
        print(frame.number, frame.time_s, frame.pixels.decode())
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


def test_standard_input_that_fails(package):
    python = foreign_python("3.6")
    master, slave = os.openpty()
    os.close(slave)
    keywords = {"packages": [package]}
    done = python.run("-c", READ, "pipe:-?width=3&height=2", stdin=master, **keywords)  # a terminal that was hung up
    assert done.stdout == "2 pipe:-: cannot be read at frame 0: Input/output error\n"
    os.close(master)
    program = READ.replace("source =", "try: source =", 1)
    done = python.run("-c", program.replace("\ntry:\n", "\nexcept DeviceError as error: sys.exit(str(error))\ntry:\n"),
                      "pipe:-?width=3&height=2", preexec_fn=lambda: os.close(0), **keywords)  # fmt: skip
    assert done.stderr == (
        "pipe:-: standard input is closed: pipe frames into it, as in PROGRAM | ./start --source pipe:-\n"
    )


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
