"""Parsers: states inlined where only one transition leads to them, a dispatch loop for the others.

The generated function gets the packet's bytes as `data`, keeps the position in `pos` (bytes: simple_switch
parses whole bytes) and returns it; a parser error is stored in sm.parser_error and ends the parse where it
stands. The packet is not dropped then: ingress sees it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from p4cats.compiler.backends.model.composites import header_bits, is_composite, varbit_of
from p4cats.compiler.backends.model.expressions import unsupported
from p4cats.compiler.backends.model.layout import leaves, scalar_width, unpack_lines
from p4cats.compiler.backends.model.names import Place, atom, attribute, is_signed, mask, zero
from p4cats.compiler.backends.model.tables import TableEmitter
from p4cats.compiler.backends.model.usage import walk
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Bits, Bool, Composite, Header, Stack, Struct, Type, Union, Varbit

MOST_TRANSITIONS = 1 << 16
"""Transitions that one parser may take: no packet has so many bytes, so it goes round in a circle
(error.ParserTimeout). simple_switch would hang."""
_DEEPEST_NESTING = 14
"""Selects inlined into each other before the dispatch loop is used instead (Python allows 100 levels)."""


class ParserEmitter(TableEmitter):
    """Adds parser states, extraction and sub-parsers."""

    in_parser = False
    _accept: str
    _labels: dict[str, int]
    _state_name: str
    _parser: nodes.Parser
    _base_depth: int

    def special(self, s: nodes.Stmt) -> None:
        """Parser statements; the rest is left to the base."""
        match s:
            case nodes.Extract(header=header, varbit_bits=bits):
                self._extract(s, header, bits)
            case nodes.Lookahead(target=target):
                self._lookahead(target)
            case nodes.Advance(bits=bits):
                self._advance(bits)
            case nodes.Verify(condition=condition, error=error):
                self.line(f"if not {self.atom(condition)}:")
                self._reject(self.bare(error), 1)
            case nodes.CallBlock(block=nodes.Parser() as parser, arguments=arguments):
                self.bind(parser.parameters, arguments)
                self._sub_parser(parser)
            case _:
                super().special(s)

    def statement(self, s: nodes.Stmt) -> None:
        """Guard `stack.last` before the statement that uses it."""
        if self.in_parser:
            self._guard_last(s)
        super().statement(s)

    def _guard_last(self, node: object) -> None:
        if isinstance(node, nodes.If | nodes.Switch | nodes.Loop):
            node = node.condition if isinstance(node, nodes.If) else None
        for part in walk(node, follow=False) if node is not None else ():
            if isinstance(part, nodes.StackLast):
                self.line(f"if not {self.place(part.base).code}.next:")
                self._reject(self.module.error("StackOutOfBounds"), 1)
            elif isinstance(part, nodes.StackNext) and isinstance(part.base.type, Stack):
                self.line(f"if {self.place(part.base).code}.next >= {part.base.type.size}:")
                self._reject(self.module.error("StackOutOfBounds"), 1)

    def _reject(self, error: str, deeper: int = 0) -> None:
        indent = "    " * deeper
        if error != "0":
            self.line(f"{indent}sm.parser_error = {error}")
        self.line(f"{indent}return pos")

    # -- states -------------------------------------------------------------------------------

    def parser(self, parser: nodes.Parser) -> None:
        """Emit a whole parser whose accept is `return pos`."""
        self.in_parser = True
        self._run_states(parser, "return pos")

    def _sub_parser(self, parser: nodes.Parser) -> None:
        saved = (self._parser, self._accept, self._labels, self._state_name, self._base_depth)
        self._run_states(parser, "break")
        self._parser, self._accept, self._labels, self._state_name, self._base_depth = saved

    def _run_states(self, parser: nodes.Parser, accept: str) -> None:
        self._parser = parser
        self._accept = accept
        self.declare(parser.locals)
        self.statements(parser.init)
        self._dispatch_loop(parser, self._shared_states(parser))

    def _shared_states(self, parser: nodes.Parser) -> set[str]:
        """States that more than one transition leads to."""
        arrivals: Counter[str] = Counter(["start"])
        seen, stack = {"start"}, ["start"]
        while stack:
            for target in _targets(parser.states[stack.pop()].transition):
                arrivals[target] += 1
                if target in parser.states and target not in seen:
                    seen.add(target)
                    stack.append(target)
        return {name for name, count in arrivals.items() if count > 1 and name in parser.states}

    def _dispatch_loop(self, parser: nodes.Parser, shared: set[str]) -> None:
        """Emit `start` and every labelled state; labels that deep nesting makes are added on the way."""
        self._labels = {name: number for number, name in enumerate(sorted(shared), 1)}
        self._labels.setdefault("start", 0)
        self._state_name = self.temporary("state")
        first = len(self.lines)
        self.line(f"{self._state_name} = {self._labels['start']}")
        self.line(f"for _ in range({MOST_TRANSITIONS}):")
        self.loops += 1
        self.depth += 1
        self._base_depth = self.depth
        done: set[str] = set()
        todo = ["start", *sorted(shared - {"start"})]
        heads: list[int] = []
        while todo:
            for name in todo:
                done.add(name)
                heads.append(len(self.lines))
                self.line(f"{'el' if len(heads) > 1 else ''}if {self._state_name} == {self._labels[name]}:")
                self.depth += 1
                self._state(parser.states[name])
                self.depth -= 1
            todo = [name for name in self._labels if name not in done]
        self.depth -= 1
        self.loops -= 1
        if len(heads) == 1 and self._accept == "return pos" and not shared:
            # No state is reached twice: straight-line code, without the loop around it.
            body = [text[8:] for text in self.lines[first + 3 :]]
            self.lines[first:] = body
        else:
            self.line("else:")
            self._reject(self.module.error("ParserTimeout"), 1)

    def _state(self, state: nodes.State) -> None:
        self.at(state.span)
        self.module.hook(self, "state", state.name)
        self.statements(state.body)
        transition = state.transition
        if transition.cases is None:
            self._go(transition.state or "reject")
        else:
            self._select(transition)

    def _go(self, target: str) -> None:
        if target == "accept":
            self.line(self._accept)
        elif target == "reject":
            self._reject("0")
        elif target in self._labels:
            self._jump(target)
        elif self.depth - self._base_depth > _DEEPEST_NESTING:
            self._labels[target] = max(self._labels.values()) + 1
            self._jump(target)
        else:
            self._state(self._parser.states[target])

    def _jump(self, target: str) -> None:
        self.line(f"{self._state_name} = {self._labels[target]}  # {target}")
        self.line("continue")

    # -- select -------------------------------------------------------------------------------

    def _select(self, transition: nodes.Transition) -> None:
        assert transition.cases is not None
        for subject in transition.subjects:
            self._guard_last(subject)
        names = [self._subject(subject) for subject in transition.subjects]
        word = "if"
        for case in transition.cases:
            tests = self._case_tests(case, transition.subjects, names)
            if not tests:
                self._go(case.state)  # every branch above ends in a jump
                return
            self.line(f"{word} {' and '.join(tests)}:")
            self.depth += 1
            self._go(case.state)
            self.depth -= 1
            word = "elif"
        self._reject(self.module.error("NoMatch"))

    def _subject(self, subject: nodes.Expr) -> str:
        code = self.bare(subject)
        if is_signed(subject.type):
            code = f"{atom(code)} & {hex(mask(scalar_width(subject.type)))}"
        name = self.temporary("select")
        self.line(f"{name} = {code}")
        return name

    def _case_tests(self, case: nodes.SelectCase, subjects: list[nodes.Expr], names: list[str]) -> list[str]:
        if case.patterns and case.patterns[0].kind == "value_set":
            value_set = case.patterns[0].value_set
            assert value_set is not None
            return [f"{self.module.value_set(value_set)}(({', '.join(names)},))"]
        tests = []
        for pattern, subject, name in zip(case.patterns, subjects, names, strict=True):
            test = self._pattern_test(pattern, subject.type, name)
            if test:
                tests.append(test)
        return tests

    def _pattern_test(self, pattern: nodes.Pattern, type_: Type, name: str) -> str:
        match pattern.kind:
            case "any":
                return ""
            case "exact":
                return f"{name} == {self._unsigned(pattern.value, type_)}"
            case "mask":
                under = self._unsigned(pattern.mask, type_)
                if isinstance(pattern.value, nodes.Const) and isinstance(pattern.mask, nodes.Const):
                    bits = mask(scalar_width(type_))
                    return f"{name} & {under} == {hex(pattern.value.value & pattern.mask.value & bits)}"
                return f"{name} & {under} == {self._unsigned(pattern.value, type_)} & {under}"
            case "range":
                low, high = self._unsigned(pattern.value, type_), self._unsigned(pattern.mask, type_)
                if is_signed(type_):
                    sign = hex(1 << (scalar_width(type_) - 1))
                    return f"{low} ^ {sign} <= {name} ^ {sign} <= {high} ^ {sign}"
                return f"{low} <= {name} <= {high}"
            case "value_set" if pattern.value_set is not None:
                return f"{self.module.value_set(pattern.value_set)}(({name},))"
            case kind:
                raise AssertionError(f"pattern kind {kind}")

    def _unsigned(self, e: nodes.Expr | None, type_: Type) -> str:
        assert e is not None
        if isinstance(e, nodes.Const):
            value = int(e.value) & mask(scalar_width(type_))
            return str(value) if value < 256 else hex(value)
        code = self.atom(e)
        return f"({code} & {hex(mask(scalar_width(type_)))})" if is_signed(e.type) else code

    # -- taking bytes -------------------------------------------------------------------------

    def _need(self, size: str) -> None:
        """Reject unless `size` more bytes are there; leaves their end in `stop`."""
        self.line(f"stop = pos + {size}")
        self.line("if stop > end:")
        self._reject(self.module.error("PacketTooShort"), 1)

    def _extract(self, s: nodes.Stmt, header: nodes.Expr, bits: nodes.Expr | None) -> None:
        if not isinstance(header.type, Header):
            raise unsupported(s.span, f"extract into {header.type}")
        code = self._extract_target(header)
        type_ = header.type
        if header_bits(type_) % 8:
            raise unsupported(s.span, f"header {type_} has a width that is no multiple of 8 bits")
        if bits is not None:
            self._extract_varbit(type_, code, bits)
        else:
            self._extract_fixed(type_, code)
        stack = _next_union(header)
        if stack is not None:
            self._invalidate_others(header)
        if isinstance(header, nodes.StackNext):
            stack = header.base
        if stack is not None:
            self.line(f"{self.place(stack).code}.next += 1")
        self.module.hook(self, "extract", code)

    def _invalidate_others(self, header: nodes.Expr) -> None:
        """One member of a union is valid at a time."""
        assert isinstance(header, nodes.FieldRef)
        union = self.place(header.base)
        assert isinstance(union.type, Union)
        for field in union.type.fields:
            if field.name != header.field:
                self.line(f"{union.code}.{attribute(field.name)}.valid = False")

    def _extract_target(self, header: nodes.Expr) -> str:
        place = self._settled(self.place(header))
        if ".at(" in place.code or is_stack_element(header):
            name = self.temporary("element_")
            self.line(f"{name} = {place.code}")
            return name
        return place.code

    def _extract_fixed(self, type_: Header, code: str) -> None:
        self._need(str(header_bits(type_) // 8))
        varbit = varbit_of(type_)
        if varbit is not None:  # extracted without a length: the varbit field is empty
            self._scatter([(f"{code}.{leaf.path}", leaf.type) for leaf in leaves(type_)], header_bits(type_))
        else:
            wanted = self.composites.wanted_fields(type_)
            for text in unpack_lines(code, type_, wanted, self.module.structs):
                self.line(text)
        if self.composites.keeps_raw(type_):
            self.line(f"{code}.raw = data[pos:stop]")
        self.line(f"{code}.valid = True")
        self.line("pos = stop")

    def _extract_varbit(self, type_: Header, code: str, bits: nodes.Expr) -> None:
        varbit = varbit_of(type_)
        if varbit is None:
            raise unsupported(bits.span, f"header {type_} has no varbit field")
        size = self.temporary("size")
        self.line(f"{size} = {self.bare(bits)}")
        self.line(f"if {size} > {varbit.width}:")
        self._reject(self.module.error("HeaderTooShort"), 1)
        self.line(f"if {size} & 7:")
        self._reject(self.module.error("ParserInvalidArgument"), 1)
        fixed = header_bits(type_)
        self._need(f"({fixed} + {size}) // 8")
        value = self.temporary("taken")
        self.line(f'{value} = from_bytes(data[pos:stop], "big")')
        behind = fixed
        seen_varbit = False
        for leaf in leaves(type_):
            if isinstance(leaf.type, Varbit):
                seen_varbit = True
                self.line(f"{code}.{leaf.path} = ({size}, {value} >> {behind} & (1 << {size}) - 1)")
                continue
            behind -= leaf.width
            shift = str(behind) if seen_varbit else f"{behind} + {size}"
            text = f"{value} >> ({shift}) & {hex(mask(leaf.width))}"
            self.line(f"{code}.{leaf.path} = {self.wrap(text, leaf.type) if leaf.signed else text}")
        self.line(f"{code}.valid = True")
        self.line("pos = stop")

    def _lookahead(self, target: nodes.Expr) -> None:
        place = self._settled(self.place(target))
        found = list(self._flat(place))
        width = sum(scalar_width(t) for _, t in found if not isinstance(t, Varbit))
        self._need(str((width + 7) // 8))
        if isinstance(place.type, Bits | Bool):
            shift = -width % 8
            value = f'from_bytes(data[pos:stop], "big"){f" >> {shift}" if shift else ""}'
            if width == 8:
                value = "data[pos]"
            self.set(place, self.wrap(value, place.type) if is_signed(place.type) else value)
            return
        self._scatter(found, width)
        for header in self._headers(place):
            self.line(f"{header}.raw = None")
            self.line(f"{header}.valid = True")

    def _scatter(self, targets: Sequence[tuple[str, Type]], width: int) -> None:
        """Spread the next `width` bits over scalars."""
        value = self.temporary("taken")
        shift = -width % 8
        self.line(f'{value} = from_bytes(data[pos:stop], "big"){f" >> {shift}" if shift else ""}')
        for code, type_ in targets:
            if isinstance(type_, Varbit):
                self.line(f"{code} = {zero(type_)}")
                continue
            width -= scalar_width(type_)
            text = f"{value} >> {width} & {hex(mask(scalar_width(type_)))}"
            self.line(f"{code} = {self.wrap(text, type_) if is_signed(type_) else text}")

    def _flat(self, place: Place) -> list[tuple[str, Type]]:
        if isinstance(place.type, Stack):
            return [x for i in range(place.type.size) for x in self._flat(self._element(place, i))]
        if not isinstance(place.type, Composite):
            return [(place.code, place.type)]
        return [x for f in place.type.fields for x in self._flat(self.member(place, f.name, f.type))]

    def _headers(self, place: Place) -> list[str]:
        if isinstance(place.type, Header):
            return [place.code]
        if isinstance(place.type, Stack):
            return [x for i in range(place.type.size) for x in self._headers(self._element(place, i))]
        if isinstance(place.type, Struct):
            return [
                x for f in place.type.fields if is_composite(f.type)
                for x in self._headers(self.member(place, f.name, f.type))
            ]  # fmt: skip
        return []

    def _element(self, place: Place, index: int) -> Place:
        assert isinstance(place.type, Stack)
        return Place(place.type.element, f"{place.code}.items[{index}]")

    def _advance(self, bits: nodes.Expr) -> None:
        if isinstance(bits, nodes.Const):
            if bits.value % 8:
                self._reject(self.module.error("ParserInvalidArgument"))
                return
            self._need(str(bits.value // 8))
        else:
            name = self.temporary("skip")
            self.line(f"{name} = {self.bare(bits)}")
            self.line(f"if {name} & 7:")
            self._reject(self.module.error("ParserInvalidArgument"), 1)
            self._need(f"{name} // 8")
        self.line("pos = stop")


def is_stack_element(e: nodes.Expr) -> bool:
    """True where the text of the place is long and used for every field."""
    return isinstance(e, nodes.IndexRef | nodes.StackNext | nodes.StackLast)


def _next_union(header: nodes.Expr) -> nodes.Expr | None:
    """The stack of unions in `unions.next.member`."""
    if isinstance(header, nodes.FieldRef) and isinstance(header.base, nodes.StackNext):
        return header.base.base
    return None


def _targets(transition: nodes.Transition) -> list[str]:
    if transition.cases is None:
        return [transition.state or "reject"]
    return [case.state for case in transition.cases]
