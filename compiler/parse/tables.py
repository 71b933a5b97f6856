"""Rules for tables: keys, actions, entries and other properties."""

from __future__ import annotations

from p4cats.compiler.parse import ast
from p4cats.compiler.parse.lexer import INT, PRAGMA
from p4cats.compiler.parse.statements import StatementRules


class TableRules(StatementRules):
    """`table name { … }`."""

    def table(self, annotations: list[ast.Annotation]) -> ast.Table:
        """A whole table; errors are reported property by property."""
        first = self.advance()
        name = self.name("the name of the table")
        self.expect("{", "the name of the table")
        node = ast.Table(first.span, annotations, name.text, name.span, [], [], None, False, [])
        seen: set[str] = set()
        self.each(lambda: self._property(node, seen))
        self.expect("}", "the properties of the table")
        self.declare(name.text)
        node.span = self.span_from(first)
        return node

    def _property(self, node: ast.Table, seen: set[str]) -> None:
        annotations = self.annotations() if self.kind in {"@", PRAGMA} else []
        first = self.token
        const = self.accept("const")
        name = self.name("a property of the table")
        if name.text in seen:
            self.reporter.error(name.span, f"property '{name.text}' is given twice")
        seen.add(name.text)
        self.expect("=", "the name of the property")
        if name.text in {"key", "actions"} and const:
            self.reporter.error(first.span, f"'{name.text}' cannot be 'const'")
        match name.text:
            case "key":
                node.has_key_property = True
                self.expect("{", "'key ='")
                self.each(lambda: node.keys.append(self._key()))
                self.expect("}", "the keys")
                self.accept(";")
            case "actions":
                node.has_actions_property = True
                self.expect("{", "'actions ='")
                self.each(lambda: node.actions.append(self._listed_action()))
                self.expect("}", "the actions")
                self.accept(";")
            case "entries":
                node.entries_const = const
                entries = node.entries = []
                self.expect("{", "'entries ='")
                self.each(lambda: entries.append(self._entry()))
                self.expect("}", "the entries")
                self.accept(";")
            case _:
                value = self.expression()
                self.semicolon("the property")
                node.properties.append(
                    ast.TableProperty(self.span_from(first), annotations, const, name.text, value)
                )

    def _key(self) -> ast.KeyElement:
        first = self.token
        expression = self.expression()
        self.expect(":", "the key")
        kind = self.name("a match kind")
        annotations = self.annotations()
        self.semicolon("the key")
        return ast.KeyElement(self.span_from(first), expression, kind.text, annotations)

    def _listed_action(self) -> ast.ActionReference:
        reference = self._action_reference(self.annotations())
        self.semicolon("the action")
        return reference

    def _action_reference(self, annotations: list[ast.Annotation]) -> ast.ActionReference:
        first = self.token
        dotted = self.accept(".")
        name = self.name("the name of an action")
        reference = ast.Name(self.span_from(first), name.text, dotted)
        arguments = self.arguments() if self.kind == "(" else None
        return ast.ActionReference(self.span_from(first), annotations, reference, arguments)

    def _entry(self) -> ast.TableEntry:
        first = self.token
        annotations = self.annotations()
        const = self.accept("const")
        priority: ast.Expression | None = None
        if self.kind == "priority" and self.peek() == "=":
            self.advance()
            self.advance()
            if self.kind not in {INT, "("}:
                raise self.failure("a priority is a number or an expression in parentheses")
            if self.kind == "(":
                self.advance()
                priority = self.expression()
                self.expect(")", "the priority")
            else:
                priority = self._integer()
            self.expect(":", "the priority")
        keyset = self.keyset()
        self.expect(":", "the key set")
        action = self._action_reference([])
        annotations = annotations + self.annotations()
        self.semicolon("the entry")
        return ast.TableEntry(self.span_from(first), annotations, const, priority, keyset, action)
