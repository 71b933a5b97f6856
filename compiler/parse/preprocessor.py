"""The preprocessor: #include, macros and conditions, on tokens that keep their positions.

It follows ISO C (section 6.10) as far as P4 programs use it. Directives are found by the lexer; what
remains here is to obey them. Errors end in CompileError before any parsing starts.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from p4cats.compiler.diagnostics import CompileError, Reporter
from p4cats.compiler.parse.conditions import evaluate
from p4cats.compiler.parse.lexer import DIRECTIVE, EOF, PRAGMA, Token, lex, quote, string_value
from p4cats.compiler.parse.macros import Macros
from p4cats.compiler.source import Source, Span

BUILTIN_DIR = Path(__file__).resolve().parent.parent / "include"
MAX_INCLUDE_DEPTH = 64

_DIRECTIVE = re.compile(r"\s*(?:/\*.*?\*/\s*)*#(?:[ \t]|/\*.*?\*/|\\\r?\n)*([A-Za-z_]\w*|[0-9]+)?", re.DOTALL)
_INCLUDE = re.compile(r'\s*(?:"([^"\n]*)"|<([^>\n]*)>)\s*(.*)', re.DOTALL)
_MARKER = re.compile(r'([0-9]+)(?:[ \t]+("(?:[^"\\]|\\.)*")((?:[ \t]+[0-9]+)*))?[ \t\r]*$')
_COMMENTS = re.compile(r'("(?:[^"\\\n]|\\.)*")|//[^\n]*|/\*.*?\*/|\\\r?\n', re.DOTALL)


class MappedSource(Source):
    """A stretch of text that a line marker (`# 12 "file.p4"`) says comes from elsewhere."""

    __slots__ = ("first_line",)

    def __init__(self, name: str, text: str, first_line: int, system: bool) -> None:
        super().__init__(name, text, system)
        self.first_line = first_line

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column in the file that the marker names."""
        line, column = Source.position(self, offset)
        return line + self.first_line - 1, column

    def line(self, number: int) -> str:
        """Text of a line, by its number in that file; empty where it was not carried over."""
        rows = self.text.split("\n")
        index = number - self.first_line
        return rows[index].rstrip("\r") if 0 <= index < len(rows) else ""


def _line_marker(token: Token) -> re.Match[str] | None:
    """The match of `_MARKER` if this preprocessor line is a line marker."""
    head = _DIRECTIVE.match(token.text)
    if head is None or head[1] is None:
        return None
    if head[1] == "line":
        return _MARKER.match(token.text[head.end() :].strip())
    return _MARKER.match(token.text[head.start(1) :].strip()) if head[1].isdigit() else None


def tokens_of(source: Source) -> list[Token]:
    """Lex a source; what follows a line marker is placed where the marker says."""
    tokens = lex(source)
    markers = [(i, m) for i, t in enumerate(tokens) if t.kind == DIRECTIVE and (m := _line_marker(t))]
    name, system = source.name, source.system
    for number, (index, marker) in enumerate(markers):
        stop = markers[number + 1][0] if number + 1 < len(markers) else len(tokens)
        base = tokens[index].end + 1
        end = tokens[stop].start if stop < len(tokens) else len(source.text)
        if marker[2]:
            name = string_value(marker[2])
            system = "3" in marker[3].split()
        mapped = MappedSource(name, source.text[base:end], int(marker[1][:9]), system)
        for token in tokens[index + 1 : stop]:
            token.source = mapped
            token.start -= base
            token.end -= base
    return tokens


@functools.lru_cache(maxsize=8)
def _builtin_tokens(name: str, _stamp: float) -> list[Token]:
    """Tokens of a built-in file, lexed once in a process: nobody changes tokens that come from a file."""
    text = (BUILTIN_DIR / name).read_text(encoding="utf-8")
    return lex(Source(f"<{name}>", text, system=True))


def read_source(path: Path, name: str, reporter: Reporter, used_at: Span | None = None) -> Source:
    """Read a P4 file; an unreadable one or invalid UTF-8 is a fatal error."""
    try:
        data = path.read_bytes()
    except OSError as error:
        where = used_at or Span(Source(name, ""), 0, 0)
        raise reporter.fatal(where, f"cannot read '{name}': {error.strerror or error}") from None
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return Source(name, data.decode("utf-8"))
    except UnicodeDecodeError as error:
        source = Source(name, data.decode("utf-8", errors="replace"))
        start = len(data[: error.start].decode("utf-8"))
        raise reporter.fatal(
            Span(source, start, start + 1),
            f"invalid UTF-8: byte 0x{data[error.start]:02X}",
            "save the file as UTF-8",
        ) from None


@dataclass(slots=True)
class _Condition:
    """An open #if."""

    where: Span
    taken: bool
    """Some branch was taken already."""
    seen_else: bool = False


class Preprocessor:
    """One run over a program; `tokens` grows."""

    def __init__(
        self,
        reporter: Reporter,
        include_dirs: Sequence[Path] = (),
        defines: Mapping[str, str] | None = None,
        undefines: Sequence[str] = (),
    ) -> None:
        self.reporter = reporter
        self.include_dirs = list(include_dirs)
        self.macros = Macros(reporter)
        self.tokens: list[Token] = []
        self.files: list[Path] = []
        """Every file read, in order of first use (for dependency lists)."""
        self._cache: dict[Path, list[Token]] = {}
        self._stack: list[Path] = []
        for name, value in (defines or {}).items():
            source = Source("<command line>", f"{name} {value}".rstrip())
            self.macros.define(lex(source), Span(source, 0, len(source.text)))
        for name in undefines:
            self.macros.table.pop(name, None)

    def run(self, source: Source, path: Path | None = None) -> list[Token]:
        """Preprocess a source (`path`: its file, for #include "…") to tokens that end in EOF."""
        if path is not None:
            self._enter(path)
        self._file(tokens_of(source), path)
        self.reporter.check()
        end = len(source.text)
        self.tokens.append(Token(EOF, "", source, end, end))
        return self.tokens

    # -- one file ---------------------------------------------------------------------------------

    def _enter(self, path: Path) -> None:
        self._stack.append(path)
        if path not in self.files:
            self.files.append(path)

    def _file(self, tokens: list[Token], path: Path | None) -> None:
        table = self.macros.table
        out = self.tokens
        conditions: list[_Condition] = []
        index, count = 0, len(tokens)
        while index < count:
            token = tokens[index]
            if token.kind == DIRECTIVE:
                index = self._directive(tokens, index, conditions, path)
            elif token.text in table:
                index = self.macros.expand_at(tokens, index, out)
            else:
                out.append(token)
                index += 1
        if conditions:
            self.reporter.error(conditions[-1].where, "#if without #endif", "add '#endif'")

    def _directive(
        self, tokens: list[Token], index: int, conditions: list[_Condition], path: Path | None
    ) -> int:
        """Obey the preprocessor line at `index`; the index of the next token to look at."""
        token = tokens[index]
        name, start = _directive_name(token)
        where = Span(token.source, token.start, token.start + len(token.text.rstrip()))
        match name:
            case "if" | "ifdef" | "ifndef":
                holds = self._holds(name, token, start)
                conditions.append(_Condition(where, holds))
                return index + 1 if holds else self._skip(tokens, index + 1, conditions)
            case "elif" | "elifdef" | "elifndef" | "else":
                if not conditions:
                    self.reporter.error(where, f"#{name} without #if")
                    return index + 1
                if conditions[-1].seen_else:
                    self.reporter.error(where, f"#{name} after #else")
                conditions[-1].seen_else |= name == "else"
                return self._skip(tokens, index + 1, conditions)
            case "endif":
                if conditions:
                    conditions.pop()
                else:
                    self.reporter.error(where, "#endif without #if")
            case "include" | "include_next":
                self._include(token, start, where, path)
            case "define":
                self.macros.define(self._rest(token, start), where)
            case "undef":
                rest = self._rest(token, start)
                if len(rest) == 1 and rest[0].text not in {"__LINE__", "__FILE__"}:
                    self.macros.table.pop(rest[0].text, None)
                else:
                    self.reporter.error(where, "#undef needs one macro name")
            case "error":
                self.reporter.error(where, f"#error {_plain(token.text[start:])}".rstrip())
            case "warning":
                self.reporter.warning(where, f"#warning {_plain(token.text[start:])}".rstrip())
            case "line":
                if _line_marker(token) is None:
                    self.reporter.error(where, "malformed #line", 'example: #line 12 "file.p4"')
            case "pragma" | "ident" | "":
                pass
            case _ if name.isdigit():
                if _line_marker(token) is None:
                    self.reporter.error(where, "malformed line marker", 'example: # 12 "file.p4"')
            case _:
                self.reporter.error(where, f"unknown preprocessor directive '#{name}'")
        return index + 1

    def _rest(self, token: Token, start: int) -> list[Token]:
        """Tokens of a directive after its name."""
        end = token.start + len(token.text)
        if isinstance(token.source, MappedSource):
            end = min(end, len(token.source.text))
        return lex(token.source, token.start + start, end)

    def _holds(self, name: str, token: Token, start: int) -> bool:
        rest = self._rest(token, start)
        where = token.span
        if name.endswith("if"):
            if not rest:
                self.reporter.error(where, f"#{name} without a condition")
                return False
            return evaluate(rest, self.macros, self.reporter, where)
        if not rest or not (rest[0].text[0].isalpha() or rest[0].text[0] == "_"):
            self.reporter.error(where, f"#{name} needs a macro name")
            return False
        return (rest[0].text in self.macros.table) == (not name.endswith("ndef"))

    def _skip(self, tokens: list[Token], index: int, conditions: list[_Condition]) -> int:
        """Skip the branches not taken: to after the #endif, or into the branch that holds."""
        depth = 0
        condition = conditions[-1]
        while index < len(tokens):
            token = tokens[index]
            index += 1
            if token.kind != DIRECTIVE:
                continue
            name, start = _directive_name(token)
            if name in {"if", "ifdef", "ifndef"}:
                depth += 1
            elif name == "endif":
                depth -= 1
                if depth < 0:
                    conditions.pop()
                    return index
            elif depth == 0 and name in {"elif", "elifdef", "elifndef", "else"}:
                if condition.seen_else:
                    self.reporter.error(token.span, f"#{name} after #else")
                condition.seen_else |= name == "else"
                if not condition.taken and (name == "else" or self._holds(name, token, start)):
                    condition.taken = True
                    return index
        return index

    # -- #include ---------------------------------------------------------------------------------

    def _include(self, token: Token, start: int, where: Span, path: Path | None) -> None:
        text = _COMMENTS.sub(lambda m: m[1] or " ", token.text[start:])
        match = _INCLUDE.match(text)
        if match is None:
            expanded = self.macros.expand(self._rest(token, start))
            match = _INCLUDE.match("".join(t.text for t in expanded))
        if match is None or match[3].strip():
            self.reporter.error(
                where, "#include needs a file", 'examples: #include <core.p4>, #include "x.p4"'
            )
            return
        quoted, name = match[1] is not None, match[1] or match[2] or ""
        found = self._find(name, quoted, path)
        if found is None:
            places = [str(d) for d in self.include_dirs]
            hint = f"searched in: {', '.join(places)}" if places else "give its directory with -I"
            self.reporter.error(where, f"cannot find '{name}'", hint)
            return
        if len(self._stack) >= MAX_INCLUDE_DEPTH:
            recursive = found in self._stack
            raise self.reporter.fatal(
                where,
                f"'{name}' includes itself"
                if recursive
                else f"#include is nested more than {MAX_INCLUDE_DEPTH} deep",
                "guard it with #ifndef … #define … #endif" if recursive else None,
            )
        self._enter(found)
        self._file(self._load(found, where), found)
        self._stack.pop()

    def _find(self, name: str, quoted: bool, path: Path | None) -> Path | None:
        """The file that #include means: beside the including file (quoted), -I in order, built in."""
        if not name or "\0" in name:
            return None
        places = [path.parent] if quoted and path is not None and path.parent != BUILTIN_DIR else []
        for place in (*places, *self.include_dirs, BUILTIN_DIR):
            candidate = place / name
            try:
                if candidate.is_file():
                    return candidate
            except OSError:
                continue
        return None

    def _load(self, path: Path, where: Span) -> list[Token]:
        tokens = self._cache.get(path)
        if tokens is None:
            if path.parent == BUILTIN_DIR:
                tokens = _builtin_tokens(path.name, path.stat().st_mtime)
            else:
                name = os.path.normpath(path)
                tokens = tokens_of(read_source(path, name, self.reporter, where))
            self._cache[path] = tokens
        return tokens


def _directive_name(token: Token) -> tuple[str, int]:
    """The word after `#` and where the rest of the line starts."""
    match = _DIRECTIVE.match(token.text)
    assert match is not None
    if match[1] is None:
        return (
            "" if not token.text[match.end() :].strip() else token.text[match.end() :].split()[0]
        ), match.end()
    return match[1], match.end()


def _plain(text: str) -> str:
    """Text of an #error line in one row."""
    return " ".join(_COMMENTS.sub(lambda m: m[1] or " ", text).split())


def preprocess_file(
    path: Path,
    *,
    include_dirs: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
    undefines: Sequence[str] = (),
    reporter: Reporter,
) -> list[Token]:
    """Tokens of a P4 file after preprocessing."""
    preprocessor = Preprocessor(reporter, include_dirs, defines, undefines)
    return preprocessor.run(read_source(path, str(path), reporter), path)


def preprocess_to_text(
    path: Path,
    *,
    include_dirs: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
    undefines: Sequence[str] = (),
    reporter: Reporter,
) -> str:
    """Self-contained P4 text of a file, with line markers: includes spliced in, macros expanded.

    Parsing it gives the same tree, and diagnostics at the same file, line and column.
    """
    tokens = preprocess_file(
        path, include_dirs=include_dirs, defines=defines, undefines=undefines, reporter=reporter
    )
    return tokens_to_text(tokens)


MAX_BLANK_LINES = 8


def tokens_to_text(tokens: list[Token]) -> str:
    """Text in which every token stands at its line and column, by blanks and line markers."""
    parts: list[str] = []
    file: tuple[str, bool] | None = None
    line, column = 0, 1
    for token in tokens:
        if token.kind == EOF:
            break
        source = token.source
        at_line, at_column = source.position(token.start)
        gap = at_line - line
        if (
            (source.name, source.system) != file
            or not 0 <= gap <= MAX_BLANK_LINES
            or (gap == 0 and at_column < column)
        ):
            file = (source.name, source.system)
            system = " 3" if source.system else ""
            parts.append(f"{chr(10) if parts else ''}# {at_line} {quote(source.name)}{system}\n")
            line, column = at_line, 1
        elif gap:
            parts.append("\n" * gap)
            line, column = at_line, 1
        elif column == at_column and parts and _would_join(parts[-1], token.text):
            parts.append(f"\n# {at_line} {quote(source.name)}{' 3' if source.system else ''}\n")
            column = 1
        parts.append(" " * (at_column - column))
        parts.append(token.text)
        line += token.text.count("\n")
        column = at_column + len(token.text)
        if token.kind == PRAGMA or "\n" in token.text:
            line = 1 << 60  # whatever follows needs a marker
    return "".join(parts) + "\n" if parts else ""


def _would_join(left: str, right: str) -> bool:
    """Whether two tokens side by side might be read as other tokens."""
    tokens = lex(Source("", left + right))
    return [t.text for t in tokens] != [left, right]


__all__ = [
    "CompileError",
    "MappedSource",
    "Preprocessor",
    "preprocess_file",
    "preprocess_to_text",
    "read_source",
    "tokens_of",
    "tokens_to_text",
]
