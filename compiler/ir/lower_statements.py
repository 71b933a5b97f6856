"""Typed statements to IR statements (spec 12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from p4cats.compiler.ir import nodes as ir
from p4cats.compiler.ir.access import conflicts, path_of, reads
from p4cats.compiler.ir.lower_calls import CallLowering
from p4cats.compiler.ir.lower_expressions import cast, unsigned
from p4cats.compiler.ir.types import BOOL, Bits, Bool, Stack
from p4cats.compiler.types import constant, tree


class StatementLowering(CallLowering):
    """Lowers statements into the current body."""

    def statements(self, statements: list[tree.Stmt]) -> None:
        """Lower statements in order."""
        for statement in statements:
            self._statement_lowerings[statement.__class__](self, statement)

    def nested(self, statements: list[tree.Stmt]) -> list[ir.Stmt]:
        """Lower statements into a list of their own."""
        with self.collecting() as out:
            self.statements(statements)
        return out

    def declare(self, symbol: tree.Var) -> ir.Variable:
        """A new local variable."""
        variable = ir.Variable(self.env.names.unique(symbol.name), self.type(symbol.type), symbol.span)
        self.env.variables[symbol] = variable
        self.body.locals.append(variable)
        return variable

    # -- assignment ---------------------------------------------------------------------------

    def _declare(self, s: tree.Declare) -> None:
        if s.value is None:
            variable = self.declare(s.variable)
            if self.body.repeats:
                self.emit(ir.Zero(s.span, variable))
            return
        if isinstance(s.value, tree.FunctionCall | tree.MethodCall):
            variable = self.declare(s.variable)
            self._assign_to(ir.VarRef(s.variable.span, variable.type, variable), s.value, s)
            return
        value = self.expr(s.value)
        variable = self.declare(s.variable)
        self.emit(ir.Assign(s.span, ir.VarRef(s.variable.span, variable.type, variable), value))

    def _assign(self, s: tree.Assign) -> None:
        if isinstance(s.target, tree.PartSelect):
            self._assign_part(s, s.target)
            return
        mark = len(self.body.out)
        target = self.expr(s.target)
        if s.op:
            target = self.freeze(target)
            self._compound(s, target)
            return
        if len(self.body.out) > mark:
            target = self.freeze(target)
        self._assign_to(target, s.value, s)

    def _assign_to(self, target: ir.Expr, value: tree.Expr, s: tree.Stmt) -> None:
        if isinstance(value, tree.FunctionCall | tree.MethodCall) and not self._is_length(value):
            frozen = self.freeze(target)
            self.call(value, frozen)
            self.body.out.extend(self.union_fix(frozen))
            return
        mark = len(self.body.out)
        result = self.expr(value)
        if len(self.body.out) > mark:
            target = self.freeze(target, mark)
        self.store(target, result, s)

    def _is_length(self, e: tree.Expr) -> bool:
        return isinstance(e, tree.MethodCall) and self._method_name(e) == "packet_in.length"

    def store(self, target: ir.Expr, value: ir.Expr, s: tree.Stmt) -> None:
        """Assign; a composite built from the target's own parts goes through a temporary."""
        if isinstance(value, ir.Make):
            path = path_of(target)
            if path is not None and conflicts(reads(value), [path]):
                value = self.save(value)
        self.emit(ir.Assign(s.span, target, value))
        self.body.out.extend(self.union_fix(target))

    def _compound(self, s: tree.Assign, target: ir.Expr) -> None:
        mark = len(self.body.out)
        value = self.expr(s.value)
        left: ir.Expr = target
        if len(self.body.out) > mark:
            left = self.save(target, mark)
        self.emit(ir.Assign(s.span, target, self.binary(s.span, s.op, left, value, s.target.type)))

    def _assign_part(self, s: tree.Assign, target: tree.PartSelect) -> None:
        """`base[low +: width] = value` with `low` known at run time only: masked into the base."""
        base, low = self.indexed(target.base, target.low)
        base = self.freeze(base)
        low = low if self.stable(low) else self.save(low)
        bits = base.type
        assert isinstance(bits, Bits)
        value = self.expr(s.value)
        if s.op:
            old = ir.Binary(s.span, bits, ">>", base, low)
            part = cast(s.span, value.type, cast(s.span, unsigned(bits), old))
            value = self.binary(s.span, s.op, part, value, target.type)
        ones = ir.Const(s.span, bits, constant.wrap((1 << target.width) - 1, bits))
        wide = cast(s.span, bits, cast(s.span, unsigned(bits), value))
        hole = ir.Unary(s.span, bits, "~", ir.Binary(s.span, bits, "<<", ones, low))
        kept = ir.Binary(s.span, bits, "&", base, hole)
        moved = ir.Binary(s.span, bits, "<<", wide, low)
        self.emit(ir.Assign(s.span, base, ir.Binary(s.span, bits, "|", kept, moved)))

    # -- branches -----------------------------------------------------------------------------

    def _call_statement(self, s: tree.CallStmt) -> None:
        self.call(s.call)

    def _if(self, s: tree.If) -> None:
        condition = self.expr(s.condition)
        if isinstance(condition, ir.Const):
            self.statements(s.then if condition.value else s.other)
            return
        then, other = self.nested(s.then), self.nested(s.other)
        self.emit(ir.If(s.span, condition, then, other))

    def _switch(self, s: tree.Switch) -> None:
        subject = self.expr(s.subject)
        table = s.subject.table if isinstance(s.subject, tree.ApplyTable) else None
        cases: list[ir.Case] = []
        for case in s.cases:
            values: list[int] | None = [
                self._label(label, table) for label in case.labels if label is not None
            ]
            if None in case.labels:
                values = None
            cases.append(ir.Case(values, self.nested(case.body)))
        if isinstance(subject.type, Bool):
            self._switch_bool(s, subject, cases)
        else:
            self.emit(ir.Switch(s.span, subject, cases))

    def _switch_bool(self, s: tree.Switch, subject: ir.Expr, cases: list[ir.Case]) -> None:
        branches: list[list[ir.Stmt]] = []
        for truth in (1, 0):
            found = next((c for c in cases if c.values is not None and truth in c.values), None)
            found = found or next((c for c in cases if c.values is None), None)
            branches.append(found.body if found else [])
        self.emit(ir.If(s.span, subject, branches[0], branches[1]))

    def _label(self, label: tree.Expr | tree.Action, table: tree.Table | None) -> int:
        if isinstance(label, tree.Action):
            assert table is not None
            action = self.action_in(table, label)
            references = self.env.tables[table].actions
            return next(i for i, r in enumerate(references) if r.action is action)
        value = self.expr(label)
        assert isinstance(value, ir.Const)
        return value.value

    # -- loops --------------------------------------------------------------------------------

    def _for(self, s: tree.For) -> None:
        self.statements(s.init)
        outer, self.body.repeats = self.body.repeats, True
        with self.collecting() as prepare:
            condition = self.expr(s.condition)
        body, update = self.nested(s.body), self.nested(s.update)
        self.body.repeats = outer
        self.emit(ir.Loop(s.span, prepare, condition, body, update))

    def _for_in(self, s: tree.ForIn) -> None:
        if isinstance(s.collection, tree.RangeSet):
            self._for_range(s, s.collection)
            return
        collection = self.expr(s.collection)
        size = len(collection.values) if isinstance(collection, ir.Make) else 0
        if isinstance(collection.type, Stack):
            size = collection.type.size
            if not isinstance(collection, ir.VarRef | ir.FieldRef | ir.IndexRef):
                collection = self.save(collection)
        elif not isinstance(collection, ir.Make):
            raise self.unit.reporter.fatal(s.span, "for over this collection is not supported")
        width = Bits(32)
        index = self.temporary("index", width, s.span)
        at = ir.VarRef(s.span, width, index)
        variable = self._loop_variable(s)
        self.emit(ir.Assign(s.span, at, ir.Const(s.span, width, 0)))
        outer, self.body.repeats = self.body.repeats, True
        with self.collecting() as body:
            if isinstance(collection.type, Stack):
                self.emit(ir.Assign(s.span, variable, ir.IndexRef(s.span, variable.type, collection, at)))
            else:
                assert isinstance(collection, ir.Make)
                self._pick(s, variable, at, collection.values)
            self.statements(s.body)
        self.body.repeats = outer
        self._loop_up(s, at, ir.Const(s.span, width, size), "<", body)

    def _pick(self, s: tree.ForIn, variable: ir.Expr, at: ir.Expr, values: list[ir.Expr]) -> None:
        cases = [ir.Case([i], [ir.Assign(s.span, variable, v)]) for i, v in enumerate(values)]
        self.emit(ir.Switch(s.span, at, cases))

    def _loop_variable(self, s: tree.ForIn) -> ir.VarRef:
        variable = self.env.variables.get(s.variable) or self.declare(s.variable)
        return ir.VarRef(s.span, variable.type, variable)

    def _loop_up(self, s: tree.ForIn, at: ir.Expr, end: ir.Expr, op: str, body: list[ir.Stmt]) -> None:
        one = ir.Const(s.span, at.type, 1)
        update: list[ir.Stmt] = [ir.Assign(s.span, at, ir.Binary(s.span, at.type, "+", at, one))]
        self.emit(ir.Loop(s.span, [], ir.Binary(s.span, BOOL, op, at, end), body, update))

    def _for_range(self, s: tree.ForIn, collection: tree.RangeSet) -> None:
        """Both ends are evaluated once; the upper end may be the type's greatest value."""
        low, high = self.ordered(collection.low, collection.high)
        assert isinstance(low.type, Bits)
        if not self.stable(high):
            high = self.save(high)
        counter = self.temporary("index", low.type, s.span)
        at = ir.VarRef(s.span, low.type, counter)
        variable = self._loop_variable(s)
        self.emit(ir.Assign(s.span, at, low))
        bounded = isinstance(high, ir.Const) and high.value < constant.limits(low.type)[1]
        outer, self.body.repeats = self.body.repeats, True
        with self.collecting() as body:
            self.emit(ir.Assign(s.span, variable, at))
            self.statements(s.body)
        self.body.repeats = outer
        if bounded:
            self._loop_up(s, at, high, "<=", body)
            return
        more = ir.VarRef(s.span, BOOL, self.temporary("more", BOOL, s.span))
        self.emit(ir.Assign(s.span, more, ir.Binary(s.span, BOOL, "<=", at, high)))
        update: list[ir.Stmt] = [
            ir.Assign(s.span, more, ir.Binary(s.span, BOOL, "!=", at, high)),
            ir.Assign(s.span, at, ir.Binary(s.span, at.type, "+", at, ir.Const(s.span, at.type, 1))),
        ]
        self.emit(ir.Loop(s.span, [], more, body, update))

    # -- jumps --------------------------------------------------------------------------------

    def _return(self, s: tree.Return) -> None:
        self.emit(ir.Return(s.span, None if s.value is None else self.expr(s.value)))

    def _exit(self, s: tree.Exit) -> None:
        self.leave(s.span)

    def _break(self, s: tree.Break) -> None:
        self.emit(ir.Break(s.span))

    def _continue(self, s: tree.Continue) -> None:
        self.emit(ir.Continue(s.span))

    _statement_lowerings: ClassVar[dict[object, Callable[..., None]]] = {
        tree.Assign: _assign,
        tree.CallStmt: _call_statement,
        tree.Declare: _declare,
        tree.If: _if,
        tree.Switch: _switch,
        tree.For: _for,
        tree.ForIn: _for_in,
        tree.Return: _return,
        tree.Exit: _exit,
        tree.Break: _break,
        tree.Continue: _continue,
    }


__all__ = ["StatementLowering"]
