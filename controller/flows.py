"""Flows as the edge program sees them: hash, flow table entries, and the choice that follows, pure.

The same arithmetic as p4src/edge.p4, p4src/include/selection.p4 and affinity.p4, in order to say
why a flow goes where it goes. It decides nothing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address

from p4cats import protocol
from p4cats.controller.desired import MAX_24, Candidate

PROTOCOLS = {"tcp": 6, "udp": 17, "icmpv6": 58}
_U32 = 0xFFFFFFFF
_TAG_FACTORS = (1, 0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F)
_BUCKETS, _BUCKET_ENTRIES = 1 << 17, 4
_TICK_BITS, _OVERTAKEN = 21, 64
_TICK_US = 1 << 14


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
        """What tells flows of the same bucket apart."""
        words: list[int] = list(struct.unpack("!4I", self.source.packed))
        words[3] ^= int(self.destination) & _U32
        mixed = sum(word * factor for word, factor in zip(words, _TAG_FACTORS, strict=True))
        return (mixed + self._ports * 0x9E3779B1) & _U32

    @property
    def cells(self) -> list[int]:
        """The entries of the flow table that the flow may have."""
        first = self.hash % _BUCKETS * _BUCKET_ENTRIES
        return list(range(first, first + _BUCKET_ENTRIES))

    def __str__(self) -> str:
        names = {number: name for name, number in PROTOCOLS.items()}
        name = names.get(self.protocol, str(self.protocol))
        return f"{name} [{self.source}]:{self.source_port} → [{self.destination}]:{self.destination_port}"


def placed(flow: Flow, entries: Sequence[int], now_us: int, timeout_us: int) -> int | None:
    """Return the instance that flow table entries (those of `flow.cells`) have for a flow, None if none."""
    for entry in entries:
        age = ((now_us // _TICK_US) + _OVERTAKEN - entry) % (1 << _TICK_BITS)
        instance = entry >> 22 & 0x3FF
        if instance and entry >> 32 == flow.tag and age <= timeout_us // _TICK_US + 1 + _OVERTAKEN:
            return instance
    return None


@dataclass(frozen=True)
class Told:
    """What packets told an ingress switch of an instance."""

    wait_us: int | None
    """Expected wait; None: unknown."""
    age_us: int | None
    """Since it was told; None: never."""


@dataclass(frozen=True)
class Considered:
    """A candidate as the data plane judges it."""

    candidate: Candidate
    silent: bool
    wait_us: int
    """The told wait where it is fresh, else the controller's."""


def consider(candidate: Candidate, told: Told, load_ttl_us: int, dead_after_us: int) -> Considered:
    """Judge a candidate by what was told of it."""
    silent = bool(dead_after_us) and (told.age_us is None or told.age_us > dead_after_us)
    fresh = told.wait_us is not None and told.age_us is not None and told.age_us <= load_ttl_us
    wait_us = told.wait_us if fresh and told.wait_us is not None else candidate.wait_us
    return Considered(candidate, silent, wait_us)


def spread_us(service_flows: int, now_us: int, each_us: int) -> int:
    """Return up to how much the waits of a service are blurred, from the cell of `service_flows`."""
    window, count, before = service_flows >> 36, service_flows >> 18 & 0x3FFFF, service_flows & 0x3FFFF
    passed = (now_us // protocol.SPREAD_WINDOW_US - window) % (1 << 28)
    if passed:
        count, before = 0, count if passed == 1 else 0
    return min(max(max(count + 1, before) * each_us - protocol.SPREAD_TIME_US, 0), MAX_24)


def score(flow_hash: int, instance: int) -> int:
    """Return the rendezvous score of an instance: the highest takes the flow under `hash`."""
    value = (flow_hash ^ instance * 0x9E3779B1 & _U32) * 0x85EBCA6B & _U32
    value ^= value >> 15
    return value * 0xC2B2AE35 & _U32


def cost(
    item: Considered, compute_weight: int, network_weight: int, flow: Flow | None = None, spread: int = 0
) -> int:
    """Return the cost of a candidate in microseconds; for a flow, with its wait blurred by up to `spread`."""
    wait_us = item.wait_us
    if flow is not None:
        wait_us += ((_U32 - score(flow.hash, item.candidate.instance)) >> 16) * spread >> 16
    return min(compute_weight * min(wait_us, MAX_24) + network_weight * item.candidate.path_delay_us, _U32)


def choose(
    flow: Flow,
    code: int,
    candidates: Sequence[Considered],
    weights: tuple[int, int] = (1, 1),
    spread: int = 0,
) -> int | None:
    """Return the instance that a new flow gets under a policy (its code); `weights` are those of the cost."""
    if code == protocol.POLICIES["static"]:
        return _by_weight(flow, candidates)
    by_score = sorted(candidates, key=lambda item: (item.silent, -score(flow.hash, item.candidate.instance)))
    if code == protocol.POLICIES["least"]:
        by_score.sort(key=lambda item: (item.silent, cost(item, *weights, flow, spread)))
    elif code == protocol.POLICIES["p2c"]:
        by_score = sorted(by_score[:2], key=lambda item: (item.silent, cost(item, *weights)))
    return by_score[0].candidate.instance if by_score else None


def _by_weight(flow: Flow, candidates: Sequence[Considered]) -> int | None:
    total = sum(item.candidate.weight for item in candidates)
    point = flow.hash % total if total else 0
    for item in sorted(candidates, key=lambda item: item.candidate.slot):
        if point < item.candidate.weight:
            heard = [other for other in candidates if not other.silent and other.candidate.weight]
            if item.silent and heard:
                return choose(flow, protocol.POLICIES["hash"], heard)
            return item.candidate.instance
        point -= item.candidate.weight
    return None
