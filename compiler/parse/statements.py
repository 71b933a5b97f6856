"""Rules for statements, and for the declarations that may stand among them."""

from __future__ import annotations

from p4cats.compiler.parse import ast
from p4cats.compiler.parse.annotations import AnnotationRules
from p4cats.compiler.parse.cursor import CLOSING, MAX_CHAIN, NAMES, SyntaxProblem, show
from p4cats.compiler.parse.expressions import TYPE_STARTS
from p4cats.compiler.parse.lexer import ID, PRAGMA, Token

ASSIGNMENTS = frozenset({"=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "|=", "^=", "|+|=", "|-|="})
_STATEMENT_STARTS = frozenset({"if", "return", "exit", "switch", "for", "break", "continue", ";"})


class StatementRules(AnnotationRules):
    """Bodies of actions, functions, controls and parser states."""

    # -- blocks -----------------------------------------------------------------------------------

    def block(self, annotations: list[ast.Annotation], after: str, scope: bool = True) -> ast.Block:
        """`{ statements }`; the caller may have opened the scope for it already."""
        first = self.token
        self.expect("{", after)
        if scope:
            self.scopes.append({})
        statements = self.statement_list()
        if scope:
            self.scopes.pop()
        self.expect("}", "the statements of the block")
        return ast.Block(self.span_from(first), annotations, statements)

    def statement_list(self) -> list[ast.Statement]:
        """Statements and declarations up to `}` (or `transition`); each error is reported here."""
        statements: list[ast.Statement] = []
        while self.kind not in CLOSING and self.kind != "transition":
            with self.recovering():
                statements.append(self.statement_or_declaration())
        return statements

    def statement_or_declaration(self) -> ast.Statement:
        """What may stand in a block."""
        annotations = self.annotations() if self.kind in {"@", PRAGMA} else []
        if self.kind == "const":
            return self.constant(annotations)
        if self.starts_declaration():
            return self.variable_or_instance(annotations)
        return self.statement(annotations)

    def starts_declaration(self) -> bool:
        """Whether a variable or instance is declared here, not assigned or called."""
        kind = self.kind
        tokens, index = self.tokens, self.index
        if kind in TYPE_STARTS:
            return not (kind == "error" and self.peek() == ".")
        if kind == "list" and self.peek() == "<":
            return True
        if kind == ".":
            index += 1
        if tokens[index].kind not in NAMES:
            return False
        following = tokens[index + 1].kind
        name = tokens[index].text
        if following in NAMES:
            # `T x`; with an unknown T it is still a declaration, of an unknown type.
            return True
        known = self.is_top_level_type(name) if kind == "." else self.is_type(name)
        if following == "<":
            after = self.skip_type_arguments(index + 1, declared_only=False)
            if after is None:
                return False
            following = tokens[after].kind
            return following in NAMES or (known and following in {"(", "["})
        return known and following in {"(", "["}

    # -- declarations in blocks -------------------------------------------------------------------

    def constant(self, annotations: list[ast.Annotation]) -> ast.Constant:
        """`const type name = value;`."""
        first = self.token
        self.expect("const", "the annotations")
        written = self.type_ref()
        name = self.name("the name of the constant")
        if self.kind != "=":
            raise self.failure("expected '=' after the name of the constant", "a constant needs a value")
        self.advance()
        value = self.expression()
        self.semicolon("the value of the constant")
        self.declare(name.text)
        span = self.span_from(first)
        return ast.Constant(span, annotations, name.text, name.span, written, value)

    def variable_or_instance(self, annotations: list[ast.Annotation]) -> ast.Declaration:
        """`type name = value;`, `type(arguments) name = { … };`."""
        first = self.token
        written = self.type_ref()
        if self.kind == "(":
            return self.instantiation(annotations, first, written)
        return self.variable(annotations, first, written)

    def variable(
        self, annotations: list[ast.Annotation], first: Token, written: ast.TypeRef, in_for: bool = False
    ) -> ast.Variable:
        """The rest of a variable's declaration; in the head of a `for` without its `;`."""
        name = self.name("the name of the variable")
        value = self.expression() if self.accept("=") else None
        if not in_for:
            self.semicolon("the declaration of the variable")
        self.declare(name.text)
        return ast.Variable(self.span_from(first), annotations, name.text, name.span, written, value)

    def instantiation(
        self, annotations: list[ast.Annotation], first: Token, written: ast.TypeRef
    ) -> ast.Instantiation:
        """The rest of an instantiation after its type."""
        arguments = self.arguments()
        if self.kind == ";":
            raise self.failure("expected the name of the instance", "write: Type(arguments) name;")
        name = self.name("the name of the instance")
        self.declare(name.text)
        members = self.initializer_block() if self.accept("=") else None
        self.semicolon("the instantiation")
        return ast.Instantiation(
            self.span_from(first), annotations, name.text, name.span, written, arguments, members
        )

    def initializer_block(self) -> list[ast.Declaration]:
        """`{ functions and instances }` that give an instance its abstract methods."""
        self.expect("{", "'='")
        self.nest()
        self.scopes.append({})
        members: list[ast.Declaration] = []
        self.each(lambda: members.append(self._member()))
        self.expect("}", "the members of the instance")
        self.scopes.pop()
        self.depth -= 1
        return members

    def _member(self) -> ast.Declaration:
        annotations = self.annotations()
        first = self.token
        written = self.type_ref()
        if self.kind == "(":
            return self.instantiation(annotations, first, written)
        return self.function(annotations, first, written)

    def function(
        self,
        annotations: list[ast.Annotation],
        first: Token,
        written: ast.TypeRef | None,
        prototype: bool = False,
    ) -> ast.Function:
        """The rest of a function after its result type; a prototype ends in `;`."""
        name = self.name("the name of the function")
        self.declare(name.text)
        self.scopes.append({})
        type_parameters = self.type_parameters()
        parameters = self.parameters("the name of the function")
        body = None
        if prototype:
            self.semicolon("the prototype")
        else:
            body = self.block([], "the parameters of the function", scope=False)
        self.scopes.pop()
        return ast.Function(
            self.span_from(first),
            annotations,
            name.text,
            name.span,
            type_parameters,
            written,
            parameters,
            body,
        )

    def parameters(self, after: str) -> list[ast.Parameter]:
        """`(in T x, out T y = d)`; the names are declared in the current scope."""
        self.expect("(", after)
        parameters: list[ast.Parameter] = []
        while self.kind != ")":
            annotations = self.annotations()
            first = self.token
            direction = self.advance().text if self.kind in {"in", "out", "inout"} else ""
            written = self.type_ref()
            name = self.name("the name of the parameter")
            default = self.expression() if self.accept("=") else None
            self.declare(name.text)
            parameters.append(
                ast.Parameter(
                    self.span_from(first), annotations, name.text, name.span, direction, written, default
                )
            )
            if not self.accept(","):
                break
        self.expect(")", "the parameters")
        return parameters

    # -- statements -------------------------------------------------------------------------------

    def statement(self, annotations: list[ast.Annotation] | None = None) -> ast.Statement:
        """One statement; a declaration is none."""
        self.nest()
        result = self._statement(annotations or [])
        self.depth -= 1
        return result

    def _statement(self, annotations: list[ast.Annotation]) -> ast.Statement:
        kind = self.kind
        first = self.token
        if kind in {"@", PRAGMA}:
            annotations = self.annotations()
            kind, first = self.kind, self.token
        if kind == "{":
            return self.block(annotations, "")
        if kind == "for":
            return self._for(annotations)
        if annotations and kind in {";", "}", "else"}:
            raise self.failure("expected a declaration or a statement after the annotation")
        match kind:
            case ";":
                self.advance()
                return ast.Empty(first.span)
            case "if":
                return self._if()
            case "switch":
                return self._switch()
            case "return":
                self.advance()
                value = None if self.kind == ";" else self.expression()
                self.semicolon("'return'")
                return ast.Return(self.span_from(first), value)
            case "exit" | "break" | "continue":
                self.advance()
                self.semicolon(f"'{kind}'")
                node = {"exit": ast.Exit, "break": ast.Break, "continue": ast.Continue}[kind]
                return node(self.span_from(first))
            case "else":
                raise self.failure("expected a statement", "this 'else' belongs to no 'if'")
            case _:
                return self.assignment_or_call()

    def _branch(self, what: str) -> ast.Statement:
        """The statement under an `if`, `else` or `for`."""
        if self.kind == "const" or (self.kind not in {"@", PRAGMA} and self.starts_declaration()):
            raise SyntaxProblem(
                self.token.span, f"a declaration cannot be the body of '{what}'", "put it in a block: { … }"
            )
        return self.statement()

    def _if(self) -> ast.Statement:
        """`if … else if … else`: the chain is read in a loop, then nested."""
        arms: list[tuple[Token, ast.Expression, ast.Statement]] = []
        other: ast.Statement | None = None
        while True:
            if len(arms) > MAX_CHAIN:
                self.too_deep()
            first = self.advance()
            self.expect("(", "'if'")
            condition = self.expression()
            if self.kind == "=":
                raise self.failure("expected ')' after the condition", "to compare, write '=='")
            self.expect(")", "the condition")
            arms.append((first, condition, self._branch("if")))
            if not self.accept("else"):
                break
            if self.kind != "if":
                other = self._branch("else")
                break
        for first, condition, then in reversed(arms):
            other = ast.If(self.span_from(first), condition, then, other)
        assert other is not None
        return other

    def _switch(self) -> ast.Switch:
        first = self.advance()
        self.expect("(", "'switch'")
        subject = self.expression()
        self.expect(")", "the subject of the switch")
        self.expect("{", "the subject of the switch")
        cases: list[ast.SwitchCase] = []
        self.each(lambda: cases.append(self._switch_case()))
        self.expect("}", "the cases of the switch")
        return ast.Switch(self.span_from(first), subject, cases)

    def _switch_case(self) -> ast.SwitchCase:
        first = self.token
        label: ast.Expression
        if self.kind == "default":
            label = ast.DefaultKeyset(self.advance().span)
        elif self.kind == "{":
            raise self.failure("expected a label", "write: label: { … }")
        elif self.kind == ID and self.peek() == ":":
            # An action's name: not a type even if a type bears it.
            label = ast.Name(first.span, self.advance().text)
        else:
            label = self.expression()
        self.expect(":", "the label")
        if self.kind in _STATEMENT_STARTS or (self.kind in NAMES and self.peek() in ASSIGNMENTS | {"("}):
            raise self.failure("expected '{' after the label", "the body of a case is a block: label: { … }")
        body = self.block([], "the label") if self.kind == "{" else None
        return ast.SwitchCase(self.span_from(first), label, body)

    def _for(self, annotations: list[ast.Annotation]) -> ast.Statement:
        first = self.advance()
        self.expect("(", "'for'")
        self.scopes.append({})
        init: list[ast.Statement] = []
        while self.kind != ";":
            begin_annotations = self.annotations()
            begin = self.token
            if self.kind in NAMES and self.peek() == "in":
                return self._for_in(annotations, first, None)
            if self.starts_declaration():
                written = self.type_ref()
                if self.kind in NAMES and self.peek() == "in":
                    return self._for_in(annotations, first, written)
                init.append(self.variable(begin_annotations, begin, written, in_for=True))
            else:
                init.append(self.assignment_or_call(in_for=True))
            if not self.accept(","):
                break
        self.semicolon("the start of the loop")
        condition = self.expression()
        self.semicolon("the condition of the loop")
        update: list[ast.Statement] = []
        while self.kind != ")":
            update.append(self.assignment_or_call(in_for=True))
            if not self.accept(","):
                break
        self.expect(")", "the head of the loop")
        body = self._branch("for")
        self.scopes.pop()
        return ast.For(self.span_from(first), annotations, init, condition, update, body)

    def _for_in(
        self, annotations: list[ast.Annotation], first: Token, written: ast.TypeRef | None
    ) -> ast.ForIn:
        name = self.advance().text
        self.expect("in", "the name of the loop's variable")
        if written is not None:
            self.declare(name)
        collection = self.expression()
        if self.accept(".."):
            high = self.expression()
            collection = ast.Range(self.span_of(collection), collection, high)
        self.expect(")", "the collection of the loop")
        body = self._branch("for")
        self.scopes.pop()
        return ast.ForIn(self.span_from(first), annotations, written, name, collection, body)

    def assignment_or_call(self, in_for: bool = False) -> ast.Statement:
        """`target op value;`, `callee(…);`, `T.apply(…);`; without `;` in the head of a `for`."""
        first = self.token
        if self.kind not in NAMES and self.kind not in {"this", "(", "."} and not self.starts_type():
            raise self.failure("expected a statement")
        if self.kind == "(" and self._is_cast():
            raise self.failure("expected a statement")
        target = self.postfix(self.primary())
        kind = self.kind
        if kind in ASSIGNMENTS:
            self._check_target(target)
            self.advance()
            value = self.expression()
            if not in_for:
                self.semicolon("the assignment")
            return ast.Assign(self.span_from(first), kind, target, value)
        if isinstance(target, ast.Call):
            if not in_for:
                self.semicolon("the call")
            return ast.CallStatement(self.span_from(first), target)
        hint = None
        if kind == "++":
            hint = "'++' concatenates; to add one write 'x = x + 1'"
        elif kind in NAMES or kind == ";":
            hint = "a call needs '(' and ')'" if kind == ";" else None
        elif kind == "==":
            hint = "to assign, write '='"
        raise SyntaxProblem(
            self.token.span, f"expected '=' or '(' after the name, found {show(self.token)}", hint
        )

    def _check_target(self, target: ast.Expression) -> None:
        if not isinstance(target, (ast.Name, ast.Member, ast.Index, ast.Slice, ast.PartSelect)):
            what = "the result of a call" if isinstance(target, ast.Call) else "this expression"
            raise SyntaxProblem(target.span, f"{what} cannot be assigned to")
