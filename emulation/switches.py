"""Switch processes: one `p4cats switch` for each switch of a topology.

The process serves P4Runtime in the root network namespace, on a free port of loopback, and takes its
ports from the switch's own namespace.

    SwitchError         a switch process did not come up, with what it said
"""

from __future__ import annotations

import re
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from p4cats.errors import UserError
from p4cats.topologies.addressing import Plan

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 3.0


class SwitchError(UserError):
    """A switch process did not come up, with what it said."""


class SwitchProcesses:
    """Starts and stops switch processes; the network's SwitchRunner.

    `spawn(argv, **options)` starts a process of the network (cleanup.Run.spawn); `states()` is the directory
    for what switches keep over a restart.
    """

    def __init__(
        self, plan: Plan, spawn: Callable[..., subprocess.Popen[Any]], target: str, states: Callable[[], Path]
    ):
        self._plan = plan
        self._spawn = spawn
        self._target = target
        self._states = states
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._starting: set[str] = set()
        self.addresses: dict[str, str] = {}
        """P4Runtime address (host:port) of each switch that is ready."""

    def start(self, name: str, netns: str, ports: Mapping[int, str]) -> None:
        """Start a switch; it is usable when `wait` has returned."""
        argv = [
            sys.executable,
            "-m",
            "p4cats",
            "switch",
            "--p4runtime",
            self.addresses.get(name, "127.0.0.1:0"),
        ]
        argv += ["--device-id", str(self._plan.switches[name].device_id), "--target", self._target]
        argv += ["--netns", netns, "--state", str(self._states() / f"{name}.registers")]
        for number, interface in ports.items():
            argv += ["--port", f"{number}@{interface}"]
        self._processes[name] = self._spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._starting.add(name)

    def stop(self, name: str) -> None:
        """End a switch."""
        process = self._processes.pop(name, None)
        if process is None:
            return
        self._starting.discard(name)
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

    def pid(self, name: str) -> int:
        """Process id of a running switch."""
        return self._processes[name].pid

    def wait(self) -> None:
        """Wait until all switches are ready; SwitchError if one ends or stays silent."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        with selectors.DefaultSelector() as selector:
            for name in self._starting:
                pipe = self._processes[name].stdout
                assert pipe is not None
                selector.register(pipe, selectors.EVENT_READ, name)
            while selector.get_map():
                events = selector.select(max(0.0, deadline - time.monotonic()))
                if not events:
                    names = ", ".join(str(key.data) for key in selector.get_map().values())
                    raise SwitchError(f"switch {names}: not ready after {READY_TIMEOUT_S:.0f} s")
                for key, _ in events:
                    self._read_ready(key.data)
                    selector.unregister(key.fileobj)

    def failed(self) -> str | None:
        """One line about a switch that has ended by itself, if there is one."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                return f"switch {name} has ended (exit status {process.returncode}){self._complaint(process)}"
        return None

    def _read_ready(self, name: str) -> None:
        process = self._processes[name]
        line = process.stdout.readline().decode() if process.stdout else ""
        ready = re.match(r"ready p4runtime=(\S+)", line)
        if ready is None:
            process.wait(STOP_TIMEOUT_S)
            raise SwitchError(f"switch {name} did not start{self._complaint(process)}")
        self._starting.discard(name)
        self.addresses[name] = ready[1]

    @staticmethod
    def _complaint(process: subprocess.Popen[bytes]) -> str:
        said = process.stderr.read().decode(errors="replace").strip().splitlines() if process.stderr else []
        return f": {said[-1]}" if said else ""
