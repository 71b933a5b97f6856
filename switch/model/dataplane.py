"""ModelDataPlane: a program in execution, with the control plane's side of the DataPlane contract."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from p4cats.compiler.ir import nodes
from p4cats.switch.dataplane import (
    ActionCall,
    CounterData,
    DataPlaneEvents,
    GroupRef,
    Key,
    MemberRef,
    MeterConfig,
    Replica,
    TableEntry,
    Target,
)
from p4cats.switch.model.meters import MeterCell
from p4cats.switch.model.pipeline import Pipeline
from p4cats.switch.model.state import Choice, Profile
from p4cats.switch.model.tables import Entry, Table

_NO_OPERATION = -1
"""Action number of an entry whose group is empty."""
_SWEEP_NS = 1_000_000_000
"""Idle timeouts are looked for once per second, as in BMv2."""


def _no_transmit(_port: int, _packet: bytes) -> None:
    """Nobody listens."""


class ModelDataPlane(Pipeline):
    """The reference switch. Everything runs in the caller's thread.

    `transmit` takes packets that leave by ports, `events` those that leave by `cpu_port`, digests and idle
    entries. `clock` gives nanoseconds that never go back; `seed` makes `random` repeatable. Call `tick`
    now and then (every 100 ms will do) where idle timeouts or queue rates are in use.
    """

    def __init__(
        self,
        program: nodes.Program,
        transmit: Callable[[int, bytes], None] = _no_transmit,
        events: DataPlaneEvents | None = None,
        *,
        cpu_port: int | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        seed: int | None = None,
    ) -> None:
        super().__init__(program, transmit, events, cpu_port=cpu_port, clock=clock, seed=seed)
        self._swept_ns = clock()
        self._timed = [t for t in self.engine.tables.values() if t.ir.support_timeout]
        self._choices: dict[tuple[str, str, int], Choice] = {}
        self._group_lists: dict[tuple[str, str, int], list[Choice]] = {}
        self._profile_of = {
            t.name: t.implementation.name for t in program.tables if t.implementation is not None
        }

    # -- time ---------------------------------------------------------------------------------

    def tick(self) -> None:
        """Send what queues have held back and report idle entries."""
        if self.queues.waiting:
            self.run()
        now = self.clock()
        if self._timed and now - self._swept_ns >= _SWEEP_NS:
            self._swept_ns = now
            self._sweep(now)

    def _sweep(self, now: int) -> None:
        for table in self._timed:
            idle = []
            for entry in table.entries.values():
                # A notification starts the timer anew (P4Runtime, idle timeout): it comes again and again.
                since = max(entry.last_hit, entry.reported_at)
                if entry.idle_timeout and now - since >= entry.idle_timeout:
                    entry.reported_at = now
                    assert entry.key is not None
                    idle.append((entry.key, entry.priority))
            if idle and self.events is not None:
                self.events.idle(table.name, idle)

    # -- tables -------------------------------------------------------------------------------

    def insert_entry(self, table: str, entry: TableEntry) -> None:
        """Add an entry that is not there."""
        state = self.engine.tables[table]
        row = Entry(entry.key, entry.priority if state.prioritised else 0, 0, ())
        self._aim(state, row, entry)
        row.last_hit = self.clock()
        state.insert(row)

    def insert_entries(self, table: str, entries: Sequence[TableEntry]) -> None:
        """Add entries that are not there."""
        for entry in entries:
            self.insert_entry(table, entry)

    def modify_entry(self, table: str, entry: TableEntry) -> None:
        """Replace the target of the entry with this key and priority; its counter and meter stay."""
        state = self.engine.tables[table]
        row = state.get(entry.key, entry.priority)
        row.last_hit = self.clock()
        self._aim(state, row, entry)

    def delete_entry(self, table: str, key: Key, priority: int) -> None:
        """Remove an entry."""
        self.engine.tables[table].delete(key, priority)

    def _aim(self, state: Table, row: Entry, entry: TableEntry) -> None:
        row.idle_timeout = entry.idle_timeout_ns
        row.group = None
        target: Target = entry.target
        if isinstance(target, ActionCall):
            row.action = state.actions[target.action]
            row.data = state.action_data(row.action, target.data)
            return
        profile = self._profile_of[state.name]
        if isinstance(target, MemberRef):
            # A group of one: members that change are seen at once.
            row.group = [self._choice(profile, state, target.member_id)]
        else:
            row.group = self._group(profile, state, target)
        row.action, row.data = _NO_OPERATION, ()

    def set_default(self, table: str, call: ActionCall | None) -> None:
        """Set the default action; None restores the program's."""
        if call is None:
            self.engine.restore_default(table)
        else:
            state = self.engine.tables[table]
            state.set_default(state.actions[call.action], call.data)

    def time_since_hit_ns(self, table: str, key: Key, priority: int) -> int:
        """Nanoseconds since the entry was last hit (or inserted)."""
        return self.clock() - self.engine.tables[table].get(key, priority).last_hit

    # -- action profiles ----------------------------------------------------------------------

    def _choice(self, profile: str, state: Table, member_id: int) -> Choice:
        """A member as a table sees it, shared by all entries of that table."""
        key = (profile, state.name, member_id)
        if key not in self._choices:
            self._choices[key] = Choice(_NO_OPERATION, ())
            self._update_choice(key, self.engine.profiles[profile].members[member_id])
        return self._choices[key]

    def _update_choice(self, key: tuple[str, str, int], call: ActionCall) -> None:
        state = self.engine.tables[key[1]]
        choice = self._choices[key]
        choice.action = state.actions[call.action]
        choice.data = state.action_data(choice.action, call.data)

    def _group(self, profile: str, state: Table, target: GroupRef) -> list[Choice]:
        key = (profile, state.name, target.group_id)
        if key not in self._group_lists:
            self._group_lists[key] = []
            self._update_group(key, self.engine.profiles[profile].groups[target.group_id])
        return self._group_lists[key]

    def _update_group(self, key: tuple[str, str, int], members: Sequence[int]) -> None:
        state = self.engine.tables[key[1]]
        self._group_lists[key][:] = [self._choice(key[0], state, member) for member in members]

    def _profile_keys(self, profile: Profile, number: int) -> list[tuple[str, str, int]]:
        return [(profile.name, table, number) for table in profile.tables]

    def set_member(self, profile: str, member_id: int, call: ActionCall) -> None:
        """Add or replace a member of an action profile or selector."""
        state = self.engine.profiles[profile]
        state.members[member_id] = call
        for key in self._profile_keys(state, member_id):
            if key in self._choices:
                self._update_choice(key, call)

    def delete_member(self, profile: str, member_id: int) -> None:
        """Remove a member that nothing refers to."""
        state = self.engine.profiles[profile]
        del state.members[member_id]
        for key in self._profile_keys(state, member_id):
            self._choices.pop(key, None)

    def set_group(self, profile: str, group_id: int, members: Sequence[int]) -> None:
        """Add or replace a group; a member of weight w stands in `members` w times."""
        state = self.engine.profiles[profile]
        state.groups[group_id] = list(members)
        for key in self._profile_keys(state, group_id):
            if key in self._group_lists:
                self._update_group(key, members)

    def delete_group(self, profile: str, group_id: int) -> None:
        """Remove a group that nothing refers to."""
        state = self.engine.profiles[profile]
        del state.groups[group_id]
        for key in self._profile_keys(state, group_id):
            self._group_lists.pop(key, None)

    def set_value_set(self, name: str, members: Sequence[Key]) -> None:
        """Replace all members of a value set."""
        self.engine.value_sets[name].replace(members)

    # -- counters, meters, registers ----------------------------------------------------------

    def read_counter(self, name: str, index: int) -> CounterData:
        """One cell of an indirect counter."""
        return self.engine.counters[name].read(index)

    def write_counter(self, name: str, index: int, data: CounterData) -> None:
        """Set one cell."""
        self.engine.counters[name].write(index, data)

    def _entry(self, table: str, key: Key | None, priority: int) -> Entry:
        state = self.engine.tables[table]
        return state.miss if key is None else state.get(key, priority)

    def read_direct_counter(self, table: str, key: Key | None, priority: int) -> CounterData:
        """The direct counter of an entry; key None: of the default entry."""
        entry = self._entry(table, key, priority)
        return CounterData(entry.packets, entry.bytes)

    def write_direct_counter(self, table: str, key: Key | None, priority: int, data: CounterData) -> None:
        """Set it."""
        entry = self._entry(table, key, priority)
        entry.packets, entry.bytes = data.packets, data.bytes

    def set_meter(self, name: str, index: int, config: MeterConfig | None) -> None:
        """Configure one cell; None: always green."""
        self.engine.meters[name].configure(index, config)

    def set_direct_meter(
        self, table: str, key: Key | None, priority: int, config: MeterConfig | None
    ) -> None:
        """Configure the direct meter of an entry; key None: of the default entry."""
        entry = self._entry(table, key, priority)
        entry.meter = MeterCell(config, self.clock) if config is not None else None

    def read_register(self, name: str, index: int) -> object:
        """One cell: an unsigned bit pattern, or a tuple of such for a struct."""
        return self.engine.registers[name].read(index)

    def write_register(self, name: str, index: int, value: object) -> None:
        """Set one cell."""
        self.engine.registers[name].write(index, value)

    # -- replication --------------------------------------------------------------------------

    def set_multicast_group(self, group_id: int, replicas: Sequence[Replica]) -> None:
        """Add or replace a multicast group; no replicas removes it."""
        if replicas:
            self.groups[group_id] = list(replicas)
        else:
            self.groups.pop(group_id, None)

    def set_clone_session(self, session_id: int, replicas: Sequence[Replica], length_bytes: int) -> None:
        """Add or replace a clone session (`length_bytes` 0: no truncation); no replicas removes it."""
        if replicas:
            self.sessions[session_id] = (list(replicas), length_bytes)
        else:
            self.sessions.pop(session_id, None)

    def packet_out(self, packet: bytes) -> None:
        """Process a packet as one that came in by the CPU port."""
        assert self.cpu_port is not None, "this data plane has no CPU port"
        self.process(self.cpu_port, packet)
