"""Roles: what a role's configuration lets its controllers do (P4Runtime section 5.3).

The specification leaves the form of `Role.config` to the target. We take Stratum's `P4RoleConfig`, which
clients (finsy) know; a role without configuration may do everything, like the default role. Entities
that have no P4Info id (multicast groups, clone sessions) are open to every role.

Ids are for writing and reading alike: a Read that names the role is answered with the role's objects. An id
that a role has for itself (`exclusive_p4_ids`) can be in no other role's configuration; the default role
and roles without configuration have full access nevertheless.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from finsy.proto import p4r, stratum

from p4cats.switch.errors import denied, invalid


class RoleConfig:
    """A parsed role configuration."""

    def __init__(self, role: p4r.Role) -> None:
        self.message: p4r.Role | None = None
        self.config: stratum.P4RoleConfig | None = None
        self.ids: frozenset[int] = frozenset()
        if not role.HasField("config"):
            return
        config = stratum.P4RoleConfig()
        if not role.config.Is(config.DESCRIPTOR):
            raise invalid(
                f"role {role.name!r}: configuration of type {role.config.type_url!r} is not understood; "
                f"use {config.DESCRIPTOR.full_name} or leave it unset"
            )
        try:
            role.config.Unpack(config)
        except Exception as error:  # protobuf raises DecodeError, which its stubs hide
            raise invalid(f"role {role.name!r}: the configuration cannot be parsed: {error}") from error
        self.message = role
        self.config = config
        self.ids = frozenset((*config.exclusive_p4_ids, *config.shared_p4_ids))

    def allows(self, id_: int) -> bool:
        """Whether the role may read and write the object."""
        return self.config is None or id_ in self.ids

    def check_write(self, role: str, ids: Iterable[int]) -> None:
        """PERMISSION_DENIED where the role may not write the object."""
        for id_ in ids:
            if id_ and not self.allows(id_):
                raise denied(f"role {role!r} may not write object {id_:#010x}")

    def check_read(self, role: str, ids: Iterable[int]) -> None:
        """PERMISSION_DENIED where the role may not read an object that a request names."""
        for id_ in ids:
            if id_ and not self.allows(id_):
                raise denied(f"role {role!r} may not read object {id_:#010x}")

    def check_beside(self, role: str, others: Mapping[str, RoleConfig]) -> None:
        """INVALID_ARGUMENT where an id that a role has for itself is in another role's configuration too."""
        if self.config is None:
            return
        for name, other in others.items():
            if name == role or other.config is None:
                continue
            for id_ in {*self.config.exclusive_p4_ids} & other.ids | {
                *other.config.exclusive_p4_ids
            } & self.ids:
                raise invalid(
                    f"role {role!r}: object {id_:#010x} is also role {name!r}'s, and exclusive to one of them"
                )

    def check_pipeline(self, role: str) -> None:
        """PERMISSION_DENIED where the role may not set the pipeline."""
        if self.config is not None and not self.config.can_push_pipeline:
            raise denied(f"role {role!r} may not set the forwarding pipeline (can_push_pipeline is false)")

    def wants_packet_in(self, packet: p4r.PacketIn) -> bool:
        """Whether the role's primary gets this packet."""
        if self.config is None:
            return True
        if not self.config.receives_packet_ins:
            return False
        wanted = self.config.packet_in_filter
        if not wanted.metadata_id:
            return True
        value = wanted.value.lstrip(b"\0")
        return any(
            m.metadata_id == wanted.metadata_id and m.value.lstrip(b"\0") == value for m in packet.metadata
        )


def written_ids(entity: p4r.Entity) -> tuple[int, ...]:
    """Ids of the P4Info objects that an update writes or an entity of a read names; 0 is the wildcard."""
    match entity.WhichOneof("entity"):
        case "table_entry":
            return (entity.table_entry.table_id,)
        case "action_profile_member":
            return (entity.action_profile_member.action_profile_id,)
        case "action_profile_group":
            return (entity.action_profile_group.action_profile_id,)
        case "counter_entry":
            return (entity.counter_entry.counter_id,)
        case "direct_counter_entry":
            return (entity.direct_counter_entry.table_entry.table_id,)
        case "meter_entry":
            return (entity.meter_entry.meter_id,)
        case "direct_meter_entry":
            return (entity.direct_meter_entry.table_entry.table_id,)
        case "register_entry":
            return (entity.register_entry.register_id,)
        case "value_set_entry":
            return (entity.value_set_entry.value_set_id,)
        case "digest_entry":
            return (entity.digest_entry.digest_id,)
        case _:
            return ()


__all__ = ["RoleConfig", "written_ids"]
