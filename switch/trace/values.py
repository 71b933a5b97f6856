"""Values as people write them: addresses readable, enums and errors by name, wide numbers hexadecimal.

P4 has no type for addresses; the width and the name of a field tell: 128 bits are an IPv6 address, 48 or
32 bits are a MAC or an IPv4 address where the name says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from p4cats.compiler.backends.model.names import attribute
from p4cats.compiler.ir.types import Bits, Bool, Composite, Enum, Error, Header, Stack, Type, Varbit
from p4cats.switch.dataplane import Exact, Lpm, Match, Optional, Range, Ternary

_ADDRESS = re.compile(r"addr|mac|ip|src|dst|source|neigh|dest|target|headend|sid|via|gateway|next_?hop", re.I)
_NUMBER = re.compile(r"time|stamp|_us$|_ns$|port|hash|tag|sequence|len|next_header|protocol", re.I)
_SAFE_INTEGER_BITS = 53
"""JSON numbers beyond this many bits are rounded by many readers."""


class Shower:
    """Shows values of one program (errors by name)."""

    def __init__(self, errors: list[str]) -> None:
        self._errors = errors

    def text(self, value: Any, type_: Type, name: str = "") -> str:
        """A value as text."""
        shown = self.json(value, type_, name)
        if isinstance(shown, bool):
            return "true" if shown else "false"
        if isinstance(shown, int) and _is_code(type_, name):
            return f"0x{shown:0{(_width(type_) + 3) // 4}x}"
        return str(shown)

    def json(self, value: Any, type_: Type, name: str = "") -> Any:
        """A value for JSON: numbers, except for addresses, names and what is wider than 53 bits."""
        match type_:
            case Bool():
                return bool(value)
            case Error():
                return self._member(self._errors, value)
            case Enum(members=members):
                return self._member(members, value)
            case Varbit():
                width, bits = value
                return f"0x{bits:0{(width + 3) // 4}x}" if width else "empty"
            case Bits(width=width):
                address = _address(int(value), width, name)
                if address is not None:
                    return address
                return int(value) if width <= _SAFE_INTEGER_BITS else hex(value)
            case _:
                return str(value)

    def _member(self, names: Any, value: Any) -> str:
        return names[value] if 0 <= int(value) < len(names) else str(value)

    def match(self, match: Match, type_: Type, name: str) -> str:
        """A match field as entries are written: value, value/length, value &&& mask, low..high."""
        match match:
            case Exact(value=value):
                return self.text(value, type_, name)
            case Lpm(value=value, prefix_len=length):
                return f"{self.text(value, type_, name)}/{length}"
            case Ternary(value=value, mask=mask):
                if mask == 0:
                    return "*"
                full = (1 << _width(type_)) - 1
                return self.text(value, type_, name) + ("" if mask == full else f" &&& {mask:#x}")
            case Range(low=low, high=high):
                return f"{self.text(low, type_, name)}..{self.text(high, type_, name)}"
            case Optional(value=value):
                return "*" if value is None else self.text(value, type_, name)


def _width(type_: Type) -> int:
    return type_.width if isinstance(type_, Bits) else 1


def _is_code(type_: Type, name: str) -> bool:
    """Fields whose numbers are known by their hexadecimal form."""
    last = name.rpartition(".")[2].lower()
    if not isinstance(type_, Bits) or type_.width < 16:
        return False
    known = r"ether_?type|checksum|magic|flow_label" + (r"|hash|tag" if type_.width >= 32 else "")
    return re.search(known, last) is not None


def _address(value: int, width: int, name: str) -> str | None:
    if value < 0:
        return None
    if width == 128:
        return str(IPv6Address(value))
    last = name.rpartition(".")[2]
    if width not in (32, 48) or not _ADDRESS.search(last) or _NUMBER.search(last):
        return None
    if width == 32:
        return str(IPv4Address(value))
    return ":".join(f"{byte:02x}" for byte in value.to_bytes(6, "big"))


def leaves(value: Any, type_: Type, path: str) -> Iterator[tuple[str, Any, Type | None]]:
    """Everything inside a value: (path, value, type); the validity of a header has its path and no type."""
    match type_:
        case Stack(element=element):
            for index, item in enumerate(value.items):
                yield from leaves(item, element, f"{path}[{index}]")
        case Composite(fields=fields):
            if isinstance(type_, Header):
                yield path, value.valid, None
            for field in fields:
                yield from leaves(getattr(value, attribute(field.name)), field.type, f"{path}.{field.name}")
        case _:
            yield path, value, type_


def headers(value: Any, type_: Type, path: str) -> Iterator[tuple[str, Any, Header]]:
    """All headers inside a value."""
    match type_:
        case Stack(element=element):
            for index, item in enumerate(value.items):
                yield from headers(item, element, f"{path}[{index}]")
        case Header():
            yield path, value, type_
        case Composite(fields=fields):
            for field in fields:
                yield from headers(getattr(value, attribute(field.name)), field.type, f"{path}.{field.name}")
        case _:
            return


__all__ = ["Shower", "headers", "leaves"]
