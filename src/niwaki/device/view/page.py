"""The page: one file, with a policy that allows only its own style and script."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Tuple

_FILE = Path(__file__).resolve().parent / "page.html"
_INLINE = {tag: re.compile("<{0}>(.*?)</{0}>".format(tag).encode("ascii"), re.DOTALL) for tag in ("script", "style")}


def load_page() -> Tuple[bytes, str]:
    """The page and its Content-Security-Policy. Raises OSError."""
    html = _FILE.read_bytes()
    return html, policy_for(html)


def policy_for(html: bytes) -> str:
    """The Content-Security-Policy (level 3) that allows the inline script and style of this page, by their hashes."""
    rules = [
        "default-src 'none'", "script-src {}".format(_hashes(html, "script")),
        "style-src {}".format(_hashes(html, "style")), "connect-src 'self'", "img-src data:", "base-uri 'none'",
        "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
    ]  # fmt: skip
    return "; ".join(rules)


def _hashes(html: bytes, tag: str) -> str:
    digests = (hashlib.sha256(text).digest() for text in _INLINE[tag].findall(html))
    return " ".join("'sha256-{}'".format(base64.b64encode(digest).decode("ascii")) for digest in digests)
