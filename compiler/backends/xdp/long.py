"""Values wider than 128 bits: words in the scratch area, worked on by the functions of p4long.h.

The C text of such a value is the name of an array of u64, the least significant word first. Every operation
writes an array of its own. Where only what fits a C number can stand (keys, action data, indices, …)
`value` refuses them.
"""

from __future__ import annotations

from p4cats.compiler.backends.xdp.expressions import COMPARE, ExpressionEmitter
from p4cats.compiler.backends.xdp.storage import AnyPlace, FieldPlace, Place, read_bits, write_bits
from p4cats.compiler.backends.xdp.values import (
    WIDEST_BITS,
    check_width,
    converted,
    is_composite,
    is_long,
    is_signed,
    is_wide,
    mask,
    trimmed,
    unsigned,
    unsupported,
    width_of,
    word,
    words_of,
)
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Bits, Type

_PLAIN = {"&": "long_and", "|": "long_or", "^": "long_xor", "*": "long_mul"}


class LongEmitter(ExpressionEmitter):
    """Adds values wider than 128 bits to expressions."""

    # -- places -------------------------------------------------------------------------------

    def local(self, type_: Type, wanted: str) -> str:
        """A new scalar local; a long one lies in the scratch area."""
        return self.scratch.words(wanted, words_of(type_)) if is_long(type_) else super().local(type_, wanted)

    def held(self, code: str, type_: Type) -> str:
        """A local that keeps a value as it is now."""
        if not is_long(type_):
            return super().held(code, type_)
        made = self.local(type_, "t")
        self.set(Place(type_, made), code)
        return made

    def argument(self, e: nodes.Expr) -> AnyPlace:
        """A place for an `in` value."""
        return Place(e.type, self.held(self.words(e), e.type)) if is_long(e.type) else super().argument(e)

    def value_place(self, e: nodes.Expr) -> AnyPlace:
        """A place that holds the value of an expression that is no l-value."""
        return Place(e.type, self.words(e)) if is_long(e.type) else super().value_place(e)

    def reset(self, place: AnyPlace) -> None:
        """Make a place zero."""
        if isinstance(place, Place | FieldPlace) and is_long(place.type):
            self.set(place, self._constant(0, place.type))
        else:
            super().reset(place)

    def read(self, place: AnyPlace) -> str:
        """The value of a scalar place."""
        if isinstance(place, FieldPlace) and is_long(place.type):
            return self.taken(place.header.bytes, place.first, place.type)
        if isinstance(place, Place) and is_long(place.whole or place.type):
            if place.high < 0:
                return place.code
            return self._part(place.code, place.high, place.low, place.type)
        return super().read(place)

    def taken(self, base: str, first: int, type_: Type) -> str:
        """Bits of octets, as the pattern of a type."""
        width = width_of(type_)
        if not is_long(type_):
            return read_bits(base, first, width)
        made = self.local(type_, "taken")
        self.line("LONG_FROM(s);")
        for i in range(words_of(type_)):
            count = min(64, width - 64 * i)
            self.line(f"{made}[{i}] = {read_bits(base, first + width - 64 * i - count, count)};")
        return made

    def set(self, place: AnyPlace, code: str) -> None:
        """Assign a scalar."""
        if isinstance(place, FieldPlace) and is_long(place.type):
            width = width_of(place.type)
            self.line("LONG_FROM(s);")
            for i in range(words_of(place.type)):
                count = min(64, width - 64 * i)
                first = place.first + width - 64 * i - count
                for text in write_bits(place.header.bytes, first, count, f"{code}[{i}]"):
                    self.line(text)
            self.touch(place.header)
        elif isinstance(place, Place) and place.whole is not None and is_long(place.whole):
            pattern = self._widened_to(code, Bits(place.high - place.low + 1), place.whole)
            n = words_of(place.whole)
            moved = self.local(place.whole, "moved")
            self.line(f"long_shl({moved}, {pattern}, {n}, {place.low});")
            width = place.high - place.low + 1
            self.line(f"long_insert({place.code}, {moved}, {n}, {place.low}, {width});")
        elif isinstance(place, Place) and is_long(place.type):
            if place.code != code:
                n = words_of(place.type)
                self.line(f"long_copy({place.code}, {n}, {code}, {n}, 0);")
        else:
            super().set(place, code)

    def store(self, target: AnyPlace, value: nodes.Expr) -> None:
        """Assign any value."""
        if is_long(value.type) and not is_composite(value.type):
            self.set(target, self.words(value))
        else:
            super().store(target, value)

    # -- values that fit, made of long ones ---------------------------------------------------

    def value(self, e: nodes.Expr) -> str:
        """C text of a scalar expression that fits a C number."""
        match e:
            case nodes.SliceRef(base=nodes.Expr() as base) if is_long(base.type):
                check_width(e.type, e.span)
                return self.read(self.place(e))
            case nodes.Cast(operand=operand) if is_long(operand.type) and not is_long(e.type):
                part = Bits(width_of(e.type))
                return converted(self._part(self.words(operand), part.width - 1, 0, part), part, e.type)
            case nodes.Binary(op=op, left=left, right=right) if op in COMPARE and is_long(left.type):
                return self._compared(op, self.words(left), self.words(right), left.type)
            case _:
                return super().value(e)

    def _part(self, code: str, high: int, low: int, type_: Type) -> str:
        """Bits of a long value, in the C text of bit<W> of their number."""
        width = high - low + 1
        if width <= 64:
            return _bits(code, low, width)
        if width <= WIDEST_BITS:
            return f"W128({_bits(code, low + 64, width - 64)}, {_bits(code, low, 64)})"
        made = self.local(type_, "part")
        for i in range(words_of(type_)):
            self.line(f"{made}[{i}] = {_bits(code, low + 64 * i, min(64, width - 64 * i))};")
        return made

    def _compared(self, op: str, a: str, b: str, type_: Type) -> str:
        n = words_of(type_)
        if op in ("==", "!="):
            return f"((u64)(long_equal({a}, {b}, {n}) {op} 1))"
        if op in (">", "<="):
            a, b = b, a
        sign = word(1 << (width_of(type_) - 1) % 64) if is_signed(type_) else "0"
        return f"((u64)(long_less({a}, {b}, {n}, {sign}) == {int(op in ('<', '>'))}))"

    # -- long values --------------------------------------------------------------------------

    def words(self, e: nodes.Expr) -> str:
        """The array that holds the value of a long expression (a variable's own, where it is one)."""
        match e:
            case nodes.Const(value=value):
                return self._constant(value, e.type)
            case nodes.MakeInvalid():
                return self._constant(0, e.type)
            case nodes.VarRef() | nodes.FieldRef() | nodes.SliceRef():
                return self.read(self.place(e))
            case nodes.Unary(op=op, operand=operand):
                name = "long_not" if op == "~" else "long_negate"
                return self._made(f"{name}({{}}, {self.words(operand)}, {words_of(e.type)});", e.type)
            case nodes.Cast(operand=operand):
                code = self.words(operand) if is_long(operand.type) else self.value(operand)
                return self._widened_to(code, operand.type, e.type)
            case nodes.Mux(condition=condition, then=then, other=other):
                test, a, b = self.value(condition), self.words(then), self.words(other)
                made, n = self.local(e.type, "mux"), words_of(e.type)
                self.line(f"if ({test})")
                self.line(f"\tlong_copy({made}, {n}, {a}, {n}, 0);")
                self.line("else")
                self.line(f"\tlong_copy({made}, {n}, {b}, {n}, 0);")
                return made
            case nodes.Binary():
                return self._long_binary(e)
            case _:
                raise unsupported(e.span, f"expression {type(e).__name__} of type {e.type} in this place")

    def _constant(self, value: int, type_: Type) -> str:
        made = self.local(type_, "constant")
        for i in range(words_of(type_)):
            self.line(f"{made}[{i}] = {word((value & mask(width_of(type_))) >> 64 * i & mask(64))};")
        return made

    def _made(self, text: str, type_: Type) -> str:
        """The result of a call, `{}` standing for it, in the range of its type."""
        made = self.local(type_, "long")
        self.line(text.format(made))
        if width_of(type_) % 64:
            self.line(f"long_trim({made}, {words_of(type_)}, {width_of(type_)});")
        return made

    def _widened_to(self, code: str, source: Type, target: Type) -> str:
        """A value of any type as one of a long type."""
        n = words_of(target)
        if is_long(source):
            m = words_of(source)
            if width_of(source) >= width_of(target):
                return self._made(f"long_copy({{}}, {n}, {code}, {n}, 0);", target)
            if not is_signed(source):
                return self._made(f"long_copy({{}}, {n}, {code}, {m}, 0);", target)
            top = self.word_local("top")
            self.line(f"{top} = long_top({code}, {m}, {width_of(source)});")
            made = self.local(target, "long")
            self.line(f"long_copy({made}, {n}, {code}, {m}, (s64){top} >> 63);")
            self.line(f"{made}[{m - 1}] = {top};")
        else:
            made = self.local(target, "long")
            code = super().held(code, source)
            parts = [f"(u64){code}", f"(u64)({code} >> 64)"] if is_wide(source) else [f"(u64){code}"]
            for i, part in enumerate(parts):
                self.line(f"{made}[{i}] = {part};")
            above = f"(s64){made}[{len(parts) - 1}] >> 63" if is_signed(source) else "0"
            self.line(f"long_copy({made}, {n}, {made}, {len(parts)}, {above});")
        if width_of(target) % 64:
            self.line(f"long_trim({made}, {n}, {width_of(target)});")
        return made

    def _long_binary(self, e: nodes.Binary) -> str:
        op, type_, n = e.op, e.type, words_of(e.type)
        if op in ("<<", ">>"):
            return self._long_shift(e)
        if op == "++":
            return self._joined(e.left, e.right, type_)
        if op in ("/", "%"):
            raise unsupported(e.span, f"division of {type_}", f"up to {WIDEST_BITS} bits can be divided")
        a, b = self.words(e.left), self.words(e.right)
        match op:
            case "+":
                return self._made(f"long_add({{}}, {a}, {b}, {n}, 0);", type_)
            case "-":
                return self._made(f"long_sub({{}}, {a}, {b}, {n});", type_)
            case "|+|" | "|-|":
                return self._long_saturated(op[1], a, b, type_)
            case _:
                return self._made(f"{_PLAIN[op]}({{}}, {a}, {b}, {n});", type_)

    def _long_saturated(self, op: str, a: str, b: str, type_: Type) -> str:
        width, n = width_of(type_), words_of(type_)
        over, made = self.word_local("over"), self.local(type_, "sum")
        call = f"long_add({made}, {a}, {b}, {n}, 0)" if op == "+" else f"long_sub({made}, {a}, {b}, {n})"
        self.line(f"{over} = {call};")
        if not is_signed(type_):
            if op == "+" and width % 64:
                self.line(f"{over} = {made}[{n - 1}] >> {width % 64};")
            self.line(f"if ({over})")
            self.line(f"\tlong_copy({made}, {n}, {made}, 0, {'0' if op == '-' else '~0ULL'});")
        else:
            # It overflows where the result's sign is not that of `a`, though it had to be.
            top = f"{(width - 1) % 64} & 1"
            may = f"({a}[{n - 1}] ^ {b}[{n - 1}])"
            may = f"~{may}" if op == "+" else may
            self.line(f"{over} = ({may} & ({a}[{n - 1}] ^ {made}[{n - 1}])) >> {top};")
            self.line(f"if ({over}) {{")
            # The greatest where `a` is not negative: ones below the sign; else the sign alone.
            self.line(f"\tlong_copy({made}, {n}, {made}, 0, ({a}[{n - 1}] >> {top}) - 1);")
            self.line(f"\t{made}[{n - 1}] ^= {word(1 << (width - 1) % 64)};")
            self.line("}")
        if width % 64:
            self.line(f"long_trim({made}, {n}, {width});")
        return made

    def _long_shift(self, e: nodes.Binary) -> str:
        type_, n, width = e.type, words_of(e.type), width_of(e.type)
        signed = is_signed(type_) and e.op == ">>"
        code = self.words(e.left)
        made, fill = self.local(type_, "shifted"), "0ULL"
        self.line(f"long_copy({made}, {n}, {code}, {n}, 0);")
        if signed:
            self.line(f"{made}[{n - 1}] = long_top({made}, {n}, {width});")
            fill = self.word_local("fill")
            self.line(f"{fill} = (s64){made}[{n - 1}] >> 63;")
        more = "" if e.op == "<<" else f", {fill}"
        name = "long_shl" if e.op == "<<" else "long_shr"
        if isinstance(e.right, nodes.Const):
            self.line(f"{name}({made}, {made}, {n}, {min(e.right.value, 64 * n)}{more});")
        else:
            count = self.word_local("count")
            if is_long(e.right.type):
                most = self._constant(width, e.right.type)
                by = self.words(e.right)
                less = f"long_less({by}, {most}, {words_of(e.right.type)}, 0)"
                self.line(f"{count} = {less} ? {by}[0] : {width};")
            else:
                by = super().held(self.value(e.right), e.right.type)
                self.line(f"{count} = {by} < {width} ? (u64){by} : {width};")
            self.line(f"{name}_by({made}, {n}, {count}{more});")
        if width % 64:
            self.line(f"long_trim({made}, {n}, {width});")
        return made

    def _joined(self, left: nodes.Expr, right: nodes.Expr, type_: Type) -> str:
        """left ++ right."""
        n = words_of(type_)
        parts = []
        for e in (left, right):
            pattern = Bits(width_of(e.type))
            code = self.words(e) if is_long(e.type) else unsigned(self.value(e), e.type)
            parts.append(self._widened_to(code, pattern, Bits(width_of(type_))))
        high, low = parts
        self.line(f"long_shl({high}, {high}, {n}, {width_of(right.type)});")
        return self._made(f"long_or({{}}, {high}, {low}, {n});", type_)


def _bits(code: str, low: int, width: int) -> str:
    """At most 64 bits of an array of words, as a u64."""
    at, shift = divmod(low, 64)
    text = f"({code}[{at}] >> {shift})" if shift else f"{code}[{at}]"
    if shift + width > 64:
        text = f"({text} | {code}[{at + 1}] << {64 - shift})"
    return trimmed(text, Bits(width))


__all__ = ["LongEmitter"]
