"""Switches of a running network by name; `p4cats shell`: p4runtime-shell on one of them."""

from __future__ import annotations

import os

from p4cats.controller import client
from p4cats.errors import UserError


def locate(switch: str, network: str | None) -> tuple[str, int | None]:
    """P4Runtime address and device id of a switch of a running network; ADDR:PORT is taken as it is."""
    if ":" in switch:
        return switch, None
    switches = {s["name"]: s for s in client.connect(network).status()["switches"]}
    if switch not in switches:
        raise UserError(f"no switch is named {switch}; there are {', '.join(switches)}")
    return switches[switch]["address"], switches[switch]["device_id"]


def open_shell(switch: str, network: str | None) -> int:
    """Replace this process by p4runtime-shell, connected as a backup of the controller."""
    from p4cats.switch.shell import shell_argv  # noqa: PLC0415 (makes the shell's environment on first use)

    address, device_id = locate(switch, network)
    argv = shell_argv(address, device_id or 1, (0, 1))
    os.execv(argv[0], argv)
