"""The server's side of the wire: UDP requests and HTTP connections, handed to one pool of workers."""

from __future__ import annotations

import asyncio
import functools
import json
import socket
from collections.abc import Callable
from typing import Any, cast

from p4cats.replay import http1, wire
from p4cats.replay.service import Job, Served, WorkerPool

_BUFFER_BYTES = 65_536
"""Octets read ahead of the request in progress."""


class Instance:
    """What the connections of one server share: its pool, its name, its counters."""

    def __init__(self, number: int, site: str, pool: WorkerPool) -> None:
        self.number, self.site, self.pool = number, site, pool
        self.malformed = 0
        self.connections: set[HttpConnection] = set()

    def answer(self, served: Served) -> wire.Answer:
        """Return what a client is told about its request."""
        wait_us, service_us = round(served.wait_s * 1e6), round(served.service_s * 1e6)
        return wire.Answer(self.number, self.site, wait_us, service_us, served.busy, served.queued)

    def close_idle(self, before_s: float) -> None:
        """Close connections that have had no request in progress since `before_s`."""
        for connection in [item for item in self.connections if item.idle_since_s < before_s]:
            connection.close()


class UdpService(asyncio.DatagramProtocol):
    """UDP requests: served, or dropped in silence."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket to answer from."""
        self._transport = cast(asyncio.DatagramTransport, transport)  # in name only before Python 3.12

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Take one request."""
        request = wire.unpack_request(data)
        if request is None:
            self._instance.malformed += 1
            return
        done = functools.partial(self._respond, request.request_id, addr)
        self._instance.pool.submit(request.demand, done)

    def _respond(self, request_id: int, addr: tuple[Any, ...], served: Served) -> None:
        self._transport.sendto(wire.pack_response(request_id, self._instance.answer(served)), addr)


class HttpConnection(asyncio.Protocol):
    """One TCP connection: its requests one after the other, pipelined ones wait their turn."""

    def __init__(self, instance: Instance, clock: Callable[[], float]) -> None:
        self._instance, self._clock = instance, clock
        self._buffer = bytearray()
        self._head: http1.Head | None = None
        self._body_left = 0
        self._job: Job | None = None
        self.idle_since_s = clock()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._instance.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the request that waits, if one does."""
        self._instance.connections.discard(self)
        if self._job is not None:
            self._instance.pool.abandon(self._job)
            self._job = None

    def data_received(self, data: bytes) -> None:
        """Take octets; requests that come while one is in progress stay in the buffer."""
        self._buffer += data
        if self._job is None:
            self._advance()
        elif len(self._buffer) > _BUFFER_BYTES:
            self._transport.pause_reading()

    def close(self) -> None:
        """Close the connection once what was written is sent."""
        self.idle_since_s = float("inf")
        self._transport.close()

    def _advance(self) -> None:
        """Read on in the buffer until a request is complete, and submit it."""
        if self._head is None and not self._read_head():
            return
        assert self._head is not None
        taken = min(self._body_left, len(self._buffer))
        del self._buffer[:taken]
        self._body_left -= taken
        if not self._body_left:
            self.idle_since_s = float("inf")
            self._job = self._instance.pool.submit(self._head.demand, self._done)
            if self._job is None:
                self._respond(503, b'{"error": "queue full"}')

    def _read_head(self) -> bool:
        """Take a request's head off the buffer; False while there is none."""
        try:
            self._head = http1.parse_request(self._buffer)
        except http1.BadRequestError as error:
            self._instance.malformed += 1
            body = json.dumps({"error": str(error)}).encode()
            self._transport.write(http1.response(error.status, body, close=True))
            self.close()
            return False
        if self._head is None:
            return False
        del self._buffer[: self._head.octets]
        self._body_left = self._head.body_bytes
        if self._head.expects_continue and len(self._buffer) < self._body_left:
            self._transport.write(http1.CONTINUE)
        return True

    def _done(self, served: Served) -> None:
        assert self._head is not None
        self._job = None
        answer = self._instance.answer(served)
        self._respond(200, http1.answer_body(answer, self._head.body_bytes, self._head.response_bytes))

    def _respond(self, status: int, body: bytes) -> None:
        assert self._head is not None
        close = self._head.close
        self._head = None
        if close:  # let the FIN travel with the response: one packet less through every switch
            self._transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        self._transport.write(http1.response(status, body, close=close))
        if close:
            self.close()
            return
        self.idle_since_s = self._clock()
        self._transport.resume_reading()
        if self._buffer:
            self._advance()
