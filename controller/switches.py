"""P4Runtime sessions to the switches: primary, pipeline, and the difference written (RFC 10053, 5.1).

A session is told what its switch should hold (`want`). It connects, becomes primary, installs the
program if another runs, reads what the switch holds and writes the difference; after a restart of
switch or controller the same again, so that what is right is never touched. While connected as
primary nobody else writes, so that later differences need no read; an update that fails, and a
change of primary, cause one.

States of a session: not connected -> connected -> primary -> synced.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import grpc
from finsy import (
    GRPCStatusCode,
    P4Client,
    P4ClientError,
    P4CounterEntry,
    P4PacketIn,
    P4PacketOut,
    P4RegisterEntry,
    P4Schema,
)
from finsy.proto import p4r, p4r_grpc

from p4cats.controller import messages, reasons
from p4cats.controller.arbitration import Arbitration
from p4cats.controller.difference import Update, apply, difference
from p4cats.controller.entries import Entries, Entry, Key, by_key
from p4cats.switch_status import METHOD, SERVICE, SwitchStatus

logger = logging.getLogger(__name__)

HANDSHAKE_S = 10.0
PIPELINE_S = 120.0
"""A switch may compile the program while it answers."""
BACKOFF_S = (0.1, 2.0)
"""First and longest pause between attempts to connect, and after an update that failed."""
STATUS_S = 2.0
"""A switch that does not tell its status by then is busy: who asks the controller shall not wait."""
_LOST = (GRPCStatusCode.UNAVAILABLE, GRPCStatusCode.CANCELLED, GRPCStatusCode.DEADLINE_EXCEEDED)
BATCH = 128
"""Updates of one write: their errors must fit into the metadata that the client accepts (64 KiB)."""


@dataclass(frozen=True)
class PipelineFiles:
    """A compiled program: its P4Info (text format), and what the target runs."""

    p4info_path: Path
    blob_path: Path


class SessionError(Exception):
    """The switch cannot be used for now; `str()` says why."""


class SwitchSession:
    """The session to one switch. `run` keeps it up until cancelled."""

    def __init__(
        self,
        name: str,
        address: str,
        device_id: int,
        pipeline: PipelineFiles,
        tables: tuple[str, ...],
        *,
        on_change: Callable[[], None] = lambda: None,
        on_packet: Callable[[str, P4PacketIn], None] = lambda _name, _packet: None,
        on_read: Callable[[Entries], None] = lambda _entries: None,
    ):
        """`on_read` is given what the switch holds whenever that is read, before anything is written."""
        self.name, self.address, self.tables = name, address, tables
        self.schema = P4Schema(pipeline.p4info_path, pipeline.blob_path)
        self.arbitration = Arbitration(device_id)
        self.connected = False
        self.error: str | None = None
        self.updates_written = 0
        self.pipelines_pushed = 0
        self.since_s = time.monotonic()
        self._on_change, self._on_packet, self._on_read = on_change, on_packet, on_read
        self._desired: Entries | None = None
        self._held: dict[Key, Entry] | None = None
        self._client: P4Client | None = None
        self._wake = asyncio.Event()
        self._was_connected = self._was_synced = False
        self._reign = 0  # counts changes of primary

    @property
    def is_primary(self) -> bool:
        """True while this controller may write to the switch."""
        return self.connected and self.arbitration.is_primary

    @property
    def synced(self) -> bool:
        """True while the switch holds what it should."""
        return self.is_primary and self._held is not None and self._held == self._desired

    @property
    def entries(self) -> int:
        """Number of entries that the switch is known to hold."""
        return len(self._held or {})

    @property
    def cookie(self) -> int:
        """The cookie of the program that the switch should run."""
        return self.schema.p4cookie

    def holds(self, entry: Entry) -> bool:
        """Return whether the switch is known to hold an entry."""
        return self._held is not None and self._held.get(entry.key) == entry

    def want(self, entries: Entries) -> None:
        """Set what the switch should hold; it is written as soon as possible."""
        if entries != self._desired:
            self._desired = entries
            self._wake.set()

    async def run(self) -> None:
        """Connect, serve, and connect again, until cancelled."""
        pause = BACKOFF_S[0]
        while True:
            try:
                await self._session()
            except P4ClientError as error:
                if error.code == GRPCStatusCode.INVALID_ARGUMENT and "election" in error.message.lower():
                    self.arbitration.yield_id()
                    continue
                self._fail(messages.reason(error, self.schema))
            except SessionError as error:
                self._fail(str(error))
            except (TimeoutError, asyncio.TimeoutError):
                self._fail("cannot be reached: no answer")
            except Exception as error:
                # One switch must not cost the others their control.
                logger.debug("switch %s", self.name, exc_info=True)
                self._fail(f"session failed: {error or type(error).__name__}")
            if self._was_synced:
                pause = BACKOFF_S[0]
            await asyncio.sleep(pause)
            pause = min(pause * 2, BACKOFF_S[1])

    async def send_packet(self, egress_port: int, frame: bytes) -> None:
        """Send a frame out of a port, 0: let the switch route it. Ignored while not primary."""
        if self._client is not None and self.is_primary:
            out = P4PacketOut(frame, _pad=0, egress_port=egress_port)
            try:
                await self._client.send(out.encode_update(self.schema))
            except (P4ClientError, ValueError) as error:  # ValueError: the program has other fields
                logger.debug("switch %s: packet not sent: %s", self.name, error)

    async def read_status(self) -> SwitchStatus | None:
        """Return what the switch tells of its ports and drops, None where it cannot."""
        if self._client is None or not self.connected:
            return None
        assert self._client.channel is not None
        ask = self._client.channel.unary_unary(
            f"/{SERVICE}/{METHOD}", request_serializer=bytes, response_deserializer=json.loads
        )
        try:
            found: SwitchStatus = await ask(b"", timeout=STATUS_S)
        except grpc.RpcError as error:
            logger.debug("switch %s: %s", self.name, error)
            return None
        return found

    async def read_counters(self, counter: str, indices: list[int]) -> dict[int, int]:
        """Return packets counted in those cells that a counter has; empty if the switch cannot tell."""
        known = self.schema.counters.get(counter)
        if known is None:
            return {}
        cells = (index for index in indices if index < known.size)
        wanted = [P4CounterEntry(counter, index=index).encode(self.schema) for index in cells]
        found = await self._read_cells(wanted)
        counted = [P4CounterEntry.decode(entity, self.schema) for entity in found]
        return {cell.index: cell.packet_count for cell in counted if cell.index is not None}

    async def read_reasons(self, counter: str) -> dict[str, int]:
        """Return the cells of `drops` or `metrics` by name; empty if the switch cannot tell."""
        names = reasons.cells(counter)
        counted = await self.read_counters(counter, list(names))
        return {names[index]: packets for index, packets in counted.items()}

    async def read_registers(self, register: str, indices: list[int]) -> dict[int, int]:
        """Return cells of a register; empty if the switch cannot tell (bmv2 cannot)."""
        if self.schema.registers.get(register) is None:
            return {}
        wanted = [P4RegisterEntry(register, index=index).encode(self.schema) for index in indices]
        found = await self._read_cells(wanted)
        cells = [P4RegisterEntry.decode(entity, self.schema) for entity in found]
        return {cell.index: int(cell.data or 0) for cell in cells if cell.index is not None}

    async def _read_cells(self, entities: list[p4r.Entity]) -> list[p4r.Entity]:
        if self._client is None or not self.connected or not entities:
            return []
        try:
            return await self._read(self._client, entities)
        except P4ClientError as error:
            logger.debug("switch %s: %s", self.name, error)
            return []

    async def _session(self) -> None:
        """Serve one connection; ends with an error."""
        self._was_connected = self._was_synced = False
        if lacking := messages.missing(self.tables, self.schema):
            raise SessionError(f"its program has no table {', '.join(lacking)}")
        client = P4Client(self.address, wait_for_ready=False)
        await client.open(schema=self.schema, complete_request=self.arbitration.complete)
        tasks: list[asyncio.Task[None]] = []
        try:
            await client.send(self.arbitration.bid())
            await asyncio.wait_for(self._handle_next(client), HANDSHAKE_S)
            self._client, self.connected, self._was_connected = client, True, True
            self.since_s = time.monotonic()
            logger.debug("switch %s at %s: connected", self.name, self.address)
            self._wake.set()
            self._on_change()
            tasks = [asyncio.create_task(job(client)) for job in (self._receive, self._keep_synced)]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._disconnected()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await client.close()

    def _disconnected(self) -> None:
        self._client, self.connected, self._held = None, False, None
        self.since_s = time.monotonic()
        self.arbitration.is_primary = False
        self._on_change()

    def _fail(self, reason: str) -> None:
        """Report a failed connection: once a reason, not once an attempt."""
        if self._was_connected:
            self.arbitration.reset()
        if reason != self.error:
            logger.warning("switch %s at %s: %s; trying again", self.name, self.address, reason)
        self.error = reason
        self._on_change()

    async def _receive(self, client: P4Client) -> None:
        while True:
            await self._handle_next(client)

    async def _handle_next(self, client: P4Client) -> None:
        try:
            message = await client.receive()
        except RuntimeError:
            raise SessionError("connection closed by the switch") from None
        kind = message.WhichOneof("update")
        if kind == "arbitration":
            await self._handle_arbitration(client, message.arbitration)
        elif kind == "packet":
            try:
                packet = P4PacketIn.decode(message, self.schema)
            except ValueError as error:
                logger.debug("switch %s: packet not understood: %s", self.name, error)
            else:
                self._on_packet(self.name, packet)
        elif kind == "error":
            logger.warning("switch %s: %s", self.name, message.error.message)

    async def _handle_arbitration(self, client: P4Client, update: p4r.MasterArbitrationUpdate) -> None:
        was_primary = self.arbitration.is_primary
        bid = self.arbitration.take(update)
        if bid is not None:
            await client.send(bid)
        if self.arbitration.is_primary != was_primary:
            # Another controller may have written in between.
            self._held = None
            self._reign += 1
            self._wake.set()
            self._on_change()

    async def _keep_synced(self, client: P4Client) -> None:
        pause = BACKOFF_S[0]
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not self.is_primary or self._desired is None:
                continue
            try:
                await self._sync(client, self._desired)
                self.error, pause = None, BACKOFF_S[0]
                if not self._was_synced:
                    self._was_synced = True
                    logger.info("switch %s at %s: ready", self.name, self.address)
            except P4ClientError as error:
                if error.code in _LOST:
                    raise
                self._failed_to_sync(messages.explain(error, self.schema))
            except ValueError as error:  # the program has no such action or parameter
                self._failed_to_sync(str(error))
            self._on_change()
            if self.error is not None:
                await asyncio.sleep(pause)
                pause = min(pause * 2, BACKOFF_S[1])

    def _failed_to_sync(self, reason: str) -> None:
        """Report it, and read and write again after a pause."""
        self._held = None
        if reason != self.error:
            logger.warning("switch %s at %s: %s; trying again", self.name, self.address, reason)
        self.error = reason
        self._wake.set()

    async def _sync(self, client: P4Client, desired: Entries) -> None:
        """Make the switch hold what it should."""
        held, reign = self._held, self._reign
        if held is None:
            await self._ensure_pipeline(client)
            entities = await self._read(client, messages.tables_to_read(self.tables, self.schema))
            held = by_key(messages.decode(entity, self.schema) for entity in entities)
            self._on_read(held)
            assert self._desired is not None
            desired = self._desired
        for phase in difference(held, desired):
            for batch in _batches(phase):
                updates = [messages.encode(update, self.schema) for update in batch]
                # What the switch holds is unknown until it answers.
                self._held = None
                await client.request(p4r.WriteRequest(device_id=self.arbitration.device_id, updates=updates))
                held = apply(held, batch)
                self.updates_written += len(batch)
        if reign == self._reign:
            self._held = held

    async def _read(self, client: P4Client, entities: list[p4r.Entity]) -> list[p4r.Entity]:
        request = p4r.ReadRequest(device_id=self.arbitration.device_id, entities=entities)
        return [entity async for reply in client.request_iter(request) for entity in reply.entities]

    async def _ensure_pipeline(self, client: P4Client) -> None:
        """Install the program unless the switch runs it already, as its cookie tells."""
        request = p4r.GetForwardingPipelineConfigRequest(
            device_id=self.arbitration.device_id,
            response_type=p4r.GetForwardingPipelineConfigRequest.COOKIE_ONLY,
        )
        try:
            config = (await client.request(request)).config
        except P4ClientError as error:
            if error.code != GRPCStatusCode.FAILED_PRECONDITION:
                raise
            config = p4r.ForwardingPipelineConfig()
        if config.HasField("cookie") and config.cookie.cookie == self.cookie:
            return
        push = p4r.SetForwardingPipelineConfigRequest(
            device_id=self.arbitration.device_id,
            action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
            config=self.schema.get_pipeline_config(),
        )
        self.arbitration.complete(push)
        assert client.channel is not None
        # Not by the client: its time limit is too short for a switch that compiles.
        stub = p4r_grpc.P4RuntimeStub(client.channel)
        try:
            await stub.SetForwardingPipelineConfig(push, timeout=PIPELINE_S)
        except grpc.RpcError as error:
            raise P4ClientError(error, "SetForwardingPipelineConfig") from None
        self.pipelines_pushed += 1
        logger.info("switch %s: program installed (%#x)", self.name, self.cookie)


def _batches(phase: tuple[Update, ...]) -> list[tuple[Update, ...]]:
    rest = iter(phase)
    return list(iter(lambda: tuple(islice(rest, BATCH)), ()))
