"""Mutated updates: whatever a controller sends, the answer is a canonical code and a reason, and a refused
update changes nothing that can be read (in the manner of sonic-pins' p4_fuzzer)."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from finsy.proto import p4d, p4r
from google.protobuf.descriptor import FieldDescriptor as F
from store_kit import DELETE, INSERT, MODIFY, Kit

from p4cats.switch.errors import Code, P4RuntimeError

ROUNDS = 400


def valid_entities(kit: Kit) -> list[p4r.Entity]:
    """One of each kind, with most fields set."""
    way = kit.action("forward", 1)
    one_shot = kit.entry("balanced", {1: (0x0A000000, 8)})
    one_shot.action.action_profile_action_set.action_profile_actions.add(action=way, weight=2)
    ways = kit.id("ways")
    group = p4r.ActionProfileGroup(action_profile_id=ways, group_id=1, max_size=2)
    group.members.add(member_id=1, weight=1, watch_port=b"\x01")
    replication = p4r.PacketReplicationEngineEntry()
    replication.multicast_group_entry.multicast_group_id = 1
    replication.multicast_group_entry.replicas.add(port=b"\x01", instance=1)
    clone = p4r.PacketReplicationEngineEntry()
    clone.clone_session_entry.session_id = 1
    clone.clone_session_entry.replicas.add(egress_port=2)
    value_set = p4r.ValueSetEntry(value_set_id=kit.id("known_types"))
    value_set.members.add().match.add(field_id=1).exact.value = b"\x08\x00"
    digest = p4r.DigestEntry(digest_id=kit.id("learn_t"))
    digest.config.max_list_size = 1
    members = p4d.P4StructLike(members=[p4d.P4Data(bitstring=b"\x01")] * 2)
    index = p4r.Index(index=1)
    acl = kit.entry(
        "acl",
        {1: ("mask", 2, 6), 2: ("range", 1, 9), 3: 6},
        kit.action("drop"),
        priority=4,
        meter_config=p4r.MeterConfig(cir=1, pir=2),
    )
    default = kit.entry("stations", action=kit.action("flood", 2), is_default_action=True)
    learned = kit.entry("learned", {1: 4}, kit.action("NoAction"), idle_timeout_ns=9)
    routed = kit.entry("routes", {1: 1, 2: (0x0A000000, 8)}, kit.action("rewrite", 5, 1))
    return [
        p4r.Entity(
            action_profile_member=p4r.ActionProfileMember(action_profile_id=ways, member_id=1, action=way)
        ),
        p4r.Entity(action_profile_group=group),
        *(p4r.Entity(table_entry=e) for e in (kit.station(1), acl, default, learned, routed, one_shot)),
        p4r.Entity(counter_entry=p4r.CounterEntry(counter_id=kit.id("port_packets"), index=index)),
        p4r.Entity(meter_entry=p4r.MeterEntry(meter_id=kit.id("port_meter"), index=index)),
        p4r.Entity(
            register_entry=p4r.RegisterEntry(
                register_id=kit.id("cells"), index=index, data=p4d.P4Data(struct=members)
            )
        ),
        p4r.Entity(direct_counter_entry=p4r.DirectCounterEntry(table_entry=kit.entry("routes", {1: 1}))),
        p4r.Entity(direct_meter_entry=p4r.DirectMeterEntry(table_entry=kit.entry("acl", {3: 6}, priority=4))),
        p4r.Entity(packet_replication_engine_entry=replication),
        p4r.Entity(packet_replication_engine_entry=clone),
        p4r.Entity(value_set_entry=value_set),
        p4r.Entity(digest_entry=digest),
    ]


def mutate(message: Any, rng: random.Random) -> None:
    """Change one field somewhere in a message: set, clear, repeat or drop it."""
    set_fields = [f for f, _ in message.ListFields()]
    deeper = [f for f in set_fields if f.type == F.TYPE_MESSAGE]
    if deeper and rng.random() < 0.7:
        field = rng.choice(deeper)
        value = getattr(message, field.name)
        mutate(rng.choice(value) if field.is_repeated else value, rng)
        return
    field = rng.choice(message.DESCRIPTOR.fields)
    if field.is_repeated:
        values = getattr(message, field.name)
        if len(values) and rng.random() < 0.5:
            values.append(values[0])
        elif len(values):
            del values[0]
        elif field.type == F.TYPE_MESSAGE:
            values.add()
    elif field.type == F.TYPE_MESSAGE:
        getattr(message, field.name).SetInParent()
    elif rng.random() < 0.3:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, scalar(field, rng))


def scalar(field: Any, rng: random.Random) -> object:
    match field.type:
        case F.TYPE_BYTES:
            return rng.choice([b"", b"\0", b"\x01", b"\0\0\x01", b"\xff" * 9, rng.randbytes(4)])
        case F.TYPE_STRING:
            return rng.choice(["", "x"])
        case F.TYPE_BOOL:
            return rng.random() < 0.5
        case F.TYPE_ENUM:
            return rng.choice([0, 1, 2, 99])
        case F.TYPE_UINT32 | F.TYPE_UINT64:
            return rng.choice([0, 1, 2, 510, 0x02000001, 0xFFFFFFFF])
        case F.TYPE_DOUBLE | F.TYPE_FLOAT:
            return 0.5
        case _:
            return rng.choice([0, 1, 2, -1, 31, 33, 0x7FFFFFFF])


REQUESTS = [
    p4r.Entity(table_entry=p4r.TableEntry(counter_data={}, meter_config={})),
    p4r.Entity(action_profile_member=p4r.ActionProfileMember()),
    p4r.Entity(action_profile_group=p4r.ActionProfileGroup()),
    p4r.Entity(counter_entry=p4r.CounterEntry()),
    p4r.Entity(meter_entry=p4r.MeterEntry()),
    p4r.Entity(register_entry=p4r.RegisterEntry()),
    p4r.Entity(value_set_entry=p4r.ValueSetEntry()),
    p4r.Entity(digest_entry=p4r.DigestEntry()),
    p4r.Entity(packet_replication_engine_entry={"multicast_group_entry": {}}),
    p4r.Entity(packet_replication_engine_entry={"clone_session_entry": {}}),
]


def refusal(request: Callable[[], object]) -> P4RuntimeError | None:
    """How a request is refused, if it is."""
    try:
        request()
    except P4RuntimeError as error:
        return error
    return None


def state(kit: Kit) -> list[bytes]:
    return [b"".join(kit.store.read(r)) for r in REQUESTS]


@pytest.mark.parametrize("seed", range(10))
def test_mutated_updates_are_answered_with_reasons_and_refused_ones_change_nothing(seed: int) -> None:
    rng = random.Random(seed)
    kit = Kit()
    entities = valid_entities(kit)
    seen = set()
    for _ in range(ROUNDS):
        update = p4r.Update(type=rng.choice([INSERT, INSERT, MODIFY, DELETE]), entity=rng.choice(entities))
        for _ in range(rng.choice([0, 1, 1, 2])):
            mutate(update, rng)
        before = state(kit)
        error = refusal(lambda update=update: kit.store.write(update))
        seen.add(Code.OK if error is None else error.code)
        if error is not None:
            assert error.message, update
            assert state(kit) == before, update
    assert {Code.OK, Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.ALREADY_EXISTS} <= seen
    assert Code.INTERNAL not in seen


@pytest.mark.parametrize("seed", range(5))
def test_mutated_reads_are_answered_or_refused_with_reasons(seed: int) -> None:
    rng = random.Random(seed)
    kit = Kit()
    for entity in valid_entities(kit):
        for kind in (INSERT, MODIFY):
            update = p4r.Update(type=kind, entity=entity)
            refusal(lambda update=update: kit.store.write(update))
    for _ in range(ROUNDS):
        request = p4r.Entity()
        request.CopyFrom(rng.choice(valid_entities(kit)))
        for _ in range(rng.choice([0, 1, 2])):
            mutate(request, rng)
        error = refusal(lambda request=request: b"".join(kit.store.read(request)))
        assert error is None or error.message, request
