"""How much of the board the view may take, whatever its clients do."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Bounds of the server. A browser holds two or three connections for each page that it shows."""

    connections: int = 24
    """Served at once, each by a thread of its own. Where another one comes, the client that has kept the server waiting
    longest has to go; if none has, a few more are told to come back later, the rest are hung up on."""
    client_connections: int = 16
    """Of these, from one address: four pages of a browser, or of several behind one tunnel."""
    patience_s: float = 1.0
    """That a client may keep the server waiting, for a request or until an answer is taken, while others want in."""
    watchers: int = 4
    """Pages that are sent frames."""
    request_s: float = 8.0
    """For a whole request to arrive, counted from when it could begin: also how long a silent connection is kept."""
    busy_s: float = 1.0
    """The same for those who are only told to come back later."""
    send_s: float = 10.0
    """For a whole answer to leave."""
    wait_s: float = 1.0
    """That a request for the next frame is kept waiting."""
    seat_s: float = 5.0
    """After its last request, a page that watched no longer counts."""
    head_bytes: int = 8192
    """Of a request: its first line and headers together."""
    body_bytes: int = 256
