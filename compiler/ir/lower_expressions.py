"""Typed expressions to pure IR expressions; effects are hoisted into statements in evaluation order.

Spec 8.1 (order of evaluation), 8.5 to 8.16. What a later operand's effects could change is saved in a
temporary first; nothing else is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

from p4cats.compiler.ir import nodes as ir
from p4cats.compiler.ir.access import path_of
from p4cats.compiler.ir.convert import INT
from p4cats.compiler.ir.types import (
    BOOL,
    Bits,
    Bool,
    Composite,
    Enum,
    Error,
    Header,
    Stack,
    String,
    Struct,
    Type,
    Union,
    Varbit,
)
from p4cats.compiler.ir.unit import Environment, Unit
from p4cats.compiler.source import Span
from p4cats.compiler.types import constant, model, tree


@dataclass(slots=True)
class Body:
    """Where statements and variables of the body under construction go."""

    locals: list[ir.Variable] = field(default_factory=list)
    out: list[ir.Stmt] = field(default_factory=list)
    repeats: bool = False
    """Inside a loop, or in a parser with cycles: declarations are reached more than once."""


class ExpressionLowering:
    """Lowers expressions of one block instance."""

    def __init__(self, unit: Unit, env: Environment) -> None:
        self.unit = unit
        self.env = env
        self.body = Body()
        self.temporaries: set[ir.Variable] = set()
        self.exit_flag: ir.VarRef | None = None
        """In the variant of an action that reports `exit` to its caller: where it says so."""

    # -- statements and variables -------------------------------------------------------------

    def emit(self, statement: ir.Stmt) -> None:
        """Append a statement."""
        self.body.out.append(statement)

    @contextmanager
    def collecting(self) -> Iterator[list[ir.Stmt]]:
        """Statements go to a list of their own meanwhile."""
        outer, self.body.out = self.body.out, []
        try:
            yield self.body.out
        finally:
            self.body.out = outer

    def temporary(self, name: str, type_: Type, span: Span) -> ir.Variable:
        """A new variable of the current body, set once by the lowering itself."""
        variable = ir.Variable(self.env.names.unique(name), type_, span)
        self.body.locals.append(variable)
        self.temporaries.add(variable)
        return variable

    def save(self, e: ir.Expr, at: int | None = None) -> ir.VarRef:
        """Keep a value in a temporary, set before statement `at` (default: now)."""
        variable = self.temporary("tmp", e.type, e.span)
        reference = ir.VarRef(e.span, e.type, variable)
        assignment = ir.Assign(e.span, reference, e)
        self.body.out.insert(len(self.body.out) if at is None else at, assignment)
        return reference

    def stable(self, e: ir.Expr) -> bool:
        """No statement can change its value."""
        match e:
            case ir.Const() | ir.StringConst() | ir.MakeInvalid():
                return True
            case ir.VarRef(variable=variable):
                return variable in self.temporaries
            case ir.Cast(operand=operand) | ir.Unary(operand=operand):
                return self.stable(operand)
            case ir.Make(values=values):
                return all(self.stable(v) for v in values)
            case _:
                return False

    def ordered(self, *es: tree.Expr) -> list[ir.Expr]:
        """Lower from left to right; earlier values do not see later effects (8.1)."""
        results: list[ir.Expr] = []
        for e in es:
            mark = len(self.body.out)
            result = self.expr(e)
            if len(self.body.out) > mark:
                for i, earlier in enumerate(results):
                    if not self.stable(earlier):
                        results[i] = self.save(earlier, mark)
                        mark += 1
            results.append(result)
        return results

    def indexed(self, base: tree.Expr, index: tree.Expr) -> tuple[ir.Expr, ir.Expr]:
        """Lower a base and its index; an l-value stays one whatever the index does."""
        result = self.expr(base)
        mark = len(self.body.out)
        at = self.expr(index)
        if len(self.body.out) > mark:
            if path_of(result) is not None:
                result = self.freeze(result, mark)
            elif not self.stable(result):
                result = self.save(result, mark)
        return result, at

    def freeze(self, e: ir.Expr, at: int | None = None) -> ir.Expr:
        """The l-value with its indices fixed: constants or temporaries."""
        match e:
            case ir.IndexRef():
                base = self.freeze(e.base, at)
                index = e.index if self.stable(e.index) else self.save(e.index, at)
                return ir.IndexRef(e.span, e.type, base, index)
            case ir.FieldRef():
                return ir.FieldRef(e.span, e.type, self.freeze(e.base, at), e.field)
            case ir.SliceRef():
                return ir.SliceRef(e.span, e.type, self.freeze(e.base, at), e.high, e.low)
            case ir.StackNext():
                return ir.StackNext(e.span, e.type, self.freeze(e.base, at))
            case ir.StackLast():
                return ir.StackLast(e.span, e.type, self.freeze(e.base, at))
            case _:
                return e

    # -- expressions --------------------------------------------------------------------------

    def type(self, type_: model.Type) -> Type:
        """The IR type of a semantic type here, where type variables are bound."""
        return self.unit.types.convert(model.substitute(type_, self.env.binding))

    def expr(self, e: tree.Expr) -> ir.Expr:
        """Lower an expression."""
        return self._lowerings[e.__class__](self, e)

    def _constant(self, e: tree.Constant) -> ir.Expr:
        if isinstance(e.value, str):
            return ir.StringConst(e.span, self.type(e.type), e.value)
        return ir.Const(e.span, self.type(e.type), e.value)

    def _ref(self, e: tree.Ref) -> ir.Expr:
        variable = self.env.variables[e.symbol]
        return ir.VarRef(e.span, variable.type, variable)

    def _ctor_ref(self, e: tree.CtorRef) -> ir.Expr:
        value = self.env.instances[e.symbol]
        assert isinstance(value, ir.Expr)
        return value

    def _field(self, e: tree.FieldRef) -> ir.Expr:
        base = self.expr(e.base)
        return self.field_of(base, e.name, e.span)

    def field_of(self, base: ir.Expr, name: str, span: Span) -> ir.Expr:
        """`base.name`, looking into values that are made on the spot."""
        assert isinstance(base.type, Composite)
        type_ = base.type.by_name[name].type
        match base:
            case ir.Make():
                return base.values[list(base.type.by_name).index(name)]
            case ir.MakeInvalid():
                return zero(span, type_)
            case ir.Mux():
                then, other = self.field_of(base.then, name, span), self.field_of(base.other, name, span)
                return ir.Mux(span, type_, base.condition, then, other)
        return ir.FieldRef(span, type_, base, name)

    def _element(self, e: tree.Element) -> ir.Expr:
        base, index = self.indexed(e.base, e.index)
        if isinstance(index, ir.Const):
            if isinstance(base, ir.Make):
                if not 0 <= index.value < len(base.values):
                    raise self.unit.reporter.fatal(e.span, f"index {index.value} is outside of the list")
                return base.values[index.value]
            index = ir.Const(index.span, Bits(32), index.value)
        if not isinstance(base.type, Stack):
            raise self.unit.reporter.fatal(e.span, "a list can only be indexed by a compile-time constant")
        element = base.type.element
        if isinstance(base, ir.Make | ir.MakeInvalid | ir.Mux):
            base = self.save(base)
        return ir.IndexRef(e.span, element, base, index)

    def _stack_part(self, e: tree.StackPart) -> ir.Expr:
        base = self.expr(e.base)
        assert isinstance(base.type, Stack)
        if e.part == "lastIndex":
            return ir.StackLastIndex(e.span, Bits(32), base)
        if e.part == "next":
            return ir.StackNext(e.span, base.type.element, base)
        return ir.StackLast(e.span, base.type.element, base)

    def _slice(self, e: tree.SliceRef) -> ir.Expr:
        base = self.expr(e.base)
        type_ = Bits(e.high - e.low + 1)
        if isinstance(base, ir.Const):
            return ir.Const(e.span, type_, constant.wrap(base.value >> e.low, type_))
        if isinstance(base, ir.SliceRef):
            return ir.SliceRef(e.span, type_, base.base, e.high + base.low, e.low + base.low)
        return ir.SliceRef(e.span, type_, base, e.high, e.low)

    def _part_select(self, e: tree.PartSelect) -> ir.Expr:
        base, low = self.indexed(e.base, e.low)
        shifted = ir.Binary(e.span, base.type, ">>", base, low)
        return cast(e.span, Bits(e.width), cast(e.span, unsigned(base.type), shifted))

    def _unary(self, e: tree.Unary) -> ir.Expr:
        operand = self.expr(e.operand)
        if isinstance(operand, ir.Const):
            bits = operand.type if isinstance(operand.type, Bits) else None
            return ir.Const(e.span, operand.type, constant.fold_unary(e.op, operand.value, bits))
        return ir.Unary(e.span, operand.type, e.op, operand)

    def _binary(self, e: tree.Binary) -> ir.Expr:
        links = [e]
        left: tree.Expr = e.left
        while isinstance(left, tree.Binary):
            links.append(left)
            left = left.left
        mark = len(self.body.out)
        result = self.expr(left)
        for link in reversed(links):
            result = self._link(link, result, mark)
        return result

    def _link(self, e: tree.Binary, left: ir.Expr, start: int) -> ir.Expr:
        if e.op in {"&&", "||"}:
            return self._logic(e, left)
        mark = len(self.body.out)
        right = self.expr(e.right)
        if len(self.body.out) > mark and not self.stable(left):
            left = self.save(left, mark)
        if e.op in {"==", "!="}:
            return self.compare(e.span, e.op, left, right)
        return self.binary(e.span, e.op, left, right, e.type)

    def binary(self, span: Span, op: str, left: ir.Expr, right: ir.Expr, type_: model.Type) -> ir.Expr:
        """An arithmetic, bitwise, shift, order or concatenation operator."""
        result = self.type(type_)
        if isinstance(left, ir.Const) and isinstance(right, ir.Const):
            value: int | None
            if op == "++":
                assert isinstance(left.type, Bits)
                assert isinstance(right.type, Bits)
                assert isinstance(result, Bits)
                value = constant.concatenate(left.value, right.value, left.type, right.type, result)
            else:
                bits = left.type if isinstance(left.type, Bits) and left.type != INT else None
                value = constant.fold_binary(op, left.value, right.value, bits)
            if value is None:
                raise self.unit.reporter.fatal(span, f"{left.value} {op} {right.value} has no value")
            return ir.Const(span, result, value)
        if op in {"<<", ">>"} and isinstance(right, ir.Const) and right.type == INT:
            right = ir.Const(right.span, Bits(max(1, right.value.bit_length())), right.value)
        return ir.Binary(span, result, op, left, right)

    def _logic(self, e: tree.Binary, left: ir.Expr) -> ir.Expr:
        """`&&` and `||`; where the right side has effects, an if keeps it from being evaluated."""
        if isinstance(left, ir.Const):
            return left if bool(left.value) == (e.op == "||") else self.expr(e.right)
        with self.collecting() as effects:
            right = self.expr(e.right)
        if not effects:
            return ir.Binary(e.span, BOOL, e.op, left, right)
        result = self.temporary("tmp", BOOL, e.span)
        reference = ir.VarRef(e.span, BOOL, result)
        self.emit(ir.Assign(e.span, reference, left))
        effects.append(ir.Assign(e.span, reference, right))
        then, other = (effects, []) if e.op == "&&" else ([], effects)
        self.emit(ir.If(e.span, reference, then, other))
        return reference

    def _mux(self, e: tree.Mux) -> ir.Expr:
        condition = self.expr(e.condition)
        if isinstance(condition, ir.Const):
            return self.expr(e.then if condition.value else e.other)
        with self.collecting() as first:
            then = self.expr(e.then)
        with self.collecting() as second:
            other = self.expr(e.other)
        if not first and not second:
            return ir.Mux(e.span, then.type, condition, then, other)
        result = self.temporary("tmp", then.type, e.span)
        reference = ir.VarRef(e.span, then.type, result)
        first.append(ir.Assign(e.span, reference, then))
        second.append(ir.Assign(e.span, reference, other))
        self.emit(ir.If(e.span, condition, first, second))
        return reference

    def _cast(self, e: tree.Cast) -> ir.Expr:
        return cast(e.span, self.type(e.type), self.expr(e.operand))

    def _make(self, e: tree.Make) -> ir.Expr:
        values = self.ordered(*e.values)
        if isinstance(e.type, model.List):
            return ir.Make(e.span, BOOL, values)  # a list constant: taken apart by its user
        return ir.Make(e.span, self.type(e.type), values)

    def _invalid(self, e: tree.Invalid) -> ir.Expr:
        return zero(e.span, self.type(e.type))

    def call_value(self, e: tree.Call) -> ir.Expr:
        """A call used as a value."""
        raise NotImplementedError

    def _call(self, e: tree.Call) -> ir.Expr:
        return self.call_value(e)

    # -- comparison ---------------------------------------------------------------------------

    def compare(self, span: Span, op: str, left: ir.Expr, right: ir.Expr) -> ir.Expr:
        """`==` and `!=`, composites field by field (8.10 to 8.16)."""
        if isinstance(left.type, Bits | Bool | Varbit | Enum | Error | String):
            if isinstance(left, ir.Const) and isinstance(right, ir.Const):
                return ir.Const(span, BOOL, int((left.value == right.value) == (op == "==")))
            return ir.Binary(span, BOOL, op, left, right)
        left, right = self._addressable(left), self._addressable(right)
        equal = self._equal(span, left, right)
        return equal if op == "==" else negate(equal)

    def _addressable(self, e: ir.Expr) -> ir.Expr:
        return self.save(e) if isinstance(e, ir.Mux) else e

    def _equal(self, span: Span, left: ir.Expr, right: ir.Expr) -> ir.Expr:
        match left.type:
            case Header() as header:
                valid_left, valid_right = self.is_valid(span, left), self.is_valid(span, right)
                fields = conjunction(
                    span, [self._equal_field(span, left, right, f.name) for f in header.fields], 1
                )
                both = conjunction(span, [valid_left, valid_right, fields], 1)
                neither = conjunction(span, [negate(valid_left), negate(valid_right)], 1)
                return disjunction(span, neither, both)
            case Struct() | Union() as composite:
                parts = [self._equal_field(span, left, right, f.name) for f in composite.fields]
                return conjunction(span, parts, 1)
            case Stack(size=size):
                parts = [
                    self._equal(span, self.element_of(left, i, span), self.element_of(right, i, span))
                    for i in range(size)
                ]
                return conjunction(span, parts, 1)
            case _:
                return self.compare(span, "==", left, right)

    def _equal_field(self, span: Span, left: ir.Expr, right: ir.Expr, name: str) -> ir.Expr:
        return self._equal(span, self.field_of(left, name, span), self.field_of(right, name, span))

    def element_of(self, base: ir.Expr, index: int, span: Span) -> ir.Expr:
        """Element of a stack value at a constant index."""
        assert isinstance(base.type, Stack)
        if isinstance(base, ir.Make):
            return base.values[index]
        if isinstance(base, ir.MakeInvalid):
            return ir.MakeInvalid(span, base.type.element)
        return ir.IndexRef(span, base.type.element, base, ir.Const(span, Bits(32), index))

    def is_valid(self, span: Span, e: ir.Expr) -> ir.Expr:
        """Validity; known for values made on the spot."""
        if isinstance(e, ir.Make | ir.MakeInvalid):
            return ir.Const(span, BOOL, int(isinstance(e, ir.Make)))
        return ir.IsValid(span, BOOL, e)

    _lowerings: ClassVar[dict[object, Callable[..., ir.Expr]]] = {
        tree.Constant: _constant,
        tree.Ref: _ref,
        tree.CtorRef: _ctor_ref,
        tree.FieldRef: _field,
        tree.Element: _element,
        tree.StackPart: _stack_part,
        tree.SliceRef: _slice,
        tree.PartSelect: _part_select,
        tree.Unary: _unary,
        tree.Binary: _binary,
        tree.Mux: _mux,
        tree.Cast: _cast,
        tree.Make: _make,
        tree.Invalid: _invalid,
        tree.FunctionCall: _call,
        tree.MethodCall: _call,
        tree.BuiltinCall: _call,
        tree.ApplyTable: _call,
    }


def zero(span: Span, type_: Type) -> ir.Expr:
    """The default value of a type (7.3)."""
    if isinstance(type_, Bits | Bool | Error | Enum):
        return ir.Const(span, type_, 0)
    return ir.MakeInvalid(span, type_)


def unsigned(type_: Type) -> Type:
    """The unsigned type of the same width."""
    return Bits(type_.width) if isinstance(type_, Bits) else type_


def cast(span: Span, type_: Type, operand: ir.Expr) -> ir.Expr:
    """A cast, folded; none where the types are the same."""
    if operand.type == type_:
        return operand
    if isinstance(operand, ir.Const):
        value = constant.wrap(operand.value, type_) if isinstance(type_, Bits) else operand.value & 1
        return ir.Const(span, type_, value)
    return ir.Cast(span, type_, operand)


def negate(e: ir.Expr) -> ir.Expr:
    """`!e`."""
    if isinstance(e, ir.Const):
        return ir.Const(e.span, BOOL, int(not e.value))
    if isinstance(e, ir.Unary) and e.op == "!":
        return e.operand
    return ir.Unary(e.span, BOOL, "!", e)


def conjunction(span: Span, parts: list[ir.Expr], otherwise: int) -> ir.Expr:
    """All of them, constants folded."""
    result: ir.Expr | None = None
    for part in parts:
        if isinstance(part, ir.Const):
            if not part.value:
                return ir.Const(span, BOOL, 0)
            continue
        result = part if result is None else ir.Binary(span, BOOL, "&&", result, part)
    return ir.Const(span, BOOL, otherwise) if result is None else result


def disjunction(span: Span, left: ir.Expr, right: ir.Expr) -> ir.Expr:
    """Either, constants folded."""
    if isinstance(left, ir.Const):
        return left if left.value else right
    if isinstance(right, ir.Const):
        return right if right.value else left
    return ir.Binary(span, BOOL, "||", left, right)
