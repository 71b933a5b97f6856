"""`p4cats up`: a topology, running until Ctrl-C."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from p4cats.emulation.deployment import Deployment
from p4cats.emulation.interrupts import termination_as_interrupt
from p4cats.emulation.programs import choose_target
from p4cats.errors import UserError
from p4cats.topologies.schema import load

CHECK_INTERVAL_S = 1.0


def run_up(
    path: Path, *, target: str, cli: bool, keep: Path | None = None, prometheus: str | None = None
) -> int:
    """Bring the topology up, wait for Ctrl-C or SIGTERM (or the end of Mininet's console), take it down.

    `keep` is a directory for the C text that target xdp runs, `prometheus` is where figures are, [ADDR:]PORT.
    """
    console = Console(stderr=True)
    topology = load(path)
    figures = None if prometheus is None else parse_address(prometheus)
    target = choose_target(topology, target, keep)
    try:
        with (
            termination_as_interrupt(),
            console.status("starting") as shown,
            Deployment(topology, target=target, prometheus=figures, tell=shown.update) as running,
        ):
            shown.stop()
            console.print(
                f"{topology.name} is up: {len(topology.switches)} switches, {len(topology.hosts)} hosts. "
                "Try `p4cats status` and `p4cats instances`; Ctrl-C ends it."
            )
            if topology.telemetry is not None:
                console.print(f"Telemetry reports: {running.reports}")
            if cli:
                running.network.cli()
                return 0
            while True:
                time.sleep(CHECK_INTERVAL_S)
                running.check()
    except KeyboardInterrupt:
        console.print("taken down")
        return 0


def parse_address(text: str) -> tuple[str, int]:
    """Read [ADDR:]PORT, 127.0.0.1 without an address; an IPv6 address stands in brackets."""
    host, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 1 << 16 or (":" in host and not host.startswith("[")):
        raise UserError(f"--prometheus {text}: write [ADDR:]PORT, for instance 9100 or [::1]:9100")
    return host.strip("[]") or "127.0.0.1", int(port)
