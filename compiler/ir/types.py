"""Types of the IR: concrete, no type parameters, no names left to resolve.

Tuples are structs with fields f0, f1, …; serialisable enums, `type` and typedef are their underlying
types (what P4Info must know of the written type stands beside the field, parameter or key).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True)
class Bits:
    """`bit<width>` or, where signed, `int<width>`; width 0 is legal."""

    width: int
    signed: bool = False

    def __str__(self) -> str:
        return f"{'int' if self.signed else 'bit'}<{self.width}>"


@dataclass(frozen=True, slots=True)
class Bool:
    """`bool`; one bit in a header."""

    def __str__(self) -> str:
        return "bool"


@dataclass(frozen=True, slots=True)
class Varbit:
    """`varbit<max_width>`: a value and a current width."""

    max_width: int

    def __str__(self) -> str:
        return f"varbit<{self.max_width}>"


@dataclass(frozen=True, slots=True)
class Error:
    """`error`; values are indices into Program.errors."""

    def __str__(self) -> str:
        return "error"


@dataclass(frozen=True, slots=True)
class Enum:
    """An enum without underlying type; values are indices into `members`."""

    name: str
    members: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class String:
    """`string`: constants only (log_msg, static_assert)."""

    def __str__(self) -> str:
        return "string"


@dataclass(frozen=True, slots=True)
class P4Annotation:
    """An annotation as P4Info shows it; `text` without parentheses, None where there are none.

    `expressions` (literals) or `pairs` are set for structured annotations `@name[…]`.
    """

    name: str
    text: str | None = None
    expressions: tuple[int | str | bool, ...] | None = None
    pairs: tuple[tuple[str, int | str | bool], ...] | None = None


@dataclass(frozen=True, slots=True)
class WrittenType:
    """What P4Info wants to know of a type that the IR has lowered.

    `kind` is "newtype" (`type … name`), "serializable_enum" or "struct"…; for a newtype with
    @p4runtime_translation, `translation` is (uri, sdn bit width or None for string).
    """

    kind: str
    name: str
    underlying: Type | None = None
    translation: tuple[str, int | None] | None = None
    enum_members: tuple[tuple[str, int], ...] = ()
    annotations: tuple[P4Annotation, ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a header, union or struct."""

    name: str
    type: Type
    annotations: tuple[P4Annotation, ...] = ()
    written: WrittenType | None = None

    def annotation(self, name: str) -> P4Annotation | None:
        """The first annotation of that name."""
        return next((a for a in self.annotations if a.name == name), None)


@dataclass(frozen=True, eq=False)
class Composite:
    """Base of header, union and struct: equal only to itself (one object per P4 type and arguments)."""

    name: str
    """P4 name; specialised generics as `Name<bit<8>>`, anonymous tuples as `tuple_N`."""
    fields: tuple[Field, ...]
    annotations: tuple[P4Annotation, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Fields by name."""
        return {f.name: f for f in self.fields}

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Header(Composite):
    """A header: fields are Bits, Bool, Varbit or structs of such, in wire order; plus validity."""


@dataclass(frozen=True, eq=False)
class Union(Composite):
    """A header union: at most one field (a Header each) is valid."""


@dataclass(frozen=True, eq=False)
class Struct(Composite):
    """A struct or tuple."""

    tuple: bool = False


@dataclass(frozen=True, slots=True)
class Stack:
    """`element[size]`, element a Header or Union; plus nextIndex. Also fixed `list<T>` constants."""

    element: Header | Union
    size: int

    def __str__(self) -> str:
        return f"{self.element}[{self.size}]"


@dataclass(frozen=True, slots=True)
class Void:
    """No value."""

    def __str__(self) -> str:
        return "void"


Type = Bits | Bool | Varbit | Error | Enum | String | Header | Union | Struct | Stack | Void
Scalar = (Bits, Bool, Varbit, Error, Enum, String)

BOOL = Bool()
ERROR = Error()
VOID = Void()
STRING = String()


def width_bits(type_: Type) -> int:
    """Fixed width on the wire in bits (varbit counts 0; a stack all its elements)."""
    match type_:
        case Bits(width=w):
            return w
        case Bool():
            return 1
        case Varbit():
            return 0
        case Stack(element=e, size=n):
            return width_bits(e) * n
        case Composite(fields=fields):
            return sum(width_bits(f.type) for f in fields)
        case _:
            raise TypeError(f"{type_} has no width")


__all__ = [
    "BOOL", "ERROR", "STRING", "VOID", "Bits", "Bool", "Composite", "Enum", "Error", "Field", "Header",
    "P4Annotation", "Scalar", "Stack", "String", "Struct", "Type", "Union", "Varbit", "Void", "WrittenType",
    "width_bits",
]  # fmt: skip
