"""What the P4Runtime service asks of a target (model, xdp): to make data planes, and to run one."""

from __future__ import annotations

from typing import Protocol

from p4cats.compiler.ir import nodes as ir
from p4cats.switch.dataplane import DataPlane, DataPlaneEvents


class Target(Protocol):
    """Where pipelines run.

    A target in which no packet runs while the event loop is in a request may say so by an attribute
    `atomic_batches = True`: it gets DATAPLANE_ATOMIC batches then.
    """

    def load(self, program: ir.Program, events: DataPlaneEvents) -> DataPlane:
        """Make a data plane for a program, ready to be written; packets do not reach it yet.

        P4RuntimeError (INVALID_ARGUMENT) where the target cannot realise the program.
        """

    def activate(self, dataplane: DataPlane) -> None:
        """Let packets run through this data plane instead of the one before, in one step."""

    def discard(self, dataplane: DataPlane) -> None:
        """Free a data plane that is not active (any more)."""


__all__ = ["Target"]
