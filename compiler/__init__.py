"""The P4_16 compiler: P4 text, tokens, tree, typed tree, IR, P4Info, back ends.

In data order: `parse` (text to tree), `types` (tree to typed tree), `ir` (typed tree to IR), `backends`.
"""

from p4cats.compiler.diagnostics import CompileError, Diagnostic, Reporter
from p4cats.compiler.driver import compile_file, compile_text

__all__ = ["CompileError", "Diagnostic", "Reporter", "compile_file", "compile_text"]
