"""The contract between the P4Runtime service and a target's data plane (model, xdp).

The service validates every update against P4Info, keeps what controllers wrote, and calls a DataPlane
with resolved objects: control-plane names and Python integers in the ranges that P4Info gives.
A DataPlane therefore does not check again; a violation is a programmer's error and fails loudly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Exact(NamedTuple):
    """Equal to `value`."""

    value: int


class Lpm(NamedTuple):
    """The first `prefix_len` bits equal those of `value` (the other bits are zero)."""

    value: int
    prefix_len: int


class Ternary(NamedTuple):
    """Equal to `value` under `mask` (value & ~mask == 0); mask 0 is don't care."""

    value: int
    mask: int


class Range(NamedTuple):
    """From `low` to `high`, both included."""

    low: int
    high: int


class Optional(NamedTuple):
    """Equal to `value`; None is don't care."""

    value: int | None


Match = Exact | Lpm | Ternary | Range | Optional
Key = tuple[Match, ...]
"""One match per key field in declared order (selector fields left out), don't-cares filled in."""


class ActionCall(NamedTuple):
    """An action and its data, in declared order; values are unsigned bit patterns."""

    action: str
    data: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class MemberRef:
    """A member of the table's action profile."""

    member_id: int


@dataclass(frozen=True, slots=True)
class GroupRef:
    """A group of the table's action selector."""

    group_id: int


Target = ActionCall | MemberRef | GroupRef


@dataclass(slots=True)  # not frozen: one is made for each update, and frozen ones take three times as long
class TableEntry:
    """An entry; `priority` is P4Runtime's (larger wins), 0 where the table takes none."""

    key: Key
    priority: int
    target: Target
    idle_timeout_ns: int = 0


@dataclass(frozen=True, slots=True)
class CounterData:
    """Packets and bytes counted."""

    packets: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class MeterConfig:
    """Rates per second and burst sizes, in packets or bytes as the meter's unit says."""

    cir: int
    cburst: int
    pir: int
    pburst: int


@dataclass(frozen=True, slots=True)
class Replica:
    """One copy: out of `port`, with egress_rid `instance`."""

    port: int
    instance: int


class DataPlaneEvents(Protocol):
    """What a data plane tells its owner; called in the data plane's own thread (the event loop's)."""

    def packet_in(self, packet: bytes) -> None:
        """A packet left by the CPU port (with its packet_in header, where the program has one)."""

    def digest(self, name: str, values: tuple[object, ...]) -> None:
        """`digest` was called: P4Info name, field values (ints; nested tuples for structs)."""

    def idle(self, table: str, entries: Sequence[tuple[Key, int]]) -> None:
        """Entries (key, priority) that were not hit for their idle timeout, since a hit or the last call."""


class DataPlane(Protocol):
    """A program in execution: tables, extern state, packet replication, packets."""

    def insert_entry(self, table: str, entry: TableEntry) -> None:
        """Add an entry that is not there."""

    def insert_entries(self, table: str, entries: Sequence[TableEntry]) -> None:
        """Add entries that are not there; packets may see some before others. An error adds none."""

    def modify_entry(self, table: str, entry: TableEntry) -> None:
        """Replace the target of the entry with this key and priority; its counter and meter stay."""

    def delete_entry(self, table: str, key: Key, priority: int) -> None:
        """Remove an entry."""

    def set_default(self, table: str, call: ActionCall | None) -> None:
        """Set the default action; None restores the program's."""

    def time_since_hit_ns(self, table: str, key: Key, priority: int) -> int:
        """Nanoseconds since the entry was last hit (or inserted)."""

    def set_member(self, profile: str, member_id: int, call: ActionCall) -> None:
        """Add or replace a member of an action profile or selector."""

    def delete_member(self, profile: str, member_id: int) -> None:
        """Remove a member that nothing refers to."""

    def set_group(self, profile: str, group_id: int, members: Sequence[int]) -> None:
        """Add or replace a group; a member of weight w stands in `members` w times."""

    def delete_group(self, profile: str, group_id: int) -> None:
        """Remove a group that nothing refers to."""

    def set_value_set(self, name: str, members: Sequence[Key]) -> None:
        """Replace all members of a value set."""

    def read_counter(self, name: str, index: int) -> CounterData:
        """One cell of an indirect counter."""

    def write_counter(self, name: str, index: int, data: CounterData) -> None:
        """Set one cell."""

    def read_direct_counter(self, table: str, key: Key | None, priority: int) -> CounterData:
        """The direct counter of an entry; key None: of the default entry."""

    def write_direct_counter(self, table: str, key: Key | None, priority: int, data: CounterData) -> None:
        """Set it."""

    def set_meter(self, name: str, index: int, config: MeterConfig | None) -> None:
        """Configure one cell; None: always green."""

    def set_direct_meter(
        self, table: str, key: Key | None, priority: int, config: MeterConfig | None
    ) -> None:
        """Configure the direct meter of an entry; key None: of the default entry."""

    def read_register(self, name: str, index: int) -> object:
        """One cell: an unsigned bit pattern, or a tuple of such for a struct."""

    def write_register(self, name: str, index: int, value: object) -> None:
        """Set one cell."""

    def set_multicast_group(self, group_id: int, replicas: Sequence[Replica]) -> None:
        """Add or replace a multicast group; no replicas removes it."""

    def set_clone_session(self, session_id: int, replicas: Sequence[Replica], length_bytes: int) -> None:
        """Add or replace a clone session (`length_bytes` 0: no truncation); no replicas removes it."""

    def packet_out(self, packet: bytes) -> None:
        """Process a packet as one that came in by the CPU port."""
