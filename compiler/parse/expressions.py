"""Rules for types, expressions, key sets and arguments."""

from __future__ import annotations

from p4cats.compiler.parse import ast
from p4cats.compiler.parse.cursor import MAX_CHAIN, NAMES, Cursor, SyntaxProblem
from p4cats.compiler.parse.lexer import ID, INT, STRING, literal_value, string_value
from p4cats.compiler.source import Span

BINARY = {
    "||": 1, "&&": 2, "==": 3, "!=": 3, "<": 4, ">": 4, "<=": 4, ">=": 4, "|": 5, "^": 6, "&": 7,
    "<<": 8, ">>": 8, "++": 9, "+": 9, "-": 9, "|+|": 9, "|-|": 9, "*": 10, "/": 10, "%": 10,
}  # fmt: skip
"""Precedence: as in C, but `& ^ |` bind closer than comparisons (spec section 8)."""

BASE_TYPES = frozenset({"bit", "int", "varbit", "bool", "error", "match_kind", "string", "void"})
TYPE_STARTS = BASE_TYPES | {"tuple"}
_SIZED = frozenset({"bit", "int", "varbit"})
_PREFIX = frozenset({"!", "~", "-", "+"})
_OPERAND_STARTS = frozenset({ID, INT, STRING, "true", "false", "this"})


class ExpressionRules(Cursor):
    """What has a type or a value, or matches one."""

    # -- types ------------------------------------------------------------------------------------

    def starts_type(self) -> bool:
        """Whether a type begins at the current token (a name counts if it is declared as a type)."""
        kind = self.kind
        if kind == ID:
            return self.is_type(self.token.text)
        if kind in TYPE_STARTS:
            return True
        if kind == "list":
            return self.peek() == "<"
        if kind in NAMES:
            return self.is_type(self.token.text)
        if kind == ".":
            return self.peek() in NAMES and self.is_top_level_type(self.tokens[self.index + 1].text)
        return False

    def type_ref(self) -> ast.TypeRef:
        """A type where only a type can stand: any name will do."""
        first = self.token
        kind = self.kind
        self.nest()
        result: ast.TypeRef
        if kind in BASE_TYPES:
            result = self._base_type()
        elif kind == "tuple":
            self.advance()
            self.expect("<", "'tuple'")
            elements = [] if self.kind == ">" else self._type_list()
            self.expect(">", "the types of the tuple")
            result = ast.TupleTypeRef(self.span_from(first), elements)
        elif kind == "list" and self.peek() == "<":
            self.advance()
            self.advance()
            element = self.type_ref()
            self.expect(">", "the type of the list")
            result = ast.ListTypeRef(self.span_from(first), element)
        elif kind in NAMES or kind == ".":
            dotted = self.accept(".")
            name = self.name("a type's name").text
            arguments = self.type_arguments() if self.kind == "<" else []
            result = ast.NamedType(self.span_from(first), name, arguments, dotted)
        else:
            raise self.failure("expected a type")
        levels = 0
        while self.kind == "[":
            levels += 1
            if levels > MAX_CHAIN:
                self.too_deep()
            self.advance()
            size = self.expression()
            self.expect("]", "the size of the stack")
            result = ast.StackTypeRef(self.span_from(first), result, size)
        self.depth -= 1
        return result

    def _base_type(self) -> ast.BaseType:
        first = self.advance()
        width: ast.Expression | None = None
        if first.kind in _SIZED and self.kind == "<":
            self.advance()
            if self.kind == INT:
                width = self._integer()
            elif self.kind == "(":
                self.advance()
                width = self.expression()
                self.expect(")", "the width")
            else:
                hint = None
                if self.kind == ID:
                    hint = f"write {first.text}<({self.token.text})>"
                raise self.failure("a width is a number or an expression in parentheses", hint)
            self.expect(">", "the width")
        elif first.kind == "varbit":
            raise self.failure("expected '<' after 'varbit'", "varbit needs its maximum width: varbit<320>")
        return ast.BaseType(self.span_from(first), first.text, width)

    def type_arguments(self) -> list[ast.TypeRef]:
        """`<T, …>`, with `_` allowed."""
        self.expect("<", "the name")
        if self.kind == ">":
            raise self.failure("expected a type")
        arguments = self._type_list()
        self.expect(">", "the type arguments")
        return arguments

    def _type_list(self) -> list[ast.TypeRef]:
        types: list[ast.TypeRef] = []
        while True:
            if self.kind == "_":
                types.append(ast.DontCareType(self.advance().span))
            else:
                types.append(self.type_ref())
            if not self.accept(","):
                return types

    def type_parameters(self) -> list[ast.TypeParameter]:
        """`<T, U>` of a declaration; the names are types in the current scope."""
        parameters: list[ast.TypeParameter] = []
        if not self.accept("<"):
            return parameters
        while True:
            token = self.name("the name of a type parameter")
            self.declare(token.text, is_type=True)
            parameters.append(ast.TypeParameter(token.span, token.text))
            if not self.accept(","):
                break
        self.expect(">", "the type parameters")
        return parameters

    def skip_type_arguments(self, index: int, declared_only: bool) -> int | None:
        """The index after `<types>` at `index`, or None if that is not a list of types.

        With `declared_only` a name must be known as a type, which tells `f<T>(x)` from `a < b > (c)`.
        """
        tokens = self.tokens
        depth = 0
        while True:
            token = tokens[index]
            kind = token.kind
            if kind == "<":
                depth += 1
            elif kind in {">", ">>"}:
                depth -= len(kind)
                if depth <= 0:
                    return index + 1 if depth == 0 else None
            elif kind in {"(", INT} and not (
                tokens[index - 1].kind == "<" and tokens[index - 2].kind in _SIZED
            ):
                return None
            elif kind in {"(", "["}:
                close = self._skip_brackets(index)
                if close is None:
                    return None
                index = close
                continue
            elif kind in NAMES:
                if declared_only and kind != "list" and not self.is_type(token.text):
                    return None
            elif kind not in TYPE_STARTS and kind not in {",", "_", ".", INT}:
                return None
            index += 1

    def _skip_brackets(self, index: int) -> int | None:
        """The index after the bracket that closes the one at `index`."""
        depth = 0
        tokens = self.tokens
        for at in range(index, len(tokens)):
            kind = tokens[at].kind
            if kind in {"(", "[", "{"}:
                depth += 1
            elif kind in {")", "]", "}"}:
                depth -= 1
                if depth == 0:
                    return at + 1
            elif kind == ";" and depth == 1:
                return None
        return None

    # -- expressions ------------------------------------------------------------------------------

    def expression(self) -> ast.Expression:
        """A full expression, `?:` included."""
        self.nest()
        first = self.binary(1)
        if self.kind == "?":
            first = self._ternary(first)
        self.depth -= 1
        return first

    def _ternary(self, condition: ast.Expression) -> ast.Expression:
        """`a ? b : c ? d : e`, right-associative, without recursion along the chain."""
        branches: list[tuple[ast.Expression, ast.Expression]] = []
        other = condition
        while self.kind == "?":
            if len(branches) > MAX_CHAIN:
                self.too_deep()
            self.advance()
            then = self.expression()
            self.expect(":", "the second operand of '?'")
            branches.append((other, then))
            other = self.binary(1)
        for asked, then in reversed(branches):
            other = ast.Ternary(self.span_of(asked), asked, then, other)
        return other

    def binary(self, minimum: int) -> ast.Expression:
        """Binary operators of at least this precedence, all left-associative."""
        left = self.unary()
        length = 0
        while True:
            precedence = BINARY.get(self.kind, 0)
            if precedence < minimum or not precedence:
                return left
            length += 1
            if length > MAX_CHAIN:
                self.too_deep()
            op = self.advance().kind
            right = self.binary(precedence + 1)
            left = ast.Binary(self.span_of(left), op, left, right)

    def unary(self) -> ast.Expression:
        """Prefix operators, casts, and what they apply to."""
        kind = self.kind
        if kind in _PREFIX:
            first = self.advance()
            self.nest()
            operand = self.unary()
            self.depth -= 1
            return ast.Unary(self.span_from(first), kind, operand)
        if kind == "(" and self._is_cast():
            first = self.advance()
            target = self.type_ref()
            self.expect(")", "the type of a cast")
            self.nest()
            operand = self.unary()
            self.depth -= 1
            return ast.Cast(self.span_from(first), target, operand)
        return self.postfix(self.primary())

    def _is_cast(self) -> bool:
        """At `(`: whether a type and `)` follow."""
        kind = self.peek()
        tokens = self.tokens
        index = self.index + 1
        if kind in TYPE_STARTS:
            return not (kind == "error" and tokens[index + 1].kind == ".")
        if kind == "list":
            return tokens[index + 1].kind == "<"
        if kind == ".":
            index += 1
        if tokens[index].kind not in NAMES:
            return False
        name = tokens[index].text
        known = self.is_top_level_type(name) if kind == "." else self.is_type(name)
        after: int | None = index + 1
        if tokens[index + 1].kind == "<":
            after = self.skip_type_arguments(index + 1, declared_only=not known)
        while known and after is not None and tokens[after].kind == "[":
            after = self._skip_brackets(after)
        if after is None or tokens[after].kind != ")":
            return False
        # An undeclared name is taken for a type only where nothing else makes sense: `(t) x`.
        return known or tokens[after + 1].kind in _OPERAND_STARTS

    def primary(self) -> ast.Expression:
        """An expression without operators after it."""
        token = self.token
        kind = token.kind
        if kind == ID:
            if self.is_type(token.text):
                return self._type_expression()
            self.advance()
            return ast.Name(token.span, token.text)
        if kind == INT:
            return self._integer()
        if kind == "(":
            self.advance()
            inner = self.expression()
            self.expect(")", "the expression")
            return inner
        if kind in {"true", "false"}:
            self.advance()
            return ast.BoolLiteral(token.span, kind == "true")
        if kind == STRING:
            self.advance()
            if "\n" in token.text and not self.trial:
                opening = Span(token.source, token.start, token.start + 1)
                raise SyntaxProblem(
                    opening, "string is not closed on its line", 'strings end with " on the same line'
                )
            return ast.StringLiteral(token.span, string_value(token.text))
        if kind == "{":
            return self._braces()
        if kind == "{#}":
            self.advance()
            return ast.InvalidHeader(token.span)
        if kind == "this":
            self.advance()
            return ast.Name(token.span, "this")
        if self.starts_type():
            return self._type_expression()
        if kind in NAMES:
            self.advance()
            return ast.Name(token.span, token.text)
        if kind == ".":
            self.advance()
            name = self.name("a name after '.'")
            return ast.Name(self.span_from(token), name.text, dotted=True)
        if kind == "...":
            self.advance()
            return ast.Rest(token.span)
        raise self.failure("expected an expression")

    def _type_expression(self) -> ast.Expression:
        """A type followed by `.member` or `(arguments)`."""
        first = self.token
        if first.kind in TYPE_STARTS or first.kind == "list":
            written = self.type_ref()
        else:
            dotted = self.accept(".")
            name = self.advance()
            arguments: list[ast.TypeRef] = []
            if self.kind == "<":
                after = self.skip_type_arguments(self.index, declared_only=False)
                if after is not None and self.tokens[after].kind in {"(", "."}:
                    arguments = self.type_arguments()
            written = ast.NamedType(self.span_from(first), name.text, arguments, dotted)
        if self.kind not in {"(", "."}:
            raise self.failure("expected '.' or '(' after a type's name")
        return ast.TypeExpression(written.span, written)

    def _integer(self) -> ast.IntLiteral:
        token = self.advance()
        try:
            value, width, signed = literal_value(token.text)
        except ValueError as error:
            raise SyntaxProblem(token.span, str(error)) from None
        return ast.IntLiteral(token.span, value, width, signed, token.text)

    def postfix(self, base: ast.Expression) -> ast.Expression:
        """Members, indexes, slices, calls after an expression."""
        length = 0
        while True:
            kind = self.kind
            if kind == ".":
                self.advance()
                name = self.name("a name after '.'")
                base = ast.Member(self.span_of(base), base, name.text, name.span)
            elif kind == "[":
                base = self._index(base)
            elif kind == "(":
                base = self._call(base, [])
            elif kind == "<" and isinstance(base, (ast.Name, ast.Member)) and self._is_generic_call():
                base = self._call(base, self.type_arguments())
            else:
                return base
            length += 1
            if length > MAX_CHAIN:
                self.too_deep()

    def _is_generic_call(self) -> bool:
        after = self.skip_type_arguments(self.index, declared_only=True)
        return after is not None and self.tokens[after].kind == "("

    def _index(self, base: ast.Expression) -> ast.Expression:
        self.advance()
        first = self.expression()
        if self.kind not in {":", "+:"}:
            self.expect("]", "the index")
            return ast.Index(self.span_of(base), base, first)
        part = self.advance().kind == "+:"
        second = self.expression()
        self.expect("]", "the slice")
        if part:
            return ast.PartSelect(self.span_of(base), base, first, second)
        return ast.Slice(self.span_of(base), base, first, second)

    def _call(self, callee: ast.Expression, types: list[ast.TypeRef]) -> ast.Call:
        arguments = self.arguments()
        return ast.Call(self.span_of(callee), callee, types, arguments)

    def arguments(self) -> list[ast.Argument]:
        """`(a, b)`, `(x = a, y = _)`."""
        self.expect("(", "the name")
        arguments: list[ast.Argument] = []
        while self.kind != ")":
            first = self.token
            name = None
            if self.kind in NAMES and self.peek() == "=":
                name = self.advance().text
                self.advance()
            value = ast.DontCare(self.advance().span) if self.kind == "_" else self.expression()
            arguments.append(ast.Argument(self.span_from(first), name, value))
            if not self.accept(","):
                break
        self.expect(")", "the arguments")
        return arguments

    def _braces(self) -> ast.Expression:
        """`{a, b}`, `{x = a, y = b}`, either with `...` at the end."""
        first = self.advance()
        if self.kind in NAMES and self.peek() == "=":
            fields, rest = self.named_values("}")
            self.expect("}", "the fields")
            return ast.StructExpression(self.span_from(first), fields, rest)
        elements: list[ast.Expression] = []
        rest = False
        while self.kind != "}":
            if self.kind == "...":
                rest = True
                self.advance()
                self.accept(",")
                break
            elements.append(self.expression())
            if not self.accept(","):
                break
        self.expect("}", "the list")
        return ast.ListExpression(self.span_from(first), elements, rest)

    def named_values(self, close: str) -> tuple[list[ast.NamedValue], bool]:
        """`x = a, y = b`, and whether `...` ends it."""
        fields: list[ast.NamedValue] = []
        while self.kind != close:
            if self.kind == "...":
                self.advance()
                self.accept(",")
                return fields, True
            name = self.name("a field's name")
            self.expect("=", "the field's name")
            value = self.expression()
            fields.append(ast.NamedValue(self.span_from(name), name.text, value))
            if not self.accept(","):
                break
        return fields, False

    # -- key sets ---------------------------------------------------------------------------------

    def keyset(self) -> ast.Expression:
        """What a select case or a table entry matches, up to its `:`."""
        if self.kind == "(":
            after = self._skip_brackets(self.index)
            if after is not None and self.tokens[after].kind == ":":
                return self._tuple_keyset()
        return self.simple_keyset()

    def _tuple_keyset(self) -> ast.Expression:
        first = self.advance()
        elements = [self.keyset_element()]
        comma = False
        while self.accept(","):
            comma = True
            if self.kind == ")":
                break
            elements.append(self.keyset_element())
        self.expect(")", "the key set")
        if len(elements) == 1 and not comma:
            return elements[0]
        return ast.TupleKeyset(self.span_from(first), elements)

    def keyset_element(self) -> ast.Expression:
        """One member of a tuple key set; further tuples may stand inside."""
        if self.kind == "(":
            after = self._skip_brackets(self.index)
            if after is not None and self.tokens[after].kind in {",", ")"} and self._has_comma(after):
                self.nest()
                inner = self._tuple_keyset()
                self.depth -= 1
                return inner
        return self.simple_keyset()

    def _has_comma(self, end: int) -> bool:
        """Whether the brackets that open here and close before `end` hold a list."""
        depth = 0
        for token in self.tokens[self.index : end]:
            depth += (token.kind in {"(", "[", "{"}) - (token.kind in {")", "]", "}"})
            if token.kind == "," and depth == 1:
                return True
        return False

    def simple_keyset(self) -> ast.Expression:
        """`default`, `_`, `value`, `value &&& mask`, `low .. high`."""
        token = self.token
        if token.kind == "default":
            self.advance()
            return ast.DefaultKeyset(token.span)
        if token.kind == "_":
            self.advance()
            return ast.DontCare(token.span)
        value = self.expression()
        if self.accept("&&&"):
            mask = self.expression()
            return ast.Mask(self.span_of(value), value, mask)
        if self.accept(".."):
            high = self.expression()
            return ast.Range(self.span_of(value), value, high)
        return value
