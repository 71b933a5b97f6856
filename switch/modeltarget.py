"""The model target on real interfaces: loads programs and moves packets between them and the ports."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

from p4cats.compiler.diagnostics import CompileError
from p4cats.compiler.ir import nodes as ir
from p4cats.switch.dataplane import DataPlane, DataPlaneEvents
from p4cats.switch.errors import invalid
from p4cats.switch.kept import Kept
from p4cats.switch.model import ModelDataPlane
from p4cats.switch.ports import Ports

_TICK_S = 0.1
"""Idle timeouts and held-back queues are looked at this often."""


class ModelTarget:
    """Runs one ModelDataPlane at a time."""

    name = "model"
    generic_because = None
    atomic_batches = True
    """Packets and requests share the event loop."""

    def __init__(self, ports: Ports, cpu_port: int, state: Path | None = None) -> None:
        self._ports = ports
        self._cpu_port = cpu_port
        self._kept = Kept(state)
        self._active: ModelDataPlane | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.early_drops = 0
        """Frames that came before there was a pipeline."""

    def load(self, program: ir.Program, events: DataPlaneEvents) -> DataPlane:
        """Make a data plane; it gets no packets yet."""
        try:
            plane = ModelDataPlane(program, self._ports.send, events, cpu_port=self._cpu_port)
        except CompileError as error:
            raise invalid(f"the model target cannot run this program: {error}") from error
        self._kept.restore(plane.engine.registers)
        return plane

    def activate(self, dataplane: DataPlane) -> None:
        """Packets run through this data plane from the next one on."""
        self._active = cast(ModelDataPlane, dataplane)

    def discard(self, dataplane: DataPlane) -> None:
        """Forget a data plane."""
        if self._active is dataplane:
            self._active = None

    def receive(self, port: int, frame: bytes) -> None:
        """A frame came in by a port."""
        if self._active is None:
            self.early_drops += 1
        else:
            self._active.process(port, frame)

    def port_changed(self, _port: int) -> None:
        """Sockets come and go by themselves."""

    def mode(self, _port: int) -> str:
        """How packets reach the program: by packet sockets."""
        return "model"

    def drops(self) -> dict[str, int]:
        """Packets that did not leave, by reason."""
        drops = {} if self._active is None else dict(self._active.drops)
        return drops | ({"no program": self.early_drops} if self.early_drops else {})

    def start(self) -> None:
        """Begin to tick, in the running event loop."""
        self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def stop(self) -> None:
        """Stop ticking; keep what the program has written."""
        if self._timer is not None:
            self._timer.cancel()
        if self._active is not None:
            self._kept.save(self._active.engine.registers)

    def _tick(self) -> None:
        self.start()
        if self._active is not None:
            self._active.tick()


__all__ = ["ModelTarget"]
