"""Which controller is primary: roles and election ids (P4Runtime section 5).

Pure state: a Controller is a stream, and `send` puts a message on it. Everything runs in the event loop,
so that a change of primary is one step: whoever was refused before it stays refused, and a Write that
began under the old primary is complete before the new one is told (the service takes turns).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from finsy.proto import p4r

from p4cats.switch.errors import Code, denied, exhausted, invalid, not_found, precondition
from p4cats.switch.roles import RoleConfig

MAX_STREAMS = 256
"""Streams of one device; more are refused with RESOURCE_EXHAUSTED."""


@dataclass(eq=False)
class Controller:
    """One stream of a controller; `role` is None until its first arbitration update."""

    send: Callable[[p4r.StreamMessageResponse], None]
    role: str | None = None
    election_id: int | None = None


@dataclass
class _Role:
    """What is remembered of a role until the process ends."""

    name: str
    config: RoleConfig = field(default_factory=lambda: RoleConfig(p4r.Role()))
    highest: int | None = None
    primary: Controller | None = None
    controllers: list[Controller] = field(default_factory=list)


class Arbitration:
    """The controllers of one device."""

    def __init__(self, device_id: int, max_streams: int = MAX_STREAMS) -> None:
        self._device_id = device_id
        self._max_streams = max_streams
        self._roles: dict[str, _Role] = {"": _Role("")}
        self._streams = 0

    def update(self, controller: Controller, message: p4r.MasterArbitrationUpdate) -> None:
        """Handle an arbitration update; an error ends the stream (rules A2, A3: sections 5.3 and 5.4)."""
        first = controller.role is None
        name = message.role.name
        if first:
            self.check_device(message.device_id)
            if self._streams >= self._max_streams:
                raise exhausted(f"too many controllers: this device takes {self._max_streams} streams")
        elif message.device_id != self._device_id:
            raise precondition(
                f"device_id cannot change on a stream, from {self._device_id} to {message.device_id}"
            )
        elif name != controller.role:
            raise precondition(f"the role cannot change on a stream, from {controller.role!r} to {name!r}")
        config = RoleConfig(message.role)
        config.check_beside(name, {r.name: r.config for r in self._roles.values() if r.primary is not None})
        role = self._roles.get(name) or _Role(name)
        election_id = _number(message.election_id) if message.HasField("election_id") else None
        if election_id is not None and any(
            c is not controller and c.election_id == election_id for c in role.controllers
        ):
            raise invalid(f"election id {election_id} is already used by another controller of role {name!r}")
        self._roles[name] = role
        if first:
            controller.role = name
            role.controllers.append(controller)
            self._streams += 1
        controller.election_id = election_id
        self._elect(role, controller, config)

    def _elect(self, role: _Role, controller: Controller, config: RoleConfig) -> None:
        election_id = controller.election_id
        old = role.primary
        if election_id is not None and (role.highest is None or election_id >= role.highest):
            changed = (
                old is not controller or role.highest != election_id or role.config.message != config.message
            )
            role.primary, role.highest, role.config = controller, election_id, config
            if changed:
                self._notify(role, [c for c in role.controllers if c is not controller])
            self._notify(role, [controller])
        elif old is controller:
            role.primary = None
            self._notify(role, role.controllers)
        else:
            self._notify(role, [controller])

    def leave(self, controller: Controller) -> None:
        """A stream has ended. Nobody is promoted: the others are told that there is no primary."""
        if controller.role is None:
            return
        role = self._roles[controller.role]
        role.controllers.remove(controller)
        self._streams -= 1
        if role.primary is controller:
            role.primary = None
            self._notify(role, role.controllers)

    def _notify(self, role: _Role, controllers: Iterable[Controller]) -> None:
        for controller in list(controllers):
            reply = p4r.StreamMessageResponse()
            update = reply.arbitration
            update.device_id = self._device_id
            if role.name:
                update.role.name = role.name
            if role.config.message is not None:
                update.role.config.CopyFrom(role.config.message.config)
            if role.highest is not None:
                update.election_id.high = role.highest >> 64
                update.election_id.low = role.highest & (1 << 64) - 1
            if controller is role.primary:
                update.status.code = Code.OK
                update.status.message = "you are primary"
            elif role.primary is not None:
                update.status.code = Code.ALREADY_EXISTS
                update.status.message = "you are backup"
            else:
                update.status.code = Code.NOT_FOUND
                update.status.message = "there is no primary"
            controller.send(reply)

    # -- questions -----------------------------------------------------------------------------

    def check_device(self, device_id: int) -> None:
        """NOT_FOUND for another device than ours."""
        if device_id != self._device_id:
            raise not_found(f"there is no device {device_id} here, only device {self._device_id}")

    def check_role(self, name: str) -> RoleConfig:
        """The role's configuration; NOT_FOUND for a role that no controller ever named."""
        role = self._roles.get(name)
        if role is None:
            raise not_found(f"role {name!r} is unknown: no controller opened a stream with it")
        return role.config

    def check_primary(self, name: str, election_id: p4r.Uint128 | None) -> RoleConfig:
        """The role's configuration; PERMISSION_DENIED unless the id is the connected primary's."""
        config = self.check_role(name)
        primary = self._roles[name].primary
        if primary is None:
            raise denied(
                f"role {name!r} has no primary controller: open a stream and win the arbitration first"
            )
        if election_id is None:
            raise denied("election_id is not set: only the primary controller may do this")
        if _number(election_id) != primary.election_id:
            raise denied(
                f"election id {_number(election_id)} is not the primary's, which is {primary.election_id}"
            )
        return config

    def is_primary(self, controller: Controller) -> bool:
        """Whether a stream belongs to the primary of its role."""
        return controller.role is not None and self._roles[controller.role].primary is controller

    def primaries(self) -> list[tuple[Controller, RoleConfig]]:
        """The primaries of all roles."""
        return [(r.primary, r.config) for r in self._roles.values() if r.primary is not None]


def _number(id_: p4r.Uint128) -> int:
    return id_.high << 64 | id_.low


__all__ = ["MAX_STREAMS", "Arbitration", "Controller"]
