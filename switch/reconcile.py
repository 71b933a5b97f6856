"""Carry the state of one pipeline over to another (RECONCILE_AND_COMMIT, P4Runtime section 7)."""

from __future__ import annotations

from collections.abc import Iterator

from finsy.proto import p4r

from p4cats.switch.errors import P4RuntimeError, invalid
from p4cats.switch.store import Store


def carry_over(old: Store, new: Store) -> None:
    """Write everything that controllers and packets left in `old` into `new`.

    INVALID_ARGUMENT where the new program has no place for it.
    """
    for kind, entity in _state(old, new):
        try:
            new.write(p4r.Update(type=kind, entity=entity))
        except P4RuntimeError as error:
            what = entity.WhichOneof("entity")
            raise invalid(f"the state cannot be kept: {what}: {error.message}") from error


def _state(store: Store, new: Store) -> Iterator[tuple[p4r.Update.Type.ValueType, p4r.Entity]]:
    """Updates in an order in which each finds what it refers to."""
    insert, modify = p4r.Update.INSERT, p4r.Update.MODIFY
    for entity in _read(store, p4r.Entity(action_profile_member=p4r.ActionProfileMember())):
        yield insert, entity
    for entity in _read(store, p4r.Entity(action_profile_group=p4r.ActionProfileGroup())):
        yield insert, entity
    wanted = p4r.TableEntry(counter_data=p4r.CounterData(), meter_config=p4r.MeterConfig())
    for entity in _read(store, p4r.Entity(table_entry=wanted)):
        there = new.has_entry(entity.table_entry)
        if not entity.table_entry.is_const:
            yield modify if there else insert, entity
        elif there:  # what packets counted by it, and its meter
            for image in store.tables[entity.table_entry.table_id].images(entity.table_entry):
                yield modify, image
    for table_id, table in store.tables.items():
        if table.default_changed:
            for image in table.images(p4r.TableEntry(table_id=table_id, is_default_action=True)):
                yield modify, image
    multicast, clone = p4r.PacketReplicationEngineEntry(), p4r.PacketReplicationEngineEntry()
    multicast.multicast_group_entry.SetInParent()
    clone.clone_session_entry.SetInParent()
    for replication in (multicast, clone):
        for entity in _read(store, p4r.Entity(packet_replication_engine_entry=replication)):
            yield insert, entity
    for entity in _read(store, p4r.Entity(digest_entry=p4r.DigestEntry())):
        yield insert, entity
    for request in (
        p4r.Entity(counter_entry=p4r.CounterEntry()),
        p4r.Entity(meter_entry=p4r.MeterEntry()),
        p4r.Entity(register_entry=p4r.RegisterEntry()),
        p4r.Entity(value_set_entry=p4r.ValueSetEntry()),
    ):
        for entity in _read(store, request):
            yield modify, entity


def _read(store: Store, request: p4r.Entity) -> Iterator[p4r.Entity]:
    for framed in store.read(request):
        yield from p4r.ReadResponse.FromString(framed).entities


__all__ = ["carry_over"]
