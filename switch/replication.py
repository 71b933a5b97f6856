"""Packet replication: multicast groups and clone sessions (P4Runtime section 9.6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from finsy.proto import p4r

from p4cats.switch import bytestrings
from p4cats.switch import dataplane as dp
from p4cats.switch.errors import exists, invalid, not_found, unimplemented

_MAX_INSTANCE = (1 << 16) - 1
"""egress_rid is bit<16> in v1model."""
_MAX_GROUP = (1 << 16) - 1
"""mcast_grp is bit<16> in v1model."""
_MAX_PORT = (1 << 9) - 1
"""egress_spec is bit<9> in v1model."""
_SDN_CPU_PORT = 0xFFFFFFFD
"""P4Runtime's name for the CPU port (specification section on reserved port numbers)."""
_MAX_CLASS = 0
"""This target has one queue per port: class of service 0 only."""


class ReplicationStore:
    """All multicast groups and clone sessions of a pipeline."""

    def __init__(self, dataplane: dp.DataPlane, cpu_port: int) -> None:
        self._dataplane = dataplane
        self._cpu_port = cpu_port
        self._groups: dict[int, p4r.MulticastGroupEntry] = {}
        self._sessions: dict[int, p4r.CloneSessionEntry] = {}

    def write(self, kind: p4r.Update.Type.ValueType, entry: p4r.PacketReplicationEngineEntry) -> None:
        """INSERT, MODIFY or DELETE."""
        match entry.WhichOneof("type"):
            case "multicast_group_entry":
                self._write_group(kind, entry.multicast_group_entry)
            case "clone_session_entry":
                self._write_session(kind, entry.clone_session_entry)
            case _:
                raise invalid("packet replication engine entry: neither multicast group nor clone session")

    def _write_group(self, kind: p4r.Update.Type.ValueType, entry: p4r.MulticastGroupEntry) -> None:
        id_ = entry.multicast_group_id
        what = f"multicast group {id_}"
        if not 0 < id_ <= _MAX_GROUP:
            raise invalid(f"{what}: ids are 1 to {_MAX_GROUP}")
        _check_existence(kind, id_ in self._groups, what)
        if kind == p4r.Update.DELETE:
            self._dataplane.set_multicast_group(id_, ())
            del self._groups[id_]
            return
        replicas = self._replicas(entry.replicas, what)
        kept = p4r.MulticastGroupEntry()
        kept.CopyFrom(entry)
        _make_canonical(kept.replicas)
        self._dataplane.set_multicast_group(id_, replicas)
        self._groups[id_] = kept

    def _write_session(self, kind: p4r.Update.Type.ValueType, entry: p4r.CloneSessionEntry) -> None:
        id_ = entry.session_id
        what = f"clone session {id_}"
        if not id_:
            raise invalid(f"{what}: session ids begin at 1 (0 is the wildcard)")
        _check_existence(kind, id_ in self._sessions, what)
        if kind == p4r.Update.DELETE:
            self._dataplane.set_clone_session(id_, (), 0)
            del self._sessions[id_]
            return
        if entry.class_of_service > _MAX_CLASS:
            raise invalid(f"{what}: class_of_service {entry.class_of_service}; this target has class 0 only")
        if entry.packet_length_bytes < 0:
            raise invalid(f"{what}: packet_length_bytes is negative")
        replicas = self._replicas(entry.replicas, what)
        kept = p4r.CloneSessionEntry()
        kept.CopyFrom(entry)
        _make_canonical(kept.replicas)
        self._dataplane.set_clone_session(id_, replicas, entry.packet_length_bytes)
        self._sessions[id_] = kept

    def read(self, entry: p4r.PacketReplicationEngineEntry) -> Iterator[p4r.Entity]:
        """A group or session, or all of them for id 0."""
        match entry.WhichOneof("type"):
            case "multicast_group_entry":
                group_id = entry.multicast_group_entry.multicast_group_id
                for id_, group in list(self._groups.items()):
                    if group_id in (0, id_):
                        reply = p4r.Entity()
                        reply.packet_replication_engine_entry.multicast_group_entry.CopyFrom(group)
                        yield reply
            case "clone_session_entry":
                session_id = entry.clone_session_entry.session_id
                for id_, session in list(self._sessions.items()):
                    if session_id in (0, id_):
                        reply = p4r.Entity()
                        reply.packet_replication_engine_entry.clone_session_entry.CopyFrom(session)
                        yield reply
            case _:
                raise invalid("packet replication engine entry: neither multicast group nor clone session")

    def _replicas(self, messages: Sequence[p4r.Replica], what: str) -> list[dp.Replica]:
        replicas = []
        for message in messages:
            if message.backup_replicas:
                raise unimplemented(f"{what}: this target has no backup replicas")
            match message.WhichOneof("port_kind"):
                case "port":
                    port = int.from_bytes(message.port, "big")
                case "egress_port":
                    port = message.egress_port
                case _:
                    raise invalid(f"{what}: a replica needs a port")
            if port == _SDN_CPU_PORT:
                port = self._cpu_port
            if not 0 <= port <= _MAX_PORT:
                raise invalid(f"{what}: port {port} is no port; v1model numbers them 0 to {_MAX_PORT}")
            if not 0 <= message.instance <= _MAX_INSTANCE:
                raise invalid(f"{what}: instance {message.instance} is above {_MAX_INSTANCE}")
            replicas.append(dp.Replica(port, message.instance))
        if len(set(replicas)) != len(replicas):
            raise invalid(f"{what}: two replicas have the same port and instance")
        return replicas


def _check_existence(kind: p4r.Update.Type.ValueType, there: bool, what: str) -> None:
    if kind == p4r.Update.INSERT and there:
        raise exists(f"{what} exists")
    if kind != p4r.Update.INSERT and not there:
        raise not_found(f"{what} does not exist")


def _make_canonical(replicas: Sequence[p4r.Replica]) -> None:
    for replica in replicas:
        if replica.HasField("port"):
            replica.port = bytestrings.encode(int.from_bytes(replica.port, "big"))


__all__ = ["ReplicationStore"]
