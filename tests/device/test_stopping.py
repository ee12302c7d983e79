"""Signals end the runner while it waits, never in the middle of a frame."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from niwaki.device.stopping import Stopped, Stopping


def send(number):
    os.kill(os.getpid(), number)


def code_of(work):
    """The exit code with which `work(stopping)` is stopped."""
    with pytest.raises(Stopped) as stopped:
        inside(work)
    return stopped.value.exit_code


def inside(work):
    with Stopping() as stopping:
        work(stopping)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_in_the_middle_of_a_frame_it_waits_for_the_next_pause(number, code):
    done = []

    def work(stopping):
        send(number)
        done.append("the frame")
        with stopping.waiting():
            done.append("another")

    assert code_of(work) == code
    assert done == ["the frame"]


def test_while_it_waits_it_ends_at_once():
    def work(stopping):
        with stopping.waiting():
            threading.Timer(0.05, send, [signal.SIGTERM]).start()
            time.sleep(60)
            pytest.fail("still waiting")

    assert code_of(work) == 143


def test_a_pause_within_a_wait():
    """A source that waits for its camera: after the pause it still waits."""

    def work(stopping):
        with stopping.waiting():
            stopping.pause(0.01)
            send(signal.SIGINT)
            pytest.fail("still running")

    assert code_of(work) == 130


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with Stopping():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_in_a_thread_it_leaves_signals_alone():
    seen = []

    def work():
        with Stopping() as stopping:
            stopping.pause(0.0)
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    before = signal.getsignal(signal.SIGTERM)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_second_signal_ends_a_program_that_hangs():
    program = (
        "import os, signal\nfrom niwaki.device.stopping import Stopping\nwith Stopping():\n"
        "    for _ in range(2): os.kill(os.getpid(), signal.SIGTERM)\n    print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, b"")


def test_under_nohup_it_outlives_its_terminal():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stopping() as stopping:
            send(signal.SIGHUP)
            stopping.pause(0.01)  # would raise Stopped
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
