"""`make mutants`: change the modules listed here in one place at a time, and count what their tests notice.

Prints for each module how many mutants there are, how many were killed, how many survived, how many are listed as
equivalent, and the percentage killed of those that are not. Fails where a module is below LEAST, and where an entry
of a list is out of date: no such mutant, or one that was killed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutation.stage import Change, Module, build, modules

LEAST = 90.0  # per cent of the mutants that are not listed as equivalent
KILLED = ("killed", "timeout", "segfault")
SETTINGS = {
    "OMP_NUM_THREADS": "1",  # threads do not outlive the fork of a process
    "OPENBLAS_NUM_THREADS": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
COLUMNS = "{:<12} {:>7} {:>7} {:>9} {:>11} {:>8} {:>6}"


@dataclass(frozen=True)
class Mutant:
    """A change, and what became of it (`killed`, `survived`, `no tests` …)."""

    change: Change
    status: str


@dataclass(frozen=True)
class Count:
    """What became of the mutants of a module."""

    module: Module
    mutants: list[Mutant]
    seconds: float

    @property
    def killed(self) -> int:
        return sum(mutant.status in KILLED for mutant in self.mutants)

    @property
    def survived(self) -> list[Mutant]:
        """Those that are not listed as equivalent."""
        return [mutant for mutant in self._alive if mutant.change not in self.module.equivalent]

    @property
    def equivalent(self) -> int:
        return len(self._alive) - len(self.survived)

    @property
    def percent(self) -> float:
        return 100 * self.killed / max(1, self.killed + len(self.survived))

    @property
    def outdated(self) -> list[Change]:
        """Entries of the list that are no mutant any more, or one that a test kills."""
        alive = {mutant.change for mutant in self._alive}
        return [change for change in self.module.equivalent if change not in alive]

    @property
    def _alive(self) -> list[Mutant]:
        return [mutant for mutant in self.mutants if mutant.status not in KILLED]


def run(module: Module, folder: Path, jobs: int) -> Count:
    """Mutate a module in a copy of the project at `folder`."""
    started = time.monotonic()
    build(module, folder)
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(jobs)]
    environment = {**os.environ, **SETTINGS, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in f"{done.stdout}{done.stderr}".splitlines() if not "⠀" <= line[:1] <= "⣿"]  # no spinner
        sys.exit("\n".join([f"{module.name}: mutmut failed", *said[-40:]]))
    return Count(module, list(mutants(module, folder)), time.monotonic() - started)


def mutants(module: Module, folder: Path) -> Iterator[Mutant]:
    """What mutmut left in `folder`."""
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.stats import status_by_exit_code
    from mutmut.utils.format_utils import orig_function_and_class_names_from_key

    with chdir(folder):
        data = SourceFileMutationData(path=module.path)
        data.load()
        for key, code in data.exit_code_by_key.items():
            function, owner = orig_function_and_class_names_from_key(key)
            name = function.rpartition(".")[2]
            lines = get_diff_for_mutant(key, path=module.path).splitlines()[3:]
            before, after = ("\n".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
            yield Mutant(Change(f"{owner}.{name}" if owner else name, before, after), status_by_exit_code[code])


def main() -> int:
    known = {module.name: module for module in modules()}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", choices=[[], *known], metavar="MODULE", help=", ".join(known))
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1), help="processes at a time")
    arguments = parser.parse_args()
    print(COLUMNS.format("module", "mutants", "killed", "survived", "equivalent", "of rest", "s"))
    counts = []
    for name in arguments.modules or known:
        with TemporaryDirectory() as folder:
            count = run(known[name], Path(folder) / "project", arguments.jobs)
        counts.append(count)
        _print(count)
    for count in counts:
        _explain(count)
    return int(any(count.percent < LEAST or count.outdated for count in counts))


def _print(count: Count) -> None:
    figures = (len(count.mutants), count.killed, len(count.survived), count.equivalent)
    line = COLUMNS.format(count.module.name, *figures, f"{count.percent:.1f} %", f"{count.seconds:.0f}")
    print(line, flush=True)


def _explain(count: Count) -> None:
    for mutant, times in Counter(count.survived).items():
        _show(count.module, mutant.change, f"{mutant.status}{f' ×{times}' if times > 1 else ''}")
    for change in count.outdated:
        _show(count.module, change, "listed as equivalent, but no such mutant survives")


def _show(module: Module, change: Change, word: str) -> None:
    print(f"\n{module.name}: {change.function}: {word}")
    print("\n".join(f"  - {line}" for line in change.before.splitlines()))
    print("\n".join(f"  + {line}" for line in change.after.splitlines()))


if __name__ == "__main__":
    sys.exit(main())
