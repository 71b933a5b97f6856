"""Scopes: names in nested blocks (spec 6.9), with suggestions for names that are not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from p4cats.compiler.types import tree


class Scope:
    """The names of one block; inner blocks hide outer names."""

    __slots__ = ("names", "parent")

    def __init__(self, parent: Scope | None = None) -> None:
        self.parent = parent
        self.names: dict[str, tree.Symbol] = {}

    def find(self, name: str) -> tree.Symbol | None:
        """The innermost declaration of a name."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.names.get(name)
            if found is not None:
                return found
            scope = scope.parent
        return None

    def visible(self) -> list[str]:
        """All names that can be used here."""
        found: dict[str, None] = {}
        scope: Scope | None = self
        while scope is not None:
            found.update(dict.fromkeys(scope.names))
            scope = scope.parent
        return list(found)


def suggest(name: str, candidates: Iterable[str]) -> str | None:
    """A hint naming the candidate that was probably meant."""
    close = difflib.get_close_matches(name, [c for c in candidates if c != name], n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else None
