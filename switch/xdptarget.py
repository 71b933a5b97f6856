"""The xdp target on real interfaces: programs run in the kernel, events bring what is left for user space."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import cast

from p4cats.compiler.diagnostics import CompileError
from p4cats.compiler.ir import nodes as ir
from p4cats.ebpf.errors import EbpfError
from p4cats.switch.dataplane import DataPlane, DataPlaneEvents
from p4cats.switch.errors import invalid
from p4cats.switch.kept import Kept
from p4cats.switch.ports import Ports
from p4cats.switch.xdp import LoadError, XdpDataPlane
from p4cats.switch.xdp.attach import Attachments
from p4cats.switch.xdp.pinned import Pinned

logger = logging.getLogger("p4cats.switch.xdp")

_TICK_S = 0.1
"""Idle timeouts are looked at this often."""


class XdpTarget:
    """Runs one XdpDataPlane at a time on the interfaces of a switch."""

    name = "xdp"

    def __init__(
        self,
        ports: Ports,
        cpu_port: int,
        netns: str | None = None,
        keep: Path | None = None,
        state: Path | None = None,
    ) -> None:
        self._ports = ports
        self._cpu_port = cpu_port
        self._keep = keep
        self._kept = Kept(state)
        self._pinned = Pinned(state)
        self._active: XdpDataPlane | None = None
        self._watched: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self.attachments = Attachments(netns)
        self.early_drops = 0
        """Frames that came by the socket: before there was a pipeline, or from a port without XDP."""

    # -- pipelines ----------------------------------------------------------------------------

    def load(self, program: ir.Program, events: DataPlaneEvents) -> DataPlane:
        """Make a data plane; it gets no packets yet."""
        try:
            plane = XdpDataPlane(program, self._ports.send, events, cpu_port=self._cpu_port, keep=self._keep)
        except (CompileError, LoadError) as error:
            raise invalid(f"the xdp target cannot run this program: {error}") from error
        if self._keep is not None:
            print(f"p4cats: generated C: {self._keep}", file=sys.stderr, flush=True)
        if not self._kept.restore(plane.registers):
            self._pinned.restore(plane)
        return plane

    def activate(self, dataplane: DataPlane) -> None:
        """Let packets run through this data plane from the next one on."""
        plane = cast(XdpDataPlane, dataplane)
        self.attachments.activate(plane, self._interfaces())
        self._unwatch()
        self._active = plane
        self._pinned.pin(plane)
        self._watch(plane)

    def discard(self, dataplane: DataPlane) -> None:
        """Free a data plane; where it is active, packets are dropped from now on."""
        plane = cast(XdpDataPlane, dataplane)
        if self._active is plane:
            self.attachments.deactivate()
            self._unwatch()
            self._active = None
        plane.close()

    def _interfaces(self) -> dict[int, int]:
        return {n: p.index for n, p in self._ports.ports.items() if p.socket is not None}

    # -- ports --------------------------------------------------------------------------------

    def receive(self, _port: int, _frame: bytes) -> None:
        """A frame that no program took."""
        self.early_drops += 1

    def port_changed(self, number: int) -> None:
        """An interface went up or down, vanished or came back (with another index)."""
        port = self._ports.ports[number]
        try:
            if port.socket is None:
                self.attachments.remove(number)
            elif self.attachments.index(number) != port.index:
                self.attachments.add(number, port.index)
        except EbpfError as error:
            logger.warning("port %d (%s): %s", number, port.interface, error)

    @property
    def generic_because(self) -> str | None:
        """Why XDP is generic, None where it is not."""
        return self.attachments.generic_because

    def mode(self, port: int) -> str:
        """How a port's packets reach the program: native, generic, or none."""
        return self.attachments.modes.get(port, "none")

    def drops(self) -> dict[str, int]:
        """Packets that did not leave, by reason."""
        drops = {} if self._active is None else self._active.drops()
        return drops | ({"no program": self.early_drops} if self.early_drops else {})

    # -- events -------------------------------------------------------------------------------

    def _watch(self, plane: XdpDataPlane) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(plane.injector.buffer.fileno, plane.injector.work)
        self._watched.append(plane.injector.buffer.fileno)

    def _unwatch(self) -> None:
        for fd in self._watched:
            asyncio.get_running_loop().remove_reader(fd)
        self._watched.clear()

    def start(self) -> None:
        """Begin to tick, in the running event loop."""
        self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def stop(self) -> None:
        """Stop; take the program off the interfaces and keep what it has written."""
        if self._timer is not None:
            self._timer.cancel()
        self._unwatch()
        self.attachments.close()
        if self._active is not None:
            self._kept.save(self._active.registers)
        self._pinned.remove()

    def _tick(self) -> None:
        self.start()
        if self._active is not None:
            self._active.tick()


__all__ = ["XdpTarget"]
