"""Workers as processes on this machine: one torch thread each, the data memory-mapped and shared."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from niwaki.data.dataset import open_dataset
from niwaki.errors import WorkerLost
from niwaki.study import lifeline
from niwaki.study.stages import Outcome, Task, run_stage


class ProcessWorkers:
    """A pool of processes that end within a moment of their driver, however it ends."""

    def __init__(self, data: Path, jobs: int) -> None:
        self.slots = jobs
        self._data = data
        self._start()

    def submit(self, task: Task) -> Future[Outcome]:
        """Start a stage; after workers were lost, in a fresh pool."""
        with _ctrl_c_held_back():
            try:
                inner = self._pool.submit(_work, task, self._data)
            except BrokenProcessPool:
                self._pool.shutdown(wait=False)
                self._start()
                inner = self._pool.submit(_work, task, self._data)
        outer: Future[Outcome] = Future()
        inner.add_done_callback(lambda done: _hand_on(done, outer))
        return outer

    def close(self) -> None:
        """Let the workers end."""
        self._pool.shutdown(wait=True)
        self._lifeline.close()

    def drop(self) -> None:
        """Cut the lifeline: every worker ends at once."""
        self._lifeline.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # fork would copy torch's threads and locks
        held_by_worker, self._lifeline = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(self.slots, context, lifeline.hold, (held_by_worker,))


@contextlib.contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Start workers undisturbed: Ctrl-C waits until they are started, and does not reach them while Python starts.

    They inherit a blocked SIGINT. Another thread of this process may still take the signal, and Python would raise
    KeyboardInterrupt in the midst of starting one, which would be left without its orders: so the handler waits too.
    """
    if not hasattr(signal, "pthread_sigmask"):  # not POSIX
        yield
        return
    waiting: list[int] = []
    here = threading.current_thread() is threading.main_thread()  # where Python runs handlers
    handler = signal.signal(signal.SIGINT, lambda number, _frame: waiting.append(number)) if here else None
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if waiting:
            signal.raise_signal(signal.SIGINT)


_opened = functools.cache(open_dataset)  # once in each worker process


def _work(task: Task, data: Path) -> Outcome:
    return run_stage(task, _opened(data))


def _hand_on(done: Future[Outcome], outer: Future[Outcome]) -> None:
    if done.cancelled():
        outer.cancel()
        outer.set_running_or_notify_cancel()
        return
    error = done.exception()
    if isinstance(error, BrokenProcessPool):
        outer.set_exception(WorkerLost("a worker process ended without a result: killed, or out of memory"))
    elif error is not None:
        outer.set_exception(error)
    else:
        outer.set_result(done.result())
