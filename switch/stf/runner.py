"""Runs STF statements on a data plane and compares what came out.

As p4c's BMv2 runner: statements in sequence; per port, packets are compared in order with the expect
lines; a port that the file names stays silent unless packets are expected on it; a received packet may be
longer than expected unless the line ends with `$`. Where that runner waits for real seconds, this one moves
a virtual clock.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from p4cats.compiler.driver import compile_file
from p4cats.compiler.ir import nodes
from p4cats.switch.dataplane import ActionCall, CounterData, DataPlane, Key, MeterConfig, Replica, TableEntry
from p4cats.switch.model import FATAL_DROPS, ModelDataPlane
from p4cats.switch.model.program import program_entries
from p4cats.switch.stf.commands import (
    Add,
    CheckCounter,
    Command,
    Expect,
    NoPacket,
    Send,
    SetDefault,
    Statement,
    StfError,
)
from p4cats.switch.stf.names import Resolver
from p4cats.switch.stf.parse import parse_stf, whole_number
from p4cats.switch.stf.report import diff_packets, matches

_COMMAND_NS = 1_000_000_000
"""The BMv2 runner waits this long for control-plane commands to take effect."""
_PACKET_NS = 10_000
_TICKS_PER_SECOND = 1_000_000
"""simple_switch_CLI gives meter rates in units per microsecond."""
_COMPARE = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge,
}  # fmt: skip


class VirtualClock:
    """Nanoseconds that pass when the runner says so."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class StfTarget(Protocol):
    """A data plane under test."""

    @property
    def plane(self) -> DataPlane:
        """Takes the control-plane commands."""

    def send(self, port: int, packet: bytes) -> None:
        """Let a packet come in and everything that follows from it happen."""

    def passes(self, nanoseconds: int) -> None:
        """Let time pass."""

    def problems(self) -> list[str]:
        """What else went wrong: false assertions, packets that go round for ever."""


class ModelTarget:
    """The model data plane with a virtual clock."""

    def __init__(self, program: nodes.Program, received: Callable[[int, bytes], None]) -> None:
        self.clock = VirtualClock()
        self.plane = ModelDataPlane(program, received, clock=self.clock, seed=0)

    def send(self, port: int, packet: bytes) -> None:
        """Process a packet."""
        self.passes(_PACKET_NS)
        self.plane.process(port, packet)

    def passes(self, nanoseconds: int) -> None:
        """Move the clock."""
        self.clock.now_ns += nanoseconds
        self.plane.tick()

    def problems(self) -> list[str]:
        """What simple_switch would have ended or hung on."""
        drops = self.plane.drops
        return [f"{drops[why]} packets dropped: {why}" for why in FATAL_DROPS if drops[why]]


def _xdp_target(program: nodes.Program, received: Callable[[int, bytes], None]) -> StfTarget:
    """The program in the kernel (needs root)."""
    from p4cats.switch.xdp.stf import XdpStfTarget  # noqa: PLC0415 (libbpf only where it is asked for)

    return XdpStfTarget(program, received)


TARGETS: dict[str, Callable[[nodes.Program, Callable[[int, bytes], None]], StfTarget]] = {
    "model": ModelTarget,
    "xdp": _xdp_target,
}
"""Targets by name; another one is added here."""


@dataclass(slots=True)
class StfResult:
    """What an STF run found; `failures` are lines for people, empty where the test holds."""

    program: str
    stf: str
    failures: list[str] = field(default_factory=list)
    output: list[str] = field(default_factory=list)
    """What reading commands printed."""
    packets_sent: int = 0
    packets_received: int = 0

    @property
    def passed(self) -> bool:
        """True if everything expected came, and nothing else."""
        return not self.failures

    def __str__(self) -> str:
        if self.passed:
            return f"PASS {self.stf}: {self.packets_sent} packets sent, {self.packets_received} received"
        return "\n".join([f"FAIL {self.stf}", *self.failures])


def run_stf(program_path: str | Path, stf_path: str | Path, target: str = "model") -> StfResult:
    """Compile a program and run an STF file on it.

    Errors: CompileError, StfError (a mistake in the file), OSError.
    """
    program = compile_file(Path(program_path))
    text = Path(stf_path).read_text(encoding="utf-8", errors="replace")
    return run_statements(program, parse_stf(text, str(stf_path)), str(program_path), str(stf_path), target)


def run_statements(
    program: nodes.Program,
    statements: list[Statement],
    program_path: str,
    stf_path: str,
    target: str = "model",
) -> StfResult:
    """Run parsed statements on a compiled program."""
    runner = _Runner(program, stf_path, target)
    result = StfResult(program_path, stf_path, runner.failures, runner.output)
    for statement in statements:
        runner.run(statement)
    runner.finish()
    result.packets_sent, result.packets_received = runner.sent, sum(map(len, runner.received.values()))
    return result


class _Runner:
    """State of a run."""

    def __init__(self, program: nodes.Program, path: str, target: str) -> None:
        self.program = program
        self.path = path
        self.resolve = Resolver(program, path)
        self.failures: list[str] = []
        self.output: list[str] = []
        self.received: dict[int, list[bytes]] = {}
        self.expected: dict[int, list[Expect]] = {}
        self.named: set[int] = set()
        self.silent: NoPacket | None = None
        self.sent = 0
        self.entries = {(table.name, *entry) for table in program.tables for entry in program_entries(table)}
        self.handles: dict[str, tuple[nodes.Table, Key, int]] = {}
        self.nodes: list[tuple[int, tuple[int, ...]]] = []
        self.groups: dict[int, list[int]] = {}
        self.sessions: dict[int, tuple[list[int], int | None]] = {}
        self.target = TARGETS[target](program, self._receive)
        self.plane = self.target.plane

    def _receive(self, port: int, packet: bytes) -> None:
        self.received.setdefault(port, []).append(packet)

    # -- statements ---------------------------------------------------------------------------

    def run(self, statement: Statement) -> None:
        """Execute one statement."""
        self.resolve.line = statement.line
        match statement:
            case Send(port=port, data=data):
                self.named.add(port)
                self.sent += 1
                self.target.send(port, data)
            case Expect(port=port):
                self.named.add(port)
                self.expected.setdefault(port, []).append(statement)
            case NoPacket():
                self.silent = statement
            case CheckCounter():
                try:
                    self._check_counter(statement)
                except (IndexError, KeyError) as error:
                    self.resolve.fail(f"check_counter: {error.args[0]}")
            case _:
                self._control(statement)
                self.target.passes(_COMMAND_NS)

    def _control(self, statement: Statement) -> None:
        match statement:
            case Add():
                self._add(statement)
            case SetDefault(table=table, action=action, arguments=arguments):
                ir = self.resolve.table(table)
                chosen = self.resolve.action(ir, action)
                self.plane.set_default(ir.name, ActionCall(chosen.name, self.resolve.data(chosen, arguments)))
            case Command(name=name, words=words):
                self._command(name, words)

    def _add(self, s: Add) -> None:
        table = self.resolve.table(s.table)
        action = self.resolve.action(table, s.action)
        key = self.resolve.key(table, s.keys)
        ranked = any(k.match_kind in ("ternary", "range", "optional") for k in table.keys)
        priority = (s.priority if s.priority is not None else 1) if ranked else 0
        entry = TableEntry(key, priority, ActionCall(action.name, self.resolve.data(action, s.arguments)))
        if table.const_entries or (table.name, key, priority) in self.entries:
            # simple_switch_CLI prints an error here, and the test goes on.
            why = "is constant" if table.const_entries else "has an entry with this key already"
            self.output.append(f"line {s.line}: add: ignored, table {table.name} {why}")
            return
        self.entries.add((table.name, key, priority))
        self.plane.insert_entry(table.name, entry)
        if s.handle:
            self.handles[s.handle] = (table, key, priority)

    def _command(self, name: str, words: tuple[str, ...]) -> None:
        handler: Callable[[tuple[str, ...]], None] | None = getattr(self, f"_c_{name}", None)
        if handler is None:
            self.output.append(f"{name}: ignored")
            return
        try:
            handler(words)
        except (ValueError, IndexError) as error:
            self.resolve.fail(f"{name}: {error}")

    # -- simple_switch_CLI commands -----------------------------------------------------------

    def _c_mirroring_add(self, words: tuple[str, ...]) -> None:
        session, port = (whole_number(w) for w in words)
        self.sessions[session] = ([port], None)
        self._program_session(session)

    def _c_mirroring_add_mc(self, words: tuple[str, ...]) -> None:
        session, group = (whole_number(w) for w in words)
        ports = self.sessions.get(session, ([], None))[0]
        self.sessions[session] = (ports, group)
        self._program_session(session)

    def _c_mirroring_delete(self, words: tuple[str, ...]) -> None:
        self.sessions.pop(whole_number(words[0]), None)
        self.plane.set_clone_session(whole_number(words[0]), [], 0)

    def _program_session(self, session: int) -> None:
        ports, group = self.sessions[session]
        replicas = [] if group is None else self._replicas(group)
        self.plane.set_clone_session(session, [*replicas, *(Replica(p, 0) for p in ports)], 0)

    def _c_mc_mgrp_create(self, words: tuple[str, ...]) -> None:
        self.groups[whole_number(words[0])] = []

    def _c_mc_node_create(self, words: tuple[str, ...]) -> None:
        rid, *ports = (whole_number(w) for w in words if w != "|")
        self.nodes.append((rid, tuple(ports)))

    def _c_mc_node_update(self, words: tuple[str, ...]) -> None:
        handle, *ports = (whole_number(w) for w in words if w != "|")
        self.nodes[handle] = (self.nodes[handle][0], tuple(ports))
        for group, members in self.groups.items():
            if handle in members:
                self._program_group(group)

    def _c_mc_node_associate(self, words: tuple[str, ...]) -> None:
        group, handle = (whole_number(w) for w in words)
        if handle >= len(self.nodes):
            raise IndexError(f"there is no node {handle}")
        self.groups.setdefault(group, []).append(handle)
        self._program_group(group)

    def _replicas(self, group: int) -> list[Replica]:
        members = [self.nodes[handle] for handle in self.groups.get(group, [])]
        return [Replica(port, rid) for rid, ports in members for port in ports]

    def _program_group(self, group: int) -> None:
        self.plane.set_multicast_group(group, self._replicas(group))
        for session, (_, of) in self.sessions.items():
            if of == group:
                self._program_session(session)

    def _c_register_read(self, words: tuple[str, ...]) -> None:
        instance = self.resolve.extern(("register",), words[0])
        indices = [whole_number(words[1])] if len(words) > 1 else range(_size(instance))
        values = ", ".join(str(self.plane.read_register(instance.name, i)) for i in indices)
        self.output.append(f"{instance.name}{list(words[1:])} = {values}")

    def _c_register_write(self, words: tuple[str, ...]) -> None:
        instance = self.resolve.extern(("register",), words[0])
        self.plane.write_register(instance.name, whole_number(words[1]), whole_number(words[2]))

    def _c_register_reset(self, words: tuple[str, ...]) -> None:
        instance = self.resolve.extern(("register",), words[0])
        for index in range(_size(instance)):
            self.plane.write_register(instance.name, index, 0)

    def _c_counter_read(self, words: tuple[str, ...]) -> None:
        instance = self.resolve.extern(("counter",), words[0])
        data = self.plane.read_counter(instance.name, whole_number(words[1]))
        self.output.append(f"{instance.name}[{words[1]}] = {data.packets} packets, {data.bytes} bytes")

    def _c_counter_write(self, words: tuple[str, ...]) -> None:
        instance = self.resolve.extern(("counter",), words[0])
        self.plane.write_counter(
            instance.name, whole_number(words[1]), CounterData(whole_number(words[2]), whole_number(words[3]))
        )

    def _c_meter_set_rates(self, words: tuple[str, ...]) -> None:
        instance = self.resolve.extern(("meter",), words[0])
        self.plane.set_meter(instance.name, whole_number(words[1]), _rates(words[2:]))

    def _c_meter_array_set_rates(self, words: tuple[str, ...]) -> None:
        instance = self.resolve.extern(("meter", "direct_meter"), words[0])
        config = _rates(words[1:])
        if instance.kind == "meter":
            for index in range(_size(instance)):
                self.plane.set_meter(instance.name, index, config)
            return
        for table, key, priority in self.handles.values():
            if table in instance.tables:
                self.plane.set_direct_meter(table.name, key, priority, config)

    # -- checks -------------------------------------------------------------------------------

    def _check_counter(self, s: CheckCounter) -> None:
        instance = self.resolve.extern(("counter", "direct_counter"), s.name)
        if s.key is not None:
            if s.key not in self.handles:
                self.resolve.fail(f"no entry was named ${s.key}")
            table, key, priority = self.handles[s.key]
            data = self.plane.read_direct_counter(table.name, key, priority)
        elif instance.kind == "direct_counter":
            self.resolve.fail(f"{instance.name} is direct: name the entry by its $handle")
        else:
            assert s.index is not None
            data = self.plane.read_counter(instance.name, s.index)
        value = data.packets if s.what == "packets" else data.bytes
        if not _COMPARE[s.operator](value, s.value):
            found = f"{s.what} is {value}, expected {s.operator} {s.value}"
            self.failures.append(f"{self.path}:{s.line}: counter {instance.name}: {found}")

    def finish(self) -> None:
        """Compare all ports."""
        self.target.passes(2 * _COMMAND_NS)
        self.failures += [f"{self.path}: {problem}" for problem in self.target.problems()]
        for port in sorted(self.named):
            self.failures += diff_packets(
                self.path, port, self.expected.get(port, []), self.received.get(port, [])
            )
        if self.silent is not None and any(self.received.values()):
            ports = ", ".join(str(p) for p, packets in sorted(self.received.items()) if packets)
            place = f"{self.path}:{self.silent.line}"
            self.failures.append(f"{place}: packets came out of port {ports}, expected none")


def _size(instance: nodes.ExternInstance) -> int:
    first = instance.arguments[0]
    return first.value if isinstance(first, nodes.Const) else 0


def _rates(words: Iterable[str]) -> MeterConfig:
    pairs = [word.partition(":") for word in words]
    rates = [round(float(rate) * _TICKS_PER_SECOND) for rate, _, _ in pairs]
    bursts = [whole_number(burst) for _, _, burst in pairs]
    if len(rates) != 2 or "" in [b for _, _, b in pairs]:
        raise ValueError("expected two RATE:BURST pairs, committed before peak")
    return MeterConfig(rates[0], bursts[0], rates[1], bursts[1])


__all__ = ["TARGETS", "ModelTarget", "StfError", "StfResult", "matches", "run_statements", "run_stf"]
