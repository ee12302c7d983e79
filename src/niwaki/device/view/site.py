"""Which path gets which answer."""

import re
import time
from typing import Callable, Dict, Tuple

from .guard import PAGE, Guard
from .labels import Labels
from .latest import Latest
from .limits import Limits
from .message import Encoder
from .page import load_page
from .protocol import Request, Response, json_response, refusal
from .seats import Seats

try:
    from typing import Protocol
except ImportError:  # Python before 3.8: there it is only a description
    Protocol = object  # type: ignore

_SEAT = re.compile(r"[0-9A-Za-z]{1,32}\Z")
_NUMBER = re.compile(r"[0-9]{1,18}\Z")


class Controls(Protocol):
    """What the buttons do. Called from the server's threads; must return quickly."""

    def learn(self) -> None:
        """Learn the empty scene from the next frames."""

    def forget(self) -> None:
        """Forget the empty scene."""

    def language(self, code: str) -> None:
        """Speak another language of the bundle from now on."""


class Site:
    """Four kinds of path: the page, the constant data, the next frame, the buttons."""

    def __init__(self, guard: Guard, labels: Labels, latest: Latest, controls: Controls, limits: Limits) -> None:
        self._guard = guard
        self._labels = labels
        self._latest = latest
        self._controls = controls
        self._limits = limits
        self._encoder = Encoder(labels)
        self._seats = Seats(limits.watchers, limits.seat_s)
        self._html, self._policy = load_page()
        self._paths: Dict[str, Tuple[str, Callable[[Request], Response]]] = {
            PAGE: ("GET", self._page),
            "/about": ("GET", self._about),
            "/frame": ("GET", self._frame),
            "/learn": ("POST", self._learn),
            "/forget": ("POST", self._forget),
            "/language": ("POST", self._language),
        }

    def answer(self, request: Request) -> Response:
        """The answer to any request; for the next frame, it may take a while."""
        refused = self._guard.refuse(request)
        if refused is not None:
            return refused
        if request.path not in self._paths:
            return refusal(404, "There is nothing here.")
        method, answer = self._paths[request.path]
        if request.method != method:
            return refusal(405, "Only {} is served here.".format(method), ("Allow", method))
        return answer(request)

    def _page(self, request: Request) -> Response:
        cookie = self._guard.cookie_for(request)
        headers = [("Content-Security-Policy", self._policy)]
        if cookie:
            headers.append(("Set-Cookie", cookie))
        return Response(200, self._html, "text/html; charset=utf-8", tuple(headers))

    def _about(self, _: Request) -> Response:
        about = self._labels.to_json()
        entry = self._latest.now()
        about["language"] = entry.snapshot.language if entry else self._labels.languages[0]
        return json_response(about)

    def _frame(self, request: Request) -> Response:
        after, seat = request.query.get("after", "0"), request.query.get("seat", "")
        if not _NUMBER.match(after) or not _SEAT.match(seat):
            return refusal(400, "expected /frame?after=NUMBER&seat=NAME")
        if not self._seats.take(seat, time.monotonic()):
            return refusal(503, "{} pages watch already.".format(self._limits.watchers), ("Retry-After", "5"))
        entry = self._latest.other_than(int(after), self._limits.wait_s)
        if entry is None:
            return Response(204)
        return Response(200, self._encoder.encode(entry), "application/octet-stream")

    def _learn(self, _: Request) -> Response:
        self._controls.learn()
        return Response(204)

    def _forget(self, _: Request) -> Response:
        self._controls.forget()
        return Response(204)

    def _language(self, request: Request) -> Response:
        code = request.body.decode("latin-1")
        if code not in self._labels.languages:
            return refusal(400, "expected one of: {}".format(", ".join(self._labels.languages)))
        self._controls.language(code)
        return Response(204)
