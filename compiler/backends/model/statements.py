"""Statements: everything a control does except tables and externs.

Actions, functions and sub-controls are inlined where they are called: scalars stay Python locals, and
`exit` is a Python `return`. An inlined body whose `return` is not at its end runs in a one-pass loop
that `return` breaks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from p4cats.compiler.backends.model.composites import header_bits, is_composite
from p4cats.compiler.backends.model.expressions import unsupported
from p4cats.compiler.backends.model.names import Place, zero
from p4cats.compiler.backends.model.storage import StorageEmitter
from p4cats.compiler.backends.model.usage import walk
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Header, Struct, Type

_DEEPEST_RESTRUCTURE = 12
_SIMPLE = re.compile(r"[\w.]+|\(-\w+\)")


@dataclass(slots=True)
class Frame:
    """An inlined body: what `return` means in it. `loop` False: nothing follows, so nothing is emitted."""

    loop: bool
    depth: int
    """Number of Python loops around the body's statements."""
    target: Place | None = None
    flag: str | None = None
    """Set before leaving a P4 loop on the way to the end of the body."""


def _has_return(node: object) -> bool:
    match node:
        case list():
            return any(_has_return(part) for part in node)
        case nodes.Return():
            return True
        case nodes.If(then=then, other=other):
            return _has_return(then) or _has_return(other)
        case nodes.Switch(cases=cases):
            return any(_has_return(case.body) for case in cases)
        case nodes.Loop(prepare=prepare, body=body, update=update):
            return _has_return(prepare) or _has_return(body) or _has_return(update)
        case _:
            return False


def _ends(body: list[nodes.Stmt]) -> bool:
    return bool(body) and isinstance(body[-1], nodes.Return | nodes.Exit)


def restructure(body: list[nodes.Stmt], depth: int = 0) -> list[nodes.Stmt]:
    """`if (c) return a; rest` as `if (c) return a; else rest`: the return is then at an end."""
    result: list[nodes.Stmt] = []
    for index, statement in enumerate(body):
        if isinstance(statement, nodes.Return | nodes.Exit):
            return [*result, statement]
        rest = body[index + 1 :]
        if isinstance(statement, nodes.If) and depth < _DEEPEST_RESTRUCTURE and _has_return(statement):
            then, other = restructure(statement.then, depth + 1), restructure(statement.other, depth + 1)
            if rest and _ends(then):
                other = restructure([*other, *rest], depth + 1) if not _ends(other) else other
                return [*result, nodes.If(statement.span, statement.condition, then, other)]
            if rest and _ends(other):
                then = restructure([*then, *rest], depth + 1)
                return [*result, nodes.If(statement.span, statement.condition, then, other)]
            statement = nodes.If(statement.span, statement.condition, then, other)  # noqa: PLW2901
        result.append(statement)
    return result


def returns_only_at_end(body: list[nodes.Stmt]) -> bool:
    """True if nothing follows any Return of this body."""
    if not body:
        return True
    if any(_has_return(statement) for statement in body[:-1]):
        return False
    match body[-1]:
        case nodes.Return():
            return True
        case nodes.If(then=then, other=other):
            return returns_only_at_end(then) and returns_only_at_end(other)
        case nodes.Switch(cases=cases):
            return all(returns_only_at_end(case.body) for case in cases)
        case last:
            return not _has_return(last)


class StatementEmitter(StorageEmitter):
    """Emits statements; subclasses add tables, externs and parser states."""

    loops = 0
    frames: list[Frame]
    updates: list[list[nodes.Stmt]]
    exit_code = "return"
    result: Place | None = None
    """Where the value of the function that is being emitted goes, if it is one of its own."""

    # -- blocks of statements -----------------------------------------------------------------

    def block(self, body: list[nodes.Stmt]) -> None:
        """Emit statements one level deeper."""
        self._nested(lambda: self.statements(body))

    def statements(self, body: list[nodes.Stmt]) -> None:
        """Emit statements at this level."""
        for statement in body:
            self.at(statement.span)
            self.statement(statement)
            if isinstance(statement, nodes.Return | nodes.Exit | nodes.Break | nodes.Continue):
                return

    def statement(self, s: nodes.Stmt) -> None:
        """Emit one statement."""
        match s:
            case nodes.Assign(target=target, value=value):
                self.assign(target, value)
            case nodes.Zero(variable=variable):
                self.zero_variable(variable)
            case nodes.If():
                self._if(s)
            case nodes.Switch(subject=subject, cases=cases):
                self._switch(subject, cases)
            case nodes.Loop():
                self._loop(s)
            case nodes.Break():
                self.line("break")
            case nodes.Continue():
                self.statements(self.updates[-1])
                self.line("continue")
            case nodes.Return(value=value):
                self._return(value)
            case nodes.Exit():
                self.line(self.exit_code)
            case nodes.CallAction(action=action, arguments=arguments):
                self.call_action(action, arguments)
            case nodes.CallFunction(function=function, arguments=arguments, target=target):
                self.call_function(function, arguments, target)
            case nodes.CallBlock(block=nodes.Control() as control, arguments=arguments):
                self.bind(control.parameters, arguments)
                self.inline(control.locals, control.body)
            case nodes.SetValid(header=header, valid=valid):
                self.line(f"{self.place(header).code}.valid = {valid}")
            case nodes.Push(stack=stack, count=count):
                self.line(f"{self.place(stack).code}.push({count})")
            case nodes.Pop(stack=stack, count=count):
                self.line(f"{self.place(stack).code}.pop({count})")
            case nodes.Emit(header=header):
                self._emit(header)
            case _:
                self.special(s)

    def special(self, s: nodes.Stmt) -> None:
        """Statements that subclasses know."""
        raise unsupported(s.span, f"statement {type(s).__name__} in this place")

    # -- variables ----------------------------------------------------------------------------

    def declare(self, variables: list[nodes.Variable]) -> None:
        """Give locals their places (once) and make them zero."""
        scalars: dict[str, list[str]] = {}
        for variable in variables:
            if variable not in self.places:
                self.places[variable] = self._local(variable.name, variable.type)
            self._initialise(self.places[variable], scalars)
        for value, names in scalars.items():
            self.line(f"{' = '.join(names)} = {value}")

    def _local(self, name: str, type_: Type) -> Place:
        if isinstance(type_, Struct):
            parts = {f.name: self._local(f"{name}_{f.name}", f.type) for f in type_.fields}
            return Place(type_, "", fields=parts)
        return Place(type_, self.names.fresh(name))

    def _initialise(self, place: Place, scalars: dict[str, list[str]]) -> None:
        if place.fields is not None:
            for part in place.fields.values():
                self._initialise(part, scalars)
        elif is_composite(place.type):
            self.line(f"{place.code} = {self.composites.new(place.type)}")
        else:
            scalars.setdefault(zero(place.type), []).append(place.code)

    def zero_variable(self, variable: nodes.Variable) -> None:
        """Make a variable zero again."""
        if variable not in self.places:
            self.declare([variable])
        else:
            self.reset(self.places[variable])

    def assign(self, target: nodes.Expr, value: nodes.Expr) -> None:
        """Assign; a write to an element outside its stack goes to a scratch element."""
        self.store(self._settled(self.place(target)), value)

    # -- calls --------------------------------------------------------------------------------

    def call_action(self, action: nodes.Action, arguments: list[nodes.Argument]) -> None:
        """Inline a direct call of an action."""
        self.bind(action.parameters, arguments)
        self.inline(action.locals, action.body)

    def call_function(
        self, function: nodes.Function, arguments: list[nodes.Argument], target: nodes.Expr | None
    ) -> None:
        """Inline a call of a function."""
        self.bind(function.parameters, arguments)
        place = self._settled(self.place(target)) if target is not None else None
        self.inline(function.locals, function.body, place)

    def bind(self, parameters: list[nodes.Variable], arguments: list[nodes.Argument]) -> None:
        """Let parameters stand for their arguments (the IR promises that they do not overlap)."""
        places: list[Place] = []
        for parameter, argument in zip(parameters, arguments, strict=True):
            if parameter.direction in ("out", "inout"):
                places.append(self._settled(self.place(argument.value)))
            else:
                places.append(self._read_only(parameter, argument.value))
        for parameter, place in zip(parameters, places, strict=True):
            self.places[parameter] = place
            if parameter.direction == "out":
                self.reset(place)

    def _read_only(self, parameter: nodes.Variable, value: nodes.Expr) -> Place:
        place = self.argument(value)
        if is_composite(place.type):
            return self._settled(place)
        code = self.read(place)
        if not _SIMPLE.fullmatch(code):
            name = self.temporary(parameter.name)
            self.line(f"{name} = {code}")
            code = name
        return Place(place.type, code)

    def inline(
        self, variables: list[nodes.Variable], body: list[nodes.Stmt], target: Place | None = None
    ) -> None:
        """Emit a called body here."""
        self.declare(variables)
        if _has_return(body):
            body = restructure(body)
        framed = not returns_only_at_end(body)
        frame = Frame(framed, self.loops + framed, target)
        self.frames.append(frame)
        if framed:
            frame.flag = self.temporary("returned")
            self.line(f"{frame.flag} = False")
            self.line("while True:")
            self.loops += 1
            self.block(body)
            self.loops -= 1
            self.depth += 1
            self.line("break")
            self.depth -= 1
        else:
            self.statements(body)
        self.frames.pop()

    def _return(self, value: nodes.Expr | None) -> None:
        if not self.frames:
            if value is not None and self.result is not None:
                self.store(self.result, value)
            self.line(self.exit_code)
            return
        frame = self.frames[-1]
        if value is not None and frame.target is not None:
            self.store(frame.target, value)
        if not frame.loop:
            return
        if self.loops > frame.depth:
            self.line(f"{frame.flag} = True")
        self.line("break")

    # -- control flow -------------------------------------------------------------------------

    def _if(self, s: nodes.If) -> None:
        word = "if"
        while True:
            if not s.then and s.other:
                self.line(f"{word} not {self.atom(s.condition)}:")
                self.block(s.other)
                return
            self.line(f"{word} {self.bare(s.condition)}:")
            self.block(s.then)
            if (
                len(s.other) == 1
                and isinstance(s.other[0], nodes.If)
                and not self._has_setup(s.other[0].condition)
            ):
                s, word = s.other[0], "elif"
                self.at(s.span)
                continue
            break
        if s.other:
            self.line("else:")
            self.block(s.other)

    def _has_setup(self, condition: nodes.Expr) -> bool:
        """True if the text of the condition may need statements before it."""
        return any(isinstance(n, nodes.Make | nodes.MakeInvalid | nodes.StackLast) for n in walk(condition))

    def _switch(self, subject: nodes.Expr, cases: list[nodes.Case]) -> None:
        code = self.bare(subject)
        if not _SIMPLE.fullmatch(code):
            name = self.temporary("subject")
            self.line(f"{name} = {code}")
            code = name
        word = "if"
        default = next((case for case in cases if case.values is None), None)
        for case in cases:
            if case.values is None:
                continue
            if not case.values:
                continue
            values = ", ".join(str(v) for v in case.values)
            test = f"{code} == {values}" if len(case.values) == 1 else f"{code} in ({values})"
            self.line(f"{word} {test}:")
            self.block(case.body)
            word = "elif"
        if default is not None and default.body:
            if word == "if":
                self.statements(default.body)
            else:
                self.line("else:")
                self.block(default.body)

    def _loop(self, s: nodes.Loop) -> None:
        self.line("while True:")
        self.loops += 1
        self.depth += 1
        self.updates.append(s.update)
        self.statements(s.prepare)
        if not (isinstance(s.condition, nodes.Const) and s.condition.value):
            self.line(f"if not {self.atom(s.condition)}:")
            self.line("    break")
        self.statements([*s.body, *(s.update if not self._jumps(s.body) else [])])
        if not s.body and not s.update and not s.prepare:
            self.line("pass")
        self.updates.pop()
        self.depth -= 1
        self.loops -= 1
        frame = self.frames[-1] if self.frames else None
        if frame is not None and frame.loop and _has_return(s):
            self.line(f"if {frame.flag}:")
            self.line("    break")

    def _jumps(self, body: list[nodes.Stmt]) -> bool:
        return bool(body) and isinstance(body[-1], nodes.Break | nodes.Continue | nodes.Return | nodes.Exit)

    def _emit(self, header: nodes.Expr) -> None:
        place = self._settled(self.place(header))
        if not isinstance(place.type, Header) or header_bits(place.type) % 8:
            raise unsupported(header.span, f"emit of {place.type}: its width must be a multiple of 8 bits")
        self.line(f"if {place.code}.valid:")
        self.line(f"    out({self.composites.pack(place.type, place.code)})")
