"""What packet sockets leave undone: checksums, VLAN tags, segments (frames.py), and rtnetlink (links.py)."""

from __future__ import annotations

import struct

import pytest

from p4cats.errors import UserError
from p4cats.switch.frames import PACKET_AUXDATA, SOL_PACKET, VNET_HEADER, SegmentedError, complete
from p4cats.switch.links import Link, parse
from p4cats.switch.ports import PortSpec, parse_ports
from p4cats.switch.server import Tls, check_address

ETHERNET = bytes(12) + b"\x86\xdd"


def received(frame: bytes, flags: int = 0, gso: int = 0, start: int = 0, offset: int = 0) -> memoryview:
    return memoryview(VNET_HEADER.pack(flags, gso, 0, 0, start, offset) + frame)


def test_complete_frame_is_taken_as_it_is() -> None:
    assert complete(received(ETHERNET + b"x"), []) == ETHERNET + b"x"


@pytest.mark.parametrize("payload", [b"even", b"odd"])
def test_partial_checksum_is_completed_so_that_the_sum_is_all_ones(payload: bytes) -> None:
    pseudo = 0x1234
    udp = struct.pack("!HHHH", 1000, 2000, 8 + len(payload), pseudo) + payload
    frame = complete(received(ETHERNET + udp, flags=1, start=len(ETHERNET), offset=6), [])
    checked = frame[len(ETHERNET) :]
    words = struct.unpack(f"!{(len(checked) + 1) // 2}H", checked + b"\0" * (len(checked) % 2))
    total = sum(words) + pseudo  # the real pseudo header adds to what the data carries
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


def test_stripped_vlan_tag_is_put_back() -> None:
    auxdata = struct.pack("=IIIHHHH", 1 << 4 | 1 << 6, 0, 0, 0, 0, 0x600A, 0x88A8)
    frame = complete(received(ETHERNET + b"x"), [(SOL_PACKET, PACKET_AUXDATA, auxdata)])
    assert frame == bytes(12) + b"\x88\xa8\x60\x0a\x86\xddx"


def test_segmented_frame_is_refused() -> None:
    with pytest.raises(SegmentedError):
        complete(received(ETHERNET, gso=1), [])


def test_link_messages_are_parsed_and_nonsense_is_not() -> None:
    name = struct.pack("=HH", 9, 3) + b"eth1\0" + bytes(3)
    body = struct.pack("=BxHiII", 0, 1, 7, 0x41, 0) + name
    message = struct.pack("=IHHII", 16 + len(body), 16, 0, 0, 0) + body
    assert list(parse(message * 2)) == [Link("eth1", 7, up=True)] * 2
    assert list(parse(bytes(100))) == []


@pytest.mark.parametrize(
    "ports",
    [["1"], ["x@eth0"], ["511@eth0"], ["1@a", "1@b"], ["1@a", "2@a"], ["510@a"], ["1@abcdefghijklmnop"]],
)
def test_malformed_ports_are_a_users_mistake(ports: list[str]) -> None:
    with pytest.raises(UserError):
        parse_ports(ports, cpu_port=510)


def test_ports_are_number_at_interface() -> None:
    assert parse_ports(["1@eth1", "0@s1-eth2"], 510) == [PortSpec(1, "eth1"), PortSpec(0, "s1-eth2")]


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]", "::1:9559", "127.0.0.1:x", "127.0.0.1:70000"])
def test_malformed_address_is_a_users_mistake(address: str, tmp_path: object) -> None:
    with pytest.raises(UserError, match="P4Runtime address"):
        check_address(address, None)


@pytest.mark.parametrize("address", ["0.0.0.0:9559", "[::]:9559", "192.0.2.1:9559", "switch.example:9559"])
def test_address_open_to_others_needs_tls(address: str) -> None:
    with pytest.raises(UserError, match="open to other machines"):
        check_address(address, None)


@pytest.mark.parametrize("address", ["127.0.0.1:9559", "[::1]:0", "localhost:9559", "unix:/run/p4.sock"])
def test_address_of_this_machine_needs_none(address: str) -> None:
    check_address(address, None)


def test_tls_opens_any_address(tmp_path: object) -> None:
    from pathlib import Path

    check_address("0.0.0.0:9559", Tls(Path("cert"), Path("key")))
