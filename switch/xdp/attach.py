"""Ports of the xdp target: the program on the interfaces' XDP hooks, and the map that redirects to them.

Native XDP where the driver has it and every veth's peer takes redirected frames; generic XDP for all ports
otherwise (it needs nothing of the peer, and is slower). Attachments are bpf links: the kernel takes them off
when this process ends, however it ends, and a pipeline is exchanged in one step.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import struct
from collections.abc import Mapping
from pathlib import Path

from p4cats.ebpf.build import compile_bpf
from p4cats.ebpf.errors import EbpfError, LibbpfError
from p4cats.ebpf.libbpf import Object, Program, XdpHook, XdpLink, detach_links_of, program_name
from p4cats.netns import call_in
from p4cats.switch.xdp.dataplane import XdpDataPlane
from p4cats.switch.xdp.peers import Peer, veth_peer

logger = logging.getLogger("p4cats.switch.xdp")

_PASS = "p4_pass"
_INPORTS = 1024
_PLACES = 4
"""Neighbouring places of `inports` that the program looks at (port_of)."""


class Attachments:
    """The active program on the interfaces of a switch."""

    def __init__(self, netns: str | None) -> None:
        self._netns = netns
        self._links: dict[int, tuple[int, XdpLink]] = {}
        """Port: ifindex and link."""
        self._peers: dict[int, XdpLink] = {}
        self._passing: dict[int, Object] = {}
        self._active: XdpDataPlane | None = None
        self.generic_because: str | None = None
        """Why all ports are generic; None: they are native."""

    @property
    def mode(self) -> str:
        """native or generic, of ports that come."""
        return "native" if self.generic_because is None else "generic"

    @property
    def modes(self) -> dict[int, str]:
        """native or generic, by port."""
        return {port: link.mode for port, (_, link) in self._links.items()}

    def index(self, port: int) -> int | None:
        """The interface that a port's program is on."""
        return self._links[port][0] if port in self._links else None

    def activate(self, plane: XdpDataPlane, interfaces: Mapping[int, int]) -> None:
        """Let packets of these interfaces (port: ifindex) run through a data plane."""
        for port, ifindex in interfaces.items():
            self._enter(plane, port, ifindex)
        call_in(self._netns, lambda: self._fill_devmap(plane, interfaces))
        self._active = plane
        program = plane.loaded.object.programs["p4_main"]
        for _, link in self._links.values():
            link.update(program)
        for port, ifindex in interfaces.items():
            if port not in self._links:
                self._attach(port, ifindex, program)

    def add(self, port: int, ifindex: int) -> None:
        """An interface has come (back)."""
        self.remove(port)
        if self._active is None:
            return
        plane = self._active
        self._enter(plane, port, ifindex)
        call_in(self._netns, lambda: self._fill_devmap(plane, {port: ifindex}))
        self._attach(port, ifindex, plane.loaded.object.programs["p4_main"])

    def remove(self, port: int) -> None:
        """An interface has gone."""
        known = self._links.pop(port, None)
        peer = self._peers.pop(port, None)
        if known is not None:
            known[1].close()
            if self._active is not None:
                _leave(self._active, known[0])
        if peer is not None:
            peer.close()
            self._passing.pop(port).close()

    def deactivate(self) -> None:
        """Take the program off all interfaces."""
        for port in list(self._links):
            self.remove(port)
        self._active = None

    def close(self) -> None:
        """Detach everything."""
        self.deactivate()

    # -- one interface ------------------------------------------------------------------------

    def _attach(self, port: int, ifindex: int, program: Program) -> None:
        if self.mode == "native":
            lacking = self._prepare_peer(port, ifindex)
            if lacking is not None:
                self._become_generic(program, f"port {port}: {lacking}")
        try:
            link = self._link(ifindex, program)
        except LibbpfError as error:
            if self.mode == "generic" or error.errno in (errno.EBUSY, errno.EEXIST, errno.ENODEV):
                raise
            self._become_generic(program, f"port {port}: no native XDP ({error})")
            link = self._link(ifindex, program)
        self._links[port] = (ifindex, link)

    def _link(self, ifindex: int, program: Program) -> XdpLink:
        """Attach; a neighbouring switch may have put its passing program on our end of a veth before."""

        def attach() -> XdpLink:
            try:
                return XdpLink(ifindex, program, self.mode)
            except LibbpfError as error:
                known = XdpHook(ifindex).query() if error.errno in (errno.EBUSY, errno.EEXIST) else None
                if known is None or program_name(known) != _PASS or not detach_links_of(known):
                    raise
            return XdpLink(ifindex, program, self.mode)

        return call_in(self._netns, attach)

    def _become_generic(self, program: Program, why: str) -> None:
        """A frame may go from any port to any other: one that cannot do native makes all generic."""
        self.generic_because = why.splitlines()[0]
        logger.info("generic XDP: %s", self.generic_because)
        for port, (ifindex, link) in list(self._links.items()):
            link.close()
            self._links[port] = (ifindex, self._link(ifindex, program))

    def _prepare_peer(self, port: int, ifindex: int) -> str | None:
        """Make a veth's peer take redirected frames; why that cannot be, None where it can."""
        try:
            peer = call_in(self._netns, lambda: veth_peer(ifindex))
        except (LookupError, OSError) as error:
            return str(error)
        if peer is None:
            return None
        # One object for each peer: so the program's id tells a neighbour which link to take off.
        passing = Object.open(compile_bpf(Path(__file__).parent / "pass.bpf.c"))
        try:
            passing.load()
            self._peers[port] = call_in(
                str(peer.netns) if peer.netns else self._netns,
                lambda: XdpLink(peer.ifindex, passing.programs[_PASS], "native"),
            )
        except (EbpfError, OSError) as error:
            passing.close()
            if isinstance(error, LibbpfError) and error.errno in (errno.EBUSY, errno.EEXIST):
                return None  # it has a program of its own, of another switch for instance
            return f"the peer takes no program ({error})"
        self._passing[port] = passing
        return None

    def _enter(self, plane: XdpDataPlane, port: int, ifindex: int) -> None:
        inports = plane.loaded.memory.view("inports", 2 * _INPORTS)
        for step in range(_PLACES):
            at = 2 * ((ifindex + step) % _INPORTS)
            if inports[at] in (0, ifindex):
                inports[at + 1] = port
                inports[at] = ifindex
                return
        raise EbpfError(f"port {port}: too many interfaces with numbers like {ifindex}")

    def _fill_devmap(self, plane: XdpDataPlane, interfaces: Mapping[int, int]) -> None:
        devmap = plane.loaded.object.maps["ports"]
        for port, ifindex in interfaces.items():
            devmap.update(struct.pack("=I", port), struct.pack("=I", ifindex))


def _leave(plane: XdpDataPlane, ifindex: int) -> None:
    with contextlib.suppress(KeyError, ValueError):
        inports = plane.loaded.memory.view("inports", 2 * _INPORTS)
        for step in range(_PLACES):
            at = 2 * ((ifindex + step) % _INPORTS)
            if inports[at] == ifindex:
                inports[at] = 0


__all__ = ["Attachments", "Peer"]
