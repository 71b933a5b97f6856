"""Serialised INSERTs of table entries in their plain form, read by one regular expression each.

Nearly all updates of a busy controller are such: a match, an action with its parameters, nothing else, as
serialisers write it (fields in the order of their numbers) and in canonical form. To ask protobuf's objects
for their fields would take longer than all the rest. Where an update looks different in any way, nothing is
said of it here: it is parsed, and checked by `TableStore.write`.

A match of the expression is what a parser finds if every length is that of what follows it; a value may look
like the tag of the next field, but then the lengths do not fit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

from finsy.proto import p4r

from p4cats.switch import dataplane as dp
from p4cats.switch.errors import P4RuntimeError
from p4cats.switch.schema import ActionSchema, FieldSchema, TableSchema
from p4cats.switch.table_codec import MATCH_PARTS, ActionCodec, KeyCodec, canonical_bits
from p4cats.switch.wire import tag, varint

TABLE = slice(6, 11)
"""Where the plain form has the table's id: behind the update's type and two tags with lengths."""
ENTITY = 3
"""Where its entity begins, with its length."""
_LONGEST = 127
"""Octets of an update whose lengths all take one octet."""
_PREFIX_LENGTH = rb"[\x01-\x7f]|\x80\x01"
"""1 to 128, as a varint."""
_PRIORITY = rb"[\x80-\xff]{0,3}[\x01-\x7f]"
"""1 to 2^28 - 1."""


def table_tag(table: TableSchema) -> bytes:
    """What a plain update of this table has at TABLE."""
    return tag(p4r.TableEntry, "table_id") + varint(table.id)


class PlainInserts:
    """Reads the plain INSERTs of one table."""

    def __init__(self, table: TableSchema, keys: KeyCodec, actions: ActionCodec) -> None:
        self._shapes: list[_Shape] = []
        if table.fields and not table.is_const and table.profile is None and _all_bits(table.fields):
            self._shapes = [
                _Shape(table, action, keys, actions)
                for action in table.actions.values()
                if action.id not in table.default_only and _all_bits(action.params.values())
            ]

    def read(self, data: bytes) -> dp.TableEntry | None:
        """The entry of an update; None where it is not plain, or not right."""
        if len(data) > _LONGEST:
            return None
        for number, shape in enumerate(self._shapes):
            groups = shape.groups(data)
            if groups is not None:
                if number:  # the next entry will look like this one
                    self._shapes.insert(0, self._shapes.pop(number))
                try:
                    return shape.entry(groups)
                except P4RuntimeError:
                    return None
        return None


def _all_bits(places: Any) -> bool:
    return all(canonical_bits(place.value) for place in places)


class _Shape:
    """The plain form of a table's entries with one action: an expression, and what its groups are."""

    def __init__(
        self, table: TableSchema, action: ActionSchema, keys: KeyCodec, actions: ActionCodec
    ) -> None:
        self._text: list[bytes] = [tag(p4r.Update, "type") + varint(p4r.Update.INSERT)]
        self._count = 0
        lengths: list[int] = []
        contents: list[int] = []
        self._measured = lengths, contents
        self._action = action.name
        with self._message(p4r.Update, "entity"), self._message(p4r.Entity, "table_entry"):
            self._add(table_tag(table))
            self._fields = [self._field(f, *keys.place(f)) for f in table.fields]
            with self._message(p4r.TableEntry, "action"), self._message(p4r.TableAction, "action"):
                self._add(tag(p4r.Action, "action_id") + varint(action.id))
                self._params = []
                for param, decode in actions.places(action.id):
                    with self._message(p4r.Action, "params"):
                        self._add(tag(p4r.Action.Param, "param_id") + varint(param.id))
                        self._params.append((self._value(p4r.Action.Param, "value", param.value), decode))
            self._priority = (
                self._number(p4r.TableEntry, "priority", _PRIORITY) if table.needs_priority else None
            )
        self._match = re.compile(b"".join(self._text), re.DOTALL).fullmatch
        self._lengths, self._contents = itemgetter(*lengths), itemgetter(*contents)

    # -- reading -------------------------------------------------------------------------------

    def groups(self, data: bytes) -> tuple[bytes, ...] | None:
        """The parts of an update of this form; b"" for those that are left out."""
        match = self._match(data)
        if match is None:
            return None
        groups = match.groups(b"")
        # What is left out has neither a length nor content; everything else has both.
        lengths = bytes(map(len, filter(None, self._contents(groups))))
        return groups if lengths == b"".join(self._lengths(groups)) else None

    def entry(self, groups: tuple[bytes, ...]) -> dp.TableEntry:
        """The entry that the parts make; P4RuntimeError where a value is wrong."""
        key = tuple([read(groups) for read in self._fields])
        data = tuple([decode(groups[at]) for at, decode in self._params])
        priority = 0 if self._priority is None else _of_varint(groups[self._priority])
        return dp.TableEntry(key, priority, dp.ActionCall(self._action, data))

    # -- the expression ------------------------------------------------------------------------

    def _add(self, octets: bytes) -> None:
        self._text.append(re.escape(octets))

    @contextmanager
    def _message(self, owner: Any, field: str) -> Iterator[None]:
        """A length and what is added meanwhile."""
        self._add(tag(owner, field))
        self._text.append(b"(.)(")
        for groups in self._measured:
            groups.append(self._count)
            self._count += 1
        yield
        self._text.append(b")")

    def _value(self, owner: Any, field: str, value: Any) -> int:
        """A length and a bit string in canonical form; the group of the latter."""
        with self._message(owner, field):
            group = self._count - 1
            self._text.append(rb"\0|[^\0].{0,%d}" % ((canonical_bits(value) - 1) // 8))
        return group

    def _number(self, owner: Any, field: str, text: bytes) -> int:
        """A varint; its group."""
        self._add(tag(owner, field))
        self._text.append(b"(" + text + b")")
        self._count += 1
        return self._count - 1

    def _field(
        self, field: FieldSchema, absent: dp.Match | None, make: Callable[..., dp.Match]
    ) -> Callable[[tuple[bytes, ...]], dp.Match]:
        """A match field; a function that makes the match from the groups."""
        if absent is not None:
            self._text.append(b"(?:")
        with self._message(p4r.TableEntry, "match"):
            self._add(tag(p4r.FieldMatch, "field_id") + varint(field.id))
            with self._message(p4r.FieldMatch, field.kind):
                read = self._parts(field, make)
        if absent is None:
            return read
        self._text.append(b")?")
        group = self._measured[0][-1]
        return lambda groups: read(groups) if groups[group] else absent

    def _parts(
        self, field: FieldSchema, make: Callable[..., dp.Match]
    ) -> Callable[[tuple[bytes, ...]], dp.Match]:
        owner, names = _MESSAGES[field.kind], MATCH_PARTS[field.kind]
        first = self._value(owner, names[0], field.value)
        if len(names) == 1:
            return lambda groups: make(groups[first])
        if field.kind == "lpm":
            length = self._number(owner, names[1], _PREFIX_LENGTH)
            return lambda groups: make(groups[first], _of_varint(groups[length]))
        second = self._value(owner, names[1], field.value)
        return lambda groups: make(groups[first], groups[second])


_MESSAGES: dict[str, Any] = {
    "exact": p4r.FieldMatch.Exact,
    "lpm": p4r.FieldMatch.LPM,
    "ternary": p4r.FieldMatch.Ternary,
    "range": p4r.FieldMatch.Range,
    "optional": p4r.FieldMatch.Optional,
}


def _of_varint(octets: bytes) -> int:
    value = 0
    for octet in reversed(octets):
        value = value << 7 | octet & 0x7F
    return value


__all__ = ["ENTITY", "TABLE", "PlainInserts", "table_tag"]
