"""Conversions: implicit and explicit casts, initialisers, and binding of type variables (8.11 to 8.17)."""

from __future__ import annotations

from p4cats.compiler.source import Span
from p4cats.compiler.types import constant, tree
from p4cats.compiler.types.base import Base
from p4cats.compiler.types.model import (
    BOOL,
    INT,
    Bits,
    Block,
    Bool,
    Composite,
    DontCare,
    Extern,
    Int,
    List,
    New,
    Param,
    SerEnum,
    Set,
    Stack,
    Tuple,
    Type,
    TypeVar,
    Unknown,
    is_header,
    is_union,
    is_unknown,
    representation,
    substitute,
)
from p4cats.compiler.types.scope import suggest

Binding = dict[TypeVar, Type]


def bind(param: Type, arg: Type, free: set[TypeVar], binding: Binding) -> bool:
    """Bind the free variables of `param` so that it becomes `arg`, as far as structure tells (8.20)."""
    match param, arg:
        case _, Unknown() | DontCare():
            return True
        case TypeVar(), _ if param in free:
            old = binding.get(param)
            if old is None or isinstance(old, Int):
                binding[param] = arg
            return old is None or old == arg or _agree(old, arg)
        case Tuple(elements=a), Tuple(elements=b):
            return len(a) == len(b) and all(bind(x, y, free, binding) for x, y in zip(a, b, strict=True))
        case Stack(element=a, size=n), Stack(element=b, size=m):
            return n == m and bind(a, b, free, binding)
        case List(element=a), List(element=b):
            return bind(a, b, free, binding)
        case Set(element=a), Set(element=b):
            return bind(a, b, free, binding)
        case List(element=a), Tuple(elements=es):
            return all(bind(a, e, free, binding) for e in es)
        case Composite(), Composite():
            if param.generic is None or param.generic is not arg.generic:
                return param is arg or not arg.name
            pairs = zip(param.arguments, arg.arguments, strict=True)
            return all(bind(a, b, free, binding) for a, b in pairs)
        case Composite(), Tuple(elements=es):
            fields = list(param.fields.values())
            return len(fields) == len(es) and all(
                bind(f.type, e, free, binding) for f, e in zip(fields, es, strict=True)
            )
        case Extern(), Extern():
            pairs = zip(param.arguments, arg.arguments, strict=False)
            return param.declaration is arg.declaration and all(bind(a, b, free, binding) for a, b in pairs)
        case Block(), Block():
            return bind_block(param, arg, free, binding) is None
        case _:
            return param == arg or _agree(param, arg)


def bind_block(param: Block, arg: Block, free: set[TypeVar], binding: Binding) -> str | None:
    """Bind a block parameter of a package to a block given for it; what does not fit, or None."""
    if param.declaration is arg.declaration:
        pairs = zip(param.arguments, arg.arguments, strict=True)
        return None if all(bind(a, b, free, binding) for a, b in pairs) else "the type arguments differ"
    if param.kind != arg.kind:
        return f"'{arg.name}' is a {arg.kind}, not a {param.kind}"
    if param.declaration.concrete:
        return f"'{arg.name}' is not '{param.name}'"
    wanted, given = param.parameters(), arg.parameters()
    given = given if len(given) <= len(wanted) else [p for p in given if not p.optional]
    if len(given) != len(wanted) and any(not p.optional for p in wanted[len(given) :]):
        return f"'{arg.name}' has {len(given)} parameters, '{param.name}' has {len(wanted)}"
    if len(given) > len(wanted):
        return f"'{arg.name}' has {len(given)} parameters, '{param.name}' has {len(wanted)}"
    for want, have in zip(wanted, given, strict=False):
        if want.direction != have.direction:
            return (
                f"parameter '{have.name}' of '{arg.name}' has direction '{have.direction or 'none'}', "
                f"'{param.name}' wants '{want.direction or 'none'}'"
            )
        known = substitute(want.type, binding)
        if not bind(want.type, have.type, free, binding):
            return f"parameter '{have.name}' of '{arg.name}' has type '{have.type}', expected '{known}'"
    return None


def _agree(one: Type, other: Type) -> bool:
    """An `int` goes with any number; a serialisable enum with its underlying type."""
    numbers = isinstance(representation(one), Bits | Int) and isinstance(representation(other), Bits | Int)
    return numbers and (
        isinstance(one, Int) or isinstance(other, Int) or representation(one) == representation(other)
    )


class Conversions(Base):
    """Implicit and explicit casts."""

    def coerce(self, e: tree.Expr, target: Type, what: str = "") -> tree.Expr:
        """Convert implicitly to a type (8.11.2), or report that this is not possible."""
        found = self._coerced(e, target)
        if found is not None:
            return found
        if isinstance(e, tree.Constant) and isinstance(e.type, Int) and isinstance(target, New):
            number = representation(target)  # p4c takes numbers without width for a 'type' of bits
            if isinstance(number, Bits):
                return self.convert(self._narrow(e, number), target)
        hint = None
        if self._castable(e.type, target):
            hint = f"an explicit cast may be meant: ({target}) …"
        where = f" for {what}" if what else ""
        return self.wrong(e.span, f"type '{e.type or 'struct'}' does not fit '{target}'{where}", hint)

    def _coerced(self, e: tree.Expr, target: Type) -> tree.Expr | None:
        source = e.type
        if isinstance(source, Unknown) or is_unknown(target):
            return e if isinstance(source, Unknown) else tree.wrong(e.span)
        match e:
            case tree.Any() if not isinstance(target, TypeVar):
                return tree.Invalid(e.span, target)
            case tree.Make() if e.names is not None or source != target or e.rest:
                return self._initializer(e, target)
            case tree.Invalid(type=DontCare()):
                return tree.Invalid(e.span, target) if is_header(target) or is_union(target) else None
            case _ if source == target:
                return e
            case tree.Mux(type=Int()):
                then, other = self._coerced(e.then, target), self._coerced(e.other, target)
                return tree.Mux(e.span, target, e.condition, then, other) if then and other else None
        match source, target:
            case Int(), Bits():
                return self._narrow(e, target)
            case Tuple(), Tuple() | List() if isinstance(e, tree.Make):
                return self._initializer(e, target)
            case SerEnum(underlying=u), _ if u == target:
                return self.convert(e, target)
            case SerEnum(underlying=u), Int():
                return self.convert(e, target)
            case _:
                return None

    def _narrow(self, e: tree.Expr, target: Bits) -> tree.Expr:
        if isinstance(e, tree.Constant) and isinstance(e.value, int):
            value = e.value
            if not constant.fits(value, target):
                low, _ = constant.limits(target)
                in_bits = target.signed and 0 <= value < 1 << target.width
                if not in_bits and not (not target.signed and value < 0 and -value <= 1 << target.width):
                    self.reporter.warning(e.span, f"value {value} does not fit '{target}', it is truncated")
                elif value < 0 and low == 0:
                    self.reporter.warning(e.span, f"negative value {value} becomes a '{target}'")
        return self.convert(e, target)

    def _initializer(self, e: tree.Make, target: Type) -> tree.Expr | None:
        """Convert `{…}` to a composite, tuple, list or stack (8.12 to 8.16); `...` takes default values."""
        match target:
            case New():
                return None
            case Composite(kind=kind) if kind != "header_union":
                if not e.names:
                    types = [(f.name, f.type) for f in target.fields.values()]
                    return self._positional(e, target, types, f"{kind} '{target}'")
                return self._named(e, target)
            case Tuple(elements=elements) if e.names is None:
                numbered = [(f"f{i}", t) for i, t in enumerate(elements)]
                return self._positional(e, target, numbered, f"'{target}'")
            case Stack() if e.names is None:
                if len(e.values) == target.size or e.rest:
                    same = [(str(i), target.element) for i in range(target.size)]
                    return self._positional(e, target, same, f"'{target}'")
                return None
            case List() if e.names is None:
                values = [self.coerce(v, target.element, "a list element") for v in e.values]
                return tree.Make(e.span, target, values)
            case _:
                return None

    def _positional(self, e: tree.Make, target: Type, fields: list[tuple[str, Type]], what: str) -> tree.Expr:
        count = len(e.values)
        if count > len(fields) or (count < len(fields) and not e.rest):
            return self.wrong(e.span, f"{count} values for {what}, which has {len(fields)} fields")
        values = [self.coerce(v, t, f"'{n}'") for v, (n, t) in zip(e.values, fields, strict=False)]
        values += [tree.Invalid(e.span, t) for _, t in fields[count:]]
        return self._made(tree.Make(e.span, target, values))

    def _named(self, e: tree.Make, target: Composite) -> tree.Expr:
        given: dict[str, tree.Expr] = {}
        for name, value in zip(e.names or [], e.values, strict=True):
            if name not in target.fields:
                hint = suggest(name, target.fields)
                return self.wrong(value.span, f"{target.kind} '{target}' has no field '{name}'", hint)
            given[name] = value
        missing = [n for n in target.fields if n not in given]
        if missing and not e.rest:
            return self.wrong(
                e.span,
                f"no value for field '{missing[0]}' of '{target}'",
                "end with ', ...' for default values",
            )
        values = [
            self.coerce(given[f.name], f.type, f"field '{f.name}'")
            if f.name in given
            else tree.Invalid(e.span, f.type)
            for f in target.fields.values()
        ]
        return self._made(tree.Make(e.span, target, values))

    def _made(self, made: tree.Make) -> tree.Expr:
        if any(isinstance(v.type, Unknown) for v in made.values):
            return tree.wrong(made.span)
        return made

    def convert(self, e: tree.Expr, target: Type) -> tree.Expr:
        """A cast known to be legal, folded where the operand is a constant."""
        if isinstance(e, tree.Constant) and isinstance(e.value, int):
            to = representation(target)
            value = constant.wrap(e.value, to) if isinstance(to, Bits) else e.value
            if isinstance(to, Bool):
                value &= 1
            return tree.Constant(e.span, target, value)
        return tree.Cast(e.span, target, e)

    def _castable(self, source: Type, target: Type) -> bool:
        """Legal explicit casts (8.11.1)."""
        if source == target:
            return True
        a, b = representation(source), representation(target)
        match a, b:
            case Bits(), Bits():
                if isinstance(source, New) and isinstance(target, New):
                    return a == b
                return a.signed == b.signed or a.width == b.width
            case Int(), Bits() | Int():
                return True
            case Bits(), Int():
                return True
            case Bits(width=1, signed=False), Bool():
                return True
            case Bool(), Bits(width=1, signed=False):
                return True
            case Bool() | Int(), Int() | Bool():
                return True
            case _:
                wrapped = isinstance(source, New) or isinstance(target, New)
                return wrapped and a == b

    def cast(self, e: tree.Expr, target: Type, span: Span) -> tree.Expr:
        """An explicit cast (8.11.1)."""
        if is_unknown(e.type) or isinstance(target, Unknown):
            return tree.wrong(span)
        if isinstance(e, tree.Mux) and isinstance(e.type, Int) and isinstance(target, Bits):
            then, other = self.cast(e.then, target, span), self.cast(e.other, target, span)
            return tree.Mux(span, target, e.condition, then, other)
        if isinstance(e, tree.Make | tree.Invalid | tree.Any):
            found = self._coerced(e, target)
            if found is not None:
                return found
        elif self._castable(e.type, target):
            if isinstance(target, Int) and not isinstance(e.type, Int) and not known_later(e):
                return self.wrong(span, "only compile-time values can be cast to 'int'", "cast to bit<…>")
            if isinstance(representation(target), Bool) and isinstance(e.type, Int):
                if not (isinstance(e, tree.Constant) and e.value in {0, 1}):
                    return self.wrong(span, "only 0 and 1 can be cast to bool")
                return tree.Constant(span, target, e.value)
            return self.convert(e, target) if e.type != target else e
        return self.wrong(span, f"'{e.type}' cannot be cast to '{target}'", self._cast_hint(e.type, target))

    @staticmethod
    def _cast_hint(source: Type, target: Type) -> str | None:
        a, b = representation(source), representation(target)
        if isinstance(a, Bits) and isinstance(b, Bits):
            return f"change one thing at a time: ({b})({Bits(b.width, a.signed)}) …"
        if isinstance(a, Bits) and isinstance(b, Bool):
            return "compare with 0 instead"
        return None

    def as_number(self, e: tree.Expr) -> tree.Expr:
        """A serialisable enum as its underlying value where an operation needs a number (8.11.2)."""
        return self.convert(e, e.type.underlying) if isinstance(e.type, SerEnum) else e

    def number(self, e: tree.Expr, what: str) -> int | None:
        """The value of a compile-time constant number, or None after a report."""
        if isinstance(e.type, Unknown):
            return None
        number = self.as_number(e)
        if (
            isinstance(number, tree.Constant)
            and isinstance(number.value, int)
            and isinstance(representation(number.type), Int | Bits)
        ):
            return number.value
        self.error(e.span, f"{what} must be a compile-time constant number")
        return None

    def condition(self, e: tree.Expr, what: str) -> tree.Expr:
        """A bool, or a report."""
        if isinstance(e.type, Unknown) or e.type == BOOL:
            return e
        if isinstance(e.type, Bits | Int):
            return self.wrong(e.span, f"{what} must be bool, not '{e.type}'", "compare with 0: … != 0")
        return self.wrong(e.span, f"{what} must be bool, not '{e.type}'")


def is_constant(e: tree.Expr) -> bool:
    """A value known in the check itself (a local compile-time constant, 18.1)."""
    match e:
        case tree.Constant():
            return True
        case tree.Make():
            return all(is_constant(v) for v in e.values)
        case tree.Invalid():
            return True
        case tree.Cast():
            return is_constant(e.operand)
        case _:
            return False


def known_later(e: tree.Expr) -> bool:
    """A compile-time value: constant, or built from constructor parameters (18.1)."""
    match e:
        case tree.CtorRef() | tree.Wrong() | tree.Construct() | tree.Invalid():
            return True
        case tree.InstanceRef():
            return isinstance(e.symbol, tree.Instance)
        case tree.Make():
            return all(known_later(v) for v in e.values)
        case tree.Cast() | tree.Unary():
            return known_later(e.operand)
        case tree.Binary():
            return known_later(e.left) and known_later(e.right)
        case tree.Mux():
            return known_later(e.condition) and known_later(e.then) and known_later(e.other)
        case tree.FieldRef():
            return known_later(e.base)
        case tree.Element():
            return known_later(e.base) and known_later(e.index)
        case tree.SliceRef():
            return known_later(e.base)
        case tree.MaskSet():
            return known_later(e.value) and known_later(e.mask)
        case tree.RangeSet():
            return known_later(e.low) and known_later(e.high)
        case tree.Any():
            return True
        case _:
            return is_constant(e)


def param_named(params: list[Param], name: str) -> Param | None:
    """The parameter of that name."""
    return next((p for p in params if p.name == name), None)


__all__ = [
    "INT", "Binding", "Conversions", "bind", "bind_block", "is_constant", "known_later", "param_named",
]  # fmt: skip
