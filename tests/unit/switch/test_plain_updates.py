"""Serialised updates: read without being parsed or not, they have the same effect and the same errors."""

from __future__ import annotations

import random

import pytest
from finsy.proto import p4r
from store_kit import INSERT, Kit
from test_store_fuzz import valid_entities

from p4cats.switch.errors import Code, P4RuntimeError
from p4cats.switch.wire import WriteRequest, parse_update

ROUNDS = 1500


def plain_entries(kit: Kit, rng: random.Random) -> list[p4r.TableEntry]:
    """Entries of tables of every kind, some of them wrong."""
    address, other = rng.getrandbits(rng.randint(1, 50)), rng.getrandbits(rng.randint(1, 34))
    length = rng.randint(0, 33)
    prefix = other >> (32 - length) << (32 - length) if 0 < length <= 32 else other
    low, high = rng.getrandbits(16), rng.getrandbits(rng.randint(1, 17))
    acl = {
        1: ("mask", rng.getrandbits(8), rng.getrandbits(8)),
        2: ("range", low, high),
        3: rng.getrandbits(8),
    }
    kept = {k: v for k, v in acl.items() if rng.random() < 0.6}
    return [
        kit.station(address, rng.getrandbits(rng.randint(1, 10))),
        kit.entry("routes", {1: rng.getrandbits(10), 2: (prefix, length)}, kit.action("rewrite", address, 1)),
        kit.entry("acl", kept, kit.action("drop"), priority=rng.getrandbits(rng.randint(0, 30))),
    ]


def effect(kit: Kit, write: object, update: object) -> tuple[Code, str]:
    try:
        write(update)  # type: ignore[operator]
    except P4RuntimeError as error:
        return error.code, error.message
    return Code.OK, ""


@pytest.mark.parametrize("seed", range(4))
def test_unparsed_updates_have_the_effect_of_parsed_ones(seed: int) -> None:
    rng = random.Random(seed)
    octets, messages = Kit(), Kit()
    whole = valid_entities(octets)
    accepted = 0
    for _ in range(ROUNDS):
        entity = rng.choice(
            [*whole, *(p4r.Entity(table_entry=e) for e in plain_entries(octets, rng) for _ in range(6))]
        )
        data = bytearray(p4r.Update(type=INSERT, entity=entity).SerializeToString())
        if rng.random() < 0.5:
            at = rng.randrange(len(data))
            data[at] = rng.choice([0, 0xFF, data[at] ^ 1 << rng.randrange(8)])
        found = effect(octets, lambda d: octets.store.write_some([d]), bytes(data))
        expected = effect(messages, lambda d: messages.store.write(parse_update(d)), bytes(data))
        assert found == expected, data.hex()
        accepted += found[0] == Code.OK
    assert octets.dataplane.entries == messages.dataplane.entries
    everything = p4r.Entity(table_entry=p4r.TableEntry())
    assert sorted(octets.store.read(everything)) == sorted(messages.store.read(everything))
    assert accepted > ROUNDS // 20


def test_a_value_that_looks_like_the_next_field_is_still_a_value() -> None:
    kit = Kit()
    table = kit.table("stations")
    for address in (0x1A1A1A0A0A0A, 0x1A0A18081A0A, 0x120A08011204):
        entry = kit.station(address)
        assert entry.table_id == table.preamble.id
        kit.insert(entry)
        assert kit.entries(entry) == [entry]


def test_update_that_is_no_message_is_invalid() -> None:
    with pytest.raises(P4RuntimeError, match="INVALID_ARGUMENT"):
        Kit().store.write_some([b"\x08\x01\x12\x7f"])


def test_write_request_with_unparsed_updates_is_the_same_on_the_wire() -> None:
    request = p4r.WriteRequest(
        device_id=7,
        role="r",
        election_id=p4r.Uint128(high=1, low=2),
        atomicity=p4r.WriteRequest.ROLLBACK_ON_ERROR,
    )
    request.updates.add(type=INSERT).entity.table_entry.table_id = 3
    other = WriteRequest.FromString(request.SerializeToString())
    assert (other.device_id, other.role, other.election_id, other.atomicity) == (
        7,
        "r",
        request.election_id,
        request.atomicity,
    )
    assert [parse_update(u) for u in other.updates] == list(request.updates)
