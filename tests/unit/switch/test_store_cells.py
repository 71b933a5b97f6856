"""Counters, meters, registers, value sets, multicast groups and clone sessions (P4Runtime 9.3 to 9.8)."""

from __future__ import annotations

from typing import Any

import pytest
from finsy.proto import p4d, p4r
from store_kit import DELETE, INSERT, MODIFY, Kit

from p4cats.switch import dataplane as dp
from p4cats.switch.errors import Code


@pytest.fixture
def kit() -> Kit:
    return Kit()


def index(number: int) -> p4r.Index:
    return p4r.Index(index=number)


def counter(kit: Kit, number: int | None = None, packets: int | None = None) -> p4r.CounterEntry:
    entry = p4r.CounterEntry(counter_id=kit.id("port_packets"))
    if number is not None:
        entry.index.index = number
    if packets is not None:
        entry.data.packet_count = packets
    return entry


# -- counters ----------------------------------------------------------------------------------


def test_counter_cell_is_set_and_read(kit: Kit) -> None:
    kit.write(MODIFY, counter_entry=counter(kit, 3, 9))
    [cell] = kit.read(counter_entry=counter(kit, 3))
    assert cell.counter_entry.data.packet_count == 9


def test_counter_without_index_means_every_cell(kit: Kit) -> None:
    kit.write(MODIFY, counter_entry=counter(kit, packets=2))
    cells = kit.read(counter_entry=p4r.CounterEntry())
    assert [(c.counter_entry.index.index, c.counter_entry.data.packet_count) for c in cells] == [
        (i, 2) for i in range(16)
    ]


def test_counter_write_without_data_changes_nothing(kit: Kit) -> None:
    kit.write(MODIFY, counter_entry=counter(kit, 3))
    assert not kit.dataplane.counters


@pytest.mark.parametrize(("number", "code"), [(-1, Code.INVALID_ARGUMENT), (16, Code.OUT_OF_RANGE)])
def test_counter_index_outside_is_refused(kit: Kit, number: int, code: Code) -> None:
    assert kit.code(MODIFY, counter_entry=counter(kit, number, 1)) == code
    assert kit.read_code(counter_entry=counter(kit, number)) == code


@pytest.mark.parametrize("kind", [INSERT, DELETE])
def test_objects_that_always_exist_can_only_be_modified(kit: Kit, kind: p4r.Update.Type.ValueType) -> None:
    kit.insert(kit.entry("routes", {1: 1}, kit.action("drop")))
    route = kit.entry("routes", {1: 1})
    for entity in (
        {"counter_entry": counter(kit, 1, 1)},
        {"meter_entry": p4r.MeterEntry(meter_id=kit.id("port_meter"), index=index(0))},
        {"register_entry": p4r.RegisterEntry(register_id=kit.id("last_seen"), index=index(0))},
        {"value_set_entry": p4r.ValueSetEntry(value_set_id=kit.id("known_types"))},
        {"direct_counter_entry": p4r.DirectCounterEntry(table_entry=route)},
    ):
        assert kit.code(kind, **entity) == Code.INVALID_ARGUMENT


def test_unknown_ids_are_not_found(kit: Kit) -> None:
    assert kit.code(MODIFY, counter_entry=p4r.CounterEntry(counter_id=0x12000001)) == Code.NOT_FOUND
    assert kit.code(MODIFY, counter_entry=p4r.CounterEntry()) == Code.INVALID_ARGUMENT
    assert kit.read_code(register_entry=p4r.RegisterEntry(register_id=0x16000001)) == Code.NOT_FOUND


# -- direct counters and meters ----------------------------------------------------------------


def test_direct_counter_of_one_entry_of_a_table_and_of_all_tables(kit: Kit) -> None:
    route = kit.entry("routes", {1: 1})
    kit.insert(kit.entry("routes", {1: 1}, kit.action("drop")))
    kit.insert(kit.entry("routes", {1: 2}, kit.action("drop")))
    written = p4r.DirectCounterEntry(table_entry=route, data=p4r.CounterData(packet_count=5))
    kit.write(MODIFY, direct_counter_entry=written)
    assert [
        e.direct_counter_entry
        for e in kit.read(direct_counter_entry=p4r.DirectCounterEntry(table_entry=route))
    ] == [written]
    for table in (kit.entry("routes"), p4r.TableEntry()):
        found = kit.read(direct_counter_entry=p4r.DirectCounterEntry(table_entry=table))
        assert [e.direct_counter_entry.data.packet_count for e in found] == [5, 0]


def test_direct_counter_of_a_missing_entry_is_not_found(kit: Kit) -> None:
    request = p4r.DirectCounterEntry(table_entry=kit.entry("routes", {1: 1}))
    assert kit.read_code(direct_counter_entry=request) == Code.NOT_FOUND
    assert kit.code(MODIFY, direct_counter_entry=request) == Code.NOT_FOUND


def test_direct_counter_of_a_table_without_one_is_invalid(kit: Kit) -> None:
    request = p4r.DirectCounterEntry(table_entry=kit.entry("stations"))
    assert kit.read_code(direct_counter_entry=request) == Code.INVALID_ARGUMENT


def test_direct_counter_of_the_default_entry(kit: Kit) -> None:
    entry = kit.entry("routes", is_default_action=True)
    data = p4r.CounterData(byte_count=8)
    kit.write(MODIFY, direct_counter_entry=p4r.DirectCounterEntry(table_entry=entry, data=data))
    assert kit.dataplane.direct_counters["I.routes", None, 0] == dp.CounterData(0, 8)


def test_direct_meter_is_configured_and_goes_back_to_green(kit: Kit) -> None:
    entry = kit.entry("acl", {3: 6}, kit.action("mark"), priority=1)
    kit.insert(entry)
    key = kit.entry("acl", {3: 6}, priority=1)
    config = p4r.MeterConfig(cir=1, cburst=2, pir=3, pburst=4)
    kit.write(MODIFY, direct_meter_entry=p4r.DirectMeterEntry(table_entry=key, config=config))
    [found] = kit.read(direct_meter_entry=p4r.DirectMeterEntry())
    assert found.direct_meter_entry == p4r.DirectMeterEntry(table_entry=key, config=config)
    kit.write(MODIFY, direct_meter_entry=p4r.DirectMeterEntry(table_entry=key))
    [found] = kit.read(direct_meter_entry=p4r.DirectMeterEntry())
    assert not found.direct_meter_entry.HasField("config")


# -- meters ------------------------------------------------------------------------------------


def test_meter_reads_back_its_configuration_and_none_where_default(kit: Kit) -> None:
    entry = p4r.MeterEntry(
        meter_id=kit.id("port_meter"), index=index(2), config=p4r.MeterConfig(cir=5, pir=6)
    )
    kit.write(MODIFY, meter_entry=entry)
    assert [e.meter_entry for e in kit.read(meter_entry=p4r.MeterEntry())][2] == entry
    assert kit.dataplane.meters["I.port_meter", 2] == dp.MeterConfig(5, 0, 6, 0)
    entry.ClearField("config")
    kit.write(MODIFY, meter_entry=entry)
    assert kit.dataplane.meters["I.port_meter", 2] is None


@pytest.mark.parametrize("config", [p4r.MeterConfig(cir=-1), p4r.MeterConfig(eburst=1)])
def test_malformed_meter_configuration_is_invalid(kit: Kit, config: p4r.MeterConfig) -> None:
    entry = p4r.MeterEntry(meter_id=kit.id("port_meter"), index=index(0), config=config)
    assert kit.code(MODIFY, meter_entry=entry) == Code.INVALID_ARGUMENT


def test_packets_per_meter_color_are_unimplemented(kit: Kit) -> None:
    entry = p4r.MeterEntry(meter_id=kit.id("port_meter"), index=index(0), counter_data=p4r.MeterCounterData())
    assert kit.code(MODIFY, meter_entry=entry) == Code.UNIMPLEMENTED
    assert kit.read_code(meter_entry=entry) == Code.UNIMPLEMENTED
    direct = p4r.DirectMeterEntry(table_entry=kit.entry("acl"), counter_data=p4r.MeterCounterData())
    assert kit.read_code(direct_meter_entry=direct) == Code.UNIMPLEMENTED


# -- registers ---------------------------------------------------------------------------------


def test_register_of_bits_and_of_structs(kit: Kit) -> None:
    bits = p4r.RegisterEntry(
        register_id=kit.id("last_seen"), index=index(1), data=p4d.P4Data(bitstring=b"\0\0\xff\xff\xff\xff")
    )
    kit.write(MODIFY, register_entry=bits)
    assert kit.dataplane.registers["I.last_seen", 1] == 0xFFFFFFFF
    members = [p4d.P4Data(bitstring=b"\x07"), p4d.P4Data(bitstring=b"\x01")]
    cell = p4r.RegisterEntry(
        register_id=kit.id("cells"), index=index(0), data=p4d.P4Data(struct=p4d.P4StructLike(members=members))
    )
    kit.write(MODIFY, register_entry=cell)
    assert kit.dataplane.registers["I.cells", 0] == (7, 1)
    first, *_ = kit.read(register_entry=p4r.RegisterEntry(register_id=kit.id("cells")))
    assert first.register_entry == cell


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (p4d.P4Data(bool=True), Code.INVALID_ARGUMENT),
        (p4d.P4Data(struct=p4d.P4StructLike()), Code.INVALID_ARGUMENT),
        (p4d.P4Data(), Code.INVALID_ARGUMENT),
        (p4d.P4Data(bitstring=b"\x01\0\0\0\0"), Code.OUT_OF_RANGE),
    ],
)
def test_register_data_of_another_type_is_refused(kit: Kit, data: p4d.P4Data, code: Code) -> None:
    entry = p4r.RegisterEntry(register_id=kit.id("last_seen"), index=index(0), data=data)
    assert kit.code(MODIFY, register_entry=entry) == code


# -- value sets --------------------------------------------------------------------------------


def value_set(kit: Kit, *values: int) -> p4r.ValueSetEntry:
    entry = p4r.ValueSetEntry(value_set_id=kit.id("known_types"))
    for value in values:
        entry.members.add().match.add(field_id=1).exact.value = value.to_bytes(2, "big")
    return entry


def test_value_set_is_replaced_as_a_whole(kit: Kit) -> None:
    kit.write(MODIFY, value_set_entry=value_set(kit, 0x0800, 0x86DD))
    kit.write(MODIFY, value_set_entry=value_set(kit, 0x8847))
    assert kit.dataplane.value_sets["P.known_types"] == [(dp.Exact(0x8847),)]
    assert [e.value_set_entry for e in kit.read(value_set_entry=p4r.ValueSetEntry())] == [
        value_set(kit, 0x8847)
    ]


def test_value_set_errors(kit: Kit) -> None:
    assert kit.code(MODIFY, value_set_entry=value_set(kit, 1, 2, 3, 4, 5)) == Code.RESOURCE_EXHAUSTED
    assert kit.code(MODIFY, value_set_entry=value_set(kit, 1, 1)) == Code.ALREADY_EXISTS
    assert kit.read_code(value_set_entry=value_set(kit, 1)) == Code.INVALID_ARGUMENT


# -- replication -------------------------------------------------------------------------------


def pre(**entry: object) -> dict[str, object]:
    return {"packet_replication_engine_entry": p4r.PacketReplicationEngineEntry(**entry)}


def multicast(id_: int, *replicas: tuple[int, int], **fields: object) -> dict[str, object]:
    group = p4r.MulticastGroupEntry(multicast_group_id=id_, **fields)
    for port, instance in replicas:
        group.replicas.add(port=bytes([port]), instance=instance)
    return pre(multicast_group_entry=group)


def clone(id_: int, *ports: int, **fields: object) -> dict[str, object]:
    session = p4r.CloneSessionEntry(session_id=id_, **fields)
    for port in ports:
        session.replicas.add(egress_port=port)
    return pre(clone_session_entry=session)


def test_multicast_group_lives_and_dies(kit: Kit) -> None:
    kit.write(INSERT, **multicast(1, (1, 0), (2, 5), metadata=b"m"))
    assert kit.dataplane.multicast[1] == [dp.Replica(1, 0), dp.Replica(2, 5)]
    assert kit.code(INSERT, **multicast(1)) == Code.ALREADY_EXISTS
    assert kit.code(MODIFY, **multicast(2)) == Code.NOT_FOUND
    [found] = kit.read(**multicast(0))
    assert found == p4r.Entity(**multicast(1, (1, 0), (2, 5), metadata=b"m"))
    kit.write(DELETE, **multicast(1))
    assert kit.read(**multicast(0)) == []
    assert kit.code(DELETE, **multicast(1)) == Code.NOT_FOUND


def test_malformed_multicast_groups_are_invalid(kit: Kit) -> None:
    assert kit.code(INSERT, **multicast(0)) == Code.INVALID_ARGUMENT
    assert kit.code(INSERT, **multicast(1, (1, 1), (1, 1))) == Code.INVALID_ARGUMENT
    assert kit.code(INSERT, **multicast(1, (1, 1 << 16))) == Code.INVALID_ARGUMENT
    assert kit.code(INSERT, **pre()) == Code.INVALID_ARGUMENT
    for own, *backups in ((1, 1), (1, 2, 2), (1, 0x200)):
        group = p4r.MulticastGroupEntry(multicast_group_id=1)
        replica = group.replicas.add(port=bytes([own]))
        for port in backups:
            replica.backup_replicas.add(port=port.to_bytes(2, "big"), instance=1)
        assert kit.code(INSERT, **pre(multicast_group_entry=group)) == Code.INVALID_ARGUMENT


@pytest.mark.parametrize("kind", ["multicast", "clones"])
def test_backup_stands_in_for_a_replica_while_its_port_is_down(kit: Kit, kind: str) -> None:
    entry: Any = p4r.MulticastGroupEntry(multicast_group_id=1)
    if kind == "clones":
        entry = p4r.CloneSessionEntry(session_id=1, packet_length_bytes=9)
    entry.replicas.add(port=b"\x04", instance=9)
    replica = entry.replicas.add(port=b"\x01", instance=1)
    for port in (2, 3):
        replica.backup_replicas.add(port=bytes([port]), instance=port)
    request = pre(**{"multicast_group_entry" if kind == "multicast" else "clone_session_entry": entry})
    kit.ports.down = {2}
    kit.write(INSERT, **request)

    def used() -> dp.Replica:
        found: Any = getattr(kit.dataplane, kind)[1]
        replicas = found if kind == "multicast" else found[0]
        assert replicas[0] == dp.Replica(4, 9)
        return replicas[1]

    def set_down(*ports: int) -> dp.Replica:
        changed = kit.ports.down ^ {*ports}
        kit.ports.down = {*ports}
        for port in changed:
            kit.store.port_changed(port)
        return used()

    assert used() == dp.Replica(1, 1)
    assert set_down(1, 2) == dp.Replica(3, 3)
    assert set_down(1) == dp.Replica(2, 2)
    assert set_down(1, 2, 3) == dp.Replica(1, 1)
    assert set_down() == dp.Replica(1, 1)
    assert kit.read(**request) == [p4r.Entity(**request)]


def test_clone_session_reads_back_as_written_with_the_cpu_port_by_its_sdn_number(kit: Kit) -> None:
    kit.write(INSERT, **clone(3, 0xFFFFFFFD, packet_length_bytes=64))
    assert kit.dataplane.clones[3] == ([dp.Replica(510, 0)], 64)
    [found] = kit.read(**clone(0))
    assert found == p4r.Entity(**clone(3, 0xFFFFFFFD, packet_length_bytes=64))


def test_malformed_clone_sessions_are_invalid(kit: Kit) -> None:
    assert kit.code(INSERT, **clone(0, 1)) == Code.INVALID_ARGUMENT
    assert kit.code(INSERT, **clone(1, 1, class_of_service=1)) == Code.INVALID_ARGUMENT
    assert kit.code(INSERT, **clone(1, 1, packet_length_bytes=-1)) == Code.INVALID_ARGUMENT
    assert kit.code(INSERT, **clone(1, 512)) == Code.INVALID_ARGUMENT


def test_externs_without_entities_of_their_own_are_unimplemented(kit: Kit) -> None:
    assert kit.code(INSERT, extern_entry=p4r.ExternEntry()) == Code.UNIMPLEMENTED
    assert kit.read_code(extern_entry=p4r.ExternEntry()) == Code.UNIMPLEMENTED
    assert kit.read_code() == Code.INVALID_ARGUMENT
