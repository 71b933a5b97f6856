"""Flows as the edge program sees them: hash, affinity slots, and the choice that follows, pure.

The same arithmetic as p4src/edge.p4, p4src/include/selection.p4 and affinity.p4, in order to say
why a flow goes where it goes. It decides nothing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address

from p4cats.controller.desired import Candidate

PROTOCOLS = {"tcp": 6, "udp": 17, "icmpv6": 58}
_U32 = 0xFFFFFFFF


@dataclass(frozen=True)
class Flow:
    """A flow: the 5-tuple; ports are 0 for protocols that have none."""

    source: IPv6Address
    destination: IPv6Address
    protocol: int = 6
    source_port: int = 0
    destination_port: int = 0

    @property
    def _ports(self) -> int:
        return self.source_port << 16 | self.destination_port if self.protocol in (6, 17) else 0

    @property
    def hash(self) -> int:
        """What the program hashes the flow to."""
        tail = struct.pack("!BI", self.protocol, self._ports)
        return zlib.crc32(self.source.packed + self.destination.packed + tail)

    @property
    def tag(self) -> int:
        """What tells flows of the same slot apart."""
        source, destination = int(self.source), int(self.destination)
        mixed = (source ^ source >> 64 ^ destination) & _U32
        return (mixed + self._ports * 0x9E3779B1) & _U32

    @property
    def slots(self) -> tuple[int, int]:
        """The two affinity slots that the flow may take."""
        return self.hash & 0xFFFF, self.hash >> 16

    def __str__(self) -> str:
        names = {number: name for name, number in PROTOCOLS.items()}
        name = names.get(self.protocol, str(self.protocol))
        return f"{name} [{self.source}]:{self.source_port} → [{self.destination}]:{self.destination_port}"


def score(flow_hash: int, instance: int) -> int:
    """Return the rendezvous score of an instance: the highest takes the flow under `hash`."""
    value = (flow_hash ^ instance * 0x9E3779B1 & _U32) * 0x85EBCA6B & _U32
    value ^= value >> 15
    return value * 0xC2B2AE35 & _U32


def by_hash(flow: Flow, candidates: Sequence[Candidate]) -> int | None:
    """Return the instance that `hash` chooses."""
    best = max(candidates, key=lambda item: score(flow.hash, item.instance), default=None)
    return best.instance if best else None


def by_weight(flow: Flow, candidates: Sequence[Candidate]) -> int | None:
    """Return the instance that `static` chooses."""
    total = sum(item.weight for item in candidates)
    point = flow.hash % total if total else 0
    for item in sorted(candidates, key=lambda item: item.slot):
        if point < item.weight:
            return item.instance
        point -= item.weight
    return None


def by_cost(flow: Flow, costs: Mapping[int, int]) -> int | None:
    """Return the instance that `least` chooses, given the cost of every candidate."""
    return min(costs, key=lambda item: (costs[item], score(flow.hash, item) & 0xFF), default=None)
