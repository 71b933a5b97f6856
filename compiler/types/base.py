"""What all parts of the checker share: the reporter, the current scope, errors declared so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from p4cats.compiler.diagnostics import Reporter
from p4cats.compiler.parse import ast
from p4cats.compiler.source import Span
from p4cats.compiler.types import tree
from p4cats.compiler.types.flow import Flow
from p4cats.compiler.types.model import Bits, Bool, Param, Type
from p4cats.compiler.types.scope import Scope, suggest


@dataclass(slots=True)
class Place:
    """Where the code under check stands: decides what may be written there."""

    kind: str = "top"
    """"top", "parser", "control", "action" or "function"."""
    apply: bool = False
    """Inside the apply body of a control, or a parser state."""
    result: Type | None = None
    loops: int = 0
    new_locals: list[tree.Stmt] = field(default_factory=list)
    """Instances of direct applications and others found inside bodies; they belong to the block."""
    instance_names: dict[str, int] = field(default_factory=dict)


class Base:
    """State of a check."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.flow = Flow(reporter)
        self.top = Scope()
        self.scope = self.top
        self.place = Place()
        self.errors: dict[str, int] = {}
        self.match_kinds: set[str] = set()
        self.declared: list[tuple[str, tree.Var | tree.Action | tree.Table | tree.Instance]] = []
        """What should be used, with what it is called; looked at when its block is complete."""
        self.atomic: list[Span] = []
        """Where @atomic holds (18.4.1)."""

    def note_atomic(self, node: ast.Block | ast.Action | ast.State | ast.Declaration) -> None:
        """Remember a node that carries @atomic."""
        if any(a.name == "atomic" for a in node.annotations):
            self.atomic.append(node.span)

    def error(self, span: Span, message: str, hint: str | None = None) -> None:
        """Report an error."""
        self.reporter.error(span, message, hint)

    def wrong(self, span: Span, message: str, hint: str | None = None) -> tree.Expr:
        """Report an error; the erroneous expression that takes the place of what was written."""
        self.reporter.error(span, message, hint)
        return tree.wrong(span)

    @contextmanager
    def nested(self, place: Place | None = None) -> Iterator[None]:
        """A scope inside the current one, and where given another place."""
        scope, old_place = self.scope, self.place
        self.scope = Scope(scope)
        if place is not None:
            self.place = place
        try:
            yield
        finally:
            self.scope, self.place = scope, old_place

    def expect_use(
        self, what: str, symbol: tree.Var | tree.Action | tree.Table | tree.Instance, node: ast.Declaration
    ) -> None:
        """Remember a declaration that should be used."""
        if not node.name.startswith("_") and all(a.name != "noWarn" for a in node.annotations):
            self.declared.append((what, symbol))

    def warn_unused(self) -> None:
        """Warn about declarations that nothing uses, and variables that are read but never written."""
        for what, symbol in self.declared:
            if not symbol.used:
                self.reporter.warning(symbol.span, f"{what} '{symbol.name}' is never used")
            elif isinstance(symbol, tree.Var) and not symbol.written and isinstance(symbol.type, Bits | Bool):
                message = f"variable '{symbol.name}' is read but never given a value"
                self.reporter.warning(symbol.span, message)
        self.declared.clear()

    def define(self, name: str, symbol: tree.Symbol, span: Span) -> None:
        """Declare a name in the current scope; a second declaration in the same scope is an error (6.9)."""
        if name in self.scope.names and name != "_":
            old = self.scope.names[name]
            self.error(span, f"'{name}' is already declared", f"first declared at {old.span}")
        self.scope.names[name] = symbol

    def lookup(self, name: str, dotted: bool, span: Span, what: str = "name") -> tree.Symbol | None:
        """Find a name; None where it is unknown or erroneous, which has been reported then."""
        scope = self.top if dotted else self.scope
        found = scope.find(name)
        if found is None:
            self.error(span, f"unknown {what} '{name}'", suggest(name, scope.visible()))
            value = tree.wrong(span)
            self.scope.names[name] = tree.Const(name, value.type, span, value)  # no second report here
        elif isinstance(found, tree.Const) and isinstance(found.value, tree.Wrong):
            return None
        return found

    def expr(self, node: ast.Expression) -> tree.Expr:
        """Check an expression."""
        raise NotImplementedError

    def parameters(self, nodes: list[ast.Parameter], constructor: bool = False) -> list[Param]:
        """Resolve parameters."""
        raise NotImplementedError

    def bring_in(self, params: list[Param], data: bool = False) -> list[tree.Var]:
        """Declare run-time parameters in the current scope."""
        raise NotImplementedError
