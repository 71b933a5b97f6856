"""Telemetry reports 2.0 with INT-MD 2.1 inside, as octets and as values (docs/protocol.md, 7). Pure.

`decode` is strict: what a sink of ours would not send is refused.

    ReportError     a datagram that is no such report
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv6Address

from p4cats import protocol

_HEAD = struct.Struct("!IIIHHHH")
"""Group header, header of the individual report, its main contents."""
_MD = struct.Struct("!IHHHH")
_IPV6, _UDP, _TCP, _ROUTING, _HOP_BY_HOP = 41, 17, 6, 43, 0
_OPTION = bytes([protocol.CONSTANTS["CATS_HBH_EXT_LENGTH"], protocol.OPTION_TYPE, protocol.OPTION_LENGTH])
_UNKNOWN = 0xFFFFFFFF
_WORDS = {0: 1, 1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2, 7: 1, 8: 1, 15: 1}
"""Words of 4 octets by instruction bit."""
_DECISION_WORDS = 3


class ReportError(ValueError):
    """A datagram that is no telemetry report; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Hop:
    """What one switch has added; None where it was not asked or does not know. Times in microseconds."""

    node: int | None = None
    ingress_port: int | None = None
    egress_port: int | None = None
    latency_us: int | None = None
    queue: int | None = None
    """Packets in the queue."""
    ingress_us: int | None = None
    egress_us: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Why a request goes where it goes, as its source saw it; None: it did not know."""

    instance: int
    policy: int
    placed: bool
    expected_wait_us: int | None
    age_us: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """One packet's way. `source` to `destination_port` are those of the packet that was sampled."""

    sink: int
    sequence: int
    source: IPv6Address
    destination: IPv6Address
    protocol: int
    source_port: int | None
    destination_port: int | None
    hops: tuple[Hop, ...]
    """In the order of the way."""
    decision: Decision | None
    exceeded: bool
    """A hop could not add its data: their number was used up."""
    mtu_exceeded: bool
    """A hop could not add its data: the packet would have been too long."""


class _Octets:
    """A cursor over octets."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise ReportError(f"cut off at octet {len(self.data)}")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")


def decode(datagram: bytes) -> Report:
    """Decode the payload of a report's UDP datagram."""
    data = _Octets(datagram)
    group, sink, kind, md_bits, domain, ds_bits, _status = _HEAD.unpack(data.take(_HEAD.size))
    if group >> 28 != 2:
        raise ReportError(f"version {group >> 28}, not 2")
    if kind >> 28 != 1 or kind >> 24 & 15 != 3:
        raise ReportError("not an INT report of an Ethernet frame")
    if kind >> 8 & 0xFF or md_bits or domain or ds_bits:
        raise ReportError("has metadata outside of the frame")
    words = kind >> 16 & 0xFF
    present = (len(datagram) - 8 - 4 + 3) // 4
    if words != min(present, 0xFF):
        raise ReportError(f"length {words} words, {present} are there")
    return _frame(data, sink, group & 0x3FFFFF)


def _frame(data: _Octets, sink: int, sequence: int) -> Report:
    data.take(12)
    if data.number(2) != 0x86DD:
        raise ReportError("not IPv6")
    next_header, source, destination = _ipv6(data)
    if next_header in (_ROUTING, _HOP_BY_HOP):
        next_header, size = data.number(1), data.number(1)
        data.take(6 + 8 * size)
    if next_header != _UDP:
        raise ReportError("no INT behind IPv6")
    data.take(2)
    port, _length, checksum = struct.unpack("!HHH", data.take(6))
    if port != protocol.INT_PORT or checksum:
        raise ReportError("no INT behind IPv6")
    shim, length, _reserved, inner = struct.unpack("!BBBB", data.take(4))
    if not _is_md(shim, length):
        raise ReportError("not INT-MD in a UDP header of its own")
    md = _MD.unpack(data.take(_MD.size))
    stack = data.take(4 * length - _MD.size)
    hops, decision = _stack(md, stack)
    ports: tuple[int | None, int | None] = None, None
    if inner == _IPV6:
        inner, source, destination = _ipv6(data)
    if inner in (_UDP, _TCP) and len(data.data) - data.at >= 4:  # else the sink has cut them off
        ports = data.number(2), data.number(2)
    flags = md[0] >> 25
    return Report(
        sink, sequence, source, destination, inner, *ports, hops, decision, bool(flags & 2), bool(flags & 1)
    )


def _ipv6(data: _Octets) -> tuple[int, IPv6Address, IPv6Address]:
    """Next header, source and destination."""
    if data.number(4) >> 28 != 6:
        raise ReportError("not IPv6")
    data.take(2)
    next_header = data.number(1)
    data.take(1)
    return next_header, IPv6Address(data.take(16)), IPv6Address(data.take(16))


def _stack(md: tuple[int, ...], stack: bytes) -> tuple[tuple[Hop, ...], Decision | None]:
    head, instructions, domain, domain_instructions, _flags = md
    if head >> 28 != 2:
        raise ReportError(f"INT version {head >> 28}, not 2")
    bits = [bit for bit in range(16) if instructions & 0x8000 >> bit]
    hop_words = head >> 8 & 0x1F
    if any(bit not in _WORDS for bit in bits) or sum(_WORDS[bit] for bit in bits) != hop_words:
        if stack:
            raise ReportError(f"instructions {instructions:#06x} do not make {hop_words} words")
        return (), None
    words = len(stack) // 4
    decided = domain == protocol.INT_DOMAIN and domain_instructions & 0x8000
    own = _DECISION_WORDS if decided else 0
    if words < own or (hop_words and (words - own) % hop_words) or (not hop_words and words > own):
        raise ReportError(f"a stack of {words} words, {hop_words} a hop")
    data = _Octets(stack)
    hops = [_hop(data, bits) for _ in range((words - own) // hop_words if hop_words else 0)]
    decision = None
    if own:
        instance, policy, placed, wait, age = struct.unpack("!HBBII", data.take(12))
        decision = Decision(instance, policy, bool(placed), _known(wait), _known(age))
    return tuple(reversed(hops)), decision


def _hop(data: _Octets, bits: list[int]) -> Hop:
    values: dict[str, int | None] = {}
    for bit in bits:
        match bit:
            case 0:
                values["node"] = data.number(4)
            case 1:
                values["ingress_port"], values["egress_port"] = data.number(2), data.number(2)
            case 2:
                values["latency_us"] = _known(data.number(4))
            case 3:
                data.take(1)
                values["queue"] = data.number(3)
            case 4:
                values["ingress_us"] = data.number(8)
            case 5:
                values["egress_us"] = data.number(8)
            case _:
                data.take(4 * _WORDS[bit])
    return Hop(**values)


def without_int(frame: bytes) -> bytes:
    """Return an Ethernet frame as it was before the source, for ICMPv6 errors to quote (RFC 4443, 2.4)."""
    at, header = 54, 20  # behind IPv6, and where the next header's number stands
    if frame[12:14] != b"\x86\xdd" or len(frame) < at:
        return frame
    ours = frame[at + 1 : at + 4] == _OPTION
    if len(frame) > at + 1 and (frame[header] == _ROUTING or (frame[header] == _HOP_BY_HOP and ours)):
        header, at = at, at + 8 + 8 * frame[at + 1]
    if len(frame) < at + 12 or frame[header] != _UDP:
        return frame
    port, checksum, shim, words, inner = struct.unpack_from("!2xH2xHBBxB", frame, at)
    size = 12 + 4 * words
    length = int.from_bytes(frame[18:20], "big") - size
    if (
        port != protocol.INT_PORT
        or checksum
        or not _is_md(shim, words)
        or len(frame) < at + size
        or length < 0
    ):
        return frame
    changed = bytearray(frame[:at])
    changed[header], changed[18:20] = inner, length.to_bytes(2, "big")
    return bytes(changed) + frame[at + size :]


def _is_md(shim: int, words: int) -> bool:
    """Whether a shim says that an MD header and then another header follow."""
    return shim >> 4 == 1 and shim >> 2 & 3 == 2 and words >= _MD.size // 4


def _known(value: int) -> int | None:
    return None if value == _UNKNOWN else value
