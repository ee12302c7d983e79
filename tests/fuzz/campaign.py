"""Damaged input for every reader, in a process of its own whose memory and time are bounded; prints JSON.

    python tests/fuzz/campaign.py --npz F --model F --export DIR [--study DIR] --seed 0 --count 20 [--only READER]

A reader may take the input, or refuse it with an error of niwaki's own; anything else is a fault. Memory may
grow by 1 GB beyond what the imports took, one input may take 10 seconds. What the process works on is in `--state`, so
that who started it can tell which input killed it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.readers import ALLOWED, OF_A_STUDY, READERS, Reader, Samples

LIMIT_S, GROWTH = 10.0, 10**9


class TooSlow(BaseException):
    """No `except Exception` takes it for damage."""


def main() -> None:
    """Run the readers one after the other; inputs are numbered, so that each can be repeated alone."""
    options = _options()
    samples = Samples(options.npz, options.model, options.export, options.study)
    readers = {**READERS, **(OF_A_STUDY if options.study else {})}
    chosen = {name: reader for name, reader in readers.items() if options.only in (None, name)}
    wholes = {name: _whole(name, reader, samples) for name, reader in chosen.items()}
    _bound_memory()
    signal.signal(signal.SIGALRM, _too_slow)
    found = {}
    for name, reader in chosen.items():
        found[name] = _run(name, reader, wholes[name], samples, options)
    print(json.dumps(found))


def _run(
    name: str, reader: Reader, wholes: list[bytes], samples: Samples, options: argparse.Namespace
) -> dict[str, object]:
    taken, faults, slowest = 0, [], 0.0
    numbers = range(options.first, options.first + options.count)
    for number in numbers:
        rng = random.Random(f"{options.seed} {name} {number}")
        data = reader.mutate(rng.choice(wholes), rng)
        if options.state:
            options.state.write_text(f"{name} {number}")
        began = time.monotonic()
        fault = _fault(reader, data, samples)
        slowest = max(slowest, time.monotonic() - began)
        taken += fault is None
        if fault:
            faults.append({"number": number, "fault": fault})
            if options.keep:
                options.keep.mkdir(exist_ok=True)
                (options.keep / f"{name.replace(' ', '-')}-{number}").write_bytes(data)
    return {"inputs": len(numbers), "faults": faults, "slowest_s": round(slowest, 2)}


def _fault(reader: Reader, data: bytes, samples: Samples) -> str | None:
    """What is wrong with how an input was read; None if nothing is."""
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
        try:
            reader.read(data, Path(name), samples)
        except ALLOWED as error:
            lines = str(error).splitlines()
            return None if len(lines) == 1 else f"{type(error).__name__} of {len(lines)} lines: {lines[:2]}"
        except TooSlow:
            return f"longer than {LIMIT_S:.0f} s:\n{traceback.format_exc(limit=-4)}"
        except Exception as error:  # what is looked for
            return f"{type(error).__name__}: {error}"[:300] + "\n" + _where(error)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return None


def _where(error: BaseException) -> str:
    """The innermost lines of niwaki's."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "niwaki" in f.filename]
    return " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames[-4:]))


def _whole(name: str, reader: Reader, samples: Samples) -> list[bytes]:
    """The samples, each of which its reader takes: else the damage would never get far."""
    wholes = list(reader.samples(samples))
    assert wholes, name
    for data in wholes:
        with tempfile.TemporaryDirectory() as place:
            reader.read(data, Path(place), samples)
    return wholes


def _bound_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + GROWTH
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _too_slow(_number: int, _frame: object) -> None:
    raise TooSlow


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("npz", "model", "export"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("study", "state", "keep"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
