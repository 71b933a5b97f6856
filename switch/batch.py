"""Batches of updates: what happens to a Write when one of its updates is refused (P4Runtime section 12.2).

    CONTINUE_ON_ERROR    every update is tried
    ROLLBACK_ON_ERROR    the first refusal ends the batch, and what was done before it is undone
    DATAPLANE_ATOMIC     the same, and packets see all of the batch or none of it

Undoing needs no second book-keeping: before an update is carried out, the object that it names is read,
and the update that brings it back is remembered. What packets did meanwhile to an object that is brought
back (a count, a meter's bucket, the time of a last hit) may be lost with it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

from finsy.proto import p4r

from p4cats.switch.errors import Code, P4RuntimeError, invalid, unimplemented
from p4cats.switch.roles import RoleConfig, written_ids
from p4cats.switch.store import Store
from p4cats.switch.wire import parse_update

logger = logging.getLogger("p4cats.switch")

SLICE_S = 0.002
"""How long a request works before packets get the loop again."""
SLICE_UPDATES = 32
"""Objects of a request between two looks at the clock."""

_REQUEST = p4r.WriteRequest
_INSERT, _MODIFY, _DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE


def check_atomicity(atomicity: int, target_is_atomic: bool) -> None:
    """Refuse an atomicity that does not exist, or that the target does not have."""
    if atomicity not in _REQUEST.Atomicity.values():
        raise invalid(f"atomicity {atomicity} is unknown")
    if atomicity == _REQUEST.DATAPLANE_ATOMIC and not target_is_atomic:
        raise unimplemented("atomicity DATAPLANE_ATOMIC: packets run beside the updates of this target")


async def write_batch(
    updates: Sequence[bytes], store: Store, role: RoleConfig, name: str, atomicity: int
) -> list[P4RuntimeError | None]:
    """Carry out the serialised updates of a batch; one place per update, or nothing where all went well."""
    restricted = role.config is not None
    reversible = atomicity != _REQUEST.CONTINUE_ON_ERROR
    undo: list[p4r.Update] = []

    def write_one(some: Sequence[bytes]) -> int:
        update = parse_update(some[0])
        if restricted:
            role.check_write(name, written_ids(update.entity))
        back = inverse(store, update) if reversible else []
        store.write(update)
        undo.extend(back)
        return 1

    write = write_one if restricted or reversible else store.write_some
    errors: dict[int, P4RuntimeError] = {}
    until = time.perf_counter() + SLICE_S
    at = 0
    while at < len(updates):
        done = 1
        try:
            done = write(updates[at : at + SLICE_UPDATES])
        except P4RuntimeError as refused:
            errors[at] = refused
        except Exception as broken:
            logger.exception("internal error in a write")
            errors[at] = P4RuntimeError(Code.INTERNAL, f"internal error: {broken!r}")
        if errors and reversible:
            _roll_back(store, undo)
            return _aborted(len(updates), at, errors[at])
        at += done
        if time.perf_counter() >= until and atomicity != _REQUEST.DATAPLANE_ATOMIC:
            await asyncio.sleep(0)
            until = time.perf_counter() + SLICE_S
    if not errors:
        return []
    places: list[P4RuntimeError | None] = [None] * len(updates)
    for index, error in errors.items():
        places[index] = error
    return places


def _aborted(count: int, failed: int, error: P4RuntimeError) -> list[P4RuntimeError | None]:
    undone = P4RuntimeError(Code.ABORTED, f"undone, because update #{failed} was refused")
    untried = P4RuntimeError(Code.ABORTED, f"not tried, because update #{failed} was refused")
    return [*[undone] * failed, error, *[untried] * (count - failed - 1)]


def _roll_back(store: Store, undo: Sequence[p4r.Update]) -> None:
    for update in reversed(undo):
        store.write(update)


def inverse(store: Store, update: p4r.Update) -> list[p4r.Update]:
    """Updates that bring back what an update is about to change; none for an update that will be refused."""
    entity = update.entity
    which = entity.WhichOneof("entity")
    try:
        match which:
            case "table_entry":
                table = store.tables.get(entity.table_entry.table_id)
                return [] if table is None else _back(update.type, table.images(entity.table_entry), entity)
            case "direct_counter_entry" | "direct_meter_entry":
                key = getattr(entity, which).table_entry
                table = store.tables.get(key.table_id)
                images = [] if table is None else table.images(key)
                return [_direct_image(which, image) for image in images]
            case "value_set_entry" | "register_entry" | "counter_entry" | "meter_entry":
                return [p4r.Update(type=_MODIFY, entity=image) for image in _read(store, _key(entity))]
            case _:
                return _back(update.type, _read(store, _key(entity)), entity)
    except P4RuntimeError:
        return []


def _back(kind: int, images: Iterable[p4r.Entity], entity: p4r.Entity) -> list[p4r.Update]:
    """Undo INSERT by DELETE, DELETE by INSERT, MODIFY by MODIFY to what was there."""
    if kind == _INSERT:
        return [p4r.Update(type=_DELETE, entity=entity)]
    back = _MODIFY if kind == _MODIFY else _INSERT
    return [p4r.Update(type=back, entity=image) for image in images]


def _direct_image(which: str, image: p4r.Entity) -> p4r.Update:
    entry = image.table_entry
    key = p4r.TableEntry(
        table_id=entry.table_id,
        match=entry.match,
        priority=entry.priority,
        is_default_action=entry.is_default_action,
    )
    back = p4r.Update(type=_MODIFY)
    if which == "direct_counter_entry":
        back.entity.direct_counter_entry.table_entry.CopyFrom(key)
        back.entity.direct_counter_entry.data.CopyFrom(entry.counter_data)
    else:
        back.entity.direct_meter_entry.table_entry.CopyFrom(key)
        if entry.HasField("meter_config"):
            back.entity.direct_meter_entry.config.CopyFrom(entry.meter_config)
    return back


_KEYS = {
    "action_profile_member": ("action_profile_id", "member_id"),
    "action_profile_group": ("action_profile_id", "group_id"),
    "counter_entry": ("counter_id", "index"),
    "meter_entry": ("meter_id", "index"),
    "register_entry": ("register_id", "index"),
    "value_set_entry": ("value_set_id",),
    "digest_entry": ("digest_id",),
    "multicast_group_entry": ("multicast_group_id",),
    "clone_session_entry": ("session_id",),
}
"""Fields that name an object; the others say what it is like."""


def _key(entity: p4r.Entity) -> p4r.Entity:
    """A read request for the object that an update names; an empty one where it names none."""
    request = p4r.Entity()
    which: str = entity.WhichOneof("entity") or ""
    source: Any = getattr(entity, which, None)
    place: Any = getattr(request, which, None)
    if which == "packet_replication_engine_entry":
        which = source.WhichOneof("type") or ""
        source, place = getattr(source, which, None), getattr(place, which, None)
    for name in _KEYS.get(which, ()):
        value = getattr(source, name)
        if name == "index":
            if source.HasField("index"):
                place.index.CopyFrom(value)
        elif not value:
            raise invalid("0 names no object")
        else:
            setattr(place, name, value)
    return request


def _read(store: Store, request: p4r.Entity) -> list[p4r.Entity]:
    return [e for framed in store.read(request) for e in p4r.ReadResponse.FromString(framed).entities]


__all__ = ["SLICE_S", "SLICE_UPDATES", "check_atomicity", "inverse", "write_batch"]
