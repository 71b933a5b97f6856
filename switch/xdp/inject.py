"""Packets that user space gives to the program, and what the program tells user space.

A frame in XDP stays one frame: copies (multicast, clones) and second passes (resubmit, recirculate) are made
here. The program sends an event with the packet's state (its scratch area) and octets; for each copy the same
program runs again by BPF_PROG_TEST_RUN, with a prefix that says where to go on. So there is one program and
one state, whatever way a packet takes; only its speed differs.
"""

from __future__ import annotations

import logging
import struct
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from p4cats.ebpf.libbpf import PerfBuffer
from p4cats.switch.dataplane import DataPlaneEvents, Replica
from p4cats.switch.xdp.loader import Loaded

logger = logging.getLogger("p4cats.switch.xdp")

PREFIX = struct.Struct("=IIIIQII32x")
"""struct p4_prefix: kind, port, length, packet_length, now_ns, out_port, result."""
_EVENT = struct.Struct("=IIIIIIIIQ")
"""struct p4_event: kind, number, port, base, pos, length, list, octets, now_ns."""
RUN_INGRESS, RUN_EGRESS, RUN_IMAGE, RUN_CLONE = range(4)
PACKET, DIGEST, MULTICAST, CLONE_INGRESS, CLONE_EGRESS, RESUBMIT, RECIRCULATE, LOG = range(1, 9)
_NORMAL, _INGRESS_CLONE, _EGRESS_CLONE, _RECIRCULATED, _REPLICATION, _RESUBMITTED = 0, 1, 2, 4, 5, 6
_PASS = 2
_MOST_PASSES = 1000
"""Second passes that one call works off: a program that loops for ever must not stop the event loop."""


@dataclass(slots=True)
class _Run:
    """A run of the program that is still to come."""

    kind: int
    port: int
    image: bytes
    packet: bytes
    length: int
    limit: int = 0


@dataclass(slots=True)
class _Copies:
    """Where copies go, as what, why there are none if so, and how long they may be (0: any)."""

    replicas: Sequence[Replica]
    kind: int
    unknown: str
    limit: int = 0


class Injector:
    """Runs the program on packets from user space and works off its events."""

    def __init__(
        self,
        loaded: Loaded,
        transmit: Callable[[int, bytes], None],
        events: DataPlaneEvents | None,
        cpu_port: int | None,
        now_ns: Callable[[], int],
    ) -> None:
        self.groups: dict[int, list[Replica]] = {}
        self.sessions: dict[int, tuple[list[Replica], int]] = {}
        self.drops: Counter[str] = Counter()
        self._loaded = loaded
        self._program = loaded.object.programs["p4_main"]
        self._transmit, self._events, self._cpu_port, self._now_ns = transmit, events, cpu_port, now_ns
        self._queue: deque[_Run] = deque()
        btf = loaded.object.btf
        members = {m.name: m.offset for m in btf.members(btf.find("scratch"))}
        self._offsets = {p: (members[n], size) for p, (n, size) in loaded.source.scalars.items()}
        self._metadata = (members["metadata"], members["metadata_end"])
        self._image_bytes = members["image_end"]
        self._length_at = members["length"]
        self.buffer = PerfBuffer(loaded.object.maps["events"], self._event)

    def close(self) -> None:
        """Free the buffers."""
        self.buffer.close()

    def process(self, port: int, packet: bytes) -> None:
        """A packet comes in by a port; work until nothing is left to do."""
        self._queue.append(_Run(RUN_INGRESS, port, b"", packet, len(packet)))
        self.work()

    def work(self) -> None:
        """Take events and run what they ask for."""
        self.buffer.consume()
        passes = 0
        while self._queue:
            passes += 1
            if passes > _MOST_PASSES:
                self.drops["recirculation limit"] += len(self._queue)
                self._queue.clear()
                return
            self._run(self._queue.popleft())
            self.buffer.consume()

    def _run(self, run: _Run) -> None:
        length = PREFIX.size + len(run.image)
        now = self._now_ns()
        prefix = PREFIX.pack(run.kind, run.port, length, run.length, now, 0xFFFFFFFF, 0)
        result = self._program.test_run(prefix + run.image + run.packet)
        if result.retval != _PASS:
            return
        port, packet = struct.unpack_from("=I", result.data, 24)[0], result.data[length:]
        if run.limit:
            packet = packet[: run.limit]
        self._leave(port, packet)

    def _leave(self, port: int, packet: bytes) -> None:
        if port == self._cpu_port and self._events is not None:
            self._events.packet_in(packet)
        else:
            self._transmit(port, packet)

    # -- events -------------------------------------------------------------------------------

    def _event(self, record: bytes) -> None:
        kind, number, _, base, pos, length, fields, octets, _ = _EVENT.unpack_from(record)
        if kind == DIGEST:
            self._digest(number, record)
        elif kind == LOG:
            self._log(number, fields, record)
        elif kind == PACKET:
            self._leave(self._cpu_port or 0, record[_EVENT.size : _EVENT.size + octets][base:])
        else:
            image = record[: self._image_bytes]
            packet = record[self._image_bytes : self._image_bytes + octets]
            self._again((kind, number, fields), image, packet, (base, pos, length))

    def _again(
        self, asked: tuple[int, int, int], image: bytes, packet: bytes, at: tuple[int, int, int]
    ) -> None:
        kind, number, fields = asked
        base, pos, length = at
        if kind == MULTICAST:
            copies = _Copies(self.groups.get(number, ()), _REPLICATION, "multicast group unknown")
            self._replicate(image, packet[pos:], copies)
            return
        if kind in (RESUBMIT, RECIRCULATE):
            kept = self._kept(image, fields, zero_all=True)
            again = packet[base:]
            length = length if kind == RESUBMIT else len(again)
            self._put(kept, "sm.packet_length", length)
            self._put(kept, "sm.instance_type", _RESUBMITTED if kind == RESUBMIT else _RECIRCULATED)
            struct.pack_into("=I", kept, self._length_at, length)
            self._queue.append(_Run(RUN_IMAGE, 0, bytes(kept), again, length))
            return
        replicas, limit = self.sessions.get(number, ((), 0))
        kept = self._kept(image, fields)
        self._put(kept, "sm.packet_length", length)
        if kind == CLONE_EGRESS:
            copies = _Copies(replicas, _EGRESS_CLONE, "clone session unknown", limit)
            self._replicate(bytes(kept), packet[pos:], copies)
            return
        port = self._get(image, "sm.ingress_port")
        if not replicas:
            self.drops["clone session unknown"] += 1
        for replica in replicas:
            self._address(kept, replica, _INGRESS_CLONE)
            self._queue.append(_Run(RUN_CLONE, port, bytes(kept), packet[base:], length, limit))

    def _replicate(self, image: bytes, payload: bytes, copies: _Copies) -> None:
        if not copies.replicas:
            self.drops[copies.unknown] += 1
        for replica in copies.replicas:
            copy = bytearray(image)
            self._address(copy, replica, copies.kind)
            self._queue.append(_Run(RUN_EGRESS, 0, bytes(copy), payload, 0, copies.limit))

    def _address(self, image: bytearray, replica: Replica, kind: int) -> None:
        self._put(image, "sm.egress_rid", replica.instance)
        self._put(image, "sm.instance_type", kind)
        self._put(image, "sm.egress_port", replica.port)

    def _kept(self, image: bytes, fields: int, *, zero_all: bool = False) -> bytearray:
        """The state with zero metadata but for a field list (number + 1); with `zero_all` also no headers."""
        begin, end = self._metadata
        if zero_all:
            end = self._length_at
        copy = bytearray(image)
        copy[begin:end] = bytes(end - begin)
        for path in self._loaded.source.field_lists.get(fields - 1, ()):
            offset, size = self._offsets[path]
            copy[offset : offset + size] = image[offset : offset + size]
        return copy

    def _put(self, image: bytearray, path: str, value: int) -> None:
        offset, size = self._offsets[path]
        image[offset : offset + size] = value.to_bytes(size, "little")

    def _get(self, image: bytes, path: str) -> int:
        offset, size = self._offsets[path]
        return int.from_bytes(image[offset : offset + size], "little")

    def _digest(self, number: int, record: bytes) -> None:
        layout = self._loaded.source.digests[number - 1]
        words = struct.unpack_from(f"={2 * layout.leaves}Q", record, _EVENT.size)
        leaves = [words[2 * i] | words[2 * i + 1] << 64 for i in range(layout.leaves)]
        if self._events is not None:
            values = _nested(layout.shape, leaves)
            assert isinstance(values, tuple)
            self._events.digest(layout.name, values)

    def _log(self, number: int, count: int, record: bytes) -> None:
        position, text = self._loaded.source.messages[number]
        words = struct.unpack_from(f"={2 * count}Q", record, _EVENT.size)
        for i in range(count):
            text = text.replace("{}", str(words[2 * i] | words[2 * i + 1] << 64), 1)
        logger.info("%s: %s", position, text)


def _nested(shape: object, leaves: Sequence[int]) -> object:
    if isinstance(shape, list):
        return tuple(_nested(part, leaves) for part in shape)
    assert isinstance(shape, int)
    return leaves[shape]


__all__ = ["Injector"]
