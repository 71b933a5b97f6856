"""What the state store asks about ports (watch_port, replicas)."""

from __future__ import annotations

from typing import Protocol


class PortState(Protocol):
    """The ports of a switch by number."""

    def exists(self, port: int) -> bool:
        """Whether the switch has such a port."""

    def is_up(self, port: int) -> bool:
        """Whether packets can leave by it now."""


class AnyPort:
    """A switch of which nobody said which ports it has: all exist and are up."""

    def exists(self, port: int) -> bool:
        """Every port but 0 of P4Runtime's reserved values."""
        return port >= 0

    def is_up(self, port: int) -> bool:
        """Always."""
        return port >= 0


__all__ = ["AnyPort", "PortState"]
