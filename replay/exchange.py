"""One request on its way: a socket of its own, a callback when it is over.

UDP: one datagram out, one back. There is no retransmission, so a datagram lost anywhere is a
timeout. HTTP: one connection for one request, as few packets as TCP allows (6 without loss): slow
software switches should carry requests, not acknowledgements.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable

from p4cats.replay import http1, wire
from p4cats.replay.schedule import Request

FIRST_PORT, LAST_PORT = 20_000, 50_999
"""Source ports, used in turn. They leave out the port of beacons (51829): responses go to them, and
a forwarder on the way must not take one for a beacon."""

_PORTS_PER_SECOND = 300
_TRIES = 64


class Ports:
    """Source ports in turn, so that each request is a flow that no forwarder remembers.

    The kernel's own choice is random: within the 30 s for which a forwarder keeps a flow in place,
    one request in ten would repeat an earlier flow and go where that went. In turn, a port comes
    back after 31,000 requests of this process; and since each process begins further on as time
    passes, at up to 300 requests a second it repeats nothing a client used 100 s before. For TCP
    that also outlives TIME_WAIT (60 s), up to 500 requests a second.
    """

    def __init__(self, now_s: float, first: int = FIRST_PORT, last: int = LAST_PORT) -> None:
        self._first, self._size = first, last - first + 1
        self._next = int(now_s * _PORTS_PER_SECOND) % self._size

    def bind(self, sock: socket.socket) -> None:
        """Bind to the next port that is free; OSError if there is none."""
        address = "::" if sock.family == socket.AF_INET6 else "0.0.0.0"
        for _ in range(_TRIES):
            port = self._first + self._next
            self._next = (self._next + 1) % self._size
            try:
                return sock.bind((address, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRNOTAVAIL, "no source port is free")


class Exchange:
    """What happens to one request. Times in seconds of the loop's clock, `status` empty until it is over."""

    __slots__ = ("answer", "detail", "finished_s", "index", "received", "request", "sent_s", "sock", "status")

    def __init__(self, index: int, request: Request) -> None:
        self.index, self.request = index, request
        self.sent_s = self.finished_s = 0.0
        self.status = self.detail = ""
        self.answer: wire.Answer | None = None
        self.sock: socket.socket | None = None
        self.received = b""


class Sender:
    """Sends requests to one address and calls `done` once for each, with its status set.

    Statuses: `ok`, `refused` (nobody listens), `http_503` (queue full), `error` (the rest, with
    `detail`), and whatever the caller passes to `finish`, such as `timeout`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: str,
        port: int,
        ports: Ports,
        done: Callable[[Exchange], object],
    ) -> None:
        self._loop, self._ports, self._done = loop, ports, done
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        self._family, self._target = found[0][0], found[0][4]
        self._host = f"[{address}]:{port}" if self._family == socket.AF_INET6 else f"{address}:{port}"

    def send(self, exchange: Exchange) -> None:
        """Send a request now; `done` may be called before this returns."""
        exchange.sent_s = self._loop.time()
        try:
            if exchange.request.protocol == "udp":
                self._send_udp(exchange)
            else:
                self._connect(exchange)
        except OSError as error:
            self._fail(exchange, error.errno or 0)

    def finish(self, exchange: Exchange, status: str, detail: str = "") -> None:
        """End an exchange; further answers to it find a closed socket."""
        exchange.finished_s = self._loop.time()
        exchange.status, exchange.detail = status, detail
        if exchange.sock is not None:
            self._loop.remove_reader(exchange.sock)
            self._loop.remove_writer(exchange.sock)
            exchange.sock.close()
            exchange.sock = None
        self._done(exchange)

    def _fail(self, exchange: Exchange, number: int) -> None:
        if number == errno.ECONNREFUSED:
            self.finish(exchange, "refused")
        else:
            self.finish(exchange, "error", os.strerror(number))

    def _socket(self, exchange: Exchange, kind: socket.SocketKind) -> socket.socket:
        sock = exchange.sock = socket.socket(self._family, kind | socket.SOCK_NONBLOCK)
        self._ports.bind(sock)
        return sock

    def _send_udp(self, exchange: Exchange) -> None:
        sock = self._socket(exchange, socket.SOCK_DGRAM)
        sock.connect(self._target)
        sock.send(wire.pack_request(exchange.index, exchange.request.demand))
        self._loop.add_reader(sock, self._udp_readable, exchange, sock)

    def _udp_readable(self, exchange: Exchange, sock: socket.socket) -> None:
        try:
            response = wire.unpack_response(sock.recv(2048))
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(exchange, error.errno or 0)
            return
        if response is not None and response[0] == exchange.index:
            exchange.answer = response[1]
            self.finish(exchange, "ok")

    def _connect(self, exchange: Exchange) -> None:
        sock = self._socket(exchange, socket.SOCK_STREAM)
        # The handshake's last acknowledgement waits for the request and goes with it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        number = sock.connect_ex(self._target)
        if number not in (0, errno.EINPROGRESS):
            self._fail(exchange, number)
            return
        self._loop.add_writer(sock, self._connected, exchange, sock)

    def _connected(self, exchange: Exchange, sock: socket.socket) -> None:
        self._loop.remove_writer(sock)
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._fail(exchange, number)
            return
        line = f"GET /?work={exchange.request.demand:.6f} HTTP/1.1\r\n"
        try:
            sock.send(f"{line}Host: {self._host}\r\nConnection: close\r\n\r\n".encode())
        except OSError as error:
            self._fail(exchange, error.errno or 0)
            return
        self._loop.add_reader(sock, self._http_readable, exchange, sock)

    def _http_readable(self, exchange: Exchange, sock: socket.socket) -> None:
        try:
            data = sock.recv(65_536)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(exchange, error.errno or 0)
            return
        if not data:
            self.finish(exchange, "error", "connection closed without a response")
            return
        exchange.received += data
        try:
            response = http1.parse_response(exchange.received)
        except ValueError as error:
            self.finish(exchange, "error", str(error))
        else:
            if response is not None:
                self._http_answered(exchange, response)

    def _http_answered(self, exchange: Exchange, response: http1.Response) -> None:
        exchange.answer = response.answer
        if response.status == 200:
            self.finish(exchange, "ok")
        elif response.status == 503:
            self.finish(exchange, "http_503")
        else:
            self.finish(exchange, "error", f"HTTP status {response.status}")
