"""Expressions: IR to Python text.

Values: bit<W> and int<W> are Python ints in the type's range, bool is an int or a Python bool, error
and enum are indices, varbit is (width, value). Masks stand only where an operation can leave the range.
"""

from __future__ import annotations

from collections.abc import Callable

from p4cats.compiler.backends.model.composites import Composites, is_composite
from p4cats.compiler.backends.model.names import (
    Names,
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
from p4cats.compiler.ir.types import Bits, Bool, Composite, Header, Stack, Struct, Type, Union
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
    """Turns expressions into text; knows where variables live.

    Statement emitters build on it. `lines` are the function's statements so far, `prologue` those at its
    head, where references to headers inside the parameters are kept in local names.
    """

    def __init__(self, composites: Composites, names: Names) -> None:
        self.composites = composites
        self.names = names
        self.places: dict[nodes.Variable, Place] = {}
        self.lines: list[str] = []
        self.prologue: list[str] = []
        self.depth = 1
        self._stable: dict[str, str] = {}
        """Paths of composites that never change identity, and the local name that holds each."""
        self._held_names: set[str] = set()
        self._pending = ""
        self._shown = ""

    # -- writing ------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        """Add a statement at the current depth, with the P4 position where it has changed."""
        if self._pending != self._shown:
            self._shown = self._pending
            text = f"{text}  # {self._pending}"
        if len(self.lines) > _MOST_LINES:
            raise unsupported(BUILTIN, f"{self._pending}: calls within calls make the program too large")
        self.lines.append("    " * self.depth + text)

    def at(self, span: Span) -> None:
        """The statements that follow come from this place in the program."""
        self._pending = position_comment(span) or self._pending

    def temporary(self, wanted: str) -> str:
        """A new local name."""
        return self.names.fresh(wanted)

    def root(self, name: str) -> None:
        """Declare that the objects below the parameter `name` keep their identity."""
        self._stable[name] = name
        self._held_names.add(name)

    # -- places -------------------------------------------------------------------------------

    def place(self, e: nodes.Expr) -> Place:
        """Where an l-value (or any stored value) lives."""
        match e:
            case nodes.VarRef(variable=variable):
                return self.places[variable]
            case nodes.FieldRef(base=base, field=name):
                return self.member(self.place(base), name, e.type)
            case nodes.SliceRef(base=base, high=high, low=low):
                inner = self.place(base)
                offset = inner.low if inner.high >= 0 else 0
                whole = inner.whole if inner.high >= 0 else inner.type
                return Place(e.type, inner.code, inner.owner, None, high + offset, low + offset, whole)
            case nodes.IndexRef(base=base, index=index):
                stack = self.place(base)
                if stack.parts:
                    return Place(e.type, f"element({self._parts(stack)}, {self.bare(index)})")
                assert isinstance(stack.type, Stack)
                if isinstance(index, nodes.Const) and 0 <= index.value < stack.type.size:
                    return Place(e.type, f"{stack.code}.items[{index.value}]")
                return Place(e.type, f"{stack.code}.at({self.bare(index)})")
            case nodes.StackNext(base=base):
                stack = self.place(base)
                return Place(e.type, f"{stack.code}.at({stack.code}.next)")
            case nodes.StackLast(base=base):
                stack = self.place(base)
                return Place(e.type, f"{stack.code}.at({stack.code}.next - 1)")
            case _:
                return self.value_place(e)

    def member(self, base: Place, name: str, type_: Type) -> Place:
        """The place of a field."""
        if base.fields is not None:
            return base.fields[name]
        code = f"{base.code}.{attribute(name)}"
        if is_composite(type_):
            return Place(type_, self._held(code))
        owner = base.code if self.composites.keeps_raw(base.type) else None
        return Place(type_, code, owner)

    def _held(self, code: str) -> str:
        """A local name for a composite below a parameter, taken at the head of the function."""
        base, _, last = code.rpartition(".")
        if base not in self._held_names:
            return code
        if code not in self._stable:
            name = self.names.fresh(f"{base}_{last}")
            self._stable[code] = name
            self._held_names.add(name)
            self.prologue.append(f"{name} = {code}")
        return self._stable[code]

    def value_place(self, e: nodes.Expr) -> Place:
        """A place that holds the value of a composite expression that is no l-value."""
        match e:
            case nodes.Make(values=values, type=Struct() as type_):
                parts = {f.name: self.argument(v) for f, v in zip(type_.fields, values, strict=True)}
                return Place(type_, "", fields=parts)
            case nodes.Make(values=values, type=Stack()):
                return Place(e.type, "", parts=[self.place(v) for v in values])
            case nodes.Make() | nodes.MakeInvalid() if is_composite(e.type):
                name = self.temporary("made")
                self.line(f"{name} = {self.composites.new(e.type)}")
                made = Place(e.type, name)
                if isinstance(e, nodes.Make):
                    self.store(made, e)
                return made
            case nodes.Mux(condition=condition, then=then, other=other) if is_composite(e.type):
                first, second = self.object(then), self.object(other)
                return Place(e.type, f"({first} if {self.atom(condition)} else {second})")
            case _:
                return Place(e.type, self.atom(e))

    def argument(self, e: nodes.Expr) -> Place:
        """A place for an `in` value: the value's own place where it has one."""
        return self.place(e) if is_composite(e.type) else Place(e.type, self.bare(e))

    def object(self, e: nodes.Expr) -> str:
        """A reference to a composite value; a local struct is put together first."""
        place = self.place(e)
        if place.fields is None and not place.parts:
            return place.code
        name = self.temporary("made")
        self.line(f"{name} = {self.composites.new(e.type)}")
        self.copy(Place(e.type, name), place)
        return name

    def _parts(self, place: Place) -> str:
        return "(" + "".join(f"{self._as_object(p)}, " for p in place.parts) + ")"

    def _as_object(self, place: Place) -> str:
        if place.fields is None:
            return place.code
        name = self.temporary("made")
        self.line(f"{name} = {self.composites.new(place.type)}")
        self.copy(Place(place.type, name), place)
        return name

    # -- storing ------------------------------------------------------------------------------

    def set(self, place: Place, code: str) -> None:
        """Assign scalar text to a place."""
        if place.high < 0:
            if place.code != code:
                self.line(f"{place.code} = {code}")
        else:
            self.line(f"{place.code} = {self._patched(place, code)}")
        if place.owner:
            self.line(f"{place.owner}.raw = None")

    def _patched(self, place: Place, code: str) -> str:
        assert place.whole is not None
        width = bits_of(place.whole)
        hole = mask(width) ^ (mask(place.high - place.low + 1) << place.low)
        value = f"{atom(code)} << {place.low}" if place.low else atom(code)
        old = f"{place.code} & {hex(hole)}"
        text = f"{old} | {value}" if hole else value
        return self.wrap(f"({text})", place.whole) if is_signed(place.whole) else text

    def store(self, target: Place, value: nodes.Expr) -> None:
        """Assign any value; composites are copied into place."""
        if not is_composite(target.type):
            self.set(target, self.bare(value))
            return
        match value:
            case nodes.MakeInvalid():
                self.reset(target)
            case nodes.Make(values=values, type=Composite() as type_) if not isinstance(type_, Union):
                self._store_fields(target, type_, values)
            case nodes.Make(values=values, type=Stack(element=element)):
                sources = [self._safe_source(v) for v in values]
                for number_, source in enumerate(sources):
                    self.copy(Place(element, f"{target.code}.items[{number_}]"), source)
                self.line(f"{target.code}.next = {len(values)}")
            case nodes.Mux(condition=condition, then=then, other=other):
                self.line(f"if {self.bare(condition)}:")
                self._nested(lambda: self.store(target, then))
                self.line("else:")
                self._nested(lambda: self.store(target, other))
            case _:
                self.copy(target, self.place(value))

    def _nested(self, emit: Callable[[], None]) -> None:
        """Emit one level deeper; `pass` where nothing came."""
        self.depth += 1
        before = len(self.lines)
        emit()
        if len(self.lines) == before:
            self.line("pass")
        self.depth -= 1

    def _safe_source(self, value: nodes.Expr) -> Place:
        """A composite source that a later copy cannot overwrite."""
        if not isinstance(value.type, Composite) or isinstance(value, nodes.Make | nodes.MakeInvalid):
            return self.place(value)
        if isinstance(value, nodes.VarRef) and self.places[value.variable].fields is None:
            return self.place(value)
        name = self.temporary("kept")
        self.line(f"{name} = {self.composites.duplicate(value.type)}({self.object(value)})")
        return Place(value.type, name)

    def _store_fields(self, target: Place, type_: Composite, values: list[nodes.Expr]) -> None:
        """Assign a list of values field by field; all are evaluated before the first is assigned."""
        scalars: list[tuple[Place, str]] = []
        copies: list[tuple[Place, Place]] = []
        nested: list[tuple[Place, nodes.Expr]] = []
        for field, value in zip(type_.fields, values, strict=True):
            place = self.member(target, field.name, field.type)
            if not is_composite(field.type):
                scalars.append((place, self.bare(value)))
            elif isinstance(value, nodes.Make | nodes.MakeInvalid):
                nested.append((place, value))
            else:
                copies.append((place, self._safe_source(value)))
        if nested and (len(values) > 1):
            # A nested list may read what the others overwrite: build it apart.
            for place, value in nested:
                copies.append((place, Place(value.type, self._built(value))))
            nested = []
        if scalars:
            left = ", ".join(place.code for place, _ in scalars)
            if len(scalars) == 1 or all(code.isalnum() for _, code in scalars):
                for place, code in scalars:
                    self.line(f"{place.code} = {code}")
            else:
                self.line(f"{left} = {', '.join(code for _, code in scalars)}")
        for place, source in copies:
            self.copy(place, source)
        for place, value in nested:
            self.store(place, value)
        if isinstance(type_, Header):
            self.line(f"{target.code}.raw = None")
            self.line(f"{target.code}.valid = True")

    def _built(self, value: nodes.Expr) -> str:
        name = self.temporary("made")
        self.line(f"{name} = {self.composites.new(value.type)}")
        self.store(Place(value.type, name), value)
        return name

    def copy(self, target: Place, source: Place) -> None:
        """Copy a composite (or a scalar) from place to place."""
        type_ = target.type
        if not is_composite(type_):
            self.set(target, self.read(source))
        elif target.fields is None and source.fields is None and not source.parts:
            for text in self.composites.copy(type_, target.code, source.code):
                self.line(text)
        elif source.parts:
            assert isinstance(type_, Stack)
            for index, part in enumerate(source.parts):
                self.copy(Place(type_.element, f"{target.code}.items[{index}]"), part)
            self.line(f"{target.code}.next = {len(source.parts)}")
        else:
            assert isinstance(type_, Composite)
            for field in type_.fields:
                self.copy(
                    self.member(target, field.name, field.type), self.member(source, field.name, field.type)
                )

    def reset(self, place: Place) -> None:
        """Make a place zero."""
        if place.fields is not None:
            for part in place.fields.values():
                self.reset(part)
        elif is_composite(place.type):
            for text in self.composites.reset(place.type, place.code):
                self.line(text)
        else:
            self.set(place, zero(place.type))

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
