"""A table entry as it is stored, and the filters of wildcard reads (P4Runtime section 9.1.4)."""

from __future__ import annotations

from collections.abc import Callable

from finsy.proto import p4r

from p4cats.switch import dataplane as dp
from p4cats.switch.errors import invalid
from p4cats.switch.profiles import OneShot
from p4cats.switch.schema import TableSchema
from p4cats.switch.wire import unframe_table_entry

EntryKey = tuple[dp.Key, int]
"""Match and priority."""


class Record:
    """An entry as it is stored; `wire` is its framed read form without what the data plane holds."""

    __slots__ = ("const", "idle_ns", "key", "meter", "one_shot", "priority", "release", "target", "wire")

    def __init__(self, key: dp.Key, priority: int, target: dp.Target, wire: bytes) -> None:
        self.key = key
        self.priority = priority
        self.target = target
        self.wire = wire
        self.const = False
        self.idle_ns = 0
        self.meter: bytes | None = None
        self.one_shot: OneShot | None = None
        self.release: Callable[[], None] | None = None


Filter = Callable[[Record], bool]


def entry_filter(table: TableSchema, request: p4r.TableEntry) -> Filter | None:
    """What a read request wants of entries besides their match; None: nothing."""
    tests: list[Filter] = []
    if request.priority:
        tests.append(lambda r: r.priority == request.priority)
    if request.HasField("action"):
        tests.append(_action_filter(table, request.action))
    if request.metadata or request.controller_metadata:
        tests.append(_metadata_filter(request))
    if not tests:
        return None
    return lambda record: all(test(record) for test in tests)


def _metadata_filter(request: p4r.TableEntry) -> Filter:
    def accept(record: Record) -> bool:
        entry = unframe_table_entry(record.wire)
        return request.metadata in (b"", entry.metadata) and request.controller_metadata in (
            0,
            entry.controller_metadata,
        )

    return accept


def _action_filter(table: TableSchema, action: p4r.TableAction) -> Filter:
    match action.WhichOneof("type"):
        case "action":
            wanted = table.actions.get(action.action.action_id)
            if wanted is None and action.action.action_id:
                raise invalid(f"table {table.name} has no action with id {action.action.action_id:#010x}")
            return lambda r: (
                wanted is None or (isinstance(r.target, dp.ActionCall) and r.target.action == wanted.name)
            )
        case "action_profile_member_id":
            return lambda r: r.target == dp.MemberRef(action.action_profile_member_id)
        case "action_profile_group_id":
            return lambda r: r.target == dp.GroupRef(action.action_profile_group_id)
        case _:
            return lambda r: True


__all__ = ["EntryKey", "Record", "entry_filter"]
