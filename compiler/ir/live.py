"""What the control plane sees: tables that are applied and actions that can run.

As in p4c, a table that no control applies and an action that no live table or control body uses do not
exist for P4Info; neither does anything inside an instance that is never applied. An action that only
other actions call is part of these. Extern instances stay, used or not, where their block is live.
"""

from __future__ import annotations

from p4cats.compiler.ir import nodes as ir
from p4cats.compiler.ir.access import walk
from p4cats.compiler.ir.unit import Unit


class Live:
    """The live objects, found from the blocks of the package."""

    def __init__(self, unit: Unit, blocks: list[ir.Parser | ir.Control]) -> None:
        self._unit = unit
        self._blocks: dict[int, ir.Parser | ir.Control] = {}
        self._tables: set[int] = set()
        self._actions: set[int] = set()
        todo = list(blocks)
        while todo:
            block = todo.pop()
            if id(block) in self._blocks:
                continue
            self._blocks[id(block)] = block
            for body in _bodies(block):
                todo.extend(self._scan(body))
        for block in self._blocks.values():
            if isinstance(block, ir.Control):
                block.tables = [t for t in block.tables if id(t) in self._tables]
                block.actions = self._kept_actions(block)

    def _scan(self, body: list[ir.Stmt]) -> list[ir.Parser | ir.Control]:
        found: list[ir.Parser | ir.Control] = []
        for statement in walk(body):
            if isinstance(statement, ir.CallBlock):
                found.append(statement.block)
            elif isinstance(statement, ir.CallAction):
                self._actions.add(id(statement.action))
            elif isinstance(statement, ir.ApplyTable):
                self._tables.add(id(statement.table))
                self._actions.update(id(r.action) for r in statement.table.actions)
        return found

    def _kept_actions(self, control: ir.Control) -> list[ir.Action]:
        """Live actions of a block, and those that they call."""
        kept = set(self._actions)
        for action in reversed(control.actions):
            if id(action) in kept:
                kept.update(id(s.action) for s in walk(action.body) if isinstance(s, ir.CallAction))
        return [a for a in control.actions if id(a) in kept]

    def tables(self) -> list[ir.Table]:
        """In order of elaboration."""
        found = [t for t in self._unit.tables if id(t) in self._tables]
        for extern in self._unit.externs:
            extern.tables = [t for t in extern.tables if id(t) in self._tables]
        return found

    def actions(self) -> list[ir.Action]:
        """In order of first appearance."""
        return [a for a in self._unit.actions if id(a) in self._actions]

    def externs(self) -> list[ir.ExternInstance]:
        """Top-level ones, and those of live blocks."""
        owner = self._unit.owner
        return [e for e in self._unit.externs if owner.get(id(e)) in self._blocks or id(e) not in owner]


def _bodies(block: ir.Parser | ir.Control) -> list[list[ir.Stmt]]:
    if isinstance(block, ir.Control):
        return [block.body]
    return [block.init, *(s.body for s in block.states.values())]
