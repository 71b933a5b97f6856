"""Target model: a v1model program as readable, fast Python text.

`generate` gives the text of a module; p4cats.switch.model runs it. One function per block of the
architecture, with everything that a block calls inlined, so that a packet costs few Python calls.
"""

from __future__ import annotations

from p4cats.compiler.backends.model.module import Module
from p4cats.compiler.ir import nodes


def generate(program: nodes.Program) -> str:
    """Write the program as a Python module. Errors: CompileError for what simple_switch has not."""
    return Module(program).text()


__all__ = ["generate"]
