"""Target model: a v1model program as readable, fast Python text.

`generate` gives the text of a module; p4cats.switch.model runs it. One function per block of the
architecture, with everything that a block calls inlined, so that a packet costs few Python calls.
"""

from __future__ import annotations

from types import CodeType

from p4cats.compiler.backends.model.expressions import unsupported
from p4cats.compiler.backends.model.module import Module
from p4cats.compiler.ir import nodes


def generate(program: nodes.Program) -> str:
    """Write the program as a Python module. Errors: CompileError for what simple_switch has not."""
    return Module(program).text()


def compile_program(program: nodes.Program) -> CodeType:
    """Generate the module and compile it. Errors: CompileError, also for nesting that Python refuses."""
    try:
        return compile(generate(program), f"<target model: {program.ingress.span.source.name}>", "exec")
    except (SyntaxError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else type(error).__name__
        raise unsupported(
            program.ingress.span,
            f"the program is nested too deeply ({reason})",
            "split long chains of if or + up",
        ) from error


__all__ = ["compile_program", "generate"]
