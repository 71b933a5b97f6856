"""StreamChannel: arbitration, packet I/O, digests and idle notifications (P4Runtime section 16)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

from finsy.proto import p4r

from p4cats.switch.arbitration import Arbitration, Controller
from p4cats.switch.errors import Code, P4RuntimeError, denied, invalid, precondition
from p4cats.switch.store import Store

logger = logging.getLogger("p4cats.switch")

_MAX_WAITING = 4096
"""Messages that wait for a slow controller; packets, digests and notifications beyond it are dropped."""


class _Outbox:
    """Messages on their way to one controller; the end of its requests or an error ends it."""

    def __init__(self) -> None:
        self._messages: deque[p4r.StreamMessageResponse] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._error: P4RuntimeError | None = None
        self.dropped = 0

    def put(self, message: p4r.StreamMessageResponse) -> None:
        """Queue an answer."""
        self._messages.append(message)
        self._wake.set()

    def offer(self, message: p4r.StreamMessageResponse) -> None:
        """Queue a message that may be lost."""
        if len(self._messages) < _MAX_WAITING:
            self.put(message)
        else:
            self.dropped += 1

    def close(self, error: P4RuntimeError | None = None) -> None:
        """Let the reader take what is queued, then end."""
        self._closed = True
        self._error = error
        self._wake.set()

    async def read(self) -> AsyncIterator[p4r.StreamMessageResponse]:
        """Messages until the outbox is closed; raises what it was closed with."""
        while True:
            while self._messages:
                yield self._messages.popleft()
            if self._closed:
                if self._error is not None:
                    raise self._error
                return
            self._wake.clear()
            await self._wake.wait()


class Streams:
    """All streams of a device; hears pipelines (`Listener`)."""

    def __init__(self, arbitration: Arbitration, store: Callable[[], Store], turn: asyncio.Lock) -> None:
        self._arbitration = arbitration
        self._turn = turn
        self._store = store
        self._outboxes: dict[Controller, _Outbox] = {}

    async def serve(
        self, requests: AsyncIterator[p4r.StreamMessageRequest]
    ) -> AsyncIterator[p4r.StreamMessageResponse]:
        """One stream from its first message to its end; P4RuntimeError is the stream's status."""
        outbox = _Outbox()
        controller = Controller(outbox.put)
        self._outboxes[controller] = outbox
        reader = asyncio.ensure_future(self._read(controller, outbox, requests))
        try:
            async for message in outbox.read():
                yield message
        finally:
            reader.cancel()
            del self._outboxes[controller]
            self._arbitration.leave(controller)

    async def _read(
        self, controller: Controller, outbox: _Outbox, requests: AsyncIterator[p4r.StreamMessageRequest]
    ) -> None:
        error = None
        try:
            async for request in requests:
                if request.HasField("arbitration"):
                    async with self._turn:  # a new primary is told when writes under way are complete
                        self._arbitration.update(controller, request.arbitration)
                else:
                    self._handle(controller, outbox, request)
        except P4RuntimeError as refused:
            error = refused
        except Exception as broken:
            logger.exception("internal error in a stream")
            error = P4RuntimeError(Code.INTERNAL, f"internal error: {broken!r}")
        outbox.close(error)

    def _handle(self, controller: Controller, outbox: _Outbox, request: p4r.StreamMessageRequest) -> None:
        kind = request.WhichOneof("update")
        if controller.role is None:
            raise precondition(
                f"the first message on a stream is an arbitration update, not {kind or 'an empty one'}"
            )
        try:
            if kind not in ("packet", "digest_ack"):
                raise invalid(f"stream message of kind {kind or 'nothing'} is not understood")
            if not self._arbitration.is_primary(controller):
                raise denied("only the primary controller sends packets and acknowledges digests")
            if kind == "packet":
                self._store().packet_out(request.packet)
            else:
                self._store().acknowledge_digest(request.digest_ack)
        except P4RuntimeError as error:
            outbox.offer(_stream_error(error, request))

    # -- what pipelines say ---------------------------------------------------------------------

    def packet_in(self, packet: p4r.PacketIn) -> None:
        """A packet for the primaries of the roles that want it."""
        for controller, role in self._arbitration.primaries():
            if role.wants_packet_in(packet):
                self._outboxes[controller].offer(p4r.StreamMessageResponse(packet=packet))

    def digest(self, message: p4r.DigestList) -> None:
        """A digest list for the primaries."""
        self._to_primaries(p4r.StreamMessageResponse(digest=message))

    def idle(self, entries: Sequence[p4r.TableEntry]) -> None:
        """Idle entries, for the primaries."""
        note = p4r.IdleTimeoutNotification(table_entry=entries, timestamp=time.time_ns())
        self._to_primaries(p4r.StreamMessageResponse(idle_timeout_notification=note))

    def _to_primaries(self, message: p4r.StreamMessageResponse) -> None:
        for controller, _ in self._arbitration.primaries():
            self._outboxes[controller].offer(message)


def _stream_error(error: P4RuntimeError, request: p4r.StreamMessageRequest) -> p4r.StreamMessageResponse:
    """A StreamError that shows the message it answers (section 16.4)."""
    reply = p4r.StreamMessageResponse()
    reply.error.canonical_code = error.code
    reply.error.message = error.message
    reply.error.space = "p4cats"
    match request.WhichOneof("update"):
        case "packet":
            reply.error.packet_out.packet_out.CopyFrom(request.packet)
        case "digest_ack":
            reply.error.digest_list_ack.digest_list_ack.CopyFrom(request.digest_ack)
        case _:
            reply.error.other.SetInParent()
            if request.HasField("other"):
                reply.error.other.other.CopyFrom(request.other)
    return reply


__all__ = ["Streams"]
