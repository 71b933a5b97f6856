"""Action profiles and selectors: members, groups and one-shot action sets (P4Runtime section 9.2).

A selector is programmed in one style at a time: members and groups with ids of the controller, or
one-shot sets inside table entries. One-shot sets live in the data plane as members and groups too,
with ids above the 32 bits that a controller can name.

A member that watches a port is left out of its group while the port is down. A group whose members
are all down is an empty group: a packet that selects in it gets the table's default action.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from finsy.proto import p4r

from p4cats.switch import bytestrings
from p4cats.switch import dataplane as dp
from p4cats.switch.errors import exhausted, exists, invalid, not_found, precondition, unimplemented
from p4cats.switch.portstate import PortState
from p4cats.switch.schema import ProfileSchema
from p4cats.switch.table_codec import ActionCodec

_PRIVATE_IDS = 1 << 32
_MAX_WEIGHT = 1 << 16
"""A weight is a number of places in a group: more would only be a way to exhaust memory."""


@dataclass(slots=True)
class Member:
    """A member; `uses` counts the groups and entries that refer to it."""

    call: dp.ActionCall
    uses: int = 0


@dataclass(slots=True)
class Place:
    """A member's place in a group."""

    member_id: int
    weight: int
    watch_port: int | None = None


@dataclass(slots=True)
class Group:
    """A group; `uses` counts the entries that refer to it."""

    places: list[Place]
    max_size: int = 0
    uses: int = 0
    legacy_watch: bool = False
    """Written with the int32 `watch`, and read back so."""


@dataclass(slots=True)
class OneShot:
    """An action set of one table entry, as it is in the data plane."""

    group_id: int
    group: Group
    member_ids: list[int]
    weight: int = field(default=0)


class ProfileStore:
    """The state of one action profile or selector."""

    def __init__(self, schema: ProfileSchema, dataplane: dp.DataPlane, ports: PortState) -> None:
        self.schema = schema
        self._dataplane = dataplane
        self._ports = ports
        self._codec = ActionCodec(f"action profile {schema.name}", schema.actions)
        self.members: dict[int, Member] = {}
        self.groups: dict[int, Group] = {}
        self._one_shots: dict[int, OneShot] = {}
        self._one_shot_weight = 0
        self._private = count(_PRIVATE_IDS)

    # -- members -------------------------------------------------------------------------------

    def write_member(self, kind: p4r.Update.Type.ValueType, message: p4r.ActionProfileMember) -> None:
        """INSERT, MODIFY or DELETE a member."""
        id_, what = message.member_id, f"member {message.member_id} of action profile {self.schema.name}"
        if not id_:
            raise invalid(f"action profile {self.schema.name}: member id 0 is not valid")
        member = self.members.get(id_)
        if kind == p4r.Update.DELETE:
            if member is None:
                raise not_found(f"{what} does not exist")
            if member.uses:
                raise precondition(f"{what} is in use by {member.uses} groups or entries")
            self._dataplane.delete_member(self.schema.name, id_)
            del self.members[id_]
            return
        if kind == p4r.Update.INSERT and member is not None:
            raise exists(f"{what} exists")
        if kind == p4r.Update.MODIFY and member is None:
            raise not_found(f"{what} does not exist")
        if not message.HasField("action"):
            raise invalid(f"{what} needs an action")
        call = self._codec.decode(message.action)
        if member is None:
            self._one_style(one_shot=False)
            if self.schema.size and len(self.members) >= self.schema.size:
                raise exhausted(f"action profile {self.schema.name} is full: {self.schema.size} members")
            self._dataplane.set_member(self.schema.name, id_, call)
            self.members[id_] = Member(call)
        else:
            self._dataplane.set_member(self.schema.name, id_, call)
            member.call = call

    def read_members(self, id_: int) -> Iterator[p4r.ActionProfileMember]:
        """The member, or all for id 0."""
        for member_id, member in list(self.members.items()):
            if id_ in (0, member_id):
                yield p4r.ActionProfileMember(
                    action_profile_id=self.schema.id,
                    member_id=member_id,
                    action=self._codec.encode(member.call),
                )

    # -- groups --------------------------------------------------------------------------------

    def write_group(self, kind: p4r.Update.Type.ValueType, message: p4r.ActionProfileGroup) -> None:
        """INSERT, MODIFY or DELETE a group."""
        id_, what = message.group_id, f"group {message.group_id} of action profile {self.schema.name}"
        if not self.schema.selector:
            raise invalid(f"action profile {self.schema.name} has no selector, so no groups")
        if not id_:
            raise invalid(f"action profile {self.schema.name}: group id 0 is not valid")
        group = self.groups.get(id_)
        if kind == p4r.Update.DELETE:
            if group is None:
                raise not_found(f"{what} does not exist")
            if group.uses:
                raise precondition(f"{what} is in use by {group.uses} entries")
            self._dataplane.delete_group(self.schema.name, id_)
            self._count_members(group, -1)
            del self.groups[id_]
            return
        if kind == p4r.Update.INSERT and group is not None:
            raise exists(f"{what} exists")
        if kind == p4r.Update.MODIFY and group is None:
            raise not_found(f"{what} does not exist")
        new = self._group(message, what, group)
        self._one_style(one_shot=False)
        self._dataplane.set_group(self.schema.name, id_, self._spread(new))
        self._count_members(new, 1)
        if group is not None:
            self._count_members(group, -1)
            new.uses = group.uses
        self.groups[id_] = new

    def _group(self, message: p4r.ActionProfileGroup, what: str, old: Group | None) -> Group:
        limit = self.schema.max_group_size
        if limit and not 0 < message.max_size <= limit:
            raise invalid(f"{what}: max_size is {message.max_size}, it must be 1 to {limit}")
        if message.max_size < 0:
            raise invalid(f"{what}: max_size is negative")
        if old is not None and old.max_size != message.max_size:
            raise invalid(f"{what}: max_size cannot change from {old.max_size} to {message.max_size}")
        places = []
        legacy = False
        for member in message.members:
            if member.member_id not in self.members:
                raise not_found(f"{what}: member {member.member_id} does not exist")
            watch = self._watch(member, what)
            legacy = legacy or member.WhichOneof("watch_kind") == "watch"
            places.append(Place(member.member_id, self._weight(member.weight, what), watch))
        if len({p.member_id for p in places}) != len(places):
            raise invalid(f"{what}: a member is given twice; use its weight")
        self._check_size(places, message.max_size or limit, what)
        return Group(places, message.max_size, 0, legacy)

    def read_groups(self, id_: int) -> Iterator[p4r.ActionProfileGroup]:
        """The group, or all for id 0."""
        for group_id, group in list(self.groups.items()):
            if id_ not in (0, group_id):
                continue
            message = p4r.ActionProfileGroup(
                action_profile_id=self.schema.id, group_id=group_id, max_size=group.max_size
            )
            for place in group.places:
                weight = 0 if self.schema.weights_disallowed else place.weight
                member = message.members.add(member_id=place.member_id, weight=weight)
                if place.watch_port is not None and group.legacy_watch:
                    member.watch = place.watch_port
                elif place.watch_port is not None:
                    member.watch_port = bytestrings.encode(place.watch_port)
            yield message

    # -- references from table entries -----------------------------------------------------------

    def use_member(self, id_: int) -> Member:
        """The member that an entry is about to refer to."""
        if id_ not in self.members:
            raise not_found(f"member {id_} of action profile {self.schema.name} does not exist")
        return self.members[id_]

    def use_group(self, id_: int) -> Group:
        """The group that an entry is about to refer to."""
        if not self.schema.selector:
            raise invalid(f"action profile {self.schema.name} has no selector: entries refer to members")
        if id_ not in self.groups:
            raise not_found(f"group {id_} of action profile {self.schema.name} does not exist")
        return self.groups[id_]

    def add_one_shot(self, message: p4r.ActionProfileActionSet) -> OneShot:
        """Put an action set into the data plane, under a private group."""
        what = f"action set for selector {self.schema.name}"
        if not self.schema.selector:
            raise invalid(f"action profile {self.schema.name} has no selector: no action sets")
        self._one_style(one_shot=True)
        mode = p4r.ActionProfileActionSet.ActionSelectionMode
        if message.action_selection_mode not in (mode.DEFAULT_MODE_DETERMINED_BY_ACTION_SELECTOR, mode.HASH):
            if message.action_selection_mode not in mode.values():
                raise invalid(f"{what}: selection mode {message.action_selection_mode} is unknown")
            raise unimplemented(f"{what}: selection mode {mode.Name(message.action_selection_mode)}")
        calls = []
        places = []
        for action in message.action_profile_actions:
            calls.append(self._codec.decode(action.action))
            places.append(Place(0, self._weight(action.weight, what), self._watch(action, what)))
        if message.size_semantics not in p4r.ActionProfileActionSet.SizeSemantics.values():
            raise invalid(f"{what}: size semantics {message.size_semantics} is unknown")
        by_members = message.size_semantics == p4r.ActionProfileActionSet.SizeSemantics.SUM_OF_MEMBERS
        self._check_size(places, self.schema.max_group_size, what, by_members)
        weight = sum(p.weight for p in places)
        if self.schema.size and self._one_shot_weight + weight > self.schema.size:
            raise exhausted(f"action selector {self.schema.name} is full: size {self.schema.size}")
        for call, place in zip(calls, places, strict=True):
            place.member_id = next(self._private)
            self._dataplane.set_member(self.schema.name, place.member_id, call)
        one_shot = OneShot(next(self._private), Group(places), [p.member_id for p in places], weight)
        self._dataplane.set_group(self.schema.name, one_shot.group_id, self._spread(one_shot.group))
        self._one_shots[one_shot.group_id] = one_shot
        self._one_shot_weight += weight
        return one_shot

    def drop_one_shot(self, one_shot: OneShot) -> None:
        """Remove an action set that no entry refers to any more."""
        self._dataplane.delete_group(self.schema.name, one_shot.group_id)
        for id_ in one_shot.member_ids:
            self._dataplane.delete_member(self.schema.name, id_)
        del self._one_shots[one_shot.group_id]
        self._one_shot_weight -= one_shot.weight

    def port_changed(self, port: int) -> None:
        """Leave out or bring back the members that watch a port."""
        for id_, group in [*self.groups.items(), *((i, o.group) for i, o in self._one_shots.items())]:
            if any(p.watch_port == port for p in group.places):
                self._dataplane.set_group(self.schema.name, id_, self._spread(group))

    # -- rules ---------------------------------------------------------------------------------

    def _one_style(self, *, one_shot: bool) -> None:
        mixed = (self.members or self.groups) if one_shot else self._one_shots
        if mixed:
            raise invalid(
                f"action selector {self.schema.name} is programmed with "
                f"{'members and groups' if one_shot else 'one-shot action sets'}; the styles cannot be mixed"
            )

    def _weight(self, weight: int, what: str) -> int:
        if self.schema.weights_disallowed:
            if weight:
                raise invalid(f"{what}: this selector takes no weights")
            return 1
        if weight <= 0:
            raise invalid(f"{what}: weight {weight}; it must be positive")
        if weight > _MAX_WEIGHT:
            raise exhausted(f"{what}: weight {weight} is above this target's limit of {_MAX_WEIGHT}")
        return weight

    def _check_size(self, places: list[Place], limit: int, what: str, by_members: bool = False) -> None:
        if self.schema.sum_of_members or by_members:
            top = self.schema.max_member_weight
            if top and any(p.weight > top for p in places):
                raise invalid(f"{what}: a weight is above max_member_weight {top}")
            size, unit = len(places), "members"
        else:
            size, unit = sum(p.weight for p in places), "summed weights"
        if limit and size > limit:
            raise invalid(f"{what}: {size} {unit}, but at most {limit} are allowed")

    def _watch(
        self, member: p4r.ActionProfileAction | p4r.ActionProfileGroup.Member, what: str
    ) -> int | None:
        match member.WhichOneof("watch_kind"):
            case "watch_port":
                if not member.watch_port:
                    return None
                port = int.from_bytes(member.watch_port, "big")
            case "watch":
                if not member.watch:
                    return None
                port = member.watch
            case _:
                return None
        if not self._ports.exists(port):
            raise invalid(f"{what}: watch_port {port} is no port of this switch")
        return port

    def _spread(self, group: Group) -> list[int]:
        """Member ids, each once per unit of weight; those behind a dead port left out."""
        return [
            place.member_id
            for place in group.places
            if place.watch_port is None or self._ports.is_up(place.watch_port)
            for _ in range(place.weight)
        ]

    def _count_members(self, group: Group, change: int) -> None:
        for place in group.places:
            self.members[place.member_id].uses += change


__all__ = ["Group", "Member", "OneShot", "ProfileStore"]
