"""Where all randomness comes from: (seed, kind of stage, position in the path, epoch), never from the settings."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, kind: str, position: int, epoch: int = 0) -> int:
    """A seed for torch (63 bits) that is the same for all settings and differs in everything else.

    So what an experiment varies is the one thing that varies: the order of the batches is not.
    """
    digest = hashlib.sha256(f"{seed}/{kind}/{position}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
