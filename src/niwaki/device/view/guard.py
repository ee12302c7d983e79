"""Who may reach the view: the right host name, the token, and no pages of other sites."""

import hashlib
import hmac
import re
import secrets
from typing import Iterable, Optional

from ..errors import DeviceError
from .protocol import Request, Response, refusal

PAGE = "/"
OWN_HEADER = "x-niwaki"
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+))(?::[0-9]{1,5})?\Z")
_TOKEN = re.compile(r"[0-9A-Za-z_-]{16,128}\Z")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def make_token() -> str:
    """A token that nobody can guess: 192 random bits as 32 characters that need no quoting in a link."""
    return secrets.token_urlsafe(24)


def check_token(token: str) -> str:
    """The token unchanged. Raises DeviceError if it could be guessed, or would need quoting in a link."""
    if not _TOKEN.match(token):
        raise DeviceError("--token: expected 16 to 128 of A-Z a-z 0-9 - _: leave it out, and one is made", 2)
    return token


class Guard:
    """Judges requests before anything else looks at them.

    names: the names of this machine, besides loopback and the address that was reached. A page of another site whose
    name was made to point here (DNS rebinding) sends its own name as Host.
    """

    def __init__(self, token: Optional[str], port: int, names: Iterable[str] = ()) -> None:
        self._token = token
        self._names = {_plain(name) for name in names} | set(_LOOPBACK)
        self._cookie_name = "niwaki-{}".format(port)  # cookies ignore ports: two views on a board need two names
        secret = hmac.new((token or "").encode("ascii"), b"cookie of the live view", hashlib.sha256)
        self._cookie = secret.hexdigest()

    def refuse(self, request: Request) -> Optional[Response]:
        """The answer to a request that is refused; None for one that is allowed."""
        host = _HOST.match(request.headers["host"])
        name = _plain(host.group(1) or host.group(2)) if host else ""
        if name not in self._names and name != _plain(request.local):
            return refusal(403, "This view is not served under that name: use the address that niwaki printed.")
        if self._token is not None and not self._knows_token(request):
            return refusal(
                401,
                "This view needs its token: open the whole link that niwaki printed when it started.\n"
                "토큰이 필요합니다. niwaki가 시작할 때 출력한 링크 전체를 여세요.",
                ("WWW-Authenticate", "Bearer"),
            )
        if request.path != PAGE and not self._from_own_page(request):
            return refusal(403, "Only this view's own page may ask for that (header X-Niwaki, no foreign Origin).")
        return None

    def cookie_for(self, request: Request) -> Optional[str]:
        """The cookie to set when the page was opened through the link with the token."""
        if not self._token or not _same(request.query.get("token", ""), self._token):
            return None
        return "{}={}; Path=/; HttpOnly; SameSite=Strict".format(self._cookie_name, self._cookie)

    def _knows_token(self, request: Request) -> bool:
        token = self._token or ""
        if request.path == PAGE and _same(request.query.get("token", ""), token):
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(given.strip(), token):
            return True
        cookies = (part.strip().partition("=") for part in request.headers.get("cookie", "").split(";"))
        return any(name == self._cookie_name and _same(value, self._cookie) for name, _, value in cookies)

    def _from_own_page(self, request: Request) -> bool:
        """A page of another site cannot send its own header without asking first, which is never allowed."""
        host, origin = request.headers["host"], request.headers.get("origin")
        return OWN_HEADER in request.headers and origin in (None, "http://" + host, "https://" + host)


def _plain(name: str) -> str:
    """A name or address without what may vary: case, the last dot, an IPv6 zone, IPv4 inside IPv6."""
    name = name.lower().rstrip(".").partition("%")[0]
    return name[len("::ffff:") :] if name.startswith("::ffff:") and "." in name else name


def _same(given: str, expected: str) -> bool:
    """Compare in a time that does not reveal where they differ."""
    return hmac.compare_digest(given.encode("utf-8"), expected.encode("utf-8"))
