"""Digests (P4Runtime 16.2) and packet I/O metadata (16.1)."""

from __future__ import annotations

import pytest
from finsy.proto import p4r
from store_kit import DELETE, INSERT, MODIFY, Kit

from p4cats.switch.errors import Code, P4RuntimeError

MS = 1_000_000


@pytest.fixture
def kit() -> Kit:
    return Kit()


def config(kit: Kit, timeout_ms: int = 0, size: int = 0, ack_ms: int = 0) -> p4r.DigestEntry:
    entry = p4r.DigestEntry(digest_id=kit.id("learn_t"))
    entry.config.max_timeout_ns = timeout_ms * MS
    entry.config.max_list_size = size
    entry.config.ack_timeout_ns = ack_ms * MS
    return entry


def say(kit: Kit, *addresses: int) -> None:
    for address in addresses:
        kit.store.digest("learn_t", (address, 1, 1))


def heard(kit: Kit) -> list[list[int]]:
    return [[int.from_bytes(d.struct.members[0].bitstring, "big") for d in m.data] for m in kit.digests]


def ack(kit: Kit, list_id: int) -> None:
    kit.store.acknowledge_digest(p4r.DigestListAck(digest_id=kit.id("learn_t"), list_id=list_id))


def test_digest_is_silent_until_enabled_and_after_it_is_disabled(kit: Kit) -> None:
    say(kit, 1)
    kit.write(INSERT, digest_entry=config(kit))
    say(kit, 2)
    kit.write(DELETE, digest_entry=config(kit))
    say(kit, 3)
    assert heard(kit) == [[2]]


def test_digest_entry_codes(kit: Kit) -> None:
    assert kit.code(MODIFY, digest_entry=config(kit)) == Code.NOT_FOUND
    assert kit.code(DELETE, digest_entry=config(kit)) == Code.NOT_FOUND
    kit.write(INSERT, digest_entry=config(kit))
    assert kit.code(INSERT, digest_entry=config(kit)) == Code.ALREADY_EXISTS
    assert kit.code(MODIFY, digest_entry=config(kit, timeout_ms=-1)) == Code.INVALID_ARGUMENT
    assert [e.digest_entry for e in kit.read(digest_entry=p4r.DigestEntry())] == [config(kit)]


def test_list_is_sent_when_full(kit: Kit) -> None:
    kit.write(INSERT, digest_entry=config(kit, timeout_ms=1000, size=2))
    say(kit, 1, 1, 2, 3)
    assert heard(kit) == [[1, 2]]


def test_list_is_sent_when_its_first_message_is_old_enough(kit: Kit) -> None:
    kit.write(INSERT, digest_entry=config(kit, timeout_ms=10))
    say(kit, 1)
    kit.clock.advance(9 * MS)
    say(kit, 2)
    assert heard(kit) == []
    kit.clock.advance(1 * MS)
    assert heard(kit) == [[1, 2]]


def test_message_under_way_is_suppressed_until_acknowledged(kit: Kit) -> None:
    kit.write(INSERT, digest_entry=config(kit, ack_ms=100))
    say(kit, 1, 1, 2)
    assert heard(kit) == [[1], [2]]
    ack(kit, kit.digests[0].list_id)
    say(kit, 1, 2)
    assert heard(kit) == [[1], [2], [1]]


def test_message_is_sent_again_when_its_acknowledgement_is_late(kit: Kit) -> None:
    kit.write(INSERT, digest_entry=config(kit, ack_ms=100))
    say(kit, 1)
    kit.clock.advance(100 * MS)
    say(kit, 1)
    assert heard(kit) == [[1], [1]]
    assert [d.list_id for d in kit.digests] == [1, 2]


def test_acknowledgement_of_an_unknown_digest_is_invalid_and_of_an_unknown_list_ignored(kit: Kit) -> None:
    ack(kit, 99)
    with pytest.raises(P4RuntimeError) as refused:
        kit.store.acknowledge_digest(p4r.DigestListAck(digest_id=1))
    assert refused.value.code == Code.INVALID_ARGUMENT


# -- packet I/O --------------------------------------------------------------------------------


def test_packet_in_header_becomes_metadata(kit: Kit) -> None:
    header = (300 << 7 | 5).to_bytes(2, "big")
    packet = kit.store.packet_in(header + b"payload")
    assert packet is not None
    assert packet.payload == b"payload"
    assert [(m.metadata_id, m.value) for m in packet.metadata] == [(1, b"\x01\x2c"), (2, b"\x05")]


def test_packet_in_shorter_than_its_header_is_lost(kit: Kit) -> None:
    assert kit.store.packet_in(b"x") is None


def packet_out(*metadata: tuple[int, bytes]) -> p4r.PacketOut:
    message = p4r.PacketOut(payload=b"payload")
    for id_, value in metadata:
        message.metadata.add(metadata_id=id_, value=value)
    return message


def test_packet_out_metadata_becomes_a_header_and_padding_may_be_left_out(kit: Kit) -> None:
    kit.store.packet_out(packet_out((1, b"\0\x03")))
    kit.store.packet_out(packet_out((2, b"\0"), (1, b"\x03")))
    assert kit.dataplane.packets_out == [b"\x01\x80payload"] * 2


@pytest.mark.parametrize(
    "metadata", [[], [(1, b"\x01"), (1, b"\x01")], [(1, b"\x01"), (7, b"\0")], [(1, b"\xff\xff")]]
)
def test_packet_out_with_wrong_metadata_is_refused(kit: Kit, metadata: list[tuple[int, bytes]]) -> None:
    with pytest.raises(P4RuntimeError):
        kit.store.packet_out(packet_out(*metadata))
    assert not kit.dataplane.packets_out
