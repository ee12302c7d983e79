"""The properties of the machine and its libraries that can change a result, and so belong to every key."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

Facts = dict[str, str | list[str]]

# Instruction sets by which torch, oneDNN and the BLAS choose their kernels.
_FEATURES = (
    "sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni", "avx512_bf16",
    "amx_tile", "amx_bf16", "amx_int8", "asimd", "asimddp", "sve", "bf16",
)  # fmt: skip


def fingerprint(device: str) -> Facts:
    """The part of every key that does not come from the study: torch, its device, the processor's features."""
    import torch

    facts: Facts = {
        "torch": torch.__version__,
        "device": device,
        "machine": platform.machine(),
        "processor": processor_features(),
        "kernels": torch.backends.cpu.get_cpu_capability(),
    }
    if device == "cuda":
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def describe() -> dict[str, str]:
    """The machine and versions in words, for people; not part of any key."""
    import torch

    return {
        "machine": f"{processor_name()} ({platform.machine()})",
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{name: importlib.metadata.version(name) for name in ("torch-pruning", "onnxruntime", "niwaki")},
    }


def processor_name() -> str:
    """The processor's name according to the system."""
    return _cpuinfo().get("model name") or platform.processor() or "unknown processor"


def processor_features() -> list[str]:
    """The vendor of the processor, and those of its instruction sets by which libraries choose kernels."""
    info = _cpuinfo()
    flags = set((info.get("flags") or info.get("Features") or "").split())
    return [info.get("vendor_id", ""), *(feature for feature in _FEATURES if feature in flags)]


def _cpuinfo() -> dict[str, str]:
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
