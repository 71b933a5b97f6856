"""Rules for annotations (spec v1.2.5, section 20)."""

from __future__ import annotations

from p4cats.compiler.parse import ast
from p4cats.compiler.parse.cursor import NAMES, SyntaxProblem
from p4cats.compiler.parse.expressions import ExpressionRules
from p4cats.compiler.parse.lexer import EOF, INT, PRAGMA, STRING, Token, lex, literal_value, string_value
from p4cats.compiler.source import Source


class AnnotationRules(ExpressionRules):
    """`@name`, `@name(any tokens)`, `@name[values]`, `@pragma name any tokens`."""

    def annotations(self) -> list[ast.Annotation]:
        """All annotations at the current token."""
        found: list[ast.Annotation] = []
        while True:
            if self.kind == "@":
                found.append(self._annotation())
            elif self.kind == PRAGMA:
                found.append(self._pragma())
            else:
                if len(found) > 1:
                    self._check_repeated(found)
                return found

    def _check_repeated(self, annotations: list[ast.Annotation]) -> None:
        """On one element a name is structured or not, and structured once (20.2)."""
        first: dict[str, ast.Annotation] = {}
        for annotation in annotations:
            other = first.setdefault(annotation.name, annotation)
            if other is annotation or (other.structured is None and annotation.structured is None):
                continue
            how = (
                "twice" if other.structured is not None and annotation.structured is not None else "both ways"
            )
            self.reporter.error(
                annotation.span,
                f"annotation '@{annotation.name}' is given {how}",
                "a structured annotation stands once, and not beside one with the same name in (…)",
            )

    def _annotation(self) -> ast.Annotation:
        first = self.advance()
        name = self.name("the name of an annotation").text
        if self.kind == "(":
            body, values, pairs = self._unstructured()
            return ast.Annotation(self.span_from(first), name, body, values, pairs=pairs)
        if self.kind == "[":
            structured = self._structured()
            return ast.Annotation(self.span_from(first), name, None, structured=structured)
        return ast.Annotation(self.span_from(first), name, None)

    def _structured(self) -> list[ast.Expression] | list[ast.NamedValue]:
        self.advance()
        if self.kind in NAMES and self.peek() == "=":
            pairs, _ = self.named_values("]")
            self.expect("]", "the values of the annotation")
            names: set[str] = set()
            for pair in pairs:
                if pair.name in names:
                    self.reporter.error(pair.span, f"key '{pair.name}' is given twice")
                names.add(pair.name)
            return pairs
        values: list[ast.Expression] = []
        while self.kind != "]":
            values.append(self.expression())
            if not self.accept(","):
                break
        self.expect("]", "the values of the annotation")
        return values

    def _unstructured(self) -> tuple[str, list[ast.Expression] | None, list[ast.NamedValue] | None]:
        """The body as text, and parsed where that is possible."""
        opening = self.advance()
        start = self.index
        depth = 1
        index = start
        while depth:
            kind = self.tokens[index].kind
            if kind == EOF:
                self.jump(index)
                raise SyntaxProblem(opening.span, "the body of the annotation is not closed", "add ')'")
            depth += (kind == "(") - (kind == ")")
            index += 1
        body = body_text(self.tokens[start : index - 1])
        values: list[ast.Expression] | None = None
        pairs: list[ast.NamedValue] | None = None
        depth_before, trial_before = self.depth, self.trial
        tokens_before = self.tokens
        self.tokens = [
            *tokens_before[start : index - 1],
            Token(EOF, "", opening.source, opening.end, opening.end),
        ]
        self.trial = True
        try:
            self.jump(0)
            if self.kind in NAMES and self.peek() == "=":
                pairs = self.named_values(EOF)[0]
            else:
                values = self._value_list()
            if self.kind != EOF:
                values = pairs = None
        except SyntaxProblem:
            values = pairs = None
        finally:
            self.tokens = tokens_before
            self.depth, self.trial = depth_before, trial_before
            self.jump(index)
        return body, values, pairs

    def _value_list(self) -> list[ast.Expression]:
        values: list[ast.Expression] = []
        while self.kind != EOF:
            values.append(self.expression())
            if not self.accept(","):
                break
        return values

    def _pragma(self) -> ast.Annotation:
        """`@pragma name body` to the end of the line: an annotation with that body."""
        token = self.advance()
        skipped = len("@pragma")
        tokens = lex(Source("", token.text), skipped)
        if not tokens or tokens[0].kind not in NAMES:
            raise SyntaxProblem(token.span, "'@pragma' needs a name")
        start = token.start
        placed = [
            Token(t.kind, t.text, token.source, t.start + start, t.end + start, t.space) for t in tokens[1:]
        ]
        body = body_text(placed) if placed else None
        values: list[ast.Expression] | None = None
        if placed and all(t.kind == INT for t in placed):
            values = [
                ast.IntLiteral(t.span, *literal_value(t.text), t.text) for t in placed if len(t.text) < 1000
            ]
        elif placed and all(t.kind == STRING for t in placed):
            values = [ast.StringLiteral(t.span, string_value(t.text)) for t in placed]
        return ast.Annotation(token.span, tokens[0].text, body, values)


def body_text(tokens: list[Token]) -> str:
    """The tokens with a space between, whatever the source has: P4Info shows bodies in this form."""
    return " ".join(token.text for token in tokens)
