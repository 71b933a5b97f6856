"""How one P4 value looks to a controller: a bit string, or a translated value.

`@p4runtime_translation` (P4Runtime specification section 18) gives a type another width, or strings, on the
controller's side. A value of another width is the same number; strings get numbers in order of first use,
leaving out those that entries and default actions of the program use.
"""

from __future__ import annotations

from typing import Protocol

from p4cats.switch import bytestrings
from p4cats.switch.errors import exhausted, invalid, out_of_range


class Value(Protocol):
    """Converts between the controller's bytes and the data plane's unsigned bit pattern."""

    width: int
    """Bits in the data plane."""

    def decode(self, data: bytes, what: str) -> int:
        """The bit pattern; `what` names the value in an error."""

    def encode(self, value: int) -> bytes:
        """The canonical bytes."""


class BitString:
    """`bit<W>`, `bool` and what is passed as bits; where translated, controllers see `sdn_width`."""

    def __init__(self, width: int, sdn_width: int | None = None) -> None:
        self.width = width
        self.sdn_width = width if sdn_width is None else sdn_width

    def decode(self, data: bytes, what: str) -> int:
        """Check against both widths."""
        value = bytestrings.decode(data, self.sdn_width, what)
        if value >> self.width:
            raise out_of_range(f"{what}: {value:#x} does not fit in the data plane's {self.width} bits")
        return value

    encode = staticmethod(bytestrings.encode)


class Translated:
    """A type whose values are strings for controllers; shared by all places that use the type."""

    def __init__(self, name: str, width: int) -> None:
        self.name = name
        self.width = width
        self._numbers: dict[bytes, int] = {}
        self._strings: dict[int, bytes] = {}
        self._next = 0

    def reserve(self, number: int) -> None:
        """A number that the program itself uses: its digits stand for it, and no other string gets it."""
        if number not in self._strings:
            self._name(number, str(number).encode())

    def decode(self, data: bytes, what: str) -> int:
        """The number of a string; a new string gets the next number that is free."""
        number = self._numbers.get(data)
        if number is None:
            if not data:
                raise invalid(f"{what}: type {self.name} needs a string that is not empty")
            while self._next in self._strings:
                self._next += 1
            number = self._next
            if number >> self.width:
                raise exhausted(f"{what}: type {self.name} has room for {number} different strings")
            self._name(number, data)
        return number

    def encode(self, value: int) -> bytes:
        """The string of a number; the number's digits where nobody ever named it."""
        return self._strings.get(value) or str(value).encode()

    def _name(self, number: int, data: bytes) -> None:
        self._numbers[data] = number
        self._strings[number] = data


class ValueTypes:
    """Makes Values; the strings of one translated type share their numbers."""

    def __init__(self) -> None:
        self._translated: dict[str, Translated] = {}

    def value(self, width: int, sdn_width: int, type_name: str, is_string: bool) -> Value:
        """The Value of a place with `width` bits in the data plane and what P4Info says of it."""
        if is_string:
            return self._translated.setdefault(type_name, Translated(type_name, width))
        return BitString(width, sdn_width)


__all__ = ["BitString", "Translated", "Value", "ValueTypes"]
