"""Dump the IR of a P4 file: `python -m p4cats.compiler FILE [-I DIR]…`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from p4cats.compiler import CompileError, Reporter, compile_file
from p4cats.compiler.ir.text import program_text


def main() -> int:
    """Compile, print diagnostics to stderr and the IR to stdout."""
    options = argparse.ArgumentParser(prog="python -m p4cats.compiler", description=__doc__)
    options.add_argument("file", type=Path)
    options.add_argument("-I", dest="include_dirs", type=Path, action="append", default=[], metavar="DIR")
    given = options.parse_args()
    reporter = Reporter(on_report=lambda d: print(d.render(), file=sys.stderr))
    try:
        program = compile_file(given.file, include_dirs=given.include_dirs, reporter=reporter)
    except CompileError:
        return 1
    print(program_text(program), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
