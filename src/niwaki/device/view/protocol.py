"""The part of HTTP/1.1 that the view needs (RFC 9112), strict: anything that is not clearly right is refused.

The standard library's `http.server` limits neither the time nor the size of a request.
"""

import json
import re
import socket
import time
from http import HTTPStatus
from typing import Any, Dict, NamedTuple, Optional, Tuple
from urllib.parse import parse_qsl

from .limits import Limits

_LINE = re.compile(rb"([A-Z]{1,16}) (/[!-~]*) HTTP/1\.([01])\Z")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*\Z")
_END = b"\r\n\r\n"
_ALWAYS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_NO_CONTENT = "default-src 'none'; frame-ancestors 'none'"  # the policy of every answer without its own


class Request(NamedTuple):
    """A request that was read completely."""

    method: str
    path: str
    query: Dict[str, str]
    headers: Dict[str, str]
    """By name in lower case."""
    body: bytes
    keep: bool
    """Whether the client wants to keep the connection."""
    local: str
    """The address of this machine that the client reached."""


class Response(NamedTuple):
    """An answer. One with status 400 or higher ends the connection."""

    status: int
    body: bytes = b""
    kind: str = "text/plain; charset=utf-8"
    headers: Tuple[Tuple[str, str], ...] = ()

    def to_bytes(self, keep: bool) -> bytes:
        """The answer as sent."""
        fields = list(_ALWAYS) + list(self.headers)
        if not any(name == "Content-Security-Policy" for name, _ in self.headers):
            fields.append(("Content-Security-Policy", _NO_CONTENT))
        if self.status != HTTPStatus.NO_CONTENT:
            fields += [("Content-Type", self.kind), ("Content-Length", str(len(self.body)))]
        fields.append(("Connection", "keep-alive" if keep else "close"))
        line = "HTTP/1.1 {} {}\r\n".format(self.status, HTTPStatus(self.status).phrase)
        head = line + "".join("{}: {}\r\n".format(name, value) for name, value in fields) + "\r\n"
        return head.encode("latin-1") + self.body


def refusal(status: int, why: str, *headers: Tuple[str, str]) -> Response:
    """An answer that says why not."""
    return Response(status, (why + "\n").encode("utf-8"), headers=headers)


def json_response(value: Any) -> Response:
    """An answer of JSON."""
    return Response(200, json.dumps(value, ensure_ascii=False).encode("utf-8"), "application/json")


class Refused(Exception):
    """A request that cannot be read any further: `response` is the last on its connection."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.response = refusal(status, why)


class RequestReader:
    """Reads one request after another from a connection."""

    def __init__(self, sock: socket.socket, limits: Limits) -> None:
        self._sock = sock
        self._limits = limits
        self._held = b""  # received and not yet used
        self._local = str(sock.getsockname()[0])

    def read(self) -> Optional[Request]:
        """The next request; None if the client left, or was silent for too long.

        Raises Refused; OSError if the connection broke.
        """
        deadline = time.monotonic() + self._limits.request_s
        while _END not in self._held:
            if len(self._held) > self._limits.head_bytes:
                raise Refused(431, "more than {} bytes of headers".format(self._limits.head_bytes))
            if not self._receive(deadline, begun=bool(self._held)):
                return None
        head, self._held = self._held.split(_END, 1)
        if len(head) > self._limits.head_bytes:
            raise Refused(431, "more than {} bytes of headers".format(self._limits.head_bytes))
        request = parse_head(head, self._local)
        length = _length(request.headers, self._limits.body_bytes)
        while len(self._held) < length:
            if not self._receive(deadline, begun=True):
                return None
        body, self._held = self._held[:length], self._held[length:]
        return request._replace(body=body)

    def _receive(self, deadline: float, begun: bool) -> bool:
        """Whether more arrived; False if the client left, or did not start a request in time."""
        try:
            self._sock.settimeout(max(deadline - time.monotonic(), 0.001))
            received = self._sock.recv(4096)
        except socket.timeout:
            if begun:
                raise Refused(408, "the request took more than {:g} s".format(self._limits.request_s)) from None
            return False
        self._held += received
        return bool(received)


def parse_head(head: bytes, local: str) -> Request:
    """First line and headers, without the empty line that ends them. Raises Refused."""
    line, *fields = head.split(b"\r\n")
    match = _LINE.match(line)
    if not match:
        raise Refused(400, "not a request of HTTP/1.1")
    headers: Dict[str, str] = {}
    for field in fields:
        parts = _FIELD.match(field)
        name = parts.group(1).decode("latin-1").lower() if parts else ""
        if not parts or (name in headers and name in ("host", "content-length", "origin", "authorization")):
            raise Refused(400, "a header that is malformed or repeated")
        headers[name] = parts.group(2).decode("latin-1")
    if "host" not in headers:
        raise Refused(400, "no Host header")
    method, target, minor = (part.decode("latin-1") for part in match.groups())
    path, _, query = target.partition("?")
    keep = minor == "1" and "close" not in headers.get("connection", "").lower()
    return Request(method, path, dict(parse_qsl(query)), headers, b"", keep, local)


def _length(headers: Dict[str, str], limit: int) -> int:
    """Bytes of the body."""
    text = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not re.match(r"[0-9]{1,18}\Z", text):
        raise Refused(411, "the body's length must be given by Content-Length")
    if int(text) > limit:
        raise Refused(413, "a body of {} bytes: at most {} are taken".format(text, limit))
    return int(text)
