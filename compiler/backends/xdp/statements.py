"""Statements: everything a control does except tables and externs.

Actions, functions and sub-controls are inlined where they are called; `return` and `exit` are gotos.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from p4cats.compiler.backends.model.usage import walk
from p4cats.compiler.backends.xdp.long import LongEmitter
from p4cats.compiler.backends.xdp.storage import AnyPlace, HeaderPlace, Place, StackPlace, StructPlace
from p4cats.compiler.backends.xdp.values import is_composite, number, unsupported
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Struct, Type, Varbit

LOOP_LIMIT = 1 << 16
"""Rounds of a P4 loop; a packet that needs more is dropped. Loops are counted by an open-coded iterator
(since kernel 6.4), of which the verifier walks a round or two instead of all."""


_ASSIGNED = re.compile(r"\s*(x_\w+) = ")


@dataclass(slots=True)
class Frame:
    """An inlined body: where `return` goes, and where its value is put."""

    end: str
    target: AnyPlace | None
    open_ends: int
    """How many of the emitter's are those of the caller."""
    used: bool = False


class StatementEmitter(LongEmitter):
    """Emits statements; subclasses add tables, externs and parser states."""

    frames: list[Frame]
    updates: list[tuple[str, str, int]]
    """Labels of the innermost loop: its update, its end; and how many ends are open in its body."""
    open_ends: list[str]
    """Statements that end what is open here, loops and locks; jumps out of it need them too."""
    locked = False
    """The lock of @atomic is held here."""
    exit_label = "out"

    # -- blocks of statements -----------------------------------------------------------------

    def block(self, body: list[nodes.Stmt]) -> None:
        """Emit statements one level deeper."""
        self.depth += 1
        self.statements(body)
        self.depth -= 1

    def statements(self, body: list[nodes.Stmt]) -> None:
        """Emit statements at this level."""
        ends = [len(self.lines)]
        outside = not self.locked
        for statement in body:
            self.at(statement.span)
            if outside:
                self.hold(self.is_atomic(statement))
            self.statement(statement)
            ends.append(len(self.lines))
            if isinstance(statement, nodes.Return | nodes.Exit | nodes.Break | nodes.Continue):
                break
        if outside:
            self.hold(False)
            ends[-1] = len(self.lines)
        self._in_pieces(ends)

    def is_atomic(self, s: nodes.Stmt) -> bool:
        """True for statements that run as if alone; subclasses know."""
        raise NotImplementedError

    def hold(self, locked: bool) -> None:
        """Take the lock of @atomic, or give it back."""
        if locked == self.locked:
            return
        if locked:
            self.give_up("!p4_lock(&atomic)", "broken")
            self.open_ends.append("p4_unlock(&atomic);")
        else:
            self.line(self.open_ends.pop())
        self.locked = locked

    def _in_pieces(self, ends: list[int]) -> None:
        """Cut the last lines where they are too many; `ends` are the places where they may be cut."""
        self.lines[ends[0] :] = self.pieces.cut(self.lines[a:b] for a, b in pairwise(ends))

    def statement(self, s: nodes.Stmt) -> None:
        """Emit one statement."""
        match s:
            case nodes.Assign(target=target, value=value):
                self.store(self.place(target), value)
            case nodes.Zero(variable=variable):
                self.zero_variable(variable)
            case nodes.If():
                self._if(s)
            case nodes.Switch(subject=subject, cases=cases):
                self._switch(subject, cases)
            case nodes.Loop():
                self._loop(s)
            case nodes.Break():
                self.leave(self.updates[-1][2])
                self.line(f"goto {self.updates[-1][1]};")
            case nodes.Continue():
                self.leave(self.updates[-1][2])
                self.line(f"goto {self.updates[-1][0]};")
            case nodes.Return(value=value):
                self._return(value)
            case nodes.Exit():
                self.leave(0)
                self.line(f"goto {self.exit_label};")
            case nodes.CallAction(action=action, arguments=arguments):
                self.bind(action.parameters, arguments)
                self.inline(action.name, action.locals, action.body)
            case nodes.CallFunction(function=function, arguments=arguments, target=target):
                self.bind(function.parameters, arguments)
                place = self.place(target) if target is not None else None
                self.inline(function.name, function.locals, function.body, place)
            case nodes.CallBlock(block=nodes.Control() as control, arguments=arguments):
                self.bind(control.parameters, arguments)
                self.inline(control.name, control.locals, control.body)
            case nodes.SetValid(header=header, valid=valid):
                place = self.place(header)
                assert isinstance(place, HeaderPlace)
                if valid:
                    # A header that is not valid may hold octets that are elsewhere in the packet.
                    self.touch(place)
                self.line(f"{place.valid} = {int(valid)};")
            case nodes.Push(stack=stack, count=count):
                self._shift_stack(stack, count)
            case nodes.Pop(stack=stack, count=count):
                self._shift_stack(stack, -count)
            case _:
                self.special(s)

    def special(self, s: nodes.Stmt) -> None:
        """Statements that subclasses know."""
        raise unsupported(s.span, f"statement {type(s).__name__} in this place")

    # -- variables ----------------------------------------------------------------------------

    def declare(self, variables: list[nodes.Variable]) -> None:
        """Give locals their places (once) and make them zero."""
        ends = [len(self.lines)]
        for variable in variables:
            if variable not in self.places:
                self.places[variable] = self._local_place(variable.name, variable.type)
            self.reset(self.places[variable])
            ends.append(len(self.lines))
        self._in_pieces(ends)

    def _local_place(self, name: str, type_: Type) -> AnyPlace:
        if isinstance(type_, Struct):
            return StructPlace(
                type_, {f.name: self._local_place(f"{name}_{f.name}", f.type) for f in type_.fields}
            )
        if is_composite(type_):
            return self.scratch.place(type_, name)
        return Place(type_, self.local(type_, name))

    def zero_variable(self, variable: nodes.Variable) -> None:
        """Make a variable zero again."""
        if variable not in self.places:
            self.declare([variable])
        else:
            self.reset(self.places[variable])

    # -- calls --------------------------------------------------------------------------------

    def bind(self, parameters: list[nodes.Variable], arguments: list[nodes.Argument]) -> None:
        """Let parameters stand for their arguments (the IR promises that they do not overlap)."""
        places: list[AnyPlace] = []
        for parameter, argument in zip(parameters, arguments, strict=True):
            if parameter.direction in ("out", "inout"):
                places.append(self.place(argument.value))
            elif isinstance(argument.value.type, Varbit):
                raise unsupported(argument.value.span, f"an argument of type {argument.value.type}")
            else:
                places.append(self._read_only(argument.value))
        for parameter, place in zip(parameters, places, strict=True):
            self.places[parameter] = place
            if parameter.direction == "out":
                self.reset(place)

    def _read_only(self, e: nodes.Expr) -> AnyPlace:
        """An `in` argument: the IR promises that nobody writes what it overlaps."""
        if is_composite(e.type):
            return self.place(e)
        if isinstance(e, nodes.VarRef | nodes.FieldRef) and not any(
            isinstance(n, nodes.IndexRef | nodes.StackLast) for n in walk(e, follow=False)
        ):
            return self.place(e)
        return self.argument(e)

    def inline(
        self,
        name: str,
        variables: list[nodes.Variable],
        body: list[nodes.Stmt],
        target: AnyPlace | None = None,
    ) -> None:
        """Emit a called body here."""
        self.declare(variables)
        frame = Frame(self.names.fresh(f"end_{name}"), target, len(self.open_ends))
        self.frames.append(frame)
        self.statements(body)
        self.frames.pop()
        if frame.used:
            self.label(frame.end)

    def _return(self, value: nodes.Expr | None) -> None:
        if not self.frames:
            self.leave(0)
            self.line(f"goto {self.exit_label};")
            return
        frame = self.frames[-1]
        if value is not None and frame.target is not None:
            self.store(frame.target, value)
        frame.used = True
        self.leave(frame.open_ends)
        self.line(f"goto {frame.end};")

    def leave(self, outer: int) -> None:
        """Before a jump: end what is open but for the `outer` first."""
        for text in reversed(self.open_ends[outer:]):
            self.line(text)

    def give_up(self, condition: str, label: str) -> None:
        """Jump to one of the labels that drop the packet."""
        self.line(f"if ({condition}) {{")
        self.depth += 1
        self.leave(0)
        self.line(f"goto {label};")
        self.depth -= 1
        self.line("}")

    # -- control flow -------------------------------------------------------------------------

    def _if(self, s: nodes.If) -> None:
        condition = self.value(s.condition)
        if not s.then:
            condition = f"!{condition}"
        self.line(f"if ({condition}) {{")
        self.block(s.then or s.other)
        if s.then and s.other:
            self.line("} else {")
            self.block(s.other)
        self.line("}")

    def _switch(self, subject: nodes.Expr, cases: list[nodes.Case]) -> None:
        code = self.held(self.value(subject), subject.type)
        word = "if"
        default = next((case for case in cases if case.values is None), None)
        for case in cases:
            if not case.values:
                continue
            tests = " || ".join(f"{code} == {number(v, subject.type)}" for v in case.values)
            self.line(f"{word} ({tests}) {{")
            self.block(case.body)
            word = "} else if"
        if word == "if":
            if default is not None:
                self.statements(default.body)
            return
        if default is not None and default.body:
            self.line("} else {")
            self.block(default.body)
        self.line("}")

    def _loop(self, s: nodes.Loop) -> None:
        update, end = self.names.fresh("next_round"), self.names.fresh("end_loop")
        rounds = self.names.fresh("rounds")
        self.locals.append(f"struct bpf_iter_num {rounds};")
        self.line(f"bpf_iter_num_new(&{rounds}, 0, {LOOP_LIMIT});")
        self.line("for (;;) {")
        self.depth += 1
        self.open_ends.append(f"bpf_iter_num_destroy(&{rounds});")
        self.give_up(f"!bpf_iter_num_next(&{rounds})", "loop_limit")
        first = len(self.lines)
        self.updates.append((update, end, len(self.open_ends)))
        self.statements(s.prepare)
        if not (isinstance(s.condition, nodes.Const) and s.condition.value):
            self.line(f"if (!{self.value(s.condition)})")
            self.line(f"\tgoto {end};")
        self.statements(s.body)
        self.label(update)
        self.statements(s.update)
        self.updates.pop()
        self.lines[first:first] = self._hidden(first)
        self.depth -= 1
        self.line("}")
        self.label(end)
        self.line(self.open_ends.pop())

    def _hidden(self, first: int) -> list[str]:
        """Statements that keep from the verifier what locals are at the head of a round.

        Where it knows them (a counter that begins at 0) it follows them round by round, for as many rounds as
        they take to come to an end.
        """
        assigned = {m[1] for text in self.lines[first:] if (m := _ASSIGNED.match(text))}
        before = {m[1] for text in self.lines[:first] if (m := _ASSIGNED.match(text))}
        indent = "\t" * self.depth
        return [f"{indent}{name} ^= hidden;" for name in sorted(assigned & before)]

    def _shift_stack(self, e: nodes.Expr, count: int) -> None:
        """push_front (count > 0) or pop_front."""
        stack = self.place(e)
        assert isinstance(stack, StackPlace)
        steps = min(abs(count), stack.size)
        order = range(stack.size)
        for index in reversed(order) if count > 0 else order:
            source = index - steps if count > 0 else index + steps
            target = self.stack_item(stack, index)
            if 0 <= source < stack.size:
                self._move(target, self.stack_item(stack, source))
            else:
                for header in self.headers_of(target):
                    self.line(f"{header.valid} = 0;")
        if count > 0:
            self.line(f"{stack.next} = min64({stack.next} + {steps}, {stack.size});")
        else:
            self.line(f"{stack.next} = {stack.next} > {steps} ? {stack.next} - {steps} : 0;")

    def _move(self, target: AnyPlace, source: AnyPlace) -> None:
        """Copy an element; it still stands where it was in the packet."""
        self.copy(target, source)
        for to, of in zip(self.headers_of(target), self.headers_of(source), strict=True):
            if to.at:
                self.line(f"{to.at} = {of.at};")
