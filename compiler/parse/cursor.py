"""What all parsing rules share: the current token, errors and recovery, scopes, nesting limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from p4cats.compiler.diagnostics import Reporter
from p4cats.compiler.parse import ast
from p4cats.compiler.parse.lexer import (
    BAD,
    CHAR,
    CONTEXTUAL,
    EOF,
    ID,
    INT,
    KEYWORDS,
    STRING,
    Token,
    bad_token_message,
)
from p4cats.compiler.source import Source, Span

MAX_NESTING = 256
"""Parentheses, blocks and types inside each other. Programs written by people stay under 20."""
MAX_CHAIN = 1000
"""Operators in a row, `else if` in a row: they nest in the tree, not in the text."""

NAMES = frozenset({ID, *CONTEXTUAL})
"""Kinds of tokens that can be a name."""

OUTERMOST = frozenset(
    {EOF, "control", "extern", "header", "header_union", "package", "parser", "struct", "typedef"}
)
"""What begins outside of all braces: where one of these stands in a body, a `}` is missing before it."""

CLOSING = OUTERMOST | {"}"}
"""What ends a list of items."""

_CLOSERS = {"(": ")", "[": "]", "{": "}"}


class SyntaxProblem(Exception):  # noqa: N818 - never leaves the parser
    """A syntax error on its way to the nearest place to recover."""

    def __init__(self, span: Span, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.span = span
        self.message = message
        self.hint = hint


def show(token: Token) -> str:
    """A token as messages name it."""
    if token.kind == EOF:
        return "end of file"
    if token.kind in {INT, STRING, CHAR, BAD}:
        return token.text if len(token.text) <= 40 else token.text[:37] + "..."
    if token.kind in KEYWORDS and token.kind != "_":
        return f"keyword '{token.text}'"
    return f"'{token.text}'"


class Cursor:
    """A position in the token list; rules move it forward only."""

    def __init__(self, tokens: list[Token], reporter: Reporter) -> None:
        self.tokens = tokens
        self.reporter = reporter
        self.index = 0
        self.token = tokens[0]
        self.kind = tokens[0].kind
        self.previous = tokens[0]
        """The last token taken (the first one at the start)."""
        self.depth = 0
        self.scopes: list[dict[str, bool]] = [{}]
        """Innermost last: whether a name is a type there."""
        self.reported = -1
        """Index of the token at which an error was reported last."""
        self.trial = False
        """Inside an annotation's body: failure is no error, so nothing may be reported."""

    # -- tokens -----------------------------------------------------------------------------------

    def advance(self) -> Token:
        """Take the current token."""
        token = self.token
        if token.kind != EOF:
            self.previous = token
            self.index += 1
            self.token = self.tokens[self.index]
            self.kind = self.token.kind
        return token

    def jump(self, index: int) -> None:
        """Make the token at `index` the current one."""
        self.index = index
        self.previous = self.tokens[max(index - 1, 0)]
        self.token = self.tokens[index]
        self.kind = self.token.kind

    def peek(self, ahead: int = 1) -> str:
        """Kind of a following token."""
        index = self.index + ahead
        return self.tokens[index].kind if index < len(self.tokens) else EOF

    def accept(self, kind: str) -> bool:
        """Take the current token if it is of this kind."""
        if self.kind == kind:
            self.advance()
            return True
        return False

    def expect(self, kind: str, after: str) -> Token:
        """Take a token of this kind; `after` says what stands before it."""
        if self.kind == kind:
            return self.advance()
        if kind == ">" and self._take_angle():
            return self.previous
        raise self.failure(f"expected '{kind}' after {after}")

    def semicolon(self, after: str) -> None:
        """Take `;`; its absence is reported where it is missing."""
        if self.kind == ";":
            self.advance()
            return
        previous = self.previous
        end = max(previous.end - 1, previous.start)
        raise SyntaxProblem(
            Span(previous.source, end, end + 1),
            f"expected ';' after {after}, found {show(self.token)}",
            self._operator_hint(),
        )

    def _operator_hint(self) -> str | None:
        if self.kind == "++":
            return "'++' concatenates; to add one write 'x = x + 1'"
        if self.kind in {"&&&", ".."}:
            return f"'{self.kind}' stands only in key sets and table entries"
        return None

    def _take_angle(self) -> bool:
        """Take the first `>` of a `>>` that closes two argument lists at once."""
        if self.kind not in {">>", ">=", ">>="}:
            return False
        token = self.token
        rest = token.text[1:]
        middle = token.start + 1
        self.previous = Token(">", ">", token.source, token.start, middle, token.space)
        self.token = self.tokens[self.index] = Token(rest, rest, token.source, middle, token.end)
        self.kind = rest
        return True

    # -- names ------------------------------------------------------------------------------------

    def name(self, what: str) -> Token:
        """Take a name: an identifier or a contextual keyword."""
        if self.kind in NAMES:
            return self.advance()
        hint = None
        if self.kind in KEYWORDS:
            hint = f"'{self.token.text}' is a keyword of P4; choose another name"
        raise self.failure(f"expected {what}", hint)

    def is_type(self, name: str) -> bool:
        """Whether a name stands for a type here."""
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return False

    def is_top_level_type(self, name: str) -> bool:
        """Whether `.name` stands for a type."""
        return self.scopes[0].get(name, False)

    def declare(self, name: str, is_type: bool = False) -> None:
        """Note a declared name in the innermost scope."""
        self.scopes[-1][name] = is_type

    # -- spans ------------------------------------------------------------------------------------

    def span_from(self, token: Token) -> Span:
        """From `token` to the last token taken."""
        return self.span_since(token.source, token.start, token.end)

    def span_of(self, node: ast.Node) -> Span:
        """From the start of `node` to the last token taken."""
        span = node.span
        return self.span_since(span.source, span.start, span.end)

    def span_since(self, source: Source, start: int, end: int) -> Span:
        """From an offset to the last token taken; to `end` if that lies in another file."""
        last = self.previous
        if last.source is source:
            return Span(last.source, start, max(start, last.end))
        return Span(source, start, end)

    # -- errors -----------------------------------------------------------------------------------

    def failure(self, message: str, hint: str | None = None) -> SyntaxProblem:
        """A syntax error at the current token, which the message names: `raise self.failure(…)`."""
        return SyntaxProblem(self.token.span, f"{message}, found {show(self.token)}", hint)

    def too_deep(self) -> NoReturn:
        """Give up: what follows could not be treated in bounded memory."""
        if self.trial:
            raise SyntaxProblem(self.token.span, "nested too deeply")
        raise self.reporter.fatal(
            self.token.span,
            "nested too deeply",
            f"at most {MAX_NESTING} levels and {MAX_CHAIN} operators in a row; use named intermediate values",
        )

    def nest(self) -> None:
        """Enter a level; the rule that entered leaves by `self.depth -= 1`."""
        self.depth += 1
        if self.depth > MAX_NESTING:
            self.too_deep()

    def report(self, problem: SyntaxProblem) -> None:
        """Report a syntax error, unless another one was reported at this token."""
        if self.index == self.reported:
            return
        self.reported = self.index
        hint = problem.hint
        if hint is None and self.kind in OUTERMOST and (opening := self._unclosed()) is not None:
            hint = f"the '{opening.kind}' at {opening.span} is not closed"
        self.reporter.error(problem.span, problem.message, hint)

    def _unclosed(self) -> Token | None:
        """The innermost bracket that is open at the current token."""
        stack: list[Token] = []
        for token in self.tokens[: self.index]:
            if token.kind in _CLOSERS:
                stack.append(token)
            elif token.kind in {")", "]", "}"} and stack and _CLOSERS[stack[-1].kind] == token.kind:
                stack.pop()
        return stack[-1] if stack else None

    def each(self, rule: Callable[[], None]) -> None:
        """Apply a rule again and again up to `}`; an error is reported and costs one item."""
        while self.kind not in CLOSING:
            with self.recovering():
                rule()

    @contextmanager
    def recovering(self) -> Iterator[None]:
        """Report the error of an item that begins here, and go on behind the item."""
        depth, scopes, start = self.depth, len(self.scopes), self.index
        try:
            yield
        except SyntaxProblem as problem:
            self.report(problem)
            self.depth = depth
            del self.scopes[scopes:]
            self._skip_item(start)

    def _skip_item(self, start: int) -> None:
        """Skip to after the `;` or `{…}` that ends the item, or to the `}` or outermost keyword after it."""
        depth = 0
        for token in self.tokens[start : self.index]:
            depth += (token.kind == "{") - (token.kind == "}")
        while self.kind != EOF:
            kind = self.kind
            if kind == "{":
                depth += 1
            elif kind == "}":
                if depth <= 0:
                    break
                depth -= 1
                if depth == 0 and self.peek() not in {")", "else"}:
                    self.advance()
                    self.accept(";")
                    break
            elif kind == ";" and depth <= 0:
                self.advance()
                break
            elif kind in OUTERMOST and self.index > start:
                break
            self.advance()
        if self.index == start:
            self.advance()
        if self.kind == EOF:
            self.reported = self.index


def drop_bad_tokens(tokens: list[Token], reporter: Reporter) -> list[Token]:
    """Report and remove what is no token of P4, except in the bodies of annotations."""
    out: list[Token] = []
    depth = 0
    for index, token in enumerate(tokens):
        kind = token.kind
        if depth:
            depth += (kind in {"(", "["}) - (kind in {")", "]"})
        elif kind in {"(", "["} and index >= 2 and tokens[index - 2].kind == "@":
            depth = 1
        if kind in {BAD, CHAR, "#", "##"} and not depth:
            message, hint = bad_token_message(token)
            reporter.error(token.span, message, hint)
            out.extend(_substitute(token))
        else:
            out.append(token)
    return out


def _substitute(token: Token) -> list[Token]:
    """What the parser reads in place of a bad token, so that one mistake gives one error."""
    text = token.text
    where = (token.source, token.start, token.end)
    if text[0].isdigit() or token.kind == CHAR:
        return [Token(INT, "0", *where)]
    if text[0] == '"':
        bare = text.rstrip()
        ends = bare[len(bare.rstrip(");,")) :]
        return [Token(STRING, '""', *where), *(Token(c, c, *where) for c in ends)]
    return [Token(ID, text, *where)] if text.isidentifier() else []
