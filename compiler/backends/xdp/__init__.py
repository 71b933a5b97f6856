"""Target xdp: a v1model program as C for eBPF, built by clang and loaded by p4cats.switch.xdp."""

from __future__ import annotations

from pathlib import Path

from p4cats.compiler.backends.xdp.layout import (
    BUCKET,
    ActionLayout,
    CellLayout,
    DigestLayout,
    KeyField,
    TableLayout,
    ValueSetLayout,
    XdpSource,
)
from p4cats.compiler.backends.xdp.module import Module
from p4cats.compiler.ir import nodes


def generate(program: nodes.Program, most_lines: int = 0) -> XdpSource:
    """Write the program as C, in one function or in functions of at most about `most_lines`.

    Errors: CompileError for what this target does not run.
    """
    return Module(program, most_lines).source()


def include_dir() -> Path:
    """The folder of p4xdp.h, which generated programs include."""
    return Path(__file__).parent


__all__ = [
    "BUCKET",
    "ActionLayout",
    "CellLayout",
    "DigestLayout",
    "KeyField",
    "TableLayout",
    "ValueSetLayout",
    "XdpSource",
    "generate",
    "include_dir",
]
