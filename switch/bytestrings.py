"""Values on the wire: P4Runtime's binary strings (P4Runtime specification section 8.3).

Big-endian and unsigned; canonical is the shortest form, at least one byte. We accept leading zero bytes
of any length and answer in canonical form. A string that is empty or whose value does not fit is
OUT_OF_RANGE everywhere, as section 8.3 says (other sections say INVALID_ARGUMENT for the same mistake).
"""

from __future__ import annotations

from p4cats.switch.errors import out_of_range

_SHORT = tuple(bytes([i]) for i in range(256))


def encode(value: int) -> bytes:
    """The canonical string of an unsigned value."""
    if value < 256:
        return _SHORT[value]
    return value.to_bytes((value.bit_length() + 7) >> 3, "big")


def decode(data: bytes, width: int, what: str) -> int:
    """The value of a string for a `bit<width>`; `what` names it in the error."""
    if not data:
        raise out_of_range(f"{what}: empty value; zero is written as one zero byte")
    value = int.from_bytes(data, "big")
    if value >> width:
        raise out_of_range(f"{what}: {value:#x} does not fit in {width} bits")
    return value


def is_canonical(data: bytes) -> bool:
    """Whether no leading byte could be left out."""
    return len(data) == 1 or (len(data) > 1 and data[0] != 0)


def encode_signed(pattern: int, width: int) -> bytes:
    """The shortest two's complement string of an `int<width>`, given as an unsigned bit pattern."""
    value = pattern - (1 << width) if width and pattern >> (width - 1) else pattern
    bits = (value if value >= 0 else ~value).bit_length() + 1
    return value.to_bytes((bits + 7) >> 3, "big", signed=True)


def decode_signed(data: bytes, width: int, what: str) -> int:
    """The bit pattern of a two's complement string for an `int<width>`."""
    if not data:
        raise out_of_range(f"{what}: empty value; zero is written as one zero byte")
    value = int.from_bytes(data, "big", signed=True)
    if not -(1 << width - 1) <= value < 1 << width - 1:
        raise out_of_range(f"{what}: {value} does not fit in {width} signed bits")
    return value & (1 << width) - 1


__all__ = ["decode", "decode_signed", "encode", "encode_signed", "is_canonical"]
