"""Which tables a program can apply: p4c drops the others, and P4Info does not list them."""

from __future__ import annotations

from collections.abc import Iterable

from p4cats.compiler.ir import nodes as ir


def applied_tables(program: ir.Program) -> set[int]:
    """`id()` of every table that ingress, egress or a checksum control may apply."""
    found: set[int] = set()
    seen: set[int] = set()
    pending: list[ir.Control | ir.Parser] = [
        program.parser,
        program.verify_checksum,
        program.ingress,
        program.egress,
        program.compute_checksum,
        program.deparser,
    ]
    while pending:
        block = pending.pop()
        if id(block) in seen:
            continue
        seen.add(id(block))
        if isinstance(block, ir.Control):
            for statement in _walk(block.body):
                if isinstance(statement, ir.ApplyTable):
                    found.add(id(statement.table))
                elif isinstance(statement, ir.CallBlock):
                    pending.append(statement.block)
    return found


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


__all__ = ["applied_tables"]
