"""`p4cats shell`: p4runtime-shell on a running switch."""

from __future__ import annotations

import os

from p4cats.controller import client
from p4cats.errors import UserError


def open_shell(switch: str, network: str | None) -> int:
    """Replace this process by p4runtime-shell, connected as a backup of the controller."""
    from p4cats.switch.shell import shell_argv  # noqa: PLC0415 (makes the shell's environment on first use)

    address, device_id = switch, 1
    if ":" not in switch:
        switches = {s["name"]: s for s in client.connect(network).status()["switches"]}
        if switch not in switches:
            raise UserError(f"no switch is named {switch}; there are {', '.join(switches)}")
        address, device_id = switches[switch]["address"], switches[switch]["device_id"]
    argv = shell_argv(address, device_id, (0, 1))
    os.execv(argv[0], argv)
