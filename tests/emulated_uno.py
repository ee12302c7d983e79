"""Sketches for an Arduino Uno: compiled by Debian's arduino-builder, run by simavr and qemu."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bundled import need_tool

HARDWARE = "/usr/share/arduino/hardware"
STRICT = "-Wall -Wextra -Wpedantic -Wconversion"

MEASURED = """
#include <avr/io.h>
extern uint8_t __heap_start;
extern "C" void paint() __attribute__((naked, used, section(".init3")));
extern "C" void paint() { for (uint8_t *p = &__heap_start; p <= (uint8_t *)RAMEND; p++) *p = 0xc5; }
void loop() {
  uint16_t unused = 0;
  while ((&__heap_start)[unused] == 0xc5) unused++;
  Serial.print(F("never used: "));
  Serial.println(unused);
  Serial.flush();
  for (;;) continue;
}
"""


def measured(sketch: Path, folder: Path) -> Path:
    """A copy of a sketch that also prints how many bytes of RAM it never used: memory is painted before main."""
    folder.mkdir(parents=True)
    copy = folder / f"{folder.name}.ino"
    copy.write_text(sketch.read_text().replace("void loop() {}", MEASURED))
    return copy


def need_compiler() -> None:
    """Skip, by name, where something to compile sketches with is missing."""
    for tool, package in (("arduino-builder", "arduino-builder"), ("avr-gcc", "gcc-avr avr-libc")):
        need_tool(tool, package)
    if not Path(HARDWARE, "arduino/avr").is_dir():
        pytest.skip("needs arduino-core-avr: apt-get install arduino-core-avr")


def need_uno() -> None:
    """The same for all that this module calls, and for pyserial."""
    need_compiler()
    need_tool("simavr", "simavr")
    need_tool("qemu-system-avr", "qemu-system-misc")
    pytest.importorskip("serial", reason="needs pyserial: pip install pyserial")


def compile_sketch(sketch: Path, libraries: Path, work: Path) -> tuple[Path, str]:
    """The program of a sketch for an Uno, and what the compiler said of files that are not the core's."""
    need_compiler()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    command = [
        "arduino-builder", "-compile", "-warnings", "all", "-hardware", "/usr/share/arduino-builder",
        "-hardware", HARDWARE, "-tools", "/usr/bin", "-libraries", libraries, "-fqbn", "arduino:avr:uno",
        "-build-path", work,
        "-prefs=runtime.tools.avr-gcc.path=/usr", f"-prefs=compiler.c.extra_flags={STRICT}",
        "-prefs=compiler.cpp.extra_flags=-DDECIMAL_DIG=9 -Wall -Wextra", sketch,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    said = [line for line in done.stderr.splitlines() if "warning:" in line and HARDWARE not in line]
    return work / f"{sketch.name}.elf", "\n".join(said)


def simulate(program: Path, end: str, timeout: int = 60) -> list[str]:
    """What a program prints in simavr, line by line, up to the line with `end`."""
    need_tool("simavr", "simavr")
    command = ["simavr", "-m", "atmega328p", "-f", "16000000", str(program)]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdout is not None
        late = threading.Timer(timeout, running.kill)
        late.start()
        for line in running.stdout:
            lines.append(re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip(".\n"))
            if end in lines[-1]:
                break
        late.cancel()
        running.kill()
    assert lines, "it printed nothing"
    assert end in lines[-1], lines
    return lines


@contextmanager
def uno(program: Path) -> Iterator[str]:
    """An emulated Uno that runs a program; the port that its serial line is at.

    qemu 7.2 overlooks a byte that comes while interrupts are off, as they are when Arduino's core sends one, until
    its processor is stopped: so it is, ten times a second.
    """
    need_tool("qemu-system-avr", "qemu-system-misc")
    command: Sequence[str] = (
        "qemu-system-avr", "-M", "uno", "-display", "none", "-monitor", "none", "-qmp", "stdio", "-serial", "pty",
        "-bios", str(program),
    )  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        over = threading.Event()
        nudging = threading.Thread(target=_nudge, args=(running.stdin.fileno(), over), daemon=True)
        reading = threading.Thread(target=running.stdout.read, daemon=True)
        try:
            found = next(filter(None, (re.search(rb"/dev/pts/\d+", line) for line in running.stdout)), None)
            assert found, "qemu named no port"
            nudging.start()
            reading.start()
            yield found[0].decode()
        finally:
            over.set()
            running.kill()
            for thread in (nudging, reading):
                if thread.ident is not None:
                    thread.join()


def _nudge(monitor: int, over: threading.Event) -> None:
    with suppress(OSError):
        os.write(monitor, b'{"execute": "qmp_capabilities"}')
        while not over.wait(0.1):
            os.write(monitor, b'{"execute": "stop"}{"execute": "cont"}')
