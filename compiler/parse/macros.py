"""Macro definitions and their expansion (ISO C, section 6.10.3), on P4 tokens.

Tokens of a macro's body bear the position of the macro's use; tokens of its arguments keep their own.
Recursion is stopped by Prosser's hide sets: a token remembers the macros it came from.
"""

from __future__ import annotations

from dataclasses import dataclass

from p4cats.compiler.diagnostics import Reporter
from p4cats.compiler.parse.lexer import DIRECTIVE, ID, INT, STRING, Token, lex, quote
from p4cats.compiler.source import Source, Span

MAX_EXPANSION = 500_000
"""Tokens that macros may produce in one run: an 8-line file can otherwise fill the memory."""
MAX_ARGUMENT_DEPTH = 64


@dataclass(slots=True)
class Macro:
    """`#define name body` or `#define name(parameters) body`."""

    name: str
    body: list[Token]
    parameters: list[str] | None = None
    variadic: bool = False
    """The last parameter takes all remaining arguments."""
    defined_at: Span | None = None

    def same(self, other: Macro) -> bool:
        """Equal as C asks of a repeated #define."""
        return (
            self.parameters == other.parameters
            and self.variadic == other.variadic
            and [t.text for t in self.body] == [t.text for t in other.body]
        )


def _is_name(token: Token) -> bool:
    first = token.text[:1]
    return first.isalpha() or first == "_"


class Macros:
    """The macros defined at one point of the program text."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.table: dict[str, Macro] = {}
        self._produced = 0
        self._depth = 0
        self._dynamic = {"__LINE__", "__FILE__"}
        for name in self._dynamic:
            self.table[name] = Macro(name, [])

    # -- definition -------------------------------------------------------------------------------

    def define(self, tokens: list[Token], where: Span) -> None:
        """Take a `#define` line, without the word define."""
        if not tokens or not _is_name(tokens[0]):
            self.reporter.error(where, "#define needs a macro name")
            return
        name = tokens[0].text
        if name == "defined" or name in self._dynamic:
            self.reporter.error(tokens[0].span, f"'{name}' cannot be defined as a macro")
            return
        macro = Macro(name, tokens[1:], defined_at=where)
        if len(tokens) > 1 and tokens[1].kind == "(" and not tokens[1].space:
            index = self._parameters(macro, tokens)
            if index is None:
                return
            macro.body = tokens[index:]
        if macro.body and (macro.body[0].kind == "##" or macro.body[-1].kind == "##"):
            self.reporter.error(where, "'##' cannot stand at an end of a macro's body")
            return
        old = self.table.get(name)
        if old is not None and not old.same(macro):
            self.reporter.warning(
                where,
                f"macro '{name}' is defined again with another body",
                f"first defined at {old.defined_at}",
            )
        self.table[name] = macro

    def _parameters(self, macro: Macro, tokens: list[Token]) -> int | None:
        names: list[str] = []
        index = 2
        while index < len(tokens):
            token = tokens[index]
            if token.kind == ")" and not names:
                macro.parameters = names
                return index + 1
            if token.kind == "...":
                names.append("__VA_ARGS__")
                macro.variadic = True
            elif _is_name(token) and token.text not in names:
                names.append(token.text)
                if index + 1 < len(tokens) and tokens[index + 1].kind == "...":
                    macro.variadic = True
                    index += 1
            else:
                break
            index += 1
            if index < len(tokens) and tokens[index].kind == ")":
                macro.parameters = names
                return index + 1
            if macro.variadic or index >= len(tokens) or tokens[index].kind != ",":
                break
            index += 1
        where = tokens[min(index, len(tokens) - 1)].span
        self.reporter.error(where, f"malformed parameter list of macro '{macro.name}'")
        return None

    # -- expansion --------------------------------------------------------------------------------

    def expand(self, tokens: list[Token]) -> list[Token]:
        """Expand all macros in a closed list of tokens."""
        out: list[Token] = []
        index = 0
        table = self.table
        while index < len(tokens):
            token = tokens[index]
            if token.text in table:
                index = self.expand_at(tokens, index, out)
            else:
                out.append(token)
                index += 1
        return out

    def expand_at(self, tokens: list[Token], index: int, out: list[Token]) -> int:
        """Expand the macro at `index` into `out`; arguments may be taken from what follows.

        Returns the index of the first token not used.
        """
        stack = [tokens[index]]
        index += 1
        while stack:
            token = stack.pop()
            macro = self.table.get(token.text)
            if macro is None or macro.name in token.hidden:
                out.append(token)
            elif macro.parameters is None:
                stack.extend(reversed(self._object(macro, token)))
            else:
                following = stack[-1] if stack else tokens[index] if index < len(tokens) else None
                if following is None or following.kind != "(":
                    out.append(token)
                    continue
                arguments, close, index = self._arguments(macro, token, stack, tokens, index)
                hidden = (token.hidden & close.hidden) | {macro.name}
                if close.source is token.source and close.end > token.start:
                    token = Token(
                        token.kind,
                        token.text,
                        token.source,
                        token.start,
                        close.end,
                        token.space,
                        token.hidden,
                    )
                stack.extend(reversed(self._function(macro, token, arguments, hidden)))
        return index

    def _count(self, produced: int, where: Token) -> None:
        self._produced += produced
        if self._produced > MAX_EXPANSION:
            raise self.reporter.fatal(
                where.span,
                f"macros produce more than {MAX_EXPANSION} tokens",
                "macros that double each other?",
            )

    def _object(self, macro: Macro, use: Token) -> list[Token]:
        if macro.name in self._dynamic:
            if macro.name == "__LINE__":
                line = str(use.source.position(use.start)[0])
                return [Token(INT, line, use.source, use.start, use.end, use.space)]
            return [Token(STRING, quote(use.source.name), use.source, use.start, use.end, use.space)]
        return self._function(macro, use, [], use.hidden | {macro.name})

    def _arguments(
        self, macro: Macro, use: Token, stack: list[Token], tokens: list[Token], index: int
    ) -> tuple[list[list[Token]], Token, int]:
        """The arguments' tokens, the closing parenthesis and the index after what was read."""
        arguments: list[list[Token]] = [[]]
        depth = 0
        assert macro.parameters is not None
        fixed = len(macro.parameters) - 1 if macro.variadic else None
        while True:
            if stack:
                token = stack.pop()
            elif index < len(tokens) and tokens[index].kind != DIRECTIVE:
                token = tokens[index]
                index += 1
            else:
                raise self.reporter.fatal(
                    use.span, f"call of macro '{macro.name}' is not closed", "add the missing ')'"
                )
            kind = token.kind
            if kind == "(":
                depth += 1
                if depth == 1:
                    continue
            elif kind == ")":
                depth -= 1
                if depth == 0:
                    break
            elif kind == "," and depth == 1 and (fixed is None or len(arguments) <= fixed):
                arguments.append([])
                continue
            arguments[-1].append(token)
        expected = len(macro.parameters)
        if expected == 0 and arguments == [[]]:
            arguments = []
        if macro.variadic and len(arguments) == expected - 1:
            arguments.append([])
        if len(arguments) != expected:
            raise self.reporter.fatal(
                use.span, f"macro '{macro.name}' takes {expected} arguments, {len(arguments)} given"
            )
        return arguments, token, index

    def _function(
        self, macro: Macro, use: Token, arguments: list[list[Token]], hidden: frozenset[str]
    ) -> list[Token]:
        """The body with parameters replaced, `#` and `##` done."""
        parameters = macro.parameters or []
        position = {name: i for i, name in enumerate(parameters)}
        expanded: dict[int, list[Token]] = {}
        out: list[Token] = []
        body = macro.body
        index = 0
        paste = False
        while index < len(body):
            token = body[index]
            following = body[index + 1] if index + 1 < len(body) else None
            piece: list[Token]
            if token.kind == "##":
                paste = True
                index += 1
                continue
            if (
                token.kind == "#"
                and macro.parameters is not None
                and following is not None
                and following.text in position
            ):
                text = _spelling(arguments[position[following.text]])
                piece = [Token(STRING, quote(text), use.source, use.start, use.end, token.space)]
                index += 2
            elif token.text in position and _is_name(token):
                number = position[token.text]
                raw = paste or (following is not None and following.kind == "##")
                if raw:
                    piece = arguments[number]
                else:
                    if number not in expanded:
                        expanded[number] = self._expand_argument(arguments[number], use)
                    piece = expanded[number]
                piece = [
                    Token(t.kind, t.text, t.source, t.start, t.end, t.space if i else token.space, t.hidden)
                    for i, t in enumerate(piece)
                ]
                index += 1
                if paste and out and out[-1].kind == "," and macro.variadic and number == len(parameters) - 1:
                    # `, ## __VA_ARGS__`: the comma goes when there are no arguments, nothing is pasted
                    paste = False
                    if not piece:
                        out.pop()
            else:
                piece = [Token(token.kind, token.text, use.source, use.start, use.end, token.space)]
                index += 1
            self._count(len(piece), use)
            if paste and out and piece:
                pasted = self._paste(out.pop(), piece[0], use)
                out.extend(pasted)
                out.extend(piece[1:])
            elif not (paste and not piece):
                out.extend(piece)
            paste = False
        if out:
            out[0].space = use.space
        for token in out:
            token.hidden = token.hidden | hidden
        return out

    def _expand_argument(self, tokens: list[Token], use: Token) -> list[Token]:
        self._depth += 1
        if self._depth > MAX_ARGUMENT_DEPTH:
            raise self.reporter.fatal(use.span, "macro calls are nested too deeply")
        try:
            return self.expand(tokens)
        finally:
            self._depth -= 1

    def _paste(self, left: Token, right: Token, use: Token) -> list[Token]:
        text = left.text + right.text
        tokens = lex(Source(use.source.name, text, use.source.system))
        hidden = left.hidden & right.hidden
        return [
            Token(
                ID if t.kind == DIRECTIVE else t.kind,
                t.text,
                use.source,
                use.start,
                use.end,
                left.space,
                hidden,
            )
            for t in tokens
        ]


def _spelling(tokens: list[Token]) -> str:
    """The text of a macro argument for `#`: one blank where there were any."""
    return "".join((" " if t.space and i else "") + t.text for i, t in enumerate(tokens))
