"""C text of types, constants and values.

bit<W> up to 64 is a u64 below 2^W, int<W> an s64 in range, wider ones up to 128 bits u128 and s128; bool,
error and enum are u64. Values wider than 128 bits have no C type: see `long`.
"""

from __future__ import annotations

import re

from p4cats.compiler.diagnostics import CompileError, Diagnostic, Severity
from p4cats.compiler.ir.types import Bits, Bool, Composite, Stack, Type, Varbit
from p4cats.compiler.source import Span

WIDEST_BITS = 128


def unsupported(span: Span, what: str, hint: str | None = None) -> CompileError:
    """The error for what this target does not run."""
    return CompileError([Diagnostic(Severity.ERROR, span, f"target xdp: {what}", hint)])


def is_composite(type_: Type) -> bool:
    """True for headers, unions, structs and stacks."""
    return isinstance(type_, Composite | Stack)


def is_signed(type_: Type) -> bool:
    """True for int<W>."""
    return isinstance(type_, Bits) and type_.signed


def width_of(type_: Type) -> int:
    """Bits of a scalar; error and enum count 32, a varbit its maximum."""
    match type_:
        case Bits(width=width):
            return width
        case Bool():
            return 1
        case Varbit(max_width=width):
            return width
        case _:
            return 32


def is_wide(type_: Type) -> bool:
    """True where a value needs more than one machine word."""
    return width_of(type_) > 64


def is_long(type_: Type) -> bool:
    """True where no C number holds a value."""
    return isinstance(type_, Bits) and type_.width > WIDEST_BITS


def words_of(type_: Type) -> int:
    """Words of 64 bits that a value needs."""
    return (width_of(type_) + 63) // 64


def check_width(type_: Type, span: Span) -> None:
    """Refuse scalars that no C type of this back end holds."""
    if isinstance(type_, Varbit):
        raise unsupported(
            span, f"{type_} as a value", "a varbit can be extracted, emitted, copied with its header"
        )
    if width_of(type_) > WIDEST_BITS:
        raise unsupported(span, f"{type_} in this place", f"it takes values of up to {WIDEST_BITS} bits")


def c_type(type_: Type) -> str:
    """The C type of a value."""
    return ("s" if is_signed(type_) else "u") + ("128" if is_wide(type_) else "64")


def stored_type(type_: Type) -> tuple[str, int]:
    """The smallest C type that keeps a value in memory, and its size in bytes."""
    width = width_of(type_)
    if width > 64:
        return c_type(type_), 16
    if is_signed(type_):
        return "s64", 8
    for size in (1, 2, 4):
        if width <= 8 * size:
            return f"u{8 * size}", size
    return "u64", 8


def mask(width: int) -> int:
    """`width` ones."""
    return (1 << width) - 1


def number(value: int, type_: Type) -> str:
    """A constant of a type."""
    if is_wide(type_):
        bits = value & mask(128)
        text = f"W128({hex(bits >> 64)}, {hex(bits & mask(64))})"
        return f"((s128){text})" if is_signed(type_) else text
    if is_signed(type_):
        return f"((s64){value}LL)" if value > -(1 << 63) else "((s64)(1ULL << 63))"
    return word(value)


def word(value: int) -> str:
    """An unsigned 64-bit constant: small ones decimal."""
    return f"{value}ULL" if 0 <= value < 256 else f"{hex(value)}ULL"


def trimmed(code: str, type_: Type) -> str:
    """Text that brings the machine's result into the range of `type_`."""
    width = width_of(type_)
    if width == 0:
        return "0ULL"
    if is_signed(type_):
        if width in (64, 128):
            return f"(({c_type(type_)}){code})"
        return f"sign128({code}, {width})" if is_wide(type_) else f"SIGN64({code}, {width})"
    if width in (64, 128):
        return code
    ones = f"ONES128({width})" if is_wide(type_) else word(mask(width))
    return f"({code} & {ones})"


def apart(code: str, type_: Type) -> str:
    """A sum, difference or shift; a wide one is kept apart from what surrounds it (see p4xdp.h)."""
    if not is_wide(type_):
        return f"({code})"
    return f"((s128)apart({code}))" if is_signed(type_) else f"apart({code})"


def unsigned(code: str, type_: Type) -> str:
    """The bit pattern of a value."""
    if not is_signed(type_):
        return code
    width = width_of(type_)
    if is_wide(type_):
        return f"((u128){code} & ONES128({width}))"
    return f"((u64){code} & {word(mask(width))})"


def converted(code: str, source: Type, target: Type) -> str:
    """A value cast from one arithmetic type to another."""
    if width_of(target) == 0:
        return "0ULL"
    if width_of(source) == 0:
        return number(0, target)
    fits = width_of(source) <= width_of(target)
    if is_signed(source) and not is_signed(target):
        fits = False
    if is_signed(target) and not is_signed(source):
        fits = width_of(source) < width_of(target)
    if c_type(source) != c_type(target):
        code = f"(({c_type(target)}){code})"
    return code if fits else trimmed(code, target)


def identifier(text: str) -> str:
    """`text` as part of a C name."""
    return re.sub(r"\W", "_", text)


class Names:
    """Hands out C identifiers, each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def fresh(self, wanted: str) -> str:
        """An identifier like `wanted` that was not handed out before."""
        base = identifier(wanted)
        name = base
        while name in self._taken:
            self._next[base] = self._next.get(base, 1) + 1
            name = f"{base}_{self._next[base]}"
        self._taken.add(name)
        return name


def position(span: Span) -> str:
    """`edge.p4:120`, for comments; "" where no source stands behind it."""
    if not span.source.text:
        return ""
    line, _ = span.source.position(span.start)
    return f"{span.source.name.rsplit('/', 1)[-1]}:{line}"
