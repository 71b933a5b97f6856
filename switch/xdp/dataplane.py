"""XdpDataPlane: a program in the kernel, with the control plane's side of the DataPlane contract."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

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
)
from p4cats.switch.model.program import _match
from p4cats.switch.xdp.inject import Injector
from p4cats.switch.xdp.loader import Loaded, load
from p4cats.switch.xdp.state import XdpCounter, XdpProfile, XdpRegister, XdpValueSet, write_meter
from p4cats.switch.xdp.tables import METER_WORDS, XdpTable

_SWEEP_NS = 1_000_000_000
_VIRTUAL_NS = 1 << 40
"""Added to a clock that may begin at 0: to the program, 0 means that no time was given."""


def _no_transmit(_port: int, _packet: bytes) -> None:
    """Nobody listens."""


class XdpDataPlane:
    """A program loaded into the kernel. Ports are attached by p4cats.switch.xdp.ports.

    Packets given to `process` go through the same program as those from interfaces. `transmit` takes what
    then leaves by ports, `events` what leaves by `cpu_port`, digests and idle entries. Another `clock` than
    the kernel's monotonic one holds for packets of `process` only. `keep` is a file for the C text.
    """

    def __init__(
        self,
        program: nodes.Program,
        transmit: Callable[[int, bytes], None] = _no_transmit,
        events: DataPlaneEvents | None = None,
        *,
        cpu_port: int | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        keep: Path | None = None,
    ) -> None:
        self.program = program
        self.loaded: Loaded = load(program, cpu_port, keep)
        self.cpu_port = cpu_port
        self.events = events
        self._offset = 0 if clock is time.monotonic_ns else _VIRTUAL_NS
        self.clock = clock
        source, memory = self.loaded.source, self.loaded.memory
        self._start_ns = memory.view("start_ns", 1, "Q")
        self._start_ns[0] = self._offset
        self._drops = memory.view("drops", 8 * self.loaded.cpus, "Q")
        self.tables = {name: XdpTable(layout, self.loaded) for name, layout in source.tables.items()}
        self.registers = {n: XdpRegister(x, self.loaded) for n, x in source.registers.items()}
        self.counters = {n: XdpCounter(x, self.loaded) for n, x in source.counters.items()}
        self.meters = {n: memory.view(x.cname, METER_WORDS * x.size, "Q") for n, x in source.meters.items()}
        self._meter_sizes = {n: x.size for n, x in source.meters.items()}
        self.value_sets = {n: XdpValueSet(x, self.loaded) for n, x in source.value_sets.items()}
        self.profiles: dict[str, list[XdpProfile]] = {}
        self._profile_of: dict[str, XdpProfile] = {}
        for name, table in self.tables.items():
            if table.layout.profile:
                profile = XdpProfile(table, self.loaded)
                self.profiles.setdefault(table.layout.profile, []).append(profile)
                self._profile_of[name] = profile
        self.injector = Injector(self.loaded, transmit, events, cpu_port, self._now)
        self._swept_ns = self._now()
        self._timed = [t for t in self.tables.values() if t.layout.timeout]
        self._ir_tables = {t.name: t for t in program.tables}
        for ir_table in program.tables:
            self._install(ir_table)

    def close(self) -> None:
        """Free everything in the kernel (interfaces must have been detached)."""
        self.injector.close()
        self.loaded.close()

    def _now(self) -> int:
        return self.clock() + self._offset

    def time_us(self) -> int:
        """What the next packet finds in standard_metadata.ingress_global_timestamp."""
        return self.clock() // 1000 & 0xFFFFFFFFFFFF

    def _install(self, ir_table: nodes.Table) -> None:
        """Give a table its default action and the entries that the program writes."""
        self.set_default(ir_table.name, None)
        table = self.tables[ir_table.name]
        keys = [k for k in ir_table.keys if k.match_kind != "selector"]
        for entry in ir_table.entries:
            match = tuple(_match(p, k) for p, k in zip(entry.patterns, keys, strict=True))
            if table.name(match, entry.priority) not in table.rows:  # the first of equal entries wins
                slot = table.filled(entry.call.action.name, entry.call.data)
                call = ActionCall(entry.call.action.name, tuple(entry.call.data))
                table.insert([TableEntry(match, entry.priority, call)], [slot])

    # -- packets ------------------------------------------------------------------------------

    def process(self, port: int, packet: bytes) -> None:
        """Take a packet as if it came in by `port`."""
        self.injector.process(port, packet)

    def packet_out(self, packet: bytes) -> None:
        """Process a packet as one that came in by the CPU port."""
        assert self.cpu_port is not None, "this data plane has no CPU port"
        self.process(self.cpu_port, packet)

    def drops(self) -> dict[str, int]:
        """Packets that did not leave, by reason."""
        names = (
            "ingress",
            "egress",
            "failed",
            "no headroom",
            "loop limit",
            "assertion failed",
            "no egress port",
            "lost events",
        )
        found = {n: sum(self._drops[8 * c + i] for c in range(self.loaded.cpus)) for i, n in enumerate(names)}
        found.update(self.injector.drops)
        return {name: count for name, count in found.items() if count}

    def tick(self) -> None:
        """Report idle entries, now and then."""
        now = self._now()
        if self._timed and now - self._swept_ns >= _SWEEP_NS:
            self._swept_ns = now
            for table in self._timed:
                self._sweep(table, now)

    def _sweep(self, table: XdpTable, now: int) -> None:
        assert table.last_hit is not None
        idle = []
        for row in table.rows.values():
            # A notification starts the timer anew (P4Runtime, idle timeout): it comes again and again.
            since = max(table.last_hit[row.slot], row.reported_ns)
            if row.idle_timeout and now - since >= row.idle_timeout:
                row.reported_ns = now
                idle.append((row.key, row.priority))
        if idle and self.events is not None:
            self.events.idle(table.layout.name, idle)

    # -- tables -------------------------------------------------------------------------------

    def _slot(self, name: str, entry: TableEntry) -> int:
        table, target = self.tables[name], entry.target
        if isinstance(target, MemberRef):
            return table.grouped(self._profile_of[name].handle("member", target.member_id))
        if isinstance(target, GroupRef):
            return table.grouped(self._profile_of[name].handle("group", target.group_id))
        return table.filled(target.action, target.data)

    def insert_entry(self, table: str, entry: TableEntry) -> None:
        """Add an entry that is not there."""
        self.insert_entries(table, (entry,))

    def insert_entries(self, table: str, entries: Sequence[TableEntry]) -> None:
        """Add entries that are not there; packets may see some before others. An error adds none."""
        state = self.tables[table]
        slots = [self._slot(table, entry) for entry in entries]
        if state.last_hit is not None:
            now = self._now()
            for slot in slots:
                state.last_hit[slot] = now
        state.insert(entries, slots)

    def modify_entry(self, table: str, entry: TableEntry) -> None:
        """Replace the target of the entry with this key and priority; its counter and meter stay."""
        state = self.tables[table]
        row = state.row(entry.key, entry.priority)
        slot = self._slot(table, entry)
        if state.last_hit is not None:
            state.last_hit[slot] = self._now()
        state.exchange(row, slot)
        row.idle_timeout = entry.idle_timeout_ns

    def delete_entry(self, table: str, key: Key, priority: int) -> None:
        """Remove an entry."""
        self.tables[table].delete(key, priority)

    def set_default(self, table: str, call: ActionCall | None) -> None:
        """Set the default action; None restores the program's."""
        state = self.tables[table]
        if call is None:
            default = self._ir_tables[table].default
            call = ActionCall(default.action.name, tuple(default.data))
        state.set_default(state.filled(call.action, call.data))

    def time_since_hit_ns(self, table: str, key: Key, priority: int) -> int:
        """Nanoseconds since the entry was last hit (or inserted)."""
        state = self.tables[table]
        assert state.last_hit is not None
        return self._now() - state.last_hit[state.row(key, priority).slot]

    # -- action profiles ----------------------------------------------------------------------

    def set_member(self, profile: str, member_id: int, call: ActionCall) -> None:
        """Add or replace a member of an action profile or selector."""
        for state in self.profiles.get(profile, ()):
            state.set_member(member_id, call)

    def delete_member(self, profile: str, member_id: int) -> None:
        """Remove a member that nothing refers to."""
        for state in self.profiles.get(profile, ()):
            state.delete_member(member_id)

    def set_group(self, profile: str, group_id: int, members: Sequence[int]) -> None:
        """Add or replace a group; a member of weight w stands in `members` w times."""
        for state in self.profiles.get(profile, ()):
            state.set_group(group_id, members)

    def delete_group(self, profile: str, group_id: int) -> None:
        """Remove a group that nothing refers to."""
        for state in self.profiles.get(profile, ()):
            state.delete_group(group_id)

    def set_value_set(self, name: str, members: Sequence[Key]) -> None:
        """Replace all members of a value set."""
        if name in self.value_sets:
            self.value_sets[name].replace(members)

    # -- counters, meters, registers ----------------------------------------------------------

    def read_counter(self, name: str, index: int) -> CounterData:
        """One cell of an indirect counter."""
        return self.counters[name].read(index)

    def write_counter(self, name: str, index: int, data: CounterData) -> None:
        """Set one cell."""
        self.counters[name].write(index, data)

    def read_direct_counter(self, table: str, key: Key | None, priority: int) -> CounterData:
        """The direct counter of an entry; key None: of the default entry."""
        state = self.tables[table]
        return state.counter(state.row(key, priority))

    def write_direct_counter(self, table: str, key: Key | None, priority: int, data: CounterData) -> None:
        """Set it."""
        state = self.tables[table]
        state.set_counter(state.row(key, priority), data)

    def set_meter(self, name: str, index: int, config: MeterConfig | None) -> None:
        """Configure one cell; None: always green."""
        if not 0 <= index < self._meter_sizes[name]:
            raise IndexError(f"meter index {index} is outside 0..{self._meter_sizes[name] - 1}")
        write_meter(self.meters[name], index, config, self._now())

    def set_direct_meter(
        self, table: str, key: Key | None, priority: int, config: MeterConfig | None
    ) -> None:
        """Configure the direct meter of an entry; key None: of the default entry."""
        state = self.tables[table]
        assert state.meters is not None
        write_meter(state.meters, state.row(key, priority).slot, config, self._now())

    def read_register(self, name: str, index: int) -> object:
        """One cell: an unsigned bit pattern, or a tuple of such for a struct."""
        return self.registers[name].read(index)

    def write_register(self, name: str, index: int, value: object) -> None:
        """Set one cell."""
        self.registers[name].write(index, value)

    # -- replication --------------------------------------------------------------------------

    def set_multicast_group(self, group_id: int, replicas: Sequence[Replica]) -> None:
        """Add or replace a multicast group; no replicas removes it."""
        if replicas:
            self.injector.groups[group_id] = list(replicas)
        else:
            self.injector.groups.pop(group_id, None)

    def set_clone_session(self, session_id: int, replicas: Sequence[Replica], length_bytes: int) -> None:
        """Add or replace a clone session (`length_bytes` 0: no truncation); no replicas removes it."""
        if replicas:
            self.injector.sessions[session_id] = (list(replicas), length_bytes)
        else:
            self.injector.sessions.pop(session_id, None)
