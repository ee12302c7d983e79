"""`bundle.json`: what the runner must know of the network, the words, and when to speak them."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from typing import Any

from niwaki.board.network import Network
from niwaki.board.targets import BundleTarget
from niwaki.data.class_names import Named
from niwaki.files import sha256_of


def describe(
    network: Network,
    target: BundleTarget,
    classes: Sequence[Named],
    languages: Sequence[str],
    decision: Mapping[str, Any],
    *,
    sound: bool,
) -> bytes:
    """The file's content."""
    output = network.graph.tensors[network.graph.output]
    (height, width), (inner_height, inner_width) = network.input_size, network.inner_size
    values = {
        "format": 1,
        "niwaki": importlib.metadata.version("niwaki"),
        "target": target.name,
        "machine": target.machine.name,
        "name": network.name,
        "model_sha256": sha256_of(network.int8),
        "input": {
            "height": height, "width": width, "pad": network.pad,
            "inner_height": inner_height, "inner_width": inner_width,
        },
        "scale": float(output.scale),
        "zero_point": int(output.zero_point),
        "classes": [{"id": named.label, "names": dict(named.names)} for named in classes],
        "languages": list(languages),
        "sound": sound,
        "decision": dict(decision),
    }  # fmt: skip
    return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"
