"""A tracing copy of a running switch, made by P4Runtime: its program and everything that controllers wrote.

The switch is only read, without arbitration, so any number of controllers may be at work meanwhile. Cells of
registers are read when a packet asks for them. Not copied: meter buckets, counter values, queues.

    TraceError          the switch cannot be reached, has no pipeline, or runs another kind of program
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
from finsy.proto import p4d, p4i, p4r, p4r_grpc

from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Composite
from p4cats.errors import UserError
from p4cats.switch.digests import Timer
from p4cats.switch.errors import Code, P4RuntimeError
from p4cats.switch.model.state import inside
from p4cats.switch.p4data import Codecs
from p4cats.switch.pipeline import Program
from p4cats.switch.portstate import AnyPort
from p4cats.switch.programs import compile_config
from p4cats.switch.schema import Schema
from p4cats.switch.service import TIME_METADATA
from p4cats.switch.store import Store
from p4cats.switch.trace.plane import CPU_PORT, TraceClock, TracePlane
from p4cats.switch.trace.tracer import PacketTrace

TIMEOUT_S = 10.0
_MAX_MESSAGE_BYTES = 256 << 20
_OPTIONS = [("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES)]
_INSERT, _MODIFY = p4r.Update.INSERT, p4r.Update.MODIFY


class TraceError(UserError):
    """A trace cannot be made; says why."""


class Cells(dict[int, Any]):
    """Cells of one register, read from the switch when first asked for."""

    def __init__(self, reader: SwitchReader, instance: nodes.ExternInstance, info: p4i.Register) -> None:
        super().__init__()
        self._reader = reader
        self._type = instance.type_arguments[0]
        self._info = info

    def __missing__(self, index: int) -> Any:
        value = self._reader.register_cell(self._info, index)
        self[index] = inside(value, self._type) if isinstance(value, int) else 0
        return self[index]


class SwitchReader:
    """Reads one switch by P4Runtime."""

    def __init__(self, address: str, device_id: int) -> None:
        self.address = address
        self.device_id = device_id
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)
        self._codecs: Codecs | None = None
        self.warnings: list[str] = []
        self._time_us: int | None = None
        self._told_at_ns = 0

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def program(self) -> Program:
        """The program that the switch runs, compiled from its device configuration."""
        reply = self._pipeline(p4r.GetForwardingPipelineConfigRequest(device_id=self.device_id))
        config = bytes(reply.config.p4_device_config)
        try:
            return compile_config(config)
        except P4RuntimeError as error:
            first = error.message.splitlines()[0]
            raise TraceError(
                f"switch {self.address} does not tell its program as P4 text ({first}); "
                "name it: --program PROG.p4"
            ) from error

    def _pipeline(
        self, request: p4r.GetForwardingPipelineConfigRequest
    ) -> p4r.GetForwardingPipelineConfigResponse:
        try:
            reply, call = self._stub.GetForwardingPipelineConfig.with_call(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            raise self._failed(error) from None
        told = dict(call.trailing_metadata() or ())
        self._time_us = int(told[TIME_METADATA]) if TIME_METADATA in told else None
        self._told_at_ns = time.monotonic_ns()
        if not reply.HasField("config"):
            raise TraceError(f"switch {self.address} has no pipeline yet: a controller has to set one first")
        return reply

    def check_pipeline(self) -> None:
        """Where the program is given: the switch has one too, and tells its time."""
        request = p4r.GetForwardingPipelineConfigRequest(
            device_id=self.device_id, response_type=p4r.GetForwardingPipelineConfigRequest.COOKIE_ONLY
        )
        self._pipeline(request)

    def now_us(self) -> int | None:
        """The switch's time now, as packets see it; None where the switch does not tell."""
        if self._time_us is None:
            return None
        return self._time_us + (time.monotonic_ns() - self._told_at_ns) // 1000

    def learn(self, program: Program) -> None:
        """Take the types of a program; registers can be read from now on."""
        self._codecs = Codecs(program.info, Schema(program.ir, program.info).types)

    def read(self, *entities: p4r.Entity) -> Iterator[p4r.Entity]:
        """Read entities in one consistent request."""
        request = p4r.ReadRequest(device_id=self.device_id, entities=entities)
        try:
            for reply in self._stub.Read(request, timeout=6 * TIMEOUT_S):
                yield from reply.entities
        except grpc.RpcError as error:
            raise self._failed(error) from None

    def register_cell(self, info: p4i.Register, index: int) -> object:
        """One cell as the data plane has it."""
        if not 0 <= index < info.size:
            return 0
        entity = p4r.Entity()
        entity.register_entry.register_id = info.preamble.id
        entity.register_entry.index.index = index
        found = self._tolerant([entity], f"register {info.preamble.name}")
        return self._decoded(info, found[0].register_entry.data) if found else 0

    def _decoded(self, info: p4i.Register, data: p4d.P4Data) -> object:
        assert self._codecs is not None
        return self._codecs.codec(info.type_spec, f"register {info.preamble.name}").decode(data)

    def register_cells(self, info: p4i.Register) -> dict[int, object]:
        """All cells of a register."""
        entity = p4r.Entity()
        entity.register_entry.register_id = info.preamble.id
        found = self._tolerant([entity], f"register {info.preamble.name}")
        return {e.register_entry.index.index: self._decoded(info, e.register_entry.data) for e in found}

    def state(self, program: Program) -> list[p4r.Entity]:
        """Everything that a controller may have written, in an order in which it can be written again."""
        info = program.info
        wanted: list[tuple[str, p4r.Entity]] = []
        if info.action_profiles:
            wanted.append(
                ("action profile members", p4r.Entity(action_profile_member=p4r.ActionProfileMember()))
            )
            wanted.append(
                ("action profile groups", p4r.Entity(action_profile_group=p4r.ActionProfileGroup()))
            )
        pre = p4r.PacketReplicationEngineEntry
        wanted.append(
            (
                "multicast groups",
                p4r.Entity(
                    packet_replication_engine_entry=pre(multicast_group_entry=p4r.MulticastGroupEntry())
                ),
            )
        )
        wanted.append(
            (
                "clone sessions",
                p4r.Entity(packet_replication_engine_entry=pre(clone_session_entry=p4r.CloneSessionEntry())),
            )
        )
        metered = {m.direct_table_id for m in info.direct_meters}
        for table in info.tables:
            entry = p4r.TableEntry(table_id=table.preamble.id)
            if table.preamble.id in metered:
                entry.meter_config.SetInParent()
            wanted.append((f"table {table.preamble.name}", p4r.Entity(table_entry=entry)))
            default = p4r.TableEntry(table_id=table.preamble.id, is_default_action=True)
            wanted.append((f"default of {table.preamble.name}", p4r.Entity(table_entry=default)))
        for value_set in info.value_sets:
            one = p4r.ValueSetEntry(value_set_id=value_set.preamble.id)
            wanted.append((f"value set {value_set.preamble.name}", p4r.Entity(value_set_entry=one)))
        for meter in info.meters:
            cell = p4r.MeterEntry(meter_id=meter.preamble.id)
            wanted.append((f"meter {meter.preamble.name}", p4r.Entity(meter_entry=cell)))
        try:
            return list(self.read(*(entity for _, entity in wanted)))
        except _PartlyRefusedError:
            return [e for what, entity in wanted for e in self._tolerant([entity], what)]

    def _tolerant(self, entities: Sequence[p4r.Entity], what: str) -> list[p4r.Entity]:
        """Read what a target may lack (bmv2: registers, value sets); a warning where it does."""
        try:
            return list(self.read(*entities))
        except _PartlyRefusedError as error:
            warning = f"{what}: the switch does not let it be read ({error}); taken as never written"
            if warning not in self.warnings:
                self.warnings.append(warning)
            return []

    def _failed(self, error: grpc.RpcError) -> UserError:
        code, details = error.code(), error.details()
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            return TraceError(f"no switch answers P4Runtime at {self.address}; is it running?")
        if code is grpc.StatusCode.FAILED_PRECONDITION:
            return TraceError(f"switch {self.address} has no pipeline yet: a controller has to set one first")
        if code is grpc.StatusCode.NOT_FOUND:
            return TraceError(f"switch {self.address}: {details}; say which device: --device-id N")
        return _PartlyRefusedError(f"{code.name}: {details}")


class _PartlyRefusedError(TraceError):
    """A request that a target refuses, where another might be answered."""


class _NoTimers:
    """Digest lists are not sent from a copy."""

    def now_ns(self) -> int:
        """Never."""
        return 0

    def call_later(self, _delay_s: float, _callback: Any) -> Timer:
        """Never."""
        return _Never()


class _Never:
    def cancel(self) -> None:
        """Nothing to cancel."""


class SwitchCopy:
    """A tracing data plane that holds what a switch holds."""

    def __init__(self, reader: SwitchReader, program: Program, *, cpu_port: int = CPU_PORT) -> None:
        self.reader = reader
        self.program = program
        self._cpu_port = cpu_port
        self._registers = {r.preamble.name: r for r in program.info.registers}
        self._cells: dict[str, Cells] = {}
        reader.learn(program)
        self.refresh()

    def refresh(self) -> None:
        """Read everything again."""
        self.clock = TraceClock()
        self._cells.clear()
        self.plane = TracePlane(self.program.ir, cpu_port=self._cpu_port, cells=self._lazy, clock=self.clock)
        self._store = Store(
            self.program.ir,
            self.program.info,
            self.plane,
            ports=AnyPort(),
            clock=_NoTimers(),
            send_digest=lambda _: None,
            cpu_port=self._cpu_port,
        )
        self._fill(self.reader.state(self.program))
        self._fill_structs()

    def run(self, port: int, packet: bytes) -> PacketTrace:
        """Trace one packet at the switch's present time."""
        self.clock.now_ns = (self.reader.now_us() or 0) * 1000
        return self.plane.trace(port, packet)

    def load_registers(self) -> None:
        """Read all cells now, so that later packets of the switch do not change what a trace finds."""
        for name, cells in self._cells.items():
            type_ = self.plane.engine.registers[name].type
            for index, value in self.reader.register_cells(self._registers[name]).items():
                cells[index] = inside(value, type_) if isinstance(value, int) else 0

    def forget_registers(self) -> None:
        """Read cells again when they are asked for."""
        for cells in self._cells.values():
            cells.clear()

    def _lazy(self, instance: nodes.ExternInstance) -> Cells | None:
        info = self._registers.get(instance.name)
        if info is None or isinstance(instance.type_arguments[0], Composite):
            return None
        self._cells[instance.name] = Cells(self.reader, instance, info)
        return self._cells[instance.name]

    def _fill_structs(self) -> None:
        for instance in self.program.ir.externs:
            if instance.kind == "register" and isinstance(instance.type_arguments[0], Composite):
                info = self._registers.get(instance.name)
                for index, value in self.reader.register_cells(info).items() if info is not None else ():
                    self.plane.write_register(instance.name, index, value)

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
                    self._store.write(p4r.Update(type=p4r.Update.DELETE, entity=p4r.Entity(table_entry=key)))

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
                self.reader.warnings.append(f"left out of the copy: {error.message}")
                return
            self._store.write(p4r.Update(type=_MODIFY, entity=entity))


def _identity(entry: p4r.TableEntry) -> bytes:
    """Match and priority, whatever the order of the fields."""
    fields = sorted(m.SerializeToString(deterministic=True) for m in entry.match)
    return b"".join(fields) + entry.priority.to_bytes(4, "big")


__all__ = ["SwitchCopy", "SwitchReader", "TraceError"]
