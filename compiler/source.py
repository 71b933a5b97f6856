"""Source text and positions in it."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class Source:
    """One file (or built-in text) and the offsets of its lines."""

    name: str
    """As shown in diagnostics: the path as the user gave it."""
    text: str
    system: bool = False
    """Built-in declarations (core.p4, v1model.p4): no warnings are reported inside."""
    _starts: list[int] = field(default_factory=list)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        if not self._starts:
            self._starts = [0] + [i + 1 for i, c in enumerate(self.text) if c == "\n"]
        line = bisect.bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of line `number` (from 1), without its end."""
        return self.text.split("\n", number)[number - 1].rstrip("\r") if self.text else ""


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of offsets in one source."""

    source: Source
    start: int
    end: int

    def to(self, other: Span) -> Span:
        """From the start of this span to the end of `other` (this span alone if it lies elsewhere)."""
        return Span(self.source, self.start, other.end) if other.source is self.source else self

    def __str__(self) -> str:
        line, column = self.source.position(self.start)
        return f"{self.source.name}:{line}:{column}"


BUILTIN = Span(Source("<built-in>", "", system=True), 0, 0)
"""Position of what no source declares."""
