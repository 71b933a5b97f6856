"""Which storage an expression or an action touches: decides where copies are needed (spec 6.8).

A path is a variable with the fields and indices that lead from it; an unknown index is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from p4cats.compiler.ir import nodes as ir

Path = tuple[ir.Variable, tuple[str | int | None, ...]]


@dataclass(slots=True)
class Effects:
    """What a body reads and writes."""

    reads: set[Path] = field(default_factory=set)
    writes: set[Path] = field(default_factory=set)


def path_of(e: ir.Expr) -> Path | None:
    """The path of an l-value; None for any other expression. Slices count as the whole."""
    steps: list[str | int | None] = []
    while True:
        match e:
            case ir.VarRef(variable=variable):
                steps.reverse()
                return variable, tuple(steps)
            case ir.FieldRef(base=base, field=name):
                steps.append(name)
            case ir.IndexRef(base=base, index=index):
                steps.append(index.value if isinstance(index, ir.Const) else None)
            case ir.StackNext(base=base) | ir.StackLast(base=base):
                steps.append(None)
            case ir.SliceRef(base=base):
                pass
            case _:
                return None
        e = base


def overlap(one: Path, other: Path) -> bool:
    """The paths may share storage."""
    if one[0] is not other[0]:
        return False
    return all(a == b or a is None or b is None for a, b in zip(one[1], other[1], strict=False))


def conflicts(paths: Iterable[Path], others: Iterable[Path]) -> bool:
    """Any two overlap."""
    others = list(others)
    return any(overlap(p, q) for p in paths for q in others)


def children(e: ir.Expr) -> list[ir.Expr]:
    """Operands of an expression."""
    match e:
        case ir.FieldRef(base=b) | ir.StackNext(base=b) | ir.StackLast(base=b) | ir.StackLastIndex(base=b):
            return [b]
        case ir.SliceRef(base=b):
            return [b]
        case ir.IndexRef(base=b, index=i):
            return [b, i]
        case ir.Unary(operand=o) | ir.Cast(operand=o) | ir.IsValid(operand=o):
            return [o]
        case ir.Binary(left=a, right=b):
            return [a, b]
        case ir.Mux(condition=c, then=a, other=b):
            return [c, a, b]
        case ir.Make(values=values):
            return values
        case _:
            return []


def reads(e: ir.Expr) -> Iterator[Path]:
    """Paths that evaluating an expression reads."""
    todo = [e]
    while todo:
        at = todo.pop()
        path = path_of(at)
        if isinstance(at, ir.IsValid):  # validity is storage of its own beside the fields
            path = path_of(at.operand)
            if path is not None:
                yield path[0], (*path[1], "$valid")
                todo.extend(children(at.operand)[1:])
                continue
        if path is None:
            todo.extend(children(at))
            continue
        yield path
        while not isinstance(at, ir.VarRef):  # indices on the way are read as well
            parts = children(at)
            todo.extend(parts[1:])
            if not isinstance(at, ir.SliceRef | ir.FieldRef | ir.IndexRef):
                yield path_of(parts[0]) or path
            at = parts[0]


def body_effects(body: list[ir.Stmt], memo: dict[ir.Action, Effects]) -> Effects:
    """What statements read and write, called actions included."""
    found = Effects()
    for statement in walk(body):
        for target in written(statement):
            path = path_of(target)
            if path is not None:
                found.writes.add(path)
            for part in children(target):
                found.reads.update(reads(part))
        for e in evaluated(statement):
            found.reads.update(reads(e))
        if isinstance(statement, ir.CallAction):
            inner = memo.get(statement.action)
            if inner is None:
                inner = memo[statement.action] = body_effects(statement.action.body, memo)
            found.reads |= inner.reads
            found.writes |= inner.writes
    return found


def may_exit(action: ir.Action) -> bool:
    """The action, or one that it calls, has an exit statement."""
    return any(
        isinstance(s, ir.Exit) or (isinstance(s, ir.CallAction) and may_exit(s.action))
        for s in walk(action.body)
    )


def block_may_exit(block: ir.Control | ir.Parser) -> bool:
    """The control, or one that it applies, or an action that it runs, has an exit statement."""
    if isinstance(block, ir.Parser):
        return False
    if any(may_exit(r.action) for t in block.tables for r in t.actions):
        return True
    return any(
        isinstance(s, ir.Exit)
        or (isinstance(s, ir.CallAction) and may_exit(s.action))
        or (isinstance(s, ir.CallBlock) and block_may_exit(s.block))
        for s in walk(block.body)
    )


def walk(body: list[ir.Stmt]) -> Iterator[ir.Stmt]:
    """All statements, nested ones too."""
    todo = list(reversed(body))
    while todo:
        statement = todo.pop()
        yield statement
        for inner in reversed(bodies(statement)):
            todo.extend(reversed(inner))


def bodies(statement: ir.Stmt) -> list[list[ir.Stmt]]:
    """The statement lists inside a statement."""
    match statement:
        case ir.If(then=then, other=other):
            return [then, other]
        case ir.Switch(cases=cases):
            return [c.body for c in cases]
        case ir.Loop(prepare=prepare, body=body, update=update):
            return [prepare, body, update]
        case _:
            return []


def written(statement: ir.Stmt) -> list[ir.Expr]:
    """The l-values that a statement itself writes."""
    match statement:
        case ir.Assign(target=target) | ir.Lookahead(target=target):
            return [target]
        case ir.Zero(variable=variable):
            return [ir.VarRef(statement.span, variable.type, variable)]
        case ir.SetValid(header=header) | ir.Extract(header=header):
            return [header]
        case ir.Push(stack=stack) | ir.Pop(stack=stack):
            return [stack]
        case (
            ir.CallFunction(arguments=arguments, target=target)
            | ir.ExternCall(arguments=arguments, target=target)
        ):
            found = [a.value for a in arguments if a.direction in {"out", "inout"}]
            return [*found, target] if target is not None else found
        case ir.CallAction(arguments=arguments) | ir.CallBlock(arguments=arguments):
            return [a.value for a in arguments if a.direction in {"out", "inout"}]
        case ir.ApplyTable(hit=hit, action_run=action_run):
            return [ir.VarRef(statement.span, v.type, v) for v in (hit, action_run) if v is not None]
        case _:
            return []


def evaluated(statement: ir.Stmt) -> list[ir.Expr]:
    """The expressions that a statement itself reads."""
    match statement:
        case ir.Assign(value=value):
            return [value]
        case ir.If(condition=condition) | ir.Loop(condition=condition):
            return [condition]
        case ir.Switch(subject=subject):
            return [subject]
        case ir.Return(value=value):
            return [] if value is None else [value]
        case ir.CallAction() | ir.CallFunction() | ir.CallBlock() | ir.ExternCall():
            return [a.value for a in statement.arguments if a.direction != "out"]
        case ir.Extract(varbit_bits=bits):
            return [] if bits is None else [bits]
        case ir.Advance(bits=bits):
            return [bits]
        case ir.Verify(condition=condition, error=error):
            return [condition, error]
        case ir.Emit(header=header):
            return [header]
        case ir.SetValid(header=header):
            return children(header)
        case _:
            return []
