"""Rules for declarations: types, externs, functions, actions, parsers, controls, packages."""

from __future__ import annotations

from p4cats.compiler.parse import ast
from p4cats.compiler.parse.cursor import NAMES, SyntaxProblem
from p4cats.compiler.parse.expressions import TYPE_STARTS
from p4cats.compiler.parse.lexer import EOF, ID, PRAGMA, Token
from p4cats.compiler.parse.tables import TableRules

_STATE_FORBIDS = {
    ast.Switch: "'switch'",
    ast.For: "a loop",
    ast.ForIn: "a loop",
    ast.Return: "'return'",
    ast.Exit: "'exit'",
    ast.Break: "'break'",
    ast.Continue: "'continue'",
}


class DeclarationRules(TableRules):
    """The top level of a program."""

    def program(self) -> list[ast.Declaration]:
        """All declarations to the end of the file; each error is reported here."""
        found: list[ast.Declaration] = []
        while self.kind != EOF:
            if self.accept(";"):
                continue
            with self.recovering():
                self._declaration(found)
        return found

    def _declaration(self, found: list[ast.Declaration]) -> None:
        """One top-level declaration (two for a `typedef struct …`), appended to `found`."""
        annotations = self.annotations() if self.kind in {"@", PRAGMA} else []
        kind = self.kind
        match kind:
            case "const":
                found.append(self.constant(annotations))
            case "header" | "struct" | "header_union":
                found.append(self.derived_type(annotations))
            case "enum":
                found.append(self.enum(annotations))
            case "error" | "match_kind" if self.peek() == "{":
                found.append(self._members_only(annotations))
            case "typedef":
                self._typedef(annotations, found)
            case "type":
                found.append(self._new_type(annotations))
            case "extern":
                found.append(self._extern(annotations))
            case "action":
                found.append(self.action(annotations))
            case "parser":
                found.append(self._parser(annotations))
            case "control":
                found.append(self._control(annotations))
            case "package":
                found.append(self._package(annotations))
            case _ if kind in NAMES or kind in TYPE_STARTS or kind == ".":
                found.append(self._function_or_instance(annotations))
            case "}":
                if self.reported < 0:  # otherwise it may be left over from an error
                    self.report(self.failure("expected a declaration", "there is one '}' too many"))
                while self.accept("}"):
                    pass
            case "table" | "state" | "value_set":
                where = "a control" if kind == "table" else "a parser"
                raise self.failure("expected a declaration", f"'{kind}' belongs in {where}")
            case _:
                raise self.failure("expected a declaration")

    def _function_or_instance(self, annotations: list[ast.Annotation]) -> ast.Declaration:
        first = self.token
        written = self.type_ref()
        if self.kind == "(":
            return self.instantiation(annotations, first, written)
        if self.kind in NAMES and self.peek() in {";", "="}:
            self.advance()
            raise SyntaxProblem(
                first.span,
                "a variable cannot be declared at the top level",
                "make it a 'const', or declare it in a control or parser",
            )
        return self.function(annotations, first, written)

    # -- types ------------------------------------------------------------------------------------

    def derived_type(self, annotations: list[ast.Annotation]) -> ast.Declaration:
        """`header`, `struct` or `header_union`."""
        first = self.advance()
        name = self.name(f"the name of the {first.text}")
        self.declare(name.text, is_type=True)
        self.scopes.append({})
        type_parameters = self.type_parameters()
        self.expect("{", f"the name of the {first.text}")
        fields: list[ast.Field] = []
        self.each(lambda: fields.append(self._field()))
        self.scopes.pop()
        self.expect("}", "the fields")
        node = {"header": ast.Header, "struct": ast.Struct, "header_union": ast.HeaderUnion}[first.kind]
        return node(self.span_from(first), annotations, name.text, name.span, type_parameters, fields)

    def _field(self) -> ast.Field:
        annotations = self.annotations()
        first = self.token
        written = self.type_ref()
        name = self.name("the name of the field")
        self.semicolon("the field")
        return ast.Field(self.span_from(first), annotations, name.text, name.span, written)

    def enum(self, annotations: list[ast.Annotation]) -> ast.EnumDeclaration:
        """`enum Name { … }`, `enum type Name { … }`."""
        first = self.advance()
        written = None if self.kind in NAMES and self.peek() == "{" else self.type_ref()
        name = self.name("the name of the enum")
        self.declare(name.text, is_type=True)
        members = self._member_list(values=written is not None)
        span = self.span_from(first)
        return ast.EnumDeclaration(span, annotations, name.text, name.span, written, members)

    def _member_list(self, values: bool) -> list[ast.EnumMember]:
        self.expect("{", "the name")
        members: list[ast.EnumMember] = []
        while self.kind != "}":
            annotations = self.annotations()
            name = self.name("the name of a member")
            value = None
            if self.kind == "=" and not values:
                raise self.failure(
                    "expected ',' after the member", "values need a type: enum bit<8> Name { A = 1 }"
                )
            if values:
                self.expect("=", "the name of the member")
                value = self.expression()
            members.append(ast.EnumMember(self.span_from(name), annotations, name.text, name.span, value))
            if not self.accept(","):
                break
        self.expect("}", "the members")
        return members

    def _members_only(self, annotations: list[ast.Annotation]) -> ast.Declaration:
        """`error { … }` and `match_kind { … }`."""
        first = self.advance()
        members = self._member_list(values=False)
        node = ast.ErrorDeclaration if first.kind == "error" else ast.MatchKindDeclaration
        return node(self.span_from(first), annotations, first.text, first.span, members)

    def _typedef(self, annotations: list[ast.Annotation], found: list[ast.Declaration]) -> None:
        first = self.advance()
        written: ast.TypeRef
        inner = self.annotations()
        if self.kind in {"header", "struct", "header_union", "enum"}:
            derived = self.enum(inner) if self.kind == "enum" else self.derived_type(inner)
            found.append(derived)
            written = ast.NamedType(derived.name_span, derived.name)
        else:
            written = self.type_ref()
        name = self.name("the new name of the type")
        self.declare(name.text, is_type=True)
        self.semicolon("the typedef")
        found.append(ast.Typedef(self.span_from(first), annotations, name.text, name.span, written))

    def _new_type(self, annotations: list[ast.Annotation]) -> ast.NewType:
        first = self.advance()
        written = self.type_ref()
        name = self.name("the name of the new type")
        self.declare(name.text, is_type=True)
        self.semicolon("the type declaration")
        return ast.NewType(self.span_from(first), annotations, name.text, name.span, written)

    # -- externs, packages ------------------------------------------------------------------------

    def _extern(self, annotations: list[ast.Annotation]) -> ast.Declaration:
        first = self.advance()
        if self.kind in NAMES:
            after: int | None = self.index + 1
            if self.peek() == "<":
                after = self.skip_type_arguments(self.index + 1, declared_only=False)
            if after is not None and self.tokens[after].kind in {"{", ";"}:
                return self._extern_object(annotations, first)
        return self.function(annotations, first, self.type_ref(), prototype=True)

    def _extern_object(self, annotations: list[ast.Annotation], first: Token) -> ast.ExternObject:
        name = self.advance()
        self.declare(name.text, is_type=True)
        self.scopes.append({})
        type_parameters = self.type_parameters()
        methods: list[ast.Function] = []
        if self.kind == "{":
            self.advance()
            self.each(lambda: self._method(name.text, methods))
            self.expect("}", "the methods of the extern")
        else:
            self.semicolon("the name of the extern")
        self.scopes.pop()
        return ast.ExternObject(
            self.span_from(first), annotations, name.text, name.span, type_parameters, methods
        )

    def _method(self, extern: str, methods: list[ast.Function]) -> None:
        if self.accept(";"):
            return
        annotations = self.annotations()
        first = self.token
        abstract = self.accept("abstract")
        constructor = self.kind in NAMES and self.peek() == "("
        if constructor and self.token.text != extern:
            raise SyntaxProblem(
                self.token.span, "a method needs a result type", f"only the constructor '{extern}' has none"
            )
        scopes = len(self.scopes)
        self.scopes.append({})
        method = self.function(annotations, first, None if constructor else self.type_ref(), prototype=True)
        del self.scopes[scopes:]
        method.abstract = abstract
        methods.append(method)

    def _package(self, annotations: list[ast.Annotation]) -> ast.PackageDeclaration:
        first = self.advance()
        name = self.name("the name of the package")
        self.declare(name.text, is_type=True)
        self.scopes.append({})
        type_parameters = self.type_parameters()
        parameters = self.parameters("the name of the package")
        self.scopes.pop()
        self.semicolon("the package")
        return ast.PackageDeclaration(
            self.span_from(first), annotations, name.text, name.span, type_parameters, parameters
        )

    # -- parsers ----------------------------------------------------------------------------------

    def _parser(self, annotations: list[ast.Annotation]) -> ast.ParserDeclaration:
        first = self.advance()
        name = self.name("the name of the parser")
        self.declare(name.text, is_type=True)
        self.scopes.append({})
        node = ast.ParserDeclaration(
            first.span,
            annotations,
            name.text,
            name.span,
            self.type_parameters(),
            self.parameters("the name of the parser"),
        )
        if self.kind == ";":
            self.advance()
        else:
            if self.kind == "(":
                node.constructor_parameters = self.parameters("the parameters")
            self.expect("{", "the parameters of the parser")
            states = node.states = []
            self.each(lambda: self._parser_item(node.locals, states))
            self.expect("}", "the states of the parser")
        self.scopes.pop()
        node.span = self.span_from(first)
        return node

    def _parser_item(self, locals_: list[ast.Declaration], states: list[ast.State]) -> None:
        annotations = self.annotations()
        if self.kind == "state":
            states.append(self._state(annotations))
        elif states:
            raise self.failure("expected a state", "declarations stand before the first state")
        elif self.kind == "value_set":
            locals_.append(self._value_set(annotations))
        elif self.kind == "const":
            locals_.append(self.constant(annotations))
        elif self.starts_declaration():
            locals_.append(self.variable_or_instance(annotations))
        else:
            raise self.failure("expected a declaration or a state")

    def _value_set(self, annotations: list[ast.Annotation]) -> ast.ValueSet:
        first = self.advance()
        self.expect("<", "'value_set'")
        element = self.type_ref()
        self.expect(">", "the type of the value set")
        self.expect("(", "the type of the value set")
        size = self.expression()
        self.expect(")", "the size of the value set")
        name = self.name("the name of the value set")
        self.semicolon("the value set")
        self.declare(name.text)
        return ast.ValueSet(self.span_from(first), annotations, name.text, name.span, element, size)

    def _state(self, annotations: list[ast.Annotation]) -> ast.State:
        first = self.advance()
        name = self.name("the name of the state")
        self.expect("{", "the name of the state")
        self.scopes.append({})
        statements = self.statement_list()
        for statement in statements:
            what = _STATE_FORBIDS.get(type(statement))
            if what is not None:
                self.reporter.error(statement.span, f"{what} cannot stand in a parser state")
        transition: ast.Expression | None = None
        if self.accept("transition"):
            transition = self._transition()
        self.scopes.pop()
        if self.kind not in {"}", EOF}:
            raise self.failure(
                "expected '}' after the transition", "a transition is the last statement of a state"
            )
        self.expect("}", "the statements of the state")
        return ast.State(self.span_from(first), annotations, name.text, name.span, statements, transition)

    def _transition(self) -> ast.Expression:
        if self.kind != "select":
            target = self.name("a state or 'select' after 'transition'")
            self.semicolon("the transition")
            return ast.Name(target.span, target.text)
        first = self.advance()
        self.expect("(", "'select'")
        subjects: list[ast.Expression] = []
        while self.kind != ")":
            subjects.append(self.expression())
            if not self.accept(","):
                break
        self.expect(")", "the subjects of 'select'")
        self.expect("{", "the subjects of 'select'")
        cases: list[ast.SelectCase] = []
        self.each(lambda: cases.append(self._select_case()))
        if not cases:
            self.reporter.error(first.span, "a select needs at least one case", "default: accept;")
        self.expect("}", "the cases of 'select'")
        self.accept(";")
        return ast.Select(self.span_from(first), subjects, cases)

    def _select_case(self) -> ast.SelectCase:
        first = self.token
        keyset = self.keyset()
        self.expect(":", "the key set")
        state = self.name("the name of a state")
        self.semicolon("the case")
        return ast.SelectCase(self.span_from(first), keyset, state.text, state.span)

    # -- controls ---------------------------------------------------------------------------------

    def _control(self, annotations: list[ast.Annotation]) -> ast.ControlDeclaration:
        first = self.advance()
        name = self.name("the name of the control")
        self.declare(name.text, is_type=True)
        self.scopes.append({})
        node = ast.ControlDeclaration(
            first.span,
            annotations,
            name.text,
            name.span,
            self.type_parameters(),
            self.parameters("the name of the control"),
        )
        if self.kind == ";":
            self.advance()
        else:
            if self.kind == "(":
                node.constructor_parameters = self.parameters("the parameters")
            self.expect("{", "the parameters of the control")
            errors = self.reporter.error_count
            self.each(lambda: self._control_item(node))
            self.expect("}", "the parts of the control")
            if node.body is None:
                node.body = ast.Block(self.previous.span, [], [])
                if self.reporter.error_count == errors:
                    what = f"control '{name.text}' has no 'apply' block"
                    self.reporter.error(name.span, what, "add: apply { }")
        self.scopes.pop()
        node.span = self.span_from(first)
        return node

    def _control_item(self, node: ast.ControlDeclaration) -> None:
        annotations = self.annotations()
        if node.body is not None:
            hint = "the 'apply' block is the last part of a control"
            raise self.failure("expected '}' after the 'apply' block", hint)
        if self.kind == "apply" and self.peek() in {"{", "@"}:
            self.advance()
            node.body = self.block([*annotations, *self.annotations()], "'apply'")
        else:
            node.locals.append(self._control_local(annotations))

    def _control_local(self, annotations: list[ast.Annotation]) -> ast.Declaration:
        if self.kind == "action":
            return self.action(annotations)
        if self.kind == "table":
            return self.table(annotations)
        if self.kind == "const":
            return self.constant(annotations)
        if self.starts_declaration():
            return self.variable_or_instance(annotations)
        hint = None
        if self.kind in {ID, "if", "return", "switch", "for"}:
            hint = "statements belong in the 'apply' block"
        raise self.failure("expected a declaration or 'apply'", hint)

    def action(self, annotations: list[ast.Annotation]) -> ast.Action:
        """`action name(parameters) { … }`."""
        first = self.advance()
        name = self.name("the name of the action")
        self.declare(name.text)
        self.scopes.append({})
        parameters = self.parameters("the name of the action")
        body = self.block([], "the parameters of the action", scope=False)
        self.scopes.pop()
        return ast.Action(self.span_from(first), annotations, name.text, name.span, parameters, body)
