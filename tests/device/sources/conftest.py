"""The runner as a package of a bundle, and the preloaded camera for each Python."""

import functools
import json
from pathlib import Path

import pytest

from device.foreign import HERE, device_package, foreign_python

SHIM = HERE / "shim" / "v4l2_shim.c"
READ_CAMERA = Path(__file__).parent / "read_camera.py"


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """A folder to import `niwaki_device` from."""
    return device_package(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    """A function from a Python's name to the camera built for it."""
    folder = tmp_path_factory.mktemp("shim")

    @functools.cache
    def build(name):
        return foreign_python(name).build(SHIM, folder / f"{name}.so", "-shared", "-fPIC")

    return build


@pytest.fixture(scope="session")
def read_cameras(package, shim):
    """A function: a Python's name and {name: settings of read_camera.py} to {name: what came}."""

    def read(name, cameras, preload=True):
        python, given = foreign_python(name), json.dumps(cameras)
        library = shim(name) if preload else None
        done = python.run(READ_CAMERA, packages=[package], preload=library, input=given)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return read
