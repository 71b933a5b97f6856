"""A store over a fake data plane, and P4Runtime messages built by name, for the tests of rules."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from finsy.proto import p4i, p4r

from p4cats.switch import dataplane as dp
from p4cats.switch.errors import Code, P4RuntimeError
from p4cats.switch.pipeline import Program
from p4cats.switch.programs import compile_pipeline
from p4cats.switch.store import Store

EVERYTHING = Path(__file__).with_name("everything.p4")

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE


@functools.cache
def everything() -> Program:
    """The program with every kind of object, compiled once."""
    return compile_pipeline(EVERYTHING)


class FakeDataPlane:
    """Remembers what a data plane is told, and answers reads from it."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, dp.Key, int], dp.TableEntry] = {}
        self.defaults: dict[str, dp.ActionCall | None] = {}
        self.members: dict[tuple[str, int], dp.ActionCall] = {}
        self.groups: dict[tuple[str, int], list[int]] = {}
        self.value_sets: dict[str, list[dp.Key]] = {}
        self.counters: dict[tuple[str, int], dp.CounterData] = {}
        self.direct_counters: dict[tuple[str, dp.Key | None, int], dp.CounterData] = {}
        self.meters: dict[tuple[str, int], dp.MeterConfig | None] = {}
        self.direct_meters: dict[tuple[str, dp.Key | None, int], dp.MeterConfig | None] = {}
        self.registers: dict[tuple[str, int], object] = {}
        self.multicast: dict[int, list[dp.Replica]] = {}
        self.clones: dict[int, tuple[list[dp.Replica], int]] = {}
        self.packets_out: list[bytes] = []

    def insert_entry(self, table: str, entry: dp.TableEntry) -> None:
        assert (table, entry.key, entry.priority) not in self.entries
        self.entries[table, entry.key, entry.priority] = entry

    def insert_entries(self, table: str, entries: Sequence[dp.TableEntry]) -> None:
        for entry in entries:
            self.insert_entry(table, entry)

    def modify_entry(self, table: str, entry: dp.TableEntry) -> None:
        self.entries[table, entry.key, entry.priority] = entry

    def delete_entry(self, table: str, key: dp.Key, priority: int) -> None:
        del self.entries[table, key, priority]

    def set_default(self, table: str, call: dp.ActionCall | None) -> None:
        self.defaults[table] = call

    def time_since_hit_ns(self, table: str, key: dp.Key, priority: int) -> int:
        return 7

    def set_member(self, profile: str, member_id: int, call: dp.ActionCall) -> None:
        self.members[profile, member_id] = call

    def delete_member(self, profile: str, member_id: int) -> None:
        assert not any(member_id in g for (p, _), g in self.groups.items() if p == profile)
        del self.members[profile, member_id]

    def set_group(self, profile: str, group_id: int, members: Sequence[int]) -> None:
        assert all((profile, m) in self.members for m in members)
        self.groups[profile, group_id] = list(members)

    def delete_group(self, profile: str, group_id: int) -> None:
        del self.groups[profile, group_id]

    def set_value_set(self, name: str, members: Sequence[dp.Key]) -> None:
        self.value_sets[name] = list(members)

    def read_counter(self, name: str, index: int) -> dp.CounterData:
        return self.counters.get((name, index), dp.CounterData())

    def write_counter(self, name: str, index: int, data: dp.CounterData) -> None:
        self.counters[name, index] = data

    def read_direct_counter(self, table: str, key: dp.Key | None, priority: int) -> dp.CounterData:
        return self.direct_counters.get((table, key, priority), dp.CounterData())

    def write_direct_counter(
        self, table: str, key: dp.Key | None, priority: int, data: dp.CounterData
    ) -> None:
        self.direct_counters[table, key, priority] = data

    def set_meter(self, name: str, index: int, config: dp.MeterConfig | None) -> None:
        self.meters[name, index] = config

    def set_direct_meter(
        self, table: str, key: dp.Key | None, priority: int, config: dp.MeterConfig | None
    ) -> None:
        self.direct_meters[table, key, priority] = config

    def read_register(self, name: str, index: int) -> object:
        return self.registers.get((name, index), (0, 0) if name.endswith("cells") else 0)

    def write_register(self, name: str, index: int, value: object) -> None:
        self.registers[name, index] = value

    def set_multicast_group(self, group_id: int, replicas: Sequence[dp.Replica]) -> None:
        self.multicast[group_id] = list(replicas)

    def set_clone_session(self, session_id: int, replicas: Sequence[dp.Replica], length_bytes: int) -> None:
        self.clones[session_id] = (list(replicas), length_bytes)

    def packet_out(self, packet: bytes) -> None:
        self.packets_out.append(packet)


class FakeTimer:
    """A pending call of a FakeClock."""

    def __init__(self, due_ns: int, callback: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.callback = callback
        self.live = True

    def cancel(self) -> None:
        self.live = False


class FakeClock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.time_ns = 1_000_000_000
        self.timers: list[FakeTimer] = []

    def now_ns(self) -> int:
        return self.time_ns

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(self.time_ns + round(delay_s * 1e9), callback)
        self.timers.append(timer)
        return timer

    def advance(self, nanoseconds: int) -> None:
        self.time_ns += nanoseconds
        due = [t for t in self.timers if t.live and t.due_ns <= self.time_ns]
        self.timers = [t for t in self.timers if t.live and t not in due]
        for timer in due:
            timer.callback()


class FakePorts:
    """Ports 1 to 8; all up at first."""

    def __init__(self) -> None:
        self.down: set[int] = set()

    def exists(self, port: int) -> bool:
        return 1 <= port <= 8

    def is_up(self, port: int) -> bool:
        return self.exists(port) and port not in self.down


class Kit:
    """A store with everything around it that a test looks at."""

    def __init__(self, program: Program | None = None) -> None:
        program = program or everything()
        self.info = program.info
        self.dataplane = FakeDataPlane()
        self.clock = FakeClock()
        self.ports = FakePorts()
        self.digests: list[p4r.DigestList] = []
        self.store = Store(
            program.ir,
            program.info,
            self.dataplane,
            ports=self.ports,
            clock=self.clock,
            send_digest=self.digests.append,
        )

    # -- names ---------------------------------------------------------------------------------

    def id(self, alias: str) -> int:
        """The id of any object by alias."""
        for objects in (
            self.info.tables, self.info.actions, self.info.action_profiles, self.info.counters,
            self.info.meters, self.info.registers, self.info.digests, self.info.value_sets,
        ):  # fmt: skip
            for item in objects:
                if item.preamble.alias == alias:
                    return item.preamble.id
        raise KeyError(alias)

    def table(self, alias: str) -> p4i.Table:
        return next(t for t in self.info.tables if t.preamble.alias == alias)

    def action(self, alias: str, *values: int | bytes) -> p4r.Action:
        """An action with its parameters in order."""
        message = p4r.Action(action_id=self.id(alias))
        for number, value in enumerate(values, 1):
            message.params.add(param_id=number, value=raw(value))
        return message

    def entry(
        self,
        table: str,
        match: dict[int, object] | None = None,
        action: p4r.Action | None = None,
        **fields: object,
    ) -> p4r.TableEntry:
        """A table entry; match by field id: a value, (value, prefix), ("mask", v, m), ("range", l, h)."""
        info = self.table(table)
        message = p4r.TableEntry(table_id=info.preamble.id, **fields)
        kinds = {f.id: f.match_type for f in info.match_fields}
        for id_, value in (match or {}).items():
            message.match.append(field_match(id_, kinds.get(id_, p4i.MatchField.EXACT), value))
        if action is not None:
            message.action.action.CopyFrom(action)
        return message

    def station(self, address: int, port: int = 1) -> p4r.TableEntry:
        return self.entry("stations", {1: address}, self.action("forward", port))

    # -- requests ------------------------------------------------------------------------------

    def write(self, kind: p4r.Update.Type.ValueType, **entity: object) -> None:
        update = p4r.Update(type=kind, entity=p4r.Entity(**entity))
        assert self.store.write_some([update.SerializeToString()]) == 1

    def insert(self, entry: p4r.TableEntry) -> None:
        self.write(INSERT, table_entry=entry)

    def modify(self, entry: p4r.TableEntry) -> None:
        self.write(MODIFY, table_entry=entry)

    def delete(self, entry: p4r.TableEntry) -> None:
        self.write(DELETE, table_entry=entry)

    def code(self, kind: p4r.Update.Type.ValueType, **entity: object) -> Code:
        """The canonical code that an update gets."""
        try:
            self.write(kind, **entity)
        except P4RuntimeError as error:
            return error.code if error.message else Code.UNKNOWN
        return Code.OK

    def read(self, **entity: object) -> list[p4r.Entity]:
        framed = b"".join(self.store.read(p4r.Entity(**entity)))
        return list(p4r.ReadResponse.FromString(framed).entities)

    def entries(self, request: p4r.TableEntry) -> list[p4r.TableEntry]:
        return [e.table_entry for e in self.read(table_entry=request)]

    def read_code(self, **entity: object) -> Code:
        try:
            self.read(**entity)
        except P4RuntimeError as error:
            return error.code
        return Code.OK


def raw(value: object) -> bytes:
    """Bytes as given, a number in its shortest form."""
    if isinstance(value, bytes):
        return value
    assert isinstance(value, int)
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def field_match(id_: int, kind: int, value: object) -> p4r.FieldMatch:
    message = p4r.FieldMatch(field_id=id_)
    match value:
        case ("mask", bits, mask):
            message.ternary.value, message.ternary.mask = raw(bits), raw(mask)
        case ("range", low, high):
            message.range.low, message.range.high = raw(low), raw(high)
        case (prefix, int() as length):
            message.lpm.value, message.lpm.prefix_len = raw(prefix), length
        case _ if kind == p4i.MatchField.OPTIONAL:
            message.optional.value = raw(value)
        case _:
            message.exact.value = raw(value)
    return message
