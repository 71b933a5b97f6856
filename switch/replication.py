"""Packet replication: multicast groups and clone sessions (P4Runtime section 9.6).

A replica may have backups: while its port is down, the first of them whose port is up stands in for it. Where
all are down it is the replica itself that loses the packet. The data plane knows only what is used now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from finsy.proto import p4r

from p4cats.switch import bytestrings
from p4cats.switch import dataplane as dp
from p4cats.switch.errors import exists, invalid, not_found
from p4cats.switch.portstate import PortState

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

    def __init__(self, dataplane: dp.DataPlane, ports: PortState, cpu_port: int) -> None:
        self._dataplane = dataplane
        self._ports = ports
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

    def port_changed(self, port: int) -> None:
        """Let replicas and backups that use a port take turns."""
        for id_, group in self._groups.items():
            if _mentions_with_backup(group.replicas, port):
                self._dataplane.set_multicast_group(id_, self._replicas(group.replicas, "group"))
        for id_, session in self._sessions.items():
            if _mentions_with_backup(session.replicas, port):
                replicas = self._replicas(session.replicas, "session")
                self._dataplane.set_clone_session(id_, replicas, session.packet_length_bytes)

    def _replicas(self, messages: Sequence[p4r.Replica], what: str) -> list[dp.Replica]:
        """The replicas to use now; INVALID_ARGUMENT for malformed ones."""
        used, known = [], []
        for message in messages:
            alternatives = [self._replica(message, what)]
            alternatives += [self._replica(backup, what) for backup in message.backup_replicas]
            if any(backup.port == alternatives[0].port for backup in alternatives[1:]):
                raise invalid(f"{what}: port {alternatives[0].port} is its own backup")
            used.append(next((a for a in alternatives if self._is_up(a.port)), alternatives[0]))
            known += alternatives
        if len(set(known)) != len(known):
            raise invalid(f"{what}: two replicas have the same port and instance")
        return used

    def _is_up(self, port: int) -> bool:
        return port == self._cpu_port or self._ports.is_up(port)

    def _replica(self, message: p4r.Replica | p4r.BackupReplica, what: str) -> dp.Replica:
        if isinstance(message, p4r.Replica) and message.WhichOneof("port_kind") == "egress_port":
            port = message.egress_port
        elif message.port:
            port = int.from_bytes(message.port, "big")
        else:
            raise invalid(f"{what}: a replica needs a port")
        if port == _SDN_CPU_PORT:
            port = self._cpu_port
        if not 0 <= port <= _MAX_PORT:
            raise invalid(f"{what}: port {port} is no port; v1model numbers them 0 to {_MAX_PORT}")
        if not 0 <= message.instance <= _MAX_INSTANCE:
            raise invalid(f"{what}: instance {message.instance} is above {_MAX_INSTANCE}")
        return dp.Replica(port, message.instance)


def _mentions_with_backup(replicas: Sequence[p4r.Replica], port: int) -> bool:
    """Whether the state of a port decides between a replica and its backups."""
    number = bytestrings.encode(port)
    return any(
        replica.backup_replicas
        and (
            replica.egress_port == port
            or number in (replica.port, *(b.port for b in replica.backup_replicas))
        )
        for replica in replicas
    )


def _check_existence(kind: p4r.Update.Type.ValueType, there: bool, what: str) -> None:
    if kind == p4r.Update.INSERT and there:
        raise exists(f"{what} exists")
    if kind != p4r.Update.INSERT and not there:
        raise not_found(f"{what} does not exist")


def _make_canonical(replicas: Sequence[p4r.Replica]) -> None:
    for replica in replicas:
        if replica.HasField("port"):
            replica.port = bytestrings.encode(int.from_bytes(replica.port, "big"))
        for backup in replica.backup_replicas:
            backup.port = bytestrings.encode(int.from_bytes(backup.port, "big"))


__all__ = ["ReplicationStore"]
