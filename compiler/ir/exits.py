"""Which sub-controls must report `exit` to who applies them (spec 12.5): copy-out comes before leaving.

IR passes arguments by reference, so that most calls need no copy back and `exit` may simply leave. Where a
copy is needed after the call, the control gets one more parameter that says whether it has exited; it
then returns instead. The answers here err on the side of reporting.
"""

from __future__ import annotations

from collections.abc import Iterator

from p4cats.compiler.types import model, tree


class Exits:
    """Answers about one program, each worked out once."""

    def __init__(self, program: tree.Program) -> None:
        self._program = program
        self._actions: dict[tree.Action, bool] = {}
        self._blocks: dict[model.BlockDecl, bool] = {}

    def action(self, action: tree.Action) -> bool:
        """The action, or one that it calls, has an exit statement."""
        found = self._actions.get(action)
        if found is None:
            found = self._actions[action] = self._body(action.body)
        return found

    def block(self, declaration: model.BlockDecl) -> bool:
        """The control, what it applies, or an action that it runs, has an exit statement."""
        found = self._blocks.get(declaration)
        if found is None:
            definition = self._program.blocks.get(declaration)
            found = isinstance(definition, tree.Control) and self._control(definition)
            self._blocks[declaration] = found
        return found

    def _body(self, body: list[tree.Stmt]) -> bool:
        return any(
            isinstance(s, tree.Exit)
            or (
                isinstance(s, tree.CallStmt)
                and isinstance(s.call, tree.ActionCall)
                and self.action(s.call.action)
            )
            for s in statements(body)
        )

    def _control(self, control: tree.Control) -> bool:
        if any(isinstance(p.type, model.Block) for p in control.ctor_params) or self._body(control.body):
            return True
        return any(self._local(s) for s in control.locals)

    def _local(self, local: tree.Stmt) -> bool:
        match local:
            case tree.Action():
                return self.action(local)
            case tree.Table():
                return any(self.action(r.action) for r in local.actions)
            case tree.Instance(type=model.Block() as block, args=args):
                given = [a.value.type for a in args if isinstance(a.value, tree.Construct)]
                inner = [t.declaration for t in given if isinstance(t, model.Block)]
                return any(self.block(d) for d in (block.declaration, *inner))
            case _:
                return False

    def reporting(self, control: tree.Control, all_: bool) -> set[tree.Instance]:
        """The instances of a control that must report; with `all_`, every one that may exit."""
        found: set[tree.Instance] = set()
        for local in control.locals:
            if isinstance(local, tree.Instance):
                if all_:
                    found.add(local)
                for arg in local.args:  # handed to another block: its calls are not seen here
                    if isinstance(arg.value, tree.InstanceRef) and isinstance(
                        arg.value.symbol, tree.Instance
                    ):
                        found.add(arg.value.symbol)
        for statement in statements(control.body):
            if isinstance(statement, tree.CallStmt) and isinstance(statement.call, tree.ApplyBlock):
                target = statement.call.instance
                symbol = target.symbol if isinstance(target, tree.InstanceRef) else None
                if isinstance(symbol, tree.Instance) and not _plain(statement.call.args):
                    found.add(symbol)
        return {i for i in found if isinstance(i.type, model.Block) and self.block(i.type.declaration)}


def _plain(args: list[tree.Arg]) -> bool:
    """Every argument that is written is a path of its own: it needs no copy."""
    roots: list[tuple[object, ...]] = []
    for arg in args:
        if arg.value is None or arg.param.direction not in {"out", "inout"}:
            continue
        path = _path(arg.value)
        if path is None:
            return False
        if any(path[: len(r)] == r[: len(path)] for r in roots):
            return False
        roots.append(path)
    return True


def _path(e: tree.Expr) -> tuple[object, ...] | None:
    match e:
        case tree.Ref():
            return (e.symbol,)
        case tree.FieldRef():
            base = _path(e.base)
            return None if base is None else (*base, e.name)
        case tree.Element(index=tree.Constant(value=value)):
            base = _path(e.base)
            return None if base is None else (*base, value)
        case _:
            return None


def statements(body: list[tree.Stmt]) -> Iterator[tree.Stmt]:
    """All statements, nested ones too."""
    todo = list(reversed(body))
    while todo:
        statement = todo.pop()
        yield statement
        match statement:
            case tree.If():
                todo += [*reversed(statement.other), *reversed(statement.then)]
            case tree.Switch():
                todo += [s for c in reversed(statement.cases) for s in reversed(c.body)]
            case tree.For():
                todo += [*statement.update, *reversed(statement.body), *statement.init]
            case tree.ForIn():
                todo += reversed(statement.body)


__all__ = ["Exits", "statements"]
