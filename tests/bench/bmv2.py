"""bmv2 between the hosts of `xdp_wires`, where p4c-bm2-ss and simple_switch_grpc are on PATH.

Never run against a real bmv2, which no package registry has: the tests put other executables in its place.
The arguments are those of p4c 1.2.5 and bmv2 1.15.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import finsy as fy
from xdp_wires import ROUTER, WithoutXdp, write_routes

from p4cats.netns import call_in
from p4cats.topologies.namespaces import run, set_sysctls

COMPILER, SWITCH = "p4c-bm2-ss", "simple_switch_grpc"
HOST, PORT = "127.0.0.1", 9559
READY_S = 20
QUIET_S = 0.2
"""bmv2 has queues: when the generator has ended, frames arrive for as long as no pause is this long."""


def missing() -> str:
    """The executable that is not on PATH, or ""."""
    return next((name for name in (COMPILER, SWITCH) if shutil.which(name) is None), "")


def compile_command(program: Path, directory: Path) -> list[str]:
    """Make program.json and program.p4info.txtpb in a directory."""
    made = [str(directory / "program.json"), "--p4runtime-files", str(directory / "program.p4info.txtpb")]
    return [COMPILER, "-o", *made, str(program)]


def switch_command(ports: dict[int, str]) -> list[str]:
    """A switch with these interfaces that waits for its pipeline."""
    interfaces = [text for number, name in ports.items() for text in ("-i", f"{number}@{name}")]
    options = ["--no-p4", "--device-id", "1", *interfaces, "-L", "warn"]
    return [SWITCH, *options, "--", "--grpc-server-addr", f"{HOST}:{PORT}"]


class Bmv2Switch(WithoutXdp):
    """simple_switch_grpc with the tests' router; its entries come by P4Runtime.

    Errors: RuntimeError with the last words of compiler or controller, or the switch's exit code.
    """

    def forward(self, stack: ExitStack) -> None:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _done(compile_command(ROUTER, directory))
        call_in(self.switch, lambda: run(["ip", "link", "set", "lo", "up"]))
        # Else the kernel's own neighbour discovery enters the program.
        for name in ("p1", "p2"):
            call_in(self.switch, lambda name=name: set_sysctls({f"ipv6/conf/{name}/disable_ipv6": 1}))  # type: ignore[misc]
        command = switch_command({1: "p1", 2: "p2"})
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = self._popen(stack, self.switch, command, **quiet)
        end = time.monotonic() + READY_S
        while not call_in(self.switch, _listens):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{SWITCH}: exit code {process.poll()}, nothing listens on {HOST}:{PORT}")
            time.sleep(0.05)
        # The switch listens in its namespace, and gRPC's threads join no other: a process of its own.
        _done(["nsenter", f"--net=/proc/{self.switch}/ns/net", sys.executable, __file__, str(directory)])

    def all_through(self) -> float:
        arrived, last = self.received(), time.perf_counter()
        while (now := time.perf_counter()) < last + QUIET_S:
            time.sleep(QUIET_S / 20)
            if (more := self.received()) != arrived:
                arrived, last = more, now
        return last


def _done(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(f"{argv[0]}: {said[-1]}")


def _listens() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, PORT)) == 0


async def _control(directory: Path) -> None:
    options = fy.SwitchOptions(
        p4info=directory / "program.p4info.txtpb", p4blob=directory / "program.json", device_id=1
    )
    async with fy.Switch("bmv2", f"{HOST}:{PORT}", options) as sw:
        await write_routes(sw)


if __name__ == "__main__":
    asyncio.run(_control(Path(sys.argv[1])))
