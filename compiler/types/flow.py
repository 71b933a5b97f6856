"""Warnings from the order of statements: what is never reached, and what is read before it has a value.

A simple analysis of one body at a time: a variable counts as unset only while no path can have written it,
so that every warning is a mistake (or at least a value nobody chose).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from p4cats.compiler.diagnostics import Reporter
from p4cats.compiler.types import tree
from p4cats.compiler.types.model import Bits, Bool, representation

_JUMPS = tree.Return | tree.Exit | tree.Break | tree.Continue
Unset = set[tree.Var]


class Flow:
    """Looks at bodies and warns."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def body(self, body: list[tree.Stmt]) -> None:
        """A body that runs from its start."""
        self._statements(body, set())

    def _statements(self, body: list[tree.Stmt], unset: Unset) -> bool:
        """Go through statements; True if the end is not reached."""
        for i, statement in enumerate(body):
            if self._statement(statement, unset):
                if i + 1 < len(body):
                    self._reporter.warning(body[i + 1].span, "this statement is never reached")
                return True
        return False

    def _statement(self, s: tree.Stmt, unset: Unset) -> bool:
        match s:
            case tree.Declare():
                self._read(s.value, unset)
                if s.value is None and isinstance(representation(s.variable.type), Bits | Bool):
                    unset.add(s.variable)
            case tree.Assign():
                self._read(s.value, unset)
                if not isinstance(s.target, tree.Ref) or s.op:
                    self._read(s.target, unset, target=not s.op)
                self._write(s.target, unset)
            case tree.CallStmt():
                self._read(s.call, unset)
            case tree.If():
                return self._if(s, unset)
            case tree.Switch():
                self._read(s.subject, unset)
                bodies = [c.body for c in s.cases]
                total = any(None in c.labels for c in s.cases)
                return self._branches(bodies if total else [*bodies, []], unset)
            case tree.For():
                self._statements(s.init, unset)
                self._forget_written([*s.body, *s.update], unset)
                self._read(s.condition, unset)
                self._statements(s.body, set(unset))
            case tree.ForIn():
                self._read(s.collection, unset)
                unset.discard(s.variable)
                self._forget_written(s.body, unset)
                self._statements(s.body, set(unset))
            case tree.Return():
                self._read(s.value, unset)
                return True
            case tree.Exit() | tree.Break() | tree.Continue():
                return True
        return False

    def _if(self, s: tree.If, unset: Unset) -> bool:
        self._read(s.condition, unset)
        return self._branches([s.then, s.other], unset)

    def _branches(self, bodies: list[list[tree.Stmt]], unset: Unset) -> bool:
        """After a branch a variable is unset if it is unset at the end of every body that has one."""
        ends: list[Unset] = []
        for body in bodies:
            mine = set(unset)
            if not self._statements(body, mine):
                ends.append(mine)
        if ends:
            unset.intersection_update(*ends)
        return not ends

    def _forget_written(self, body: list[tree.Stmt], unset: Unset) -> None:
        """A loop's body may have run before: what it writes may be set."""
        if unset:
            for e in _all_expressions(body):
                self._write(e, unset)

    def _write(self, target: tree.Expr, unset: Unset) -> None:
        while True:
            match target:
                case tree.Ref():
                    unset.discard(target.symbol)
                    return
                case tree.SliceRef(base=base) | tree.PartSelect(base=base):
                    target = base
                case _:
                    return

    def _read(self, e: tree.Expr | None, unset: Unset, target: bool = False) -> None:
        if e is None or not unset:
            return
        if isinstance(e, tree.Ref):
            if e.symbol in unset and not target:
                unset.discard(e.symbol)
                e.symbol.written = True  # one message is enough
                self._reporter.warning(e.span, f"variable '{e.symbol.name}' is read before it has a value")
            return
        if isinstance(e, tree.SliceRef) and target:
            self._read(e.base, unset, target=True)
            return
        if isinstance(e, tree.Call):
            for arg in e.args:
                self._read(arg.value, unset, target=arg.param.direction == "out")
            for arg in e.args:
                if arg.value is not None and arg.param.direction in {"out", "inout"}:
                    self._write(arg.value, unset)
        for part in _parts(e):
            self._read(part, unset)


def _parts(e: tree.Expr) -> Iterator[tree.Expr]:
    """Operands, those of a call's arguments left out."""
    for f in fields(e):
        value = getattr(e, f.name)
        if isinstance(value, tree.Expr):
            yield value
        elif isinstance(value, list):
            yield from (v for v in value if isinstance(v, tree.Expr))


def _all_expressions(body: list[tree.Stmt]) -> Iterator[tree.Expr]:
    """Whatever statements might write, nested ones too: targets and arguments."""
    todo: list[object] = list(body)
    while todo:
        at = todo.pop()
        match at:
            case tree.Assign():
                yield at.target
                todo += [at.value]
            case tree.Arg():
                if at.value is not None:
                    yield at.value
                    todo.append(at.value)
            case tree.SwitchCase():
                todo += at.body
            case tree.ForIn():
                yield tree.Ref(at.span, at.variable.type, at.variable)
                todo += at.body
            case tree.Stmt() | tree.Expr():
                for f in fields(at):
                    value = getattr(at, f.name)
                    if isinstance(value, list):
                        todo += value
                    elif isinstance(value, tree.Expr):
                        todo.append(value)


__all__ = ["Flow"]
