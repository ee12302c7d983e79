"""Who is connected, and who is disconnected when a new client arrives."""

import contextlib
import socket
import threading
import time
from typing import Dict, List, Optional

from .limits import Limits

_TURNED_AWAY = 8  # connections beyond the limit that still get an explanation


class Client:
    """A connection, the thread that serves it, and since when it has been waiting for the other side."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        self.sock = sock
        self.address = address
        self.turned_away = False
        self.thread: Optional[threading.Thread] = None
        self.waits_since: Optional[float] = None
        """Monotonic: since when the server has waited for a request or for room to answer. None: the client waits."""

    def waits(self) -> None:
        """From now on the server waits for the client."""
        self.waits_since = time.monotonic()

    def works(self) -> None:
        """From now on the client waits."""
        self.waits_since = None

    def hang_up(self) -> None:
        """Close the connection, whatever its state."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


class Clients:
    """The open connections. Slow ones give way to new ones, so that nobody can occupy all places."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._open: Dict[socket.socket, Client] = {}
        self._leaving: Dict[socket.socket, Client] = {}

    def admit(self, sock: socket.socket, address: str) -> Optional[Client]:
        """The client of a new connection, accepted or to be turned away; None to close it at once."""
        client = Client(sock, address)
        with self._lock:
            served = [other for other in self._open.values() if not other.turned_away]
            own = [other for other in served if other.address == address]
            if len(own) >= self._limits.client_connections:
                client.turned_away = not self._make_room(own)
            elif len(served) >= self._limits.connections:
                client.turned_away = not self._make_room(served)
            if client.turned_away and len(self._open) - len(served) >= _TURNED_AWAY:
                return None
            self._open[sock] = client
        return client

    def gone(self, sock: socket.socket) -> None:
        """A connection has ended."""
        with self._lock:
            self._open.pop(sock, None)
            self._leaving.pop(sock, None)

    def hang_up(self) -> None:
        """Close every connection and end its thread."""
        with self._lock:
            still = list(self._open.values()) + list(self._leaving.values())
            for client in still:
                client.hang_up()
        for client in still:
            if client.thread is not None:
                client.thread.join(5.0)

    def _make_room(self, clients: List[Client]) -> bool:
        """Close the connection that has kept the server waiting longest; False if none has waited long enough."""
        now = time.monotonic()
        waited = [(client.waits_since, client) for client in clients]
        slow = [
            (since, client) for since, client in waited if since is not None and now - since > self._limits.patience_s
        ]
        if not slow or len(self._leaving) >= self._limits.connections:
            return False
        _, slowest = min(slow, key=lambda pair: pair[0])
        slowest.hang_up()
        self._leaving[slowest.sock] = self._open.pop(slowest.sock)
        return True
