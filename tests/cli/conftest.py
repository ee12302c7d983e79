"""Calls of the command line in this process."""

from __future__ import annotations

import pytest

from niwaki.cli.entry import run


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]):
    """Exit code, standard output and standard error of a command line."""

    def run_it(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run_it
