"""niwaki makes a PyTorch image classifier small enough for a device, and proves what was lost and gained.

    import niwaki

Names are imported on first use, so `import niwaki` is fast.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import os
from typing import TYPE_CHECKING, Any

# ONNX Runtime (1.29 and later) sends telemetry as soon as it is imported, unless this variable is set before.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

logging.getLogger("niwaki").addHandler(logging.NullHandler())  # silent unless the program configures logging

if TYPE_CHECKING:
    __version__: str

    from niwaki.api import (
        bench,
        bundle,
        compress,
        copy_study,
        cost,
        count,
        dataset,
        doctor,
        evaluate,
        export,
        import_model,
        inspect,
        load,
        load_c,
        load_data,
        new_study,
        open_study,
        prune,
        quantize,
        read_info,
        report,
        run_study,
        save,
        sensitivity,
        train,
        verify,
        watch,
    )
    from niwaki.data.preprocessing import Preprocessing
    from niwaki.errors import NiwakiError
    from niwaki.models.lenet5 import LeNet5
    from niwaki.models.separable import Separable

_HOME = {
    "LeNet5": "niwaki.models.lenet5",
    "NiwakiError": "niwaki.errors",
    "Preprocessing": "niwaki.data.preprocessing",
    "Separable": "niwaki.models.separable",
    "bench": "niwaki.api",
    "bundle": "niwaki.api",
    "compress": "niwaki.api",
    "copy_study": "niwaki.api",
    "cost": "niwaki.api",
    "count": "niwaki.api",
    "dataset": "niwaki.api",
    "doctor": "niwaki.api",
    "evaluate": "niwaki.api",
    "export": "niwaki.api",
    "import_model": "niwaki.api",
    "inspect": "niwaki.api",
    "load": "niwaki.api",
    "load_c": "niwaki.api",
    "load_data": "niwaki.api",
    "new_study": "niwaki.api",
    "open_study": "niwaki.api",
    "prune": "niwaki.api",
    "quantize": "niwaki.api",
    "read_info": "niwaki.api",
    "report": "niwaki.api",
    "run_study": "niwaki.api",
    "save": "niwaki.api",
    "sensitivity": "niwaki.api",
    "train": "niwaki.api",
    "verify": "niwaki.api",
    "watch": "niwaki.api",
}

__all__ = [
    "LeNet5",
    "NiwakiError",
    "Preprocessing",
    "Separable",
    "bench",
    "bundle",
    "compress",
    "copy_study",
    "cost",
    "count",
    "dataset",
    "doctor",
    "evaluate",
    "export",
    "import_model",
    "inspect",
    "load",
    "load_c",
    "load_data",
    "new_study",
    "open_study",
    "prune",
    "quantize",
    "read_info",
    "report",
    "run_study",
    "save",
    "sensitivity",
    "train",
    "verify",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name == "callbacks":
        return importlib.import_module("niwaki.callbacks")
    if name == "__version__":
        return importlib.metadata.version("niwaki")
    raise AttributeError(f"module 'niwaki' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__doc__", "__version__", "callbacks"]
