"""Egress queues: one per port, eight priorities each, as simple_switch's.

Without a rate a packet leaves as soon as the pipeline turns to egress; with one, packets wait their turn
and `ready` gives those that are due. Depths count packets of all priorities of the port.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from p4cats.switch.model.support import Packet

PRIORITIES = 8
DEFAULT_DEPTH = 1024
_SECOND = 1_000_000_000


@dataclass(slots=True)
class _Port:
    queues: list[deque[Packet]] = field(default_factory=lambda: [deque() for _ in range(PRIORITIES)])
    depth: int = 0
    limit: int = DEFAULT_DEPTH
    rate_pps: int = 0
    next_ns: int = 0


class EgressQueues:
    """Packets between ingress and egress."""

    def __init__(self) -> None:
        self._ports: dict[int, _Port] = {}
        self.waiting = 0

    def configure(self, port: int, *, rate_pps: int | None = None, depth: int | None = None) -> None:
        """Set a port's rate (0: unlimited) or depth in packets."""
        state = self._ports.setdefault(port, _Port())
        if rate_pps is not None:
            state.rate_pps = rate_pps
        if depth is not None:
            state.limit = depth

    def put(self, port: int, packet: Packet, now_ns: int, timestamp_us: int) -> bool:
        """Queue a packet, with `timestamp_us` as its enq_timestamp; False where the queue is full."""
        state = self._ports.get(port)
        if state is None:
            state = self._ports[port] = _Port()
        if state.depth >= state.limit:
            return False
        sm = packet.sm
        sm.enq_timestamp = timestamp_us & 0xFFFFFFFF
        sm.enq_qdepth = state.depth
        if not state.depth and state.next_ns < now_ns:
            state.next_ns = now_ns  # an idle port saves no turns up; a backlogged one keeps its pace
        state.queues[sm.priority & 7].append(packet)
        state.depth += 1
        self.waiting += 1
        return True

    def ready(self, now_ns: int) -> list[tuple[int, Packet]]:
        """Take every packet that is due, port by port, larger priorities first."""
        found: list[tuple[int, Packet]] = []
        for number, state in self._ports.items():
            while state.depth and (not state.rate_pps or state.next_ns <= now_ns):
                queue = next(q for q in reversed(state.queues) if q)
                packet = queue.popleft()
                state.depth -= 1
                self.waiting -= 1
                packet.sm.deq_qdepth = state.depth
                if state.rate_pps:
                    state.next_ns += _SECOND // state.rate_pps
                found.append((number, packet))
        return found

    def next_due_ns(self) -> int | None:
        """When the next waiting packet is due; None where none waits."""
        times = [state.next_ns for state in self._ports.values() if state.depth]
        return min(times) if times else None
