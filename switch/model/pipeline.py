"""A packet's way through the v1model architecture, in simple_switch's order.

parse → verify checksums → ingress → clone, digest, resubmit, multicast, drop or enqueue → egress → clone,
drop → compute checksums → deparse → recirculate or send. Facts: simple_switch.cpp, docs/simple_switch.md.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from p4cats.compiler.ir import nodes
from p4cats.switch.dataplane import DataPlaneEvents, Replica
from p4cats.switch.model.program import Engine
from p4cats.switch.model.queues import EgressQueues
from p4cats.switch.model.support import AssertionFailed, Packet

logger = logging.getLogger("p4cats.switch.model")

DROP_PORT = 511
NORMAL, INGRESS_CLONE, EGRESS_CLONE, RECIRCULATED, REPLICATION, RESUBMIT = 0, 1, 2, 4, 5, 6
"""standard_metadata.instance_type."""
_MOST_PASSES = 1000
"""Resubmits and recirculations that one process() call works off: a program that loops for ever must not
stop the event loop. simple_switch has no such limit."""


FATAL_DROPS = ("assertion failed", "recirculation limit")
"""Reasons of `drops` where simple_switch would have exited, or would never have come to an end."""


class Pipeline:
    """The packet path: what ModelDataPlane adds the control plane's side to."""

    def __init__(
        self,
        program: nodes.Program,
        transmit: Callable[[int, bytes], None],
        events: DataPlaneEvents | None,
        *,
        cpu_port: int | None,
        clock: Callable[[], int],
        seed: int | None,
    ) -> None:
        self.program = program
        self.transmit = transmit
        self.events = events
        self.cpu_port = cpu_port
        self.clock = clock
        self.engine = self._engine(program, clock, seed)
        self.queues = EgressQueues()
        self.drops: Counter[str] = Counter()
        """Packets that did not leave, by reason."""
        self.groups: dict[int, list[Replica]] = {}
        self.sessions: dict[int, tuple[list[Replica], int]] = {}
        self._again: deque[Packet] = deque()
        self._bind()

    def _engine(self, program: nodes.Program, clock: Callable[[], int], seed: int | None) -> Engine:
        return Engine(program, clock, seed)

    def time_us(self) -> int:
        """What the next packet finds in standard_metadata.ingress_global_timestamp."""
        return self.clock() // 1000 & 0xFFFFFFFFFFFF

    def _bind(self) -> None:
        f = self.engine.functions
        self._headers: Callable[[], Any] = f["HEADERS"]
        self._metadata: Callable[[], Any] = f["METADATA"]
        self._standard: Callable[[], Any] = f["STANDARD_METADATA"]
        self._parse, self._verify, self._ingress = f["parse"], f["verify_checksum"], f["ingress"]
        self._egress, self._compute, self._deparse = f["egress"], f["compute_checksum"], f["deparse"]
        self._copy_headers, self._copy_metadata = f["copy_headers"], f["copy_metadata"]
        self._copy_standard = f["copy_standard_metadata"]
        self._header_bytes, self._reads_length = f["header_bytes"], f["EGRESS_READS_LENGTH"]
        self._has_verify = bool(self.program.verify_checksum.body)
        self._has_compute = bool(self.program.compute_checksum.body)

    # -- entry --------------------------------------------------------------------------------

    def process(self, port: int, data: bytes) -> None:
        """Take a packet that came in by `port` and work until nothing more can leave now."""
        sm = self._standard()
        sm.ingress_port = port
        length = len(data)
        sm.packet_length = length
        packet = Packet(data, length, self._headers(), self._metadata(), sm)
        try:
            self._ingress_pass(packet)
        except AssertionFailed as error:
            self._failed(error)
        if self.queues.waiting or self._again:
            self.run()

    def run(self) -> None:
        """Work off queues, resubmits and recirculations."""
        passes = 0
        while True:
            left = False
            for port, packet in self.queues.ready(self.clock()):
                left = True
                try:
                    self._egress_pass(port, packet)
                except AssertionFailed as error:
                    self._failed(error)
            if not self._again and not left:
                return
            passes += 1
            if passes > _MOST_PASSES:
                self.drops["recirculation limit"] += max(1, len(self._again))
                self._again.clear()
                return
            if not self._again:
                continue  # egress may have cloned
            packet = self._again.popleft()
            try:
                self._ingress_pass(packet)
            except AssertionFailed as error:
                self._failed(error)

    def _failed(self, error: AssertionFailed) -> None:
        logger.error("%s: packet dropped", error)
        self.drops["assertion failed"] += 1

    # -- ingress ------------------------------------------------------------------------------

    def _ingress_pass(self, packet: Packet) -> None:
        now = self.clock()
        sm, hdr, meta = packet.sm, packet.hdr, packet.meta
        sm.ingress_global_timestamp = now // 1000 & 0xFFFFFFFFFFFF
        ingress_port = sm.ingress_port
        position = self._parse(packet.original, packet, hdr, meta, sm)
        packet.payload = packet.original[position:]
        if self._has_verify:
            self._verify(packet, hdr, meta, sm)
        self._ingress(packet, hdr, meta, sm)
        if packet.clone_ingress is not None:
            self._clone_ingress(packet, ingress_port)
        if packet.digest is not None and self.events is not None:
            self.events.digest(*packet.digest)
        if packet.resubmit is not None:
            self._resubmit(packet)
        elif sm.mcast_grp:
            self._multicast(packet, self.groups.get(sm.mcast_grp, ()), REPLICATION, "multicast group unknown")
        elif sm.egress_spec == DROP_PORT:
            self.drops["ingress"] += 1
        else:
            sm.instance_type = NORMAL
            self._enqueue(sm.egress_spec, packet)

    def _enqueue(self, port: int, packet: Packet) -> None:
        packet.sm.egress_port = port
        now = self.clock()
        if not self.queues.put(port, packet, now, now // 1000):
            self.drops["queue full"] += 1

    def _fresh(self, packet: Packet, data: bytes, instance_type: int, keep: Any) -> Packet:
        """A packet to be parsed (again), with zero metadata apart from the field list's."""
        copy = Packet(data, packet.length, self._headers(), self._metadata(), self._standard())
        self._preserve(packet, copy, keep)
        copy.sm.instance_type = instance_type
        return copy

    def _preserve(self, packet: Packet, copy: Packet, keep: Any) -> None:
        if keep is not None:
            keep(copy.meta, copy.sm, packet.meta, packet.sm)

    def _resubmit(self, packet: Packet) -> None:
        copy = self._fresh(packet, packet.original, RESUBMIT, packet.resubmit)
        copy.sm.packet_length = packet.length
        self._again.append(copy)

    def _clone_ingress(self, packet: Packet, ingress_port: int) -> None:
        assert packet.clone_ingress is not None
        session, keep = packet.clone_ingress
        replicas, limit = self.sessions.get(session, ((), 0))
        if not replicas:
            self.drops["clone session unknown"] += 1
            return
        copy = Packet(packet.original, packet.length, self._headers(), self._metadata(), self._standard())
        copy.sm.ingress_port = ingress_port  # so that the parser takes the same way again
        position = self._parse(packet.original, copy, copy.hdr, copy.meta, copy.sm)
        copy.payload = packet.original[position:]
        copy.meta, copy.sm = self._metadata(), self._standard()
        self._preserve(packet, copy, keep)
        copy.sm.packet_length = packet.length
        copy.limit = limit
        self._multicast(copy, replicas, INGRESS_CLONE, "clone session unknown")

    def _multicast(self, packet: Packet, replicas: Sequence[Replica], kind: int, unknown: str) -> None:
        if not replicas:
            self.drops[unknown] += 1
        for replica in replicas:
            copy = self._duplicate(packet)
            copy.sm.egress_rid = replica.instance
            copy.sm.instance_type = kind
            self._enqueue(replica.port, copy)

    def _duplicate(self, packet: Packet) -> Packet:
        copy = Packet(packet.original, packet.length, self._headers(), self._metadata(), self._standard())
        self._copy_headers(copy.hdr, packet.hdr)
        self._copy_metadata(copy.meta, packet.meta)
        self._copy_standard(copy.sm, packet.sm)
        copy.payload = packet.payload
        copy.limit = packet.limit
        return copy

    # -- egress -------------------------------------------------------------------------------

    def _egress_pass(self, port: int, packet: Packet) -> None:
        sm, hdr, meta = packet.sm, packet.hdr, packet.meta
        now = self.clock() // 1000
        sm.deq_timedelta = now - sm.enq_timestamp & 0xFFFFFFFF
        sm.egress_global_timestamp = now & 0xFFFFFFFFFFFF
        sm.egress_port = port
        sm.egress_spec = 0  # DROP_PORT + 1 does not fit nine bits
        if self._reads_length:
            sm.packet_length = self._header_bytes(hdr) + len(packet.payload)
        self._egress(packet, hdr, meta, sm)
        if packet.clone_egress is not None:
            self._clone_egress(packet)
        if sm.egress_spec == DROP_PORT:
            self.drops["egress"] += 1
            return
        if self._has_compute:
            self._compute(packet, hdr, meta, sm)
        data = self._deparse(packet, hdr, meta, sm) + packet.payload
        if packet.limit:
            data = data[: packet.limit]
        if packet.recirculate is not None:
            copy = self._fresh(packet, data, RECIRCULATED, packet.recirculate)
            copy.length = copy.sm.packet_length = len(data)
            self._again.append(copy)
        elif port == self.cpu_port and self.events is not None:
            self.events.packet_in(data)
        else:
            self.transmit(port, data)

    def _clone_egress(self, packet: Packet) -> None:
        assert packet.clone_egress is not None
        session, keep = packet.clone_egress
        replicas, limit = self.sessions.get(session, ((), 0))
        copy = Packet(packet.original, packet.length, self._headers(), self._metadata(), self._standard())
        self._copy_headers(copy.hdr, packet.hdr)
        copy.payload = packet.payload
        copy.limit = limit
        self._preserve(packet, copy, keep)
        copy.sm.packet_length = packet.length
        self._multicast(copy, replicas, EGRESS_CLONE, "clone session unknown")
