"""How much of the board the view may use, whatever its clients do."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Limits of the server. A browser holds two or three connections for each open page."""

    connections: int = 24
    """Served at once, each by its own thread. If another one arrives, the client that has kept the server waiting
        longest is disconnected; if none has, a few more are told to come back later, the rest are closed."""
    client_connections: int = 16
    """Of these, from one address: four pages of a browser, or of several behind one tunnel."""
    patience_s: float = 1.0
    """How long a client may keep the server waiting, for a request or to take an answer, while others want in."""
    watchers: int = 4
    """Pages that receive frames."""
    request_s: float = 8.0
    """For a complete request to arrive, from when it could start: also how long a silent connection is kept."""
    busy_s: float = 1.0
    """The same for clients that are only told to come back later."""
    send_s: float = 10.0
    """For a complete answer to be sent."""
    wait_s: float = 1.0
    """How long a request for the next frame waits."""
    seat_s: float = 5.0
    """A page stops counting as watching this long after its last request."""
    head_bytes: int = 8192
    """For a request: its first line and headers together."""
    body_bytes: int = 256
