"""Target auto: xdp for the programs that it takes, the model for the others."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from p4cats.compiler.ir import nodes as ir
from p4cats.switch.dataplane import DataPlane, DataPlaneEvents
from p4cats.switch.errors import P4RuntimeError
from p4cats.switch.modeltarget import ModelTarget
from p4cats.switch.xdptarget import XdpTarget


class AutoTarget:
    """Two targets, of which the one that has the active program takes the packets."""

    def __init__(self, xdp: XdpTarget, model: ModelTarget) -> None:
        self._xdp, self._model = xdp, model
        self._on_model: set[int] = set()
        """Data planes of the model, by id."""
        self._active: XdpTarget | ModelTarget = xdp

    # -- pipelines ----------------------------------------------------------------------------

    def load(self, program: ir.Program, events: DataPlaneEvents) -> DataPlane:
        """Make a data plane; a line on stderr says why it is the model's, if it is."""
        try:
            return self._xdp.load(program, events)
        except P4RuntimeError as error:
            reason = error.message.splitlines()[0]
        plane = self._model.load(program, events)
        self._on_model.add(id(plane))
        print(f"p4cats: target model, which is slow: {reason}", file=sys.stderr, flush=True)
        return plane

    def activate(self, dataplane: DataPlane) -> None:
        """Let packets run through this data plane from the next one on."""
        self._active = self._of(dataplane)
        self._active.activate(dataplane)

    def discard(self, dataplane: DataPlane) -> None:
        """Free a data plane."""
        self._of(dataplane).discard(dataplane)
        self._on_model.discard(id(dataplane))

    def _of(self, dataplane: DataPlane) -> XdpTarget | ModelTarget:
        return self._model if id(dataplane) in self._on_model else self._xdp

    # -- packets ------------------------------------------------------------------------------

    def receive(self, port: int, frame: bytes) -> None:
        """A frame came in by a port's socket."""
        self._active.receive(port, frame)

    def port_changed(self, number: int) -> None:
        """An interface went up or down, vanished or came back."""
        self._xdp.port_changed(number)

    def start(self) -> None:
        """Begin to tick, in the running event loop."""
        self._xdp.start()
        self._model.start()

    def stop(self) -> None:
        """Stop; take programs off the interfaces."""
        self._xdp.stop()
        self._model.stop()

    # -- status -------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The target of the active program."""
        return self._active.name

    @property
    def generic_because(self) -> str | None:
        """Why XDP is generic, None where it is not."""
        return self._active.generic_because

    def mode(self, port: int) -> str:
        """How a port's packets reach the program."""
        return self._active.mode(port)

    def drops(self) -> Mapping[str, int]:
        """Packets that did not leave, by reason."""
        return self._active.drops()


__all__ = ["AutoTarget"]
