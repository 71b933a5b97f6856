"""The phases in order: text, tree, typed tree, IR."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from p4cats.compiler.diagnostics import Reporter
from p4cats.compiler.ir import nodes as ir
from p4cats.compiler.ir.elaborate import elaborate
from p4cats.compiler.ir.verify import verify
from p4cats.compiler.parse import ast, parse_file, parse_text
from p4cats.compiler.types.checker import check

RECURSION_LIMIT = 20_000
"""The parser bounds nesting to some hundred levels; each costs a dozen Python frames at most."""


def compile_file(
    path: Path,
    *,
    include_dirs: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
    reporter: Reporter | None = None,
) -> ir.Program:
    """Compile a P4 file; raises CompileError, with every diagnostic also in `reporter`."""
    reporter = reporter or Reporter()
    tree = parse_file(path, include_dirs=include_dirs, defines=dict(defines or {}), reporter=reporter)
    return compile_tree(tree, reporter)


def compile_text(
    text: str,
    name: str = "<text>",
    *,
    include_dirs: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
    reporter: Reporter | None = None,
) -> ir.Program:
    """Compile P4 text; `name` stands for the file in diagnostics."""
    reporter = reporter or Reporter()
    tree = parse_text(text, name, include_dirs=include_dirs, defines=dict(defines or {}), reporter=reporter)
    return compile_tree(tree, reporter)


def compile_tree(tree: ast.Program, reporter: Reporter) -> ir.Program:
    """Everything after parsing."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), RECURSION_LIMIT))
    reporter.check()
    typed = check(tree, reporter)
    reporter.check()
    program = elaborate(typed, reporter)
    verify(program)
    return program
