"""ICMPv6 errors for packets that a switch could not forward (RFC 4443), pure.

A P4 program cannot write them: an error quotes the packet, and its checksum covers the quotation.
Switches punt such packets with a reason (p4src/include/headers.p4). `answer` writes the error;
`Responder` decides where it leaves and limits the rate.

A packet too big from a *service address* (a server's response) concerns one of several hosts with
that address, and routing would take the error to any of them. It goes to every instance of the
service by its own access link, as RFC 7690 advises; a host that has no such connection ignores it.
Other errors to anycast addresses are not sent (RFC 4443, 2.4 e).
"""

from __future__ import annotations

import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address

from p4cats.controller.entries import mac
from p4cats.controller.reports import without_int
from p4cats.topologies.addressing import Plan
from p4cats.topologies.schema import Topology

PUNT_HOP_LIMIT = 1
PUNT_TOO_BIG = 2
"""Reasons of packet_in, as in p4src/include/headers.p4."""

ERRORS_PER_SECOND = 100.0
ERROR_BURST = 50
"""Token bucket of one switch (RFC 4443, 2.4 f)."""

MIN_MTU = 1280
_IPV6 = struct.Struct("!IHBB16s16s")
_ETHERNET_BYTES = 14
_ETHERTYPE_IPV6 = b"\x86\xdd"
_PROTO_IPV6, _PROTO_ROUTING, _PROTO_FRAGMENT, _PROTO_ICMPV6 = 41, 43, 44, 58
_EXTENSIONS = {0, _PROTO_ROUTING, 60}
_REDIRECT = 137
_ICMP_HEADER_BYTES = 8
_HOP_LIMIT = 64


@dataclass(frozen=True)
class PacketOut:
    """A frame to hand to a switch; `egress_port` 0 lets it route the frame like any other."""

    switch: str
    egress_port: int
    frame: bytes


def answer(frame: bytes, reason: int, mtu: int, router: IPv6Address) -> bytes | None:
    """Return the ICMPv6 error (from the IPv6 header) for a punted frame; None if none may be sent.

    Of a tunnel (SRv6) the inner packet is answered, whose sender knows nothing of the tunnel, with
    the MTU that is left inside. No error answers an error, multicast, or an address that is nobody's.
    """
    found = _innermost(frame[_ETHERNET_BYTES:])
    if frame[12:_ETHERNET_BYTES] != _ETHERTYPE_IPV6 or found is None:
        return None
    packet, overhead = found
    source, destination = packet[8:24], packet[24:40]
    if not _may_answer(packet, source, destination):
        return None
    if reason == PUNT_HOP_LIMIT:
        kind, value = 3, 0
    elif reason == PUNT_TOO_BIG:
        # IPv6 has no smaller MTU; to a packet that small there is nothing to say (RFC 2473, 7.1).
        kind, value = 2, max(mtu - overhead, MIN_MTU)
        if len(packet) <= value:
            return None
    else:
        return None
    return _error(kind, value, packet, router.packed, source)


def checksum(source: bytes, destination: bytes, message: bytes) -> int:
    """Return the checksum of an ICMPv6 message whose checksum field is zero (RFC 8200, 8.1)."""
    data = source + destination + struct.pack("!II", len(message), _PROTO_ICMPV6) + message
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _error(kind: int, value: int, packet: bytes, source: bytes, destination: bytes) -> bytes:
    quoted = packet[: MIN_MTU - _IPV6.size - _ICMP_HEADER_BYTES]
    blank = struct.pack("!BBHI", kind, 0, 0, value) + quoted
    message = blank[:2] + checksum(source, destination, blank).to_bytes(2, "big") + blank[4:]
    return _IPV6.pack(6 << 28, len(message), _PROTO_ICMPV6, _HOP_LIMIT, source, destination) + message


def _innermost(packet: bytes) -> tuple[bytes, int] | None:
    """Return the packet inside an SRv6 tunnel (or the packet itself) and the octets before it."""
    overhead = 0
    while True:
        inside = packet[overhead:]
        if len(inside) < _IPV6.size or inside[0] >> 4 != 6:
            return None
        offset, following = _IPV6.size, inside[6]
        if following == _PROTO_ROUTING and len(inside) >= offset + 2:
            following, offset = inside[offset], offset + 8 * (inside[offset + 1] + 1)
        if following != _PROTO_IPV6:
            # Without Ethernet's padding.
            return inside[: _IPV6.size + int.from_bytes(inside[4:6], "big")], overhead
        overhead += offset


def _may_answer(packet: bytes, source: bytes, destination: bytes) -> bool:
    """RFC 4443, 2.4 e: what must not be answered, as far as a packet shows it."""
    nobody = not any(source) or source[0] == 0xFF or IPv6Address(source).is_link_local
    if nobody or destination[0] == 0xFF:
        return False
    following, offset = packet[6], _IPV6.size
    while following in _EXTENSIONS or following == _PROTO_FRAGMENT:
        if len(packet) < offset + 8:
            return False
        if following == _PROTO_FRAGMENT:
            if int.from_bytes(packet[offset + 2 : offset + 4], "big") >> 3:
                # Not the first fragment: whether it is part of an error cannot be seen.
                return packet[offset] != _PROTO_ICMPV6
            length = 8
        else:
            length = 8 * (packet[offset + 1] + 1)
        following, offset = packet[offset], offset + length
    if following != _PROTO_ICMPV6:
        return True
    return len(packet) > offset and packet[offset] >= 128 and packet[offset] != _REDIRECT


class TokenBucket:
    """Lets `rate` things a second pass, and `burst` at once."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float]):
        self.rate, self.burst, self._clock = rate, burst, clock
        self._tokens, self._at = float(burst), clock()

    def take(self) -> bool:
        """Take one token; False if there is none."""
        now = self._clock()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Responder:
    """Answers the packets that the switches of a topology punt."""

    def __init__(self, topology: Topology, plan: Plan, clock: Callable[[], float] = time.monotonic):
        self.plan = plan
        self.sent: Counter[str] = Counter()
        self.limited: Counter[str] = Counter()
        self._buckets = {name: TokenBucket(ERRORS_PER_SECOND, ERROR_BURST, clock) for name in plan.switches}
        self._holders = {
            service.address.packed: tuple(item.host for item in topology.instances_of(name))
            for name, service in topology.services.items()
        }

    def respond(self, switch: str, ingress_port: int, reason: int, mtu: int, frame: bytes) -> list[PacketOut]:
        """Return the frames that answer a punted frame: none if it may not or need not be answered."""
        quoted = without_int(frame)
        error = answer(quoted, reason, mtu, self.plan.switches[switch].router_address)
        if error is None:
            return []
        if not self._buckets[switch].take():
            self.limited[switch] += 1
            return []
        frames = list(self._leave(switch, ingress_port, reason, error))
        self.sent[switch] += bool(frames)
        return frames

    def _leave(self, switch: str, ingress_port: int, reason: int, error: bytes) -> Iterator[PacketOut]:
        holders = self._holders.get(error[24:40])
        if holders is None:
            blank = self._ethernet(switch, next(iter(self.plan.switches[switch].ports), 0))
            yield PacketOut(switch, 0, blank + error)
        elif reason == PUNT_TOO_BIG:
            ingress = self.plan.switches[switch].ports.get(ingress_port)
            for name in holders:
                # Straight from a host: no other can have sent it.
                if ingress is None or not ingress.peer.is_host or ingress.peer.node == name:
                    host = self.plan.hosts[name]
                    yield PacketOut(host.switch, host.port, self._ethernet(host.switch, host.port) + error)

    def _ethernet(self, switch: str, port: int) -> bytes:
        """Return the Ethernet header of a frame that leaves by a port (rewritten if the frame is routed)."""
        found = self.plan.switches[switch].ports.get(port)
        pair = (mac(found.peer.mac), mac(found.mac)) if found else (0, 0)
        return b"".join(number.to_bytes(6, "big") for number in pair) + _ETHERTYPE_IPV6
