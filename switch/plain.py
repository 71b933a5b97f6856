"""Serialised INSERTs of table entries in their plain form, read by one regular expression each.

Nearly all updates of a busy controller are such: a match, an action with its parameters, nothing else, as
serialisers write it (fields in the order of their numbers) and in canonical form. To ask protobuf's objects
for their fields would take longer than all the rest. Where an update looks different in any way, nothing is
said of it here: it is parsed, and checked by `TableStore.write`.

A match of the expression is what a parser finds if every length is that of what follows it; a value may look
like the tag of the next field, but then the lengths do not fit. Once that was checked, the same form with
just these lengths is an expression of its own, in which there is nothing left to check.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
_NUMBER = rb"[\x80-\xff]{0,3}[\x01-\x7f]"
"""A varint from 1 to 2^28 - 1."""
_KNOWN = 64
"""Combinations of lengths that a form remembers; values of a table have a few lengths each."""


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
            values = shape.values(data)
            if values is not None:
                if number:  # the next entry will look like this one
                    self._shapes.insert(0, self._shapes.pop(number))
                try:
                    return shape.entry(values)
                except P4RuntimeError:
                    return None
        return None


def _all_bits(places: Any) -> bool:
    return all(canonical_bits(place.value) for place in places)


class _Shape:
    """The plain form of a table's entries with one action."""

    def __init__(
        self, table: TableSchema, action: ActionSchema, keys: KeyCodec, actions: ActionCodec
    ) -> None:
        self._text: list[bytes] = [tag(p4r.Update, "type") + varint(p4r.Update.INSERT)]
        self._count = 0
        self._lengths: list[int] = []
        """Groups that are lengths; the next one is what they measure."""
        self._values: list[tuple[int, bool]] = []
        """Groups of values; whether they are numbers, else they are bit strings."""
        self._known: dict[int, list[Callable[[bytes], re.Match[bytes] | None]]] = {}
        self._room = _KNOWN
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
            self._priority = self._number(p4r.TableEntry, "priority") if table.needs_priority else None
        self._match = re.compile(b"".join(self._text), re.DOTALL).fullmatch

    # -- reading -------------------------------------------------------------------------------

    def values(self, data: bytes) -> tuple[bytes, ...] | None:
        """The values in an update of this form; b"" for those that are left out."""
        for known in self._known.get(len(data), ()):
            match = known(data)
            if match is not None:
                return match.groups()
        match = self._match(data)
        if match is None or any(
            match.start(at) >= 0 and match[at][0] != len(match[at + 1]) for at in self._lengths
        ):
            return None
        self._learn(data, match)
        return tuple([match[at] or b"" for at, _ in self._values])

    def _learn(self, data: bytes, match: re.Match[bytes]) -> None:
        """Know the form with the lengths that it has in this update."""
        if not self._room:
            return
        self._room -= 1
        text, done = [], 0
        for at, is_number in self._values:
            begin, end = match.span(at)
            if begin < 0:
                text.append(b"()")
                continue
            more = end - begin - 1
            if is_number:
                value = rb"[\x80-\xff]{%d}[\x01-\x7f]" % more
            else:
                value = rb"[^\0].{%d}" % more if more else b"."
            text += [re.escape(data[done:begin]), b"(", value, b")"]
            done = end
        text.append(re.escape(data[done:]))
        known = re.compile(b"".join(text), re.DOTALL).fullmatch
        self._known.setdefault(len(data), []).append(known)

    def entry(self, values: tuple[bytes, ...]) -> dp.TableEntry:
        """The entry that the values make; P4RuntimeError where one is wrong."""
        key = tuple([read(values) for read in self._fields])
        data = tuple([decode(values[at]) for at, decode in self._params])
        priority = 0 if self._priority is None else _of_varint(values[self._priority])
        return dp.TableEntry(key, priority, dp.ActionCall(self._action, data))

    # -- the expression ------------------------------------------------------------------------

    def _add(self, octets: bytes) -> None:
        self._text.append(re.escape(octets))

    def _group(self) -> int:
        self._count += 1
        return self._count

    @contextmanager
    def _message(self, owner: Any, field: str) -> Iterator[None]:
        """A length and what is added meanwhile."""
        self._add(tag(owner, field))
        self._text.append(b"(.)(")
        self._lengths.append(self._group())
        self._group()
        yield
        self._text.append(b")")

    def _value(self, owner: Any, field: str, value: Any) -> int:
        """A length and a bit string in canonical form; its place among the values."""
        with self._message(owner, field):
            self._text.append(rb"\0|[^\0].{0,%d}" % ((canonical_bits(value) - 1) // 8))
            self._values.append((self._count, False))
        return len(self._values) - 1

    def _number(self, owner: Any, field: str) -> int:
        """A varint; its place among the values."""
        self._add(tag(owner, field))
        self._text.append(b"(" + _NUMBER + b")")
        self._values.append((self._group(), True))
        return len(self._values) - 1

    def _field(
        self, field: FieldSchema, absent: dp.Match | None, make: Callable[..., dp.Match]
    ) -> Callable[[tuple[bytes, ...]], dp.Match]:
        """A match field; a function that makes the match from the values."""
        if absent is not None:
            self._text.append(b"(?:")
        with self._message(p4r.TableEntry, "match"):
            self._add(tag(p4r.FieldMatch, "field_id") + varint(field.id))
            with self._message(p4r.FieldMatch, field.kind):
                read = self._parts(field, make)
        if absent is None:
            return read
        self._text.append(b")?")
        last = len(self._values) - 1
        return lambda values: read(values) if values[last] else absent

    def _parts(
        self, field: FieldSchema, make: Callable[..., dp.Match]
    ) -> Callable[[tuple[bytes, ...]], dp.Match]:
        owner, names = _MESSAGES[field.kind], MATCH_PARTS[field.kind]
        first = self._value(owner, names[0], field.value)
        if len(names) == 1:
            return lambda values: make(values[first])
        if field.kind == "lpm":
            length = self._number(owner, names[1])
            return lambda values: make(values[first], _of_varint(values[length]))
        second = self._value(owner, names[1], field.value)
        return lambda values: make(values[first], values[second])


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
