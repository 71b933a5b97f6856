"""Tables and actions (spec 14.1, 14.2)."""

from __future__ import annotations

from p4cats.compiler.parse import ast
from p4cats.compiler.source import Span
from p4cats.compiler.types import tree
from p4cats.compiler.types.annotations import find, key_name, text_of
from p4cats.compiler.types.base import Place
from p4cats.compiler.types.convert import known_later
from p4cats.compiler.types.model import (
    DONT_CARE,
    STRING,
    VOID,
    Bits,
    Block,
    Bool,
    Enum,
    Error,
    Extern,
    Int,
    List,
    Opaque,
    Param,
    Set,
    Signature,
    String,
    Type,
    contains_int,
    is_unknown,
    representation,
)
from p4cats.compiler.types.scope import suggest
from p4cats.compiler.types.statements import Statements

_PROPERTIES = {
    "default_action", "size", "implementation", "counters", "meters", "support_timeout",
    "largest_priority_wins", "priority_delta", "idle_timeout",
}  # fmt: skip
_INSTANCE_PROPERTIES = {
    "counters": ("direct_counter",),
    "meters": ("direct_meter",),
    "implementation": ("action_profile", "action_selector"),
}


class Tables(Statements):
    """Checks actions and tables."""

    def action(self, node: ast.Action) -> tree.Action:
        """An action, at top level or in a control."""
        self.note_atomic(node)
        outer = self.place
        place = Place("action", new_locals=outer.new_locals, instance_names=outer.instance_names)
        with self.nested(place):
            params = self.parameters(node.parameters)
            variables = self.bring_in(params, data=True)
            self._check_parameter_order(node)
            self._check_data(params)
            signature = Signature(node.name, [], params, VOID, node.name_span)
            body: list[tree.Stmt] = []
            with self.nested():
                self.statements(node.body.statements, body)
            self.flow.body(body)
        action = tree.Action(node.name_span, node.name, signature, variables, body, node.annotations)
        if self.place.kind == "control":
            self.expect_use("action", action, node)
        self.define(node.name, action, node.name_span)
        return action

    def _check_parameter_order(self, node: ast.Action) -> None:
        seen_data = False
        for parameter in node.parameters:
            if parameter.direction and seen_data:
                self.error(parameter.span, "parameters with a direction stand before those without (14.1)")
            seen_data = seen_data or not parameter.direction

    def _check_data(self, params: list[Param]) -> None:
        """The control plane gives values, and numbers with a width."""
        for p in params:
            if not p.direction and (
                contains_int(p.type) or isinstance(p.type, String | List | Extern | Block)
            ):
                self.error(p.span, f"the control plane cannot give a '{p.type}' for '{p.name}'")

    def table(self, node: ast.Table) -> tree.Table:
        """A table with all its properties."""
        keys = [k for k in (self._key(e) for e in node.keys) if k is not None]
        table = tree.Table(
            node.name_span, node.name, keys, [], None, False, None, node.entries_const, None, node.annotations
        )
        for reference in node.actions:
            self._action_ref(table, reference)
        if not node.has_actions_property:
            self.error(node.name_span, f"table '{node.name}' has no actions", "write actions = { … }")
        self._properties(node, table)
        if node.entries is not None and len(keys) == len(node.keys):
            if not keys:
                self.error(node.name_span, f"table '{node.name}' has entries, but no key")
            table.entries = self._entries(node, table)
        self.expect_use("table", table, node)
        self.define(node.name, table, node.name_span)
        return table

    def _key(self, node: ast.KeyElement) -> tree.Key | None:
        self.place.apply = True  # keys are evaluated where the table is applied
        e = self.value(node.expression)
        self.place.apply = False
        if node.match_kind not in self.match_kinds:
            self.error(
                node.span,
                f"unknown match kind '{node.match_kind}'",
                suggest(node.match_kind, self.match_kinds),
            )
            return None
        if is_unknown(e.type):
            return None
        if isinstance(e.type, Int):
            self.error(e.span, "a key needs a width", "cast it, as in (bit<8>) …")
            return None
        if not isinstance(representation(e.type), Bits | Enum | Error | Bool):
            self.error(e.span, f"a key cannot have type '{e.type}'")
            return None
        name = text_of(node.annotations, "name") or key_name(node.expression, e)
        if name is None:
            if not find(node.annotations, "hidden"):
                self.error(
                    node.expression.span, "this key needs a name for the control plane", 'add @name("…")'
                )
            name = "?"
        return tree.Key(e, node.match_kind, name, node.span, node.annotations)

    def _action_symbol(self, name: ast.Name) -> tree.Action | None:
        symbol = self.lookup(name.name, name.dotted, name.span, "action")
        if symbol is None:
            return None
        if not isinstance(symbol, tree.Action):
            self.error(name.span, f"'{name.name}' is not an action")
            return None
        symbol.used = True
        return symbol

    def _action_ref(self, table: tree.Table, node: ast.ActionReference) -> None:
        action = self._action_symbol(node.name)
        if action is None:
            return
        if table.find(action) is not None:
            self.error(node.span, f"action '{action.name}' is listed twice")
            return
        directed = [p for p in action.signature.params if p.direction]
        signature = Signature(action.name, [], directed, VOID, node.span)
        matched = self.match(signature, node.arguments or [], [], {}, node.span)
        if matched is not None:
            table.actions.append(tree.ActionRef(action, matched[0], node.span, node.annotations))

    def _action_use(
        self, table: tree.Table, name: ast.Name, arguments: list[ast.Argument], span: Span, what: str
    ) -> tree.ActionUse | None:
        """An action with constant data, which must be in the table's list."""
        action = self._action_symbol(name)
        if action is None:
            return None
        if table.find(action) is None:
            self.error(name.span, f"action '{action.name}' is not in the actions of table '{table.name}'",
                       f"add it to the list, with @defaultonly if it is only the {what}"
                       if what == "default_action" else None)  # fmt: skip
            return None
        params = action.signature.params
        data = [p for p in params if not p.direction]
        directed = len(params) - len(data)
        named = any(a.name for a in arguments)
        bound: list[tuple[str, ast.Expression]] = []
        if directed and not named and len(arguments) == len(params):
            bound = [(p.name, a.value) for p, a in zip(params, arguments[:directed], strict=False)]
            arguments = arguments[directed:]
        elif directed and named:
            bound = [(a.name or "", a.value) for a in arguments if all(p.name != a.name for p in data)]
            arguments = [a for a in arguments if any(p.name == a.name for p in data)]
        self._check_bound(table, action, bound)
        matched = self.match(Signature(action.name, [], data, VOID, span), arguments, [], {}, span)
        if matched is None:
            return None
        for arg in matched[0]:
            if arg.value is not None and not known_later(arg.value):
                self.error(arg.value.span, f"an argument of {what} must be known at compile time")
                return None
        return tree.ActionUse(action, [a.value for a in matched[0] if a.value is not None], span)

    def _check_bound(
        self, table: tree.Table, action: tree.Action, bound: list[tuple[str, ast.Expression]]
    ) -> None:
        """Arguments for directed parameters are those of the action list (14.2.1.3)."""
        reference = table.find(action)
        listed = {} if reference is None else {a.param.name: a.value for a in reference.bound}
        for name, given in bound:
            value = listed.get(name)
            if value is not None and _words(given.span) != _words(value.span):
                self.error(given.span, f"the argument for '{name}' is not the one in the list of actions",
                           f"listed at {value.span}")  # fmt: skip

    # -- properties ---------------------------------------------------------------------------

    def _properties(self, node: ast.Table, table: tree.Table) -> None:
        seen: set[str] = set()
        for item in node.properties:
            if item.name in seen:
                self.error(item.span, f"property '{item.name}' is given twice")
            seen.add(item.name)
            self._property(item, table)

    def _property(self, item: ast.TableProperty, table: tree.Table) -> None:
        match item.name:
            case "default_action":
                table.const_default = item.const
                table.default = self._default_action(item, table)
            case "size":
                size = self.value(item.value)
                if not is_unknown(size.type) and not (
                    isinstance(representation(size.type), Bits | Int) and known_later(size)
                ):
                    self.error(size.span, "size must be a compile-time constant number")
                elif isinstance(size, tree.Constant) and isinstance(size.value, int) and size.value < 0:
                    self.error(size.span, "size cannot be negative")
                else:
                    table.size = size
            case "counters" | "meters" | "implementation":
                self._instance_property(item, table)
            case "support_timeout" | "largest_priority_wins":
                value = self.condition(self.value(item.value), item.name)
                if isinstance(value, tree.Constant):
                    table.properties[item.name] = value
                    if item.name == "largest_priority_wins":
                        table.largest_priority_wins = bool(value.value)
                elif not is_unknown(value.type):
                    self.error(value.span, f"{item.name} must be true or false")
            case "priority_delta":
                table.priority_delta = self.number(self.value(item.value), "priority_delta") or 1
            case _:
                if not find(item.annotations, "noWarn"):
                    self.reporter.warning(
                        item.span,
                        f"unknown table property '{item.name}' has no effect",
                        suggest(item.name, _PROPERTIES),
                    )

    def _default_action(self, item: ast.TableProperty, table: tree.Table) -> tree.ActionUse | None:
        value = item.value
        arguments: list[ast.Argument] = []
        if isinstance(value, ast.Call):
            arguments, value = value.arguments, value.callee
        if not isinstance(value, ast.Name):
            self.error(item.span, "default_action must be an action, with its arguments")
            return None
        return self._action_use(table, value, arguments, item.value.span, "default_action")

    def _instance_property(self, item: ast.TableProperty, table: tree.Table) -> None:
        value = self.expr(item.value)
        if is_unknown(value.type):
            return
        kinds = _INSTANCE_PROPERTIES[item.name]
        if not isinstance(value.type, Extern) or value.type.name not in kinds:
            described = "this" if isinstance(value.type, Opaque) else f"'{value.type}'"
            self.error(item.value.span, f"{item.name} must be a {' or '.join(kinds)}, {described} is not")
            return
        table.properties[item.name] = value
        if isinstance(value, tree.Construct):
            table.property_annotations = item.annotations

    # -- entries ------------------------------------------------------------------------------

    def _entries(self, node: ast.Table, table: tree.Table) -> list[tree.Entry]:
        entries = []
        for item in node.entries or []:
            keys = self.keysets(item.keyset, [k.expression.type for k in table.keys], "key")
            if keys is not None:
                keys = [self._key_fits(k, s) for k, s in zip(table.keys, keys, strict=True)]
                keys = [self._known_key(k) for k in keys]
            use = self._action_use(
                table, item.action.name, item.action.arguments or [], item.action.span, "an entry"
            )
            if use is not None:
                self._check_scope(table, use, item.action.span)
            priority = None
            if item.priority is not None:
                if node.entries_const and not item.const:
                    pass
                priority = self.number(self.value(item.priority), "a priority")
            if keys is not None and use is not None and not any(is_unknown(k.type) for k in keys):
                const = item.const or node.entries_const
                entries.append(tree.Entry(keys, use, priority, const, item.span, item.annotations))
        return entries

    def _check_scope(self, table: tree.Table, use: tree.ActionUse, span: Span) -> None:
        reference = table.find(use.action)
        if reference is not None and find(reference.annotations, "defaultonly"):
            self.error(span, f"action '{use.action.name}' is @defaultonly: it cannot be in an entry")

    def _known_key(self, e: tree.Expr) -> tree.Expr:
        if known_later(e):
            return e
        return self.wrong(e.span, "the keys of an entry must be known at compile time")

    def _key_fits(self, key: tree.Key, e: tree.Expr) -> tree.Expr:
        kind = key.match_kind
        if isinstance(e, tree.MaskSet) and kind not in {"ternary", "lpm"}:
            return self.wrong(e.span, f"a mask cannot match a key of kind {kind}")
        if isinstance(e, tree.RangeSet) and kind != "range":
            return self.wrong(e.span, f"a range cannot match a key of kind {kind}")
        if isinstance(e, tree.Any) and kind == "exact":
            return self.wrong(e.span, "a key of kind exact needs a value")
        if kind == "lpm" and isinstance(e, tree.MaskSet) and isinstance(e.mask, tree.Constant):
            width, mask = representation(e.mask.type), e.mask.value
            if isinstance(width, Bits) and isinstance(mask, int):
                mask &= (1 << width.width) - 1
                inverse = mask ^ ((1 << width.width) - 1)
                if inverse & (inverse + 1):
                    return self.wrong(
                        e.mask.span, "the mask of an lpm key must be a prefix: ones, then zeros"
                    )
        return e

    def keysets(self, node: ast.Expression, types: list[Type], what: str) -> list[tree.Expr] | None:
        """The key sets of a select case or an entry, one per subject (8.21, 13.6)."""
        if isinstance(node, ast.DefaultKeyset | ast.DontCare):
            return [tree.Any(node.span, DONT_CARE) for _ in types]
        nodes = node.elements if isinstance(node, ast.TupleKeyset) else [node]
        if len(types) > 1 and isinstance(node, ast.ListExpression):
            nodes = node.elements
        if len(nodes) != len(types):
            self.error(
                node.span, f"{len(nodes)} key sets for {len(types)} {what}{'s' if len(types) != 1 else ''}"
            )
            return None
        found = [self.keyset(n, t) for n, t in zip(nodes, types, strict=True)]
        return None if any(is_unknown(k.type) for k in found) else found

    def keyset(self, node: ast.Expression, type_: Type) -> tree.Expr:
        """One key set, converted to the type of what it is compared with."""
        e = self.expr(node)
        target = type_
        match e:
            case tree.Any() | tree.Wrong():
                return e
            case tree.MaskSet():
                number = self._number_type(target)
                value, mask = (
                    self.coerce(e.value, number, "the value"),
                    self.coerce(e.mask, number, "the mask"),
                )
                if is_unknown(value.type) or is_unknown(mask.type):
                    return tree.wrong(node.span)
                return tree.MaskSet(e.span, Set(number), value, mask)
            case tree.RangeSet():
                number = self._number_type(target)
                low, high = (
                    self.coerce(e.low, number, "the lower end"),
                    self.coerce(e.high, number, "the upper end"),
                )
                if is_unknown(low.type) or is_unknown(high.type):
                    return tree.wrong(node.span)
                if (
                    isinstance(low, tree.Constant)
                    and isinstance(high, tree.Constant)
                    and (
                        isinstance(low.value, int) and isinstance(high.value, int) and low.value > high.value
                    )
                ):
                    self.reporter.warning(e.span, "the range is empty")
                return tree.RangeSet(e.span, Set(number), low, high)
            case tree.SetRef():
                if e.symbol.element != target:
                    return self.wrong(e.span, f"the value set holds '{e.symbol.element}', not '{target}'")
                return e
        return self.coerce(self.value(node), target, "the subject")

    @staticmethod
    def _number_type(type_: Type) -> Type:
        found = representation(type_)
        return found if isinstance(found, Bits) else type_


def _words(span: Span) -> str:
    """The source text without blanks."""
    return "".join(span.source.text[span.start : span.end].split())


__all__ = ["STRING", "Tables"]
