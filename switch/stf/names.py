"""Names and values as STF files write them, resolved against the program.

Table, action and key names: exact, else a suffix that fits one object only. Keys also in the older forms
`hdr.h.$valid$`, `hdr.h.valid`, `stack$0.f`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NoReturn, TypeVar

from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Bits, Enum, Type
from p4cats.switch.dataplane import Exact, Key, Lpm, Match, Optional, Range, Ternary
from p4cats.switch.stf.commands import StfError

_T = TypeVar("_T")
_DIGIT_BITS = {"0x": 4, "0b": 1, "0o": 3}


class Resolver:
    """Looks names up for one STF file; errors name the line."""

    def __init__(self, program: nodes.Program, path: str) -> None:
        self.program = program
        self.path = path
        self.line = 0

    def fail(self, message: str) -> NoReturn:
        """Raise the error of the current line."""
        raise self.error(message)

    def error(self, message: str) -> StfError:
        """An error of the current line."""
        return StfError(self.path, self.line, message)

    def pick(self, what: str, wanted: str, named: Iterable[tuple[str, _T]]) -> _T:
        """The object of this name, or of the only name that ends with it."""
        pairs = list(named)
        for name, value in pairs:
            if name == wanted:
                return value
        found = {name: value for name, value in pairs if name.endswith("." + wanted)}
        found = found or {name: value for name, value in pairs if name.endswith(wanted)}
        if len(found) == 1:
            return next(iter(found.values()))
        if found:
            self.fail(f"{what} {wanted} is ambiguous: {', '.join(sorted(found))}")
        raise self.error(f"no {what} {wanted}; there is {', '.join(sorted(n for n, _ in pairs)) or 'none'}")

    def table(self, wanted: str) -> nodes.Table:
        """A table."""
        return self.pick("table", wanted, ((t.name, t) for t in self.program.tables))

    def action(self, table: nodes.Table, wanted: str) -> nodes.Action:
        """An action of the table's list."""
        return self.pick(
            f"action of {table.name}", wanted, ((r.action.name, r.action) for r in table.actions)
        )

    def extern(self, kinds: tuple[str, ...], wanted: str) -> nodes.ExternInstance:
        """A counter, meter or register."""
        named = ((x.name, x) for x in self.program.externs if x.kind in kinds)
        return self.pick(kinds[0], wanted, named)

    # -- keys ---------------------------------------------------------------------------------

    def key(self, table: nodes.Table, given: Iterable[tuple[str, str]]) -> Key:
        """The matches of an entry, fields that are not given at their don't-care value."""
        keys = [k for k in table.keys if k.match_kind != "selector"]
        matches: dict[str, Match] = {}
        for name, value in given:
            key = self._key_field(keys, name, table)
            matches[key.name] = self._match(key, value)
        return tuple(matches.get(k.name) or self._left_out(k) for k in keys)

    def _key_field(self, keys: list[nodes.Key], wanted: str, table: nodes.Table) -> nodes.Key:
        names = {key.name: key for key in keys}
        plain = re.sub(r"\$(\d+)", r"[\1]", wanted)
        base = plain.removesuffix("$valid$").removesuffix("$valid").removesuffix("valid").rstrip(".$")
        forms = [wanted, wanted + "$", plain, plain + "$", plain + ".$valid$"]
        if base != plain:
            dot = "." if base else ""
            forms += [f"{base}{dot}$valid$", f"{base}{dot}isValid()", f"{base}{dot}valid"]
        for form in forms:
            if form in names:
                return names[form]
        for form in forms:
            last = [key for name, key in names.items() if name.endswith("." + form)]
            if last:
                return last[-1]
        raise self.error(f"no key {wanted} in table {table.name}; there is {', '.join(names) or 'none'}")

    def _left_out(self, key: nodes.Key) -> Match:
        width = width_of(key.expression.type)
        kinds: dict[str, Match] = {
            "exact": Exact(0), "lpm": Lpm(0, 0), "range": Range(0, (1 << width) - 1),
            "optional": Optional(None),
        }  # fmt: skip
        return kinds.get(key.match_kind, Ternary(0, 0))

    def _match(self, key: nodes.Key, text: str) -> Match:
        width = width_of(key.expression.type)
        full = (1 << width) - 1
        kind = key.match_kind
        if text in ("*", "_"):
            return self._left_out(key)
        first, operator, second = _split(text)
        if kind == "exact":
            if operator or "*" in text:
                self.fail(f"key {key.name} is exact: {text} is no single value")
            return Exact(self.number(first, width))
        if kind == "lpm" and not operator:
            return self._prefix(first, width)
        value, mask = self._masked(first, width)
        if kind == "range":
            if operator:
                return Range(value, self.number(second, width))
            return Range(value, value if "*" not in text else value | (full & ~mask))
        if kind == "optional":
            return Optional(None) if mask == 0 and "*" in text else Optional(value)
        if operator == "/" and kind == "lpm":
            length = self.number(second, 32)
            if length > width:
                self.fail(f"prefix length {length} is larger than the {width} bits of {key.name}")
            return Lpm(value & (full ^ full >> length), length)
        if operator:
            mask = self.number(second, width)
        if kind == "lpm":
            length = mask.bit_count()
            if mask != full ^ (full >> length):
                self.fail(f"key {key.name} is lpm: the mask of {text} is no prefix")
            return Lpm(value & mask, length)
        return Ternary(value & mask, mask)

    def _masked(self, text: str, width: int) -> tuple[int, int]:
        """Value and mask of a number whose digits may be `*`; a digit not written is not asked for."""
        full = (1 << width) - 1
        bits = _DIGIT_BITS.get(text[:2].lower())
        if bits is None:
            return self.number(text, width), full
        value = mask = 0
        for digit in text[2:]:
            star = digit == "*"
            value = value << bits | (0 if star else int(digit, 16))
            mask = mask << bits | (0 if star else (1 << bits) - 1)
        if value > full:
            self.fail(f"{text} does not fit {width} bits")
        return value, mask & full

    def _prefix(self, text: str, width: int) -> Lpm:
        """A number of an lpm key: its prefix is as long as the digits that are no stars."""
        full = (1 << width) - 1
        value, _ = self._masked(text, width)
        bits = _DIGIT_BITS.get(text[:2].lower())
        length = width if bits is None else min(width, bits * (len(text) - 2 - text.count("*")))
        return Lpm(value & (full ^ full >> length), length)

    def number(self, text: str, width: int) -> int:
        """A number, cut to its width (negative numbers in two's complement)."""
        try:
            value = int(text, 0) if not text.isdigit() else int(text)
        except ValueError:
            self.fail(f"{text} is no number")
        if value.bit_length() > max(width, 1) and value > 0:
            self.fail(f"{text} does not fit {width} bits")
        return value & ((1 << width) - 1)

    def data(self, action: nodes.Action, given: Iterable[tuple[str, str]]) -> tuple[int, ...]:
        """Action data in declared order."""
        values = dict(given)
        data = []
        for parameter in action.data:
            name = parameter.name
            if name not in values:
                known = next((n for n in values if n.split(".")[-1] == name), None)
                if known is None:
                    self.fail(f"argument {name} of action {action.name} is missing")
                values[name] = values.pop(known)
            data.append(self.number(values.pop(name), width_of(parameter.variable.type)))
        if values:
            self.fail(f"action {action.name} has no parameter {', '.join(values)}")
        return tuple(data)


def _split(text: str) -> tuple[str, str, str]:
    for operator in ("&&&", "..", "->", "/"):
        first, found, second = text.partition(operator)
        if found:
            return first, operator, second
    return text, "", ""


def width_of(type_: Type) -> int:
    """Bits of a key or parameter."""
    if isinstance(type_, Bits):
        return type_.width
    return 32 if isinstance(type_, Enum) else 1
