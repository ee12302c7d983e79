"""The server under the oldest and the newest Python, from a copy of the device's folder alone."""

import http.client
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import niwaki.device
from live_view import TOKEN, read_message

PROGRAM = Path(__file__).parent / "programs" / "serve.py"
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"


def python_of(version):
    """An interpreter of that version; skipped by name if there is none."""
    found = sorted(PYENV.glob(version + ".*/bin/python"))
    if found:
        return str(found[-1])
    name = shutil.which("python" + version)
    if name is None:
        pytest.skip(f"needs Python {version}: pyenv install {version}")
    return name


@pytest.mark.parametrize("version", ["3.6", "3.13"])
def test_page_frames_and_buttons(version, tmp_path):
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(niwaki.device.__file__).parent, tmp_path / "niwaki_device", ignore=ignored)
    command = [python_of(version), "-B", "-I", "-W", "error", str(PROGRAM), str(tmp_path), TOKEN]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        try:
            parts = urlsplit(process.stdout.readline().strip())
            client = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
            fields = {"X-Niwaki": "1", "Authorization": "Bearer " + TOKEN}
            client.request("GET", "/")
            assert client.getresponse().read().decode().startswith("This view needs its token")
            client.request("GET", "/?" + parts.query)
            assert b"<title>niwaki</title>" in client.getresponse().read()
            after = 0
            for _ in range(20):
                client.request("GET", f"/frame?after={after}&seat=s", headers=fields)
                shown, picture, inner = read_message(client.getresponse().read())
                assert shown["sequence"] > after
                assert (picture.shape, inner.shape) == ((240, 320), (28, 28))
                after = shown["sequence"]
            client.request("POST", "/learn", headers=fields)
            assert client.getresponse().status == 204
        finally:
            output, errors = process.communicate(timeout=30)
    assert (output, errors, process.returncode) == ("learn\n['MainThread']\n", "", 0)
