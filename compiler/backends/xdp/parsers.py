"""Parsers: states are labels, transitions are gotos; and deparsers.

`pos` is the position in octets from the start of the data (a prefix from user space included), always
masked so that the verifier can bound it. A parser error is stored and ends the parse where it stands; ingress
sees the packet then, as in simple_switch.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from p4cats.compiler.backends.model.usage import walk
from p4cats.compiler.backends.xdp.storage import (
    AnyPlace,
    FieldPlace,
    HeaderPlace,
    Place,
    StackPlace,
    field_read,
    fixed_bits,
    varbit_field,
)
from p4cats.compiler.backends.xdp.tables import TableEmitter
from p4cats.compiler.backends.xdp.values import (
    is_composite,
    is_signed,
    is_wide,
    mask,
    number,
    trimmed,
    unsigned,
    unsupported,
    width_of,
)
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Bits, Composite, Header, Stack, Struct, Type, Varbit

if TYPE_CHECKING:
    from p4cats.compiler.backends.xdp.module import Module

STEP_LIMIT = 256
"""States that a parser with a cycle may enter for one packet; then error.ParserTimeout, as P4_16 has it."""
_LOOK_BYTES = 256
_FEW_EMITS = 3
"""Headers in a row that one test in front of them pays for."""


class ParserEmitter(TableEmitter):
    """Adds parser states, extraction and emission to statements."""

    _labels: dict[str, str]
    _accept: str
    _cyclic: set[str]
    emit_pass = ""
    """"size" or "write": which pass of the deparser is under way."""

    def __init__(self, module: Module) -> None:
        super().__init__(module)
        self.extracted: set[str] = set()
        """Validity of headers and stacks that the parser extracts."""

    def statements(self, body: list[nodes.Stmt]) -> None:
        """Emits in a row of headers that no parser extracts are skipped by one test: few packets have any.

        Where anything is cut, they are a function of their own: each doubles the ways through the program.
        """
        if not self.emit_pass:
            super().statements(body)
            return
        for made, run in groupby(body, self._is_made):
            rest = list(run)
            if not made or len(rest) < _FEW_EMITS:
                super().statements(rest)
                continue
            valid = (self.place(s.header) for s in rest if isinstance(s, nodes.Emit))
            self.line(f"if ({' | '.join(h.valid for h in valid if isinstance(h, HeaderPlace))}) {{")
            self.depth += 1
            start = len(self.lines)
            super().statements(rest)
            if self.pieces.most:
                self.lines[start:] = self.pieces.piece(self.lines[start:])
            self.depth -= 1
            self.line("}")

    def _is_made(self, s: nodes.Stmt) -> bool:
        """True for the emission of a header that only assignments and setValid make valid."""
        if not isinstance(s, nodes.Emit):
            return False
        header = self.place(s.header)
        return isinstance(header, HeaderPlace) and header.valid.partition("[")[0] not in self.extracted

    def special(self, s: nodes.Stmt) -> None:
        """Parser statements; the rest is left to the base."""
        match s:
            case nodes.Extract(header=header, varbit_bits=bits):
                self._extract(s, header, bits)
            case nodes.Lookahead(target=target):
                self._lookahead(s, target)
            case nodes.Advance(bits=bits):
                self._advance(bits)
            case nodes.Verify(condition=condition, error=error):
                self.line(f"if (!{self.value(condition)}) {{")
                self._reject(self.value(error))
                self.line("}")
            case nodes.CallBlock(block=nodes.Parser() as parser, arguments=arguments):
                self.bind(parser.parameters, arguments)
                end = self.names.fresh(f"accept_{parser.name}")
                saved = (self._labels, self._accept, self._cyclic)
                self.run_states(parser, end)
                self._labels, self._accept, self._cyclic = saved
                self.label(end)
            case nodes.Emit(header=header):
                self._emit(header)
            case _:
                super().special(s)

    def statement(self, s: nodes.Stmt) -> None:
        """Guard `stack.last` and `stack.next` before the statement that uses them."""
        self._guard_stacks(s)
        super().statement(s)

    def _guard_stacks(self, node: object) -> None:
        if isinstance(node, nodes.If | nodes.Switch | nodes.Loop):
            node = node.condition if isinstance(node, nodes.If) else None
        for part in walk(node, follow=False) if node is not None else ():
            if isinstance(part, nodes.StackLast | nodes.StackNext):
                stack = self.place(part.base)
                assert isinstance(stack, StackPlace)
                last = isinstance(part, nodes.StackLast)
                self.line(f"if ({f'!{stack.next}' if last else f'{stack.next} >= {stack.size}'}) {{")
                self._reject(self.module.error("StackOutOfBounds"))
                self.line("}")

    def _reject(self, error: str) -> None:
        self.depth += 1
        if error not in ("0ULL", ""):
            self.set(self.module.standard("parser_error"), error)
        self.leave(len(self.module.parser_iterator))
        self.line("goto parsed;")
        self.depth -= 1

    # -- states -------------------------------------------------------------------------------

    def run_states(self, parser: nodes.Parser, accept: str) -> None:
        """Emit all states of a parser; accept is a label."""
        self._accept = accept
        self._cyclic = _cyclic_states(parser)
        self._labels = {name: self.names.fresh(f"state_{name}") for name in parser.states}
        inner = (n for n in walk(parser) if isinstance(n, nodes.Parser))
        if not self.module.parser_iterator and any(map(_cyclic_states, inner)):
            # Begun before all else, and ended behind the label `parsed`, where every way out leads.
            self.module.parser_iterator = ["steps"]
            self.open_ends.append("bpf_iter_num_destroy(&steps);")
            self.locals.append("struct bpf_iter_num steps;")
        self.declare(parser.locals)
        self.statements(parser.init)
        order = _reachable(parser)
        if order[0] != "start" or self._labels["start"] in self._cyclic:
            self.line(f"goto {self._labels['start']};")
        begin = len(self.lines)
        states = [self._state(parser.states[name]) for name in order]
        if 0 < self.pieces.most < len(self.lines) - begin:
            for first, end in reversed(states):
                self.lines[first:end] = self.pieces.piece(self.lines[first:end])

    def _state(self, state: nodes.State) -> tuple[int, int]:
        """Emit a state; where its lines begin and end, without what comes before its statements."""
        self.label(self._labels[state.name])
        self.at(state.span)
        if state.name in self._cyclic:
            self.line("if (!bpf_iter_num_next(&steps)) {")
            self._reject(self.module.error("ParserTimeout"))
            self.line("}")
        begin = len(self.lines)
        self.statements(state.body)
        self._transition(state.transition)
        return begin, len(self.lines)

    def _transition(self, transition: nodes.Transition) -> None:
        if transition.cases is None:
            self._go(transition.state or "reject")
            return
        for subject in transition.subjects:
            self._guard_stacks(subject)
        names = [self.held(unsigned(self.value(e), e.type), e.type) for e in transition.subjects]
        for case in transition.cases:
            tests = self._case_tests(case, transition.subjects, names)
            if not tests:
                self._go(case.state)
                return
            self.line(f"if ({' && '.join(tests)}) {{")
            self.depth += 1
            self._go(case.state)
            self.depth -= 1
            self.line("}")
        self._reject(self.module.error("NoMatch"))

    def _go(self, target: str) -> None:
        if target == "accept":
            self.line(f"goto {self._accept};")
        elif target == "reject":
            self.line("goto parsed;")
        else:
            self.line(f"goto {self._labels[target]};")

    def _case_tests(self, case: nodes.SelectCase, subjects: list[nodes.Expr], names: list[str]) -> list[str]:
        if case.patterns and case.patterns[0].kind == "value_set":
            value_set = case.patterns[0].value_set
            assert value_set is not None
            return [self._value_set_test(value_set, subjects, names)]
        tests = []
        for pattern, subject, name in zip(case.patterns, subjects, names, strict=True):
            if test := self._pattern_test(pattern, subject, name):
                tests.append(test)
        return tests

    def _value_set_test(self, value_set: nodes.ValueSet, subjects: list[nodes.Expr], names: list[str]) -> str:
        c = self.module.value_set(value_set)
        at = 0
        for subject, name in zip(subjects, names, strict=True):
            self.line(f"s->key[{at}] = (u64){name};")
            at += 1
            if is_wide(subject.type):
                self.line(f"s->key[{at}] = (u64)({name} >> 64);")
                at += 1
        return f"in_{c}(s)"

    def _pattern_test(self, pattern: nodes.Pattern, subject: nodes.Expr, name: str) -> str:
        type_ = Bits(width_of(subject.type))
        match pattern.kind:
            case "any":
                return ""
            case "exact":
                return f"{name} == {self._pattern(pattern.value, type_)}"
            case "mask":
                under = self._pattern(pattern.mask, type_)
                return f"({name} & {under}) == ({self._pattern(pattern.value, type_)} & {under})"
            case "range":
                low, high = self._pattern(pattern.value, type_), self._pattern(pattern.mask, type_)
                if is_signed(subject.type):
                    sign = number(1 << (type_.width - 1), type_)
                    return (
                        f"(({low} ^ {sign}) <= ({name} ^ {sign}) && ({name} ^ {sign}) <= ({high} ^ {sign}))"
                    )
                return f"({low} <= {name} && {name} <= {high})"
            case "value_set" if pattern.value_set is not None:
                return self._value_set_test(pattern.value_set, [subject], [name])
            case kind:
                raise AssertionError(f"pattern kind {kind}")

    def _pattern(self, e: nodes.Expr | None, type_: Bits) -> str:
        assert e is not None
        if isinstance(e, nodes.Const):
            return number(int(e.value) & mask(type_.width), type_)
        return unsigned(self.value(e), e.type)

    # -- taking octets ------------------------------------------------------------------------

    def _extract(self, s: nodes.Stmt, e: nodes.Expr, bits: nodes.Expr | None) -> None:
        if not isinstance(e.type, Header):
            raise unsupported(s.span, f"extract into {e.type}")
        type_ = e.type
        if fixed_bits(type_) % 8:
            raise unsupported(s.span, f"header {type_} has a width that is no multiple of 8 bits")
        header = self.place(e)
        assert isinstance(header, HeaderPlace)
        size = fixed_bits(type_) // 8
        if bits is not None:
            self._extract_varbit(s, header, bits)
        else:
            self._take(header.bytes, size)
            if header.varbits:
                self.line(f"{header.varbits} = 0;")
            if header.at:
                self.line(f"{header.at} = pos;")
            self.line(f"pos = AT(pos + {size});")
        self.line(f"{header.valid} = 1;")
        self.extracted.add(header.valid.partition("[")[0])
        where = e.base if isinstance(e, nodes.FieldRef) else e  # a member of a union, or the element itself
        if isinstance(where, nodes.StackNext):
            stack = self.place(where.base)
            assert isinstance(stack, StackPlace)
            self.line(f"{stack.next}++;")

    def _take(self, to: str, size: int) -> None:
        """Copy `size` octets from the packet, or reject."""
        if size == 0:
            return
        self.line(f"if (data + pos + {size} <= end) {{")
        self.line(f"\tcopy({to}, data + pos, {size});")
        # Behind the linear part of a long frame.
        self.line(f"}} else if (bpf_xdp_load_bytes(ctx, pos, {to}, {size})) {{")
        self._reject(self.module.error("PacketTooShort"))
        self.line("}")

    def _extract_varbit(self, s: nodes.Stmt, header: HeaderPlace, e: nodes.Expr) -> None:
        varbit = varbit_field(header.type)
        if varbit is None:
            raise unsupported(e.span, f"header {header.type} has no varbit field")
        first, type_ = varbit
        if first % 8:
            raise unsupported(s.span, f"header {header.type}: its varbit does not begin at an octet")
        bits = self.word_local("bits")
        self.line(f"{bits} = (u64){self.value(e)};")
        self.line(f"if ({bits} > {type_.max_width}) {{")
        self._reject(self.module.error("HeaderTooShort"))
        self.line(f"}} else if ({bits} & 7) {{")
        self._reject(self.module.error("ParserInvalidArgument"))
        self.line("}")
        before, size = first // 8, fixed_bits(header.type) // 8
        self.line(f"if (pos + {size} + {bits} / 8 > packet_end(ctx)) {{")
        self._reject(self.module.error("PacketTooShort"))
        self.line("}")
        if header.at:
            self.line(f"{header.at} = pos;")
        self._take(header.bytes, before)
        most = type_.max_width // 8
        self.line(f"if (take_varbit(ctx, {header.bytes} + {size}, pos + {before}, {bits} / 8, {most})) {{")
        self._reject(self.module.error("PacketTooShort"))
        self.line("}")
        self.line(f"{header.varbits} = {bits};")
        self.line(f"pos = AT(pos + {before} + {bits} / 8);")
        if size > before:
            self._take(f"{header.bytes} + {before}", size - before)
            self.line(f"pos = AT(pos + {size - before});")

    def _lookahead(self, s: nodes.Stmt, target: nodes.Expr) -> None:
        width = self._bits(target.type, s)
        size = (width + 7) // 8
        if size > _LOOK_BYTES - 16:
            raise unsupported(s.span, f"lookahead of {width} bits", f"at most {_LOOK_BYTES - 16} octets")
        self._take("s->look", size)
        place = self.place(target)
        first = 0
        for leaf in self.flat(place):
            bits = width_of(leaf.type)
            if isinstance(leaf.type, Varbit):
                continue
            code = self.taken("s->look", first, leaf.type)
            self.set(leaf, trimmed(code, leaf.type) if is_signed(leaf.type) else code)
            first += bits
        for header in self.headers_of(place):
            self.line(f"{header.valid} = 1;")
            if header.varbits:
                self.line(f"{header.varbits} = 0;")

    def _bits(self, type_: Type, s: nodes.Stmt) -> int:
        match type_:
            case Varbit():
                return 0
            case Stack(element=element, size=size):
                return self._bits(element, s) * size
            case Composite(fields=fields):
                return sum(self._bits(f.type, s) for f in fields)
            case _:
                return width_of(type_)

    def _advance(self, e: nodes.Expr) -> None:
        bits = self.word_local("bits")
        self.line(f"{bits} = (u64){self.value(e)};")
        self.line(f"if ({bits} & 7) {{")
        self._reject(self.module.error("ParserInvalidArgument"))
        self.line("}")
        self.line(f"if (pos + {bits} / 8 > packet_end(ctx)) {{")
        self._reject(self.module.error("PacketTooShort"))
        self.line("}")
        self.line(f"pos = AT(pos + {bits} / 8);")

    # -- deparser -----------------------------------------------------------------------------

    def _emit(self, e: nodes.Expr) -> None:
        header = self.place(e)
        assert isinstance(header, HeaderPlace)
        size = fixed_bits(header.type) // 8
        extra = f" + {header.varbits} / 8" if header.varbits else ""
        self.line(f"if ({header.valid}) {{")
        self.depth += 1
        if self.emit_pass == "size":
            # Like positions: of sums the verifier would follow each apart.
            self.line(f"size = AT(size + {size}{extra});")
        else:
            if header.at:
                self.line(f"if ((u16)({header.at} - shift) != o || {header.at} == NOWHERE) {{")
                self.depth += 1
            varbit = varbit_field(header.type)
            before = varbit[0] // 8 if varbit else size
            self._put(header.bytes, "o", before)
            if varbit:
                most = varbit[1].max_width // 8
                of, octets = f"{header.bytes} + {size}", f"{header.varbits} / 8"
                self.line(f"if (put_varbit(ctx, {of}, o + {before}, {octets}, {most}))")
                self.line("\tgoto failed;")
                self.line(f"behind = AT(o + {before} + {header.varbits} / 8);")
                self._put(f"{header.bytes} + {before}", "behind", size - before)
            if header.at:
                self.depth -= 1
                self.line("}")
            self.line(f"o = AT(o + {size}{extra});")
        self.depth -= 1
        self.line("}")

    def _put(self, of: str, at: str, size: int) -> None:
        """Write octets into the packet."""
        if size:
            self.line(f"if (data + {at} + {size} <= end)")
            self.line(f"\tcopy(data + {at}, {of}, {size});")
            self.line(f"else if (bpf_xdp_store_bytes(ctx, {at}, {of}, {size}))")
            self.line("\tgoto failed;")


def _reachable(parser: nodes.Parser) -> list[str]:
    """States that `start` leads to, each before those it leads to where there is no cycle."""
    order: list[str] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name in seen or name not in parser.states:
            return
        seen.add(name)
        for target in reversed(_targets(parser.states[name].transition)):
            visit(target)
        order.append(name)

    visit("start")
    return order[::-1]


def _cyclic_states(parser: nodes.Parser) -> set[str]:
    """States that can come back to themselves."""
    found = set()
    for name in parser.states:
        seen: set[str] = set()
        stack = list(_targets(parser.states[name].transition))
        while stack:
            target = stack.pop()
            if target == name:
                found.add(name)
                break
            if target in parser.states and target not in seen:
                seen.add(target)
                stack += _targets(parser.states[target].transition)
    return found


def _targets(transition: nodes.Transition) -> list[str]:
    if transition.cases is None:
        return [transition.state or "reject"]
    return [case.state for case in transition.cases]


__all__ = ["AnyPlace", "FieldPlace", "ParserEmitter", "Place", "Struct", "field_read", "is_composite"]
