"""What a switch tells besides P4Runtime: its target, its ports and what it drops.

P4Runtime has no entity for ports. Port statistics are gNMI's part there, a protocol and a model tree of their
own for a dozen numbers. So a switch serves one more method on the gRPC server that it has anyway: it is
reached, encrypted and authenticated as P4Runtime is, from wherever a controller runs. The request is empty,
the answer is a SwitchStatus in JSON. Other switches answer UNIMPLEMENTED.
"""

from __future__ import annotations

from typing import TypedDict

SERVICE = "p4cats.Switch"
METHOD = "Status"


class Traffic(TypedDict):
    """Frames and bytes as the kernel counts them for an interface, since the interface is there."""

    rx_packets: int
    rx_bytes: int
    tx_packets: int
    tx_bytes: int


class PortStatus(TypedDict):
    """One port."""

    port: int
    interface: str
    state: str
    """up, down, or away: there is no such interface now."""
    mode: str
    """native or generic XDP, model (packet sockets), none: no program is on the interface."""
    traffic: Traffic | None
    """None while the interface is away."""
    drops: dict[str, int]
    """Frames lost at the port, by reason. `receive` and `transmit` are the kernel's counts: with native XDP a
    frame that another port could not send (it is down, the frame exceeds its MTU) counts where it came in."""


class SwitchStatus(TypedDict):
    """One switch."""

    target: str
    generic_because: str | None
    """Why XDP is generic."""
    ports: list[PortStatus]
    drops: dict[str, int]
    """Packets that did not leave, by reason, since the program was installed; `ingress` and `egress`: where
    the program decided so."""


__all__ = ["METHOD", "SERVICE", "PortStatus", "SwitchStatus", "Traffic"]
