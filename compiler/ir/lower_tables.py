"""Actions and tables of a block instance, as data and control plane see them (spec 14.1, 14.2)."""

from __future__ import annotations

from p4cats.compiler.ir import nodes as ir
from p4cats.compiler.ir.access import may_exit
from p4cats.compiler.ir.lower_expressions import Body
from p4cats.compiler.ir.lower_statements import StatementLowering
from p4cats.compiler.ir.types import BOOL, P4Annotation
from p4cats.compiler.ir.unit import Environment, control_plane
from p4cats.compiler.types import tree
from p4cats.compiler.types.annotations import find, number_of, p4_annotations, text_of
from p4cats.compiler.types.model import Extern, Type

_RANKED = {"ternary", "range", "optional"}
DEFAULT_SIZE = 1024
"""p4c's size of a table that names none."""


class TableLowering(StatementLowering):
    """Lowers actions and tables."""

    def lower_action(self, action: tree.Action) -> ir.Action:
        """A top-level action, in an environment of its own."""
        return self.__class__(self.unit, Environment()).action(action)

    def reporting_exit(self, action: tree.Action) -> ir.Action:
        """The variant of an action with one more parameter, set where the original exits."""
        found = self.env.exiting.get(action)
        if found is not None:
            return found
        local = action in self.env.actions
        inner = self if local else self.__class__(self.unit, Environment())
        outer = inner.exit_flag
        flag = ir.Variable(inner.env.names.unique("exits"), BOOL, action.span, "inout")
        inner.exit_flag = ir.VarRef(action.span, BOOL, flag)
        made = inner.action(action)
        inner.exit_flag = outer
        made.parameters.insert(len(made.parameters) - len(made.data), flag)
        made.control_plane.name += ".exits"
        made.control_plane.hidden = True
        made.control_plane.id = None
        self.env.exiting[action] = made
        if not local:
            self.unit.actions.append(made)
        return made

    def action(self, action: tree.Action) -> ir.Action:
        """An action of this instance."""
        params: list[ir.Variable] = []
        data: list[ir.ActionParameter] = []
        for p in action.params:
            variable = self.parameter(p)
            params.append(variable)
            if not p.direction:
                self._require_data(p)
                data.append(
                    ir.ActionParameter(
                        variable,
                        text_of(p.annotations, "name") or p.name,
                        p4_annotations(p.annotations, ("name",)),
                        self.unit.types.written(p.type),
                    )
                )
        made = ir.Action(
            control_plane(self.env.prefix, action.name, action.annotations), action.span, params, data, [], []
        )
        outer, self.body = self.body, Body(made.locals, made.body)
        self.statements(action.body)
        self.body = outer
        return made

    def _require_data(self, p: tree.Var) -> None:
        if isinstance(p.type, Extern):
            raise self.unit.reporter.fatal(
                p.span, f"action parameter '{p.name}' of extern type is not supported"
            )

    # -- tables -------------------------------------------------------------------------------

    def table(self, table: tree.Table) -> ir.Table:
        """A table of this instance."""
        with self.collecting() as prelude:
            keys = [self._key(k) for k in table.keys]
        if prelude:
            self.env.key_preludes[table] = prelude
        references = [self._reference(table, r) for r in table.actions]
        made = ir.Table(
            control_plane(self.env.prefix, table.name, table.annotations), table.span, keys, references,
            self._default(table, references), table.const_default, table.default is not None, [],
            table.const_entries and table.entries is not None, self._size(table),
        )  # fmt: skip
        made.implementation = self._resource(table, "implementation", made)
        made.direct_counter = self._resource(table, "counters", made)
        made.direct_meter = self._resource(table, "meters", made)
        timeout = table.properties.get("support_timeout")
        made.support_timeout = isinstance(timeout, tree.Constant) and bool(timeout.value)
        made.entries = self._entries(table, made)
        self.unit.tables.append(made)
        return made

    def _key(self, key: tree.Key) -> ir.Key:
        e = self.expr(key.expression)
        annotations = p4_annotations(key.annotations)
        written = self.unit.types.written(key.expression.type)
        return ir.Key(e, key.match_kind, key.name, key.span, annotations, written)

    def _reference(self, table: tree.Table, reference: tree.ActionRef) -> ir.ActionRef:
        """Bound arguments go with the reference; if that takes copies or calls, a variant does it."""
        action = self.action_of(reference.action)
        held = len(self.body.locals)
        with self.collecting() as effects:
            prepared = self.prepare(reference.bound, self._effects(action))
        bound = prepared.arguments
        reports = self.exit_flag is not None and may_exit(action)
        if effects or prepared.after or reports:
            del self.body.locals[held:]
            action, bound = self._bound_action(reference), []
            self.env.bound[table, reference.action] = action
            self.unit.actions.append(action)
        return ir.ActionRef(
            action,
            bound,
            p4_annotations(reference.annotations),
            find(reference.annotations, "tableonly") is not None,
            find(reference.annotations, "defaultonly") is not None,
        )

    def _bound_action(self, reference: tree.ActionRef) -> ir.Action:
        """An action of the same name and data that evaluates the bound arguments and calls the original."""
        action = reference.action
        original = self.action_of(action)
        data: list[ir.ActionParameter] = []
        for given in original.data:
            old = given.variable
            variable = ir.Variable(self.env.names.unique(old.name), old.type, old.span)
            data.append(ir.ActionParameter(variable, given.name, given.annotations, given.written))
        params = [d.variable for d in data]
        made = ir.Action(original.control_plane, action.span, params, data, [], [])
        outer, self.body = self.body, Body(made.locals, made.body)
        prepared = self.prepare(reference.bound, self._effects(original))
        prepared.arguments += [ir.Argument("", ir.VarRef(p.span, p.type, p)) for p in params]
        self.run_action(action, prepared, reference.span)
        self.body = outer
        return made

    def action_in(self, table: tree.Table, action: tree.Action) -> ir.Action:
        """What stands for an action in a table's list."""
        return self.env.bound.get((table, action)) or self.action_of(action)

    def _default(self, table: tree.Table, references: list[ir.ActionRef]) -> ir.ActionCall:
        if table.default is not None:
            return self._use(table, table.default)
        nothing = next((a for a in self.unit.program.actions if a.name == "NoAction"), None)
        if nothing is None:
            raise self.unit.reporter.fatal(table.span, "NoAction is not declared", "#include <core.p4>")
        action = self.action_of(nothing)
        if all(r.action is not action for r in references):
            from_core = (P4Annotation("defaultonly"),)
            references.append(ir.ActionRef(action, [], from_core, False, True))
        return ir.ActionCall(action, [])

    def _use(self, table: tree.Table, use: tree.ActionUse) -> ir.ActionCall:
        return ir.ActionCall(self.action_in(table, use.action), [self.known(d) for d in use.data])

    def known(self, e: tree.Expr) -> int:
        """The number that a compile-time expression has in this instance."""
        value = self.expr(e)
        if not isinstance(value, ir.Const):
            raise self.unit.reporter.fatal(e.span, "this value is not known at compile time")
        return value.value

    def _size(self, table: tree.Table) -> int:
        return (self.known(table.size) if table.size is not None else 0) or DEFAULT_SIZE

    def _resource(self, table: tree.Table, name: str, made: ir.Table) -> ir.ExternInstance | None:
        e = table.properties.get(name)
        if e is None:
            return None
        if isinstance(e, tree.Construct):
            instance = self.anonymous_extern(e, table)
        else:
            found = self.instance_of(e)
            assert isinstance(found, ir.ExternInstance)
            instance = found
        if instance.kind.startswith("direct_") and instance.tables:
            self.unit.reporter.error(e.span, f"{instance.kind} '{instance.name}' already belongs to a table")
        instance.tables.append(made)
        return instance

    def anonymous_extern(self, e: tree.Construct, table: tree.Table) -> ir.ExternInstance:
        """An extern constructed in place, as a table property."""
        raise NotImplementedError

    # -- entries ------------------------------------------------------------------------------

    def _entries(self, table: tree.Table, made: ir.Table) -> list[ir.Entry]:
        entries = table.entries or []
        ranked = any(k.match_kind in _RANKED for k in made.keys)
        priorities = _priorities(table, entries) if ranked else [0] * len(entries)
        result = []
        for entry, priority in zip(entries, priorities, strict=True):
            pairs = zip(table.keys, entry.keys, strict=True)
            patterns = [
                self.pattern(k, table_key.expression.type)
                for table_key, k in pairs
                if table_key.match_kind != "selector"
            ]
            annotations = p4_annotations(entry.annotations)
            result.append(
                ir.Entry(
                    patterns, self._use(table, entry.use), priority, entry.const, entry.span, annotations
                )
            )
        return result

    def pattern(self, e: tree.Expr, type_: Type) -> ir.Pattern:
        """A key set."""
        match e:
            case tree.Any():
                return ir.Pattern("any")
            case tree.MaskSet():
                return ir.Pattern("mask", self.expr(e.value), self.expr(e.mask))
            case tree.RangeSet():
                return ir.Pattern("range", self.expr(e.low), self.expr(e.high))
            case tree.SetRef():
                return ir.Pattern("value_set", value_set=self.env.value_sets[e.symbol])
            case _:
                return ir.Pattern("exact", self.expr(e))


def _priorities(table: tree.Table, entries: list[tree.Entry]) -> list[int]:
    """Priorities with larger ones winning, as P4Runtime has them (14.2.1.4)."""
    if any(find(e.annotations, "priority") for e in entries):
        return _annotated_priorities(entries)
    step = table.priority_delta
    largest = table.largest_priority_wins
    found: list[int] = []
    for i, entry in enumerate(entries):
        if entry.priority is not None:
            found.append(entry.priority)
        elif i == 0:
            found.append((len(entries) - 1) * step + 1 if largest else 1)
        else:
            found.append(found[-1] - step if largest else found[-1] + step)
    if not largest and found:
        top = max(found) + 1
        found = [top - p for p in found]
    return found


def _annotated_priorities(entries: list[tree.Entry]) -> list[int]:
    """`@priority(n)` of the BMv2 back end: smaller wins, entries without have their place (from 1)."""
    found = [number_of(e.annotations, "priority") for e in entries]
    given = [i if n is None else n for i, n in enumerate(found, 1)]
    return [max(given) + 1 - n for n in given]


__all__ = ["DEFAULT_SIZE", "TableLowering"]
