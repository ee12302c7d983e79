"""The source of all randomness: (seed, kind of stage, position in the path, epoch), never the settings."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, kind: str, position: int, epoch: int = 0) -> int:
    """A seed for torch (63 bits) that is the same for all settings and differs in everything else.

    So an experiment varies only what it says it varies: the order of the batches stays the same.
    """
    digest = hashlib.sha256(f"{seed}/{kind}/{position}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
