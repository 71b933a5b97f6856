"""The keys under which instances stamp, and their sequence numbers (docs/protocol.md, 3.4 and 4.1).

Key and sequence number are one value of the pinned map `keys`: programs count on in it, and after a
SIGKILL the next agent finds both there. An orderly stop leaves key id and sequence in a file, never the key.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from p4cats.ebpf.errors import ConfigError
from p4cats.ebpf.libbpf import Map

LAST_SEQUENCE = (1 << 32) - 1
_NEARLY_ALL = LAST_SEQUENCE - (1 << 24)
"""Beyond it the next key is asked for: at 100,000 stamps a second, nearly three minutes ahead."""


@dataclass(frozen=True)
class Key:
    """A key of 8 octets and its id, 1 to 255."""

    key_id: int
    octets: bytes = field(repr=False)

    @classmethod
    def of(cls, key_id: int, text: str) -> Key:
        """Return a key written as 16 hexadecimal digits; ValueError never shows it."""
        try:
            octets = bytes.fromhex(text)
        except ValueError:
            octets = b""
        if len(octets) != 8 or not 1 <= key_id <= 255:
            raise ValueError("a key has an id from 1 to 255 and 16 hexadecimal digits")
        return cls(key_id, octets)


NO_KEY = Key(0, bytes(8))
"""Stamps with key id 0 and MAC 0."""


@dataclass(frozen=True)
class Used:
    """What is known of an earlier use of a key."""

    key_id: int
    sequence: int | None
    """Of the last stamp; None: the machine went down while the key was in use."""
    octets: bytes | None = field(default=None, repr=False)
    """The key itself, where the last agent was killed and left it in the kernel."""


class Keyring:
    """The keys of all instances of an agent. `used` is what is known from before, by instance."""

    def __init__(self, keys: Map, used: Mapping[int, Used]) -> None:
        self._map = keys
        self._used = dict(used)
        self._instances: dict[int, bool] = {}

    def check(self, instance: int, key: Key | None) -> None:
        """Raise ConfigError if an instance's configured key may not be used: its sequence number is lost."""
        before = self._used.get(instance)
        if key is not None and before and before.key_id == key.key_id and before.sequence is None:
            raise ConfigError(
                f"instance {instance}: key {key.key_id} was in use when the machine went down,"
                " its sequence number is lost: configure the next key"
            )

    def add(self, instance: int, key: Key | None, *, authenticated: bool) -> None:
        """Take an instance in, with its configured key if it has one (that `check` has let pass)."""
        before = self._used.get(instance)
        self._instances[instance] = authenticated
        if key is not None:
            self.give(instance, key)
        elif not authenticated:
            self._write(instance, NO_KEY, self._sequence_before(instance, 0))
        elif before and before.octets and before.sequence is not None:
            self._write(instance, Key(before.key_id, before.octets), before.sequence)

    def remove(self, instance: int) -> None:
        """Forget an instance's key; its sequence number stays known."""
        current = self._read(instance)
        if current is not None:
            self._used[instance] = current
        self._map.delete(_number(instance))
        self._instances.pop(instance, None)

    def give(self, instance: int, key: Key) -> bool:
        """Let an instance stamp with a key from now on; return whether that is a change."""
        current = self._read(instance)
        if not self._instances.get(instance, False):
            return False  # not ours, or without authentication
        if current is None:
            sequence = self._sequence_before(instance, key.key_id)
        elif (current.key_id, current.octets) == (key.key_id, key.octets):
            return False
        else:
            # The same id with other octets: forwarders go by the id, so the numbers go on.
            sequence = current.sequence or 0 if current.key_id == key.key_id else 0
        self._write(instance, key, sequence)
        return True

    def _sequence_before(self, instance: int, key_id: int) -> int:
        before = self._used.get(instance)
        return (before.sequence or 0) if before and before.key_id == key_id else 0

    def key_ids(self) -> dict[int, int]:
        """Return the key id of every authenticated instance, 0 where it has none yet."""
        return {
            instance: current.key_id if (current := self._read(instance)) else 0
            for instance, authenticated in self._instances.items()
            if authenticated
        }

    def fresh(self) -> list[int]:
        """Return the authenticated instances for which only a key will do that was never used."""
        return [i for i, authenticated in self._instances.items() if authenticated and self._needs_new(i)]

    def _needs_new(self, instance: int) -> bool:
        """Whether an instance has lost its sequence number, or will soon have used all."""
        known = self._read(instance) or self._used.get(instance)
        return known is None or not known.key_id or known.sequence is None or known.sequence > _NEARLY_ALL

    def used(self) -> dict[int, Used]:
        """Return what is to be remembered of all instances, past ones too."""
        return {
            **self._used,
            **{i: current for i in self._instances if (current := self._read(i)) is not None},
        }

    def _read(self, instance: int) -> Used | None:
        raw = self._map.lookup(_number(instance))
        return None if raw is None else _decode(self._map, raw)

    def _write(self, instance: int, key: Key, sequence: int) -> None:
        fields: dict[str, int | bytes] = {"key": key.octets, "sequence": sequence, "key_id": key.key_id}
        self._map.update(_number(instance), self._map.value_layout.encode(fields))


def left_in(keys: Map) -> dict[int, Used]:
    """Return what a killed agent left in the map."""
    return {struct.unpack("=I", number)[0]: _decode(keys, raw) for number, raw in keys.items()}


def to_json(used: Mapping[int, Used], *, running: Iterable[int] = ()) -> dict[str, Any]:
    """Return key ids and sequence numbers, without keys; those of `running` instances as not known."""
    unknown = set(running)
    return {
        str(instance): {"key_id": u.key_id, "sequence": None if instance in unknown else u.sequence}
        for instance, u in used.items()
    }


def of_json(document: Mapping[str, Any]) -> dict[int, Used]:
    """Read what `to_json` wrote; ValueError, KeyError or TypeError for anything else."""
    return {
        int(instance): Used(int(u["key_id"]), None if u["sequence"] is None else int(u["sequence"]))
        for instance, u in document.items()
    }


def _number(instance: int) -> bytes:
    return struct.pack("=I", instance)


def _decode(keys: Map, raw: bytes) -> Used:
    fields = keys.value_layout.decode(raw)
    sequence = min(int(fields["sequence"]), LAST_SEQUENCE)
    return Used(int(fields["key_id"]), sequence, bytes(fields["key"]))
