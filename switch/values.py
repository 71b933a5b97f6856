"""How one P4 value looks to a controller: a bit string, or a translated value.

`@p4runtime_translation` (P4Runtime specification section 18) gives a type another width, or strings, on the
controller's side. A value of another width is the same number; strings get numbers in order of first use.
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
        self._strings: list[bytes] = []

    def decode(self, data: bytes, what: str) -> int:
        """The number of a string; a new string gets the next number."""
        number = self._numbers.get(data)
        if number is None:
            number = len(self._strings)
            if number >> self.width:
                raise exhausted(f"{what}: type {self.name} has room for {number} different strings")
            if not data:
                raise invalid(f"{what}: type {self.name} needs a string that is not empty")
            self._numbers[data] = number
            self._strings.append(data)
        return number

    def encode(self, value: int) -> bytes:
        """The string of a number, or the number's digits where no controller ever named it."""
        return self._strings[value] if value < len(self._strings) else str(value).encode()


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
