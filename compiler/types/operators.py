"""Unary, binary and conditional operators: operand types, implicit casts, folding (spec 8.5 to 8.10)."""

from __future__ import annotations

from p4cats.compiler.source import Span
from p4cats.compiler.types import constant, tree
from p4cats.compiler.types.model import (
    BOOL,
    STRING,
    Bits,
    Bool,
    Composite,
    DontCare,
    Int,
    List,
    New,
    SerEnum,
    Stack,
    Tuple,
    Type,
    Unknown,
    Varbit,
    is_header,
    is_union,
    is_unknown,
    representation,
)
from p4cats.compiler.types.resolve import Types

_EQUALITY = {"==", "!="}
_ORDER = {"<", "<=", ">", ">="}
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_LOGIC = {"&&", "||"}
_SHIFT = {"<<", ">>"}
_SATURATING = {"|+|", "|-|"}


class Operators(Types):
    """Operators on checked operands."""

    def unary(self, op: str, operand: tree.Expr, span: Span) -> tree.Expr:
        """`-`, `+`, `~`, `!`."""
        if isinstance(operand.type, Unknown):
            return tree.wrong(span)
        if op == "!":
            operand = self.condition(operand, "the operand of !")
            if isinstance(operand.type, Unknown):
                return tree.wrong(span)
        else:
            operand = self.as_number(operand)
            allowed = Bits if op == "~" else (Bits, Int)
            if not isinstance(operand.type, allowed):
                why = "it has no width" if isinstance(operand.type, Int) else f"not '{operand.type}'"
                return self.wrong(span, f"'{op}' needs a number of fixed width: {why}" if op == "~"
                                  else f"'{op}' needs a number, not '{operand.type}'")  # fmt: skip
        if isinstance(operand, tree.Constant) and isinstance(operand.value, int):
            bits = operand.type if isinstance(operand.type, Bits) else None
            return tree.Constant(span, operand.type, constant.fold_unary(op, operand.value, bits))
        return operand if op == "+" else tree.Unary(span, operand.type, op, operand)

    def same_type(self, left: tree.Expr, right: tree.Expr) -> tuple[tree.Expr, tree.Expr]:
        """Give both the same type where an implicit cast can (8.11.2): int, initialisers, enums."""
        if left.type == right.type and not isinstance(left, tree.Make) and not isinstance(right, tree.Make):
            return left, right
        if isinstance(left.type, SerEnum) and isinstance(right.type, Bits | Int):
            left = self.as_number(left)
        if isinstance(right.type, SerEnum) and isinstance(left.type, Bits | Int):
            right = self.as_number(right)
        if _flexible(left) and not _flexible(right):
            return self._coerced(left, right.type) or left, right
        if _flexible(right) and not _flexible(left):
            return left, self._coerced(right, left.type) or right
        return left, right

    def binary(self, op: str, left: tree.Expr, right: tree.Expr, span: Span) -> tree.Expr:
        """A binary operator."""
        if is_unknown(left.type) or is_unknown(right.type):
            return tree.wrong(span)
        if op in _LOGIC:
            left, right = (
                self.condition(left, f"an operand of {op}"),
                self.condition(right, f"an operand of {op}"),
            )
            if isinstance(left.type, Unknown) or isinstance(right.type, Unknown):
                return tree.wrong(span)
            if isinstance(left, tree.Constant):  # the right side of a decided operator is never evaluated
                decided = bool(left.value) == (op == "||")
                return tree.Constant(span, BOOL, int(op == "||")) if decided else right
            return tree.Binary(span, BOOL, op, left, right)
        if op in _EQUALITY:
            return self._equality(op, left, right, span)
        left, right = self.as_number(left), self.as_number(right)
        if op in _SHIFT:
            return self._shift(op, left, right, span)
        if op == "++":
            return self._concatenation(left, right, span)
        left, right = self.same_type(left, right)
        if is_unknown(left.type) or is_unknown(right.type):
            return tree.wrong(span)
        if left.type != right.type or not isinstance(left.type, Bits | Int):
            return self.wrong(span, *self._mismatch(op, left.type, right.type))
        type_ = left.type
        if isinstance(type_, Int) and op in _SATURATING:
            return self.wrong(span, f"'{op}' is not defined for 'int'", "give one operand a width, as in 8w3")
        if op in {"/", "%"}:
            if isinstance(type_, Bits) and type_.signed:
                return self.wrong(span, f"'{op}' is not defined for signed '{type_}'")
            if isinstance(right, tree.Constant) and right.value == 0:
                return self.wrong(right.span, "division by zero")
        if op in _ORDER:
            self._warn_decided(op, left, right, span)
        return self._fold(op, left, right, span, BOOL if op in _ORDER else type_)

    def _warn_decided(self, op: str, left: tree.Expr, right: tree.Expr, span: Span) -> None:
        """A comparison with the end of a type's range that has one answer only."""
        if isinstance(left, tree.Constant) == isinstance(right, tree.Constant):
            return
        if isinstance(left, tree.Constant):
            left, right, op = right, left, _MIRRORED[op]
        assert isinstance(right, tree.Constant)
        if isinstance(left.type, Bits) and isinstance(right.value, int) and left.type.width:
            low, high = constant.limits(left.type)
            answer = {(">=", low): "true", ("<", low): "false", ("<=", high): "true", (">", high): "false"}
            found = answer.get((op, right.value))
            if found is not None:
                self.reporter.warning(span, f"this comparison is always {found}")

    def _fold(self, op: str, left: tree.Expr, right: tree.Expr, span: Span, result: Type) -> tree.Expr:
        if isinstance(left, tree.Constant) and isinstance(right, tree.Constant):
            a, b = left.value, right.value
            if isinstance(a, int) and isinstance(b, int):
                bits = representation(left.type)
                value = constant.fold_binary(op, a, b, bits if isinstance(bits, Bits) else None)
                if value is None:
                    return self.wrong(span, f"{a} {op} {b} has no value")
                if value.bit_length() > constant.MAX_WIDTH:
                    return self.wrong(span, f"the result has more than {constant.MAX_WIDTH} bits")
                return tree.Constant(span, result, value)
            if op in _EQUALITY:
                return tree.Constant(span, BOOL, int((a == b) == (op == "==")))
        return tree.Binary(span, result, op, left, right)

    def _equality(self, op: str, left: tree.Expr, right: tree.Expr, span: Span) -> tree.Expr:
        left, right = self.same_type(left, right)
        if is_unknown(left.type) or is_unknown(right.type):
            return tree.wrong(span)
        if left.type != right.type or not _comparable(left.type):
            return self.wrong(span, *self._mismatch(op, left.type, right.type))
        return self._fold(op, left, right, span, BOOL)

    def _shift(self, op: str, left: tree.Expr, right: tree.Expr, span: Span) -> tree.Expr:
        if not isinstance(left.type, Bits | Int) or not isinstance(right.type, Bits | Int):
            return self.wrong(span, *self._mismatch(op, left.type, right.type))
        if isinstance(right, tree.Constant) and isinstance(right.value, int):
            if right.value < 0:
                return self.wrong(right.span, f"shift by a negative number {right.value}")
            if isinstance(left.type, Bits) and right.value > left.type.width:
                self.reporter.warning(span, f"shifting '{left.type}' by {right.value}")
        elif isinstance(right.type, Bits) and right.type.signed:
            return self.wrong(right.span, f"the right operand of '{op}' must be unsigned, not '{right.type}'")
        if isinstance(left.type, Int) and not isinstance(right, tree.Constant):
            return self.wrong(
                left.span, "an 'int' can be shifted only by a constant", "give it a width, as in 8w1"
            )
        return self._fold(op, left, right, span, left.type)

    def _concatenation(self, left: tree.Expr, right: tree.Expr, span: Span) -> tree.Expr:
        if left.type == STRING and right.type == STRING:
            if isinstance(left, tree.Constant) and isinstance(right, tree.Constant):
                return tree.Constant(span, STRING, f"{left.value}{right.value}")
            return tree.Binary(span, STRING, "++", left, right)
        if not isinstance(left.type, Bits) or not isinstance(right.type, Bits):
            hint = None
            if isinstance(left.type, Int) or isinstance(right.type, Int):
                hint = "give the constant a width, as in 8w1"
            return self.wrong(span, self._mismatch("++", left.type, right.type)[0], hint)
        type_ = Bits(left.type.width + right.type.width, left.type.signed)
        if isinstance(left, tree.Constant) and isinstance(right, tree.Constant):
            a, b = left.value, right.value
            if isinstance(a, int) and isinstance(b, int):
                return tree.Constant(span, type_, constant.concatenate(a, b, left.type, right.type, type_))
        return tree.Binary(span, type_, "++", left, right)

    def mux(self, condition: tree.Expr, then: tree.Expr, other: tree.Expr, span: Span) -> tree.Expr:
        """`condition ? then : other`."""
        then, other = self.same_type(then, other)
        if any(is_unknown(e.type) for e in (condition, then, other)):
            return tree.wrong(span)
        if then.type != other.type:
            return self.wrong(span, f"the branches of ?: have types '{then.type}' and '{other.type}'")
        if isinstance(condition, tree.Constant):
            return then if condition.value else other
        if isinstance(then.type, Int):
            return self.wrong(span, "the branches of ?: have no width", "give one a width, as in 8w1")
        return tree.Mux(span, then.type, condition, then, other)

    @staticmethod
    def _mismatch(op: str, left: Type, right: Type) -> tuple[str, str | None]:
        hint = None
        a, b = representation(left), representation(right)
        if isinstance(left, New) or isinstance(right, New):
            hint = "cast values of a 'type' to its underlying type first"
        elif isinstance(a, Bits) and isinstance(b, Bits) and a != b:
            hint = f"cast one operand, as in ({left}) …"
        elif isinstance(a, Bool) and isinstance(b, Bool):
            hint = "use &&, ||, ==, != with bool"
        return f"'{op}' is not defined for '{left}' and '{right}'", hint


def _flexible(e: tree.Expr) -> bool:
    """Takes its type from its partner."""
    return isinstance(e.type, Int | DontCare) or (
        isinstance(e, tree.Make) and (e.names is not None or isinstance(e.type, Tuple))
    )


def _comparable(type_: Type) -> bool:
    """Equality is defined for it (8.5 to 8.16)."""
    match type_:
        case Stack(element=element):
            return _comparable(element)
        case Tuple(elements=elements):
            return all(_comparable(t) for t in elements)
        case Composite(fields=fields):
            return is_header(type_) or is_union(type_) or all(_comparable(f.type) for f in fields.values())
        case List() | DontCare():
            return False
        case _:
            return not isinstance(type_, Unknown)


__all__ = ["Operators", "Varbit"]
