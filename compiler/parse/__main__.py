"""Print the syntax tree of a program: `python -m p4cats.compiler.parse FILE [-I DIR] [-D NAME=VALUE]`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from p4cats.compiler.diagnostics import CompileError, Reporter
from p4cats.compiler.parse import ast, parse_file, preprocess_to_text
from p4cats.compiler.source import Span


def dump(node: object, positions: bool = False) -> str:
    """A node as an indented text, one attribute in a line."""
    rows: list[str] = []
    stack: list[tuple[int, str, object]] = [(0, "", node)]
    while stack:
        level, label, value = stack.pop()
        head = "  " * level + label
        if isinstance(value, ast.Node):
            where = f"  <{value.span}>" if positions else ""
            fields = [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
            plain = [
                f"{k}={v!r}" for k, v in fields if isinstance(v, (str, int, bool)) and v not in ("", False)
            ]
            rows.append(head + " ".join([type(value).__name__, *plain]) + where)
            nested = [
                (level + 1, f"{k}: ", v)
                for k, v in fields
                if isinstance(v, ast.Node) or (isinstance(v, list) and v)
            ]
            stack.extend(reversed(nested))
        elif isinstance(value, list):
            rows.append(head.rstrip())
            stack.extend((level + 1, "- ", item) for item in reversed(value))
        elif not isinstance(value, Span):
            rows.append(head + repr(value))
    return "\n".join(rows)


def main(arguments: list[str] | None = None) -> int:
    """Parse the file that the command line names and print what became of it."""
    options = argparse.ArgumentParser(prog="python -m p4cats.compiler.parse", description=__doc__)
    options.add_argument("file", type=Path)
    options.add_argument("-I", dest="include", type=Path, action="append", default=[], metavar="DIR")
    options.add_argument("-D", dest="define", action="append", default=[], metavar="NAME[=VALUE]")
    options.add_argument("-E", dest="preprocess", action="store_true", help="only preprocess")
    options.add_argument("--all", action="store_true", help="show the built-in declarations too")
    options.add_argument("--positions", action="store_true", help="show where each node was written")
    chosen = options.parse_args(arguments)
    defines = {name: value or "1" for name, _, value in (d.partition("=") for d in chosen.define)}
    reporter = Reporter(on_report=lambda d: print(d.render(), file=sys.stderr))
    try:
        if chosen.preprocess:
            text = preprocess_to_text(
                chosen.file, include_dirs=chosen.include, defines=defines, reporter=reporter
            )
            sys.stdout.write(text)
            return 0
        program = parse_file(chosen.file, include_dirs=chosen.include, defines=defines, reporter=reporter)
    except CompileError:
        return 1
    for declaration in program.declarations:
        if chosen.all or not declaration.span.source.system:
            print(dump(declaration, chosen.positions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
