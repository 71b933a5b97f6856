"""Expressions: IR to Python text.

Values: bit<W> and int<W> are Python ints in the type's range, bool is an int or a Python bool, error
and enum are indices, varbit is (width, value). Masks stand only where an operation can leave the range.
"""

from __future__ import annotations

from p4cats.compiler.backends.model.names import (
    Place,
    atom,
    attribute,
    bare,
    is_signed,
    mask,
    number,
    position_comment,
    zero,
)
from p4cats.compiler.diagnostics import CompileError, Diagnostic, Severity
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Bits, Bool, Type, Union
from p4cats.compiler.source import BUILTIN, Span

_CHAINS = {"&&": "and", "||": "or", "&": "&", "|": "|", "^": "^"}
"""Operators whose chains need no parentheses inside."""
_MOST_LINES = 100_000
"""Everything is inlined: a chain of actions that each call the next twice would grow without bound."""
_COMPARE = ("==", "!=", "<", "<=", ">", ">=")


def unsupported(span: Span, what: str, hint: str | None = None) -> CompileError:
    """The error for what this target does not run."""
    return CompileError([Diagnostic(Severity.ERROR, span, f"target model: {what}", hint)])


def bits_of(type_: Type) -> int:
    """Width of an arithmetic type (bool: 1)."""
    return type_.width if isinstance(type_, Bits) else 1


def largest(e: nodes.Expr) -> int:
    """An upper bound of an unsigned expression's value; -1 where it may be negative."""
    if is_signed(e.type):
        return e.value if isinstance(e, nodes.Const) and e.value >= 0 else -1
    top = mask(bits_of(e.type))
    match e:
        case nodes.Const(value=value):
            return value
        case nodes.Cast(operand=operand):
            below = largest(operand)
            return top if below < 0 else min(top, below)
        case nodes.Mux(then=then, other=other):
            return max(largest(then), largest(other))
        case nodes.Binary(op="&", left=left, right=right):
            return min(largest(left), largest(right))
        case nodes.Binary(op="+", left=left, right=right):
            return min(top, largest(left) + largest(right))
        case nodes.Binary(op=">>", left=left, right=nodes.Const(value=count)):
            return largest(left) >> min(count, 1 << 16)
        case nodes.Binary(op="%", right=nodes.Const(value=divisor)) if divisor:
            return divisor - 1
        case _:
            return top


class ExpressionEmitter:
    """Turns expressions into text, and keeps the lines of the function that is being written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 1
        self._span = BUILTIN
        self._pending = ""
        self._shown = ""

    # -- writing ------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        """Add a statement at the current depth, with the P4 position where it has changed."""
        if self._pending != self._shown:
            self._shown = self._pending
            text = f"{text}  # {self._pending}"
        if len(self.lines) > _MOST_LINES:
            raise unsupported(self._span, "calls within calls make the program too large")
        self.lines.append("    " * self.depth + text)

    def at(self, span: Span) -> None:
        """The statements that follow come from this place in the program."""
        text = position_comment(span)
        if text:
            self._pending, self._span = text, span

    # -- where values are (storage.py) --------------------------------------------------------

    def place(self, e: nodes.Expr) -> Place:
        """Where an l-value (or any stored value) lives."""
        raise NotImplementedError

    def object(self, e: nodes.Expr) -> str:
        """A reference to a composite value."""
        raise NotImplementedError

    # -- reading ------------------------------------------------------------------------------

    def read(self, place: Place) -> str:
        """The value of a scalar place."""
        if place.high < 0:
            return place.code
        width = place.high - place.low + 1
        shifted = f"{place.code} >> {place.low}" if place.low else place.code
        if place.whole is not None and not is_signed(place.whole) and place.high + 1 >= bits_of(place.whole):
            return f"({shifted})" if place.low else place.code
        return f"({shifted} & {hex(mask(width))})"

    def bare(self, e: nodes.Expr) -> str:
        """The text of a scalar expression, without parentheses around all of it."""
        return bare(self.expression(e))

    def atom(self, e: nodes.Expr) -> str:
        """The text of a scalar expression, safe as an operand."""
        return atom(self.expression(e))

    def expression(self, e: nodes.Expr) -> str:
        """The text of a scalar expression; parentheses not assured."""
        match e:
            case nodes.Const(value=value):
                return str(bool(value)) if isinstance(e.type, Bool) else number(value)
            case nodes.StringConst(value=text):
                return repr(text)
            case nodes.VarRef():
                return self.read(self.place(e))
            case nodes.FieldRef():
                return self.read(self.place(e))
            case nodes.SliceRef(base=base, high=high, low=low):
                return self._slice(base, high, low)
            case nodes.StackLastIndex(base=base):
                return f"({self.place(base).code}.next - 1 & 0xffffffff)"
            case nodes.Unary(op=op, operand=operand):
                return self._unary(op, operand)
            case nodes.Binary():
                return self._binary(e)
            case nodes.Cast(operand=operand):
                return self._cast(operand, e.type)
            case nodes.Mux(condition=condition, then=then, other=other):
                return f"({self.atom(then)} if {self.atom(condition)} else {self.atom(other)})"
            case nodes.IsValid(operand=operand):
                return self._validity(operand)
            case nodes.PacketLength():
                return "len(data)"
            case nodes.MakeInvalid():
                return zero(e.type)
            case _:
                raise unsupported(e.span, f"expression {type(e).__name__} of type {e.type} in this place")

    def _validity(self, operand: nodes.Expr) -> str:
        code = self.object(operand)
        if isinstance(operand.type, Union):
            return "(" + " or ".join(f"{code}.{attribute(f.name)}.valid" for f in operand.type.fields) + ")"
        return f"{code}.valid"

    def _slice(self, base: nodes.Expr, high: int, low: int) -> str:
        code = self.atom(base)
        if isinstance(base, nodes.Const):
            return number(base.value >> low & mask(high - low + 1))
        shifted = f"{code} >> {low}" if low else code
        if not is_signed(base.type) and largest(base) >> low <= mask(high - low + 1):
            return f"({shifted})" if low else code
        return f"({shifted} & {hex(mask(high - low + 1))})"

    def _unary(self, op: str, operand: nodes.Expr) -> str:
        code = self.atom(operand)
        if op == "!":
            return f"(not {code})"
        if op == "~":
            return (
                f"(~{code})" if is_signed(operand.type) else f"({code} ^ {hex(mask(bits_of(operand.type)))})"
            )
        return self.wrap(f"-{code}", operand.type)

    def wrap(self, code: str, type_: Type) -> str:
        """Text that brings any integer into the range of `type_`."""
        assert isinstance(type_, Bits)
        if type_.width == 0:
            return "0"
        if type_.signed:
            half = 1 << (type_.width - 1)
            return f"((({code}) + {hex(half)} & {hex(mask(type_.width))}) - {hex(half)})"
        return f"({code} & {hex(mask(type_.width))})"

    def _cast(self, operand: nodes.Expr, target: Type) -> str:
        source = operand.type
        if isinstance(source, Bool) and isinstance(target, Bits):
            return self.wrap(self.atom(operand), target) if target.signed else f"int({self.bare(operand)})"
        if isinstance(target, Bool):
            return self.atom(operand)
        if not isinstance(target, Bits) or not isinstance(source, Bits):
            return self.atom(operand)  # enum, error: same representation
        code = self.atom(operand)
        if target.signed:
            fits = source.width < target.width or (source.signed and source.width == target.width)
        else:
            fits = not source.signed and largest(operand) <= mask(target.width)
        return code if fits else self.wrap(code, target)

    def _binary(self, e: nodes.Binary) -> str:
        op, left, right = e.op, e.left, e.right
        if op in _CHAINS:
            return f"({f' {_CHAINS[op]} '.join(self.atom(part) for part in _chain(e, (op,)))})"
        if op == "++":
            return self._concatenate(e)
        if op in ("+", "-") and _is_chain(left, e.type):
            return self._sum(e)
        a, b = self.atom(left), self.atom(right)
        if op in _COMPARE:
            return f"({a} {op} {b})"
        assert isinstance(e.type, Bits)
        if op in ("<<", ">>"):
            return self._shift(op, a, right, e.type)
        if op in ("/", "%"):
            python = "//" if op == "/" else "%"
            if isinstance(right, nodes.Const) and right.value > 0:
                return f"({a} {python} {b})"
            return f"({a} {python} {b} if {b} else 0)"
        if op in ("|+|", "|-|"):
            return self._saturate(f"{a} {op[1]} {b}", op, e.type)
        if op == "+" and not e.type.signed and largest(left) + largest(right) <= mask(e.type.width):
            return f"({a} + {b})"
        return self.wrap(f"{a} {op} {b}", e.type)

    def _saturate(self, code: str, op: str, type_: Bits) -> str:
        if type_.signed:
            half = 1 << (type_.width - 1)
            return f"max(min({code}, {hex(half - 1)}), -{hex(half)})"
        return f"min({code}, {hex(mask(type_.width))})" if op == "|+|" else f"max({code}, 0)"

    def _shift(self, op: str, a: str, right: nodes.Expr, type_: Bits) -> str:
        count = right.value if isinstance(right, nodes.Const) else None
        b = self.atom(right)
        if op == ">>":
            return f"({a} >> {b})"
        if count is not None:
            return "0" if count >= type_.width else self.wrap(f"{a} << {count}", type_)
        shifted = self.wrap(f"{a} << {b}", type_)
        if largest(right) < 256:
            return shifted
        return f"({shifted} if {b} < {type_.width} else 0)"

    def _sum(self, e: nodes.Binary) -> str:
        """a + b - c: one mask at the end does for all."""
        text, rest = "", e
        while True:
            text = f" {rest.op} {self.atom(rest.right)}{text}"
            if not _is_chain(rest.left, e.type):
                return self.wrap(f"{self.atom(rest.left)}{text}", e.type)
            assert isinstance(rest.left, nodes.Binary)
            rest = rest.left

    def _concatenate(self, e: nodes.Binary) -> str:
        """a ++ b ++ c: patterns of the parts, each shifted to its place."""
        parts = _chain(e, ("++",))
        below = sum(bits_of(part.type) for part in parts)
        terms = []
        for part in parts:
            width = bits_of(part.type)
            below -= width
            code = self.atom(part)
            if is_signed(part.type):
                code = f"({code} & {hex(mask(width))})"
            terms.append(f"{code} << {below}" if below else code)
        joined = f"({' | '.join(terms)})"
        return self.wrap(joined, e.type) if is_signed(e.type) else joined


def _chain(e: nodes.Expr, operators: tuple[str, ...]) -> list[nodes.Expr]:
    """Operands of a left-leaning chain of the same operator."""
    operands: list[nodes.Expr] = []
    while isinstance(e, nodes.Binary) and e.op in operators:
        operands.insert(0, e.right)
        e = e.left
    return [e, *operands]


def _is_chain(e: nodes.Expr, type_: Type) -> bool:
    return isinstance(e, nodes.Binary) and e.op in ("+", "-") and e.type == type_
