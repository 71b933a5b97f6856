"""Statements (spec 12) and the declarations that may stand among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from p4cats.compiler.parse import ast
from p4cats.compiler.types import tree
from p4cats.compiler.types.calls import Calls
from p4cats.compiler.types.convert import is_constant, known_later
from p4cats.compiler.types.model import (
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
    Set,
    Stack,
    TableType,
    Type,
    Unknown,
    Void,
    contains_int,
    is_unknown,
    representation,
    substitute,
)
from p4cats.compiler.types.scope import suggest


class Statements(Calls):
    """Checks statements; each method appends to `out`."""

    def statements(self, nodes: list[ast.Statement], out: list[tree.Stmt]) -> None:
        """Check statements in the current scope."""
        for node in nodes:
            check = self._statement_checks.get(type(node))
            if check is None:
                self.error(node.span, "this declaration cannot stand here")
            else:
                check(self, node, out)

    def block(self, node: ast.Statement | None) -> list[tree.Stmt]:
        """Check a statement in a scope of its own."""
        out: list[tree.Stmt] = []
        if isinstance(node, ast.Block):
            self.note_atomic(node)
        if node is not None:
            with self.nested():
                self.statements(node.statements if isinstance(node, ast.Block) else [node], out)
        return out

    # -- declarations -------------------------------------------------------------------------

    def _variable(self, node: ast.Variable, out: list[tree.Stmt]) -> None:
        type_ = self.value_type(node.type)
        if isinstance(type_, Extern | Block):
            self.error(node.type.span, f"'{type_}' needs an instantiation, with parentheses",
                       f"{type_}(…) {node.name};")  # fmt: skip
            type_ = tree.wrong(node.span).type
        elif contains_int(type_) or isinstance(type_, List) or str(type_) == "string":
            message = f"a variable cannot have type '{type_}', which exists at compile time only"
            self.error(node.type.span, message, "make it const")
            type_ = tree.wrong(node.span).type
        value = None
        if node.initializer is not None:
            value = self.coerce(self._right_side(node.initializer), type_, f"variable '{node.name}'")
        variable = tree.Var(node.name, type_, node.name_span, annotations=node.annotations)
        variable.written = value is not None
        self.expect_use("variable", variable, node)
        self.define(node.name, variable, node.name_span)
        out.append(tree.Declare(node.span, variable, value))

    def _right_side(self, node: ast.Expression) -> tree.Expr:
        if isinstance(node, ast.InvalidHeader | ast.Rest):
            return self.expr(node)
        return self.value(node)

    def constant(self, node: ast.Constant) -> None:
        """`const T name = value;` (11.1)."""
        type_ = self.value_type(node.type)
        value = self.coerce(self._right_side(node.value), type_, f"constant '{node.name}'")
        if not is_unknown(value.type) and not is_constant(value) and not known_later(value):
            self.error(node.value.span, f"the value of constant '{node.name}' is not known at compile time")
            value = tree.wrong(node.value.span)
        self.define(node.name, tree.Const(node.name, type_, node.name_span, value), node.name_span)

    def _constant(self, node: ast.Constant, out: list[tree.Stmt]) -> None:
        self.constant(node)

    def instance(self, node: ast.Instantiation) -> tree.Instance | None:
        """`T(…) name;` (11.3)."""
        type_ = self.type_of(node.type)
        made = self.instantiate(node.type, type_, node.arguments, node.span)
        if made is None:
            placeholder = tree.Const(
                node.name, tree.wrong(node.span).type, node.name_span, tree.wrong(node.span)
            )
            self.define(node.name, placeholder, node.name_span)
            return None
        if isinstance(made[0], Extern):
            self._check_abstract(node, made[0])
        instance = tree.Instance(
            node.name_span, node.name, made[0], made[1], node.annotations, bool(node.members)
        )
        self.define(node.name, instance, node.name_span)
        return instance

    def _check_abstract(self, node: ast.Instantiation, type_: Extern) -> None:
        """Abstract methods have implementations in the block after the instance, and only they (11.3.1)."""
        abstract = type_.declaration.abstract
        given: set[str] = set()
        for member in node.members or []:
            if not isinstance(member, ast.Function):
                continue
            given.add(member.name)
            if member.name not in abstract:
                hint = suggest(member.name, abstract)
                self.error(member.name_span, f"'{type_}' has no abstract method '{member.name}'", hint)
            elif not self._implements(member, type_):
                self.error(member.name_span, f"'{member.name}' is not declared like this in '{type_}'",
                           f"declared at {type_.declaration.methods[member.name][0].span}")  # fmt: skip
        for name in sorted(abstract - given):
            self.error(node.name_span, f"'{node.name}' does not implement the abstract method '{name}'",
                       f"write {type_}(…) {node.name} = {{ … }};")  # fmt: skip

    def _implements(self, member: ast.Function, type_: Extern) -> bool:
        binding = dict(zip(type_.declaration.type_params, type_.arguments, strict=False))
        with self.nested():
            params = self.parameters(member.parameters)
            result = VOID if member.return_type is None else self.type_of(member.return_type)
        shape = [(p.direction, p.type) for p in params]
        return any(
            shape == [(p.direction, substitute(p.type, binding)) for p in s.params]
            and result == substitute(s.result, binding)
            for s in type_.declaration.methods[member.name]
        )

    def _instance(self, node: ast.Instantiation, out: list[tree.Stmt]) -> None:
        if self.place.kind not in {"control", "parser"}:
            self.error(node.span, f"instances cannot be declared in a {self.place.kind}")
            return
        instance = self.instance(node)
        if instance is not None:
            kind = instance.type.kind if isinstance(instance.type, Block) else self.place.kind
            if kind != self.place.kind:
                self.error(node.span, f"a {kind} cannot be instantiated in a {self.place.kind}")
            if isinstance(instance.type, Block):
                self.expect_use("instance", instance, node)
            self.place.new_locals.append(instance)

    # -- simple statements --------------------------------------------------------------------

    def _assign(self, node: ast.Assign, out: list[tree.Stmt]) -> None:
        target = self.expr(node.target)
        value = self._right_side(node.value)
        if is_unknown(target.type) or is_unknown(value.type):
            return
        if isinstance(target.type, Opaque | TableType | Extern | Block) or not self.writable(
            target, "the left side"
        ):
            if isinstance(target.type, Opaque | TableType | Extern | Block):
                self.error(target.span, "the left side must be a variable, field, element or slice")
            return
        op = node.op[:-1]
        if not op:
            value = self.coerce(value, target.type, "the left side")
        else:
            result = self.binary(op, target, value, node.span)
            if is_unknown(result.type):
                return
            if result.type != target.type:
                self.error(
                    node.span, f"'{node.op}' gives '{result.type}', which does not fit '{target.type}'"
                )
                return
            if isinstance(result, tree.Binary):
                value = result.right
        if not is_unknown(value.type):
            out.append(tree.Assign(node.span, target, value, op))

    def _call_statement(self, node: ast.CallStatement, out: list[tree.Stmt]) -> None:
        call = self.expr(node.call)
        match call:
            case tree.Wrong() | tree.Constant():
                return
            case tree.BuiltinCall(name="isValid"):
                self.reporter.warning(node.span, "the result of isValid() is not used")
            case tree.Construct():
                self.error(node.span, "an instance needs a name here")
            case tree.Call():
                out.append(tree.CallStmt(node.span, call))

    def _block(self, node: ast.Block, out: list[tree.Stmt]) -> None:
        self.note_atomic(node)
        with self.nested():
            self.statements(node.statements, out)

    def _if(self, node: ast.If, out: list[tree.Stmt]) -> None:
        condition = self.condition(self.value(node.condition), "the condition of if")
        then, other = self.block(node.then), self.block(node.other)
        if not is_unknown(condition.type):
            out.append(tree.If(node.span, condition, then, other))

    def _return(self, node: ast.Return, out: list[tree.Stmt]) -> None:
        if self.place.kind == "parser":
            self.error(node.span, "return cannot be used in a parser")
            return
        value = None if node.value is None else self.value(node.value)
        result = self.place.result
        if self.place.kind != "function" or result is None or isinstance(result, Void):
            if value is not None:
                self.error(node.span, f"a {self.place.kind} without result cannot return a value")
                return
        elif value is None:
            self.error(node.span, f"the function must return a '{result}'")
            return
        else:
            value = self.coerce(value, result, "the result")
        out.append(tree.Return(node.span, value))

    def _exit(self, node: ast.Exit, out: list[tree.Stmt]) -> None:
        if self.place.kind in {"parser", "function"}:
            self.error(node.span, f"exit cannot be used in a {self.place.kind}")
        out.append(tree.Exit(node.span))

    def _break(self, node: ast.Break, out: list[tree.Stmt]) -> None:
        if not self.place.loops:
            self.error(node.span, "break outside of a loop")
        out.append(tree.Break(node.span))

    def _continue(self, node: ast.Continue, out: list[tree.Stmt]) -> None:
        if not self.place.loops:
            self.error(node.span, "continue outside of a loop")
        out.append(tree.Continue(node.span))

    def _empty(self, node: ast.Empty, out: list[tree.Stmt]) -> None:
        pass

    # -- loops --------------------------------------------------------------------------------

    def _for(self, node: ast.For, out: list[tree.Stmt]) -> None:
        with self.nested():
            init: list[tree.Stmt] = []
            self.statements(node.init, init)
            condition = self.condition(self.value(node.condition), "the condition of for")
            update: list[tree.Stmt] = []
            self.statements(node.update, update)
            self.place.loops += 1
            body = self.block(node.body)
            self.place.loops -= 1
        if not is_unknown(condition.type):
            out.append(tree.For(node.span, init, condition, update, body))

    def _for_in(self, node: ast.ForIn, out: list[tree.Stmt]) -> None:
        collection = self.expr(node.collection)
        with self.nested():
            variable = self._loop_variable(node)
            element: Type | None = None
            match collection.type:
                case Set(element=found) if isinstance(collection, tree.RangeSet):
                    element = found
                case Stack(element=found) | List(element=found):
                    element = found
                case Unknown():
                    pass
                case _:
                    self.error(collection.span, f"for cannot go over '{collection.type}'",
                               "ranges, header stacks and lists are possible")  # fmt: skip
            if element is not None and variable is not None:
                if isinstance(collection, tree.RangeSet) and isinstance(variable.type, Bits):
                    low = self.coerce(collection.low, variable.type, "the loop's variable")
                    high = self.coerce(collection.high, variable.type, "the loop's variable")
                    collection = tree.RangeSet(collection.span, Set(variable.type), low, high)
                elif element != variable.type and not is_unknown(variable.type):
                    self.error(
                        collection.span,
                        f"'{variable.name}' has type '{variable.type}', the elements '{element}'",
                    )
                    element = None
            self.place.loops += 1
            body = self.block(node.body)
            self.place.loops -= 1
        if variable is not None and element is not None and not is_unknown(collection.type):
            out.append(tree.ForIn(node.span, variable, collection, body))

    def _loop_variable(self, node: ast.ForIn) -> tree.Var | None:
        if node.type is not None:
            variable = tree.Var(node.name, self.value_type(node.type), node.span)
            self.define(node.name, variable, node.span)
            return variable
        symbol = self.lookup(node.name, False, node.span, "variable")
        if symbol is None:
            return None
        if isinstance(symbol, tree.Var):
            symbol.used = symbol.written = True
        if not isinstance(symbol, tree.Var) or not symbol.writable:
            self.error(node.span, f"'{node.name}' is not a variable that can be written")
            return None
        return symbol

    # -- switch -------------------------------------------------------------------------------

    def _switch(self, node: ast.Switch, out: list[tree.Stmt]) -> None:
        subject = self.as_switch_subject(node.subject)
        groups: list[tree.SwitchCase] = []
        labels: list[tree.Expr | tree.Action | None] = []
        seen: set[object] = set()
        for case in node.cases:
            known, label = self._label(case.label, subject, seen)
            if known:
                labels.append(label)
            if case.body is not None:
                groups.append(tree.SwitchCase(labels, self.block(case.body), case.span))
                labels = []
        if node.cases and node.cases[-1].body is None:
            self.reporter.warning(node.cases[-1].span, "the last case falls through to nothing")
            if labels:
                groups.append(tree.SwitchCase(labels, [], node.cases[-1].span))
        if any(isinstance(c.label, ast.DefaultKeyset) for c in node.cases[:-1]):
            early = next(c for c in node.cases if isinstance(c.label, ast.DefaultKeyset))
            self.reporter.warning(
                early.label.span, "default is not the last case", "the labels after it are looked at first"
            )
            groups.sort(key=lambda group: None in group.labels)
        if not is_unknown(subject.type):
            out.append(tree.Switch(node.span, subject, groups))

    def as_switch_subject(self, node: ast.Expression) -> tree.Expr:
        """action_run, or a number, enum or error (12.7)."""
        subject = self.expr(node)
        match subject.type:
            case TableType(part="action_run") | Unknown():
                return subject
            case TableType(part="result"):
                return self.wrong(subject.span, "switch needs .action_run, .hit or .miss of the result")
        subject = self.value(node)
        if isinstance(subject.type, Int):
            return self.wrong(subject.span, "the subject of a switch needs a width", "as in 8w1")
        if not isinstance(representation(subject.type), Bits | Bool | Enum | Error | Unknown):
            return self.wrong(subject.span, f"switch is not possible on '{subject.type}'")
        return subject

    def _label(
        self, node: ast.Expression, subject: tree.Expr, seen: set[object]
    ) -> tuple[bool, tree.Expr | tree.Action | None]:
        if isinstance(node, ast.DefaultKeyset):
            if None in seen:
                self.error(node.span, "default is given twice")
            seen.add(None)
            return True, None
        if isinstance(subject, tree.ApplyTable) and subject.part == "action_run":
            return self._action_label(node, subject.table, seen)
        label = self.value(node)
        if is_unknown(subject.type):
            return False, None
        label = self.coerce(label, subject.type, "a case label")
        if isinstance(label, tree.Constant):
            if label.value in seen:
                self.error(node.span, "this label is given twice")
            seen.add(label.value)
            return True, label
        if not is_unknown(label.type):
            self.error(node.span, "a case label must be a compile-time constant")
        return False, None

    def _action_label(
        self, node: ast.Expression, table: tree.Table, seen: set[object]
    ) -> tuple[bool, tree.Expr | tree.Action | None]:
        label = self.expr(node)
        if is_unknown(label.type):
            return False, None
        if not isinstance(label, tree.Named) or not isinstance(label.symbol, tree.Action):
            self.error(node.span, f"a label must be an action of table '{table.name}'")
            return False, None
        if table.find(label.symbol) is None:
            self.error(node.span, f"action '{label.symbol.name}' is not an action of table '{table.name}'")
            return False, None
        if label.symbol in seen:
            self.error(node.span, f"action '{label.symbol.name}' is given twice")
        seen.add(label.symbol)
        return True, label.symbol

    _statement_checks: ClassVar[dict[type[ast.Statement], Callable[..., None]]] = {
        ast.Variable: _variable,
        ast.Constant: _constant,
        ast.Instantiation: _instance,
        ast.Assign: _assign,
        ast.CallStatement: _call_statement,
        ast.Block: _block,
        ast.If: _if,
        ast.Switch: _switch,
        ast.For: _for,
        ast.ForIn: _for_in,
        ast.Return: _return,
        ast.Exit: _exit,
        ast.Break: _break,
        ast.Continue: _continue,
        ast.Empty: _empty,
    }


__all__ = ["VOID", "Statements"]
