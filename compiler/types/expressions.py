"""Expressions other than calls and operators: literals, names, members, indices, initialisers (spec 8)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import ClassVar

from p4cats.compiler.parse import ast
from p4cats.compiler.source import Span
from p4cats.compiler.types import constant, tree
from p4cats.compiler.types.model import (
    BOOL,
    DONT_CARE,
    ERROR,
    INT,
    STRING,
    Bits,
    Block,
    Composite,
    Enum,
    Extern,
    Int,
    List,
    Member,
    New,
    Opaque,
    SerEnum,
    Set,
    Stack,
    TableType,
    Tuple,
    Type,
    TypeVar,
    Unknown,
    Void,
    is_unknown,
)
from p4cats.compiler.types.operators import Operators
from p4cats.compiler.types.scope import suggest

_METHODS = {"isValid", "setValid", "setInvalid", "push_front", "pop_front", "apply"}


def at(e: tree.Expr, span: Span) -> tree.Expr:
    """The same expression at another place."""
    moved = copy.copy(e)
    moved.span = span
    return moved


class Expressions(Operators):
    """Checks expressions; each method takes one node class."""

    def expr(self, node: ast.Expression) -> tree.Expr:
        """Check an expression."""
        return self._checks[type(node)](self, node)

    def value(self, node: ast.Expression) -> tree.Expr:
        """Check an expression that must have a value: not a table, an instance, a type, void."""
        e = self.expr(node)
        match e.type:
            case Opaque() | TableType() | Void():
                return self.wrong(e.span, f"{_describe(e)} is not a value", self._call_hint(e))
            case Extern() | Block():
                return self.wrong(e.span, f"{_describe(e)} is not a value")
            case Set():
                return self.wrong(e.span, "a mask or range stands only in select, entries, switch and for")
        if isinstance(e, tree.Any):
            return self.wrong(e.span, "this is allowed only where a default value or a key set is meant")
        return e

    @staticmethod
    def _call_hint(e: tree.Expr) -> str | None:
        return (
            "to apply it, write .apply()"
            if isinstance(e.type, TableType) and e.type.part == "table"
            else None
        )

    # -- literals -----------------------------------------------------------------------------

    def _int(self, node: ast.IntLiteral) -> tree.Expr:
        if node.width is None:
            return tree.Constant(node.span, INT, node.value)
        if node.width > constant.MAX_WIDTH:
            return self.wrong(node.span, f"a width of {node.width} bits is not supported")
        if node.width == 0 and node.signed:
            return self.wrong(node.span, "int<0> is not a type")
        type_ = Bits(node.width, node.signed)
        if not constant.fits(node.value, type_):
            self.reporter.warning(node.span, f"{node.value} does not fit '{type_}', it is truncated")
        return tree.Constant(node.span, type_, constant.wrap(node.value, type_))

    def _bool(self, node: ast.BoolLiteral) -> tree.Expr:
        return tree.Constant(node.span, BOOL, int(node.value))

    def _string(self, node: ast.StringLiteral) -> tree.Expr:
        return tree.Constant(node.span, STRING, node.value)

    def _list(self, node: ast.ListExpression) -> tree.Expr:
        values = [self.value(v) for v in node.elements]
        types = tuple(v.type for v in values)
        return tree.Make(node.span, Tuple(types), values, None, node.rest)

    def _struct(self, node: ast.StructExpression) -> tree.Expr:
        seen: dict[str, tree.Expr] = {}
        for item in node.fields:
            if item.name in seen:
                return self.wrong(item.span, f"field '{item.name}' is given twice")
            seen[item.name] = (
                self.expr(item.value) if isinstance(item.value, ast.Rest) else self.value(item.value)
            )
        fields = {n: Member(n, v.type, v.span) for n, v in seen.items()}
        type_: Type = Composite("struct", "", fields, node.span)
        if any(is_unknown(v.type) for v in seen.values()):
            return tree.wrong(node.span)
        return tree.Make(node.span, type_, list(seen.values()), list(seen), node.rest)

    def _invalid(self, node: ast.InvalidHeader) -> tree.Expr:
        return tree.Invalid(node.span, DONT_CARE)

    def _any(self, node: ast.Expression) -> tree.Expr:
        return tree.Any(node.span, DONT_CARE)

    # -- names --------------------------------------------------------------------------------

    def _name(self, node: ast.Name) -> tree.Expr:
        if node.name == "this":
            return self.wrong(
                node.span, "'this' is only allowed in extern implementations, which v1model has not"
            )
        symbol = self.lookup(node.name, node.dotted, node.span)
        if symbol is None:
            return tree.wrong(node.span)
        return self._symbol(symbol, node.span)

    def _symbol(self, symbol: tree.Symbol, span: Span) -> tree.Expr:
        match symbol:
            case tree.Var():
                symbol.used = True
                if isinstance(symbol.type, Extern | Block):
                    return tree.InstanceRef(span, symbol.type, symbol)
                return tree.Ref(span, symbol.type, symbol)
            case tree.Const():
                return at(symbol.value, span)
            case tree.CtorParam():
                return tree.CtorRef(span, symbol.type, symbol)
            case tree.Instance():
                symbol.used = True
                return tree.InstanceRef(span, symbol.type, symbol)
            case tree.Table():
                symbol.used = True
                return tree.Named(span, TableType(symbol.name), symbol)
            case tree.Overloads():
                return tree.Named(span, Opaque("function"), symbol)
            case tree.Action():
                symbol.used = True
                return tree.Named(span, Opaque("action"), symbol)
            case tree.ValueSet():
                return tree.SetRef(span, Set(symbol.element), symbol)
            case tree.TypeName():
                return tree.Named(span, Opaque("type"), symbol)

    def _type(self, node: ast.TypeExpression) -> tree.Expr:
        found = self.type_of(node.type)
        if isinstance(found, Unknown):
            return tree.wrong(node.span)
        return tree.Named(node.span, Opaque("type"), tree.TypeName(str(found), found, node.span))

    # -- parts --------------------------------------------------------------------------------

    def _member(self, node: ast.Member) -> tree.Expr:
        base = self.expr(node.base)
        if isinstance(base, tree.Named) and isinstance(base.symbol, tree.TypeName):
            return self._type_member(node, base.symbol.type)
        match base.type:
            case Unknown():
                return tree.wrong(node.span)
            case Composite() as composite:
                return self._field(node, base, composite)
            case Stack() as stack:
                return self._stack_member(node, base, stack)
            case TableType() as table:
                return self._table_member(node, base, table)
            case Tuple():
                return self.wrong(
                    node.name_span, f"a tuple has no field '{node.name}'", "write t[0], t[1], …"
                )
            case Extern() | Block():
                return self.wrong(
                    node.name_span, f"'{node.name}' of '{base.type}' is only meaningful in a call"
                )
            case _:
                return self.wrong(node.name_span, f"{_describe(base)} has no member '{node.name}'")

    def _type_member(self, node: ast.Member, type_: Type) -> tree.Expr:
        if type_ == ERROR:
            if node.name in self.errors:
                return tree.Constant(node.span, ERROR, self.errors[node.name])
            hint = suggest(node.name, self.errors)
            return self.wrong(node.name_span, f"there is no error '{node.name}'", hint)
        match type_:
            case Enum(members=members):
                if node.name in members:
                    return tree.Constant(node.span, type_, members.index(node.name))
                hint = suggest(node.name, members)
                return self.wrong(node.name_span, f"enum '{type_}' has no member '{node.name}'", hint)
            case SerEnum(values=values):
                if node.name in values:
                    return tree.Constant(node.span, type_, values[node.name])
                hint = suggest(node.name, values)
                return self.wrong(node.name_span, f"enum '{type_}' has no member '{node.name}'", hint)
            case _:
                return self.wrong(node.name_span, f"type '{type_}' has no member '{node.name}'")

    def _field(self, node: ast.Member, base: tree.Expr, type_: Composite) -> tree.Expr:
        found = type_.fields.get(node.name)
        if found is None:
            if node.name in _METHODS:
                return self.wrong(node.name_span, f"'{node.name}' is a method: call it as .{node.name}(…)")
            hint = suggest(node.name, type_.fields)
            named = f"'{type_}'" if type_.name else "this value"
            return self.wrong(node.name_span, f"{type_.kind} {named} has no field '{node.name}'", hint)
        if isinstance(base, tree.Make):
            return at(base.values[list(type_.fields).index(node.name)], node.span)
        return tree.FieldRef(node.span, found.type, base, node.name)

    def _stack_member(self, node: ast.Member, base: tree.Expr, stack: Stack) -> tree.Expr:
        if node.name == "size":
            return tree.Constant(node.span, Bits(32), stack.size)
        if node.name in {"next", "last", "lastIndex"}:
            if self.place.kind != "parser":
                return self.wrong(node.name_span, f"'{node.name}' of a stack can only be used in parsers")
            part_type: Type = Bits(32) if node.name == "lastIndex" else stack.element
            return tree.StackPart(node.span, part_type, base, node.name)
        hint = suggest(node.name, ["next", "last", "lastIndex", "size"])
        return self.wrong(node.name_span, f"a header stack has no '{node.name}'", hint)

    def _table_member(self, node: ast.Member, base: tree.Expr, table: TableType) -> tree.Expr:
        if table.part == "result" and isinstance(base, tree.ApplyTable):
            if node.name in {"hit", "miss"}:
                return tree.ApplyTable(node.span, BOOL, [], base.table, node.name)
            if node.name == "action_run":
                type_ = TableType(table.name, "action_run")
                return tree.ApplyTable(node.span, type_, [], base.table, "action_run")
            hint = suggest(node.name, ["hit", "miss", "action_run"])
            return self.wrong(node.name_span, f"the result of a table has no '{node.name}'", hint)
        hint = "write .apply()." + node.name if node.name in {"hit", "miss", "action_run"} else None
        return self.wrong(node.name_span, f"table '{table.name}' has no member '{node.name}'", hint)

    def _index(self, node: ast.Index) -> tree.Expr:
        base, index = self.value(node.base), self.as_number(self.value(node.index))
        if is_unknown(base.type) or is_unknown(index.type):
            return tree.wrong(node.span)
        if not isinstance(index.type, Bits | Int):
            return self.wrong(index.span, f"an index must be a number, not '{index.type}'")
        known = index.value if isinstance(index, tree.Constant) and isinstance(index.value, int) else None
        match base.type:
            case Stack(element=element, size=size):
                if known is not None and not 0 <= known < size:
                    return self.wrong(index.span, f"index {known} is outside of the stack's {size} elements")
                return tree.Element(node.span, element, base, index)
            case Tuple(elements=elements):
                if known is None:
                    return self.wrong(index.span, "the index of a tuple must be a compile-time constant")
                if not 0 <= known < len(elements):
                    return self.wrong(
                        index.span, f"index {known} is outside of the tuple's {len(elements)} elements"
                    )
                if isinstance(base, tree.Make):
                    return at(base.values[known], node.span)
                return tree.FieldRef(node.span, elements[known], base, f"f{known}")
            case List(element=element):
                if known is None or not isinstance(base, tree.Make):
                    return tree.Element(node.span, element, base, index)
                if not 0 <= known < len(base.values):
                    return self.wrong(
                        index.span, f"index {known} is outside of the list's {len(base.values)} elements"
                    )
                return at(base.values[known], node.span)
            case _:
                return self.wrong(node.span, f"'{base.type}' has no elements to index")

    def _slice(self, node: ast.Slice) -> tree.Expr:
        base = self._sliced(node.base)
        high = self.number(self.expr(node.high), "the upper bound of a slice")
        low = self.number(self.expr(node.low), "the lower bound of a slice")
        if isinstance(base.type, Unknown) or high is None or low is None:
            return tree.wrong(node.span)
        return self._slice_of(node.span, base, high, low)

    def _part_select(self, node: ast.PartSelect) -> tree.Expr:
        base = self._sliced(node.base)
        low = self.as_number(self.value(node.low))
        width = self.number(self.expr(node.width), "the width of a slice")
        if isinstance(base.type, Unknown) or isinstance(low.type, Unknown) or width is None:
            return tree.wrong(node.span)
        if width <= 0:
            return self.wrong(node.width.span, f"a slice cannot be {width} bits wide")
        if isinstance(low, tree.Constant) and isinstance(low.value, int):
            return self._slice_of(node.span, base, low.value + width - 1, low.value)
        if not isinstance(low.type, Bits) or low.type.signed:
            return self.wrong(low.span, f"the start of a slice must be unsigned, not '{low.type}'")
        if not isinstance(base.type, Bits) or width > base.type.width:
            return self.wrong(node.span, f"a slice of {width} bits does not fit '{base.type}'")
        return tree.PartSelect(node.span, Bits(width), base, low, width)

    def _sliced(self, node: ast.Expression) -> tree.Expr:
        base = self.as_number(self.value(node))
        if isinstance(base.type, Bits | Int | Unknown):
            return base
        hint = "cast it to its underlying type" if isinstance(base.type, New) else None
        return self.wrong(base.span, f"only bit, int and int<> can be sliced, not '{base.type}'", hint)

    def _slice_of(self, span: Span, base: tree.Expr, high: int, low: int) -> tree.Expr:
        if low < 0 or high < low:
            return self.wrong(span, f"slice [{high}:{low}] is empty or negative", "write [high:low]")
        if isinstance(base.type, Bits) and high >= base.type.width:
            return self.wrong(span, f"slice [{high}:{low}] exceeds '{base.type}'")
        if high - low >= constant.MAX_WIDTH:
            return self.wrong(span, f"a width of {high - low + 1} bits is not supported")
        type_ = Bits(high - low + 1)
        if isinstance(base, tree.Constant) and isinstance(base.value, int):
            return tree.Constant(span, type_, constant.wrap(base.value >> low, type_))
        return tree.SliceRef(span, type_, base, high, low)

    # -- operators and key sets ---------------------------------------------------------------

    def _unary(self, node: ast.Unary) -> tree.Expr:
        return self.unary(node.op, self.value(node.operand), node.span)

    def _binary(self, node: ast.Binary) -> tree.Expr:
        chain = [node]
        left: ast.Expression = node.left
        while isinstance(left, ast.Binary):  # long sums lean to the left: no recursion for them
            chain.append(left)
            left = left.left
        result = self._operand(left)
        for link in reversed(chain):
            result = self.binary(link.op, result, self._operand(link.right), link.span)
        return result

    def _operand(self, node: ast.Expression) -> tree.Expr:
        return self.value(node)

    def _ternary(self, node: ast.Ternary) -> tree.Expr:
        condition = self.condition(self.value(node.condition), "the condition of ?:")
        return self.mux(condition, self.value(node.then), self.value(node.other), node.span)

    def _cast(self, node: ast.Cast) -> tree.Expr:
        target = self.value_type(node.type)
        operand = self.expr(node.operand)
        if isinstance(operand, tree.Any | tree.Invalid):
            return self.cast(operand, target, node.span)
        return self.cast(
            self.value(node.operand) if isinstance(operand, tree.Named) else operand, target, node.span
        )

    def _mask(self, node: ast.Mask) -> tree.Expr:
        value, mask = self.as_number(self.value(node.value)), self.as_number(self.value(node.mask))
        value, mask = self.same_type(value, mask)
        if is_unknown(value.type) or is_unknown(mask.type):
            return tree.wrong(node.span)
        if value.type != mask.type or not isinstance(value.type, Bits | Int):
            return self.wrong(
                node.span, f"a mask needs two numbers of one type, not '{value.type}' and '{mask.type}'"
            )
        return tree.MaskSet(node.span, Set(value.type), value, mask)

    def _range(self, node: ast.Range) -> tree.Expr:
        low, high = self.as_number(self.value(node.low)), self.as_number(self.value(node.high))
        low, high = self.same_type(low, high)
        if is_unknown(low.type) or is_unknown(high.type):
            return tree.wrong(node.span)
        if low.type != high.type or not isinstance(low.type, Bits | Int):
            return self.wrong(
                node.span, f"a range needs two numbers of one type, not '{low.type}' and '{high.type}'"
            )
        return tree.RangeSet(node.span, Set(low.type), low, high)

    def _tuple_keyset(self, node: ast.TupleKeyset) -> tree.Expr:
        if len(node.elements) == 1:
            return self.expr(node.elements[0])
        return self.wrong(node.span, "a tuple of key sets does not stand here")

    def _select(self, node: ast.Select) -> tree.Expr:
        return self.wrong(node.span, "select stands only in the transition of a state")

    def call(self, node: ast.Call) -> tree.Expr:
        """Check a call."""
        raise NotImplementedError

    def _call(self, node: ast.Call) -> tree.Expr:
        return self.call(node)

    _checks: ClassVar[dict[type[ast.Expression], Callable[..., tree.Expr]]] = {
        ast.IntLiteral: _int,
        ast.BoolLiteral: _bool,
        ast.StringLiteral: _string,
        ast.Name: _name,
        ast.TypeExpression: _type,
        ast.Member: _member,
        ast.Index: _index,
        ast.Slice: _slice,
        ast.PartSelect: _part_select,
        ast.Call: _call,
        ast.Unary: _unary,
        ast.Binary: _binary,
        ast.Ternary: _ternary,
        ast.Cast: _cast,
        ast.ListExpression: _list,
        ast.StructExpression: _struct,
        ast.InvalidHeader: _invalid,
        ast.DontCare: _any,
        ast.DefaultKeyset: _any,
        ast.Rest: _any,
        ast.Mask: _mask,
        ast.Range: _range,
        ast.TupleKeyset: _tuple_keyset,
        ast.Select: _select,
    }


def _describe(e: tree.Expr) -> str:
    match e:
        case tree.Named(symbol=symbol):
            return f"{e.type} '{symbol.name}'" if isinstance(e.type, Opaque) else f"table '{symbol.name}'"
        case tree.InstanceRef(symbol=symbol):
            return f"instance '{symbol.name}'"
        case tree.Call() if isinstance(e.type, Void):
            return "a call without result"
        case _ if isinstance(e.type, TypeVar):
            return f"a value of unknown type '{e.type}'"
        case _:
            return f"'{e.type}'"
