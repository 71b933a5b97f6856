"""Which tables and actions a program can use: p4c drops the others, and P4Info does not list them."""

from __future__ import annotations

from collections.abc import Iterable

from p4cats.compiler.ir import nodes as ir


def applied_tables(program: ir.Program) -> set[int]:
    """`id()` of every table that ingress, egress or a checksum control may apply."""
    return set().union(*(_applied(control) for control in _controls(program)))


def used_actions(program: ir.Program, tables: list[ir.Table]) -> list[ir.Action]:
    """Actions of the given tables, each declaration once, in p4c's order.

    That is control by control; top-level actions (NoAction) stand before a control's own, because p4c
    copies them to the head of every control that uses them.
    """
    wanted = {id(t): t for t in tables}
    found: dict[tuple[str, object], ir.Action] = {}
    for control in _controls(program):
        applied = _applied(control)
        used = {id(r.action) for t in wanted.values() if id(t) in applied for r in t.actions}
        own = {id(a) for block in _blocks(control) for a in block.actions}
        actions = [a for a in program.actions if id(a) in used]
        for action in sorted(actions, key=lambda a: id(a) in own):
            found.setdefault((action.name, action.span), action)
    return list(found.values())


def _controls(program: ir.Program) -> list[ir.Control]:
    return [
        program.verify_checksum,
        program.ingress,
        program.egress,
        program.compute_checksum,
        program.deparser,
    ]


def _applied(control: ir.Control) -> set[int]:
    return {
        id(statement.table)
        for block in _blocks(control)
        for statement in _walk(block.body)
        if isinstance(statement, ir.ApplyTable)
    }


def _blocks(top: ir.Control) -> list[ir.Control]:
    """A control and those that it calls, directly or not."""
    blocks: list[ir.Control] = []
    seen: set[int] = set()
    pending = [top]
    while pending:
        block = pending.pop()
        if id(block) in seen:
            continue
        seen.add(id(block))
        blocks.append(block)
        for statement in _walk(block.body):
            if isinstance(statement, ir.CallBlock) and isinstance(statement.block, ir.Control):
                pending.append(statement.block)
    return blocks


def _walk(statements: Iterable[ir.Stmt]) -> Iterable[ir.Stmt]:
    stack = list(statements)
    while stack:
        statement = stack.pop()
        yield statement
        match statement:
            case ir.If(condition=ir.Const(value=value), then=then, other=other):
                stack.extend(then if value else other)
            case ir.If(then=then, other=other):
                stack.extend(then)
                stack.extend(other)
            case ir.Switch(cases=cases):
                for case in cases:
                    stack.extend(case.body)
            case ir.Loop(prepare=prepare, body=body, update=update):
                stack.extend(prepare)
                stack.extend(body)
                stack.extend(update)
            case _:
                pass


__all__ = ["applied_tables", "used_actions"]
