"""Ids and aliases of P4Info objects, as p4c assigns them (P4Runtime specification section 6.3, 6.2).

An object's id is a type prefix and 24 bits of a hash of its name, unless `@id` says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum


class Prefix(IntEnum):
    """The most significant byte of an id (`P4Ids.Prefix`)."""

    ACTION = 0x01
    TABLE = 0x02
    VALUE_SET = 0x03
    CONTROLLER_HEADER = 0x04
    ACTION_PROFILE = 0x11
    COUNTER = 0x12
    DIRECT_COUNTER = 0x13
    METER = 0x14
    DIRECT_METER = 0x15
    REGISTER = 0x16
    DIGEST = 0x17


class IdError(ValueError):
    """An `@id` that cannot be honoured."""


def jenkins_one_at_a_time(text: str) -> int:
    """Hash the UTF-8 bytes of `text` to 32 bits, as p4c does."""
    value = 0
    for byte in text.encode():
        value = (value + byte) & 0xFFFFFFFF
        value = (value + (value << 10)) & 0xFFFFFFFF
        value ^= value >> 6
    value = (value + (value << 3)) & 0xFFFFFFFF
    value ^= value >> 11
    return (value + (value << 15)) & 0xFFFFFFFF


def assign_ids(prefix: Prefix, names: Iterable[tuple[str, int | None]]) -> dict[str, int]:
    """Give every (name, @id or None) of one type its id.

    Names without `@id` are taken in sorted byte order, so ids do not depend on the order of declaration;
    a taken id moves to the next (linear probing).
    Raises IdError for an `@id` of another type, a duplicate `@id` or a duplicate name.
    """
    ids: dict[str, int] = {}
    taken: set[int] = set()
    hashed: list[str] = []
    for name, given in names:
        if name in ids or name in hashed:
            raise IdError(f"two {_noun(prefix)}s have the control-plane name {name!r}: rename one with @name")
        if given is None:
            hashed.append(name)
            continue
        id_ = _explicit(prefix, name, given)
        if id_ in taken:
            raise IdError(f"@id({given}) of {_noun(prefix)} {name!r} is used twice")
        taken.add(id_)
        ids[name] = id_
    for name in sorted(hashed, key=str.encode):
        value = jenkins_one_at_a_time(name)
        while (id_ := prefix << 24 | value & 0xFFFFFF) in taken:
            value += 1
        taken.add(id_)
        ids[name] = id_
    return ids


def _explicit(prefix: Prefix, name: str, given: int) -> int:
    top = given >> 24
    if not 0 < given < 1 << 32:
        raise IdError(f"@id({given}) of {_noun(prefix)} {name!r} is not a positive 32-bit number")
    if top == 0:
        return prefix << 24 | given
    if top != prefix:
        raise IdError(
            f"@id({given:#x}) of {_noun(prefix)} {name!r} begins with {top:#04x}, "
            f"but ids of a {_noun(prefix)} begin with {int(prefix):#04x}"
        )
    return given


def _noun(prefix: Prefix) -> str:
    return prefix.name.lower().replace("_", " ")


def number_fields(given: Sequence[int | None]) -> list[int]:
    """Number match fields, parameters or header fields: 1, 2, 3… with `@id(n)` honoured.

    A running index starts at 1; a field with its own number advances it by one, another field
    moves it past the numbers that are taken and takes it: (@id(5), -, -) are 5, 2, 3.
    """
    taken = {n for n in given if n is not None}
    if len(taken) != sum(n is not None for n in given) or any(n <= 0 for n in taken):
        raise IdError("@id of fields and parameters must be positive and unique")
    numbers = []
    index = 1
    for n in given:
        if n is None:
            while index in taken:
                index += 1
            taken.add(index)
            numbers.append(index)
        else:
            numbers.append(n)
        index += 1
    return numbers


def aliases(names: Iterable[str]) -> dict[str, str]:
    """For every name, its shortest dot-separated suffix that ends no other of the names."""
    distinct = set(names)
    seen: dict[str, int] = {}
    for name in distinct:
        for suffix in _suffixes(name):
            seen[suffix] = seen.get(suffix, 0) + 1
    return {name: next((s for s in _suffixes(name) if seen[s] == 1), name) for name in distinct}


def _suffixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[i:]) for i in range(len(parts) - 1, -1, -1)]


__all__ = ["IdError", "Prefix", "aliases", "assign_ids", "jenkins_one_at_a_time", "number_fields"]
