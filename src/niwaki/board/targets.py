"""The boards that a bundle can be made for: what runs on them, and how zig compiles for them."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from niwaki.errors import ModelError, Setting, guess

GLIBC = "2.27"  # glibc of the oldest board, the original Jetson Nano (Ubuntu 18.04)


@dataclass(frozen=True)
class Variant:
    """One build of the model, by its name in niwaki_dispatch.h."""

    name: str
    cpu: str
    """zig's -mcpu."""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Machine:
    """A kind of processor. Code runs on its least capable member, except for variants, which are chosen at run time."""

    name: str
    library_target: str
    """zig's -target with the oldest glibc."""
    program_target: str
    """The same with musl, for a program that needs no library."""
    cpu: str
    """zig's -mcpu for the least capable member."""
    variants: tuple[Variant, ...]
    elf: str
    """e_machine."""
    bits: int
    emulator: str
    """The qemu command."""
    spoken_of: str


@dataclass(frozen=True)
class BundleTarget:
    """A board, or a family of boards that take the same bundle."""

    name: str
    title: str
    machine: Machine
    glibc: str
    """glibc of its oldest system."""
    python: tuple[int, int]
    """Python of its oldest system."""
    processors: tuple[str, ...]
    """The qemu names of the processors that it must run on."""
    cameras: tuple[str, ...]
    """Camera sources to try, the most likely first."""


AARCH64 = Machine(
    "aarch64", f"aarch64-linux-gnu.{GLIBC}", "aarch64-linux-musl", "generic",
    (Variant("neon", "generic"), Variant("dotprod", "generic+dotprod")),
    "EM_AARCH64", 64, "qemu-aarch64-static", "64-bit ARM",
)  # fmt: skip
ARMHF = Machine(
    "armhf", f"arm-linux-gnueabihf.{GLIBC}", "arm-linux-musleabihf", "arm1176jzf_s",
    (Variant("portable", "arm1176jzf_s", ("-DNIWAKI_PORTABLE",)), Variant("neon", "cortex_a7")),
    "EM_ARM", 32, "qemu-arm-static", "32-bit ARM with hard float",
)  # fmt: skip
X86_64 = Machine(
    "x86_64", f"x86_64-linux-gnu.{GLIBC}", "x86_64-linux-musl", "x86_64",
    (
        Variant("x86_64", "x86_64", ("-DNIWAKI_PORTABLE",)),
        Variant("avx2", "x86_64+avx2"),
        Variant("avx512", "x86_64+avx512f+avx512bw+avx512vl+avx512dq+avx512vnni"),
    ),
    "EM_X86_64", 64, "qemu-x86_64-static", "64-bit x86",
)  # fmt: skip

_KNOWN = (
    BundleTarget(
        "jetson-nano", "Jetson Nano", AARCH64, GLIBC, (3, 6), ("cortex-a57",), ("csi:0", "v4l2:/dev/video0")
    ),
    BundleTarget(
        "jetson-orin", "Jetson Orin or Xavier", AARCH64, "2.31", (3, 8), ("cortex-a57", "cortex-a76"),
        ("csi:0", "v4l2:/dev/video0"),
    ),
    BundleTarget(
        "raspberry-pi", "Raspberry Pi 3, 4 or 5, 64 bit", AARCH64, "2.31", (3, 7), ("cortex-a53", "cortex-a76"),
        ("rpicam:0", "v4l2:/dev/video0"),
    ),
    BundleTarget(
        "raspberry-pi-32", "Raspberry Pi, any model, 32 bit", ARMHF, "2.28", (3, 7), ("arm1176", "cortex-a7"),
        ("rpicam:0", "v4l2:/dev/video0"),
    ),
    BundleTarget(
        "linux-x86_64", "Linux on a 64-bit x86 processor", X86_64, GLIBC, (3, 6), ("qemu64", "Haswell"),
        ("v4l2:/dev/video0",),
    ),
)  # fmt: skip
TARGETS = {target.name: target for target in _KNOWN}
_HERE = {"x86_64": "linux-x86_64", "aarch64": "raspberry-pi", "armv7l": "raspberry-pi-32", "armv6l": "raspberry-pi-32"}


def find_target(name: str) -> BundleTarget:
    """The target of that name. Raises ModelError with the known names."""
    if name not in TARGETS:
        raise ModelError(Setting("target", f'"{name}"'), f": {guess(name, TARGETS)}expected {', '.join(TARGETS)}")
    return TARGETS[name]


def target_of_this_machine() -> BundleTarget:
    """The target whose bundles run here. Raises ModelError if there is none."""
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine not in _HERE:
        raise ModelError(
            f"{system} on {machine}: bundles run on Linux on {', '.join(sorted(_HERE))}: run it on one of those"
        )
    return TARGETS[_HERE[machine]]
