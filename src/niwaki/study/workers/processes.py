"""Workers as processes on this machine: one torch thread each, the data memory-mapped and shared."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import multiprocessing.context
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from niwaki.data.dataset import open_dataset
from niwaki.errors import GuardMissing, WorkerLost
from niwaki.study import lifeline, telling
from niwaki.study.stages import Outcome, Task, run_stage
from niwaki.study.telling import EpochTold, Listening

_WORKER = "niwaki-worker"
PATIENCE_S = 5
_NO_GUARD = 71  # exit code of a worker whose script would have started workers of its own


def check_guard() -> None:
    """Refuse to start workers in a process that is only just starting and imports the user's script.

    Every worker imports the script that started it. Without `if __name__ == "__main__":` around the call, it would
    start workers of its own, and these others. It ends here, and the process that started it reports why: niwaki in its
    error, a user's own processes through this one, GuardMissing.
    """
    process = multiprocessing.current_process()
    if not getattr(process, "_inheriting", False):
        _check_script()
        return
    if process.name == _WORKER:
        os._exit(_NO_GUARD)  # nothing in the script may catch it
    raise GuardMissing(_guard_missing())


def _check_script() -> None:
    """Refuse a script that no worker could import: one from standard input, or whose file is gone."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file and getattr(main, "__spec__", None) is None and not Path(file).exists():
        raise GuardMissing(
            f"{file}: every worker imports the script that starts it, but this file does not exist: put the script "
            "into a "
            'file, with what runs the study below `if __name__ == "__main__":`'
        )


class _Spawning(multiprocessing.context.SpawnContext):
    """Fresh processes (fork would copy torch's threads and locks), kept in order to know how they ended."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[BaseProcess] = []

    def Process(self, *args: Any, **options: Any) -> BaseProcess:  # type: ignore[override]  # noqa: N802 (its name)
        process = multiprocessing.context.SpawnProcess(*args, **{**options, "name": _WORKER})
        self.started.append(process)
        return process

    def script_has_no_guard(self) -> bool:
        """Whether a process ended because the script that it imported would have started workers.

        Call it when one has ended: a process closes what is watched a moment before its exit code is known.
        """
        patience = time.monotonic() + PATIENCE_S
        while time.monotonic() < patience and all(process.exitcode is None for process in self.started):
            time.sleep(0.01)
        return any(process.exitcode == _NO_GUARD for process in self.started)


class ProcessWorkers:
    """A pool of processes that end shortly after their driver, however it ends."""

    def __init__(self, data: Path, jobs: int) -> None:
        self.slots = jobs
        self._data = data
        self._listening = Listening(*multiprocessing.get_context("spawn").Pipe(duplex=False))
        self._start()

    def listen(self, hear: Callable[[EpochTold], None]) -> None:
        """Call `hear`, in a thread, for epochs that end."""
        self._listening.to(hear)

    def submit(self, task: Task) -> Future[Outcome]:
        """Start a stage; if workers were lost, in a fresh pool."""
        with _signals_held_back():
            try:
                inner = self._pool.submit(_work, task, self._data)
            except BrokenProcessPool:
                self._pool.shutdown(wait=False)
                self._start()
                inner = self._pool.submit(_work, task, self._data)
        outer: Future[Outcome] = Future()
        context = self._context
        inner.add_done_callback(lambda done: _hand_on(done, outer, context))
        return outer

    def close(self) -> None:
        """Let the workers end."""
        self._pool.shutdown(wait=True)
        self._lifeline.close()
        self._listening.close()

    def drop(self) -> None:
        """Close the lifeline: every worker ends at once."""
        self._lifeline.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._listening.close()

    def _start(self) -> None:
        self._context = _Spawning()
        held_by_worker, self._lifeline = self._context.Pipe(duplex=False)
        with _signals_held_back():  # it starts Python's resource tracker
            self._pool = ProcessPoolExecutor(
                self.slots, self._context, telling.begin, (held_by_worker, self._listening.sender)
            )


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Start workers undisturbed: a signal waits until they have started.

    They and Python's resource tracker inherit blocked SIGINT and SIGHUP, so these do not reach them while they start.
    Another thread of this process may still receive the signal, and Python would raise KeyboardInterrupt in the middle
    of starting a worker, which would be left without orders: so the handlers wait too.
    """
    if not hasattr(signal, "pthread_sigmask"):  # not POSIX
        yield
        return
    waiting: list[int] = []
    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # where Python runs handlers
        for number in {*lifeline.FOR_THE_DRIVER, signal.SIGTERM}:
            if callable(signal.getsignal(number)):
                handlers[number] = signal.signal(number, lambda number, _frame: waiting.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, lifeline.FOR_THE_DRIVER)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if waiting:
            signal.raise_signal(waiting[0])


def _guard_missing() -> str:
    script = getattr(sys.modules["__main__"], "__file__", None) or "the script"
    return (
        f"{script} starts workers wherever it is imported, and every worker imports it first: put the lines that run "
        'the study below `if __name__ == "__main__":`'
    )


_opened = functools.cache(open_dataset)  # once in each worker process


def _work(task: Task, data: Path) -> Outcome:
    return run_stage(task, _opened(data), telling.tell)


def _hand_on(done: Future[Outcome], outer: Future[Outcome], context: _Spawning) -> None:
    if done.cancelled():
        outer.cancel()
        outer.set_running_or_notify_cancel()
        return
    error = done.exception()
    if isinstance(error, BrokenProcessPool) and context.script_has_no_guard():
        outer.set_exception(GuardMissing(_guard_missing()))
    elif isinstance(error, BrokenProcessPool):
        outer.set_exception(WorkerLost("a worker process ended without a result: killed, or out of memory"))
    elif error is not None:
        outer.set_exception(error)
    else:
        outer.set_result(done.result())
