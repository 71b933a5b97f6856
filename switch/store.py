"""The state store: every P4Runtime entity of one pipeline, validated, above one data plane.

It knows nothing of gRPC, sessions or time beyond its Clock; it can be driven from a test with messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from finsy.proto import p4i, p4r

from p4cats.compiler.ir import nodes as ir
from p4cats.switch import dataplane as dp
from p4cats.switch.cells import CounterStore, MeterStore, RegisterStore
from p4cats.switch.digests import Clock, DigestStore
from p4cats.switch.direct import DirectResources
from p4cats.switch.errors import P4RuntimeError, invalid, not_found, unimplemented
from p4cats.switch.p4data import Codecs
from p4cats.switch.packetio import ControllerHeader
from p4cats.switch.plain import TABLE, table_tag
from p4cats.switch.portstate import PortState
from p4cats.switch.profiles import ProfileStore
from p4cats.switch.replication import ReplicationStore
from p4cats.switch.schema import Schema
from p4cats.switch.tables import TableStore
from p4cats.switch.valuesets import ValueSetStore
from p4cats.switch.wire import frame, parse_update

T = TypeVar("T")

Allowed = Callable[[int], bool]
"""Whether a reader may see the object with an id."""


def _every(_id: int) -> bool:
    return True


class Store:
    """All entities of a pipeline."""

    def __init__(
        self,
        program: ir.Program,
        info: p4i.P4Info,
        dataplane: dp.DataPlane,
        *,
        ports: PortState,
        clock: Clock,
        send_digest: Callable[[p4r.DigestList], None],
        cpu_port: int = 510,
    ) -> None:
        self.info = info
        self.dataplane = dataplane
        self.schema = schema = Schema(program, info)
        codecs = Codecs(info, schema.types)
        meter_types = {m.preamble.id: m.spec.type for m in info.direct_meters}
        self.profiles = {id_: ProfileStore(p, dataplane, ports) for id_, p in schema.profiles.items()}
        self.tables = {
            t.id: TableStore(
                t,
                meter_types.get(t.direct_meter, p4i.MeterSpec.TWO_RATE_THREE_COLOR),
                dataplane,
                self.profiles[t.profile.id] if t.profile else None,
            )
            for t in schema.tables.values()
        }
        self._tables_by_tag = {table_tag(t.schema): t for t in self.tables.values()}
        self._tables_by_name = {t.name: t for t in self.tables.values()}
        self.counters = {c.preamble.id: CounterStore(c, dataplane) for c in info.counters}
        self.meters = {m.preamble.id: MeterStore(m, dataplane) for m in info.meters}
        self.registers = {
            r.preamble.id: RegisterStore(
                r, codecs.codec(r.type_spec, f"register {r.preamble.name}"), dataplane
            )
            for r in info.registers
        }
        self.value_sets = {v.preamble.id: ValueSetStore(schema, v, dataplane) for v in info.value_sets}
        self.digests = {
            d.preamble.id: DigestStore(
                d, codecs.codec(d.type_spec, f"digest {d.preamble.name}"), clock, send_digest
            )
            for d in info.digests
        }
        self._digests_by_name = {d.name: d for d in self.digests.values()}
        self.replication = ReplicationStore(dataplane, ports, cpu_port)
        self._direct = DirectResources(self.tables, schema, dataplane)
        self._packet_in = ControllerHeader(schema, "packet_in")
        self._packet_out = ControllerHeader(schema, "packet_out")

    # -- controllers ---------------------------------------------------------------------------

    def write_some(self, updates: Sequence[bytes]) -> int:
        """Carry out the first of these serialised updates, or more at once; how many.

        P4RuntimeError where the first one is refused. Plain INSERTs into one table go together, unparsed.
        """
        table = self._tables_by_tag.get(updates[0][TABLE])
        done = table.insert_plain(updates) if table is not None else 0
        if not done:
            self.write(parse_update(updates[0]))
        return done or 1

    def write(self, update: p4r.Update) -> None:
        """Carry out one update or raise P4RuntimeError; a refused update changes nothing."""
        kind = update.type
        entity = update.entity
        which = entity.WhichOneof("entity")
        if which == "table_entry" and 1 <= kind <= 3:
            entry = entity.table_entry
            table = self.tables.get(entry.table_id)
            if table is None:
                raise _no_object("table", entry.table_id)
            table.write(kind, entry)
            return
        if kind not in (p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE):
            raise invalid("the update's type is not set: INSERT, MODIFY or DELETE")
        self._write_other(kind, which, entity)

    def _write_other(self, kind: p4r.Update.Type.ValueType, which: str | None, entity: p4r.Entity) -> None:
        match which:
            case "action_profile_member":
                member = entity.action_profile_member
                self._profile(member.action_profile_id).write_member(kind, member)
            case "action_profile_group":
                group = entity.action_profile_group
                self._profile(group.action_profile_id).write_group(kind, group)
            case "counter_entry":
                _find(self.counters, "counter", entity.counter_entry.counter_id).write(
                    kind, entity.counter_entry
                )
            case "meter_entry":
                _find(self.meters, "meter", entity.meter_entry.meter_id).write(kind, entity.meter_entry)
            case "register_entry":
                register = entity.register_entry
                _find(self.registers, "register", register.register_id).write(kind, register)
            case "direct_counter_entry":
                self._direct.write_counter(kind, entity.direct_counter_entry)
            case "direct_meter_entry":
                self._direct.write_meter(kind, entity.direct_meter_entry)
            case "packet_replication_engine_entry":
                self.replication.write(kind, entity.packet_replication_engine_entry)
            case "value_set_entry":
                value_set = entity.value_set_entry
                _find(self.value_sets, "value set", value_set.value_set_id).write(kind, value_set)
            case "digest_entry":
                _find(self.digests, "digest", entity.digest_entry.digest_id).write(kind, entity.digest_entry)
            case "extern_entry":
                raise unimplemented(
                    "v1model programs have no other externs than those with entities of their own"
                )
            case _:
                raise invalid("the update's entity is empty")

    def read(self, entity: p4r.Entity, allowed: Allowed = _every) -> Iterator[bytes]:
        """Framed entities that answer one entity of a read request (wildcards: section 11).

        A wildcard finds the objects that are `allowed`.
        """
        match entity.WhichOneof("entity"):
            case "table_entry":
                request = entity.table_entry
                if not request.table_id and request.match:
                    raise invalid("a read of all tables cannot have a match")
                for table in _some(self.tables, "table", request.table_id, allowed):
                    yield from table.read(request)
            case "action_profile_member":
                member = entity.action_profile_member
                for profile in _some(self.profiles, "action profile", member.action_profile_id, allowed):
                    for m in profile.read_members(member.member_id):
                        yield frame(p4r.Entity(action_profile_member=m))
            case "action_profile_group":
                group = entity.action_profile_group
                for profile in _some(self.profiles, "action profile", group.action_profile_id, allowed):
                    for g in profile.read_groups(group.group_id):
                        yield frame(p4r.Entity(action_profile_group=g))
            case _:
                yield from map(frame, self._read_other(entity, allowed))

    def _read_other(self, entity: p4r.Entity, allowed: Allowed) -> Iterator[p4r.Entity]:
        match entity.WhichOneof("entity"):
            case "counter_entry":
                for counter in _some(self.counters, "counter", entity.counter_entry.counter_id, allowed):
                    yield from counter.read(entity.counter_entry)
            case "meter_entry":
                for meter in _some(self.meters, "meter", entity.meter_entry.meter_id, allowed):
                    yield from meter.read(entity.meter_entry)
            case "register_entry":
                for register in _some(self.registers, "register", entity.register_entry.register_id, allowed):
                    yield from register.read(entity.register_entry)
            case "direct_counter_entry":
                yield from self._direct.read_counter(entity.direct_counter_entry, allowed)
            case "direct_meter_entry":
                yield from self._direct.read_meter(entity.direct_meter_entry, allowed)
            case "packet_replication_engine_entry":
                yield from self.replication.read(entity.packet_replication_engine_entry)
            case "value_set_entry":
                if entity.value_set_entry.members:
                    raise invalid("a read of value sets cannot have members")
                for value_set in _some(
                    self.value_sets, "value set", entity.value_set_entry.value_set_id, allowed
                ):
                    yield value_set.read()
            case "digest_entry":
                for digest in _some(self.digests, "digest", entity.digest_entry.digest_id, allowed):
                    yield from digest.read()
            case "extern_entry":
                raise unimplemented(
                    "v1model programs have no other externs than those with entities of their own"
                )
            case _:
                raise invalid("an entity of the read request is empty")

    def packet_out(self, message: p4r.PacketOut) -> None:
        """Send a controller's packet through the pipeline."""
        self.dataplane.packet_out(self._packet_out.packet_out(message))

    def acknowledge_digest(self, ack: p4r.DigestListAck) -> None:
        """A controller has a digest list."""
        digest = self.digests.get(ack.digest_id)
        if digest is None:
            raise invalid(f"there is no digest with id {ack.digest_id:#010x}")
        digest.acknowledge(ack.list_id)

    def has_entry(self, entry: p4r.TableEntry) -> bool:
        """Whether there is an entry with this table, match and priority."""
        table = self.tables.get(entry.table_id)
        return table is not None and table.has(entry)

    # -- data plane ----------------------------------------------------------------------------

    def packet_in(self, packet: bytes) -> p4r.PacketIn | None:
        """What a controller sees of a packet that left by the CPU port."""
        return self._packet_in.packet_in(packet)

    def digest(self, name: str, values: tuple[object, ...]) -> None:
        """The data plane made a digest message."""
        digest = self._digests_by_name.get(name)
        if digest is not None:
            digest.add(values)

    def idle(self, table: str, keys: Iterable[tuple[dp.Key, int]]) -> list[p4r.TableEntry]:
        """What a notification shows of entries that were idle."""
        store = self._tables_by_name.get(table)
        messages = [store.idle_message(key, priority) for key, priority in keys] if store else []
        return [m for m in messages if m is not None]

    def port_changed(self, port: int) -> None:
        """A port went up or down: groups with members that watch it change, and replicas with backups."""
        for profile in self.profiles.values():
            profile.port_changed(port)
        self.replication.port_changed(port)

    def close(self) -> None:
        """Stop timers."""
        for digest in self.digests.values():
            digest.close()

    def _profile(self, id_: int) -> ProfileStore:
        return _find(self.profiles, "action profile", id_)


def _no_object(noun: str, id_: int) -> P4RuntimeError:
    if not id_:
        return invalid(f"{noun} id 0 is not valid in a write")
    return not_found(f"there is no {noun} with id {id_:#010x}")


def _find(objects: dict[int, T], noun: str, id_: int) -> T:
    found = objects.get(id_)
    if found is None:
        raise _no_object(noun, id_)
    return found


def _some(objects: dict[int, T], noun: str, id_: int, allowed: Allowed) -> list[T]:
    """The object with an id, or all of a kind that are allowed for id 0."""
    return [_find(objects, noun, id_)] if id_ else [o for i, o in objects.items() if allowed(i)]


__all__ = ["Store"]
