"""The live view as the loop uses it, and the server behind it: a bounded number of threads."""

import contextlib
import errno
import ipaddress
import socket
import socketserver
import threading
import time
from typing import Any, Callable, NamedTuple, Optional, Tuple

from ..errors import DeviceError
from ..snapshot import Snapshot
from .clients import Client, Clients
from .guard import Guard, check_token
from .labels import Labels
from .latest import Latest
from .limits import Limits
from .protocol import Refused, Request, RequestReader, Response, refusal
from .site import Controls, Site

_BUSY = refusal(503, "Too many connections: try again soon.", ("Retry-After", "2"))
_LIMITS = Limits()
_Answer = Callable[[Request], Response]


class Place(NamedTuple):
    """Where a live view is served, and to whom.

    token: required unless host is a loopback address. names: of this machine, if others reach it by different ones.
    """

    host: str
    port: int
    token: Optional[str]
    names: Tuple[str, ...] = ()


class LiveView:
    """Shows what the runner sees at `url`, from `start` to `stop`.

    Raises DeviceError if a token is missing or too weak, and if host or port is not available.
    """

    def __init__(self, place: Place, controls: Controls, labels: Labels, limits: Limits = _LIMITS) -> None:
        host, port, token, names = place
        family, address = _resolve(host, port)
        self._wide = not ipaddress.ip_address(address[0].partition("%")[0]).is_loopback
        if self._wide and token is None:
            raise DeviceError("--host {}: other machines can reach that, so a token is needed".format(host), 2)
        self._token = check_token(token) if token is not None else None
        self._latest = Latest()
        self._limits = limits
        self._thread: Optional[threading.Thread] = None
        try:
            self._server = _Server(family, address, limits)
        except OSError as error:
            raise _cannot_serve(host, port, error) from error
        self._port = int(self._server.server_address[1])
        own = _own_names() if self._wide else ()
        guard = Guard(self._token, self._port, names + own)
        self._server.answer = Site(guard, labels, self._latest, controls, limits).answer

    @property
    def port(self) -> int:
        """The port, even if 0 was requested."""
        return self._port

    @property
    def url(self) -> str:
        """The link to open in a browser, with the token if there is one."""
        host = str(self._server.server_address[0])
        if ipaddress.ip_address(host.partition("%")[0]).is_unspecified:
            host = _outward_address(self._server.address_family)
        shown = "[{}]".format(host) if ":" in host else host
        return "http://{}:{}/{}".format(shown, self._port, "?token=" + self._token if self._token else "")

    def start(self) -> None:
        """Serve from now on, in its own threads."""
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(0.25,), name="live view", daemon=True)
        self._thread.start()

    def publish(self, snapshot: Snapshot) -> None:
        """Show this from now on. Never waits for a client, and copies nothing."""
        self._latest.publish(snapshot)

    def stop(self) -> None:
        """End all connections and threads, and free the port."""
        self._latest.close()
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.hang_up()


class _Server(socketserver.TCPServer):
    """Accepts connections, each into its own thread up to a limit."""

    allow_reuse_address = True
    request_queue_size = 32
    answer: _Answer

    def __init__(self, family: int, address: Tuple[Any, ...], limits: Limits) -> None:
        self.address_family = family
        self._limits = limits
        self._clients = Clients(limits)
        super().__init__(address, socketserver.BaseRequestHandler)

    def get_request(self) -> Tuple[socket.socket, Any]:
        """The next connection. On failure (out of descriptors), waits before the next attempt."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(0.1)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, or close it if there are far too many."""
        client = self._clients.admit(request, str(client_address[0]))
        if client is None:
            request.close()
            return
        client.thread = threading.Thread(target=self._serve, args=(client,), name="live view client", daemon=True)
        client.thread.start()

    def _serve(self, client: Client) -> None:
        busy = client.turned_away
        limits = self._limits._replace(request_s=self._limits.busy_s) if busy else self._limits
        answer: _Answer = (lambda _: _BUSY) if busy else self.answer
        try:
            with contextlib.suppress(OSError):  # the client is gone
                converse(client, answer, limits)
        finally:
            self._clients.gone(client.sock)
            client.sock.close()

    def handle_error(self, request: Any, _client_address: Any) -> None:
        """A thread could not be started: the caller closes the connection."""
        self._clients.gone(request)

    def hang_up(self) -> None:
        """End every conversation and its thread."""
        self._clients.hang_up()


def converse(client: Client, answer: _Answer, limits: Limits) -> None:
    """Answer the requests of a connection until one side ends it. Raises OSError if the client is gone."""
    sock = client.sock
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = RequestReader(sock, limits)
    keep = True
    while keep:
        try:
            client.waits()
            request = reader.read()
            client.works()
            if request is None:
                return
            response = answer(request)
            keep = request.keep and response.status < 400
        except Refused as refused:
            response, keep = refused.response, False
        client.waits()
        sock.settimeout(limits.send_s)
        sock.sendall(response.to_bytes(keep))
    _linger(sock)


def _linger(sock: socket.socket) -> None:
    """Let the last answer arrive: closing with bytes unread would reset the connection and lose the answer."""
    _shut(sock, socket.SHUT_WR)
    deadline, left = time.monotonic() + 0.5, 1 << 16
    while left > 0 and time.monotonic() < deadline:
        sock.settimeout(0.25)
        received = len(sock.recv(4096))
        if not received:
            return
        left -= received


def _shut(sock: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(how)


def _resolve(host: str, port: int) -> Tuple[int, Tuple[Any, ...]]:
    if not 0 <= port <= 65535:
        raise DeviceError("--port {}: expected 0 to 65535".format(port), 2)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise DeviceError("--host {}: no address of this machine: {}".format(host, error), 2) from error
    return found[0][0], found[0][4]


def _cannot_serve(host: str, port: int, error: OSError) -> DeviceError:
    ways = {
        errno.EADDRINUSE: "choose another --port, or 0 for one that is free",
        errno.EACCES: "choose a --port from 1024 on",
        errno.EADDRNOTAVAIL: "choose an address of this machine (hostname -I), 127.0.0.1 or 0.0.0.0",
    }
    way = ways.get(error.errno or 0, "choose another --host or --port")
    return DeviceError("--host {} --port {}: {}: {}".format(host, port, error.strerror or error, way), 2)


def _own_names() -> Tuple[str, ...]:
    """The name of this machine in its network."""
    name = socket.gethostname()
    return name, name.partition(".")[0] + ".local"


def _outward_address(family: int) -> str:
    """The address by which others reach this machine, as far as can be found without sending anything."""
    target = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"  # reserved for documentation
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()
