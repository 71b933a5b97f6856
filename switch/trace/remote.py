"""Reads a running switch by P4Runtime: its program, everything that controllers wrote, registers, its time.

There is no arbitration, so any number of controllers may be at work meanwhile.

    TraceError          the switch cannot be reached, has no pipeline, or runs another kind of program
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import grpc
from finsy.proto import p4d, p4i, p4r, p4r_grpc

from p4cats.errors import UserError
from p4cats.switch.errors import P4RuntimeError
from p4cats.switch.p4data import Codecs
from p4cats.switch.pipeline import Program
from p4cats.switch.programs import compile_config
from p4cats.switch.schema import Schema
from p4cats.switch.service import TIME_METADATA

TIMEOUT_S = 10.0
_MAX_MESSAGE_BYTES = 256 << 20
_OPTIONS = [("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES)]


class TraceError(UserError):
    """A trace cannot be made; says why."""


class SwitchReader:
    """Reads one switch by P4Runtime."""

    def __init__(self, address: str, device_id: int) -> None:
        self.address = address
        self.device_id = device_id
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)
        self._codecs: Codecs | None = None
        self.warnings: list[str] = []
        self._warned: set[str] = set()
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

    def some_cells(self, wanted: Sequence[tuple[p4i.Register, int]]) -> dict[tuple[str, int], object]:
        """Some cells of registers as the data plane has them, at one moment."""
        names = {info.preamble.id: info for info, _ in wanted}
        entities = []
        for info, index in wanted:
            entity = p4r.Entity()
            entity.register_entry.register_id = info.preamble.id
            entity.register_entry.index.index = index
            entities.append(entity)
        found: dict[tuple[str, int], object] = {}
        shown = ", ".join(sorted({info.preamble.name for info in names.values()}))
        for entity in self._tolerant(entities, f"register {shown}"):
            info = names[entity.register_entry.register_id]
            found[info.preamble.name, entity.register_entry.index.index] = self._decoded(
                info, entity.register_entry.data
            )
        return found

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
            self.warn(f"{what}: the switch does not let it be read ({error}); taken as never written")
            return []

    def warn(self, text: str) -> None:
        """Tell the user once."""
        if text not in self._warned:
            self._warned.add(text)
            self.warnings.append(text)

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


__all__ = ["SwitchReader", "TraceError"]
