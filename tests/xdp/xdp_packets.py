"""IPv6 packets by name, for the shipped programs."""

from __future__ import annotations

import ipaddress
import struct


def address(text: str) -> int:
    return int(ipaddress.IPv6Address(text))


def ethernet(
    payload: bytes, ethertype: int = 0x86DD, source: int = 0x020000000001, destination: int = 0x02FF
) -> bytes:
    return destination.to_bytes(6, "big") + source.to_bytes(6, "big") + struct.pack("!H", ethertype) + payload


def ipv6(
    payload: bytes,
    source: int,
    destination: int,
    next_header: int,
    hop_limit: int = 64,
    *,
    length: int | None = None,
) -> bytes:
    length = len(payload) if length is None else length
    head = struct.pack("!IHBB", 0x60012345, length & 0xFFFF, next_header, hop_limit)
    return head + source.to_bytes(16, "big") + destination.to_bytes(16, "big") + payload


def udp(payload: bytes = b"hello", source: int = 4000, destination: int = 53) -> bytes:
    return struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload


def srh(segments: list[int], segments_left: int, next_header: int = 41) -> bytes:
    head = struct.pack(
        "!BBBBBBH", next_header, 2 * len(segments), 4, segments_left, max(len(segments) - 1, 0), 0, 0
    )
    return head + b"".join(s.to_bytes(16, "big") for s in segments)


def metric(
    payload: bytes, instance: int, wait_us: int, sequence: int, next_header: int = 17, *, magic: int = 0xCA75
) -> bytes:
    head = struct.pack("!BBBBHBB", next_header, 4, 0x3E, 36, magic, 0x10, 0)
    data = struct.pack(
        "!IBBBBBBHIIIQ", instance, 5, 5, 5, 5, 5, 0, 7, wait_us, 1000, sequence, 0x1122334455667788
    )
    return head + data + payload


def solicitation(target: int, source: int, *, option: bool = True, hop_limit: int = 255) -> bytes:
    body = struct.pack("!BBHI", 135, 0, 0x1234, 0) + target.to_bytes(16, "big")
    if option:
        body += b"\x01\x01\x02\x00\x00\x00\x00\x01"
    return ipv6(body, source, target, 58, hop_limit)
