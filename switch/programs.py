"""From P4 text to a pipeline's Program.

A controller's p4_device_config is preprocessed P4 source, as p4cats compile writes it. The switch compiles
it itself: no code is taken from the network, only a program for its own compiler. Such text must not
include files of the switch's machine; the built-in core.p4 and v1model.p4 are no files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from p4cats.errors import UserError
from p4cats.switch.errors import invalid
from p4cats.switch.pipeline import Program

_GAP = r"(?:[ \t]|\\\r?\n|/\*.*?\*/)*"
_INCLUDE = re.compile(rf"#{_GAP}include\b{_GAP}([^\n]*)", re.DOTALL)
_BUILTIN = re.compile(r"<(core|v1model)\.p4>\s*(//.*|/\*.*)?")


def compile_config(config: bytes) -> Program:
    """Compile a p4_device_config; INVALID_ARGUMENT with the compiler's messages where that fails."""
    from p4cats.compiler.backends.p4info import p4info  # noqa: PLC0415 (a switch starts faster without it)
    from p4cats.compiler.diagnostics import CompileError  # noqa: PLC0415
    from p4cats.compiler.driver import compile_text  # noqa: PLC0415

    try:
        text = config.decode()
    except UnicodeDecodeError as error:
        raise invalid(f"p4_device_config is not UTF-8 text at byte {error.start}; {_EXPECTED}") from error
    if text.lstrip().startswith("{"):
        raise invalid(f"p4_device_config looks like JSON (of bmv2); {_EXPECTED}")
    for include in _INCLUDE.finditer(text):
        if not _BUILTIN.fullmatch(include[1].strip()):
            raise invalid(f"p4_device_config includes {include[1].strip()}; {_EXPECTED}")
    try:
        program = compile_text(text, "p4_device_config")
        return Program(program, p4info(program), config)
    except CompileError as error:
        raise invalid(f"the program does not compile:\n{error}") from error
    except RecursionError as error:
        raise invalid("the program does not compile: it is nested too deeply") from error


_EXPECTED = "this target takes preprocessed P4 source text (`p4cats compile` writes it)"


def compile_pipeline(path: Path, include_dirs: Sequence[Path] = ()) -> Program:
    """Compile a file for `--pipeline`; UserError with the compiler's messages where that fails."""
    from p4cats.compiler.backends.p4info import p4info  # noqa: PLC0415
    from p4cats.compiler.diagnostics import CompileError, Reporter  # noqa: PLC0415
    from p4cats.compiler.driver import compile_text  # noqa: PLC0415
    from p4cats.compiler.parse.preprocessor import preprocess_to_text  # noqa: PLC0415

    try:
        text = preprocess_to_text(path, include_dirs=include_dirs, reporter=Reporter())
        program = compile_text(text, str(path))
        return Program(program, p4info(program), text.encode())
    except CompileError as error:
        raise UserError("\n".join(d.render() for d in error.diagnostics)) from error
    except OSError as error:
        raise UserError(f"pipeline {path}: {error.strerror}") from error


__all__ = ["compile_config", "compile_pipeline"]
