"""The tests rely on a terminal's signals, however they were started."""

import signal
import subprocess
import sys
from pathlib import Path

IGNORING = """
import signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
import pytest
sys.exit(pytest.main([sys.argv[1], "-p", "no:cacheprovider"]))
"""


def test_signals_are_those_of_a_terminal():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    shown = (
        "import signal; print([signal.getsignal(n).__name__ if n == 2 else signal.getsignal(n) for n in (2, 15, 1)])"
    )
    child = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    assert child.stdout == "['default_int_handler', <Handlers.SIG_DFL: 0>, <Handlers.SIG_DFL: 0>]\n"


def test_also_where_what_started_the_tests_ignores_them():
    """As `nohup make test &` and some CI systems do."""
    inner = f"{Path(__file__)}::{test_signals_are_those_of_a_terminal.__name__}"
    done = subprocess.run([sys.executable, "-c", IGNORING, inner], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("[100%]") == 1
