"""Names and small pieces of Python text used by every part of the model back end."""

from __future__ import annotations

import builtins
import keyword
import re
from dataclasses import dataclass, field

from p4cats.compiler.ir.types import Bits, Type, Varbit
from p4cats.compiler.source import Span

_SLOTS = frozenset({"valid", "raw"})
"""Attributes that every generated header has beside its P4 fields."""


def attribute(name: str) -> str:
    """The attribute of a generated class that holds the P4 field `name`."""
    clean = re.sub(r"\W", "_", name)
    if clean in _SLOTS or keyword.iskeyword(clean) or clean[:1].isdigit() or clean.startswith("__"):
        return f"f_{clean}"
    return clean


class Names:
    """Hands out Python identifiers, each once; `local` gives the same for one function."""

    def __init__(self, reserved: set[str] | None = None) -> None:
        self._taken: set[str] = set(reserved or ()) | set(dir(builtins)) | set(keyword.kwlist)
        self._shadowing: set[str] = set()
        """Names of locals in any function: a later global of that name would be hidden there."""
        self._parent: Names | None = None

    def local(self) -> Names:
        """Names of a new function: equal names in two functions do not matter."""
        names = Names()
        names._parent = self
        return names

    def fresh(self, wanted: str) -> str:
        """An identifier like `wanted` that was not handed out before."""
        base = re.sub(r"\W", "_", wanted) or "v"
        if base[0].isdigit() or base.startswith("__"):
            base = "v_" + base.lstrip("_")
        name, number = base, 2
        while self._is_taken(name):
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        if self._parent is not None:
            self._parent._shadowing.add(name)
        return name

    def _is_taken(self, name: str) -> bool:
        if name in self._taken or name in self._shadowing:
            return True
        return self._parent is not None and name in self._parent._taken


@dataclass(slots=True)
class Place:
    """Where a value lives: Python text that can be read and, for an l-value, assigned.

    A struct that is a local variable has no object of its own: `fields` holds the places of its
    members. `owner` is the header whose kept bytes (`raw`) a write makes stale.
    """

    type: Type
    code: str
    owner: str | None = None
    fields: dict[str, Place] | None = None
    high: int = -1
    low: int = 0
    """A slice high:low of `code`; high -1: all of it."""
    whole: Type | None = None
    """With a slice: the type of what `code` holds."""
    parts: list[Place] = field(default_factory=list)


def is_atom(code: str) -> bool:
    """True for text that binds tighter than any operator: name, attribute chain, call, index, number."""
    return re.fullmatch(r"[\w.]+(\[[\w.\- ]*\])?(\.[\w.]+)*", code) is not None


def atom(code: str) -> str:
    """`code`, in parentheses unless it needs none as an operand."""
    if is_atom(code) or (code.startswith("(") and _closes_at_end(code)):
        return code
    return f"({code})"


def bare(code: str) -> str:
    """`code` without the parentheses around all of it."""
    return code[1:-1] if code.startswith("(") and _closes_at_end(code) and "," not in code else code


def _closes_at_end(code: str) -> bool:
    depth = 0
    for position, character in enumerate(code):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position == len(code) - 1
    return False


def number(value: int) -> str:
    """An integer literal: small ones decimal, masks and addresses hexadecimal; negative in parentheses."""
    if value < 0:
        return f"({number_text(value)})"
    return number_text(value)


def number_text(value: int) -> str:
    """The digits of `number`."""
    return str(value) if -256 < value < 256 else hex(value)


def mask(width: int) -> int:
    """`width` ones."""
    return (1 << width) - 1


def zero(type_: Type) -> str:
    """The text of a scalar's zero value."""
    if isinstance(type_, Varbit):
        return "(0, 0)"
    return "0"


def is_signed(type_: Type) -> bool:
    """True for int<W>."""
    return isinstance(type_, Bits) and type_.signed


def position_comment(span: Span) -> str:
    """`edge.p4:120`, for comments in generated text; "" where no source stands behind it."""
    if not span.source.text:
        return ""
    line, _ = span.source.position(span.start)
    return f"{span.source.name.rsplit('/', 1)[-1]}:{line}"
