"""The switch's own account of itself, beside P4Runtime: see p4cats.switch_status."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import grpc

from p4cats.switch.links import Statistics
from p4cats.switch.ports import Port, Ports
from p4cats.switch_status import METHOD, SERVICE, PortStatus, SwitchStatus, Traffic


class Target(Protocol):
    """What is asked of a target here."""

    @property
    def name(self) -> str:
        """Of the target that has the packets: xdp or model."""

    @property
    def generic_because(self) -> str | None:
        """Why XDP is generic, None where it is not."""

    def mode(self, port: int) -> str:
        """How a port's packets reach the program: native, generic, model, or none."""

    def drops(self) -> Mapping[str, int]:
        """Packets that did not leave, by reason."""


def status(target: Target, ports: Ports) -> SwitchStatus:
    """Ask target and ports; takes some hundred microseconds."""
    counted = ports.statistics()
    drops = dict(target.drops())
    if ports.unknown_port_drops:
        drops[NO_PORT] = drops.get(NO_PORT, 0) + ports.unknown_port_drops
    return {
        "target": target.name,
        "generic_because": target.generic_because,
        "ports": [_port(target, port, counted.get(n)) for n, port in sorted(ports.ports.items())],
        "drops": drops,
    }


NO_PORT = "no egress port"
"""The program chose a port that the switch does not have."""


def _port(target: Target, port: Port, counted: Statistics | None) -> PortStatus:
    port.count_overflow()
    drops = dict(port.drops)
    traffic: Traffic | None = None
    state = "away"
    if counted is not None:
        state = "up" if port.up else "down"
        traffic = {
            "rx_packets": counted.rx_packets,
            "rx_bytes": counted.rx_bytes,
            "tx_packets": counted.tx_packets,
            "tx_bytes": counted.tx_bytes,
        }
        lost = {
            "receive": counted.rx_dropped + counted.rx_errors,
            "transmit": counted.tx_dropped + counted.tx_errors,
        }
        drops |= {reason: count for reason, count in lost.items() if count}
    return {
        "port": port.number,
        "interface": port.interface,
        "state": state,
        "mode": target.mode(port.number) if counted is not None else "none",
        "traffic": traffic,
        "drops": drops,
    }


def handler(read: Callable[[], SwitchStatus]) -> grpc.GenericRpcHandler[Any, Any]:
    """The gRPC method that gives what `read` returns, as JSON."""

    async def answer(_request: bytes, _context: object) -> bytes:
        return json.dumps(read()).encode()

    method = grpc.unary_unary_rpc_method_handler(answer)
    return grpc.method_handlers_generic_handler(SERVICE, {METHOD: method})


__all__ = ["NO_PORT", "handler", "status"]
