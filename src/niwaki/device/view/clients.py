"""Who is connected, and who has to go when another one comes."""

import contextlib
import socket
import threading
import time
from typing import Dict, List, Optional

from .limits import Limits

_TURNED_AWAY = 8  # connections beyond the limit that are still told why


class Client:
    """A connection, the thread that serves it, and since when that waits for the other side."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        self.sock = sock
        self.address = address
        self.turned_away = False
        self.thread: Optional[threading.Thread] = None
        self.waits_since: Optional[float] = None
        """Monotonic: since then a request, or the room for an answer, is waited for. None: the client is waiting."""

    def waits(self) -> None:
        """From now on the client is waited for."""
        self.waits_since = time.monotonic()

    def works(self) -> None:
        """From now on the client waits."""
        self.waits_since = None

    def hang_up(self) -> None:
        """End the conversation, whatever it is at."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


class Clients:
    """The connections that are open. Slow ones give way to new ones, so that nobody holds all places."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._open: Dict[socket.socket, Client] = {}
        self._leaving: Dict[socket.socket, Client] = {}

    def admit(self, sock: socket.socket, address: str) -> Optional[Client]:
        """The client of a new connection, turned away or not; None if it must be hung up on."""
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
        """A conversation is over."""
        with self._lock:
            self._open.pop(sock, None)
            self._leaving.pop(sock, None)

    def hang_up(self) -> None:
        """End every conversation and its thread."""
        with self._lock:
            still = list(self._open.values()) + list(self._leaving.values())
            for client in still:
                client.hang_up()
        for client in still:
            if client.thread is not None:
                client.thread.join(5.0)

    def _make_room(self, clients: List[Client]) -> bool:
        """Hang up on the one of them that has been waited for longest; False if all deserve more patience."""
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
