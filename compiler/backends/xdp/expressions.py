"""Expressions: IR to C text. Every value is in the range of its type; see values."""

from __future__ import annotations

from p4cats.compiler.backends.model.usage import walk
from p4cats.compiler.backends.xdp.pieces import Pieces
from p4cats.compiler.backends.xdp.storage import (
    AnyPlace,
    FieldPlace,
    HeaderPlace,
    Leaf,
    Place,
    Scratch,
    StackPlace,
    StructPlace,
    field_read,
    header_fields,
    read_bits,
    with_index,
    write_bits,
)
from p4cats.compiler.backends.xdp.values import (
    Names,
    apart,
    c_type,
    check_width,
    converted,
    is_composite,
    is_signed,
    is_wide,
    mask,
    number,
    position,
    trimmed,
    unsigned,
    unsupported,
    width_of,
    word,
)
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Bits, Bool, Composite, Header, Stack, Struct, Type, Union, Varbit
from p4cats.compiler.source import Span

COMPARE = ("==", "!=", "<", "<=", ">", ">=")


class ExpressionEmitter:
    """Turns expressions into C text and knows where variables live."""

    def __init__(self, names: Names, scratch: Scratch, pieces: Pieces) -> None:
        self.names = names
        self.scratch = scratch
        self.pieces = pieces
        self.places: dict[nodes.Variable, AnyPlace] = {}
        self.lines: list[str] = []
        self.locals: list[str] = []
        """Declarations at the head of the function."""
        self.depth = 1
        self.clocks: set[int] = set()
        """Places (by id) that stand for the time and are computed when first read."""
        self._pending = ""
        self._shown = ""

    # -- writing ------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        """Add a statement, with the P4 position where it has changed."""
        if self._pending != self._shown:
            self._shown = self._pending
            text = f"{text} /* {self._pending} */"
        self.lines.append("\t" * self.depth + text)

    def at(self, span: Span) -> None:
        """The statements that follow come from this place in the program."""
        self._pending = position(span) or self._pending

    def label(self, name: str) -> None:
        """Define a label (a statement may follow, or a declaration)."""
        self.lines.append(f"{name}: ;")

    def local(self, type_: Type, wanted: str) -> str:
        """A new scalar local."""
        name = self.names.fresh(f"x_{wanted}")
        self.locals.append(f"{c_type(type_)} {name};")
        return name

    def word_local(self, wanted: str) -> str:
        """A new u64 local."""
        return self.local(Bits(64), wanted)

    # -- places -------------------------------------------------------------------------------

    def place(self, e: nodes.Expr) -> AnyPlace:
        """Where an l-value (or the value of a composite) lives."""
        match e:
            case nodes.VarRef(variable=variable):
                return self.places[variable]
            case nodes.FieldRef(base=base, field=name):
                return self.member(self.place(base), name)
            case nodes.SliceRef(base=base, high=high, low=low):
                return self._slice_place(e.type, self.place(base), high, low)
            case nodes.IndexRef(base=base, index=index):
                return self._element(self.place(base), index)
            case nodes.StackNext(base=base):
                stack = self.place(base)
                assert isinstance(stack, StackPlace)
                return self._outside(stack, stack.next)
            case nodes.StackLast(base=base):
                stack = self.place(base)
                assert isinstance(stack, StackPlace)
                return self._outside(stack, f"({stack.next} - 1)")
            case _:
                return self.value_place(e)

    def member(self, base: AnyPlace, name: str) -> AnyPlace:
        """The place of a field."""
        if isinstance(base, HeaderPlace):
            return header_fields(base, base.type)[name]
        assert isinstance(base, StructPlace)
        return base.fields[name]

    def _slice_place(self, type_: Type, base: AnyPlace, high: int, low: int) -> AnyPlace:
        if isinstance(base, FieldPlace):
            return FieldPlace(type_, base.header, base.first + width_of(base.type) - 1 - high)
        assert isinstance(base, Place)
        offset = base.low if base.high >= 0 else 0
        code = "now_us(s)" if id(base) in self.clocks else base.code
        return Place(type_, code, base.whole or base.type, high + offset, low + offset)

    def _element(self, stack: AnyPlace, index: nodes.Expr) -> AnyPlace:
        assert isinstance(stack, StackPlace)
        if isinstance(index, nodes.Const) and 0 <= index.value < stack.size:
            return stack.parts[index.value] if stack.parts else with_index(stack.element, str(index.value))
        if stack.parts:
            raise unsupported(index.span, "a constant list indexed by a variable", "index it by a constant")
        return self._outside(stack, self.value(index))

    def _outside(self, stack: StackPlace, index: str) -> AnyPlace:
        """An element by a run-time index; outside the stack an invalid one that nobody else sees."""
        name = self.names.fresh("x_i")
        self.locals.append(f"u32 {name};")
        self.pieces.bounds[name] = str(stack.size)
        self.line(f"{name} = {index} < {stack.size} ? (u32){index} : {stack.size};")
        self.line(f"CHECKED({name});")
        self.line(f"if ({name} >= {stack.size}) {{")
        self.line(f"\t{name} = {stack.size};")
        for header in self.headers_of(with_index(stack.element, str(stack.size))):
            self.line(f"\t{header.valid} = 0;")
        self.line("}")
        self.line(f"CHECKED({name});")
        return with_index(stack.element, name)

    def headers_of(self, place: AnyPlace) -> list[HeaderPlace]:
        """All headers below a place."""
        match place:
            case HeaderPlace():
                return [place]
            case StructPlace():
                return [h for p in place.fields.values() for h in self.headers_of(p)]
            case StackPlace():
                return [h for i in range(place.size) for h in self.headers_of(self.stack_item(place, i))]
            case _:
                return []

    def stack_item(self, stack: StackPlace, index: int) -> AnyPlace:
        """Element by number."""
        return stack.parts[index] if stack.parts else with_index(stack.element, str(index))

    def value_place(self, e: nodes.Expr) -> AnyPlace:
        """A place that holds the value of an expression that is no l-value."""
        if not is_composite(e.type):
            return Place(e.type, self.value(e))
        match e:
            case nodes.Make(values=values, type=Struct() as type_):
                parts = {f.name: self.argument(v) for f, v in zip(type_.fields, values, strict=True)}
                return StructPlace(type_, parts)
            case nodes.Make(values=values, type=Stack(size=size) as type_):
                return StackPlace(type_, Place(Bits(8), ""), "", size, [self.place(v) for v in values])
        made = self.scratch.place(e.type, "made")
        self.store(made, e)
        return made

    def argument(self, e: nodes.Expr) -> AnyPlace:
        """A place for an `in` value."""
        return self.place(e) if is_composite(e.type) else Place(e.type, self.held(self.value(e), e.type))

    def held(self, code: str, type_: Type) -> str:
        """A local that keeps a value as it is now."""
        if code.isidentifier() or code[:1].isdigit() or isinstance(type_, Varbit):
            return code
        name = self.local(type_, "t")
        self.line(f"{name} = {code};")
        return name

    # -- reading ------------------------------------------------------------------------------

    def read(self, place: AnyPlace) -> str:
        """The value of a scalar place."""
        if isinstance(place, FieldPlace):
            return field_read(place)
        assert isinstance(place, Place)
        if id(place) in self.clocks:
            return "now_us(s)"
        if place.high < 0:
            return place.code if place.code[:1] != "s" else self._widened(place)
        assert place.whole is not None
        return self._cut(place.code, place.whole, place.high, place.low)

    def _widened(self, place: Place) -> str:
        """A member narrower than a word, as a word."""
        return f"(({c_type(place.type)}){place.code})" if place.code.startswith("s->") else place.code

    def _cut(self, code: str, whole: Type, high: int, low: int) -> str:
        code = unsigned(code, whole)
        width = high - low + 1
        if is_wide(whole):
            shifted = apart(f"(u128){code} >> {low}", Bits(128))
            if width > 64:
                return trimmed(shifted, Bits(width))
            return (
                trimmed(f"((u64){shifted})", Bits(width))
                if low + width < 128 or width < 64
                else f"((u64){shifted})"
            )
        shifted = f"((u64){code} >> {low})" if low else f"((u64){code})"
        return shifted if high == width_of(whole) - 1 else trimmed(shifted, Bits(width))

    # -- storing ------------------------------------------------------------------------------

    def touch(self, header: HeaderPlace) -> None:
        """The header's octets are no longer those in the packet."""
        if header.at:
            self.line(f"{header.at} = NOWHERE;")

    def set(self, place: AnyPlace, code: str) -> None:
        """Assign a scalar."""
        if isinstance(place, FieldPlace):
            assert not isinstance(place.type, Varbit), "varbits are copied with their header"
            width = width_of(place.type)
            if not code.isidentifier() and not code.endswith("ULL"):
                name = self.local(place.type, "w")
                self.line(f"{name} = {code};")
                code = name
            for text in write_bits(place.header.bytes, place.first, width, unsigned(code, place.type)):
                self.line(text)
            self.touch(place.header)
            return
        assert isinstance(place, Place)
        if place.high < 0:
            if place.code != code:
                self.line(f"{place.code} = {code};")
            return
        whole = place.whole
        assert whole is not None
        width = width_of(whole)
        bits = mask(width)
        hole = bits ^ (mask(place.high - place.low + 1) << place.low)
        pattern = Bits(width)
        old = unsigned(place.code, whole)
        text = f"(({old} & {number(hole, pattern)}) | ({c_type(pattern)})({code}) << {place.low})"
        self.line(f"{place.code} = {trimmed(text, whole) if is_signed(whole) else text};")

    def store(self, target: AnyPlace, value: nodes.Expr) -> None:
        """Assign any value."""
        if isinstance(target, FieldPlace) and isinstance(target.type, Varbit):
            raise unsupported(value.span, "assignment to a varbit field", "copy the whole header")
        if not is_composite(value.type):
            self.set(target, self.value(value))
            return
        match value:
            case nodes.MakeInvalid():
                self.reset(target)
            case nodes.Make(values=values, type=Header() as type_):
                assert isinstance(target, HeaderPlace)
                held = [self.argument(v) for v in values]
                for f, part in zip(type_.fields, held, strict=True):
                    self.copy(self.member(target, f.name), part)
                self.line(f"{target.valid} = 1;")
                self.touch(target)
            case nodes.Make(values=values, type=Struct() as type_):
                parts = [self._settled_copy(v) for v in values]
                for f, part in zip(type_.fields, parts, strict=True):
                    self.copy(self.member(target, f.name), part)
            case nodes.Make(values=values, type=Stack()):
                assert isinstance(target, StackPlace)
                parts = [self._settled_copy(v) for v in values]
                for index, part in enumerate(parts):
                    self.copy(self.stack_item(target, index), part)
                self.line(f"{target.next} = {len(values)};")
            case nodes.Mux(condition=condition, then=then, other=other):
                self.line(f"if ({self.value(condition)}) {{")
                self.depth += 1
                self.store(target, then)
                self.depth -= 1
                self.line("} else {")
                self.depth += 1
                self.store(target, other)
                self.depth -= 1
                self.line("}")
            case _:
                self.copy(target, self.place(value))

    def _settled_copy(self, e: nodes.Expr) -> AnyPlace:
        """A source that later assignments of the same list cannot change."""
        if not is_composite(e.type):
            return self.argument(e)
        made = self.scratch.place(e.type, "kept")
        self.store(made, e)
        return made

    def copy(self, target: AnyPlace, source: AnyPlace) -> None:
        """Copy from place to place."""
        match target, source:
            case HeaderPlace(), HeaderPlace():
                size = (self.storage_of(target) + 7) // 8 * 8
                self.line(f"{target.valid} = {source.valid};")
                self.line(f"copy({target.bytes}, {source.bytes}, {size});")
                if target.varbits:
                    self.line(f"{target.varbits} = {source.varbits};")
                self.touch(target)
            case StructPlace(), StructPlace():
                for name, part in target.fields.items():
                    self.copy(part, source.fields[name])
            case StackPlace(), StackPlace():
                for index in range(target.size):
                    self.copy(self.stack_item(target, index), self.stack_item(source, index))
                self.line(f"{target.next} = {source.next or source.size};")
            case _:
                self.set(target, self.held(self.read(source), _scalar_type(source)))

    def storage_of(self, header: HeaderPlace) -> int:
        """Octets of a header's content."""
        from p4cats.compiler.backends.xdp.storage import fixed_bits, varbit_field  # noqa: PLC0415

        varbit = varbit_field(header.type)
        return (fixed_bits(header.type) + (varbit[1].max_width if varbit else 0) + 7) // 8

    def reset(self, place: AnyPlace) -> None:
        """Make a place zero (headers invalid)."""
        match place:
            case HeaderPlace():
                self.line(f"{place.valid} = 0;")
            case StructPlace():
                for part in place.fields.values():
                    self.reset(part)
            case StackPlace():
                for index in range(place.size):
                    self.reset(self.stack_item(place, index))
                self.line(f"{place.next} = 0;")
            case _:
                self.set(place, number(0, _scalar_type(place)))

    # -- values -------------------------------------------------------------------------------

    def value(self, e: nodes.Expr) -> str:
        """C text of a scalar expression."""
        check_width(e.type, e.span)
        match e:
            case nodes.Const(value=value):
                return number(value, e.type)
            case nodes.VarRef() | nodes.FieldRef():
                return self.read(self.place(e))
            case nodes.SliceRef(base=base, high=high, low=low):
                if isinstance(base, nodes.VarRef | nodes.FieldRef | nodes.SliceRef):
                    return self.read(self.place(e))
                return self._cut(self.value(base), base.type, high, low)
            case nodes.StackLastIndex(base=base):
                stack = self.place(base)
                assert isinstance(stack, StackPlace)
                return f"((u64)(u32)({stack.next} - 1))"
            case nodes.Unary(op=op, operand=operand):
                return self._unary(op, operand)
            case nodes.Binary():
                return self._binary(e)
            case nodes.Cast(operand=operand):
                return self._cast(operand, e)
            case nodes.Mux(condition=condition, then=then, other=other):
                return f"({self.value(condition)} ? {self.value(then)} : {self.value(other)})"
            case nodes.IsValid(operand=operand):
                return self._validity(operand)
            case nodes.PacketLength():
                return "((u64)packet_bytes(ctx, base))"
            case nodes.MakeInvalid():
                return number(0, e.type)
            case _:
                raise unsupported(e.span, f"expression {type(e).__name__} of type {e.type} in this place")

    def _validity(self, operand: nodes.Expr) -> str:
        place = self.place(operand)
        if isinstance(operand.type, Union):
            return "(" + " || ".join(h.valid for h in self.headers_of(place)) + ")"
        assert isinstance(place, HeaderPlace)
        return f"((u64){place.valid})"

    def _unary(self, op: str, operand: nodes.Expr) -> str:
        code = self.value(operand)
        if op == "!":
            return f"((u64)!{code})"
        return trimmed(apart(f"{op}{code}", operand.type), operand.type)

    def _cast(self, operand: nodes.Expr, e: nodes.Cast) -> str:
        source = operand.type
        code = self.value(operand)
        if isinstance(e.type, Bool) or not isinstance(e.type, Bits):
            return f"((u64){unsigned(code, source)})"
        if not isinstance(source, Bits):
            source = Bits(width_of(source))
        return converted(code, source, e.type)

    def _binary(self, e: nodes.Binary) -> str:
        op, left, right = e.op, e.left, e.right
        if op in ("&&", "||"):
            # Elements of stacks are looked up before the expression: evaluation is pure, so it may be early.
            return f"((u64)({self.value(left)} {op} {self.value(right)}))"
        a, b = self.value(left), self.value(right)
        if op in COMPARE:
            return f"((u64)({a} {op} {b}))"
        if op in ("&", "|", "^"):
            return f"({a} {op} {b})"
        if op == "++":
            return self._concatenate(a, b, left.type, right.type, e.type)
        if op in ("<<", ">>"):
            return self._shift(op, a, b, right, e.type)
        wide = is_wide(e.type)
        if op in ("/", "%"):
            if wide:
                return f"divide128({a}, {b}, {int(op == '%')})"
            if isinstance(right, nodes.Const) and right.value:
                return f"({a} {op} {b})"
            return f"{'div64' if op == '/' else 'mod64'}({a}, {b})"
        if op in ("|+|", "|-|"):
            return self._saturate(op[1], a, b, e.type)
        if op == "*" and wide:
            return trimmed(f"mul128({a}, {b})", e.type)
        return trimmed(apart(f"{a} {op} {b}", e.type), e.type)

    def _saturate(self, op: str, a: str, b: str, type_: Type) -> str:
        width = width_of(type_)
        x, y, r = self.held(a, type_), self.held(b, type_), self.local(type_, "sum")
        if not is_signed(type_):
            top = number(mask(width), type_)
            self.line(f"{r} = {apart(f'{x} {op} {y}', type_)};")
            if op == "-":
                self.line(f"if ({x} < {y})")
                self.line(f"\t{r} = 0;")
            else:
                self.line(f"if ({r} < {x} || {r} > {top})")
                self.line(f"\t{r} = {top};")
            return r
        low, high = number(-(1 << (width - 1)), type_), number(mask(width - 1), type_)
        self.line(f"{r} = {apart(f'{x} {op} {y}', type_)};")
        full = width in (64, 128)
        if full:
            other = f"(({y} < 0) == ({x} < 0))" if op == "+" else f"(({y} < 0) != ({x} < 0))"
            self.line(f"if ({other} && ({r} < 0) != ({x} < 0))")
            self.line(f"\t{r} = {x} < 0 ? {low} : {high};")
        else:
            self.line(f"if ({r} > {high})")
            self.line(f"\t{r} = {high};")
            self.line(f"if ({r} < {low})")
            self.line(f"\t{r} = {low};")
        return r

    def _shift(self, op: str, a: str, b: str, right: nodes.Expr, type_: Type) -> str:
        wide, signed = is_wide(type_), is_signed(type_)
        if isinstance(right, nodes.Const):
            count = right.value
            if count >= width_of(type_):
                if op == "<<" or not signed:
                    return number(0, type_)
                count = width_of(type_) - 1
            shifted = apart(f"{a} {op} {count}", type_)
            return trimmed(shifted, type_) if op == "<<" else shifted
        if is_wide(right.type):
            b = f"({b} > 255 ? 255ULL : (u64){b})"
        bits = "128" if wide else "64"
        if op == "<<":
            pattern = f"(({'u128' if wide else 'u64'}){a})"
            return trimmed(f"shl{bits}({pattern}, {b})", type_)
        return f"{'sar' if signed else 'shr'}{bits}({a}, {b})"

    def _concatenate(self, a: str, b: str, left: Type, right: Type, type_: Type) -> str:
        width = width_of(right)
        high, low = unsigned(a, left), unsigned(b, right)
        if is_wide(type_):
            joined = (
                apart(f"(u128){high} << {width} | (u128){low}", Bits(128))
                if width < 128
                else f"((u128){low})"
            )
        else:
            joined = f"({high} << {width} | {low})" if width < 64 else low
        if is_signed(type_):
            return trimmed(f"({c_type(type_)}){joined}", type_)
        return joined

    # -- for hashes and events ----------------------------------------------------------------

    def flat(self, place: AnyPlace) -> list[Leaf]:
        """The scalars of a place in order."""
        match place:
            case HeaderPlace():
                inner = StructPlace(place.type, header_fields(place, place.type))
                return self.flat(inner)
            case StructPlace():
                return [x for p in place.fields.values() for x in self.flat(p)]
            case StackPlace():
                return [x for i in range(place.size) for x in self.flat(self.stack_item(place, i))]
            case _:
                return [place]


def _scalar_type(place: AnyPlace) -> Type:
    assert isinstance(place, Place | FieldPlace)
    return place.type


def mentions(node: object, kind: type[nodes.Expr]) -> bool:
    """True if an expression of this kind stands below `node`."""
    return any(isinstance(n, kind) for n in walk(node, follow=False))


__all__ = ["Composite", "ExpressionEmitter", "mentions", "read_bits", "word"]
