"""Arithmetic on compile-time values, the same for checking and for lowering (spec 8.5 to 8.8).

Values are Python ints in the range of their type; `width` None is the arbitrary-precision `int`.
"""

from __future__ import annotations

from collections.abc import Callable

from p4cats.compiler.ir.types import Bits

MAX_WIDTH = 1 << 20
"""Widths and shift results beyond a million bits are mistakes, and would stall the compiler."""


def wrap(value: int, type_: Bits | None) -> int:
    """Truncate to the width and reinterpret by the sign (8.11)."""
    if type_ is None or type_.width < 0:
        return value
    if type_.width == 0:
        return 0
    value &= (1 << type_.width) - 1
    if type_.signed and value >> (type_.width - 1):
        value -= 1 << type_.width
    return value


def fits(value: int, type_: Bits) -> bool:
    """The value is in the type's range."""
    return wrap(value, type_) == value


def limits(type_: Bits) -> tuple[int, int]:
    """Least and greatest value."""
    if type_.signed:
        half = 1 << max(0, type_.width - 1)
        return -half, half - 1
    return 0, (1 << type_.width) - 1


def fold_unary(op: str, value: int, type_: Bits | None) -> int:
    """`-`, `~`, `+` of a number; `!` of a bool."""
    if op == "!":
        return int(not value)
    if op == "-":
        return wrap(-value, type_)
    if op == "~":
        return wrap(~value, type_)
    return value


def fold_binary(op: str, left: int, right: int, type_: Bits | None) -> int | None:
    """The value of an arithmetic, bitwise or comparison operation; None where it has none.

    `type_` is the type of the operands (of the left one for shifts), None for `int` and for bool.
    """
    if op in _COMPARE:
        return int(_COMPARE[op](left, right))
    if op in {"/", "%"}:
        if right <= 0 or left < 0:
            return None
        return left // right if op == "/" else left % right
    if op in {"<<", ">>"}:
        return _shift(op, left, right, type_)
    if op in {"|+|", "|-|"}:
        if type_ is None:
            return None
        low, high = limits(type_)
        return max(low, min(high, left + right if op == "|+|" else left - right))
    return wrap(_ARITHMETIC[op](left, right), type_)


def concatenate(left: int, right: int, left_type: Bits, right_type: Bits, result: Bits) -> int:
    """`left ++ right`."""
    unsigned = (left & ((1 << left_type.width) - 1)) << right_type.width
    return wrap(unsigned | (right & ((1 << right_type.width) - 1)), result)


def _shift(op: str, left: int, right: int, type_: Bits | None) -> int | None:
    if right < 0:
        return None
    if type_ is not None and type_.width >= 0:
        right = min(right, type_.width + 1)
    elif right > MAX_WIDTH:
        return None
    return wrap(left << right if op == "<<" else left >> right, type_)


_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "&&": lambda a, b: bool(a and b),
    "||": lambda a, b: bool(a or b),
}
_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
}
