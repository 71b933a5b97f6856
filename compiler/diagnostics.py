"""Errors and warnings about P4 programs, collected over a run.

CompileError
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from p4cats.compiler.source import Span


class Severity(Enum):
    """How bad a diagnostic is."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message about one place; `hint` says how to mend it."""

    severity: Severity
    span: Span
    message: str
    hint: str | None = None

    def headline(self) -> str:
        """`file:line:column: error: message`."""
        return f"{self.span}: {self.severity.value}: {self.message}"

    def render(self) -> str:
        """Headline, source line with a caret under the span, and the hint."""
        source = self.span.source
        line, column = source.position(self.span.start)
        rows = [self.headline()]
        text = source.line(line) if source.text else ""
        if text:
            shown = text.replace("\t", " ")
            width = max(1, min(self.span.end - self.span.start, len(text) - column + 1))
            gutter = f"{line:5} | "
            rows.append(gutter + shown)
            rows.append(" " * (len(gutter) - 2) + "| " + " " * (column - 1) + "^" + "~" * (width - 1))
        if self.hint:
            rows.append(f"  hint: {self.hint}")
        return "\n".join(rows)


class CompileError(Exception):
    """The program has errors; `diagnostics` holds them (and the warnings) in order of report."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        self.diagnostics = diagnostics
        super().__init__("\n".join(d.headline() for d in diagnostics))


@dataclass
class Reporter:
    """Collects diagnostics; stops the run by CompileError after `limit` errors."""

    limit: int = 50
    diagnostics: list[Diagnostic] = field(default_factory=list)
    on_report: Callable[[Diagnostic], None] | None = None
    _seen: set[tuple[int, int, str]] = field(default_factory=set)

    def error(self, span: Span, message: str, hint: str | None = None) -> None:
        """Report an error; the run goes on until `check`."""
        self._add(Diagnostic(Severity.ERROR, span, message, hint))
        if self.error_count >= self.limit:
            raise CompileError(self.diagnostics)

    def warning(self, span: Span, message: str, hint: str | None = None) -> None:
        """Report a warning, except inside built-in declarations."""
        if not span.source.system:
            self._add(Diagnostic(Severity.WARNING, span, message, hint))

    def fatal(self, span: Span, message: str, hint: str | None = None) -> CompileError:
        """Report an error after which the run cannot go on: `raise reporter.fatal(...)`."""
        self._add(Diagnostic(Severity.ERROR, span, message, hint))
        return CompileError(self.diagnostics)

    @property
    def error_count(self) -> int:
        """Errors so far, warnings not counted."""
        return sum(d.severity is Severity.ERROR for d in self.diagnostics)

    def check(self) -> None:
        """Raise CompileError if any error was reported (called between phases)."""
        if self.error_count:
            raise CompileError(self.diagnostics)

    def _add(self, diagnostic: Diagnostic) -> None:
        key = (id(diagnostic.span.source), diagnostic.span.start, diagnostic.message)
        if key in self._seen:
            return
        self._seen.add(key)
        self.diagnostics.append(diagnostic)
        if self.on_report:
            self.on_report(diagnostic)
