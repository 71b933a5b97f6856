"""Checks that a program obeys the rules of the IR (see `p4cats.compiler.ir.nodes`).

A violation is a bug of the compiler, not of the P4 program: it raises MalformedIR.
"""

from __future__ import annotations

from collections.abc import Iterable

from p4cats.compiler.ir import nodes as ir
from p4cats.compiler.ir.access import children, evaluated, overlap, path_of, reads, walk, written
from p4cats.compiler.ir.types import (
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
from p4cats.compiler.source import Span


class MalformedIR(AssertionError):  # noqa: N818
    """The IR breaks its own rules."""


def verify(program: ir.Program) -> None:
    """Check every block, action, table and function that can be reached."""
    checker = _Verifier()
    for function in program.functions:
        checker.scope(function.name, [*function.parameters, *function.locals], function.body)
    for action in program.actions:
        checker.own_action(action, set())
    checker.parser(program.parser)
    for control in (
        program.verify_checksum, program.ingress, program.egress, program.compute_checksum, program.deparser,
    ):  # fmt: skip
        checker.control(control)


class _Verifier:
    """Walks blocks once each."""

    def __init__(self) -> None:
        self.blocks: set[int] = set()
        self.actions: set[int] = set()
        self.known: set[ir.Variable] = set()

    def fail(self, span: Span, message: str) -> None:
        raise MalformedIR(f"{span}: {message}")

    # -- blocks -------------------------------------------------------------------------------

    def control(self, control: ir.Control) -> None:
        if id(control) in self.blocks:
            return
        self.blocks.add(id(control))
        own = [*control.parameters, *control.locals]
        everything = own + [v for a in control.actions for v in (*a.parameters, *a.locals)]
        self._unique(control.name, everything)
        for action in control.actions:
            self.actions.discard(id(action))
            self.own_action(action, set(own))
        self.known = set(own)
        for table in control.tables:
            self._table(table)
        self._statements(control.body)
        self._inner_blocks(control.body)

    def parser(self, parser: ir.Parser) -> None:
        if id(parser) in self.blocks:
            return
        self.blocks.add(id(parser))
        own = [*parser.parameters, *parser.locals]
        self._unique(parser.name, own)
        self.known = set(own)
        self._statements(parser.init)
        if "start" not in parser.states:
            self.fail(parser.span, f"parser {parser.name} has no start state")
        for state in parser.states.values():
            self._statements(state.body)
            self._transition(state, parser)
        for state in parser.states.values():
            self._inner_blocks(state.body)

    def _transition(self, state: ir.State, parser: ir.Parser) -> None:
        transition = state.transition
        names = [transition.state] if transition.cases is None else [c.state for c in transition.cases]
        for name in names:
            if name not in parser.states and name not in {"accept", "reject"}:
                self.fail(state.span, f"no state {name!r}")
        for subject in transition.subjects:
            self._expr(subject)
        for case in transition.cases or []:
            alone = len(case.patterns) == 1 and case.patterns[0].kind == "value_set"
            if not alone and len(case.patterns) != len(transition.subjects):
                self.fail(case.span, "as many patterns as subjects are needed")
            for pattern, subject in zip(case.patterns, transition.subjects, strict=False):
                self._pattern(pattern, subject.type, case.span)

    def _inner_blocks(self, body: list[ir.Stmt]) -> None:
        for statement in walk(body):
            if isinstance(statement, ir.CallBlock):
                if isinstance(statement.block, ir.Control):
                    self.control(statement.block)
                else:
                    self.parser(statement.block)

    def own_action(self, action: ir.Action, around: set[ir.Variable]) -> None:
        """Check an action; `around` are the variables of the block that holds it."""
        if id(action) in self.actions:
            return
        self.actions.add(id(action))
        if not around and any(_foreign(action)):
            return  # belongs to a block: checked there
        self.known = around | set(action.parameters) | set(action.locals)
        self._statements(action.body)

    def scope(self, name: str, own: list[ir.Variable], body: list[ir.Stmt]) -> None:
        self._unique(name, own)
        self.known = set(own)
        self._statements(body)

    def _unique(self, name: str, variables: Iterable[ir.Variable]) -> None:
        seen: set[str] = set()
        for variable in variables:
            if variable.name in seen:
                self.fail(variable.span, f"two variables {variable.name!r} in {name}")
            seen.add(variable.name)

    def _table(self, table: ir.Table) -> None:
        for key in table.keys:
            self._expr(key.expression)
        for reference in table.actions:
            directed = [p for p in reference.action.parameters if p.direction]
            self._call_arguments(reference.bound, directed, table.span)
        matched = [k for k in table.keys if k.match_kind != "selector"]
        for entry in table.entries:
            if len(entry.patterns) != len(matched):
                self.fail(entry.span, "as many patterns as keys are needed")
            for pattern, key in zip(entry.patterns, matched, strict=True):
                self._pattern(pattern, key.expression.type, entry.span)
            if len(entry.call.data) != len(entry.call.action.data):
                self.fail(entry.span, "action data are missing")
        if len(table.default.data) != len(table.default.action.data):
            self.fail(table.span, "data of the default action are missing")

    def _pattern(self, pattern: ir.Pattern, type_: Type, span: Span) -> None:
        for e in (pattern.value, pattern.mask):
            if e is None:
                continue
            self._expr(e)
            if e.type != type_:
                self.fail(span, f"pattern of type {e.type} for {type_}")

    # -- statements ---------------------------------------------------------------------------

    def _statements(self, body: list[ir.Stmt]) -> None:
        for statement in walk(body):
            for e in evaluated(statement):
                self._expr(e)
            for target in written(statement):
                self._expr(target)
                if path_of(target) is None:
                    self.fail(statement.span, f"{type(target).__name__} is no l-value")
            self._statement(statement)

    def _statement(self, s: ir.Stmt) -> None:
        match s:
            case ir.Assign():
                if s.target.type != s.value.type:
                    self.fail(s.span, f"{s.value.type} assigned to {s.target.type}")
            case ir.If(condition=condition) | ir.Loop(condition=condition):
                if not isinstance(condition.type, Bool):
                    self.fail(s.span, "a condition must be bool")
            case ir.Switch():
                if not isinstance(s.subject.type, Bits | Enum | Error):
                    self.fail(s.span, f"switch on {s.subject.type}")
            case ir.CallAction():
                self._call_arguments(s.arguments, s.action.parameters, s.span)
            case ir.CallFunction():
                self._call_arguments(s.arguments, s.function.parameters, s.span)
                if s.target is not None and s.target.type != s.function.return_type:
                    self.fail(s.span, "the result has another type")
            case ir.CallBlock():
                self._call_arguments(s.arguments, s.block.parameters, s.span)
            case ir.ExternCall():
                self._aliases(s.arguments, s.span)
            case ir.Emit() | ir.Extract() | ir.SetValid():
                if not isinstance(s.header.type, Header):
                    self.fail(s.span, f"{type(s).__name__} of {s.header.type}")
            case ir.Push() | ir.Pop():
                if not isinstance(s.stack.type, Stack):
                    self.fail(s.span, f"{type(s).__name__} of {s.stack.type}")

    def _call_arguments(self, arguments: list[ir.Argument], params: list[ir.Variable], span: Span) -> None:
        if len(arguments) != len(params):
            self.fail(span, f"{len(arguments)} arguments for {len(params)} parameters")
        for argument, parameter in zip(arguments, params, strict=True):
            if argument.value.type != parameter.type:
                self.fail(span, f"argument {argument.value.type} for {parameter.type} {parameter.name}")
            if argument.direction != parameter.direction:
                self.fail(
                    span, f"direction {argument.direction!r} for {parameter.direction} {parameter.name}"
                )
        self._aliases(arguments, span)

    def _aliases(self, arguments: list[ir.Argument], span: Span) -> None:
        """Written arguments overlap nothing, and their indices are fixed."""
        for i, argument in enumerate(arguments):
            if argument.direction not in {"out", "inout"}:
                continue
            path = path_of(argument.value)
            if path is None:
                self.fail(span, "an out argument must be an l-value")
                return
            for j, other in enumerate(arguments):
                if i != j and any(overlap(path, p) for p in reads(other.value)):
                    self.fail(span, f"arguments {i} and {j} overlap")

    # -- expressions --------------------------------------------------------------------------

    def _expr(self, e: ir.Expr) -> None:
        todo = [e]
        while todo:
            at = todo.pop()
            todo.extend(children(at))
            self._node(at)

    def _node(self, e: ir.Expr) -> None:
        if isinstance(e.type, Bits) and e.type.width < 0:
            self.fail(e.span, "an 'int' is left")
        match e:
            case ir.VarRef():
                if e.variable not in self.known:
                    self.fail(e.span, f"variable {e.variable.name!r} is not of this block")
                if e.type != e.variable.type:
                    self.fail(e.span, f"variable {e.variable.name!r} has another type")
            case ir.Const():
                if not isinstance(e.type, Bits | Bool | Enum | Error):
                    self.fail(e.span, f"no constant has type {e.type}")
                if isinstance(e.type, Bits) and not _in_range(e.value, e.type):
                    self.fail(e.span, f"{e.value} is not in the range of {e.type}")
            case ir.FieldRef():
                if not isinstance(e.base.type, Composite) or e.field not in e.base.type.by_name:
                    self.fail(e.span, f"{e.base.type} has no field {e.field!r}")
                elif e.base.type.by_name[e.field].type != e.type:
                    self.fail(e.span, f"field {e.field!r} has another type")
            case ir.IndexRef() | ir.StackNext() | ir.StackLast():
                if not isinstance(e.base.type, Stack) or e.base.type.element != e.type:
                    self.fail(e.span, f"{e.base.type} is no stack of {e.type}")
            case ir.SliceRef():
                width = e.base.type.width if isinstance(e.base.type, Bits) else -1
                if not 0 <= e.low <= e.high < width or e.type != Bits(e.high - e.low + 1):
                    self.fail(e.span, f"slice [{e.high}:{e.low}] of {e.base.type}")
            case ir.Binary():
                self._binary(e)
            case ir.Cast():
                if not isinstance(e.type, Bits | Bool) or not isinstance(e.operand.type, Bits | Bool):
                    self.fail(e.span, f"cast from {e.operand.type} to {e.type}")
            case ir.Mux():
                if e.then.type != e.type or e.other.type != e.type or not isinstance(e.condition.type, Bool):
                    self.fail(e.span, "the branches of ?: have other types")
            case ir.IsValid():
                if not isinstance(e.operand.type, Header | Union):
                    self.fail(e.span, f"validity of {e.operand.type}")
            case ir.Make():
                self._make(e)

    def _make(self, e: ir.Make) -> None:
        match e.type:
            case Struct() | Header():
                types: list[Type] = [f.type for f in e.type.fields]
            case Stack():
                types = [e.type.element] * e.type.size
            case _:
                self.fail(e.span, f"no value of {e.type} can be made")
                return
        if [v.type for v in e.values] != types:
            self.fail(e.span, f"the parts do not fit {e.type}")

    def _binary(self, e: ir.Binary) -> None:
        left, right = e.left.type, e.right.type
        if e.op == "++":
            fine = isinstance(left, Bits) and isinstance(right, Bits)
        elif e.op in {"<<", ">>"}:
            fine = isinstance(left, Bits) and isinstance(right, Bits) and left == e.type
        elif e.op in {"==", "!="}:
            fine = left == right and isinstance(left, Bits | Bool | Varbit | Enum | Error | String)
        elif e.op in {"&&", "||"}:
            fine = isinstance(left, Bool) and isinstance(right, Bool)
        elif e.op in {"<", "<=", ">", ">="}:
            fine = left == right and isinstance(left, Bits)
        else:
            fine = left == right == e.type and isinstance(left, Bits)
        if not fine:
            self.fail(e.span, f"{e.op} of {left} and {right} gives {e.type}")


def _in_range(value: int, type_: Bits) -> bool:
    if type_.signed:
        half = 1 << max(0, type_.width - 1)
        return -half <= value < half
    return 0 <= value < 1 << type_.width


def _foreign(action: ir.Action) -> Iterable[ir.Variable]:
    """Variables that the action uses without owning them."""
    own = {*action.parameters, *action.locals}
    for statement in walk(action.body):
        for e in [*evaluated(statement), *written(statement)]:
            for path in reads(e):
                if path[0] not in own:
                    yield path[0]
