"""P4_16 text to the syntax tree: the public functions of this stage.

The rules are one class in layers, each in its file: `cursor` (tokens, errors, scopes), `expressions`,
`annotations`, `statements`, `tables`, `declarations`. A rule is a method; it takes tokens from left to
right and does not go back, except over an annotation's body. Whether a name is a type is decided by the
declarations so far, as the grammar asks (spec v1.2.5, appendix "P4 grammar").
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from p4cats.compiler.diagnostics import Reporter
from p4cats.compiler.parse import ast
from p4cats.compiler.parse.cursor import MAX_NESTING, drop_bad_tokens
from p4cats.compiler.parse.declarations import DeclarationRules
from p4cats.compiler.parse.lexer import BAD, CHAR, Token
from p4cats.compiler.parse.preprocessor import Preprocessor, read_source
from p4cats.compiler.source import Source

_FRAMES_PER_LEVEL = 14
"""Python frames that one level of nesting may take here: a block in a statement, or parentheses."""


def parse_file(
    path: Path,
    *,
    include_dirs: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
    undefines: Sequence[str] = (),
    reporter: Reporter,
) -> ast.Program:
    """Preprocess and parse a file.

    Raises CompileError after all errors of the file are reported.
    """
    source = read_source(path, str(path), reporter)
    preprocessor = Preprocessor(reporter, include_dirs, defines, undefines)
    return parse_tokens(preprocessor.run(source, path), reporter)


def parse_text(
    text: str,
    name: str = "<text>",
    *,
    include_dirs: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
    undefines: Sequence[str] = (),
    reporter: Reporter,
) -> ast.Program:
    """Preprocess and parse a text; line markers in it (`# 3 "a.p4"`) decide where it says errors are.

    #include looks in `include_dirs` and among the built-in files only. Raises CompileError.
    """
    source = Source(name, text)
    preprocessor = Preprocessor(reporter, include_dirs, defines, undefines)
    return parse_tokens(preprocessor.run(source), reporter)


def parse_tokens(tokens: list[Token], reporter: Reporter) -> ast.Program:
    """Parse preprocessed tokens of a program. Raises CompileError."""
    if any(token.kind in {BAD, CHAR, "#", "##"} for token in tokens):
        tokens = drop_bad_tokens(tokens, reporter)
    rules = DeclarationRules(tokens, reporter)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 1000 + _depth() + MAX_NESTING * _FRAMES_PER_LEVEL))
    try:
        declarations = rules.program()
    finally:
        sys.setrecursionlimit(limit)
    reporter.check()
    end = tokens[-1].span
    span = tokens[0].span.to(end)
    return ast.Program(span, declarations)


def _depth() -> int:
    """Python frames in use."""
    frame = sys._getframe()
    count = 1
    while frame.f_back is not None:
        frame = frame.f_back
        count += 1
    return count
