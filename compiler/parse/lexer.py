"""Text to tokens: the lexical rules of P4_16 (spec v1.2.5, section 6.4) and of preprocessor lines.

One regular expression finds a token together with the blanks and comments before it. What is no token
becomes a `BAD` token instead of an error, because text in a skipped `#if` branch and in an annotation's
body may hold anything; whoever needs a real token reports it (`bad_token_message`).
"""

from __future__ import annotations

import re

from p4cats.compiler.source import Source, Span

ID, INT, STRING, CHAR, BAD = "ID", "INT", "STRING", "CHAR", "BAD"
PRAGMA = "PRAGMA"
"""`@pragma …` to the end of its line."""
DIRECTIVE = "DIRECTIVE"
"""A preprocessor line with its continuations."""
EOF = "EOF"

KEYWORDS = frozenset(
    """
    abstract action actions apply bit bool break const continue control default else entries enum error
    exit extern false for header header_union if in inout int key list match_kind out package parser
    priority return select state string struct switch table this transition true tuple type typedef
    value_set varbit void _
    """.split()  # noqa: SIM905 - read as prose
)

CONTEXTUAL = frozenset({"actions", "apply", "entries", "key", "list", "priority", "state", "type"})
"""Keywords that are names wherever no rule asks for the keyword."""

_OPERATORS = (  # noqa: SIM905
    "{#} |+|= |-|= |+| |-| |= || | &&& && &= & <<= << <= < >>= >> >= > == = != ! ++ += +: + -= - "
    "*= * %= % ^= ^ ~ ... .. . ? : ; , ( ) [ ] { } @ ## #"
).split()

_KIND = {text: text for text in (*KEYWORDS, *_OPERATORS, "/", "/=")}

_COMMENT = r"/\*[^*]*\*+(?:[^/*][^*]*\*+)*/"
_LINE_START = rf"(?:[ \t]|{_COMMENT})*\#"
_SKIP = rf"(?:[ \t\r\f\v]+|//[^\n]*|{_COMMENT}|\\\r?\n|\n(?!{_LINE_START}))*"
_STRING = r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"'
_LONG_STRING = rf'"[^"\\\n]*(?:(?:\\.|\\?\n(?!{_LINE_START}))[^"\\\n]*)*"'
"""May span lines, as the texts of annotations do; only no preprocessor line begins inside."""
_LINE_BODY = rf'(?:[^\n\\/"]+|\\\r?\n|\\.|{_STRING}|//[^\n]*|{_COMMENT}|[/"\\])*'
_OPERATOR = "|".join(re.escape(op) for op in _OPERATORS)
_NUMBER = (
    r"(?:[0-9]+[ws])?"
    r"(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|0[dD][0-9_]+|[0-9][0-9_]*)(?![A-Za-z0-9_])"
)

_TOKEN = re.compile(
    _SKIP
    + rf"(?:(?P<directive>\n{_LINE_START}{_LINE_BODY})"
    + r"|(?P<pragma>@pragma\b(?:[^\n\\]|\\\r?\n|\\)*)"
    + rf"|(?P<word>[A-Za-z_][A-Za-z0-9_]*|{_OPERATOR}|/=|/(?!\*))"
    + rf"|(?P<int>{_NUMBER})"
    + rf"|(?P<string>{_LONG_STRING})"
    + r"|(?P<char>'(?:[^'\\\n]|\\.)')"
    + r"|(?P<end>\Z)"
    + r'|(?P<bad>[0-9][A-Za-z0-9_]*|"[^\n]*|/\*(?s:.*)|[^\x00-\x7f]+|(?s:.)))'
)
_FIRST_LINE = re.compile(_LINE_START + _LINE_BODY)
_GROUP_KINDS = {"int": INT, "string": STRING, "char": CHAR, "pragma": PRAGMA, "bad": BAD}

NO_MACROS: frozenset[str] = frozenset()


class Token:
    """A lexeme. For an operator or a keyword, `kind` is its text."""

    __slots__ = ("end", "hidden", "kind", "source", "space", "start", "text")

    def __init__(  # noqa: PLR0917 - called once per token
        self,
        kind: str,
        text: str,
        source: Source,
        start: int,
        end: int,
        space: bool = False,
        hidden: frozenset[str] = NO_MACROS,
    ) -> None:
        self.kind = kind
        self.text = text
        self.source = source
        self.start = start
        self.end = end
        self.space = space
        """Blanks or comments stand before it."""
        self.hidden = hidden
        """Macros this token came from: they do not expand again in it."""

    @property
    def span(self) -> Span:
        """Where it was written, or where the macro was used that produced it."""
        return Span(self.source, self.start, self.end)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.text!r} {self.span}>"


def lex(source: Source, start: int = 0, end: int | None = None) -> list[Token]:
    """All tokens of the text, or of a part of it; preprocessor lines are DIRECTIVE tokens."""
    text = source.text
    stop = len(text) if end is None else end
    tokens: list[Token] = []
    append = tokens.append
    kind_of = _KIND.get
    if start == 0 and end is None and (first := _FIRST_LINE.match(text)):
        append(Token(DIRECTIVE, first.group(), source, 0, first.end()))
        start = first.end()
    for match in _TOKEN.finditer(text, start, stop):
        group = match.lastgroup
        if group == "word":
            begin, after = match.span("word")
            word = text[begin:after]
            append(Token(kind_of(word, ID), word, source, begin, after, begin > match.start()))
        elif group == "end":
            break
        elif group == "directive":
            begin, after = match.span("directive")
            append(Token(DIRECTIVE, text[begin + 1 : after], source, begin + 1, after))
        else:
            assert group is not None
            begin, after = match.span(group)
            append(Token(_GROUP_KINDS[group], text[begin:after], source, begin, after, begin > match.start()))
    return tokens


def bad_token_message(token: Token) -> tuple[str, str | None]:
    """Message and hint for a token that P4 does not have."""
    text = token.text
    if token.kind == CHAR:
        return "P4 has no character literals", "write the number instead"
    if token.kind == PRAGMA:
        return "'@pragma' needs a name", None
    if text[0] == '"':
        return "string is not closed on its line", 'strings end with " on the same line'
    if text.startswith("/*"):
        return "comment is not closed", "add '*/'"
    if text[0].isdigit():
        return f"malformed number '{text}'", "examples: 10, 0xFF, 0b1010, 8w255, 4s7"
    if text in {"#", "##"}:
        return f"'{text}' is only valid in a preprocessor line", None
    shown = text if text.isprintable() else f"U+{ord(text[0]):04X}"
    return f"invalid character '{shown}'", None


_LITERAL = re.compile(r"(?:([0-9]+)([ws]))?(?:0([xXbBoOdD]))?([0-9a-fA-F_]+)")
_BASES = {"x": 16, "b": 2, "o": 8, "d": 10}
MAX_DIGITS = 4000
"""Python refuses decimal conversions beyond 4300 digits."""


def literal_value(text: str) -> tuple[int, int | None, bool]:
    """Value, width and signedness of an integer literal; ValueError if it has no digits or too many."""
    match = _LITERAL.fullmatch(text)
    if match is None:
        raise ValueError("malformed number")
    width, sign, base, digits = match.groups()
    digits = digits.replace("_", "")
    if not digits:
        raise ValueError("a number needs digits")
    if len(digits) > MAX_DIGITS or (width and len(width) > 9):
        raise ValueError("number is too long")
    value = int(digits, _BASES[base.lower()] if base else 10)
    return value, int(width) if width else None, sign == "s"


_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "'": "'", "0": "\0"}


def string_value(text: str) -> str:
    """The text of a string literal, escapes resolved; an unknown escape stays as written."""
    inner = text[1:-1]
    return _ESCAPE.sub(lambda m: _ESCAPES.get(m[1], m[0]), inner) if "\\" in inner else inner


def quote(value: str) -> str:
    """The string literal that denotes `value`."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}
    return '"' + "".join(escapes.get(c, c) for c in value) + '"'
