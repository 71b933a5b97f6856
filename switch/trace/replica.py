"""A tracing copy of a running switch: the same program, entries and registers in a data plane of our own.

Not copied: meter buckets (full here), counter values, queues; ports count as up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from finsy.proto import p4i, p4r

from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Composite, Type
from p4cats.switch.digests import Timer
from p4cats.switch.errors import Code, P4RuntimeError
from p4cats.switch.model.state import inside
from p4cats.switch.pipeline import Program
from p4cats.switch.portstate import AnyPort
from p4cats.switch.store import Store
from p4cats.switch.trace.plane import CPU_PORT, TraceClock, TracePlane
from p4cats.switch.trace.remote import SwitchReader
from p4cats.switch.trace.tracer import PacketTrace

_INSERT, _MODIFY, _DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE
_MOST_CELLS = 1 << 18
"""Cells that are read ahead for live traffic; larger registers are read as packets ask for them."""


class SwitchCopy:
    """A switch's copy that traces packets.

    Which cells of registers a packet needs is known when it has asked for them. A scout, a second copy, runs
    it first; then all those cells are read at one moment, and the packet's time comes after it. Otherwise
    a cell could hold a time later than the packet's.
    """

    def __init__(
        self, reader: SwitchReader, program: Program, *, cpu_port: int = CPU_PORT, ahead: bool = False
    ) -> None:
        self.reader = reader
        self.program = program
        self._cpu_port = cpu_port
        self._ahead = ahead
        reader.learn(program)
        self.refresh()

    def refresh(self) -> None:
        """Read everything again; with `ahead`, all cells of registers that are not too large too."""
        entities = self.reader.state(self.program)
        self._main = _Filled(self.reader, self.program, entities, self._cpu_port)
        self._scout: _Filled | None = None
        if self._ahead:
            self._main.read_ahead()
        if any(cells.unread for cells in self._main.cells.values()):
            self._scout = _Filled(self.reader, self.program, entities, self._cpu_port)

    def run(self, port: int, packet: bytes) -> PacketTrace:
        """Trace one packet at the switch's present time."""
        if self._scout is not None:
            self._scout.run(port, packet)
            self._main.read_cells(self._scout)
        return self._main.run(port, packet)


class Cells(dict[int, Any]):
    """Cells of one register, read from the switch when first asked for."""

    def __init__(self, reader: SwitchReader, info: p4i.Register, type_: Type) -> None:
        super().__init__()
        self._reader = reader
        self.info = info
        self.type = type_
        self.unread = True

    def __missing__(self, index: int) -> Any:
        name = self.info.preamble.name
        self.put(
            index, self._reader.some_cells([(self.info, index)]).get((name, index), 0) if self.unread else 0
        )
        return self[index]

    def put(self, index: int, value: object) -> None:
        """Set a cell from the control plane's form."""
        self[index] = inside(value, self.type) if isinstance(value, int) else 0


class _Filled:
    """A tracing data plane with a state store, filled from what was read."""

    def __init__(
        self, reader: SwitchReader, program: Program, entities: Sequence[p4r.Entity], cpu_port: int
    ) -> None:
        self._reader = reader
        self._registers = {r.preamble.name: r for r in program.info.registers}
        self.cells: dict[str, Cells] = {}
        self._clock = TraceClock()
        self._plane = TracePlane(program.ir, cpu_port=cpu_port, cells=self._lazy, clock=self._clock)
        self._store = Store(
            program.ir,
            program.info,
            self._plane,
            ports=AnyPort(),
            clock=_NoTimers(),
            send_digest=lambda _: None,
            cpu_port=cpu_port,
        )
        self._fill(entities)
        self._fill_structs(program)

    def run(self, port: int, packet: bytes) -> PacketTrace:
        """Trace a packet now."""
        self._clock.now_ns = (self._reader.now_us() or 0) * 1000
        return self._plane.trace(port, packet)

    # -- registers ----------------------------------------------------------------------------

    def read_ahead(self) -> None:
        """Read all cells, so that later packets of the switch do not change what a trace finds."""
        for cells in self.cells.values():
            if cells.info.size <= _MOST_CELLS:
                for index, value in self._reader.register_cells(cells.info).items():
                    cells.put(index, value)
                cells.unread = False

    def read_cells(self, scout: _Filled) -> None:
        """Read the cells that a scout has found to be needed."""
        wanted = [
            (cells.info, index)
            for name, cells in scout.cells.items()
            for index in cells
            if cells.unread and index not in self.cells[name]
        ]
        if wanted:
            for (name, index), value in self._reader.some_cells(wanted).items():
                self.cells[name].put(index, value)

    def _lazy(self, instance: nodes.ExternInstance) -> Cells | None:
        info, type_ = self._registers.get(instance.name), instance.type_arguments[0]
        if info is None or isinstance(type_, Composite):
            return None
        return self.cells.setdefault(instance.name, Cells(self._reader, info, type_))

    def _fill_structs(self, program: Program) -> None:
        for instance in program.ir.externs:
            info = self._registers.get(instance.name)
            if instance.kind == "register" and info and isinstance(instance.type_arguments[0], Composite):
                for index, value in self._reader.register_cells(info).items():
                    self._plane.write_register(instance.name, index, value)

    # -- entities -----------------------------------------------------------------------------

    def _fill(self, entities: Sequence[p4r.Entity]) -> None:
        held: dict[int, set[bytes]] = {}
        for entity in entities:
            if entity.WhichOneof("entity") == "table_entry" and not entity.table_entry.is_default_action:
                held.setdefault(entity.table_entry.table_id, set()).add(_identity(entity.table_entry))
        self._remove_deleted(held)
        for entity in entities:
            self._write(entity)

    def _remove_deleted(self, held: dict[int, set[bytes]]) -> None:
        """Entries that the program writes, and a controller has deleted."""
        for table_id, table in self._store.tables.items():
            for record in list(table.entries.values()):
                key = table.key_message(record)
                if not record.const and _identity(key) not in held.get(table_id, set()):
                    self._store.write(p4r.Update(type=_DELETE, entity=p4r.Entity(table_entry=key)))

    def _write(self, entity: p4r.Entity) -> None:
        kind = entity.WhichOneof("entity")
        if kind == "table_entry" and entity.table_entry.is_const:
            return
        is_default = kind == "table_entry" and entity.table_entry.is_default_action
        if is_default:
            table = self._store.tables[entity.table_entry.table_id].schema
            if table.const_default or table.profile is not None or not entity.table_entry.HasField("action"):
                return
        modify = is_default or kind in ("value_set_entry", "meter_entry")
        try:
            self._store.write(p4r.Update(type=_MODIFY if modify else _INSERT, entity=entity))
        except P4RuntimeError as error:
            if error.code is not Code.ALREADY_EXISTS:
                self._reader.warn(f"left out of the copy: {error.message}")
                return
            self._store.write(p4r.Update(type=_MODIFY, entity=entity))


def _identity(entry: p4r.TableEntry) -> bytes:
    """Match and priority, whatever the order of the fields."""
    fields = sorted(m.SerializeToString(deterministic=True) for m in entry.match)
    return b"".join(fields) + entry.priority.to_bytes(4, "big")


class _NoTimers:
    """Digest lists are not sent from a copy."""

    def now_ns(self) -> int:
        """Time stands still."""
        return 0

    def call_later(self, _delay_s: float, _callback: Any) -> Timer:
        """Nothing is ever called."""
        return _Never()


class _Never:
    def cancel(self) -> None:
        """Nothing to cancel."""


__all__ = ["SwitchCopy"]
