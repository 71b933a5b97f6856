"""Section 12.2: batches that are undone when an update is refused leave everything as it was."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from finsy.proto import p4r
from store_kit import DELETE, INSERT, MODIFY, Kit
from test_store_fuzz import REQUESTS, mutate, refusal, valid_entities

from p4cats.switch.batch import write_batch
from p4cats.switch.errors import Code, P4RuntimeError
from p4cats.switch.roles import RoleConfig

BATCHES = 120
ROLLBACK = p4r.WriteRequest.ROLLBACK_ON_ERROR
DEFAULTS = p4r.Entity(table_entry=p4r.TableEntry(is_default_action=True, counter_data={}, meter_config={}))
REFUSED = p4r.Update(type=INSERT)


def write(kit: Kit, *updates: p4r.Update, mode: int = ROLLBACK) -> list[P4RuntimeError | None]:
    serialised = [update.SerializeToString() for update in updates]
    return asyncio.run(write_batch(serialised, kit.store, RoleConfig(p4r.Role()), "", mode))


def readable(kit: Kit) -> list[list[bytes]]:
    """All that a controller can read, in no order."""
    return [sorted(kit.store.read(request)) for request in (*REQUESTS, DEFAULTS)]


def programmed(kit: Kit) -> dict[str, Any]:
    """What the data plane was told in the end, without cells that hold nothing and private numbers."""
    plane = kit.dataplane
    return {
        "entries": {k: e for k, e in plane.entries.items() if k[0] != "I.balanced"},
        "balanced": sum(k[0] == "I.balanced" for k in plane.entries),
        "members": sorted(plane.members.values(), key=repr),
        "groups": len(plane.groups),
        "counters": {k: v for k, v in plane.counters.items() if v.packets or v.bytes},
        "meters": {k: v for k, v in plane.meters.items() if v is not None},
        "registers": {k: v for k, v in plane.registers.items() if v not in (0, (0, 0))},
        "multicast": {k: v for k, v in plane.multicast.items() if v},
        "clones": {k: v for k, v in plane.clones.items() if v[0]},
        "value sets": {k: v for k, v in plane.value_sets.items() if v},
    }


@pytest.mark.parametrize("seed", range(6))
def test_refused_batch_leaves_everything_as_it_was(seed: int) -> None:
    rng = random.Random(seed)
    kit = Kit()
    entities = valid_entities(kit)
    for _ in range(BATCHES):
        batch = []
        for _ in range(rng.randint(1, 8)):
            update = p4r.Update(
                type=rng.choice([INSERT, INSERT, MODIFY, DELETE]), entity=rng.choice(entities)
            )
            if rng.random() < 0.3:
                mutate(update, rng)
            batch.append(update)
        before, below = readable(kit), programmed(kit)
        errors = write(kit, *batch, REFUSED)
        assert len(errors) == len(batch) + 1
        assert all(e is not None and e.message for e in errors)
        assert [e.code for e in errors if e is not None].count(Code.ABORTED) == len(batch)
        assert readable(kit) == before, batch
        assert programmed(kit) == below, batch
        for update in batch:  # so that the next batch meets another state
            refusal(lambda update=update: kit.store.write(update))


def test_error_tells_what_became_of_the_other_updates() -> None:
    kit = Kit()
    station = p4r.Update(type=INSERT, entity=p4r.Entity(table_entry=kit.station(1)))
    first, second, third = write(kit, station, REFUSED, station)
    assert first is not None
    assert "undone" in first.message
    assert second is not None
    assert second.code == Code.INVALID_ARGUMENT
    assert third is not None
    assert "not tried" in third.message


def test_counts_and_meters_of_an_entry_come_back_with_it() -> None:
    kit = Kit()
    acl = kit.entry("acl", {3: 6}, kit.action("drop"), priority=4, meter_config=p4r.MeterConfig(cir=1, pir=2))
    route = kit.entry("routes", {1: 1}, kit.action("drop"), counter_data={"packet_count": 7})
    kit.insert(acl)
    kit.insert(route)
    before = readable(kit)
    write(kit, *(p4r.Update(type=DELETE, entity=p4r.Entity(table_entry=e)) for e in (acl, route)), REFUSED)
    assert readable(kit) == before


def test_direct_counter_and_meter_written_by_themselves_come_back() -> None:
    kit = Kit()
    acl, route = kit.entry("acl", {3: 6}, kit.action("drop"), priority=4), kit.entry("routes", {1: 1})
    acl.meter_config.cir = acl.meter_config.pir = 3
    route.action.action.CopyFrom(kit.action("drop"))
    route.counter_data.packet_count = 7
    kit.insert(acl)
    kit.insert(route)
    before = readable(kit)
    counter = p4r.DirectCounterEntry(table_entry=kit.entry("routes", {1: 1}), data={"packet_count": 1})
    default = p4r.DirectCounterEntry(table_entry=kit.entry("routes", is_default_action=True), data={})
    default.data.byte_count = 3
    meter = p4r.DirectMeterEntry(table_entry=kit.entry("acl", {3: 6}, priority=4))
    write(
        kit,
        p4r.Update(type=MODIFY, entity=p4r.Entity(direct_counter_entry=counter)),
        p4r.Update(type=MODIFY, entity=p4r.Entity(direct_counter_entry=default)),
        p4r.Update(type=MODIFY, entity=p4r.Entity(direct_meter_entry=meter)),
        REFUSED,
    )
    assert readable(kit) == before


def test_batch_without_refusal_stays() -> None:
    kit = Kit()
    for mode in p4r.WriteRequest.Atomicity.values():
        station = p4r.Update(type=INSERT, entity=p4r.Entity(table_entry=kit.station(mode)))
        assert write(kit, station, mode=mode) == []
    assert len(kit.entries(kit.entry("stations"))) == 3
