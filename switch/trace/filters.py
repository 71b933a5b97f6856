"""Filters of packets, in the words of tcpdump: `udp and dst port 8080`.

    ip, ip6, tcp, udp, icmp, icmp6, arp      protocol
    [src|dst] host ADDRESS                   IPv4 or IPv6 address
    [src|dst] net ADDRESS/LENGTH             prefix
    [src|dst] port NUMBER                    TCP or UDP port
    ether proto NUMBER                       EtherType
    and, or, not, ( )                        `and` binds tighter than `or`

Of a tunnelled packet (IPv6 in IPv6, SRv6) a term holds if it holds for any of its layers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NoReturn

from p4cats.switch.trace.remote import TraceError

_IP, _ARP, _IP6, _VLAN, _QINQ = 0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8
_PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmp6": 58}
_ETHERTYPES = {"ip": _IP, "ip6": _IP6, "arp": _ARP}
_EXTENSIONS = (0, 43, 60)
"""Hop-by-Hop, routing, destination options: next header, then length in units of eight bytes."""

Address = IPv4Address | IPv6Address
Predicate = Callable[["Facts"], bool]


@dataclass(slots=True)
class Facts:
    """What a filter asks about; one item per layer."""

    types: list[int] = field(default_factory=list)
    protocols: list[int] = field(default_factory=list)
    sources: list[Address] = field(default_factory=list)
    destinations: list[Address] = field(default_factory=list)
    source_ports: list[int] = field(default_factory=list)
    destination_ports: list[int] = field(default_factory=list)


def facts(frame: bytes) -> Facts:
    """Take a frame apart as far as it goes."""
    found = Facts()
    try:
        at, type_ = 14, int.from_bytes(frame[12:14], "big")
        while type_ in (_VLAN, _QINQ):
            found.types.append(type_)
            type_ = struct.unpack_from("!H", frame, at + 2)[0]
            at += 4
        found.types.append(type_)
        if type_ == _IP6:
            _ipv6(frame, at, found)
        elif type_ == _IP:
            _ipv4(frame, at, found)
    except struct.error:
        pass  # truncated: what was found counts
    return found


def _ipv6(frame: bytes, at: int, found: Facts) -> None:
    protocol, source, destination = struct.unpack_from("!6xBx16s16s", frame, at)
    found.sources.append(IPv6Address(source))
    found.destinations.append(IPv6Address(destination))
    at += 40
    while protocol in _EXTENSIONS:
        protocol, length = struct.unpack_from("!BB", frame, at)
        at += 8 * (length + 1)
    _upper(frame, at, protocol, found)


def _ipv4(frame: bytes, at: int, found: Facts) -> None:
    first, protocol, source, destination = struct.unpack_from("!B8xB2x4s4s", frame, at)
    found.sources.append(IPv4Address(source))
    found.destinations.append(IPv4Address(destination))
    _upper(frame, at + 4 * (first & 15), protocol, found)


def _upper(frame: bytes, at: int, protocol: int, found: Facts) -> None:
    found.protocols.append(protocol)
    if protocol in (6, 17):
        source, destination = struct.unpack_from("!HH", frame, at)
        found.source_ports.append(source)
        found.destination_ports.append(destination)
    elif protocol == 41:
        _ipv6(frame, at, found)
    elif protocol == 4:
        _ipv4(frame, at, found)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.words = text.replace("(", " ( ").replace(")", " ) ").split()
        self.at = 0

    def fail(self, why: str) -> NoReturn:
        raise TraceError(f"--filter {self.text!r}: {why} (like: udp and dst port 8080; see docs/trace.md)")

    def peek(self) -> str:
        return self.words[self.at] if self.at < len(self.words) else ""

    def next(self) -> str:
        word = self.peek()
        if not word:
            self.fail("it ends too early")
        self.at += 1
        return word

    def whole(self) -> Predicate:
        found = self.any()
        if self.peek():
            self.fail(f"{self.peek()!r} is not expected")
        return found

    def any(self) -> Predicate:
        parts = [self.all()]
        while self.peek() == "or":
            self.at += 1
            parts.append(self.all())
        return lambda f: any(part(f) for part in parts)

    def all(self) -> Predicate:
        parts = [self.one()]
        while self.peek() == "and":
            self.at += 1
            parts.append(self.one())
        return lambda f: all(part(f) for part in parts)

    def one(self) -> Predicate:
        word = self.next()
        if word == "not":
            inner = self.one()
            return lambda f: not inner(f)
        if word == "(":
            inner = self.any()
            if self.next() != ")":
                self.fail("a ) is missing")
            return inner
        if word in _PROTOCOLS:
            number = _PROTOCOLS[word]
            return lambda f: number in f.protocols
        if word in _ETHERTYPES:
            type_ = _ETHERTYPES[word]
            return lambda f: type_ in f.types
        if word == "ether" and self.next() == "proto":
            wanted = self.number(0xFFFF)
            return lambda f: wanted in f.types
        return self.sided(word)

    def sided(self, word: str) -> Predicate:
        side = ""
        if word in ("src", "dst"):
            side, word = word, self.next()
        if word == "port":
            port = self.number(0xFFFF)
            return lambda f: (
                (side != "dst" and port in f.source_ports) or (side != "src" and port in f.destination_ports)
            )
        if word in ("host", "net"):
            holds = self.address(word)
            return lambda f: (
                (side != "dst" and any(map(holds, f.sources)))
                or (side != "src" and any(map(holds, f.destinations)))
            )
        return self.fail(f"{word!r} is unknown")

    def number(self, largest: int) -> int:
        word = self.next()
        try:
            value = int(word, 0)
        except ValueError:
            self.fail(f"{word!r} is no number")
        if not 0 <= value <= largest:
            self.fail(f"{word} is not within 0 and {largest}")
        return value

    def address(self, kind: str) -> Callable[[Address], bool]:
        word = self.next()
        try:
            if kind == "host":
                address = ip_address(word)
                return lambda a: a == address
            network = ip_network(word, strict=False)
        except ValueError:
            self.fail(f"{word!r} is no {'address' if kind == 'host' else 'prefix'}")
        return lambda a: a in network


def compile_filter(text: str | None) -> Callable[[bytes], bool]:
    """A test of frames; None or blanks let all pass. TraceError for what is no filter."""
    if text is None or not text.strip():
        return lambda _: True
    predicate = _Parser(text).whole()
    return lambda frame: predicate(facts(frame))


__all__ = ["compile_filter"]
